/**
 * Placeholders for what scripts put into the page later and guard.js held, in the size that it has there; with those of the
 * server (placeholder.js). Loaded by sites that ask for the guard.
 */
import { fetchPage } from "./lib/fetch_page.js";
import { ready } from "./placeholder.js";

const url = new URL("../placeholder?", document.currentScript.src);
const SEEN = "iframe,video,audio,embed,object";
const LEAST_WIDTH = 120;
const LEAST_HEIGHT = 60;

let styled; // once the style is there: before that, both would be seen

const style = (link) => (styled ||= new Promise((done, fail) => {
  if (document.querySelector(`link[href="${link.getAttribute("href")}"]`)) return done();
  link.onload = done;
  link.onerror = fail;
  document.head.append(link);
}));

async function offer(element) {
  const { width, height } = element.getBoundingClientRect();
  if (!element.matches(SEEN) || element.gwPlace || width < LEAST_WIDTH || height < LEAST_HEIGHT) return;
  element.gwPlace = true;
  const { gwService, gwSrc, gwData } = element.dataset;
  const page = await fetchPage(url + new URLSearchParams({
    service: gwService.split(" ")[0],
    host: new URL(gwSrc || gwData, document.baseURI).hostname,
    width: Math.round(width),
    height: Math.round(height),
    wide: /%/.test(element.getAttribute("width") + element.style.width) ? 1 : "",
    lang: document.documentElement.lang,
  }));
  await style(page.querySelector("link"));
  if (!element.isConnected || !("gwPurpose" in element.dataset)) return;
  const place = page.querySelector(".gw-held");
  if (!document.getElementById("gw-place")) document.body.append(page.querySelector("form"));
  element.before(place);
  ready(place);
}

const offerSafely = (element) => offer(element).catch(() => {}); // without it the element waits all the same

document.addEventListener("gw:held", ({ detail }) => offerSafely(detail.element));
for (const element of document.querySelectorAll(SEEN)) if (element.gwHeld && element.dataset.gwPurpose) offerSafely(element);
