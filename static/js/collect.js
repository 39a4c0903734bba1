/**
 * Counts, once "analytics" is granted and not before: engaged time under the page view that the server minted, views that
 * the server does not see (in-page navigation, pages restored from the browser's cache, static sites), the site's own
 * events through gateway.track(name, props, revenue, email), and what lib/automatic.js notices.
 *
 * Engaged time is the milliseconds in which the page was visible and had the focus, cumulative per view, with a sequence
 * number: the server keeps the maximum, so a message lost, doubled or late does no harm. How far down the page was seen, its
 * width and its web vitals go along, and are kept in the same way.
 */
import { config, does, listenToVisitor, place } from "./lib/automatic.js";
import { isFromCache, isLost, pageTopic } from "./lib/page_facts.js";

const LONGEST_STRETCH_MS = 70_000; // timers look in at least every 60 s: anything longer, and the machine was asleep
const gateway = window.gateway;

let view = "";
let url = "";
let seq = 0;
let engaged = 0; // milliseconds until `since`
let reported = ""; // what was said last
let bottom = 0; // the lowest pixel of the page that was in sight
let width = 0;
let vitals = {}; // of the page that was loaded, by vitals.js
let since = 0; // start of the running stretch of engagement; 0 when there is none
let leaving = false;
let stopped = false;
let timer;

/** An address without its fragment, which is nobody's business, and no longer than the server takes, as referrers are. */
const shorten = (address) => address.split("#")[0].slice(0, 4096);

/** Where the visitor is. On sites that ask for it a route in the fragment is a page, `/#/contact`. */
const here = () => shorten(does("hash_routes") && /^#!?\//.test(location.hash)
  ? location.pathname + "%23" + location.hash.slice(1).split("?")[0] : location.href);

/**
 * Same origin, so JSON needs no preflight. What is lost is not sent again, but for engagement, where a double is harmless.
 * What is shown in a frame is part of a page and no page itself.
 */
function send(body) {
  if (stopped || !gateway.consent.has("own_statistics") || (self !== top && body.k !== "event")) return;
  const to = config.prefix + "collect";
  const text = JSON.stringify({ v: 1, ...body });
  const beacon = () => navigator.sendBeacon(to, new Blob([text], { type: "application/json" }));
  if (!("keepalive" in Request.prototype)) return beacon();
  const headers = { "Content-Type": "application/json" };
  fetch(to, { method: "POST", keepalive: true, headers, body: text }).then(
    (response) => { if (response.status === 403) stopped = true; }, // consent is gone
    () => { if (body.k === "engagement") beacon(); },
  );
}

/** Close the running stretch and open the next one if the visitor is still here. */
function tick() {
  const now = performance.now();
  if (since) engaged += Math.min(now - since, LONGEST_STRETCH_MS);
  since = !leaving && !document.hidden && document.hasFocus() ? now : 0;
  look();
}

function look() {
  if (!document.hidden) bottom = Math.max(bottom, scrollY + innerHeight);
}

/** In percent of the page as it is now. */
const depth = () => Math.min(100, Math.round((100 * bottom) / Math.max(document.documentElement.scrollHeight, 1)));

/** Tell what has changed since the last time, of a page that was in sight. */
function flush() {
  tick();
  const told = { engaged: Math.floor(engaged), width, scroll: does("scroll") ? depth() : undefined, ...vitals };
  const text = JSON.stringify(told);
  if (!bottom || text === reported) return;
  reported = text;
  send({ k: "engagement", view, seq: ++seq, url, ...told });
}

/** The sparse backstop, for browsers that die without a word: after 10, 30, 60 seconds, then every 60. */
function arm(delay) {
  clearTimeout(timer);
  timer = setTimeout(() => {
    flush();
    arm(delay < 30_000 ? delay + 10_000 : 60_000);
  }, delay);
}

function begin(id = crypto.randomUUID().replaceAll("-", "")) {
  view = id;
  url = here();
  seq = engaged = bottom = since = 0;
  width = innerWidth;
  vitals = {};
  tick();
  arm(10_000);
}

/** A view of our own: the server has not seen it. */
function beginUnseen(referrer) {
  begin();
  send({ k: "page_view", view, url, referrer, topic: pageTopic() });
}

/** The address has changed without a load; a new fragment, or a query replaced in place, is not another page. */
function onMove(replaced) {
  const before = new URL(url, location);
  const now = new URL(here(), location);
  if (now.pathname === before.pathname && (replaced || now.search === before.search)) return;
  flush();
  beginUnseen(before.href);
}

function wrapHistory(name, replaced) {
  const original = history[name];
  history[name] = function (...args) {
    original.apply(this, args);
    onMove(replaced);
  };
}

function onLeave() {
  flush();
  leaving = true;
  since = 0;
}

function onReturn(event) {
  leaving = false;
  if (event.persisted) beginUnseen(new URL(url, location).href);
  else tick();
}

function track(name, props, revenue, email) {
  try {
    send({ k: "event", view, name, props: props || undefined, revenue: revenue || undefined, email: email || undefined, url });
  } catch { /* props that are no JSON must not break the site's own code */ }
}

function listen() {
  document.addEventListener("visibilitychange", () => (document.hidden ? flush() : tick()));
  addEventListener("pagehide", onLeave);
  addEventListener("pageshow", onReturn);
  addEventListener("focus", tick);
  addEventListener("blur", tick);
  addEventListener("popstate", () => onMove(false));
  window.navigation?.addEventListener("currententrychange", ({ navigationType }) => onMove(navigationType === "replace"));
  addEventListener("scroll", look);
  listenToVisitor(track);
  wrapHistory("pushState", false);
  wrapHistory("replaceState", true);
}

/** They measure what has been, so they can wait until the page has all that it needs. */
function loadVitals() {
  gateway.vitals = vitals;
  const load = () => setTimeout(() => gateway.load(config.vitals_url), 500);
  if (document.readyState === "complete") load();
  else addEventListener("load", load);
}

function start() {
  const fromCache = isFromCache();
  const lost = !config.view && isLost();
  if (lost) begin();
  else if (!config.view) beginUnseen(document.referrer);
  else if (fromCache) beginUnseen(shorten(location.href));
  else begin(config.view);
  listen();
  gateway.track = track;
  if (lost && does("not_found")) track("not_found", document.referrer && { from: place(new URL(document.referrer)) });
  for (const event of gateway.queue) track(...event);
  if (config.vitals_url && !fromCache) loadVitals();
}

if (gateway && !gateway.collecting && gateway.consent.has("own_statistics")) {
  gateway.collecting = true;
  // A page that is only being prepared has no visitor yet.
  if (document.prerendering) document.addEventListener("prerenderingchange", start);
  else start();
}
