/**
 * Who names a person in an address binds the visitor who follows it to that person: Account Engagement's tracker looks for these
 * words anywhere in the address bar, and believes them. As in web/identity.
 */
const IDENTITY = /(pi_email|pi_em|pi_list_email|_kk)(=|%3d)/i;
const STEP = /[^/;&]*(pi_email|pi_em|pi_list_email|_kk)(=|%3d)[^/]*/gi;

const names = (text) => IDENTITY.test(unescape(text));

/** Take out of the address bar what names a person. The server leads visitors past it as far as it sees: not behind a "#". */
export function cleanAddress() {
  const { pathname, search, hash } = location;
  const query = search.slice(1).split("&").filter((pair) => !names(pair)).join("&");
  const clean = pathname.replace(STEP, "") + (query && "?" + query) + (names(hash) ? "" : hash);
  if (names(pathname + search + hash)) history.replaceState(history.state, "", clean.replace(/^\/+/, "/"));
}
