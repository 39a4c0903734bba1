"""The script that finds a consent banner in a page, of whatever tool. It only reads; it runs in each frame."""

# Called with {banners, words, anywhere}: selectors of known tools, regular expressions by kind, and whether controls count
# that stand in no banner (on a page of settings). Leaves the elements in `window.__auditControls` for the clicks.
FIND = r"""({ banners, words, anywhere }) => {
  const fits = (kind, text) => words[kind].some((pattern) => new RegExp(pattern, "iu").test(text));
  const roots = [document];
  const all = [];
  for (const root of roots) for (const element of root.querySelectorAll("*")) {
    all.push(element);
    if (element.shadowRoot) roots.push(element.shadowRoot);
  }
  const query = (selector) => {
    if (!selector) return [];
    return roots.flatMap((root) => { try { return [...root.querySelectorAll(selector)]; } catch { return []; } });
  };
  const parent = (element) => element.parentElement || (element.getRootNode().host ?? null);
  const shown = (element) => {
    const box = element.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) return false;
    for (let at = element; at; at = parent(at)) {
      const style = getComputedStyle(at);
      if (style.display === "none" || style.visibility === "hidden" || Number(style.opacity) < 0.05) return false;
    }
    return box.right > 0 && box.bottom > -1e5 && box.left < innerWidth;
  };
  const inside = (element, other) => {
    for (let at = element; at; at = parent(at)) if (at === other) return true;
    return false;
  };
  const textOf = (element) => (element.innerText || element.value || element.getAttribute("aria-label")
    || element.getAttribute("title") || "").replace(/\s+/g, " ").trim();
  const wholeText = (element) => {
    const own = element.innerText || "";
    const hidden = all.filter((one) => one.shadowRoot && inside(one, element))
      .map((one) => [...one.shadowRoot.childNodes].filter((node) => !/^(STYLE|SCRIPT)$/.test(node.nodeName))
        .map((node) => node.innerText ?? node.textContent).join(" "));
    return [own, ...hidden].join(" ").replace(/\s+/g, " ").trim();
  };
  const brush = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {  // of any notation
    if (!brush || /^rgb\(/.test(colour)) return colour;
    brush.fillStyle = "#fff";
    brush.fillStyle = colour;
    brush.fillRect(0, 0, 1, 1);
    return `rgb(${[...brush.getImageData(0, 0, 1, 1).data].slice(0, 3).join(", ")})`;
  };
  const backgroundOf = (element) => {
    for (let at = element; at; at = parent(at)) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/^rgba\(.*, 0\)$|\/ 0\)$|transparent/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const known = banners.flatMap((one) => query(one.banner).map((element) => ({ one, element })));
  const forced = new Map();
  for (const { one, element } of known) for (const kind of ["reject", "settings", "accept"])
    for (const control of query(one[kind])) if (inside(control, element)) forced.set(control, kind);
  const kindOf = (element, text) => {
    if (forced.has(element)) return forced.get(element);
    if (!text || text.length > 60) return "";
    const kind = ["reject", "settings", "save", "accept", "vague"].find((one) => fits(one, text)) || "";
    return kind === "vague" ? "accept" : kind;
  };
  const clickable = query("button, [role=button], input[type=submit], input[type=button], a, [onclick]")
    .filter((element) => shown(element))
    .map((element) => ({ element, text: textOf(element), kind: kindOf(element, textOf(element)) }))
    .filter((one) => one.kind);
  const isBanner = (element) => {
    const style = getComputedStyle(element);
    return ["fixed", "sticky"].includes(style.position) || element.tagName === "DIALOG"
      || ["dialog", "alertdialog"].includes(element.getAttribute("role"))
      || /cookie|consent|gdpr|cmp/i.test(`${element.id} ${element.getAttribute("class") || ""}`);
  };
  const isShort = (element) => element.textContent.length < 20000;  // not the frame of a whole application
  const containers = new Map();
  for (const { one, element } of known) {
    const first = clickable.find((control) => inside(control.element, element));
    if (first && ![...containers.keys()].some((other) => inside(element, other))) containers.set(element, one.tool);
  }
  for (const control of clickable.filter((one) => one.kind === "accept" || one.kind === "reject")) {
    if ([...containers.keys()].some((other) => inside(control.element, other))) continue;
    let found = null;
    for (let at = parent(control.element); at && at !== document.body && at !== document.documentElement; at = parent(at))
      if (isBanner(at) && isShort(at) && fits("about", wholeText(at))) found = at;
    if (found) containers.set(found, "");
  }
  if (anywhere && !containers.size && clickable.length) containers.set(document.body, "");
  window.__auditControls = [];
  const describe = ({ element, text, kind }) => {
    const box = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    return {
      kind, text: text.slice(0, 80), tag: element.tagName.toLowerCase(), index: window.__auditControls.push(element) - 1,
      box: [box.left, box.top, box.width, box.height],
      in_paragraph: Boolean(element.closest("p") && textOf(element.closest("p")).length > text.length + 20),
      in_view: box.top >= 0 && box.bottom <= innerHeight + 1 && box.left >= -1 && box.right <= innerWidth + 1,
      font_size: parseFloat(style.fontSize), font_weight: Number(style.fontWeight) || 400,
      colour: rgb(style.color), background: rgb(backgroundOf(element)),
      vague: kind === "accept" && fits("vague", text) && !fits("accept", text.replace(/^(ja|yes|oui|sí|sì)\b/i, "")),
    };
  };
  const referred = (element) => (element.getAttribute("aria-labelledby") || "").split(" ")
    .map((id) => document.getElementById(id)?.innerText || "").join(" ").trim();
  const labelOf = (box) => {
    const label = box.labels?.[0] ?? box.closest("label");
    return (box.getAttribute("aria-label") || referred(box) || label?.innerText || box.name || box.id || "")
      .replace(/\s+/g, " ").trim().slice(0, 80);
  };
  const nameOf = (element) => {
    const named = "[role=dialog], [role=alertdialog], [role=region], dialog";
    const at = element.matches(named) ? element : element.querySelector(named);
    if (!at) return ["", ""];
    return [at.getAttribute("role") || at.tagName.toLowerCase(), at.getAttribute("aria-label") || referred(at)];
  };
  const locked = [document.documentElement, document.body].some((one) => getComputedStyle(one).overflowY === "hidden");
  return [...containers].map(([element, tool]) => {
    const [role, name] = nameOf(element);
    return {
      tool, role, name: name.slice(0, 200), locked,
      text: wholeText(element).slice(0, 6000),
      controls: clickable.filter((one) => inside(one.element, element)).map(describe),
      switches: query("input[type=checkbox], [role=switch], [role=checkbox]").filter((box) => inside(box, element))
        .filter((box) => shown(box) || shown(box.closest("label") ?? parent(box)))
        .map((box) => ({
          label: labelOf(box),
          checked: box.checked ?? box.getAttribute("aria-checked") === "true",
          fixed: Boolean(box.disabled) || box.getAttribute("aria-disabled") === "true",
        })),
      links: query("a[href]").filter((link) => inside(link, element) && shown(link)).map((link) => link.href),
    };
  });
}"""

# Called with {banners, words}: where a page leads back to the settings. Leaves the elements like FIND does.
FIND_AGAIN = r"""({ banners, words }) => {
  const shown = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && getComputedStyle(element).visibility !== "hidden";
  };
  const selectors = banners.map((one) => one.again).filter(Boolean);
  const known = selectors.flatMap((selector) => [...document.querySelectorAll(selector)]);
  const named = [...document.querySelectorAll("a, button, [role=button], [onclick]")].filter((element) => {
    const text = (element.innerText || element.getAttribute("aria-label") || element.title || "").replace(/\s+/g, " ").trim();
    return text.length < 60 && words.again.some((pattern) => new RegExp(pattern, "iu").test(text));
  });
  window.__auditControls = [...known, ...named].filter(shown);
  return window.__auditControls.map((element) =>
    (element.innerText || element.getAttribute("aria-label") || element.title || element.id).trim().slice(0, 80));
}"""

# Turns every switch off that can be; the value is how many were on.
SWITCH_OFF = r"""() => {
  const on = [...document.querySelectorAll("input[type=checkbox]:checked:not(:disabled), [role=switch][aria-checked=true]")];
  for (const one of on) one.click();
  return on.length;
}"""
