"""Headers and hints that lead the browser elsewhere are judged on every response, before its body."""

import asyncio
from pathlib import Path
from typing import Any

from gateway.front import ConsentMiddleware
from tests.web.gated_site import HTML, Answer, Pages, ask, drive, ready_config, visiting

LINK = (
    b"</a.css>; rel=preload, <https://evil.example/b.css>; rel=preload, <https://teller.example.net/>; rel=preconnect"
)


def test_links_to_refused_hosts_leave_the_head(tmp_path: Path) -> None:
    """Of pages and of everything else; what is granted or the site's own stays."""
    pages = Pages()
    with visiting(tmp_path, pages) as browser:
        for kind in (HTML, (b"content-type", b"text/css")):
            answer = Answer(headers=(kind, (b"Link", LINK), (b"Refresh", b"0;url=https://evil.example/")))
            got = ask(browser, pages, answer)
            assert got.headers["link"] == "</a.css>; rel=preload"
            assert "refresh" not in got.headers
        browser.choose("accept_all")
        got = ask(browser, pages, Answer(headers=(HTML, (b"link", LINK))))
        assert got.headers["link"] == "</a.css>; rel=preload, <https://teller.example.net/>; rel=preconnect"


def test_observing_leaves_them(tmp_path: Path) -> None:
    """While observing they are listed only."""
    pages = Pages()
    with visiting(tmp_path, pages, {"mode": "observe"}) as browser:
        got = ask(browser, pages, Answer(headers=(HTML, (b"link", LINK))))
    assert got.headers["link"] == LINK.decode()


def test_no_hint_goes_before_the_head(tmp_path: Path) -> None:
    """An app is not told that the server could send early hints, push responses, or send files by itself."""
    told: list[Any] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        told.append(set(scope["extensions"]))
        await Answer()(scope, receive, send)

    app = ConsentMiddleware(page, ready_config(tmp_path))
    ways = ("early_hint", "push", "pathsend", "zerocopysend", "trailers")

    async def with_extensions(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "extensions": {f"http.response.{way}": {} for way in ways}}, receive, send)

    running, sent = drive(with_extensions)
    asyncio.run(running)
    assert told == [{"http.response.trailers"}]
    assert sent[0]["status"] == 200
