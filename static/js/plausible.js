/**
 * Stands in at the path where a page asks for Plausible's script: `plausible(name, {props, revenue, callback})` and the calls
 * that waited in `plausible.q` become the gateway's own events, with consent alone. Page views, engaged time, links, files and
 * forms are counted by the gateway itself.
 */
const waiting = window.plausible?.q || [];

/** Call once the gateway's script is there: it runs before DOMContentLoaded, as all deferred scripts do. */
function whenThere(call) {
  if (window.gateway || document.readyState === "complete") call();
  else addEventListener("load", call, { once: true });
}

function plausible(name, { props, revenue, callback } = {}) {
  whenThere(() => {
    if (name !== "pageview") window.gateway?.track(String(name), props, worth(revenue));
    callback?.({ status: 202 });
  });
}

/** Plausible takes amounts as text too. */
const worth = (revenue) => revenue && { amount: Number(revenue.amount), currency: revenue.currency };

plausible.init = () => {};
window.plausible = plausible;
for (const call of waiting) plausible(...call);
