/**
 * Holds back what scripts put into the page later, by the rules of the server, and marks it as the server does
 * (`data-gw-src`, `data-gw-purpose`), so that consent.js lets it go. Runs before everything else in the page. What it does
 * not see (code that fetches, what is written while the page is read) is left to the Content-Security-Policy.
 *
 * The server puts the site's settings around this script as `gwHead`; of them
 *   granted   what is granted on this page, until consent.js knows better: "analytics", a service allowed by itself "+video",
 *             one refused within its purpose "-chat"
 *   own       the site's own hosts, beside that of the page
 *   hosts     by host what it waits for: its purpose, a space and its service, or a purpose alone
 *   suffixes  [".example.net", the same], the longest first
 *   paths     [a regular expression, the same]: paths of the site's own from which it serves a tool itself
 */
/* global gwHead */
import { mayAct } from "./lib/early.js";
const ACTING = {
  __proto__: null, // an element may have any name
  script: ["src"], iframe: ["src"], img: ["src", "srcset"], source: ["src", "srcset"], video: ["src", "poster"],
  audio: ["src"], track: ["src"], embed: ["src"], object: ["data"], link: ["href"],
};
const MARKED = "[data-gw-purpose]";
const LOOKED_AT = Object.entries(ACTING).flatMap(([tag, names]) => names.map((name) => `${tag}[${name}]`)).join();
const LOADS_AT_ONCE = ["img", "video", "audio"]; // before they stand in the page
const LEADING = /stylesheet|pre|icon|manifest/i; // relations of a link that make the browser go there
const RUNS = /^$|^module$|^(text|application)\/(x-)?(java|ecma|j|live)script/i; // types of scripts that do
const CONTENT = /<(iframe|img|source|video|audio|track|embed|object|link)\b/i;

const hosts = new Map(Object.entries(gwHead.hosts));
const UNKNOWN = "unknown";

/** What an address has to wait for, as `hosts` has it; empty when it may be contacted. */
function refused(address) {
  const { protocol, hostname: host, pathname } = new URL(address, document.baseURI);
  if (!/^(http|ws)s?:$/.test(protocol)) return "";
  const own = host === location.hostname || gwHead.own.includes(host);
  // As far as the server does not read more into a path: then it refuses what is asked for.
  const owner = own
    ? gwHead.paths.find(([path]) => unescape(pathname).match(path))?.[1] || "necessary"
    : hosts.get(host) || gwHead.suffixes.find(([suffix]) => host.endsWith(suffix))?.[1] || UNKNOWN;
  return mayAct(owner) ? "" : owner;
}

/** What an attribute's value has to wait for. */
function ownersOf(name, value) {
  const addresses = name === "srcset" ? value.split(",").map((one) => one.trim().split(/\s/)[0]) : [value];
  return addresses.filter(Boolean).map(refused).filter(Boolean);
}

const acts = (tag) => !tag.gwFree && (tag.localName !== "link" || LEADING.test(tag.rel));

const split = (text) => (text || "").split(" ").filter(Boolean);

/** Put a value where it waits. */
function mark(tag, name, value, owners) {
  const { gwPurpose, gwService } = tag.dataset;
  const before = split(gwService);
  const all = new Set([...split(gwPurpose).map((purpose, at) => `${purpose} ${before[at] || "-"}`),
    ...owners.map((owner) => (owner.includes(" ") ? owner : owner + " -"))]);
  put.call(tag, "data-gw-" + name, value);
  tag.removeAttribute(name);
  if (tag.localName === "script" && !tag.gwHeld) {
    put.call(tag, "data-gw-type", tag.type);
    tag.type = "text/plain";
  }
  tag.gwHeld = true;
  put.call(tag, "data-gw-purpose", [...all].map((one) => one.split(" ")[0]).join(" "));
  put.call(tag, "data-gw-service", [...all].map((one) => one.split(" ")[1]).join(" "));
  setTimeout(() => {
    if (tag.isConnected) document.dispatchEvent(new CustomEvent("gw:held", { detail: { element: tag } }));
    else tag.dispatchEvent(new Event("error")); // nobody will let go of what never comes into the page
  });
}

/** Another value for an attribute that held one: the old one waits no more. */
function unmark(tag, name) {
  if (!tag.hasAttribute("data-gw-" + name)) return;
  tag.removeAttribute("data-gw-" + name);
  if (ACTING[tag.localName].some((other) => tag.hasAttribute("data-gw-" + other))) return;
  tag.removeAttribute("data-gw-purpose");
  tag.removeAttribute("data-gw-service");
}

/** Whether a value that is about to be set is held back instead. */
function stops(tag, name, value) {
  if (!acts(tag) || !(tag.isConnected || LOADS_AT_ONCE.includes(tag.localName))) return false;
  try {
    const owners = ownersOf(name, String(value));
    if (owners.length) mark(tag, name, String(value), owners);
    else unmark(tag, name);
    return owners.length > 0;
  } catch {
    return false; // no address: nothing is contacted
  }
}

