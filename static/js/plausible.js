/**
 * Stands in at the path where a page asks for Plausible's script: `plausible(name, {props, revenue, callback})` and the calls
 * that waited in `plausible.q` become the gateway's own events, with consent alone, and so do clicks and forms that are tagged by
 * class. Page views, lost pages, engaged time, links, files and forms are counted by the gateway itself.
 */
const COUNTED = ["pageview", "404"];
const waiting = window.plausible?.q || [];

/** Call once the gateway's script is there: it runs before DOMContentLoaded, as all deferred scripts do. */
function whenThere(call) {
  if (window.gateway || document.readyState === "complete") call();
  else addEventListener("load", call, { once: true });
}

function plausible(name, { props, revenue, callback } = {}) {
  whenThere(() => {
    if (!COUNTED.includes(`${name}`)) window.gateway?.track(tidy(`${name}`), single(props), worth(revenue));
    callback?.({ status: 202 });
  });
}

/** A name such as events have here, as at /api/event: no accents, plain letters and signs, a letter first. */
const tidy = (name) => name.normalize("NFKD").replace(/[^\0-\x7f]/g, "").replace(/[^\w.: -]+/g, "-").replace(/^[^A-Za-z]+/, "")
  .slice(0, 64).trimEnd();

/** Properties of one value each. */
const single = (props) => props && Object.fromEntries(Object.entries(props).filter(([, value]) => value != null)
  .map(([key, value]) => [key, typeof value === "object" ? JSON.stringify(value) : value]));

/** Plausible takes amounts as text too; what is none costs the amount, not the event. */
const worth = (revenue) => (isFinite(revenue?.amount) && revenue.currency
  ? { amount: Number(revenue.amount), currency: `${revenue.currency}`.toUpperCase() } : undefined);

/** What the classes `plausible-<kind>-key=value` say. */
const said = ({ classList }, kind) => Object.fromEntries([...classList].map((word) => (
  new RegExp(`^plausible-${kind}-(.+?)(?:=|--)(.+)`).exec(word))).filter(Boolean)
  .map(([, key, value]) => [key, value.replace(/\+/g, " ")]));

/**
 * A class `plausible-event-name=Signup` makes an event of a click or of a form that is sent; others are its properties, or say
 * what it was worth (`plausible-revenue-amount=10.29`).
 */
function listen({ type, target }) {
  const tagged = target.closest?.("[class*='plausible-event-name']");
  if (!tagged || (tagged.tagName === "FORM") !== (type === "submit")) return;
  const { name, ...props } = said(tagged, "event");
  if (name) plausible(name, { props, revenue: said(tagged, "revenue") });
}

addEventListener("click", listen, true);
addEventListener("submit", listen, true);
plausible.init = () => {};
window.plausible = plausible;
for (const call of waiting) plausible(...call);
