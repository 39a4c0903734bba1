/**
 * For code that was written against vanilla-cookieconsent (version 3): what it uses most, answered from the choice that was
 * made here. No script can grant anything; what would, shows the settings. `run` takes the callbacks of its configuration.
 */
/* global gwHead */
import { has, open, whenChosen, whenReady } from "./lib/early.js";

let answered = false;
let known = [];
let callbacks = {};
let before = [];

/** The categories that the page's own configuration has, or else the purposes of the policy. */
const categories = () => (known.length ? known : gwHead.purposes);
const accepted = () => categories().filter(has);
const cookie = () => ({ categories: accepted(), revision: 0, data: null, services: {} });

function preferences() {
  const yes = accepted();
  const rejectedCategories = categories().filter((name) => !yes.includes(name));
  const optional = yes.filter((name) => name !== "necessary");
  const acceptType = !rejectedCategories.length ? "all" : optional.length ? "custom" : "necessary";
  return { acceptType: answered ? acceptType : "", acceptedCategories: yes, rejectedCategories };
}

function tell(name, detail) {
  window.dispatchEvent(new CustomEvent("cc:" + name, { detail }));
  callbacks[name]?.(detail);
}

window.CookieConsent = {
  run(settings = {}) {
    callbacks = settings;
    known = Object.keys(settings.categories || {});
    if (answered) callbacks.onConsent?.({ cookie: cookie() });
    return Promise.resolve();
  },
  acceptedCategory: (name) => has(name),
  acceptedService: (service) => has(service),
  validConsent: () => answered,
  getUserPreferences: preferences,
  getCookie: (field) => (field ? cookie()[field] : cookie()),
  show: open,
  hide() {},
  showPreferences: open,
  hidePreferences() {},
  acceptCategory: open,
  acceptService: open,
  reset: () => whenReady((consent) => consent.withdraw()),
};

whenChosen((first) => {
  const changedCategories = categories().filter((name) => has(name) !== before.includes(name));
  answered = true;
  before = accepted();
  if (first) tell("onConsent", { cookie: cookie() });
  else if (changedCategories.length) tell("onChange", { cookie: cookie(), changedCategories });
});
