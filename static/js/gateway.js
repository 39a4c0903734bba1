/**
 * The script of pages that no server has made for their visitor: of a static site, which embeds it under this name, or the
 * same for all. State, banner and style are fetched, marked tags released; the rest is consent.js.
 */
import { isFirst, letGo, listen, ownUrl, refresh, tellPage } from "./consent.js";
import { cleanAddress } from "./lib/clean_address.js";
import { fetchPage } from "./lib/fetch_page.js";
import { config } from "./lib/page_config.js";
import { currentPath } from "./lib/page_facts.js";

async function start() {
  Object.assign(config, await refresh());
  // Moved over once its style is there.
  const [fragment] = await Promise.all([fetchPage(ownUrl("banner", { return_to: currentPath() })), loadStyle()]);
  document.querySelector(".gw-corner")?.remove(); // the plain link of a page that is the same for all
  document.body.append(...fragment.body.children);
  listen();
  if (config.chosen && letGo()) tellPage([]);
}

function loadStyle() {
  return new Promise((done) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = config.css_url;
    link.onload = link.onerror = done;
    document.head.append(link);
  });
}

cleanAddress(); // before anything is let go that would read it
if (isFirst && config.standalone) start().catch(() => {});
