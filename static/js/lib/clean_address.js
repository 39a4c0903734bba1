// Who names somebody in a link binds the visitor who follows it to that person.
const IDENTITY = ["pi_email", "pi_em", "pi_list_email", "_kk"];

/** Take out of the address bar what names a person to a tracker. The server leads visitors past it; pages made for all it cannot. */
export function cleanAddress() {
  const url = new URL(location);
  const named = [...url.searchParams.keys()].filter((name) => IDENTITY.some((one) => name.toLowerCase().endsWith(one)));
  if (!named.length) return;
  for (const name of named) url.searchParams.delete(name);
  history.replaceState(history.state, "", url);
}
