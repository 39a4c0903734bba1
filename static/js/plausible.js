/**
 * Stands in at the path where a page asks for Plausible's script: `plausible(name, {props, revenue, callback})` and the calls
 * that waited in `plausible.q` become the gateway's own events, with consent alone, and so do clicks and forms that are tagged by
 * class. Page views, engaged time, links, files and forms are counted by the gateway itself.
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

/** A class `plausible-event-name=Signup` makes an event of a click or of a form that is sent; others are its properties. */
function listen({ type, target }) {
  const tagged = target.closest?.("[class*='plausible-event-name']");
  if (!tagged || (tagged.tagName === "FORM") !== (type === "submit")) return;
  const said = [...tagged.classList].map((word) => /^plausible-event-(.+?)(?:=|--)(.+)/.exec(word)).filter(Boolean);
  const { name, ...props } = Object.fromEntries(said.map(([, key, value]) => [key, value.replace(/\+/g, " ")]));
  if (name) plausible(name, { props });
}

addEventListener("click", listen, true);
addEventListener("submit", listen, true);
plausible.init = () => {};
window.plausible = plausible;
for (const call of waiting) plausible(...call);
