"""A theme from the configuration, in a browser: colours, corners, letters and the box are there, and what has to hold holds."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from axe_playwright_python.base import AxeResults
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.journeys.browsing import open_browser
from tests.journeys.rules_site import open_rules_site
from tests.journeys.test_rules import AXE, SCHEMES, assert_equal_weight, opened

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

THEME = {
    "accent": "#e07000",
    "background": "#fffaf2",
    "text": "#22303c",
    "dark_accent": "#9fe0d0",
    "dark_background": "#16211f",
    "dark_text": "#e8efed",
    "radius": 0,
    "font": "inherit",
    "position": "box",
}
COLOURS = {"light": ("rgb(255, 250, 242)", "rgb(34, 48, 60)"), "dark": ("rgb(22, 33, 31)", "rgb(232, 239, 237)")}
ACCENTS = {"light": "color(srgb 0.878431 0.439216 0)", "dark": "color(srgb 0.623529 0.878431 0.815686)"}
LOOK = """() => {
  const bar = document.getElementById("gw-banner"), style = getComputedStyle(bar);
  const button = getComputedStyle(bar.querySelector(".gw-button"));
  return {
    colours: [style.backgroundColor, style.color], font: style.fontFamily === getComputedStyle(document.body).fontFamily,
    corners: [style.borderRadius, button.borderRadius],
    box: bar.getBoundingClientRect().toJSON(), accent: button.backgroundColor,
  };
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as found:
        yield found


def test_r4_a_theme_changes_the_look_and_no_weight(browser: Browser, tmp_path: Path) -> None:
    """R4, R23: light and dark, on a phone and on a desk, the banner has the theme's colours, corners and letters; where
    there is room it is a box in the corner; the buttons stay equal and axe finds nothing, on the settings page either."""
    with open_rules_site(tmp_path, theme=THEME) as url, opened(browser, url) as page:
        page.evaluate(Axe().axe_script)
        for scheme, width in product(SCHEMES, (390, 1280)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 800})
            look = page.evaluate(LOOK)
            assert tuple(look["colours"]) == COLOURS[scheme]
            assert look["font"] and look["corners"] == ["0px", "0px"]
            assert look["accent"] == ACCENTS[scheme]
            assert (look["box"]["left"] > 700) == (width == 1280)
            assert look["box"]["height"] <= 400
            assert_equal_weight(page, "#gw-banner")
            found = AxeResults(page.evaluate("options => axe.run('#gw-banner', options)", AXE))
            assert found.violations_count == 0, found.generate_report()
        page.goto(f"{url}/_gw/preferences")
        page.evaluate(Axe().axe_script)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            found = AxeResults(page.evaluate("options => axe.run(options)", AXE))
            assert found.violations_count == 0, found.generate_report()
