"""A static site that embeds the gateway's script, in a real browser: everything that the script does by itself."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.analytics.results import Report
from tests.journeys.browsing import open_browser, open_context
from tests.journeys.mode_visitor import CONSENT, VISIT
from tests.journeys.mode_worlds import World, open_world

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

REFUSE, SETTINGS, ACCEPT = "Alles weigeren", "Instellingen", "Alles accepteren"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A static site behind nginx, with the gateway beside it, nothing counted yet."""
    with open_world("stand-alone", tmp_path / "world") as opened:
        yield opened


def hosts(world: World) -> set[str]:
    """First names of the foreign hosts that were contacted."""
    return {seen.host.partition(".")[0] for seen in world.foreign.log}


def names(report: Report, dimension: str) -> set[str]:
    """The rows of a breakdown."""
    return {row.name for row in report.breakdowns[dimension]}


def own_cookies(page: Page) -> set[str]:
    """Which of the gateway's cookies the browser holds."""
    return {str(cookie.get("name")) for cookie in page.context.cookies()} & {CONSENT, VISIT}


def test_the_script_asks_releases_and_counts(browser: Browser, world: World) -> None:
    """The banner has equal buttons; accepting releases marked tags without a reload and counts this page with its true
    source and topic, the next one too, each with engaged time."""
    page = open_context(browser).new_page()
    page.goto(world.url + "/", referer="https://www.google.nl/")
    page.evaluate("window.notReloaded = true")
    buttons = [page.get_by_role("button", name=name) for name in (REFUSE, SETTINGS, ACCEPT)]
    assert len({(box["width"], box["height"]) for box in (button.bounding_box() for button in buttons) if box}) == 1
    assert (hosts(world), own_cookies(page)) == (set(), set())
    buttons[2].click()
    expect(page.locator("#gw-banner")).to_have_count(0)
    page.wait_for_timeout(1500)
    assert page.evaluate("window.notReloaded") is True
    assert hosts(world) == {"analytics", "pixel"}
    page.goto(world.url + "/contact")
    expect(page.locator("#gw-settings")).to_be_visible()
    page.evaluate("gateway.track('download', {bestand: 'voorwaarden.pdf'})")
    page.wait_for_timeout(1500)
    page.close()
    time.sleep(0.5)
    report = world.settled_report()
    assert (report.totals.page_views, report.totals.visits, report.totals.events) == (2, 1, 1)
    assert (names(report, "page"), names(report, "source")) == ({"/", "/contact"}, {"Google"})
    assert names(report, "topic") == {"Proef"}
    assert all(1 <= (row.seconds or 0) <= 10 for row in report.breakdowns["page"])
    assert (report.consent.shown, report.consent.accepted) == (1, 1)


def test_refusing_is_remembered(browser: Browser, world: World) -> None:
    """After refusing, no page asks again, marked tags stay held, nothing is counted, and the way back is there."""
    page = open_context(browser).new_page()
    page.goto(world.url)
    page.get_by_role("button", name=REFUSE).click()
    expect(page.locator("#gw-banner")).to_have_count(0)
    for path in ("/contact", "/"):
        page.goto(world.url + path)
        expect(page.locator("#gw-settings")).to_be_visible()
        expect(page.locator("#gw-banner")).to_have_count(0)
    assert (hosts(world), own_cookies(page)) == (set(), {CONSENT})
    report = world.settled_report()
    assert (report.totals.page_views, report.consent.refused) == (0, 1)


def test_withdrawing_stops_everything_in_every_tab(browser: Browser, world: World) -> None:
    """After withdrawing, other tabs reload with their tags held, the cookies of the visit and of released services are
    gone, and nothing more is counted."""
    context = open_context(browser)
    page, other = context.new_page(), context.new_page()
    page.goto(world.url)
    page.get_by_role("button", name=ACCEPT).click()
    expect(page.locator("#gw-banner")).to_have_count(0)
    other.goto(world.url + "/contact")
    expect(other.locator("[data-gw-purpose]")).to_have_count(0)
    other.wait_for_timeout(500)
    assert own_cookies(page) == {CONSENT, VISIT}
    assert "_ga_VOORBEELD" in page.evaluate("document.cookie")
    page.locator("#gw-settings").click()
    page.get_by_role("button", name=REFUSE).click()
    expect(other.locator("[data-gw-src]")).to_have_count(2)
    assert own_cookies(page) == {CONSENT}
    assert "_ga_VOORBEELD" not in page.evaluate("document.cookie")
    before, contacted = world.settled_report(), len(world.foreign.log)
    page.goto(world.url + "/contact")
    page.wait_for_timeout(800)
    after = world.settled_report()
    assert after.totals == before.totals
    assert after.consent.withdrawn == 1
    assert len(world.foreign.log) == contacted


def test_one_purpose_releases_its_own_tags_only(browser: Browser, world: World) -> None:
    """Who allows statistics alone is counted, and only tags marked for statistics are released."""
    page = open_context(browser).new_page()
    page.goto(world.url)
    page.get_by_role("button", name=SETTINGS).click()
    page.locator('input[name="purpose"][value="analytics"]').check()
    page.get_by_role("button", name="Keuze opslaan").click()
    expect(page.locator("#gw-status")).not_to_be_empty()
    page.goto(world.url)
    page.wait_for_timeout(1000)
    assert hosts(world) == {"analytics"}
    report = world.settled_report()
    assert (report.totals.page_views, report.consent.partly) == (2, 1)  # the page of the choice, and the next


def test_each_way_of_marking_works(browser: Browser, world: World) -> None:
    """Inline scripts, modules, scripts for two purposes and frames wait for their purposes and then act, in order;
    what has `data-gw-open` opens the settings on the page."""
    page = open_context(browser).new_page()
    page.goto(world.url + "/marks")
    expect(page.locator("#gw-banner")).to_be_visible()  # from then on the script listens
    page.get_by_role("button", name="Cookies", exact=True).click()
    page.locator('input[name="purpose"][value="analytics"]').check()
    page.get_by_role("button", name="Keuze opslaan").click()
    expect(page.locator("#gw-dialog")).to_have_count(0)
    assert page.url == world.url + "/marks"
    page.wait_for_function("ran.includes('module')")
    assert set(page.evaluate("ran")) == {"module", "last"}
    assert hosts(world) == set()
    page.get_by_role("button", name="Cookies", exact=True).click()
    page.get_by_role("button", name=ACCEPT).click()
    expect(page.locator("#gw-dialog")).to_have_count(0)
    page.goto(world.url + "/marks")
    page.wait_for_function("ran.length === 3")
    assert page.evaluate("ran.filter(name => name !== 'module')") == ["inline", "last"]
    expect(page.locator("html[data-chat-loaded]")).to_have_count(1)
    page.wait_for_timeout(500)
    assert hosts(world) == {"chat", "video"}


def test_the_banner_speaks_the_pages_language(browser: Browser, world: World) -> None:
    """A Dutch page asks in Dutch also in an English browser, as it does behind the middleware."""
    page = open_context(browser, language="en-GB").new_page()
    page.goto(world.url)
    expect(page.get_by_role("button", name=REFUSE)).to_be_visible()
