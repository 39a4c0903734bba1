/**
 * What visitors do on a page, told without the site's asking: links away, files, forms by their names. Addresses go without
 * query and fragment, and nothing that anybody typed goes anywhere.
 */

/** What the server tells the scripts of this page: see page_config.js. */
export const config = window.gateway?.page || {};

const FILES = /\.(7z|avi|csv|dmg|docx?|epub|exe|gz|ics|iso|mov|mp[34]|mpeg|msi|od[pst]|pdf|pkg|pptx?|rar|rtf|tar|txt|wav|wm[av]|xlsx?|zip)$/i;

export const does = (what) => config.auto?.includes(what);

/** Own pages by their path, others with their host. */
export const place = ({ host, pathname }) => (host === location.host ? "" : host) + pathname;

/** A link in a drawing (SVG) as one of HTML; what else has an address there leads nowhere. */
const plainLink = (node) => (node.localName === "a" && node.href.baseVal
  ? Object.assign(document.createElement("a"), { href: node.href.baseVal }) : node);

function onClick(event, track) {
  const link = event.button < 2 && event.composedPath().map(plainLink).find(({ href }) => /^https?:/.test(href));
  if (!link) return;
  if (does("downloads") && (link.hasAttribute("download") || FILES.test(link.pathname))) track("download", { file: place(link) });
  else if (does("outbound") && link.host !== location.host) track("outbound", { url: place(link) });
}

/** The gateway's own forms are no news. */
function onSubmit({ target }, track) {
  const to = new URL(target.getAttribute("action") || "", location);
  if (does("forms") && !to.pathname.startsWith(config.prefix)) {
    track("form_submit", { form: target.getAttribute("name") || target.id, to: place(to) });
  }
}

/** In the capturing phase, so that no script of the site can stop it. */
export function listenToVisitor(track) {
  for (const name of ["click", "auxclick"]) addEventListener(name, (event) => onClick(event, track), true);
  addEventListener("submit", (event) => onSubmit(event, track), true);
}
