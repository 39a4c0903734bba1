"""Banner, settings, declaration and placeholder in four languages, from right to left too, in every look: nothing for axe to
find, and nothing beside the screen."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.base import AxeResults
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from gateway import ConsentMiddleware
from gateway.demo.loopback import LoopbackServer
from tests.example_site import POLICY_TOML
from tests.journeys.browsing import open_browser
from tests.journeys.test_rules import AXE
from tests.web.gated_site import HTML, Answer, Pages, ready_config

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

POLICY = POLICY_TOML.replace('languages = ["nl", "en"]', 'languages = ["nl", "en", "de", "ar"]')
for english, german, arabic in (("Statistics", "Statistik", "الإحصاءات"), ("Marketing", "Marketing", "التسويق")):
    POLICY = POLICY.replace(f'en = "{english}"', f'en = "{english}", de = "{german}", ar = "{arabic}"')
PAGE = (
    '<!doctype html><html lang="{}" dir="{}"><head><title>Voorbeeld</title></head><body><main><h1>Voorbeeld Incasso</h1>'
    '<iframe title="film" src="https://video.example.net/e"></iframe></main></body></html>'
)
REFUSE = {"nl": "Alles weigeren", "en": "Reject all", "de": "Alle ablehnen", "ar": "رفض الكل"}
LANGUAGES = list(REFUSE)
Scheme = Literal["light", "dark", "forced"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark", "forced")
WIDTHS = (320, 390, 1280, 3840)
# Texts of ours that are painted in another colour than the one that is computed; and the colours of our buttons' words.
PAINTED = """within => [...document.querySelectorAll(within + " *")].filter(one => one.closest("[class^=gw-], [id^=gw-]"))
  .map(one => getComputedStyle(one)).filter(style => style.webkitTextFillColor !== style.color).length"""


async def speak(scope: Any, receive: Any, send: Any) -> None:
    """A page in the language that its query names."""
    if scope["type"] == "lifespan":
        await Pages()(scope, receive, send)
        return
    language = scope["query_string"].decode()
    page = PAGE.format(language, "rtl" if language == "ar" else "ltr")
    await Answer(page.encode(), [HTML])(scope, receive, send)


WHAT_FOR = """() => [...document.querySelectorAll("td:nth-child(3)")].map(
  cell => cell.offsetWidth === cell.closest("tr").offsetWidth)"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The site behind the gateway."""
    folder: Path = tmp_path_factory.mktemp("languages")
    own = LoopbackServer(ConsentMiddleware(speak, ready_config(folder, policy=POLICY)))
    own.start()
    yield f"http://127.0.0.1:{own.port}"
    own.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


def looks_of(language: str, layer: int) -> Iterator[tuple[Scheme, int]]:
    """Three of the twelve looks for each language on each layer: all languages together see each layer in every one, and all
    layers together each language."""
    turn = LANGUAGES.index(language) + layer
    for scheme, width in product(SCHEMES, WIDTHS):
        if (SCHEMES.index(scheme) + WIDTHS.index(width) + turn) % len(WIDTHS) == 0:
            yield scheme, width


def find_nothing(page: Page, language: str, layer: int, within: str = "html") -> None:
    """No violation of WCAG 2.2 AA or of best practice, and no need to scroll sideways; in forced colours every word has the
    colour that the browser says it has."""
    page.evaluate(Axe().axe_script)
    for scheme, width in looks_of(language, layer):
        forced = scheme == "forced"
        dark = scheme == "dark" or (forced and layer % 2 == 1)
        page.emulate_media(color_scheme="dark" if dark else "light", forced_colors="active" if forced else "none")
        page.set_viewport_size({"width": width, "height": 800})
        found = AxeResults(page.evaluate("([within, options]) => axe.run(within, options)", [within, AXE]))
        assert found.violations_count == 0, (scheme, width, found.generate_report())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if forced:
            assert page.evaluate(PAINTED, within) == 0
    page.emulate_media(forced_colors="none")


@pytest.mark.parametrize("language", LANGUAGES)
def test_r23_axe_finds_nothing(browser: Browser, url: str, language: str) -> None:
    """R23: banner and placeholder, the settings as a dialog and as a page, and the declaration; light, dark and in forced
    colours, from 320 to 3840 pixels, from right to left too; and the answers do what they say. On a
    telephone what a cookie is for has the table's whole width, so that its words stay whole."""
    context = browser.new_context(locale=language)
    page = context.new_page()
    page.goto(f"{url}/?{language}")
    expect(page.locator("#gw-banner")).to_have_attribute("dir", "rtl" if language == "ar" else "ltr")
    expect(page.locator(".gw-held")).to_be_visible()
    find_nothing(page, language, 0)
    page.locator("#gw-banner [data-gw-open]").click()
    expect(page.locator("#gw-dialog [name=purpose]")).to_have_count(2)
    find_nothing(page, language, 1, "#gw-dialog")  # what lies behind it is dimmed, and nobody gets there
    for layer, path in ((2, "/_gw/preferences"), (3, "/_gw/cookies")):
        page.goto(url + path)
        for summary in page.locator("summary").all():
            summary.click()
        find_nothing(page, language, layer)
    page.set_viewport_size({"width": 360, "height": 800})
    assert set(page.evaluate(WHAT_FOR)) == {True}
    page.goto(f"{url}/?{language}")
    page.get_by_role("button", name=REFUSE[language]).click()
    expect(page.locator("#gw-banner")).to_have_count(0)
    context.close()
