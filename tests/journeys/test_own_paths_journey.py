"""A tool served from the site's own host, in a real browser: whatever leads there waits, and the site's own log says so."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from gateway import ConsentMiddleware
from gateway.demo.foreign import GIF
from gateway.demo.loopback import LoopbackServer
from tests.example_site import POLICY_TOML
from tests.journeys.browsing import open_browser, open_context
from tests.web.gated_site import ready_config

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

POLICY = (
    POLICY_TOML
    + """
[[services]]
id = "meting"
purpose = "analytics"
name = "Meting"
paths = ["/meting/*"]
"""
)
# What can be held is let go by the choice; what is asked for at once and refused is over.
HELD = {
    "script.js": "add('script', {src: '/meting/script.js'})",
    "later.js": "const s = add('script', {}); s.src = '/meting/later.js'",
    "written.js": "add('script', {src: '//' + location.host + '/x/../m%65ting/written.js'})",
    "frame.html": "add('iframe', {src: '/meting/frame.html'})",
    "image.gif": "add('img', {src: 'meting/image.gif'})",
    "set.gif": "add('img', {srcset: '/meting/set.gif 1x'})",
    "sheet.css": "add('link', {rel: 'stylesheet', href: '/meting/sheet.css'})",
    "parsed.gif": "add('div', {innerHTML: '<img src=/meting/parsed.gif>'})",
}
OVER = {
    "fetch.gif": "fetch('/meting/fetch.gif')",
    "dotted.gif": "fetch('/x/%2e%2E/m%65ting/dotted.gif')",
    "beacon.gif": "navigator.sendBeacon('/meting/beacon.gif', 'x')",
    "socket": "new WebSocket(location.origin.replace('http', 'ws') + '/meting/socket')",
    "events": "new EventSource('/meting/events')",
    "module.mjs": "import('/meting/module.mjs').catch(() => {})",
    "worker.js": "new Worker('/meting/worker.js')",
    "import.css": "add('style', {textContent: '@import url(/meting/import.css)'})",
    "redirected.gif": "fetch('/go')",
}
ADD = """const add = (name, values) => {
  const made = document.createElement(name);
  document.body.append(made);
  return Object.assign(made, values);
};"""
TAGS = '<script src="/meting/tag.js"></script><img src="/meting/tag.gif" alt=""><img src="/eigen.gif" alt="">'
PARSED = {"tag.js", "tag.gif"}
HINTS = b"</meting/hint.css>; rel=preload; as=style, </eigen.css>; rel=preload; as=style"


class OwnSite:
    """An ASGI app that serves the tool under `/meting/` beside its page, and keeps what it is asked there."""

    def __init__(self) -> None:
        self.asked: set[str] = set()
        ways = "".join(f"try {{ (() => {{ {way} }})() }} catch {{}}\n" for way in (HELD | OVER).values())
        start = f"addEventListener('load', () => {{ {ADD}\n{ways} }})"
        self.page = (
            f"<!doctype html><html lang=nl><title>x</title><body><h1>x</h1>{TAGS}<script>{start}</script></body>"
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith("/meting/"):
            self.asked.add(scope["path"].removeprefix("/meting/"))
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
            return
        kinds = {"js": b"text/javascript", "mjs": b"text/javascript", "gif": b"image/gif", "css": b"text/css"}
        kind = kinds.get(scope["path"].rpartition(".")[2], b"text/html; charset=utf-8")
        body = self.page.encode() if scope["path"] == "/" else GIF if kind == b"image/gif" else b""
        headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
        headers += [(b"link", HINTS)] if scope["path"] == "/" else []
        status = 302 if scope["path"] == "/go" else 200
        headers += [(b"location", b"/meting/redirected.gif")] if status == 302 else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


@contextmanager
def open_site(folder: Path | None = None) -> Iterator[tuple[str, OwnSite]]:
    """The site; with a folder behind the gateway, which guards what scripts add; no browser refuses anything."""
    site = OwnSite()
    app: Any = site
    if folder:
        app = ConsentMiddleware(
            site, ready_config(folder, {"sites": [{"guard": True, "csp": "report"}]}, policy=POLICY)
        )
    server = LoopbackServer(app)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.port}", site
    finally:
        server.stop()


def visit(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_timeout(1500)


def test_whatever_leads_to_a_tool_of_the_site_s_own_waits(browser: Browser, tmp_path: Path) -> None:
    """By itself the page asks for the tool in some twenty ways. Before a choice and after refusing the site is asked for
    nothing of it; a yes lets go, without a reload, of what tags and scripts had put into the page; the next page has all."""
    with open_site() as (url, site):
        visit(open_context(browser).new_page(), url)
        assert site.asked == {*HELD, *OVER, *PARSED, "hint.css"}
    with open_site(tmp_path) as (url, site):
        page = open_context(browser).new_page()
        visit(page, url)
        assert site.asked == set()
        held = page.locator('[data-gw-service="meting"]')
        assert held.count() == len(HELD) + len(PARSED)
        page.get_by_role("button", name="Alles weigeren").click()
        visit(page, url)
        assert site.asked == set()
        page = open_context(browser).new_page()
        visit(page, url)
        page.evaluate("window.notReloaded = true")
        page.get_by_role("button", name="Alles accepteren").click()
        expect(page.locator("#gw-banner")).to_have_count(0)
        page.wait_for_timeout(1500)
        assert page.evaluate("window.notReloaded") is True
        assert site.asked == {*HELD, *PARSED}
        visit(page, url)
        assert site.asked == {*HELD, *OVER, *PARSED, "hint.css"}
