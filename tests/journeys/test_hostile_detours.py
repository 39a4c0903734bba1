"""Pages that lead a browser elsewhere as a whole: `meta` refresh, `base`, `document.write`. Foreign hosts' own logs say whom a
visitor's choice let in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext

from gateway import ConsentMiddleware
from gateway.demo.loopback import LoopbackServer
from tests.journeys.browsing import choose, open_browser, open_context
from tests.journeys.hostile_page import ForeignHosts
from tests.journeys.test_hostile_page import NAMES, POLICY
from tests.web.gated_site import ready_config

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

SETTLED = 1500  # milliseconds after which nothing more is contacted
# Each page by its path; H is the foreign host with its scheme, N its short name. A way asks for a file of its own.
PAGES = {
    "refresh": "<meta http-equiv=refresh content='0; url=H/refresh.html'>",
    "plain-refresh": "<META CONTENT='0;H/plain.html' HTTP-EQUIV=Refresh>",
    "hidden-refresh": "<body><p>x<meta http-equiv='&#114;efresh' "
    "content='0,URL=&quot;&#104;ttp&colon;//N:PORT/hidden.html&quot;'>",
    "noscript-refresh": "<noscript><meta http-equiv=refresh content='0; url=H/noscript.html'></noscript>",
    "base": "<base href='H/based/'><base href='/own/'><link rel=stylesheet href=a.css><body><img src=a.gif alt=''>"
    "<script src=a.js></script><iframe src=a.html></iframe><video preload=auto src=a.mp4></video>"
    "<script>new Image().src = 'made.gif'; fetch('fetched.gif', {mode: 'no-cors'}).catch(() => {})</script>",
    "second-base": "<base target=_self><base href='//N:PORT/second/'><body><img srcset='b.gif 1x' alt=''>"
    "<script type=module>import('./b.mjs').catch(() => {})</script>",
    "made-base": "<body><script>const b = document.createElement('base'); b.href = 'H/made/'; document.head.append(b);"
    "new Image().src = 'c.gif'; document.write('<img src=d.gif>');"
    "fetch('e.gif', {mode: 'no-cors'}).catch(() => {}); queueMicrotask(() => b.remove())</script>",
    "written": "<body><script>document.write('<script src=H/written.js><\\/script><iframe src=H/written.html></iframe>"
    "<img src=H/written.gif><link rel=stylesheet href=H/written.css>');</script>",
    "written-late": "<body><script>addEventListener('load', () => { document.open(); document.write("
    "'<!doctype html><script src=H/late.js><\\/script><iframe src=H/late.html></iframe>'); document.close() })</script>",
    "written-frame": "<body><iframe></iframe><script>const d = document.querySelector('iframe').contentDocument;"
    "d.write('<base href=H/><script src=inside.js><\\/script><img src=inside.gif>'); d.close()</script>",
}
WITHOUT_SCRIPTS = {"noscript.html"}


class DetourSite:
    """An ASGI app: `/<page>/<name>` is that page, leading to the host of that name; all else is nothing."""

    def __init__(self, port: int) -> None:
        self._port = port

    def _page(self, path: str) -> str:
        page, _, name = path.strip("/").partition("/")
        host = f"{name}.localhost"
        text = PAGES.get(page, "<h1>x</h1>") if name in NAMES or page not in PAGES else ""
        text = text.replace("H/", f"http://{host}:{self._port}/").replace("N:PORT", f"{host}:{self._port}")
        return f"<!doctype html><html lang=nl><title>x</title>{text}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        found = "." not in scope["path"]
        headers = [(b"content-type", b"text/html; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
        await send({"type": "http.response.body", "body": self._page(scope["path"]).encode() if found else b""})


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


@contextmanager
def open_site(folder: Path | None = None) -> Iterator[tuple[str, ForeignHosts]]:
    """The site, with a folder behind the gateway as it comes, and its foreign hosts."""
    hosts = ForeignHosts()
    foreign = LoopbackServer(hosts)
    site = DetourSite(foreign.port)
    own = LoopbackServer(ConsentMiddleware(site, ready_config(folder, policy=POLICY)) if folder else site)
    for server in (foreign, own):
        server.start()
    try:
        yield f"http://127.0.0.1:{own.port}", hosts
    finally:
        own.stop()
        foreign.stop()


def visit_all(context: BrowserContext, url: str, hosts: ForeignHosts) -> set[tuple[str, str]]:
    """Open every page for every host, each in a tab of its own; gives what the foreign hosts were asked for."""
    hosts.log.clear()
    tabs = []
    for path in PAGES:
        for name in NAMES:
            tabs.append(context.new_page())
            tabs[-1].goto(f"{url}/{path}/{name}", wait_until="commit")
    tabs[-1].wait_for_timeout(SETTLED)
    for tab in tabs:
        tab.close()
    return {(name, file) for name, file in hosts.log if file != "favicon.ico"}


def test_no_detour_leads_to_whom_the_visitor_did_not_choose(browser: Browser, tmp_path: Path) -> None:
    """By themselves the pages reach each host in some twenty ways. Behind the gateway none is reached before a choice; with one
    purpose its host in every one of them and no other, and for nothing of ours."""
    with open_site() as (url, hosts):
        control = visit_all(open_context(browser), url, hosts)
        files = {file for _, file in control}
        assert control == {(name, file) for name in NAMES for file in files}
        assert files >= {"made/c.gif", "made/d.gif", "made/e.gif", "second/b.mjs", "inside.js", "late.js", "written.js"}
        assert len(files) >= 23
    with open_site(tmp_path) as (url, hosts):
        context = open_context(browser)
        assert visit_all(context, url, hosts) == set()
        choose(context, url, button="Keuze opslaan", purpose="analytics")
        assert visit_all(context, url, hosts) == {one for one in control if one[0] == "teller"}


def test_without_scripts_no_detour_leads_there_either(browser: Browser, tmp_path: Path) -> None:
    """What only browsers without scripts read, such as a refresh in a `noscript`, waits after a refusal as well."""
    with open_site() as (url, hosts):
        control = visit_all(open_context(browser, scripts=False), url, hosts)
        assert {file for _, file in control} >= WITHOUT_SCRIPTS
    with open_site(tmp_path) as (url, hosts):
        context = open_context(browser, scripts=False)
        choose(context, url, button="Alles weigeren")
        assert visit_all(context, url, hosts) == set()
        choose(context, url, button="Keuze opslaan", purpose="analytics")
        assert visit_all(context, url, hosts) == {one for one in control if one[0] == "teller"}
