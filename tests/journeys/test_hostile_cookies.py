"""Optional cookies that come by other ways than the site's own answers: tossed by another host of the domain, set for the whole
domain by a script. The site never gets them without consent, and the browser does not keep them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext

from gateway import ConsentMiddleware
from gateway.demo.loopback import LoopbackServer
from tests.journeys.browsing import choose, open_browser, open_context
from tests.web.gated_site import ready_config

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

DOMAIN = "voorbeeld.localhost"
TOSSED = [
    f"sessionid=1; Path=/; Domain={DOMAIN}",
    f"_ads=1; Path=/; Domain={DOMAIN}",
    f"_ads=2; Path=/diep; Domain={DOMAIN}",
    f"_tel=1; Path=/; Domain={DOMAIN}; HttpOnly",
    f"_tel_x=1; Path=/diep/pagina; Domain={DOMAIN}; SameSite=Lax",
    f"onbekend=1; Path=/; Domain={DOMAIN}",
]
OPTIONAL = {"_ads", "_tel", "_tel_x"}
SCRIPT = f"""<script>
document.cookie = "_ads=1; path=/; domain={DOMAIN}";
document.cookie = "_tel=1; path=/; domain=.{DOMAIN}; max-age=9999999";
document.cookie = "_tel_x=1; path=/diep; domain=www.{DOMAIN}";
document.cookie = "=_ads=1";
window.kept = window.cookieStore
  ? cookieStore.set({{name: "_tel_store", value: "1", domain: "{DOMAIN}"}}).catch(() => {{}}) : Promise.resolve();
</script>"""


@dataclass
class CookieSites:
    """The gated site at `www`, and another host of its domain that is not behind the gateway; `sent` are the cookies that
    the gated site was sent, each request's by name and value."""

    port: int = 0
    other: int = 0
    sent: list[set[str]] = field(default_factory=list)

    def take(self) -> set[str]:
        """What was sent since the last call, of all requests together."""
        taken = {one for cookies in self.sent for one in cookies}
        self.sent.clear()
        return taken

    @property
    def url(self) -> str:
        return f"http://www.{DOMAIN}:{self.port}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The gated site: `/script` sets cookies by script, `/toss` tosses them in its answer."""
        header = dict(scope["headers"]).get(b"cookie", b"").decode()
        self.sent.append({one.strip() for one in header.split(";") if one.strip()})
        await _answer(send, scope["path"], TOSSED if scope["path"] == "/toss" else [])


async def toss(scope: Any, receive: Any, send: Any) -> None:
    """The other host: every answer sets cookies for the whole domain."""
    await _answer(send, scope["path"], TOSSED)


async def _answer(send: Any, path: str, cookies: list[str]) -> None:
    kind, head = (
        b"image/gif" if "." in path else b"text/html; charset=utf-8",
        SCRIPT if path == "/script" else "",
    )
    headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
    headers += [(b"set-cookie", cookie.encode()) for cookie in cookies]
    page = f"<!doctype html><html lang=nl><head>{head}<title>x</title></head><body><h1>x</h1><img src=/beeld.gif alt=''></body>"
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": page.encode()})


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


@contextmanager
def open_sites(folder: Path, mode: str = "enforce", **site: Any) -> Iterator[CookieSites]:
    """Both hosts; the gate observes or enforces, with settings of its own."""
    sites = CookieSites()
    config = ready_config(folder, {"mode": mode, "sites": [{"id": "main", **site}]})
    servers = [
        LoopbackServer(ConsentMiddleware(sites, config)),
        LoopbackServer(toss),
    ]
    sites.port, sites.other = (server.port for server in servers)
    for server in servers:
        server.start()
    try:
        yield sites
    finally:
        for server in servers:
            server.stop()


def visit(context: BrowserContext, url: str) -> None:
    page = context.new_page()
    page.goto(url)
    page.evaluate("window.kept")
    page.wait_for_load_state("networkidle")
    page.close()


def kept(context: BrowserContext) -> set[str]:
    """Names of the cookies that the browser holds, without ours."""
    return {str(cookie.get("name")) for cookie in context.cookies() if "gw_" not in str(cookie.get("name"))}


