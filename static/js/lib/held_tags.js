/**
 * Held tags: what would make a tag act waits under the same name with `data-gw-` before it (`data-gw-src`) until every
 * purpose in its `data-gw-purpose` is granted; where a service stands in the same place of its `data-gw-service`, until that
 * service may act. A script also has type="text/plain", its own type waits in `data-gw-type`.
 */
import { mayAct } from "./purposes.js";

// A page that requires trusted types lets us through by this name; one that forbids new names makes `release` throw.
let trusted = { createScript: String, createScriptURL: String };
try {
  trusted = self.trustedTypes?.createPolicy("gateway", trusted) || trusted;
} catch { /* the page's own policy says no: its refusal is met where a script is made */ }

/** The address in the form that the page's policy wants for scripts. */
export const scriptUrl = (url) => trusted.createScriptURL(url);

/** Whether the page's trusted types policy refuses scripts of ours. */
export const isBarred = () => {
  try {
    document.createElement("script").src = scriptUrl("/");
  } catch {
    return true;
  }
};

/** Whether all that a tag waits for is granted: by service where one is named, else by purpose. */
function isFree({ gwPurpose, gwService = "" }, state) {
  const services = gwService.split(" ");
  // "-" or nothing stands where no service is named; names begin with a letter or a digit, which come after it.
  return gwPurpose.split(" ").every((purpose, at) => mayAct(services[at] > "-" ? services[at] : purpose, state));
}

/**
 * Let go of every tag whose purposes are all granted: once, in document order, without a reload; also of those that
 * wait in templates and in frames whose page stands in the page. Or have `use` called with each of them.
 * Throws TypeError when the page's trusted types policy refuses our scripts.
 */
export function release(state, use = releaseTag, root = document) {
  for (const tag of root.querySelectorAll("[data-gw-purpose],template,iframe[srcdoc]")) {
    const inside = tag.localName === "template" ? tag.content : tag.srcdoc && tag.contentDocument;
    if (inside) release(state, use, inside);
    if (tag.dataset.gwPurpose && isFree(tag.dataset, state)) use(tag);
  }
}

/** Let go of one tag, whatever it waits for. */
export function releaseTag(tag) {
  tag.gwFree = true; // for guard.js, which has no more to say of it
  if (tag.localName === "script") releaseScript(tag);
  else releaseElement(tag);
  delete tag.dataset.gwPurpose;
  delete tag.dataset.gwService;
}

// Only these attributes and no javascript: addresses, so that a site's visitors cannot smuggle in code of theirs.
const NAMES = ("imagesrcset srcset src xlink:href href data poster background ping attributionsrc lowsrc codebase archive "
  + "code content value values from by to").split(" ");

function releaseElement(tag) {
  for (const name of NAMES) {
    const url = tag.getAttribute("data-gw-" + name);
    tag.removeAttribute("data-gw-" + name);
    if (url === null || /javascript:/i.test(url.replace(/\s/g, ""))) continue;
    tag.setAttribute(name.replace("xlink:", ""), url);
  }
  // A film that has found no source yet does not look again by itself.
  const film = tag.localName === "source" && tag.parentNode;
  if (film && !film.currentSrc) film.load?.();
}

/** A script that was parsed as text never runs: a new one takes its place. One that guard.js stopped still can. */
function releaseScript(held) {
  const { gwType, gwSrc, gwHref } = held.dataset;
  if (held.gwHeld) {
    held.type = gwType;
    held.src = scriptUrl(gwSrc);
    return;
  }
  const script = document.createElement("script");
  for (const { name, value } of held.attributes) {
    if (!/^(type|src|data-gw-.*)$/.test(name)) script.setAttribute(name, value);
  }
  if (gwType) script.type = gwType;
  script.nonce = held.nonce;
  script.gwFree = true;
  const url = gwSrc ?? gwHref ?? held.getAttribute("data-gw-xlink:href") ?? held.getAttribute("src");
  if (url === null) script.text = trusted.createScript(held.textContent);
  else script.src = scriptUrl(url);
  const page = held.ownerDocument; // each has an order of its own: a frame that goes away keeps nobody else waiting
  // In a template nothing loads, so there is nothing to wait for.
  if (held.hasAttribute("async") || !held.isConnected) held.replaceWith(script);
  else page.gwTurn = run(page.gwTurn, held, script);
}

/** Put the script in its place after those before it, unless one of them took the place away; until the next one may run. */
async function run(before, held, script) {
  await before;
  if (held.isConnected) await new Promise((done) => {
    script.onload = script.onerror = done;
    held.replaceWith(script);
    if (!script.src || script.noModule) done();
  });
}
