"""The scripts by which a browser measures the gateway's banner and settings. They only read."""

# Called with a layer's selector: its share of the screen, its buttons with their looks, what is faint or too small.
MEASURE = r"""(selector) => {
  const layer = document.querySelector(selector);
  const brush = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
    .getContext("2d", { willReadFrequently: true });
  const paint = (...colours) => {  // over one another, of any notation
    brush.clearRect(0, 0, 1, 1);
    for (const colour of ["#fff", ...colours]) { brush.fillStyle = colour; brush.fillRect(0, 0, 1, 1); }
    return `rgb(${[...brush.getImageData(0, 0, 1, 1).data].slice(0, 3).join(", ")})`;
  };
  const behind = (element) => {
    const found = [];
    for (let at = element; at; at = at.parentElement) found.unshift(getComputedStyle(at).backgroundColor);
    return found;
  };
  const linear = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const luminance = (rgb) => {
    const [r, g, b] = rgb.match(/\d+/g).map((part) => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (...both) => {
    const [dark, light] = both.map(luminance).sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const colours = (element) => {
    const ground = behind(element);
    return [paint(...ground, getComputedStyle(element).color), paint(...ground)];
  };
  const textOf = (element) => element.innerText.replace(/\s+/g, " ").trim();
  const look = "color backgroundColor backgroundImage border borderRadius font textTransform textDecorationLine opacity "
    + "transform filter boxShadow visibility letterSpacing clipPath";
  const describe = (button) => {
    if (selector !== "#gw-banner") button.scrollIntoView({ block: "center" });
    const style = getComputedStyle(button), box = button.getBoundingClientRect();
    const [colour, background] = colours(button);
    const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    const whole = box.left >= 0 && box.top >= 0 && box.right <= innerWidth + 0.5 && box.bottom <= innerHeight + 0.5;
    return {
      value: button.name === "choice" ? button.value : "", text: textOf(button),
      box: [box.x, box.y, box.width, box.height], colour, background, behind: paint(...behind(button.parentElement)),
      look: look.split(" ").map((name) => style[name]).join("|"), seen: whole && top === button,
    };
  };
  const shown = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && element.checkVisibility();
  };
  const buttons = [...layer.querySelectorAll(".gw-button")].map(describe);
  const worded = [...layer.querySelectorAll("*")].filter((element) => shown(element) && !element.closest(".gw-button")
    && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  const pressed = [...layer.querySelectorAll("a, button, input:not([type=hidden]), summary")].filter(shown);
  const small = pressed.filter((element) => {
    const box = element.getBoundingClientRect();
    return Math.min(box.width, box.height) < 24 && !(element.tagName === "A" && element.closest("p"));
  });
  const faint = worded.filter((element) => contrast(...colours(element)) < 4.5);
  return {
    share: layer.getBoundingClientRect().height / innerHeight, buttons,
    faint: faint.map((element) => `${textOf(element).slice(0, 40)} ${contrast(...colours(element)).toFixed(1)}:1`),
    small: small.map((element) => textOf(element).slice(0, 40) || element.getAttribute("aria-label") || element.name),
    sideways: document.documentElement.scrollWidth > innerWidth,
  };
}"""

# What has the focus: an answer, the settings button, another thing of the banner's, or a thing of the page.
FOCUS = r"""() => {
  const at = document.activeElement;
  if (!at?.closest("#gw-banner")) return at?.tagName.toLowerCase() ?? "";
  if (!at.matches(".gw-button")) return "words";
  return at.name === "choice" ? at.value : "settings";
}"""

# The text of what has the focus, when it is the page's and the bar covers all of it; else nothing.
COVERED = r"""() => {
  const at = document.activeElement, bar = document.getElementById("gw-banner")?.getBoundingClientRect();
  if (!bar || !at || at === document.body || at.closest("#gw-banner")) return "";
  const box = at.getBoundingClientRect();
  const covered = box.top >= bar.top && box.bottom <= bar.bottom && box.left >= bar.left && box.right <= bar.right;
  return covered && box.width ? (at.innerText || at.tagName).trim().slice(0, 40) : "";
}"""

# The page's own words, keys of its storage, and whether it can be scrolled.
OWN_PAGE = r"""() => {
  const copy = document.body.cloneNode(true);
  for (const ours of copy.querySelectorAll("#gw-banner, #gw-dialog, .gw-corner, .gw-held, script, style, noscript"))
    ours.remove();
  const keys = [localStorage, sessionStorage].flatMap((store) => Object.keys(store));
  const locked = [document.documentElement, document.body].some((one) => getComputedStyle(one).overflowY === "hidden");
  return [[...new Set(copy.textContent.split(/\s+/).filter(Boolean))], keys, locked];
}"""