def test_what_another_host_of_the_domain_tosses_is_not_taken_up(browser: Browser, tmp_path: Path) -> None:
    """The site is sent the necessary one alone, by pages and images; with its pages each optional one goes out of the
    browser, whatever its path and flags. What no service names stays, since another host may need it, and is never passed
    on. After one purpose exactly its cookies reach the site and stay; after a withdrawal they are gone again."""
    with open_sites(tmp_path) as sites:
        context, deep = open_context(browser), sites.url + "/diep/pagina"
        tosser = f"http://ander.{DOMAIN}:{sites.other}/"
        visit(context, tosser)
        assert kept(context) == {"sessionid", "onbekend"} | OPTIONAL
        visit(context, deep)
        visit(context, deep)  # so many headers of so many names do not fit into one answer
        assert (sites.take(), kept(context)) == ({"sessionid=1"}, {"sessionid", "onbekend"})
        choose(context, sites.url, button="Alles weigeren")
        visit(context, tosser)
        visit(context, deep)
        visit(context, deep)
        assert (sites.take(), kept(context)) == ({"sessionid=1"}, {"sessionid", "onbekend"})
        choose(context, sites.url, button="Keuze opslaan", purpose="marketing")
        visit(context, tosser)
        visit(context, deep)
        assert (sites.take(), kept(context)) == ({"sessionid=1", "_ads=1", "_ads=2"}, {"sessionid", "onbekend", "_ads"})
        choose(context, sites.url, button="Alles weigeren")
        sites.take()  # that page's icon was asked for before
        visit(context, deep)
        assert (sites.take(), kept(context)) == ({"sessionid=1"}, {"sessionid", "onbekend"})


def test_a_host_behind_the_gateway_tosses_none(browser: Browser, tmp_path: Path) -> None:
    """Behind the gateway an answer cannot set optional or unknown cookies for the domain in the first place."""
    with open_sites(tmp_path) as sites:
        context = open_context(browser)
        visit(context, f"http://winkel.{DOMAIN}:{sites.port}/toss")
        assert kept(context) == {"sessionid"}
        visit(context, sites.url)
        assert sites.take() == {"sessionid=1"}


def test_what_a_script_sets_for_the_domain_is_gone_with_the_next_page(browser: Browser, tmp_path: Path) -> None:
    """By `document.cookie` or the cookie store, for the host or the whole domain: the site is never sent it, and the next page
    takes it out of the browser. While observing it all passes, so the ways do work."""
    with open_sites(tmp_path / "observed", "observe") as sites:
        context = open_context(browser)
        visit(context, sites.url + "/script")
        visit(context, sites.url + "/diep/pagina")
        names = {one.partition("=")[0] for one in sites.take()}
        assert names == {*OPTIONAL, "_tel_store"}
    with open_sites(tmp_path / "enforced") as sites:
        context = open_context(browser)
        visit(context, sites.url + "/script")
        assert kept(context) >= {*OPTIONAL, "_tel_store"}
        visit(context, sites.url + "/diep/pagina")
        assert sites.take() == set()
        assert kept(context) == set()


def test_a_choice_holds_on_every_host_of_the_domain(browser: Browser, tmp_path: Path) -> None:
    """With `cookie_domain` who has answered on one host is asked on none, and what was granted there is passed on here; taken
    back on the second host it is gone on the first. Without it each host asks for itself."""
    domain = f".{DOMAIN}"
    optional = [{"name": "_ads", "value": "1", "domain": domain, "path": "/"}]
    for settings, shared in (({"cookie_domain": DOMAIN}, True), ({}, False)):
        with open_sites(tmp_path / str(shared), **settings) as sites:
            context, other = open_context(browser), f"http://winkel.{DOMAIN}:{sites.port}"
            choose(context, sites.url, button="Keuze opslaan", purpose="marketing")
            context.add_cookies(optional)  # type: ignore[arg-type]
            sites.take()
            page = context.new_page()
            page.goto(other)
            assert (page.locator("#gw-banner").count() == 0) is shared
            assert ("_ads=1" in sites.take()) is shared
            choose(context, other, button="Alles weigeren")
            context.add_cookies(optional)  # type: ignore[arg-type]
            visit(context, sites.url)
            sites.take()
            visit(context, sites.url)
            assert ("_ads=1" in sites.take()) is not shared
