/**
 * The visitor's choice without a reload. Everything here also works without this script: the banner and the preferences
 * page are plain forms. Loaded with `defer`; pages that no server has made for their visitor load gateway.js instead.
 *
 * For the site (docs/javascript.md): window.gateway.consent with has, when, open, withdraw and release; gateway.track(name,
 * props); the event "gw:consent" on document; and any element with `data-gw-open` as a way to the preferences page.
 */
import { config } from "./lib/page_config.js";
import { isBarred, release, scriptUrl } from "./lib/held_tags.js";
import { currentPath, isRevisit, pageTopic } from "./lib/page_facts.js";
import { mayAct } from "./lib/purposes.js";

const channel = new BroadcastChannel("gw");
const isHere = (form) => form.id !== "gw-purposes"; // and not on the settings page
const findBanner = () => document.getElementById("gw-banner");
const has = (name) => mayAct(name, config);
const held = ({ granted, services }) => [...granted, ...services];
/** What a choice has to know of this page to count its view; short enough for an address that every server takes. A view that is
    none is sent as a word too short for one. */
const seen = () => ({
  return_to: currentPath(), view: config.view, referrer: document.referrer.slice(0, 500), topic: pageTopic() || "",
});
export const ownUrl = (name = "preferences", about = seen()) => `${config.prefix}${name}?`
  + new URLSearchParams({ ...about, lang: document.documentElement.lang });

/** Whether something of what `state` grants waits here and can act on a new page only: an enforced content policy was fixed
    when this one loaded, a trusted types policy lets the server do what we may not. */
function needsNewPage(state) {
  let found = config.csp?.some((name) => mayAct(name, state) && !has(name));
  release(state, (tag) => (found = tag));
  return (config.csp && found) || (mayAct("any", state) && isBarred());
}

let lastFocus; // what had the focus before the visitor entered the banner
let pressed; // the button whose choice is on its way
let turn = Promise.resolve(); // another choice waits for the one before it: what was said last holds

/** Load the page anew, with what `state` grants and nothing else: what is lost is used no more on the way out. */
async function startOver(state) {
  const withdrawn = held(config).filter((name) => !mayAct(name, state));
  take(state);
  if (withdrawn.length) tellPage(withdrawn);
  await takeLeave();
  try {
    sessionStorage.gw = JSON.stringify(state);
  } catch { /* a browser that keeps nothing */ }
  location.reload();
}

/** A view that was not counted with the choice is counted by the collect script, if at all. */
const take = ({ chosen, granted, services, counted }) => Object.assign(config, {
  chosen, granted, services, view: counted === config.view && counted,
});

/** Have what is not granted told so, and its storage emptied; no longer than a second. */
const takeLeave = () => config.leave_url && new Promise((done) => {
  setTimeout(done, 1000);
  load(config.leave_url, done);
}).catch(() => {}); // a trusted types policy may refuse the script

/** Make this page agree with `state` ({chosen, granted, services}), or load it anew: a script that has run cannot be stopped.
    Returns what loads it, if it does. */
function apply(state) {
  if (held(config).some((name) => !mayAct(name, state))) return startOver(state);
  if (config.chosen === state.chosen && held(config).length === held(state).length) return;
  // The settings page shows what holds.
  if (document.getElementById("gw-purposes") || needsNewPage(state)) return startOver(state);
  take(state);
  if (state.chosen) closeBanner();
  // Where the page's trusted types policy refuses our scripts, the server can do what we may not.
  if (!letGo()) return startOver(state);
  tellPage([]);
}

/** Release what is granted; false when the page's trusted types policy does not let us. */
export function letGo() {
  try {
    release(config);
    if (config.collect_url && has("own_statistics")) {
      load(config.collect_url);
      config.collect_url = "";
    }
    return true;
  } catch {
    return false;
  }
}

export function tellPage(withdrawn) {
  const { granted, services } = config;
  document.dispatchEvent(new CustomEvent("gw:consent", { detail: { granted, services, withdrawn } }));
}

/** Call once when the purpose or service may act: now, or as soon as it may. */
function when(name, call) {
  if (has(name)) return call();
  config.csp?.push(name);
  document.addEventListener("gw:consent", () => when(name, call), { once: true });
}

/** Take back one purpose or service, or all; resolves to whether the server took it. What was granted ends with a new page. */
async function withdraw(name) {
  if (name && !has(name)) return true;
  const fields = new URLSearchParams({ choice: name ? "save" : "reject_all", by: "script", services: "plain" });
  for (const kept of held(config)) if (kept !== name) fields.append(config.granted.includes(kept) ? "purpose" : "service", kept);
  const reply = await postChoice(config.prefix + "consent", fields);
  if (reply) settle(reply);
  return !!reply;
}

/** The focus goes back to where the visitor was; who began in the banner begins at the page's start. */
function closeBanner() {
  const banner = findBanner();
  const hadFocus = banner?.contains(document.activeElement);
  banner?.remove();
  if (!hadFocus) return;
  const place = lastFocus?.isConnected ? lastFocus : document.body;
  const index = place.getAttribute("tabindex");
  place.tabIndex = index ?? -1; // lent, where it has none
  place.focus({ preventScroll: true });
  if (index === null) place.removeAttribute("tabindex");
}

/** Say it where assistive technology listens: later than the banner's end, or screen readers lose it among the changes. */
const announce = ({ message, language }) => setTimeout(() => {
  const status = message && document.getElementById("gw-status");
  if (!status) return;
  status.lang = language;
  status.textContent = message;
  status.focus(); // the preferences page shows it and leads there; elsewhere it takes no focus
}, 100);

