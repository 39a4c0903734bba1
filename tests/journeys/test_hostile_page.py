"""A page that contacts foreign hosts in every way, in a real browser: their own logs say what a visitor's choice is worth."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from gateway import ConsentMiddleware
from gateway.demo.loopback import LoopbackServer
from tests.example_site import POLICY_TOML
from tests.journeys.browsing import open_browser, open_context
from tests.journeys.hostile_page import HEAD, ForeignHosts, HostileSite
from tests.web.gated_site import ready_config

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

NAMES = ("teller", "film", "vreemd")  # of statistics, of marketing, of nobody
POLICY = POLICY_TOML.replace('"teller.example.net"', '"teller.localhost"').replace(
    '"video.example.net"', '"film.localhost"'
)
POLICY = POLICY.replace('name = "Teller"', 'name = "Teller"\ninline = ["foreignTag(\'teller-"]').replace(
    'name = "Voorbeeld Video"', 'name = "Voorbeeld Video"\ninline = ["foreignTag(\'film-"]'
)
MOST_WAYS = 33
# What nobody sees happen in a browser without a window: these are proven by the tables of tests/consent alone.
UNSEEN = {"manifest.json", "icon.gif", ""}
# What a page does while it is read and cannot do again: headers, modules that were looked for before, animations begun.
ON_THE_NEXT_PAGE = {"link.css", "mapped.mjs", "animated.gif"}
# A script whose text names no service passes the tags' gate; the page's content policy is what stops it.
UNSIGNED = {("vreemd", "inline.gif")}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


@contextmanager
def open_site(
    folder: Path, *, gated: bool, kind: type[HostileSite] = HostileSite
) -> Iterator[tuple[str, ForeignHosts]]:
    """The hostile site, behind the gateway or not, with its foreign hosts. No browser refuses anything: what is held is held by
    the gateway."""
    hosts = ForeignHosts()
    foreign = LoopbackServer(hosts)
    site = kind(foreign.port, NAMES)
    config = ready_config(folder, {"sites": [{"csp": "report"}]}, policy=POLICY)
    own = LoopbackServer(ConsentMiddleware(site, config) if gated else site)
    for server in (foreign, own):
        server.start()
    try:
        yield f"http://127.0.0.1:{own.port}", hosts
    finally:
        own.stop()
        foreign.stop()


def visit(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_timeout(3500)


def seen(hosts: ForeignHosts, *names: str) -> set[tuple[str, str]]:
    return {(name, file) for name, file in hosts.log if name in names and file not in UNSEEN}


def watch(page: Page, hosts: ForeignHosts) -> set[tuple[str, str]]:
    """All that a page asks of others by itself: once each was asked in most ways, and nobody anything more for a while."""
    until, before = time.monotonic() + 60, -1
    while before < len(hosts.log) or min(Counter(name for name, _ in seen(hosts, *NAMES)).values()) < MOST_WAYS:
        assert time.monotonic() < until, hosts.log
        before = len(hosts.log)
        page.wait_for_timeout(2000)
    return seen(hosts, *NAMES)


def wait_for(page: Page, hosts: ForeignHosts, expected: set[tuple[str, str]]) -> None:
    """Until all of it was asked for, and a moment for what should not be."""
    until = time.monotonic() + 60
    while missing := expected - set(hosts.log):
        assert time.monotonic() < until, missing
        page.wait_for_timeout(100)
    page.wait_for_timeout(1000)


def test_a_hostile_page_contacts_whom_the_visitor_chose(browser: Browser, tmp_path: Path) -> None:
    """By itself the page contacts three hosts in some forty ways. Behind the gateway, before a choice and after refusing,
    their logs are empty; after accepting, without a reload, both named hosts are contacted in every one of these ways and
    the third in none; with one purpose alone, its host alone."""
    with open_site(tmp_path / "bare", gated=False) as (url, hosts):
        page = open_context(browser).new_page()
        page.goto(url)
        control = watch(page, hosts)
    with open_site(tmp_path / "gated", gated=True) as (url, hosts):
        for path in ("/", "/stream", "/refresh"):
            visit(open_context(browser).new_page(), url + path)
            assert set(hosts.log) <= UNSIGNED
        refuser = open_context(browser).new_page()
        refuser.goto(url)
        refuser.get_by_role("button", name="Alles weigeren").click()
        visit(refuser, url)
        assert set(hosts.log) <= UNSIGNED
        page = open_context(browser).new_page()
        visit(page, url)
        page.evaluate("window.notReloaded = true")
        page.get_by_role("button", name="Alles accepteren").click()
        wait_for(page, hosts, {one for one in control if one[0] != "vreemd" and one[1] not in ON_THE_NEXT_PAGE})
        assert page.evaluate("window.notReloaded") is True
        assert {one for one in hosts.log if one[0] == "vreemd"} <= UNSIGNED
        scripts = Counter(file for name, file in hosts.log if name == "teller")
        assert [scripts[file] for file in ("first.js", "second.js", "async.js", "svg.js", "inline.gif")] == [1] * 5
        ran = [name for name in page.evaluate("ran") if name.endswith(("first.js", "second.js"))]
        assert [name.rpartition("/")[2] for name in ran] == ["first.js", "second.js"] * 2
    with open_site(tmp_path / "partly", gated=True) as (url, hosts):
        page = open_context(browser).new_page()
        page.goto(url + "/_gw/preferences")
        page.locator('input[value="analytics"]').check()
        page.get_by_role("button", name="Keuze opslaan").click()
        page.wait_for_timeout(500)
        for path in ("/", "/stream"):
            hosts.log.clear()
            page.goto(url + path)
            wait_for(page, hosts, {one for one in control if one[0] == "teller"})
            assert {one for one in hosts.log if one[0] != "teller"} <= UNSIGNED


class TidyingSite(HostileSite):
    """The same site, of which a held script takes away the places of others that wait for their turn."""

    def page(self) -> str:
        """A script whose place goes, one in a frame that goes, and one behind them."""
        tidy = "<script>foreignTag('film-'); document.querySelectorAll('.gone').forEach(one => one.remove())</script>"
        gone = "<p class=gone><script src=HOST/gone.js></script></p>"
        framed = """<iframe class=gone srcdoc="<script src=HOST/framed.js></script>"></iframe>"""
        return HEAD + tidy + self.fill(gone + framed + "<script src=HOST/after.js></script>", "film")


def test_a_script_whose_place_is_gone_keeps_no_other_waiting(browser: Browser, tmp_path: Path) -> None:
    """Scripts are let go in their order, each when the one before has run; one that was taken out of the page meanwhile never
    runs, and those behind it do."""
    with open_site(tmp_path, gated=True, kind=TidyingSite) as (url, hosts):
        page = open_context(browser).new_page()
        page.goto(url)
        page.get_by_role("button", name="Alles accepteren").click()
        wait_for(page, hosts, {("film", "after.js")})
        assert hosts.log == [("film", "after.js")]