/** Hold back what one element is about to do. */
function hold(tag) {
  if (!acts(tag) || (tag.localName === "script" && !RUNS.test(tag.type))) return;
  for (const name of ACTING[tag.localName] || []) {
    const value = tag.getAttribute(name);
    try {
      const owners = value ? ownersOf(name, value) : [];
      if (owners.length) mark(tag, name, value, owners);
    } catch { /* no address */ }
  }
}

/** Look at what is about to come into the page. What is marked and may act already is let go once it stands there. */
function look(node) {
  if (!(node instanceof Element || node instanceof DocumentFragment)) return;
  if (node.localName in ACTING) hold(node);
  if (node.firstElementChild) node.querySelectorAll(LOOKED_AT).forEach(hold);
  if (node.matches?.(MARKED) || node.querySelector(MARKED)) queueMicrotask(() => window.gateway?.consent.release());
}

function wrap(owner, name, before) {
  const original = owner[name];
  if (!original) return;
  owner[name] = function (...given) {
    return before(this, given) ? undefined : original.apply(this, given);
  };
}

const put = Element.prototype.setAttribute;
wrap(Element.prototype, "setAttribute", (tag, [name, value]) => (
  ACTING[tag.localName]?.includes(String(name).toLowerCase()) && stops(tag, String(name).toLowerCase(), value)));

const lookAtAll = (parent, given) => void (parent.isConnected && given.forEach(look));
const AROUND = ["before", "after", "replaceWith"];
const INSIDE = ["append", "prepend", "replaceChildren"];
for (const [owner, names] of [
  [Node, ["appendChild", "insertBefore", "replaceChild"]], [Element, [...AROUND, ...INSIDE, "insertAdjacentElement"]],
  [Document, INSIDE], [DocumentFragment, INSIDE], [CharacterData, AROUND],
]) for (const name of names) wrap(owner.prototype, name, lookAtAll);
wrap(Range.prototype, "insertNode", ({ startContainer }, given) => lookAtAll(startContainer, given));

/** The property `name` as `watch(setter)` gives it; where it is inherited, on the one it is inherited from. */
function watchSetter(prototype, name, watch) {
  const found = Object.getOwnPropertyDescriptor(prototype, name);
  if (found?.set) Object.defineProperty(prototype, name, { ...found, set: watch(found.set) });
}

for (const [tag, names] of Object.entries(ACTING)) {
  const { prototype } = document.createElement(tag).constructor;
  for (const name of names) {
    watchSetter(prototype, name, (set) => function (value) {
      if (!stops(this, name, value)) set.call(this, value);
    });
  }
}
watchSetter(HTMLMediaElement.prototype, "src", (set) => function (value) {
  if (!stops(this, "src", value)) set.call(this, value);
});

/** Mark-up given as text, parsed where nothing acts; undefined when nothing in it has to wait. Scripts in it never run. */
function holdMarkup(markup) {
  if (!CONTENT.test(markup)) return undefined;
  const template = document.createElement("template");
  setMarkup.call(template, markup);
  template.content.querySelectorAll(LOOKED_AT).forEach((tag) => tag.localName === "script" || hold(tag));
  return template.content.querySelector(MARKED) ? template.content : undefined;
}

const setMarkup = Object.getOwnPropertyDescriptor(Element.prototype, "innerHTML").set;
watchSetter(Element.prototype, "innerHTML", (set) => function (markup) {
  const plain = this instanceof HTMLElement && this.localName !== "template"; // elsewhere text is read in another way
  const held = plain ? holdMarkup(markup) : undefined;
  if (held) this.replaceChildren(held);
  else set.call(this, markup);
});
watchSetter(Element.prototype, "outerHTML", (set) => function (markup) {
  const held = holdMarkup(markup);
  if (held) this.replaceWith(held);
  else set.call(this, markup);
});
wrap(Element.prototype, "setHTMLUnsafe", (tag, [markup]) => {
  const held = tag.localName !== "template" && holdMarkup(markup);
  if (held) tag.replaceChildren(held);
  return !!held;
});
const SIDES = { beforebegin: "before", afterbegin: "prepend", beforeend: "append", afterend: "after" };
wrap(Element.prototype, "insertAdjacentHTML", (tag, [where, markup]) => {
  const side = SIDES[String(where).toLowerCase()];
  const held = side && holdMarkup(markup);
  if (held) tag[side](held);
  return !!held;
});

// What comes in by other ways. While the page is read there is nothing to see that the server has not judged.
addEventListener("DOMContentLoaded", () => {
  const observer = new MutationObserver((records) => records.forEach(({ addedNodes }) => addedNodes.forEach(look)));
  observer.observe(document, { childList: true, subtree: true });
});