function load(url, done) {
  const script = document.createElement("script");
  script.src = scriptUrl(url);
  script.onload = script.onerror = done;
  document.head.append(script);
}

/** Ask the server what holds now; nothing comes of an answer that is none. */
export async function refresh() {
  const response = await fetch(config.prefix + "state");
  if (response.ok) return response.json();
}

/** Silent when the server cannot be reached: nothing changes then. */
const catchUp = () => refresh().then(apply).catch(() => {});

/** The fields of the form, with the button that was pressed and, on a page of the site, what is known about the page. */
function readChoice(form, button) {
  const fields = new URLSearchParams(new FormData(form));
  fields.set(button.name, button.value);
  if (isHere(form)) new URLSearchParams(seen()).forEach((value, name) => fields.set(name, value));
  // What will hold besides, at most.
  const services = fields.getAll("service");
  const granted = button.value === "accept_all"
    ? { length: 1, includes: (name) => name !== "unknown" } : fields.getAll("purpose");
  // The page that the settings page is about comes later, if at all.
  if (!isHere(form) || needsNewPage({ granted, services })) fields.set("again", 1);
  return fields;
}

/** The server's reply {ok, chosen, granted, services, withdrawn, message, language}, or undefined when it did not take the choice. */
async function postChoice(url, fields) {
  try {
    const response = await fetch(url, {
      method: "POST", body: fields, headers: { Accept: "application/json" }, keepalive: true,
    });
    const reply = await response.json();
    if (reply.ok) return reply;
  } catch { /* a form itself is the way that is left */ }
}

/** Whether the browser has kept what the server replied: not when it keeps no cookies at all. */
async function isKept(reply) {
  const state = (!document.cookie && await refresh().catch(() => {})) || reply;
  return state.chosen === reply.chosen && held(state).length === held(reply).length;
}

function onSubmit(event) {
  const { target: form, submitter: button } = event;
  if (form.dataset.gwChoice !== "" || !button) return;
  event.preventDefault();
  if (button === pressed) return;
  pressed = button;
  turn = turn.then(() => choose(form, button)).catch(() => {});
}

async function choose(form, button) {
  const reply = await postChoice(form.action, readChoice(form, button));
  if (pressed === button) pressed = null;
  if (reply) {
    form.closest("dialog")?.close();
    if (await isKept(reply)) return settle(reply, form);
    return (location.hash = "gw-not-kept"); // nothing is let go, and what stands there says why
  }
  form.dataset.gwChoice = "plain";
  setTimeout(() => form.requestSubmit(button)); // not while it is being submitted, as it is where a content policy stopped us
}

/** What the server took holds here and in every other tab; `form` is where it was said, if it was in one. */
function settle(reply, form) {
  channel.postMessage(reply.withdrawn && reply);
  if (!form || isHere(form)) {
    if (reply.withdrawn ? startOver(reply) : apply(reply)) return;
    if (!held(reply).length) takeLeave();
  } else { // the preferences page runs nothing that would have to stop: it shows the new state and stays
    take(reply);
    takeLeave();
    tellPage([]);
  }
  announce(reply);
}

function onClick(event) {
  const opener = event.target.closest?.(`[data-gw-open],[href="${config.prefix}preferences"]`);
  if (!opener) return;
  // A link keeps what a link can do (new tab, copy); its address follows the page.
  if (opener.href) opener.href = ownUrl();
  if (opener.dataset.gwOpen == null || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  open(opener);
}

/** Show the settings as a dialog; where their script cannot be had, as a page. */
function open(opener) {
  const url = ownUrl();
  const show = () => (gateway.showSettings ? gateway.showSettings(url, opener) : location.assign(url));
  try {
    if (gateway.showSettings) show();
    else load(config.settings_url, show);
  } catch {
    show(); // the page's trusted types policy refuses our scripts
  }
}

export function listen() {
  document.addEventListener("submit", onSubmit);
  document.addEventListener("click", onClick);
  document.addEventListener("focusin", ({ target }) => {
    if (!findBanner()?.contains(target)) lastFocus = target;
  });
  // A frame whose page stands in this page, with tags that are held: it may load when the choice is long made.
  document.addEventListener("load", ({ target }) => target.srcdoc && letGo(), true);
  addEventListener("pageshow", ({ persisted }) => persisted && catchUp());
  if (isRevisit()) catchUp();
  const banner = findBanner();
  if (!banner) return;
  // The bar's height, for the page's scroll padding: a focused link must not end up behind the bar.
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--gw-height", banner.offsetHeight + "px");
  }).observe(banner);
}

/** Whether this script is the first of its kind in the page. */
export const isFirst = !window.gateway;

if (isFirst) {
  const queue = []; // waits for the collect script, which takes it over with `track`
  const track = (...event) => { if (has("own_statistics")) queue.push(event); };
  window.gateway = {
    consent: { has, when, open, withdraw, release: letGo, get chosen() { return config.chosen; } },
    page: config, track, queue, load,
  };
  // Before anything is fetched: what is withdrawn in another tab meanwhile must not be missed.
  channel.onmessage = ({ data: left }) => (left ? startOver(left) : catchUp());
  if (!config.standalone) {
    listen();
    letGo();
    try { // what came of the choice that loaded this page anew
      announce(JSON.parse(sessionStorage.gw));
      delete sessionStorage.gw;
    } catch { /* as above */ }
  }
  for (const call of window.gatewayReady || []) call(gateway);
  window.gatewayReady = { push: (call) => call(gateway) };
}
