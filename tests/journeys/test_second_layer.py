"""The settings as a dialog on the page, and as a page: one switch for each purpose and each service, by mouse, keyboard,
without scripts, and under a strict policy."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.base import AxeResults
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.journeys.browsing import open_browser
from tests.journeys.rules_site import open_rules_site
from tests.journeys.test_rules import AXE, REFUSE, SAVE, Looks, assert_equal_weight, opened

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

VIDEO, MARKETING, STATISTICS = "voorbeeld_video", "marketing", "analytics"
STATE = "fetch('/_gw/state').then(r => r.json()).then(s => [s.granted, s.services])"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened_browser:
        yield opened_browser


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The site, shared by all tests: each comes with a fresh profile."""
    with open_rules_site(tmp_path_factory.mktemp("layer")) as address:
        yield address


def switch(page: Page, name: str) -> Any:
    """The switch of a purpose or service."""
    return page.locator(f".gw-switch[value={name}]")


def open_all(page: Page) -> None:
    """Unfold the services, once they are there."""
    page.locator("summary").first.wait_for()
    for summary in page.locator("summary").all():
        summary.click()


def looks(page: Page, *names: str) -> list[str]:
    """What switches show: on, off, or some of each."""
    script = "i => i.indeterminate ? 'mixed' : i.checked ? 'on' : 'off'"
    return [switch(page, name).evaluate(script) for name in names]


def test_the_keyboard_opens_uses_and_closes_the_dialog(browser: Browser, url: str) -> None:
    """Opened by key the focus is at the dialog's title and stays in the dialog; Escape and the close button lead back to
    what opened it; nothing is chosen by that, and the page can be scrolled as before."""
    with opened(browser, url + "/?lang=nl") as page:
        settings = page.get_by_role("button", name="Instellingen")
        for leave in ("Escape", "Enter"):
            settings.focus()
            page.keyboard.press("Enter")
            expect(page.get_by_role("dialog", name="Cookie-instellingen")).to_be_visible()
            expect(page.locator("#gw-dialog-title")).to_be_focused()
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.textContent") == "Sluiten"
            for _ in range(30):
                page.keyboard.press("Tab")
                assert page.evaluate(
                    "document.activeElement === document.body || !!document.activeElement.closest('#gw-dialog')"
                )
            page.locator(".gw-close").focus()
            page.keyboard.press(leave)
            expect(page.locator("#gw-dialog")).to_have_count(0)
            expect(settings).to_be_focused()
        assert page.evaluate(STATE) == [[], []]
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("End")
        page.wait_for_function("scrollY > 100")


def test_a_purpose_s_switch_and_its_services_keep_in_step(browser: Browser, url: str) -> None:
    """A purpose's switch sets its services' switches; with some of them on it shows neither on nor off; what is saved is
    what is shown, without a reload, and the settings show it again."""
    names = (STATISTICS, "own_statistics", "voorbeeld_analytics")
    with opened(browser, url) as page:
        page.evaluate("window.notReloaded = true")
        page.get_by_role("button", name="Instellingen").click()
        open_all(page)
        assert looks(page, *names) == ["off"] * 3
        switch(page, STATISTICS).click()
        assert looks(page, *names) == ["on"] * 3
        switch(page, "own_statistics").click()
        assert looks(page, *names) == ["mixed", "off", "on"]
        switch(page, "crm").click()
        assert looks(page, MARKETING, "voorbeeld_pixel", "crm") == ["mixed", "off", "on"]
        switch(page, VIDEO).click()
        assert looks(page, "preferences", VIDEO) == ["on", "on"]
        page.get_by_role("button", name=SAVE).click()
        expect(page.locator("#gw-dialog")).to_have_count(0)
        expect(page.locator("#gw-banner")).to_have_count(0)
        assert page.evaluate("window.notReloaded")
        kept = [["analytics", "preferences"], ["crm", "voorbeeld_analytics", "voorbeeld_video"]]
        assert page.evaluate(STATE) == kept
        assert page.evaluate(
            "['crm', 'voorbeeld_pixel', 'preferences', 'own_statistics'].map(gateway.consent.has)"
        ) == [
            True,
            False,
            True,
            False,
        ]
        page.get_by_role("link", name="Cookie-instellingen").click()
        expect(page.locator("#gw-dialog")).to_be_visible()
        assert looks(page, *names, MARKETING, "crm") == ["mixed", "off", "on", "mixed", "on"]
        page.goto(url + "/_gw/preferences")
        assert looks(page, *names, MARKETING, "crm") == ["mixed", "off", "on", "mixed", "on"]
        switch(page, MARKETING).click()
        page.get_by_role("button", name=SAVE).click()
        expect(page.locator("#gw-status")).not_to_be_empty()
        assert looks(page, *names, MARKETING, "crm") == ["mixed", "off", "on", "on", "on"]


