"""Placeholders where our script, all that is ours, or every cookie is blocked: nothing leaks, and there is still a way."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.journeys.browsing import open_browser, open_context, open_without_cookies
from tests.journeys.placeholder_site import PlaceholderSite, open_placeholder_site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

REFUSE, ONCE, ALWAYS = "Alles weigeren", "Eenmalig laden", "Altijd toestaan"
PAGES = ("/", "/route", "/film", "/later", "/contact")
NECESSARY = {"formulier/contact"}
SETTLED = 700


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file but that without cookies."""
    with open_browser() as opened:
        yield opened


@pytest.fixture
def site(tmp_path: Path) -> Iterator[PlaceholderSite]:
    """A site with frames, films and a map, which also has a guard, as the gateway comes."""
    with open_placeholder_site(tmp_path / "site", "enforce", guard=True) as opened:
        yield opened


@pytest.mark.parametrize("blocked", ["**/_gw/assets/*.js", "**/_gw/assets/head-*.js", "**/_gw/**"])
def test_nothing_leaks_whatever_of_ours_is_blocked(browser: Browser, site: PlaceholderSite, blocked: str) -> None:
    """Our scripts, the one that guards, or all that is ours: no page asks anybody but the necessary one, its own words are
    there, and where the banner's form gets through, a refusal leaves it so."""
    context = open_context(browser)
    context.route(blocked, lambda route: route.abort())
    page = context.new_page()
    for path in PAGES:
        page.goto(site.url + path)
        expect(page.get_by_role("heading", level=1)).to_have_text("Voorbeeld Incasso")
        page.wait_for_timeout(SETTLED)
    assert set(site.asked) == NECESSARY
    if blocked != "**/_gw/**":
        page.goto(site.url)
        page.get_by_role("button", name=REFUSE).click()
        expect(page.locator("#gw-banner")).to_have_count(0)
        page.goto(site.url + "/later")
        page.wait_for_timeout(SETTLED)
    assert set(site.asked) == NECESSARY
    context.close()


def test_with_our_script_blocked_always_allow_is_a_form(browser: Browser, site: PlaceholderSite) -> None:
    """The placeholder stands in its size without "load once"; "always allow" comes back to the page with that service, also for
    what the site's own script adds there."""
    context = open_context(browser)
    context.route("**/_gw/assets/*.js", lambda route: route.abort())
    page = context.new_page()
    page.goto(site.url + "/?a=b")
    group = page.get_by_role("group", name="Voorbeeld Film").first
    assert group.evaluate("place => [place.offsetWidth, place.offsetHeight]") == [560, 315]
    expect(group.get_by_role("button", name=ONCE)).to_be_hidden()
    group.get_by_role("button", name=ALWAYS).click()
    expect(page).to_have_url(site.url + "/?a=b")
    expect(page.frame_locator("#film").locator("input")).to_be_visible()
    page.goto(site.url + "/later")
    expect(page.frame_locator("#film").locator("input")).to_be_visible()
    page.wait_for_timeout(SETTLED)
    assert {one.partition("/")[0] for one in site.asked} == {"film"}
    context.close()


def test_without_cookies_one_part_can_still_be_loaded(browser: Browser, site: PlaceholderSite, tmp_path: Path) -> None:
    """Whose browser keeps no cookies gets the part that was asked for once; "always allow" loads nothing, and what stands there
    says why."""
    with open_without_cookies(browser, tmp_path / "profile") as context:
        page = context.new_page()
        page.goto(site.url)
        page.evaluate("document.getElementById('gw-banner').style.visibility = 'hidden'")
        page.get_by_role("group", name="Voorbeeld Film").first.get_by_role("button", name=ONCE).click()
        expect(page.frame_locator("#film").frame_locator("iframe").locator("input")).to_be_visible()
        assert site.asked == ["film/film"]
        page.get_by_role("group", name="Voorbeeld Kaart").get_by_role("button", name=ALWAYS).click()
        page.wait_for_url(site.url + "/#gw-not-kept")
        page.evaluate("document.getElementById('gw-banner').style.visibility = ''")
        expect(page.locator("#gw-not-kept")).to_contain_text("bewaart geen cookies")
        page.wait_for_timeout(SETTLED)
        assert site.asked == ["film/film"]
        assert context.cookies() == []
