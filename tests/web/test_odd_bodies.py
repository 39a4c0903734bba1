"""Bodies of every odd kind: touched rightly or not at all, never broken, and nothing foreign loads from them before yes."""

import asyncio
import gzip
import re
from collections.abc import Iterator, Sequence
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.front import ConsentMiddleware
from tests.web.gated_site import (
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
    visiting,
)

CLOSED = "content-security-policy"
FOREIGN = '<img src="https://evil.example/p.gif">'
HELD = '<img data-gw-src="https://evil.example/p.gif" data-gw-purpose="unknown">'
TEXT = "Café – 誤解 を解く"


def typed(value: bytes) -> Header:
    return (b"content-type", value)


def in_encoding(name: str, declared: str = "") -> bytes:
    page = f"<!doctype html><html><head>{declared}</head><body>{TEXT}{FOREIGN}</body></html>"
    return page.encode(name, "ignore")


ENCODED = [
    ("windows-1252", "", b"text/html; charset=windows-1252"),
    ("shift_jis", '<meta charset="shift_jis">', b"text/html"),
    ("euc_jp", '<meta charset="euc-jp">', b"text/html"),
    ("gb18030", "", b"text/html;charset=gb18030"),
    ("big5", '<meta charset="big5">', b"text/html"),
    ("utf-8", '<meta charset="windows-1252">', b"text/html; charset=utf-8"),
]


@pytest.mark.parametrize(("name", "declared", "content_type"), ENCODED)
def test_a_page_in_an_encoding_of_its_own_keeps_its_bytes(
    browser: Browser, pages: Pages, name: str, declared: str, content_type: bytes
) -> None:
    """Wherever the encoding is named, tags are held and every other byte of the page stays, whole or cut anywhere."""
    page = in_encoding(name, declared)
    want = page.replace(FOREIGN.encode(), HELD.encode())
    for body in (page, [page[:45], page[45:46], page[46:]]):
        got = ask(browser, pages, Answer(body, [typed(content_type)]))
        ours = got.content[got.content.index(b"<link", 60) : got.content.rindex(b"</body>")]
        assert got.content.replace(ours, b"", 1) == want
        assert ours.isascii()
        assert got.headers["content-type"] == content_type.decode()


def test_of_two_types_or_encodings_both_count(browser: Browser, pages: Pages) -> None:
    """A second type that is none leaves the first one standing, and what was packed is not taken for plain."""
    got = ask(browser, pages, Answer(b"x" + FOREIGN.encode(), [typed(b"text/html"), typed(b"none")]))
    assert got.content.startswith(b"x" + HELD.encode())
    encodings = [(b"content-encoding", b"gzip"), (b"content-encoding", b"identity")]
    for body in (packed := gzip.compress(PAGE), [packed[:9], packed[9:]]):
        pages.answers["/asked"] = Answer(body, [typed(b"text/html"), *encodings])
        with browser.stream("GET", "/asked") as answer:
            raw = b"".join(answer.iter_raw())
        assert "default-src 'self' " in answer.headers[CLOSED]
        assert raw == packed


