/**
 * For code that was written against Klaro: what it uses most, answered from the choice that was made here. No script can
 * grant anything; what would, shows the settings.
 */
/* global gwHead */
import { has, open, whenChosen, whenReady } from "./lib/early.js";

const watchers = new Set();
let answered = false;

const manager = {
  get confirmed() { return answered; },
  get consents() { return Object.fromEntries(gwHead.services.map((name) => [name, has(name)])); },
  getConsent: (name) => has(name),
  watch: (watcher) => watchers.add(watcher),
  unwatch: (watcher) => watchers.delete(watcher),
  updateConsent: open,
  saveAndApplyConsents: open,
  applyConsents: () => whenReady((consent) => consent.release()),
  resetConsents: () => whenReady((consent) => consent.withdraw()),
};

window.klaro = { getManager: () => manager, show: open, setup() {}, render() {} };

whenChosen(() => {
  answered = true;
  for (const watcher of watchers) watcher.update(manager, "consents", manager.consents);
});
