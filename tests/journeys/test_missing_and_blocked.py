"""Journeys on which scripts, cookies or our own script are missing: the site works, nothing leaks, nobody is trapped."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.journeys.browsing import open_browser, open_context, open_without_cookies
from tests.journeys.forms_site import FormsSite, open_forms_site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

REFUSE, SETTINGS, ACCEPT, SAVE = "Alles weigeren", "Instellingen", "Alles accepteren", "Keuze opslaan"
FOREIGN = {"analytics", "pixel", "video"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file but that without cookies."""
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FormsSite]:
    """The site with pages made for one visitor."""
    with open_forms_site(tmp_path_factory.mktemp("forms")) as opened:
        yield opened


def send_form(page: Page, site: FormsSite, question: str) -> None:
    """The site's own form works, banner or not."""
    page.get_by_label("Vraag").fill(question)
    expect(page.get_by_label("Vraag")).to_have_value(question)
    page.get_by_role("button", name="Versturen").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("/dank")
    assert site.questions[-1] == question


def test_without_scripts_everything_works(browser: Browser, site: FormsSite) -> None:
    """With JavaScript off: the form before a choice, a choice per purpose, its tags alone, a withdrawal, and going back."""
    site.foreign.log.clear()
    context = open_context(browser, scripts=False)
    page = context.new_page()
    page.goto(site.url)
    send_form(page, site, "zonder script")
    assert site.contacted() == set()
    page.get_by_role("button", name=SETTINGS).click()
    page.locator('input[name="purpose"][value="marketing"]').check()
    page.get_by_role("button", name=SAVE).click()
    page.goto(site.url + "/contact")
    page.wait_for_timeout(300)
    assert site.contacted() == {"pixel"}
    page.locator("#gw-settings").click()
    with page.expect_navigation():  # back from there, not from where it is on its way
        page.get_by_role("button", name=REFUSE).click()
    site.foreign.log.clear()
    for _ in range(3):
        page.go_back()
    page.wait_for_timeout(300)
    assert site.contacted() == set()
    context.close()


def test_after_a_withdrawal_the_way_back_shows_nothing_granted(browser: Browser, site: FormsSite) -> None:
    """Pages seen with tags at work come back, from whichever cache of the browser, with every tag held."""
    context = open_context(browser)
    page = context.new_page()
    page.goto(site.url)
    page.get_by_role("button", name=ACCEPT).click()
    expect(page.locator("#gw-banner")).to_have_count(0)
    page.goto(site.url + "/contact")
    page.wait_for_function("document.querySelector('img[src*=pixel]')?.complete")
    assert site.contacted() == FOREIGN
    page.goto(site.url + "/_gw/preferences")
    page.get_by_role("button", name=REFUSE).click()
    expect(page.locator("#gw-status")).not_to_be_empty()
    site.foreign.log.clear()
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("/contact")
    expect(page.locator('img[data-gw-src*="pixel"]')).to_have_count(1)
    page.go_back()
    expect(page.locator('img[data-gw-src*="pixel"]')).to_have_count(1)
    page.wait_for_timeout(300)
    assert site.contacted() == set()
    context.close()


def test_with_our_script_blocked_the_forms_do_it_all(browser: Browser, site: FormsSite) -> None:
    """A blocker that takes our scripts takes nothing of the site: banner, choice and form work as plain forms."""
    site.foreign.log.clear()
    context = open_context(browser)
    context.route("**/_gw/assets/*.js", lambda route: route.abort())
    page = context.new_page()
    page.goto(site.url)
    send_form(page, site, "geblokkeerd")
    assert site.contacted() == set()
    page.get_by_role("button", name=REFUSE).click()
    expect(page.locator("#gw-banner")).to_have_count(0)
    page.locator("#gw-settings").click()
    page.get_by_role("button", name=ACCEPT).click()
    page.goto(site.url)
    page.wait_for_timeout(500)
    assert site.contacted() == FOREIGN
    context.close()


def test_with_all_of_ours_blocked_nothing_leaks(browser: Browser, site: FormsSite) -> None:
    """With everything under our prefix blocked, style and choice included, the site is as usable as ever and asks nobody."""
    site.foreign.log.clear()
    context = open_context(browser)
    context.route("**/_gw/**", lambda route: route.abort())
    page = context.new_page()
    page.goto(site.url)
    send_form(page, site, "alles geblokkeerd")
    page.get_by_role("link", name="Begin").click()
    page.wait_for_timeout(300)
    assert site.contacted() == set()
    context.close()


def test_without_cookies_nobody_is_trapped(browser: Browser, site: FormsSite, tmp_path: Path) -> None:
    """A browser that keeps no cookies: the site and its form work; whoever chooses is told why the question comes back, once
    and after each choice, can pass it by, and nothing optional happens, not even after a yes."""
    site.foreign.log.clear()
    with open_without_cookies(browser, tmp_path / "profile") as context:
        page = context.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(site.url)
        told = page.locator("#gw-not-kept")
        expect(told).to_be_hidden()
        for choice in (REFUSE, ACCEPT):
            page.get_by_role("button", name=choice).click()
            page.wait_for_url(site.url + "/#gw-not-kept")
            expect(told).to_be_visible()
            expect(told).to_contain_text("bewaart geen cookies")
        page.get_by_role("button", name=SETTINGS).click()
        page.get_by_role("button", name=SAVE).click()
        expect(page.locator("#gw-dialog")).to_have_count(0)
        send_form(page, site, "zonder cookies")
        expect(told).to_be_hidden()
        page.wait_for_timeout(300)
        assert context.cookies() == []
        assert faults == []
    assert site.contacted() == set()


def test_one_kept_copy_serves_accepter_and_refuser(browser: Browser, tmp_path: Path) -> None:
    """Cache-safe behind a real cache: from one copy the newcomer is asked, the accepter's tags load, the refuser's do not, and
    after a withdrawal they no longer do."""
    with open_forms_site(tmp_path, cache_safe=True) as site:
        accepter, refuser = open_context(browser), open_context(browser)
        page, other = accepter.new_page(), refuser.new_page()
        page.goto(site.url + "/contact")
        expect(page.locator("#gw-settings")).to_have_count(1)
        page.get_by_role("button", name=ACCEPT).click()
        expect(page.locator("#gw-banner")).to_have_count(0)
        page.wait_for_function("document.querySelector('img[src*=pixel]')?.complete")
        other.goto(site.url + "/contact")
        other.get_by_role("button", name=REFUSE).click()
        expect(other.locator("#gw-banner")).to_have_count(0)
        site.foreign.log.clear()
        kept = other.goto(site.url + "/contact")
        assert kept is not None
        assert kept.headers["x-cached"] == "HIT"
        expect(other.locator("#gw-settings")).to_be_visible()
        other.wait_for_timeout(300)
        assert site.contacted() == set()
        page.goto(site.url + "/contact")
        page.wait_for_function("document.querySelector('img[src*=pixel]')?.complete")
        page.wait_for_timeout(300)
        assert site.contacted() == FOREIGN
        page.goto(site.url + "/_gw/preferences")
        page.get_by_role("button", name=REFUSE).click()
        expect(page.locator("#gw-status")).not_to_be_empty()
        site.foreign.log.clear()
        page.go_back()
        expect(page.locator("#gw-settings")).to_be_visible()
        page.wait_for_timeout(300)
        assert site.contacted() == set()
        accepter.close()
        refuser.close()
