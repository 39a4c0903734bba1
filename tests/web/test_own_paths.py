"""A tool that the site serves from its own host waits for consent as any other does."""

from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from gateway.consent.tag_addresses import path_of
from tests.example_site import POLICY_TOML
from tests.flows.worker_parts import read_counts
from tests.web.gated_site import HOST, HTML, SAME_SITE, Answer, Pages, ask, visiting

POLICY = (
    POLICY_TOML
    + """
[[services]]
id = "meting"
purpose = "analytics"
name = "Meting"
paths = ["/matomo/matomo.js", "/stats/*"]
"""
)
TAGS = (
    '<script src="/matomo/matomo.js?v=2"></script><script src="//www.example.org/a/../matomo/%6Datomo.js"></script>'
    '<img src="https://www.example.org/stats/p.gif"><script src="matomo\\matomo.js"></script>'
    '<script src="/matomo/matomo.json"></script><img src="/logo.gif">'
)
SCRIPT = Answer(b"1", [(b"content-type", b"text/javascript")])


def test_its_tags_wait_and_nobody_else_gets_it(tmp_path: Path) -> None:
    """Before a yes each way of writing its address is held, in a whole and in a streamed page, and a script's own request is
    refused without the site being asked; its page can be gone to. With the yes all of it is as the site wrote it."""
    page = f"<!doctype html><html><head></head><body>{TAGS}</body></html>".encode()
    pages = Pages({"/matomo/matomo.js": SCRIPT, "/stats/p.gif": SCRIPT})
    settings = {"sites": [{"hosts": ["www.example.org"]}]}
    with visiting(tmp_path, pages, settings, policy=POLICY) as browser:
        for body in (page, [page[:70], page[70:]]):
            text = ask(browser, pages, Answer(body, headers=[HTML])).text
            assert text.count('data-gw-service="meting"') == 4
            assert '<script src="/matomo/matomo.json">' in text and '<img src="/logo.gif">' in text
        fetched = {**SAME_SITE, "accept": "*/*", "sec-fetch-dest": "empty"}
        asked = len(pages.scopes)
        for path in ("/matomo/matomo.js", "/stats/p.gif?x=1", "/matomo//x/../matomo.js", "/%73tats/p.gif"):
            assert browser.get(path, headers=fetched).status_code == 403
        assert len(pages.scopes) == asked
        assert browser.get("/stats/", headers={"sec-fetch-dest": "document"}).status_code == 200
        browser.choose("save", "analytics")
        assert browser.get("/matomo/matomo.js", headers=fetched).content == b"1"
        assert TAGS in ask(browser, pages, Answer(page, headers=[HTML])).text
    assert read_counts(tmp_path / "data")["held", "/stats/*", "request analytics"] == 2


LINK = b"</matomo/matomo.js>; rel=preload; as=script, <//www.example.org/stats/a.css>; rel=stylesheet, </a.css>; rel=stylesheet"
RULES = (
    '<script type="speculationrules">{"prefetch": [{"urls": ["/stats/next"]}]}</script>'
    '<script type="importmap">{"imports": {"a": "/matomo/matomo.js"}}</script>'
)


def test_headers_and_rules_lead_there_no_sooner(tmp_path: Path) -> None:
    """A `Link` header loses what leads there and keeps the rest; import maps and prefetch rules to it wait; with the yes they
    are as the site wrote them."""
    pages = Pages()
    page = f"<!doctype html><html><head>{RULES}</head><body></body></html>".encode()
    with visiting(tmp_path, pages, {"sites": [{"hosts": ["www.example.org"]}]}, policy=POLICY) as browser:
        got = ask(browser, pages, Answer(page, headers=[HTML, (b"link", LINK)]))
        assert got.headers["link"] == "</a.css>; rel=stylesheet"
        assert got.text.count('data-gw-purpose="analytics" data-gw-service="meting"') == 2
        browser.choose("save", "analytics")
        got = ask(browser, pages, Answer(page, headers=[HTML, (b"link", LINK)]))
        assert got.headers["link"] == LINK.decode()
        assert RULES in got.text


def test_no_socket_leads_there_either(tmp_path: Path) -> None:
    """A websocket to such a path is refused before it is accepted, and the site is not asked; with the yes it is."""
    asked: list[str] = []

    async def site(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            asked.append(scope["path"])
            await receive()
            await send({"type": "websocket.accept"})
        else:
            await Pages()(scope, receive, send)

    with visiting(tmp_path, site, policy=POLICY) as browser:
        with pytest.raises(WebSocketDisconnect), browser.websocket_connect(f"wss://{HOST}/stats/live"):
            pass
        assert asked == []
        with browser.websocket_connect("/gesprek"):
            pass
        browser.choose("save", "analytics")
        with browser.websocket_connect(f"wss://{HOST}/stats/live"):
            pass
    assert asked == ["/gesprek", "/stats/live"]


PATHS = [
    ("/a/./b/../c", "/a/c"),
    ("https://www.example.org/a%2Eb?x", "/a.b"),
    ("a", "/a"),
    ("//www.example.org/x/%2e%2e//a/", "/a/"),
    ("\t//www.example.org\\a", "/a"),
    ("http://[", ""),
]


@pytest.mark.parametrize(("address", "path"), PATHS)
def test_paths_are_read_as_browsers_do(address: str, path: str) -> None:
    """Folders of dots, back slashes and encoded letters hide nothing."""
    assert path_of(address) == path
