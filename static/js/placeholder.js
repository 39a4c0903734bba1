/**
 * The buttons of placeholders. "Always allow" is an ordinary form, which consent.js posts; "load once" lets go of the one
 * element behind the placeholder when the server has written down that it was asked for. Loaded where there are any.
 *
 * Under a content policy that is enforced the page lets nothing more in: there a frame is loaded within a document of the
 * server's, which has a policy of its own, and what is no frame is not offered for once.
 */
import { releaseTag } from "./lib/held_tags.js";

let waiting = null; // the element for which a button was pressed

const closed = document.querySelector("script[data-gw*='\"csp\"']");
/** The held element of a placeholder: behind it, or a film before it, and before what the first one brings along. */
function elementOf(button) {
  let element = button.closest(".gw-held");
  if (!element.matches(".gw-behind")) return element.nextElementSibling;
  do element = element.previousElementSibling; while (element.matches("link,script"));
  return element;
}
/** What waits there: the element itself, and the sources of a film. */
const waitingIn = (element) => [element, ...element.querySelectorAll("source")].filter((one) => "gwPurpose" in one.dataset);

/** Whether the server has noted it, and the element may go: nothing is loaded that nobody could prove was asked for. */
async function note(service, { dataset }) {
  const form = document.getElementById("gw-place");
  const body = new URLSearchParams({ choice: "once", service, by: "script" });
  if (closed) body.set("address", new URL(dataset.gwSrc, document.baseURI));
  const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
  const { ok, frame } = await response.json();
  return closed ? frame && (dataset.gwSrc = frame) : ok;
}

/** The focus goes where the button was. */
const focusOn = (element) => element.focus({ preventScroll: true });

/** Show an element that scripts fill, and let those scripts go. */
function mount(element) {
  const service = element.dataset.gwMount;
  for (const one of document.querySelectorAll(`[data-gw-mount="${service}"]`)) one.removeAttribute("data-gw-mount");
  for (const script of document.querySelectorAll(`script[data-gw-service="${service}"]`)) releaseTag(script);
}

async function loadOnce(button, element) {
  if (button.ariaDisabled === "true") return;
  button.ariaDisabled = "true";
  if (await note(button.value, element).catch(() => false)) {
    if ("gwMount" in element.dataset) mount(element);
    else waitingIn(element).forEach(releaseTag);
    focusOn(element);
  }
  button.ariaDisabled = null;
}

function onClick({ target }) {
  const button = target.closest?.(".gw-held button");
  if (!button) return;
  waiting = elementOf(button);
  if ("gwOnce" in button.dataset) loadOnce(button, waiting);
}

document.addEventListener("click", onClick);
document.addEventListener("gw:consent", () => {
  for (const element of document.querySelectorAll("[data-gw-mount]")) {
    if (window.gateway.consent.has(element.dataset.gwMount)) element.removeAttribute("data-gw-mount");
  }
  if (waiting?.isConnected && !waitingIn(waiting).length) focusOn(waiting);
  waiting = null;
});

/** Offer to load once what can be. */
export function ready(place) {
  for (const button of place.querySelectorAll("[data-gw-once]")) {
    const { localName, dataset } = elementOf(button);
    button.hidden = closed && !(localName === "iframe" && dataset.gwSrc);
  }
}
ready(document);
