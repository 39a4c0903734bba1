/**
 * Account Engagement's tracker, for pages that have none of their own. Loaded by consent.js once everything is granted that it
 * needs. The server puts its settings around this script as `gwTracker`:
 *   host      the firm's tracker domain
 *   account, campaign   as pages name them: 1000 more than the real numbers
 *   never     beginnings of paths of which it is never told: neither of such a page, nor of one that was reached from there
 *   needs     what has to be granted still when the older tracker takes the place of the one that does not come
 */
/* global gwTracker */
import { cleanAddress } from "./lib/clean_address.js";

const { host, account, campaign, never, needs } = gwTracker;

/** As in destinations/withheld: in any case and spelling; what cannot be read is not told either. */
function isPrivate(path) {
  try {
    const read = (decodeURIComponent(path) + "/").replace(/\/+/g, "/").toLowerCase();
    return never.some((beginning) => read.startsWith(beginning));
  } catch {
    return true;
  }
}

/** An account whose Tracking and Consent API is not active has `pd.js` alone, which reads its settings from the page. */
function fallBack() {
  if (!needs.every((name) => window.gateway.consent.has(name))) return; // taken back while the other was waited for
  Object.assign(window, { piAId: `${account}`, piCId: `${campaign}`, piHostname: host });
  window.gateway.load(`//${host}/pd.js`);
}

const cameFrom = document.referrer ? new URL(document.referrer).pathname : "";
// A page with a snippet of its own would be counted twice.
if (!window.pdt && !window.piAId && !isPrivate(location.pathname) && !isPrivate(cameFrom)) {
  const pdt = window.pdt = function () {
    pdt.cq.push(arguments);
  };
  pdt.cq = [];
  cleanAddress(); // the tracker reads it, and believes whoever is named there
  pdt("create", account, campaign, host);
  pdt("setOptIn", true);
  pdt("sendPageView");
  window.gateway.load(`//${host}/pdt.js`, ({ type }) => type === "error" && fallBack());
}