HIDDEN = [
    (in_encoding("utf-16"), b"text/html"),
    (in_encoding("utf-16"), b"text/html; charset=utf-8"),
    (b"\xfe\xff" + in_encoding("utf-16-be"), b"text/html"),
    (in_encoding("utf-16-le"), b"text/html; charset=unicode"),
    (in_encoding("iso2022_jp"), b"text/html; charset=ISO-2022-JP"),
    (in_encoding("iso2022_jp", '<meta charset="iso-2022-jp">'), b"text/html"),
    (b"<html xmlns='http://www.w3.org/1999/xhtml'><script src='/a.js'/>" + FOREIGN.encode(), b"application/xhtml+xml"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'><image href='https://evil.example/p'/></svg>", b"image/svg+xml"),
    (b"--b\r\nContent-Type: text/html\r\n\r\n" + FOREIGN.encode(), b"multipart/x-mixed-replace; boundary=b"),
]


@pytest.mark.parametrize(("body", "content_type"), HIDDEN)
def test_a_page_that_we_would_misread_is_closed(
    browser: Browser, pages: Pages, body: bytes, content_type: bytes
) -> None:
    """Its bytes stay, whole or streamed from the first byte, and the browser loads nothing foreign, whatever is granted."""
    for choice in (None, "accept_all"):
        if choice:
            browser.choose(choice)
        for pieces in (body, [body[:1], body[1:2], body[2:]]):
            got = ask(browser, pages, Answer(pieces, [typed(content_type)]))
            assert got.content == body
            assert "default-src 'self' " in got.headers[CLOSED]


@pytest.mark.parametrize("headers", [[], [typed(b"")], [typed(b"html")], [typed(b"*/*")]])
@pytest.mark.parametrize("cut", [0, 1, 20])
def test_html_without_a_type_is_a_page(browser: Browser, pages: Pages, headers: list[Header], cut: int) -> None:
    """Browsers look at what has no type; so it is read as the page that they will see, and named as such."""
    body: bytes | Sequence[bytes] = [PAGE[:cut], PAGE[cut:]] if cut else PAGE
    got = ask(browser, pages, Answer(body, headers))
    assert (got.headers["content-type"], got.text.count("data-gw-src=")) == ("text/html", 3)
    assert has_banner(got)


UNTOUCHED = [
    (b"just text " + FOREIGN.encode(), []),
    (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), []),
    (b'{"html": "' + FOREIGN.encode() + b'"}', [typed(b"application/json")]),
    (FOREIGN.encode(), [typed(b"text/plain")]),
    (PAGE, [HTML, (b"content-disposition", b'Attachment; filename="jaarverslag.html"')]),
    (gzip.compress(b"x", mtime=0), [typed(b"application/gzip")]),
    (b"<?xml version='1.0'?><rss/>", [typed(b"application/rss+xml")]),
    (b"", []),
]


@pytest.mark.parametrize(("body", "headers"), UNTOUCHED)
def test_what_is_no_page_stays(browser: Browser, pages: Pages, body: bytes, headers: list[Header]) -> None:
    """JSON with HTML in it, downloads, images and text without a type keep every byte, whole and in pieces."""
    for pieces in (body, [body[:3], b"", body[3:]]):
        got = ask(browser, pages, Answer(pieces, [*headers, (b"etag", b'"1"'), (b"cache-control", b"public")]))
        assert got.content == body
        assert (got.headers["etag"], got.headers["cache-control"]) == ('"1"', "public")
        assert got.headers.get("content-type", "").encode() == dict(headers).get(b"content-type", b"")


def test_a_fragment_is_held_and_gets_nothing_of_ours(browser: Browser, pages: Pages) -> None:
    """What a script fetches to put into a page brings no tag to a foreign host along, and no second banner."""
    fragment = f"<li>Dossier</li><li>{FOREIGN}</li>"
    wanted = {"accept": "*/*", "hx-request": "true", "sec-fetch-dest": "empty"}
    for body in (fragment.encode(), [fragment[:7].encode(), fragment[7:].encode()]):
        got = ask(browser, pages, Answer(body), headers=wanted)
        assert got.text == fragment.replace(FOREIGN, HELD)


MALFORMED = [
    b"<html><body><p <b>x</p" + FOREIGN.encode(),
    b"<html><body><a href='x' href='y' =z \"><i/></ b></body></html></html>" + FOREIGN.encode(),
    b"<html><body><!- no comment -><![CDATA[x]]><?php x ?>" + FOREIGN.encode() + b"</body>",
    b"<html><body><table><tr><div>" + FOREIGN.encode() + b"<select><option><svg><p>",
    b"<html><body>\0\x80\xff\xfe" + FOREIGN.encode() + b"\x80</body></html",
    b"<html><body><textarea></title>" + FOREIGN.encode() + b"</textarea>" + FOREIGN.encode(),
]


@pytest.mark.parametrize("page", MALFORMED)
def test_malformed_mark_up_is_held_and_stays_as_it_is(browser: Browser, pages: Pages, page: bytes) -> None:
    """What browsers mend, they mend as before: nothing but the held tags and our part is another than it was."""
    got = ask(browser, pages, Answer(page))
    ours = re.search(rb'<link rel="stylesheet" href="/_gw/.*collect[^>]*?></script>|<link rel="stylesheet" href="/_gw/'
                     rb'.*consent-[^>]*></script>', got.content, re.DOTALL)  # fmt: skip
    assert ours
    plain = got.content.replace(ours.group(), b"")
    assert plain.replace(HELD.encode(), FOREIGN.encode()) == page
    assert page.replace(FOREIGN.encode(), b"").startswith(plain.replace(HELD.encode(), b"")[:20])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, Pages]]:
    """One gate for many examples."""
    pages = Pages()
    with visiting(tmp_path_factory.mktemp("odd"), pages) as browser:
        yield browser, pages


