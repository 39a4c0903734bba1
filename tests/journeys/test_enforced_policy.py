"""The content policy is enforced unless said otherwise: a page is loaded anew only where something of the yes waits, and is
counted once."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from gateway.event import PAGE_VIEW
from tests.flows.worker_parts import read_recorded
from tests.journeys.browsing import open_browser, open_context
from tests.journeys.signals_site import open_signals_site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

ACCEPT, SAVE, SETTINGS = "Alles accepteren", "Keuze opslaan", "Instellingen"
HELD = '<img src="http://tool.localhost:PORT/held.gif" alt=""><p style="height: 3000px">Lang</p>'
WAITING = """<script>(window.gatewayReady = window.gatewayReady || []).push(({ consent }) => {
  consent.when("marketing", () => { new Image().src = "http://tool.localhost:PORT/later.gif"; });
})</script>"""
BARRED = (
    """<meta http-equiv="content-security-policy" content="require-trusted-types-for 'script'; trusted-types eigen">"""
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


def test_a_page_is_loaded_anew_only_where_something_of_the_yes_waits(browser: Browser, tmp_path: Path) -> None:
    """A yes to one purpose leaves a page as it is on which another purpose's tag waits. A yes to that one loads it anew, where
    it was, and says what came of it; so it does in another tab, whose code waits for it. So does one of which the trusted types
    bar our scripts; a no leaves that as it is. Each view is counted once."""
    with open_signals_site(tmp_path) as site:
        address = site.put("/winkel", HELD)
        page = open_context(browser).new_page()
        page.goto(address)
        page.evaluate("window.old = true")
        page.get_by_role("button", name=SETTINGS).click()
        page.locator('#gw-dialog input[name="purpose"][value="analytics"]').check()
        page.locator("#gw-dialog").get_by_role("button", name=SAVE).click()
        expect(page.locator("#gw-banner")).to_have_count(0)
        page.wait_for_timeout(300)
        assert page.evaluate("[window.old, sessionStorage.length]") == [True, 0]
        assert site.take() == []
        context = open_context(browser)
        one, two = context.new_page(), context.new_page()
        one.goto(site.put("/een", HELD))
        two.goto(site.put("/twee", "", WAITING) + "?a=b")
        one.evaluate("window.old = true; scrollTo(0, 700)")
        one.get_by_role("button", name=ACCEPT).click()
        one.wait_for_function("!window.old && document.getElementById('gw-status')?.textContent")
        two.wait_for_function("window.gateway?.consent.has('marketing')")
        one.wait_for_timeout(500)
        assert one.evaluate("Math.round(scrollY)") == 700
        assert sorted(site.take()) == ["tool.localhost/held.gif", "tool.localhost/later.gif"]
        page = open_context(browser).new_page()
        page.goto(site.put("/drie", "", BARRED))
        page.get_by_role("button", name=ACCEPT).click()
        expect(page.locator("script[src*='/collect-']")).to_have_count(1)
        page = open_context(browser).new_page()
        page.goto(site.url + "/drie")
        page.evaluate("window.old = true")
        page.get_by_role("button", name="Alles weigeren").click()
        expect(page.locator("#gw-banner")).to_have_count(0)
        assert page.evaluate("window.old") is True
    events = [entry.event for entry in read_recorded(tmp_path / "data")]
    assert Counter(event.path for event in events if event.kind == PAGE_VIEW) == {
        "/winkel": 1,
        "/een": 1,
        "/twee": 1,
        "/drie": 1,
    }
