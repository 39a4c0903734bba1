"""A visitor's way through a Django and a Flask site, built from the docs' own recipes, in a real browser."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.journeys.browsing import open_browser, open_context
from tests.journeys.mode_site import NECESSARY, OPTIONAL
from tests.journeys.mode_visitor import CONSENT, VISIT
from tests.journeys.mode_worlds import World, open_world

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

REFUSE, ACCEPT = "Alles weigeren", "Alles accepteren"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


@pytest.fixture(params=["django", "flask"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """The framework's own threaded server with the site behind the gate, nothing counted yet."""
    with open_world(request.param, tmp_path / "world") as opened:
        yield opened


def hosts(world: World) -> set[str]:
    """First names of the foreign hosts that were contacted."""
    return {seen.host.partition(".")[0] for seen in world.foreign.log}


def cookies(page: Page) -> set[str]:
    """The cookies that the browser holds, but for one that a foreign script of the site sets itself."""
    return {str(cookie.get("name")) for cookie in page.context.cookies()} - {"_ga_VOORBEELD"}


def wait_until_withdrawn(page: Page) -> None:
    """Returns when the visit's cookie is gone."""
    until = time.monotonic() + 10
    while VISIT in cookies(page):
        assert time.monotonic() < until, "the visit's cookie is still there"
        page.wait_for_timeout(50)


def test_a_visitor_refuses(browser: Browser, world: World) -> None:
    """Before and after a refusal nothing foreign is contacted, nothing optional set, nothing counted; the site's own
    template knows; the question is not asked again."""
    page = open_context(browser).new_page()
    page.goto(world.url)
    page.get_by_role("button", name=REFUSE).click()
    expect(page.get_by_role("button", name=REFUSE)).to_have_count(0)
    page.goto(world.url + "/contact")
    page.wait_for_timeout(500)
    expect(page.get_by_role("button", name=REFUSE)).to_have_count(0)
    expect(page.locator("#told")).to_have_count(0)
    assert (hosts(world), cookies(page)) == (set(), {NECESSARY, CONSENT})
    report = world.settled_report()
    assert (report.totals.page_views, report.consent.refused, report.consent.shown) == (0, 1, 1)


def test_a_visitor_accepts_and_withdraws(browser: Browser, world: World) -> None:
    """After accepting tags and cookies pass, the site's own template knows, and each page is counted once, also the one
    on which it was accepted; after withdrawing all of it has an end, and the cookies are gone."""
    page = open_context(browser).new_page()
    page.goto(world.url)
    page.get_by_role("button", name=ACCEPT).click()
    expect(page.get_by_role("button", name=ACCEPT)).to_have_count(0)
    page.goto(world.url + "/contact")
    expect(page.locator("#told")).to_be_visible()
    page.wait_for_timeout(1000)
    assert hosts(world) == {"analytics", "pixel", "video"}
    assert cookies(page) == {NECESSARY, *OPTIONAL, CONSENT, VISIT}
    page.evaluate("window.before = true")
    page.locator("#gw-settings").click()
    with page.expect_event("load"):  # the page begins anew: a script that has run cannot be stopped
        page.get_by_role("button", name=REFUSE).click()
    wait_until_withdrawn(page)
    page.wait_for_function("!window.before")  # what runs cannot be stopped: the page is loaded anew
    page.goto(world.url + "/contact")
    page.wait_for_timeout(500)
    contacted = len(world.foreign.log)
    page.goto(world.url)
    page.wait_for_timeout(500)
    assert (len(world.foreign.log), cookies(page)) == (contacted, {NECESSARY, CONSENT})
    expect(page.locator("#told")).to_have_count(0)
    time.sleep(0.5)
    report = world.settled_report()
    assert (report.totals.page_views, report.totals.visits) == (2, 1)
    assert {row.name for row in report.breakdowns["page"]} == {"/", "/contact"}
    assert (report.consent.accepted, report.consent.withdrawn) == (1, 1)
