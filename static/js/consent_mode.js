/**
 * Google Consent Mode, before any of Google's tags: everything is denied until its purpose is granted, and again when it is
 * withdrawn. The server puts the site's settings around this script as `gwHead`; of them
 *   granted  what is granted on this page: "analytics", a service allowed by itself "+video", one refused within its purpose
 *   signals  Google's signals by purpose and by service: { analytics: ["analytics_storage"] }
 */
/* global gwHead */
const SIGNALS = ("ad_storage ad_user_data ad_personalization analytics_storage functionality_storage personalization_storage "
  + "security_storage").split(" ");
const said = [];
let layer = window.dataLayer || [];

// Tags read `arguments` objects, not arrays.
function gtag() {
  said.push(arguments);
  layer.push(arguments);
}

function tell(what, names) {
  const allowed = ["security_storage", ...names.flatMap((name) => gwHead.signals[name] || [])];
  const states = SIGNALS.map((signal) => [signal, allowed.includes(signal) ? "granted" : "denied"]);
  gtag("consent", what, Object.fromEntries(states));
}

// Pages that begin a list of their own (`dataLayer = [...]`) find in it what was said so far.
Object.defineProperty(window, "dataLayer", {
  configurable: true,
  enumerable: true,
  get: () => layer,
  set: (other) => {
    if (Array.isArray(other) && other !== layer) other.unshift(...said.filter((one) => !other.includes(one)));
    layer = other;
  },
});
window.gtag ||= function () { layer.push(arguments); };
tell("default", []);
if (gwHead.granted.length) tell("update", gwHead.granted.map((name) => name.replace("+", "")));
document.addEventListener("gw:consent", ({ detail }) => tell("update", [...detail.granted, ...detail.services]));