SCRAPS = [
    "<p>",
    "tekst ",
    FOREIGN,
    "<!-- ",
    " -->",
    "<script>",
    "</script>",
    "<b",
    ">",
    '"',
    "é",
    "</body>",
    "<noscript>",
]
PACKERS: dict[bytes, tuple[Any, Any]] = {
    b"identity": (bytes, bytes),
    b"gzip": (gzip.compress, gzip.decompress),
    b"br": (brotli.compress, brotli.decompress),
    b"zstd": (zstandard.compress, lambda sent: zstandard.ZstdDecompressor().decompressobj().decompress(sent)),
}


@given(
    scraps=st.lists(st.sampled_from(SCRAPS), max_size=12),
    cuts=st.lists(st.integers(0, 400), max_size=6),
    encoding=st.sampled_from(sorted(PACKERS)),
)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_page_cut_anywhere_is_the_page(
    shared: tuple[Browser, Pages], scraps: list[str], cuts: list[int], encoding: bytes
) -> None:
    """However a page is cut on its way and in whatever encoding it comes, the browser gets the same page."""
    browser, pages = shared
    pages.scopes.clear()
    page = ("<!doctype html><html><body>" + "".join(scraps)).encode()
    pack, unpack = PACKERS[encoding]
    packed = pack(page)
    places = sorted({0, len(packed), *(cut for cut in cuts if cut < len(packed))})
    pages.answers["/cut"] = Answer(
        [packed[start:end] for start, end in pairwise(places)], [HTML, (b"content-encoding", encoding)]
    )
    whole = ask(browser, pages, Answer(page))
    with browser.stream("GET", "/cut", headers={"accept-encoding": "gzip, br, zstd"}) as got:
        text = unpack(b"".join(got.iter_raw())).decode()
        assert got.headers.get("content-encoding", "identity") == encoding.decode()
    ours = [re.sub(f"{view_in(one)}|(?:/|%2F)(?:cut|asked)", "", one) for one in (text, whole.text)]
    assert ours[0] == ours[1]


def view_in(text: str) -> str:
    found = re.search(r'"view":"([^"]*)"', unescape(text))
    assert found
    return found.group(1)


STREAMS = [
    (typed(b"text/event-stream"), b"data: 1\n\n"),
    (typed(b"multipart/x-mixed-replace; boundary=b"), b"--b\r\n\r\nframe"),
    (typed(b"application/octet-stream"), b"\0\1\2"),
    (HTML, b"<!doctype html><html><body><p>begin</p>"),
    ((b"x-no", b"type"), b"data that has no type at all"),
]


@pytest.mark.parametrize(("header", "first"), STREAMS)
def test_a_stream_is_never_waited_for(tmp_path: Path, header: Header, first: bytes) -> None:
    """The first bytes are out before the site has made the next; trailers pass after the last."""

    async def run() -> None:
        seen, more = asyncio.Event(), asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [header], "trailers": True})
            await send({"type": "http.response.body", "body": first, "more_body": True})
            seen.set()
            await more.wait()
            await send({"type": "http.response.body", "body": b"end"})
            await send({"type": "http.response.trailers", "headers": [(b"server-timing", b"app;dur=1")]})

        gate = ConsentMiddleware(app, ready_config(tmp_path))
        call, sent = drive(gate)
        task = asyncio.ensure_future(call)
        await seen.wait()
        assert body_of(sent).startswith(first[:20])
        more.set()
        await task
        assert sent[-1] == {"type": "http.response.trailers", "headers": [(b"server-timing", b"app;dur=1")]}
        assert not sent[-2].get("more_body", False)
        gate._close()

    asyncio.run(run())


@pytest.mark.parametrize("status", [400, 404, 410, 500, 503])
def test_the_site_s_own_error_pages_are_pages(browser: Browser, pages: Pages, status: int) -> None:
    """They are held and ask like any other and keep their status; that a page does not exist is told, the rest is nothing."""
    browser.choose("accept_all")
    got = ask(browser, pages, Answer(PAGE, [HTML, (b"retry-after", b"9")], status))
    assert (got.status_code, got.headers["retry-after"]) == (status, "9")
    assert ("gw_visit" in str(got.headers)) is (status in (404, 410))
