"""Who says yes somewhere else than in the banner of the page that they are on: that page is counted, with its true source."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.journeys.browsing import open_browser, open_context
from tests.journeys.counted_site import ACCEPT, Journey, accept, open_journey

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(120)]

SEARCH = "https://www.google.nl/"
BANNER = "button[form=gw-to-settings]"
PAGE = """<!doctype html><html lang="nl"><head><title>Proef</title></head><body><h1>Voorbeeld Incasso</h1>
<p><a id="open" href="/_gw/preferences" data-gw-open>Cookies</a> <a id="plain" href="/_gw/preferences">Cookies</a>
<a id="next" href="/contact">Contact</a></p></body></html>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file, which keeps the pages that one comes back to, as visitors' do."""
    with open_browser(back_forward_cache=True) as opened:
        yield opened


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    """A site whose pages lead to the settings in both ways."""
    with open_journey(tmp_path, document=PAGE) as opened:
        yield opened


def land(browser: Browser, journey: Journey, *, scripts: bool = True) -> Page:
    """Come from a search to a page that asks."""
    page = open_context(browser, scripts=scripts).new_page()
    page.goto(journey.url + "/begin?x=1", referer=SEARCH)
    return page


def agree(settings: Page) -> None:
    """Say yes on the settings page, or in its dialog; done when the browser has the answer."""
    button = settings.locator("#gw-dialog, #gw-purposes").locator("button[value=accept_all]")
    with settings.expect_response("**/_gw/consent"):
        button.click()


def go_on(page: Page) -> None:
    """Look at one page more."""
    with page.expect_navigation(url="**/contact"):
        page.click("#next")
    page.wait_for_timeout(300)


def seen(journey: Journey) -> list[tuple[str, str, str]]:
    """Path, source and channel of each view, in order; all of one visit."""
    views = journey.events("page_view")
    assert len({view.visit_id for view in views}) == 1
    return [(view.path, view.source, view.channel) for view in views]


ONCE = [("/begin", "Google", "search"), ("/contact", "", "")]


def in_new_tab(selector: str, *, middle: bool = False) -> Callable[[Page], Page]:
    """What opens the settings by this in a tab of their own."""

    def opens(page: Page) -> Page:
        with page.context.expect_page() as opened:
            page.click(selector, button="middle" if middle else "left", modifiers=[] if middle else ["Control"])
        return opened.value

    return opens


def by_hand(page: Page) -> Page:
    """Type the settings' address into a new tab."""
    settings = page.context.new_page()
    settings.goto(page.url.partition("/begin")[0] + "/_gw/preferences")
    return settings


TABS = {
    "banner": in_new_tab(BANNER),
    "opener": in_new_tab("#open"),
    "opener-middle": in_new_tab("#open", middle=True),
    "link": in_new_tab("#plain"),
    "link-middle": in_new_tab("#plain", middle=True),
    "typed": by_hand,
}


@pytest.mark.parametrize("way", TABS)
def test_yes_in_a_tab_of_its_own_counts_the_page_that_is_still_open(
    browser: Browser, journey: Journey, way: str
) -> None:
    """Whichever way the settings were opened in another tab: the page that asked loses its banner and is counted once, with the
    search engine it came from, and its engaged time belongs to that view."""
    page = land(browser, journey)
    agree(TABS[way](page))
    page.bring_to_front()
    page.wait_for_function("window.gateway.collecting")
    page.wait_for_timeout(300)
    go_on(page)
    page.context.close()
    assert seen(journey) == ONCE
    first = journey.events("page_view")[0].view_id
    assert {event.view_id for event in journey.events("engagement") if event.path == "/begin"} == {first}


def test_yes_on_the_settings_page_counts_where_its_visitor_came_from(browser: Browser, journey: Journey) -> None:
    """A plain link leads to the settings as a page: the yes counts the page with that link, and the way back, by link, is that
    same view."""
    page = land(browser, journey)
    page.click("#plain")
    agree(page)
    page.wait_for_timeout(300)
    assert seen(journey) == ONCE[:1]
    page.get_by_role("link", name="Terug").click()
    page.wait_for_function("window.gateway.collecting")
    go_on(page)
    page.context.close()
    assert seen(journey) == ONCE


def test_the_way_back_by_the_browser_s_button_keeps_the_source(browser: Browser, journey: Journey) -> None:
    """A page that the browser has kept is the view that the yes on the settings page counted."""
    page = land(browser, journey)
    page.click("#plain")
    agree(page)
    page.evaluate("history.back()")
    page.wait_for_function("window.gateway?.collecting")
    page.wait_for_timeout(300)
    go_on(page)
    page.context.close()
    assert seen(journey) == ONCE


@pytest.mark.parametrize("opener", [BANNER, "#open"])
def test_yes_in_the_dialog_counts_the_page_beneath(browser: Browser, journey: Journey, opener: str) -> None:
    """The dialog is no page: what is beneath it is counted once, at the yes."""
    page = land(browser, journey)
    page.click(opener)
    expect(page.locator("#gw-dialog")).to_be_visible()
    agree(page)
    page.wait_for_function("window.gateway.collecting")
    go_on(page)
    page.context.close()
    assert seen(journey) == ONCE


def test_a_long_way_here_keeps_no_settings_closed(browser: Browser, journey: Journey) -> None:
    """However long the address of the page before was, that of the settings stays one that any server takes."""
    page = open_context(browser).new_page()
    page.goto(journey.url + "/begin", referer=f"{journey.url}/{'x' * 3900}")
    with page.expect_request("**/_gw/preferences?**") as asked:
        page.click("#open")
    expect(page.locator("#gw-dialog")).to_be_visible()
    page.context.close()
    assert len(asked.value.url) < 1000


def test_yes_in_one_tab_counts_the_pages_of_all(browser: Browser, journey: Journey) -> None:
    """A page in another tab loses its banner with the yes, and is counted then, with its own source, in the same visit."""
    page = land(browser, journey)
    other = page.context.new_page()
    other.goto(journey.url + "/krant", referer="https://krant.example.net/stuk")
    accept(other)
    page.bring_to_front()
    page.wait_for_function("window.gateway.collecting")
    page.wait_for_timeout(300)
    page.context.close()
    assert seen(journey) == [("/krant", "krant.example.net", "referral"), ("/begin", "Google", "search")]


def test_without_scripts_a_plain_link_costs_the_source_alone(browser: Browser, journey: Journey) -> None:
    """Without JavaScript the banner's way to the settings keeps the source; a link of the site's own cannot: the page that it
    leads back to is counted, as reached from within the site."""
    page = land(browser, journey, scripts=False)
    page.click("#plain")
    agree(page)
    page.wait_for_load_state()
    go_on(page)
    page.context.close()
    assert seen(journey) == [("/begin", "", ""), ("/contact", "", "")]


def test_a_policy_that_forbids_every_connection_takes_one_press(browser: Browser, tmp_path: Path) -> None:
    """Where the page's content policy stops the script's post, the form goes by itself with the first press, and the page
    behind it is the view that was counted."""
    with open_journey(tmp_path, document=PAGE, policy="connect-src 'none'") as journey:
        page = land(browser, journey)
        page.get_by_role("button", name=ACCEPT).click()
        expect(page.locator("#gw-banner")).to_have_count(0)
        go_on(page)
        page.context.close()
        assert seen(journey) == ONCE
