/** What a script can tell of the page that it is in. */

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
