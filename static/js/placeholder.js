/**
 * The buttons of placeholders. "Always allow" is an ordinary form, which consent.js posts; "load once" lets go of the one
 * element behind the placeholder when the server has written down that it was asked for. Loaded where there are any.
 */
import { releaseTag } from "./lib/held_tags.js";

let waiting = null; // the element for which a button was pressed

/** Whether the server has noted it: nothing is loaded that nobody could prove was asked for. */
async function note(service) {
  const form = document.getElementById("gw-place");
  const body = new URLSearchParams({ choice: "once", service, by: "script" });
  const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
  return response.ok;
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
  if (await note(button.value).catch(() => false)) {
    if ("gwMount" in element.dataset) mount(element);
    else releaseTag(element);
    focusOn(element);
  }
  button.ariaDisabled = null;
}

function onClick({ target }) {
  const button = target.closest?.(".gw-held button");
  if (!button) return;
  waiting = button.closest(".gw-held").nextElementSibling;
  if ("gwOnce" in button.dataset) loadOnce(button, waiting);
}

document.addEventListener("click", onClick);
document.addEventListener("gw:consent", () => {
  for (const element of document.querySelectorAll("[data-gw-mount]")) {
    if (window.gateway.consent.has(element.dataset.gwMount)) element.removeAttribute("data-gw-mount");
  }
  if (waiting?.isConnected && !("gwPurpose" in waiting.dataset)) focusOn(waiting);
  waiting = null;
});
// Under a content policy that is enforced the browser loads nothing for once.
const closed = document.querySelector("script[data-gw*='\"csp\"']");
for (const button of document.querySelectorAll("[data-gw-once]")) button.hidden = !!closed;
