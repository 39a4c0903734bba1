/**
 * Web vitals of the page that was loaded, measured by what the browser has kept since its start: so this file may come late.
 * They are left where collect.js takes them along: milliseconds, and thousandths for shifts of the layout.
 */
const vitals = window.gateway?.vitals;
const MANY = 50; // of so many interactions one may be left out

function observe(type, look, options) {
  if (!PerformanceObserver.supportedEntryTypes?.includes(type)) return false;
  new PerformanceObserver((list) => list.getEntries().forEach(look)).observe({ type, buffered: true, ...options });
  return true;
}

/** Since when the page has been out of sight, once at least: what is painted later waited for no visitor. */
function firstHidden() {
  const known = performance.getEntriesByType("visibility-state").find((entry) => entry.name === "hidden");
  return known ? known.startTime : document.hidden ? 0 : Infinity;
}

function watchPaint() {
  let hidden = firstHidden();
  document.addEventListener("visibilitychange", (event) => { hidden = Math.min(hidden, event.timeStamp); }, { once: true });
  const shown = performance.getEntriesByType("navigation")[0]?.activationStart || 0; // of a page that was prepared
  observe("largest-contentful-paint", ({ startTime }) => {
    if (startTime < hidden) vitals.lcp = Math.round(Math.max(startTime - shown, 0));
  });
}

/** The worst run of shifts: at most a second apart, five seconds long. */
function watchShifts() {
  let run = 0, first = 0, last = 0;
  const seen = observe("layout-shift", ({ hadRecentInput, startTime, value }) => {
    if (hadRecentInput) return;
    if (startTime - last >= 1000 || startTime - first >= 5000) [run, first] = [0, startTime];
    run += value;
    last = startTime;
    vitals.cls = Math.max(vitals.cls, Math.round(run * 1000));
  });
  if (seen) vitals.cls = 0;
}

/** The slowest interaction; of many, one in fifty is left out. */
function watchInteractions() {
  const slowest = new Map();
  const ids = new Set();
  const look = ({ interactionId, duration }) => {
    if (!interactionId) return;
    ids.add(interactionId);
    slowest.set(interactionId, Math.max(duration, slowest.get(interactionId) || 0));
    const order = [...slowest].sort((one, other) => other[1] - one[1]);
    for (const [id] of order.splice(10)) slowest.delete(id);
    const count = performance.interactionCount || ids.size;
    vitals.inp = Math.round(order[Math.min(order.length - 1, Math.floor(count / MANY))][1]);
  };
  observe("event", look, { durationThreshold: 40 });
  observe("first-input", look);
}

if (vitals) {
  watchPaint();
  watchShifts();
  watchInteractions();
}
