"""The gate on every request: nothing optional before yes, everything else as it was."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.front import ConsentMiddleware
from tests.example_site import POLICY_TOML
from tests.flows.worker_parts import read_counts, read_recorded
from tests.web.gated_site import (
    BROWSER,
    COOKIES,
    HOST,
    HTML,
    PAGE,
    Answer,
    Browser,
    Header,
    Pages,
    ask,
    body_of,
    drive,
    has_banner,
    ready_config,
    set_cookies,
    visiting,
)

CLOSED = "content-security-policy"
TEXT: Header = (b"content-type", b"text/plain")


def test_before_a_choice_only_the_necessary_passes(browser: Browser, pages: Pages) -> None:
    """R1: optional and unknown cookies are taken out, tags to other hosts are held, and the visitor is asked."""
    got = ask(browser, pages, Answer(headers=[HTML, *COOKIES]))
    assert list(set_cookies(got)) == ["sessionid"]
    assert got.text.count("data-gw-src=") == 3
    assert '<script src="/own.js"></script>' in got.text
    assert ' src="https://' not in got.text
    assert has_banner(got)


CHOICES = [
    (("reject_all",), ["sessionid"], 0, False),
    (("save", "analytics"), ["sessionid", "_tel"], 1, True),
    (("save", "marketing"), ["sessionid", "_ads"], 1, False),
    (("accept_all",), ["sessionid", "_tel", "_ads"], 2, True),
]


@pytest.mark.parametrize(("choice", "cookies", "released", "counted"), CHOICES)
def test_a_choice_lets_pass_what_it_named(
    browser: Browser, pages: Pages, choice: tuple[str, ...], cookies: list[str], released: int, counted: bool
) -> None:
    """Cookies and tags pass with their purpose alone, unknown ones never; who has chosen is not asked again."""
    browser.choose(*choice)
    got = ask(browser, pages, Answer(headers=[HTML, *COOKIES]))
    found = set_cookies(got)
    assert [name for name in found if "gw_visit" not in name] == cookies
    assert ("__Host-gw_visit" in found) is counted
    assert got.text.count(' src="https://') == released
    assert ('src="/_gw/assets/collect-' in got.text) is counted
    assert not has_banner(got)
    assert 'id="gw-settings"' in got.text


def test_every_kind_of_answer_has_its_cookies_judged(browser: Browser, pages: Pages) -> None:
    """R14: redirects, errors, JSON, images and empty answers carry no cookie but those listed as necessary."""
    for status in (200, 204, 302, 304, 404, 500):
        got = ask(browser, pages, Answer(b"", [TEXT, *COOKIES], status))
        assert (got.status_code, list(set_cookies(got))) == (status, ["sessionid"])


def test_an_app_may_write_its_headers_as_it_likes(browser: Browser, pages: Pages) -> None:
    """Names in capitals, pairs as lists, the same message for everybody: cookies and tags are held all the same."""
    start: dict[str, Any] = {"type": "http.response.start", "status": 200}
    start["headers"] = [[b"Content-Type", b"Text/HTML"], *([b"Set-Cookie", value] for _, value in COOKIES)]
    before = [list(header) for header in start["headers"]]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start)
        await send({"type": "http.response.body", "body": PAGE})

    for _ in range(2):
        got = ask(browser, pages, app)
        assert list(set_cookies(got)) == ["sessionid"]
        assert "data-gw-src" in got.text
    assert [list(header) for header in start["headers"]] == before


def test_an_answer_without_headers_passes(browser: Browser, pages: Pages) -> None:
    """An app that sends no headers at all is no reason to fall over."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"plain"})

    assert ask(browser, pages, app).content == b"plain"


