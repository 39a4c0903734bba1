"""What a site's own scripts try by themselves: under an enforced content policy the browser refuses it, and foreign hosts' own
logs say so."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from gateway import ConsentMiddleware
from gateway.demo.loopback import LoopbackServer
from tests.journeys.browsing import choose, open_browser, open_context
from tests.journeys.hostile_page import ForeignHosts
from tests.journeys.scripted_site import MORE, WAYS, ScriptedSite
from tests.journeys.test_hostile_page import NAMES, POLICY
from tests.web.gated_site import ready_config

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

SETTLED = 2500  # milliseconds after which nothing more is contacted
UNSEEN = {"service.gif"}  # where the browser of the day installs no service worker without a window


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


@contextmanager
def open_site(folder: Path, csp: str = "") -> Iterator[tuple[str, ForeignHosts]]:
    """The scripted site with a tag of its own kind in the mark-up; with `csp` behind the gateway."""
    hosts = ForeignHosts()
    foreign = LoopbackServer(hosts)
    marked = f'<img src="http://film.localhost:{foreign.port}/marked.gif" alt="">'
    site = ScriptedSite(foreign.port, NAMES, marked)
    config = ready_config(folder, {"sites": [{"csp": csp}]}, policy=POLICY) if csp else None
    own = LoopbackServer(ConsentMiddleware(site, config) if config else site)
    for server in (foreign, own):
        server.start()
    try:
        yield f"http://127.0.0.1:{own.port}", hosts
    finally:
        own.stop()
        foreign.stop()


def visit(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_timeout(SETTLED)


def test_scripts_reach_nobody_without_consent(browser: Browser, tmp_path: Path) -> None:
    """By itself the page reaches three hosts in some thirty ways each. Before a choice and after refusing it reaches none;
    after accepting one purpose exactly its host, after accepting everything both named ones, and the third never."""
    with open_site(tmp_path / "bare") as (url, hosts):
        visit(open_context(browser).new_page(), url)
        control = {file for name, file in hosts.log if name == "vreemd"}
    assert set(WAYS) - UNSEEN <= control
    with open_site(tmp_path / "gated", "enforce") as (url, hosts):
        page = open_context(browser).new_page()
        visit(page, url)
        assert hosts.log == []
        page.get_by_role("button", name="Alles weigeren").click()
        visit(page, url)
        assert hosts.log == []
        page.goto(url + "/_gw/preferences")
        page.locator('input[name="purpose"][value="analytics"]').check()
        page.get_by_role("button", name="Keuze opslaan").click()
        page.wait_for_timeout(500)
        visit(page, url)
        assert {name for name, _ in hosts.log} == {"teller"}
        # A service worker outlasts a withdrawal, and so may a kept copy of a script: they never get to more than what is
        # necessary.
        assert control - {file for _, file in hosts.log} - {"marked.gif"} == {"service.gif", "kept.gif"} & control
        other = open_context(browser).new_page()
        hosts.log.clear()
        visit(other, url)
        assert hosts.log == []
        other.get_by_role("button", name="Alles accepteren").click()
        other.wait_for_timeout(SETTLED + 1000)
        assert {name for name, _ in hosts.log} == {"teller", "film"}
        assert ("film", "marked.gif") in hosts.log


def test_roundabout_ways_lead_to_nobody_either(browser: Browser, tmp_path: Path) -> None:
    """Redirects, frames within frames, workers of every kind, and documents of the site's own that are no page, into which a
    script reaches: nobody is contacted before a choice, and with one purpose its host alone, never from within such a one."""
    with open_site(tmp_path / "bare") as (url, hosts):
        page = open_context(browser).new_page()
        page.goto(url + "/more")
        begun = time.monotonic()
        while missed := set(MORE) - {file for name, file in hosts.log if name == "vreemd"}:
            assert time.monotonic() - begun < 30, missed
            page.wait_for_timeout(200)
        needed = 1000 * (time.monotonic() - begun) + SETTLED
    with open_site(tmp_path / "gated", "enforce") as (url, hosts):
        context = open_context(browser)
        page = context.new_page()
        page.goto(url + "/more")
        page.wait_for_timeout(needed)
        assert hosts.log == []
        choose(context, url, button="Keuze opslaan", purpose="analytics")
        page.goto(url + "/more")
        page.wait_for_timeout(needed)
        assert set(hosts.log) == {("teller", file) for file in MORE if not file.startswith("within-")}


def test_under_a_policy_that_only_reports_nothing_is_loaded_anew(browser: Browser, tmp_path: Path) -> None:
    """What a browser would refuse is reported and counted, and a yes lets go of held tags without a reload."""
    with open_site(tmp_path, "report") as (url, hosts):
        page = open_context(browser).new_page()
        with page.expect_request("**/_gw/violations"):
            visit(page, url)
        page.evaluate("window.notReloaded = true")
        page.get_by_role("button", name="Alles accepteren").click()
        page.wait_for_timeout(1000)
        assert page.evaluate("window.notReloaded") is True
        assert ("film", "marked.gif") in hosts.log


def test_cookies_that_scripts_set_do_not_stay(browser: Browser, tmp_path: Path) -> None:
    """Optional cookies set by a script without consent never reach the site and are gone with the next page."""
    with open_site(tmp_path, "enforce") as (url, _):
        context = open_context(browser)
        page = context.new_page()
        page.goto(url + "/cookies")
        assert {cookie.get("name") for cookie in context.cookies()} == {"_ads", "_tel"}
        page.goto(url + "/cookies/plain")
        assert context.cookies() == []
