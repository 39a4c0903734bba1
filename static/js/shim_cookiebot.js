/**
 * For code that was written against Cookiebot: what it uses most, answered from the choice that was made here. No script can
 * grant anything; what would, shows the settings.
 */
import { has, open, whenChosen, whenReady } from "./lib/early.js";

const CATEGORIES = ["preferences", "statistics", "marketing"];
let answered = false;

const any = () => CATEGORIES.some(has);
const consent = { necessary: true, stamp: "0" };
for (const name of CATEGORIES) Object.defineProperty(consent, name, { enumerable: true, get: () => has(name) });
Object.defineProperty(consent, "method", { enumerable: true, get: () => (answered ? "explicit" : null) });

window.Cookiebot = {
  consent,
  get hasResponse() { return answered; },
  get consented() { return answered && any(); },
  get declined() { return answered && !any(); },
  changed: false,
  doNotTrack: false,
  renew: open,
  show: open,
  hide() {},
  submitCustomConsent: open,
  withdraw: () => whenReady((gateway) => gateway.withdraw()),
  runScripts: () => whenReady((gateway) => gateway.release()),
};

/** As an event, and to the function that a page may have for it. */
function tell(name) {
  window.dispatchEvent(new Event("Cookiebot" + name));
  const call = window["CookiebotCallback_" + name];
  if (typeof call === "function") call();
}

whenReady(() => tell("OnLoad"));
whenChosen((first) => {
  answered = true;
  window.Cookiebot.changed = !first;
  tell("OnConsentReady");
  tell(any() ? "OnAccept" : "OnDecline");
});
