// Who names a person in a link binds the visitor who follows it to that person. As in web/identity.
const IDENTITY = /(pi_email|pi_em|pi_list_email|_kk)(=|%3d)/i;

/** Take out of the address bar what names a person to a tracker. The server leads visitors past it; a static site has none. */
export function cleanAddress() {
  const pairs = location.search.slice(1).split("&");
  const kept = pairs.filter((pair) => !IDENTITY.test(unescape(pair)));
  if (kept.length === pairs.length) return;
  history.replaceState(history.state, "", location.pathname + (kept.length ? "?" + kept.join("&") : "") + location.hash);
}
