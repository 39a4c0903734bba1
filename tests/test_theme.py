"""The theme: what its colours have to keep, and what becomes of them in the style sheet."""

import re
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Site, build_config
from gateway.errors import ConfigError
from gateway.resources import load_assets
from gateway.settings import ThemeConfig
from gateway.theme import DARK, LIGHT, contrast_between, palettes, read_hex, write_theme
from gateway.web.site_style import build_style
from tests.example_site import write_site

STYLE = Path(__file__).resolve().parent.parent / "static/css/banner.css"
FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"accent": "blue"}, "accent", 'a colour such as "#1f3a5f"'),
    ({"text": "#12345"}, "text", "a colour such as"),
    ({"text": "#999999"}, "text", "has 2.8:1 on the background #ffffff; wanted 4.5:1 for words"),
    ({"background": "#1b2430"}, "text", "has 1.0:1 on the background #1b2430"),
    ({"accent": "#c0c0c0"}, "accent", "has 1.8:1 on the background #ffffff; wanted 3.0:1 for the edges of the buttons"),
    ({"dark_text": "#555555"}, "dark_text", "on the background #1a2028; wanted 4.5:1"),
    ({"dark_background": "#c9dcf5"}, "dark_text", "wanted 4.5:1"),
    ({"dark_accent": "#333a44"}, "dark_accent", "wanted 3.0:1"),
    ({"radius": 25}, "radius", "0 to 24 pixels"),
    ({"radius": -1}, "radius", ">= 0"),
    ({"position": "top"}, "position", "bar or box"),
    ({"font": "Comic"}, "font", "inherit or own"),
    ({"accept_accent": "#00aa00"}, "accept_accent", "is no setting"),
    ({"refuse": "#eeeeee"}, "refuse", "is no setting"),
]


def themed(folder: Path, **theme: Any) -> Site:
    """A site with a theme."""
    return write_site(folder, {"sites": [{"theme": theme}]}).sites[0]


@pytest.mark.parametrize(("theme", "key", "wanted"), FAULTS)
def test_what_cannot_be_seen_never_starts(tmp_path: Path, theme: dict[str, Any], key: str, wanted: str) -> None:
    """R4, R23: file, key, value and what is wanted are named; there is no key by which one button could differ."""
    with pytest.raises(ConfigError) as caught:
        build_config({"sites": [{"theme": theme}]}, tmp_path)
    assert caught.value.file == "gateway.toml"
    assert caught.value.key.endswith(f"theme.{key}") and caught.value.key.startswith("sites")
    assert wanted in str(caught.value)


def test_without_a_theme_the_sheet_is_the_packages_own(tmp_path: Path) -> None:
    """The same file for every site that has none, and another for one that has."""
    assets = load_assets()
    assert build_style(themed(tmp_path), assets) is assets["banner.css"]
    own = build_style(themed(tmp_path, accent="#0f6b5c"), assets)
    assert own.url_name != assets["banner.css"].url_name
    assert own.body.startswith(assets["banner.css"].body) and b"--gw-button:#0f6b5c" in own.body


def test_the_colours_without_a_theme_are_those_of_the_style_sheet() -> None:
    """What contrast is worked out with is what the style sheet has."""
    text = STYLE.read_text("utf-8")
    for found, at in ((LIGHT, 0), (DARK, 1)):
        for name, colour in (("surface", found.background), ("ink", found.text), ("link", found.link)):
            assert re.findall(rf"--{name}: var\(--gw-{name}, (#\w+)\)", text)[at] == colour
        assert re.findall(r"--button: (#\w+);", text)[-2:][at] == found.accent


def test_a_theme_of_light_colours_leaves_the_dark_ones() -> None:
    """Each scheme is said in full: what is set for one never shines through in the other."""
    light, dark = palettes(ThemeConfig(background="#fffaf2", accent="#e07000"))
    assert (light.background, light.accent, dark) == ("#fffaf2", "#e07000", DARK)
    assert light.link == LIGHT.text  # an accent that is good for edges alone is none for words
    written = write_theme(ThemeConfig(background="#fffaf2", accent="#e07000"))
    assert written.count("--gw-surface:") == 2 and "--gw-surface:#1a2028" in written.partition("dark)")[2]


def test_contrast_is_that_of_the_guidelines() -> None:
    """Black on white is 21 to 1, a colour on itself 1, and #777 on white just under 4.5."""
    white = read_hex("#ffffff")
    assert round(contrast_between(read_hex("#000000"), white), 2) == 21
    assert contrast_between(white, white) == 1
    assert 4.4 < contrast_between(read_hex("#777777"), white) < 4.5
