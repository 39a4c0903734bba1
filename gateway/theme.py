"""The look of the banner as `[sites.theme]` sets it: what its colours have to keep, and the variables of the style sheet.

One colour for all buttons is all that can be said of them: nothing here tells refusing and accepting apart.
"""

import re

import msgspec

from gateway.errors import ConfigError
from gateway.settings import ThemeConfig

Colour = tuple[float, float, float]  # red, green, blue, each from 0 to 1
TEXT, EDGE = 4.5, 3.0  # contrast that words, and the edges of what is pressed, need (WCAG 1.4.3, 1.4.11)
LINE = 0.22  # how much of the text's colour the borders have
MAX_RADIUS = 24
HEX = re.compile(r"#[0-9a-f]{6}\Z", re.IGNORECASE)


class Palette(msgspec.Struct, frozen=True):
    """The colours of one scheme, as "#rrggbb"."""

    background: str
    text: str
    accent: str
    link: str


# What static/css/banner.css has without a theme.
LIGHT = Palette("#ffffff", "#1b2430", "#1f3a5f", "#1d4f91")
DARK = Palette("#1a2028", "#e9edf2", "#c9dcf5", "#a3c7f7")


def contrast_between(first: Colour, second: Colour) -> float:
    """By WCAG: 1 to 21."""
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Colour) -> float:
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def read_hex(colour: str) -> Colour:
    """The parts of "#rrggbb"."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return (red, green, blue)


def palettes(theme: ThemeConfig) -> tuple[Palette, Palette]:
    """What holds in light and in dark: the theme's colours, and the gateway's own where it has none. Links have the accent
    where that can be read on the background, else the text's colour; they are underlined."""
    light = _palette(LIGHT, theme.background, theme.text, theme.accent)
    dark = _palette(DARK, theme.dark_background, theme.dark_text, theme.dark_accent)
    return light, dark


def _palette(own: Palette, background: str, text: str, accent: str) -> Palette:
    background, text, link = background or own.background, text or own.text, accent or own.link
    if contrast_between(read_hex(link), read_hex(background)) < TEXT:
        link = text
    return Palette(background, text, accent or own.accent, link)


def check_theme(theme: ThemeConfig, file: str) -> None:
    """Whether every word and every button can be seen, in light and in dark. Raises ConfigError."""
    for key in ("accent", "background", "text", "dark_accent", "dark_background", "dark_text"):
        value = getattr(theme, key)
        if value and not HEX.match(value):
            raise ConfigError(file, f"sites.theme.{key}", value, 'wanted a colour such as "#1f3a5f"')
    if theme.radius > MAX_RADIUS:
        raise ConfigError(file, "sites.theme.radius", theme.radius, f"wanted 0 to {MAX_RADIUS} pixels")
    for scheme, found in zip(("", "dark_"), palettes(theme), strict=True):
        _check_contrast(file, f"{scheme}text", found.text, found.background, TEXT, "for words")
        _check_contrast(file, f"{scheme}accent", found.accent, found.background, EDGE, "for the edges of the buttons")


def _check_contrast(file: str, key: str, colour: str, background: str, least: float, what: str) -> None:
    contrast = contrast_between(read_hex(colour), read_hex(background))
    if contrast < least:
        wanted = f"has {contrast:.1f}:1 on the background {background}; wanted {least}:1 {what}"
        raise ConfigError(file, f"sites.theme.{key}", colour, wanted)


def write_theme(theme: ThemeConfig) -> str:
    """The rules that go after the style sheet's own; empty for the look that it has by itself."""
    rules = []
    if any((theme.accent, theme.background, theme.text, theme.dark_accent, theme.dark_background, theme.dark_text)):
        light, dark = palettes(theme)
        rules += [_write_palette(light), f"@media (prefers-color-scheme:dark){{{_write_palette(dark)}}}"]
    if theme.radius != ThemeConfig().radius:
        rules.append(f":root{{--gw-radius:{theme.radius}px}}")
    if theme.font == "inherit":
        rules.append("#gw-banner,#gw-dialog,.gw-corner,.gw-held{font-family:inherit}")
    if theme.position == "box":
        rules.append(BOX)
    return "".join(rules)


def _write_palette(colours: Palette) -> str:
    line = _mix(colours.text, colours.background, LINE)
    return (
        f":root{{--gw-surface:{colours.background};--gw-ink:{colours.text};--gw-line:{line};"
        f"--gw-button:{colours.accent};--gw-link:{colours.link}}}html:has(>.gw-page){{background:{colours.background}}}"
    )


def _mix(first: str, second: str, share: float) -> str:
    parts = (round(255 * (a * share + b * (1 - share))) for a, b in zip(read_hex(first), read_hex(second), strict=True))
    return "#" + "".join(f"{part:02x}" for part in parts)


# Where there is room beside it, the bar is a box in the corner; the page's own end stays in reach as with the bar.
BOX = (
    "@media (min-width:48em){"
    "#gw-banner{inset-block:auto 1em;inset-inline:auto 1em;width:30em;max-width:calc(100% - 2em);margin:0;"
    "border-width:1px;border-radius:var(--radius)}"
    "#gw-banner .gw-bar{flex-direction:column;align-items:stretch;gap:.75em;padding:1em;max-height:calc(50vh - 2px)}"
    "#gw-banner .gw-words{max-height:none}"
    "html:has(#gw-banner){--gw-room:calc(var(--gw-height,50vh) + 1.5em)}"
    "#gw-banner .gw-buttons{--column:1fr;--size:.875em;--pad:.4em .2em}}"
)
