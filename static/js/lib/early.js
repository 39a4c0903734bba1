/**
 * What scripts that run before everything else know of consent: from the server's settings (`gwHead`) until consent.js is
 * there, and from that one afterwards.
 */
/* global gwHead */

/** A name as the server writes it: small letters and digits, everything else one "_". */
export const plain = (name) => String(name).toLowerCase().replace(/[^a-z0-9!]+/g, "_").replace(/^_|_$/g, "");

/** Whether what an owner ("purpose service", or a purpose alone) stands for may act. */
export function mayAct(owner) {
  const [purpose, service] = owner.split(" ");
  if (window.gateway) return window.gateway.consent.has(service || purpose);
  const { granted } = gwHead;
  if (purpose === "necessary" || granted.includes("+" + service)) return true;
  if (purpose === "any") return granted.some((name) => !/^[-+]/.test(name));
  return granted.includes(purpose) && !granted.includes("-" + service);
}

/** What a name of another tool stands for here; undefined for nothing. */
const names = new Map(Object.entries(gwHead.names || {}));
export const ownerOf = (name) => names.get(plain(name));

/** Whether what a name of another tool stands for may act. */
export const has = (name) => !!ownerOf(name) && mayAct(ownerOf(name));

/** Call with consent.js, as soon as it is there. */
export const whenReady = (call) => {
  (window.gatewayReady ||= []).push(({ consent }) => call(consent));
};

/** Show the settings, now or as soon as there is a way to. */
export const open = () => whenReady((consent) => consent.open());

/** Call with true when there is a choice on this page, and with false after each change of it. */
export function whenChosen(call) {
  const first = (consent) => consent.chosen && !told && (told = true, call(true));
  let told = false;
  whenReady(first);
  document.addEventListener("gw:consent", () => {
    if (told) call(false);
    else first({ chosen: true });
  });
}
