/**
 * Tags marked for Cookiebot, vanilla-cookieconsent and Klaro, in pages and parts of pages that the server has not rewritten:
 * marked for us instead, so that consent.js lets them go. The server's own is gateway/consent/foreign_marks.py.
 */
import { ownerOf } from "./lib/early.js";

const WAITING = { cookieblockSrc: "src", src: "src", srcset: "srcset", href: "href", poster: "poster" };
const TAKEN = ["cookieconsent", "category", "service", "name", "type", ...Object.keys(WAITING)];
const MARKED = "[data-cookieconsent],[data-category],[data-name]";

/** The names that a tag gives; all of them have to be granted. */
function said(tag) {
  const { cookieconsent, category, service, name } = tag.dataset;
  const inert = tag.localName === "script" && tag.type.toLowerCase() === "text/plain";
  const waits = inert || (tag.localName !== "script" && Object.keys(WAITING).some((key) => key in tag.dataset));
  if (!waits) return [];
  if (cookieconsent) return cookieconsent.split(/[,\s]+/).filter(Boolean);
  if (inert && category) return [category, service].filter(Boolean);
  return name ? [name] : [];
}

function translate(tag) {
  const owners = said(tag).map(ownerOf);
  if (!owners.length || owners.includes(undefined)) return;
  const values = { ...tag.dataset };
  const src = tag.getAttribute("src");
  for (const key of TAKEN) delete tag.dataset[key];
  if (tag.localName === "script") tag.dataset.gwType = values.type || "";
  if (src !== null) {
    tag.removeAttribute("src");
    tag.dataset.gwSrc = src;
  }
  for (const [key, acting] of Object.entries(WAITING)) {
    if (key in values) tag.setAttribute("data-gw-" + acting, values[key]);
  }
  tag.dataset.gwPurpose = owners.map((owner) => owner.split(" ")[0]).join(" ");
  tag.dataset.gwService = owners.map((owner) => owner.split(" ")[1] || "-").join(" ");
}

function translateAll(nodes) {
  for (const node of nodes) {
    if (node.nodeType !== 1) continue;
    if (node.matches(MARKED)) translate(node);
    node.querySelectorAll(MARKED).forEach(translate);
  }
  window.gateway?.consent.release();
}

addEventListener("DOMContentLoaded", () => {
  translateAll([document.documentElement]);
  const observer = new MutationObserver((records) => {
    const added = records.flatMap(({ addedNodes }) => [...addedNodes]);
    const marked = added.filter((node) => node.nodeType === 1 && (node.matches(MARKED) || node.querySelector(MARKED)));
    if (marked.length) translateAll(marked);
  });
  observer.observe(document, { childList: true, subtree: true });
});
