/**
 * The settings as a dialog on the page that the visitor is on, and switches that keep in step. Loaded with the first press
 * on something that opens the settings (see consent.js), and by the settings page itself, which works without it.
 */

import { fetchPage } from "./lib/fetch_page.js";

/** The dialog with what stands on the settings page; what speaks of that page itself stays there. */
function build(page) {
  const dialog = document.createElement("dialog");
  const top = document.createElement("div");
  const close = document.createElement("button");
  const [title, form] = [page.querySelector("h1"), page.querySelector("#gw-purposes")];
  dialog.id = "gw-dialog";
  dialog.lang = page.documentElement.lang;
  dialog.dir = page.documentElement.dir;
  dialog.setAttribute("aria-labelledby", title.id = "gw-dialog-title");
  title.tabIndex = -1;
  title.autofocus = true;
  top.className = "gw-top";
  close.type = "button";
  close.className = "gw-close";
  close.textContent = form.dataset.gwClose;
  close.lang = form.dataset.gwCloseLang || dialog.lang;
  close.onclick = () => dialog.close();
  for (const id of ["gw-status", "gw-not-kept"]) page.getElementById(id).remove();
  form.removeAttribute("id"); // by it the settings page is known
  top.append(title, close);
  dialog.append(top, ...page.querySelector("main").children);
  keepInStep(form);
  return dialog;
}

/** Open the dialog with what stands at `url`, or go there. Closed, it is gone, and the focus is where it was. */
async function show(url, opener) {
  const page = await fetchPage(url).catch(() => location.assign(url));
  if (!page || document.getElementById("gw-dialog")) return;
  const dialog = build(page);
  const last = opener || document.activeElement;
  dialog.onclose = () => {
    dialog.remove();
    if (last?.isConnected) last.focus({ preventScroll: true });
  };
  document.body.append(dialog);
  dialog.showModal();
}

/** Show what holds now. */
function showState(form) {
  for (const input of form.querySelectorAll(".gw-switch")) input.checked = window.gateway.consent.has(input.value);
}

/** A purpose's switch sets those of its services, and shows what they are: on, off, or some of each. */
function keepInStep(form) {
  const purposes = [...form.querySelectorAll("[name=purpose]")].map((purpose) => (
    [purpose, [...purpose.closest(".gw-purpose").querySelectorAll("[name=service]")]]
  )).filter(([, services]) => services.length);
  const refresh = () => {
    for (const [purpose, services] of purposes) {
      const on = services.filter((service) => service.checked).length;
      purpose.indeterminate = on > 0 && on < services.length;
      if (!purpose.indeterminate) purpose.checked = on > 0;
    }
  };
  form.addEventListener("change", ({ target }) => {
    for (const [purpose, services] of purposes) {
      if (purpose === target) for (const service of services) service.checked = purpose.checked;
    }
    refresh();
  });
  document.addEventListener("gw:consent", () => {
    showState(form);
    refresh();
  });
  form.elements.services.value = "1"; // from now on each switch means itself
  refresh();
}

const form = document.getElementById("gw-purposes");
if (form) keepInStep(form);
else window.gateway.showSettings = show;