def test_a_touched_page_is_for_one_visitor_only(browser: Browser, pages: Pages) -> None:
    """Validators, ranges, digests and shared caching go; the page is private and varies by cookie."""
    gone = [b"etag", b"last-modified", b"accept-ranges", b"expires", b"age", b"digest", b"content-md5"]
    kept: list[Header] = [
        (b"x-own", b"1"),
        (b"link", b"</a.css>; rel=preload"),
        (b"content-security-policy", b"img-src *"),
    ]
    headers = [HTML, (b"cache-control", b"public, max-age=600"), *((name, b"x") for name in gone), *kept]
    got = ask(browser, pages, Answer(headers=headers))
    assert [name for name in gone if name.decode() in got.headers] == []
    assert [got.headers.get_list(name.decode())[0] for name, _ in kept] == [value.decode() for _, value in kept]
    assert got.headers["cache-control"] == "private, no-cache"
    assert "Cookie" in got.headers["vary"]
    assert (
        ask(browser, pages, Answer(headers=[HTML, (b"cache-control", b"no-store")])).headers["cache-control"]
        == "private, no-store"
    )
    browser.choose("accept_all")
    assert ask(browser, pages, Answer(headers=headers)).headers["cache-control"] == "private, no-store"


def test_a_page_is_asked_for_whole_and_readable(browser: Browser, pages: Pages) -> None:
    """For a page the site sees no validators, no range and no encoding that we cannot read; else all of them."""
    conditional = {"if-none-match": "x", "if-modified-since": "y", "range": "bytes=0-9", "if-range": "x"}
    ask(browser, pages, Answer(), headers={**conditional, "accept-encoding": "gzip, dcb, br"})
    assert [pages.header(name.encode()) for name in conditional] == [None] * 4
    assert pages.header(b"accept-encoding") == b"gzip, br"
    ask(browser, pages, Answer(b"", [TEXT]), headers={**conditional, "accept": "image/avif,*/*"})
    assert [pages.header(name.encode()) for name in conditional] == [b"x", b"y", b"bytes=0-9", b"x"]
    assert pages.header(b"accept-encoding") == BROWSER["accept-encoding"].encode()


def test_what_is_not_html_stays_byte_for_byte(browser: Browser, pages: Pages) -> None:
    """Other bodies and their headers pass as they are, in the pieces in which they came; who frames one reaches nobody from
    within it, whatever is granted."""
    body = bytes(range(256)) * 1000 + b'<img src="https://evil.example/">'
    headers: list[Header] = [
        (b"content-type", b"application/octet-stream"),
        (b"etag", b'"1"'),
        (b"cache-control", b"public"),
        (b"accept-ranges", b"bytes"),
    ]
    for answer in (Answer(body, headers), Answer([body[:7], b"", body[7:]], headers)):
        got = ask(browser, pages, answer)
        assert got.content == body
        assert [got.headers[name.decode()] for name, _ in headers] == [value.decode() for _, value in headers]
        assert got.headers[CLOSED].startswith("default-src 'self' ")
        browser.choose("accept_all")


@pytest.mark.parametrize("content_type", [b"text/html", b"TEXT/HTML;charset=utf-8", b"text/plain, text/html"])
def test_html_is_known_by_its_type(browser: Browser, pages: Pages, content_type: bytes) -> None:
    """In whatever case and with whatever parameters, HTML is HTML."""
    got = ask(browser, pages, Answer(headers=[(b"content-type", content_type)]))
    assert "data-gw-src" in got.text


def test_a_head_answers_as_the_page_would(browser: Browser, pages: Pages) -> None:
    """HEAD and 304 have no body to touch, and their headers promise nothing that the page would not keep."""
    got = ask(
        browser, pages, Answer(b"", [HTML, (b"etag", b"x"), (b"content-length", b"999"), *COOKIES]), method="HEAD"
    )
    assert ("etag" in got.headers, "content-length" in got.headers, got.content) == (False, False, b"")
    assert list(set_cookies(got)) == ["sessionid"]
    not_modified = ask(browser, pages, Answer(b"", [HTML, (b"etag", b"x")], 304))
    assert (not_modified.status_code, "etag" in not_modified.headers) == (304, False)


