/**
 * Account Engagement's tracker, for pages that have none of their own. Loaded by consent.js once everything is granted that it
 * needs. The server puts its settings around this script as `gwTracker`:
 *   host      the firm's tracker domain
 *   account, campaign   as pages name them: 1000 more than the real numbers
 */
/* global gwTracker */
import { cleanAddress } from "./lib/clean_address.js";

if (!window.pdt && !window.piAId) { // a page with a snippet of its own would be counted twice
  const { host, account, campaign } = gwTracker;
  const pdt = window.pdt = function () {
    pdt.cq.push(arguments);
  };
  pdt.cq = [];
  cleanAddress(); // the tracker reads it, and believes whoever is named there
  pdt("create", account, campaign, host);
  pdt("setOptIn", true);
  pdt("sendPageView");
  window.gateway.load(`//${host}/pdt.js`);
}
