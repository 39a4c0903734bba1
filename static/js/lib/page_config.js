/**
 * What the server tells the scripts of this page, as JSON in the `data-gw` attribute of our own script tag:
 *   prefix       path of the visitor-facing URLs, "/_gw/"
 *   view         the page view's id, minted by the server; absent when the server did not count (prefetch, stand-alone)
 *   granted      ids of the purposes granted on this page
 *   services     ids of the services that may act on this page; "own_statistics" is the gateway's own counting
 *   chosen       whether the visitor has made a choice that still holds
 *   collect_url  URL of the collect script; absent where the page loads it by itself
 *   leave_url    URL of the script that takes leave of what is not granted; absent where there is nothing to do
 *   auto         what is counted without the site's asking: "outbound", "downloads", "forms", "not_found", "scroll", "hash_routes"
 *   vitals_url   URL of the script that measures web vitals; absent where that is switched off
 *   settings_url URL of the script that shows the settings as a dialog
 *   css_url      URL of the style, for a stand-alone page
 *   csp          where the page has a content policy that is enforced: ids of purposes and services that something waits for
 *                which does not stand in the page as a held tag; absent elsewhere
 *   standalone   true for a static site that embeds the script itself, without `data-gw`
 */
const tag = document.querySelector("script[data-gw]") || document.currentScript;

export const config = tag.dataset.gw ? JSON.parse(tag.dataset.gw) : {
  prefix: new URL(".", tag.src).pathname,
  granted: [],
  services: [],
  chosen: false,
  standalone: true,
};

/** Leave what a stand-alone page has learnt where the collect script finds it. */
export const shareConfig = () => {
  tag.dataset.gw = JSON.stringify(config);
};

/** How this document was reached, where the browser knows. */
const arrival = () => performance.getEntriesByType("navigation")[0];

/** Back or forward: the HTML may come from the browser's cache and be older than the visitor's choice. */
export const isRevisit = () => arrival()?.type === "back_forward";

/** The HTML did come from the browser's cache, so the server has not seen this page view. */
export const isFromCache = () => isRevisit() && arrival().transferSize === 0;

/** The server said that there is no such page, where the browser knows. */
export const isLost = () => [404, 410].includes(arrival()?.responseStatus);

/** Path and query of the page as it is now (a site may have moved on without a load), in the form the server takes back. */
export const currentPath = () => (location.pathname + location.search).replaceAll("\\", "%5C");

/** Topic of the page, from `<meta name="gw-topic" content="...">`; undefined when the page names none. */
export const pageTopic = () => document.querySelector('meta[name="gw-topic"]')?.content.slice(0, 500);