def test_who_fetches_ahead_is_led_to_nobody(browser: Browser, pages: Pages) -> None:
    """A redirect to a refused host is one for who goes there; ahead of that it is a failure that nobody keeps. With consent,
    and within the site, it is one at once."""
    ahead, kept = {"sec-purpose": "prefetch"}, (b"cache-control", b"public, max-age=600")
    away = Answer(b"", [(b"location", b"https://teller.example.net/p"), kept], 301)
    here = Answer(b"", [(b"location", b"/elders")], 302)
    assert ask(browser, pages, away).headers["location"] == "https://teller.example.net/p"
    assert ask(browser, pages, here, headers=ahead).headers["location"] == "/elders"
    got = ask(browser, pages, away, headers=ahead)
    assert (got.status_code, "location" in got.headers, got.headers["cache-control"]) == (503, False, "no-store")
    browser.choose("accept_all")
    assert ask(browser, pages, away, headers=ahead).status_code == 301


def test_a_part_of_a_page_is_served_closed(browser: Browser, pages: Pages) -> None:
    """A 206 cannot be judged: its bytes stay, and the browser is told to load nothing foreign."""
    got = ask(browser, pages, Answer(PAGE[:100], [HTML, (b"content-range", b"bytes 0-99/500")], 206))
    assert got.content == PAGE[:100]
    assert "default-src 'self' " in got.headers[CLOSED]


def test_web_sockets_pass_through(browser: Browser, pages: Pages) -> None:
    """A WebSocket reaches the site with all of its messages."""

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        message = await receive()
        await send({"type": "websocket.send", "text": message["text"] * 2})
        await send({"type": "websocket.close"})

    pages.answers["/socket"] = echo
    with browser.websocket_connect("/socket") as socket:
        socket.send_text("ja")
        assert socket.receive_text() == "jaja"


def test_the_site_may_ask_what_was_decided(browser: Browser, pages: Pages) -> None:
    """The decision and the believed address are in the scope for the site's own use."""
    browser.choose("save", "analytics")
    ask(browser, pages, Answer())
    scope = pages.scopes[-1]
    assert sorted(scope["gateway.consent"].granted) == ["analytics"]
    assert scope["gateway.client"] == "testclient"


def test_a_page_before_any_lifespan_is_served(tmp_path: Path) -> None:
    """Under a server without lifespan events the gate opens with the first request."""

    async def run() -> bytes:
        gate = ConsentMiddleware(Pages(), ready_config(tmp_path))
        call, sent = drive(gate)
        await call
        await asyncio.to_thread(gate._close)
        return body_of(sent)

    assert b'id="gw-banner"' in asyncio.run(run())


def test_two_sites_share_a_gate(tmp_path: Path) -> None:
    """Each host has its own site's policy: what is necessary on one may be held on the other."""
    strict = POLICY_TOML.replace('name = "sessionid"', 'name = "other"')
    tmp_path.joinpath("strict.toml").write_text(strict)
    sites = [{"id": "main", "hosts": [HOST]}, {"id": "strict", "hosts": ["strict.example"], "policy": "strict.toml"}]
    pages = Pages({"/": Answer(headers=[HTML, *COOKIES])})
    with visiting(tmp_path, pages, {"sites": sites}) as browser:
        assert list(set_cookies(browser.get("/"))) == ["sessionid"]
        assert list(set_cookies(browser.get("/", headers={"host": "strict.example"}))) == ["other"]
        assert list(set_cookies(browser.get("/", headers={"host": "nobody.example"}))) == ["sessionid"]


def test_what_was_held_and_shown_is_counted(tmp_path: Path) -> None:
    """Every held cookie and tag and every banner shown is counted by name; a fetch of a page shows nothing."""
    pages = Pages({"/": Answer(headers=[HTML, *COOKIES])})
    with visiting(tmp_path, pages) as browser:
        for _ in range(2):
            browser.get("/")
        browser.get("/", headers={"sec-fetch-dest": "empty"})
        browser.choose("reject_all")
        browser.get("/")
    counts = read_counts(tmp_path / "data")
    assert counts["shown", "nl", "desktop"] == 2
    assert counts["chose", "refused", "desktop"] == 1
    assert counts["held", "evil.example", "iframe unknown"] == 4
    assert counts["held", "teller.example.net", "script analytics"] == 4
    assert counts["held", "_tel", "cookie analytics"] == 4
    assert read_recorded(tmp_path / "data") == []
