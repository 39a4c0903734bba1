/**
 * What the server tells the scripts of this page, as JSON in the `data-gw` attribute of our own script tag; later scripts have
 * it from `window.gateway.page`, with what has been learnt meanwhile:
 *   prefix       path of the visitor-facing URLs, "/_gw/"
 *   view         the page view's id, minted by the server; absent or empty when the server does not count it (prefetch,
 *                stand-alone, a lost page, one whose visitor agreed elsewhere)
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
