// Fetches the page again each minute while someone looks at it, or as often as it says, and puts the new figures in the old places.
const EVERY_MS = 1000 * (document.querySelector("[data-every]")?.dataset.every || 60);

export function keepFresh(afterwards) {
  let last = Date.now();
  const due = () => !document.hidden && Date.now() - last >= EVERY_MS;
  const refresh = async () => {
    if (!due() || !document.querySelector("[data-live]")) return;
    last = Date.now();
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      if (answer.redirected) return location.reload(); // the session has ended
      if (!answer.ok) return;
      replaceParts(new DOMParser().parseFromString(await answer.text(), "text/html"));
      afterwards(document);
    } catch {
      // The keeper is away for a moment; the next round tries again.
    }
  };
  setInterval(refresh, 5_000);
  document.addEventListener("visibilitychange", refresh);
}

/** Replaces each part that has changed, but none in which someone is busy. */
function replaceParts(fresh) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
    if (!next || part.contains(document.activeElement) || part.querySelector("details[open], :popover-open")) continue;
    if (source(part) !== source(next)) part.replaceChildren(...next.childNodes);
  }
}

/** What the server sent, whatever scripts have made of it since. */
function source(part) {
  const chart = part.querySelector("[data-chart]");
  return chart ? chart.dataset.chart : part.innerHTML;
}
