"""The console on paper: readable whatever the screen looks like, and whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from gateway.resources import load_assets
from gateway.web.console import build_console
from tests.journeys.browsing import open_browser
from tests.web.console_example import build_parts
from tests.web.test_console_browser import serve, signed_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]

INK = "getComputedStyle(document.querySelector('#figures h1')).color"
WIDE = "document.documentElement.scrollWidth <= innerWidth"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A console with its real scripts and styles."""
    with serve(build_console(build_parts(tmp_path_factory.mktemp("console"), assets=load_assets()))) as address:
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for the module."""
    with open_browser() as browser:
        yield browser


@pytest.mark.parametrize(
    "path",
    ["/?period=30d", "/consent?period=30d", "/live", "/rules", "/funnels?steps=page+is+/%0Aevent+is+a", "/flows"],
)
def test_a_dark_screen_prints_dark_ink_on_white(chromium: Browser, address: str, path: str, tmp_path: Path) -> None:
    """Words are dark, nothing is wider than A4, buttons and ways elsewhere are gone; a PDF of it can be made."""
    with signed_in(chromium, address, 720, "dark") as (page, complaints):
        page.goto(address + path)
        page.emulate_media(media="print")
        assert page.evaluate(INK) == "rgb(21, 32, 43)"
        assert page.evaluate(WIDE)
        assert not page.locator(".top").is_visible()
        assert page.pdf(path=tmp_path / "page.pdf", format="A4").startswith(b"%PDF")
        assert complaints == []


def test_the_chart_is_drawn_for_paper_and_lively_again_afterwards(chromium: Browser, address: str) -> None:
    """While it is printed the plain drawing stands in the canvas's place, in the paper's colours; then the canvas is back."""
    with signed_in(chromium, address, 1280, "dark") as (page, complaints):
        page.goto(f"{address}/?period=30d")
        plot = page.locator("[data-chart]")
        plot.locator("canvas").wait_for()
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert (plot.locator("canvas").count(), plot.locator("rect").count()) == (0, 30)
        page.emulate_media(media="print")
        fill = page.evaluate("getComputedStyle(document.querySelector('.columns rect')).fill")
        assert fill == "rgb(11, 110, 103)"
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert plot.locator("canvas").count() == 1
        assert complaints == []


A4 = 688  # pixels between margins of 14 mm


def test_paper_has_nothing_of_the_moment_and_is_as_wide_as_a4(chromium: Browser, address: str) -> None:
    """Who is there now, what waits for the operator, the keeper's state and what can only be opened or clicked stay on the
    screen; tables are no wider than the paper, panels stand two by two, and no goal's name is cut."""
    with signed_in(chromium, address, A4, "light") as (page, complaints):
        page.goto(f"{address}/?period=30d")
        page.emulate_media(media="print")
        assert page.evaluate(WIDE)
        for gone in (".heading .now", ".observe", ".foot", "details.definitions"):
            assert not page.locator(gone).locator("visible=true").count(), gone
        places, devices = (page.locator(f"[data-live=card-{name}]").bounding_box() for name in ("country", "device"))
        assert places and devices and places["y"] == devices["y"]
        goal = page.locator("[data-live=card-goal] .name")
        assert goal.evaluate("one => one.scrollWidth <= one.clientWidth && one.clientHeight < 30")
        page.goto(f"{address}/flows")
        assert not page.locator(".card-head .hint").is_visible()
        assert complaints == []


def test_a_dark_screen_leaves_nothing_dark_behind_words(chromium: Browser, address: str) -> None:
    """What marks the step where most were lost is printed in the colours of a light screen."""
    painted = "getComputedStyle(document.querySelector('.tag.warn')).backgroundColor"
    with signed_in(chromium, address, A4, "light") as (page, _):
        page.goto(f"{address}/funnels?steps=page+is+/%0Aevent+is+a")
        light = page.evaluate(painted)
    with signed_in(chromium, address, A4, "dark") as (page, _):
        page.goto(f"{address}/funnels?steps=page+is+/%0Aevent+is+a")
        assert page.evaluate(painted) != light
        page.emulate_media(media="print")
        assert page.evaluate(painted) == light
