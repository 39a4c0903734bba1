"""Chromium for the journeys: the system's own, headless, with an agent string that is not a robot's."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from gateway.survey import chromium
from gateway.survey.chromium import AGENT

CHROMIUM = "/usr/bin/chromium"
FLAGS = [*chromium.FLAGS, "--no-sandbox"]
expect.set_options(timeout=30_000)  # on a machine that is busy with others; what is there is seen at once


@contextmanager
def open_browser(*, back_forward_cache: bool = False) -> Iterator[Browser]:
    """A browser; closed at the end. Playwright switches off the cache for pages that one comes back to."""
    without = ["--disable-back-forward-cache"] if back_forward_cache else None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, ignore_default_args=without)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_without_cookies(browser: Browser, profile: Path) -> Iterator[BrowserContext]:
    """A second browser whose settings block every cookie and all other storage, as a visitor may have it."""
    (profile / "Default").mkdir(parents=True)
    settings = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (profile / "Default" / "Preferences").write_text(json.dumps(settings))
    context = browser.browser_type.launch_persistent_context(
        profile, executable_path=CHROMIUM, args=FLAGS, locale="nl-NL", user_agent=AGENT
    )
    try:
        yield context
    finally:
        context.close()


def open_context(browser: Browser, *, scripts: bool = True, language: str = "nl-NL") -> BrowserContext:
    """A visitor's fresh profile."""
    return browser.new_context(
        java_script_enabled=scripts,
        locale=language,
        user_agent=AGENT,
        viewport={"width": 1280, "height": 800},
        timezone_id="Europe/Amsterdam",
    )


def choose(context: BrowserContext, url: str, *, button: str, purpose: str = "") -> None:
    """Press a button of the settings page, after one purpose has been switched on; done when the browser has been answered."""
    page = context.new_page()
    page.goto(url + "/_gw/preferences")
    if purpose:
        page.locator(f'input[name="purpose"][value="{purpose}"]').check()
    page.get_by_role("button", name=button).click()
    page.wait_for_load_state("networkidle")
    page.close()
