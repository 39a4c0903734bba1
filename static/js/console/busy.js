// Says that the next page is on its way: the figures of a long period can take a moment.
export function showBusy(root) {
  const page = root.documentElement;
  root.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (link && leadsAway(link, event)) page.classList.add("busy");
  });
  root.addEventListener("submit", () => page.classList.add("busy"));
  addEventListener("pageshow", () => page.classList.remove("busy")); // back from the browser's cache
}

function leadsAway(link, event) {
  if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return false;
  const to = new URL(link.href);
  const here = to.pathname === location.pathname && to.search === location.search;
  return to.origin === location.origin && !to.pathname.startsWith("/api/") && !here;
}
