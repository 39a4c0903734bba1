"""Banner, settings, declaration and placeholder in German and Arabic, from right to left too: nothing for axe to find, and
nothing beside the screen."""

from collections.abc import Iterator
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
REFUSE = {"de": "Alle ablehnen", "ar": "رفض الكل"}
Look = tuple[Literal["light", "dark"], int]
LOOKS: tuple[Look, ...] = (("light", 320), ("dark", 390), ("dark", 1280), ("light", 3840))


async def speak(scope: Any, receive: Any, send: Any) -> None:
    """A page in the language that its query names."""
    if scope["type"] == "lifespan":
        await Pages()(scope, receive, send)
        return
    language = scope["query_string"].decode()
    page = PAGE.format(language, "rtl" if language == "ar" else "ltr")
    await Answer(page.encode(), [HTML])(scope, receive, send)


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


def find_nothing(page: Page, within: str = "html") -> None:
    """No violation of WCAG 2.2 AA or of best practice in any look, and no need to scroll sideways."""
    page.evaluate(Axe().axe_script)
    for scheme, width in LOOKS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        found = AxeResults(page.evaluate("([within, options]) => axe.run(within, options)", [within, AXE]))
        assert found.violations_count == 0, (scheme, width, found.generate_report())
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("language", ["de", "ar"])
def test_r23_drafts_are_accessible_too(browser: Browser, url: str, language: str) -> None:
    """R23: banner and placeholder, the settings as a dialog and as a page, and the declaration; light and dark,
    from 320 to 3840 pixels; and the answers do what they say."""
    context = browser.new_context(locale=language)
    page = context.new_page()
    page.goto(f"{url}/?{language}")
    expect(page.locator("#gw-banner")).to_have_attribute("dir", "rtl" if language == "ar" else "ltr")
    expect(page.locator(".gw-held")).to_be_visible()
    find_nothing(page)
    page.locator("#gw-banner [data-gw-open]").click()
    expect(page.locator("#gw-dialog [name=purpose]")).to_have_count(2)
    find_nothing(page, "#gw-dialog")  # what lies behind it is dimmed, and nobody gets there
    for path in ("/_gw/preferences", "/_gw/cookies"):
        page.goto(url + path)
        for summary in page.locator("summary").all():
            summary.click()
        find_nothing(page)
    page.goto(f"{url}/?{language}")
    page.get_by_role("button", name=REFUSE[language]).click()
    expect(page.locator("#gw-banner")).to_have_count(0)
    context.close()