def test_what_is_taken_back_in_the_dialog_ends_with_a_new_page(browser: Browser, url: str) -> None:
    """One service switched off loads the page anew without it, here and in the other tab."""
    with opened(browser, url) as page:
        page.get_by_role("button", name="Alles accepteren").click()
        other = page.context.new_page()
        other.goto(url)
        other.evaluate("window.old = true")
        page.get_by_role("link", name="Cookie-instellingen").click()
        open_all(page)
        switch(page, "voorbeeld_pixel").click()
        with page.expect_navigation():
            page.get_by_role("button", name=SAVE).click()
        expect(page.locator("#gw-banner")).to_have_count(0)
        other.wait_for_function("!window.old && window.gateway")
        for tab in (page, other):
            assert tab.evaluate("['marketing', 'crm', 'voorbeeld_pixel'].map(gateway.consent.has)") == [
                True,
                True,
                False,
            ]


def test_without_scripts_the_page_means_what_it_shows(browser: Browser, url: str) -> None:
    """Without JavaScript a purpose's switch alone grants all of it and takes all of it back; a service's switch alone
    grants that service."""

    def save(page: Page, *names: str) -> list[Any]:
        page.goto(url + "/_gw/preferences?return_to=/")
        open_all(page)
        for name in names:
            switch(page, name).click()
        page.get_by_role("button", name=SAVE).click()
        got: dict[str, Any] = page.request.get(url + "/_gw/state").json()
        return [got["granted"], got["services"]]

    with opened(browser, url, java_script_enabled=False) as page:
        assert save(page, MARKETING) == [["marketing"], ["crm", "pardot", "voorbeeld_pixel"]]
        assert save(page, "crm") == [["marketing"], ["pardot", "voorbeeld_pixel"]]
        assert save(page, MARKETING) == [[], []]
        assert save(page, VIDEO) == [[], [VIDEO]]


def test_the_dialog_opens_under_a_strict_policy(browser: Browser, url: str) -> None:
    """Under `default-src 'self'` with trusted types required the dialog opens with its style, and nothing is reported."""
    with opened(browser, "about:blank") as page:
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.goto(url + "/?strict&lang=en")
        page.get_by_role("button", name="Settings").click()
        expect(page.get_by_role("dialog", name="Cookie settings")).to_be_visible()
        assert page.locator("#gw-dialog").evaluate("d => getComputedStyle(d).maxHeight") == "768px"
        refuse = page.locator("#gw-dialog").get_by_role("button", name="Reject all")
        refuse.scroll_into_view_if_needed()
        assert_equal_weight(page, "#gw-dialog")
        refuse.click()
        expect(page.locator("#gw-banner")).to_have_count(0)
        assert said == []


def test_a_site_s_own_style_changes_no_button_of_the_dialog(browser: Browser, url: str) -> None:
    """R4 on the second layer: whatever a site's style says, the dialog's buttons stay equal and readable."""
    with opened(browser, f"{url}/?hostile=_777", 360, 740) as page:
        page.get_by_role("button", name="Instellingen").click()
        page.locator("#gw-dialog").get_by_role("button", name=REFUSE).scroll_into_view_if_needed()
        assert_equal_weight(page, "#gw-dialog")


@pytest.mark.parametrize("language", ["nl", "en"])
def test_axe_finds_nothing_in_the_dialog(browser: Browser, url: str, language: str) -> None:
    """No violation in the open dialog, switches mixed, light and dark, at 320 and 1280 pixels, whatever colours the site gives
    its own buttons; nothing beside the screen."""
    with opened(browser, f"{url}/?lang={language}", locale=language) as page:
        page.add_style_tag(content="button { background: #e00 !important; color: #c00 !important }")
        page.locator("#gw-banner [data-gw-open]").click()
        open_all(page)
        switch(page, "crm").click()
        page.evaluate(Axe().axe_script)
        looked_at: Looks = (("light", 1280), ("dark", 320))
        for scheme, width in looked_at:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 800})
            found = AxeResults(page.evaluate("options => axe.run(options)", AXE))
            assert found.violations_count == 0, found.generate_report()
            box = page.locator("#gw-dialog").evaluate(
                "d => [d.scrollWidth <= d.clientWidth, d.getBoundingClientRect().x >= 0]"
            )
            assert box == [True, True]
