/**
 * Taking leave of what is not granted (any more): tools are told by their own calls, and what they keep in storage and in
 * cookies that scripts can reach is removed. Loaded by consent.js when something is refused or withdrawn, before the page
 * is loaded anew. The server puts its list around this script as `gwLeave`: of each service
 *   name     its id, or that of its purpose where it is not chosen by itself
 *   stored   names of its storage keys and cookies; one may end in *
 *   revoke   a function that makes the tool's own call; absent where there is none
 */
/* global gwLeave */
const { consent } = window.gateway;
const left = gwLeave.filter(({ name }) => !consent.has(name));

/** Whether one of the patterns names this key. */
const isNamed = (key) => left.some(({ stored }) => stored.some((name) => (
  name.endsWith("*") ? key.startsWith(name.slice(0, -1)) : key === name)));

function empty(storage) {
  for (const key of Object.keys(storage)) if (isNamed(key)) storage.removeItem(key);
}

/** The page's path and every one above it: "/a/b" gives "/", "/a", "/a/", "/a/b". */
function pathsHere() {
  const steps = [...location.pathname.matchAll(/\//g)].map(({ index }) => index).slice(0, 12);
  const { pathname } = location;
  return new Set([...steps.flatMap((at) => [pathname.slice(0, at + 1), pathname.slice(0, at) || "/"]), pathname]);
}

/** This host and every one above it, and none at all: a cookie goes only by the domain that it was set with. */
function domainsHere() {
  const labels = location.hostname.split(".");
  return ["", ...labels.slice(0, -1).map((_, at) => "; Domain=" + labels.slice(at).join("."))];
}

function dropCookies() {
  const names = document.cookie.split("; ").map((pair) => pair.split("=")[0]).filter(isNamed);
  for (const name of names) {
    for (const path of pathsHere()) {
      for (const domain of domainsHere()) {
        for (const kind of ["", "; Secure", "; Secure; Partitioned"]) {
          document.cookie = `${name}=; Max-Age=0; Path=${path}${domain}${kind}`;
        }
      }
    }
  }
}

/** Pages that the site's service worker has kept from when more was granted: with tags that act. */
async function dropPages() {
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) {
      const page = await cache.match(request);
      const html = /html/.test(page.headers.get("content-type")) && await page.text();
      if (/(granted|services)&quot;:\[&/.test(html)) await cache.delete(request);
    }
  }
}

const tasks = left.map(({ revoke }) => revoke).filter(Boolean);
// Each by itself: a tool that is not on the page, or storage that may not be used, keeps nothing else from being done.
for (const task of [...tasks, dropCookies, () => empty(localStorage), () => empty(sessionStorage)]) {
  try {
    task();
  } catch { /* it is not there */ }
}
// Whoever waits for this script waits for that too, for a while.
const { onload } = document.currentScript;
document.currentScript.onload = null;
dropPages().catch(() => {}).then(onload);
