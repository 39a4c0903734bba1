/**
 * Held tags: a script, iframe or image whose address waits in `data-gw-src` (or `data-gw-srcset`) until every purpose in
 * its `data-gw-purpose` is granted; a script also has type="text/plain", its own type waits in `data-gw-type`.
 */

// A page that requires trusted types lets us through by this name; one that forbids new names makes `release` throw.
let trusted = { createScript: String, createScriptURL: String };
try {
  trusted = self.trustedTypes?.createPolicy("gateway", trusted) || trusted;
} catch { /* the page's own policy says no: its refusal is met where a script is made */ }

/** The address in the form that the page's policy wants for scripts. */
export const scriptUrl = (url) => trusted.createScriptURL(url);

let turn = Promise.resolve();

/**
 * Let go of every tag whose purposes are all granted: once, in document order, without a reload.
 * Throws TypeError when the page's trusted types policy refuses our scripts.
 */
export function release(granted) {
  for (const tag of document.querySelectorAll("[data-gw-purpose]")) {
    if (!tag.dataset.gwPurpose.split(" ").every((purpose) => granted.includes(purpose))) continue;
    if (tag.localName === "script") releaseScript(tag);
    else releaseElement(tag);
    tag.removeAttribute("data-gw-purpose");
  }
}

function releaseElement(tag) {
  for (const name of ["srcset", "src"]) {
    const url = tag.getAttribute("data-gw-" + name);
    // Only these two attributes and no javascript: addresses, so that a site's visitors cannot smuggle in code of theirs.
    if (url !== null && !/^\W*javascript:/i.test(url)) tag.setAttribute(name, url);
    tag.removeAttribute("data-gw-" + name);
  }
}

/** A script that was parsed as text never runs: a new one takes its place. */
function releaseScript(held) {
  const script = document.createElement("script");
  for (const { name, value } of held.attributes) {
    if (name !== "type" && name !== "src" && !name.startsWith("data-gw-")) script.setAttribute(name, value);
  }
  const { gwType, gwSrc } = held.dataset;
  if (gwType) script.type = gwType;
  script.nonce = held.nonce;
  const url = gwSrc ?? held.getAttribute("src");
  if (url === null) script.text = trusted.createScript(held.text);
  else script.src = scriptUrl(url);
  if (held.hasAttribute("async")) held.replaceWith(script);
  else turn = turn.then(() => run(held, script));
}

/** Put the script in its place; resolves when the next one may run. */
function run(held, script) {
  return new Promise((done) => {
    script.onload = script.onerror = done;
    held.replaceWith(script);
    if (!script.src || script.noModule) done();
  });
}
