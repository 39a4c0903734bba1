"""A page on its way: our part put in, tags held in every shape it can come in, and the site stays up when we fail."""

import asyncio
import gzip
import logging
import zlib
from pathlib import Path
from typing import Any

import pytest

from gateway.consent.tombstones import SQLiteTombstones
from gateway.front import ConsentMiddleware
from gateway.web import response as response_module
from gateway.web.content_policy import REPORT
from tests.flows.worker_parts import read_counts, read_recorded
from tests.web.gated_site import (
    COOKIES,
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
    view_of,
    visiting,
)

CLOSED = "content-security-policy"
TEXT: Header = (b"content-type", b"text/plain")


DOCUMENTS = [
    (b"<html><body>x</body></html>", b"</body></html>"),
    (b"<html><body>x", b""),
    (b"<!doctype html><p>x", b""),
    (b"<body><p>x<div></body>", b"</body>"),
    (b"<html><body><!-- </body> --><script>'</body>'</script></body>", b"</body>"),
]


@pytest.mark.parametrize(("page", "end"), DOCUMENTS)
def test_a_page_gets_our_part_at_its_end(browser: Browser, pages: Pages, page: bytes, end: bytes) -> None:
    """With or without an end of the body, the banner and its script stand at the end of it, once."""
    got = ask(browser, pages, Answer(page))
    assert got.content.startswith(page[: len(page) - len(end)])
    assert got.content.endswith(end)
    assert got.text.count('id="gw-banner"') == got.text.count("data-gw=") == 1
    assert got.headers["content-length"] == str(len(got.content))


FRAGMENTS = [b"<div>een deel</div>", b"<tr><td>1</td></tr>", b"", b"tekst", b'<img src="/own.png">']


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_a_fragment_stays_as_it_is(browser: Browser, pages: Pages, fragment: bytes) -> None:
    """HTML that is no document of its own gets nothing of ours."""
    assert ask(browser, pages, Answer(fragment)).content == fragment


def test_a_fragment_s_tags_are_held(browser: Browser, pages: Pages) -> None:
    """A fragment that a script will put into a page cannot bring a foreign tag along."""
    got = ask(browser, pages, Answer(b'<div><img src="https://evil.example/"></div>'))
    assert got.content == b'<div><img data-gw-src="https://evil.example/" data-gw-purpose="unknown"></div>'


def test_our_part_speaks_the_page_s_language(browser: Browser, pages: Pages) -> None:
    """The page's lang goes before the browser's wish."""
    english = ask(browser, pages, Answer(b'<html lang="en-GB"><body></body></html>'), headers={"accept-language": "nl"})
    assert 'id="gw-banner" class="gw-banner" role="dialog"' in english.text
    assert 'lang="en"' in english.text.partition('id="gw-banner"')[2][:200]


def test_our_part_is_ascii_in_any_page(browser: Browser, pages: Pages) -> None:
    """In a page of another encoding not a byte of ours is wrong, and none of the page's is changed."""
    page = "<html><body>caf\u00e9</body></html>".encode("latin-1")
    got = ask(browser, pages, Answer(page, [(b"content-type", b"text/html; charset=iso-8859-1")]))
    assert got.content.count(b"\xe9") == 1
    assert got.content.replace(b"\xe9", b"").isascii()


HOSTILE = [
    '"><script>alert(1)</script>',
    "'onload=alert(1) x='",
    "</script><script>alert(1)//",
    "%22%3E%3Cscript%3E",
    "{{7*7}}%%GW_VIEW%%",
]


@pytest.mark.parametrize("payload", HOSTILE)
def test_nothing_of_the_request_becomes_markup(browser: Browser, pages: Pages, payload: str) -> None:
    """Address, referrer and the page's topic stand in our part as text only."""
    page = (
        f'<html><head><meta name="gw-topic" content="{payload.replace(chr(34), "&quot;")}"></head><body></body></html>'
    )
    got = ask(
        browser,
        pages,
        Answer(page.encode()),
        params={"q": payload},
        headers={"referer": f"https://x.example/{payload}"},
    )
    ours = got.text.partition("<body>")[2]
    assert "<script>" not in ours
    assert "alert(1)</script" not in ours
    assert "onload=alert(1) x=" not in ours.replace("&#x27;onload=alert(1) x=&#x27;", "")


@pytest.mark.parametrize(("name", "pack"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)])
def test_compressed_pages_are_judged_too(browser: Browser, pages: Pages, name: bytes, pack: Any) -> None:
    """A compressed page is read, rewritten and compressed again, whole or in pieces."""
    packed = pack(PAGE)
    for body in (packed, [packed[:50], packed[50:90], packed[90:]]):
        got = ask(browser, pages, Answer(body, [HTML, (b"content-encoding", name)]))
        assert got.headers["content-encoding"] == "gzip"
        assert got.text.count("data-gw-src=") == 3
        assert has_banner(got)


@pytest.mark.parametrize("encoding", [b"dcb", b"compress", b"gzip, br"])
def test_unreadable_pages_are_served_closed(browser: Browser, pages: Pages, encoding: bytes) -> None:
    """A page in an encoding that we cannot read passes as it is, and may load nothing foreign."""
    pages.answers["/unreadable"] = Answer(b"not for us", [HTML, (b"content-encoding", encoding)])
    with browser.stream("GET", "/unreadable") as got:
        assert got.headers["content-encoding"] == encoding.decode()
        assert "default-src 'self' " in got.headers[CLOSED]


def test_utf_16_pages_are_served_closed(browser: Browser, pages: Pages) -> None:
    """A page whose tags we would not see is not taken for one without any."""
    page = '<img src="https://evil.example/">'.encode("utf-16")
    got = ask(browser, pages, Answer(page, [(b"content-type", b"text/html; charset=UTF-16LE")]))
    assert got.content == page
    assert CLOSED in got.headers


@pytest.mark.parametrize("body", [b"\x1f\x8b\x08\xff damaged", gzip.compress(b"\0" * 40_000_000)])
def test_damaged_and_bloated_pages_are_served_closed(
    browser: Browser, pages: Pages, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A body that is no gzip, or a bomb, costs neither memory nor an error page."""
    pages.answers["/damaged"] = Answer(body, [HTML, (b"content-encoding", b"gzip")])
    with caplog.at_level(logging.CRITICAL), browser.stream("GET", "/damaged") as got:
        assert got.status_code == 200
        assert CLOSED in got.headers


@pytest.mark.parametrize("packed", [False, True])
def test_a_page_leaves_as_it_comes(tmp_path: Path, packed: bool) -> None:
    """The first piece of a streamed page goes out, with its tags held, before the site has made the last."""
    head, rest = PAGE[: PAGE.index(b"<h1>")], PAGE[PAGE.index(b"<h1>") :]
    packer = zlib.compressobj(5, zlib.DEFLATED, 31)

    def pack(piece: bytes, mode: int) -> bytes:
        return packer.compress(piece) + packer.flush(mode) if packed else piece

    async def run() -> None:
        seen, more = asyncio.Event(), asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            headers = [HTML, *([(b"content-encoding", b"gzip")] if packed else [])]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": pack(head, zlib.Z_SYNC_FLUSH), "more_body": True})
            seen.set()
            await more.wait()
            await send({"type": "http.response.body", "body": pack(rest, zlib.Z_FINISH)})

        gate = ConsentMiddleware(app, ready_config(tmp_path))
        call, sent = drive(gate)
        task = asyncio.ensure_future(call)
        await seen.wait()
        reader = zlib.decompressobj(31)
        first = reader.decompress(body_of(sent)) if packed else body_of(sent)
        assert sent[0]["type"] == "http.response.start"
        assert b'<script data-gw-src="https://teller.example.net/t.js"' in first
        assert b"<h1>" not in first
        more.set()
        await task
        whole = zlib.decompress(body_of(sent), 31) if packed else body_of(sent)
        assert whole.startswith(first)
        assert (whole.count(b"data-gw-src="), whole.count(b'id="gw-banner"')) == (3, 1)
        gate._close()

    asyncio.run(run())


def test_tags_cut_by_pieces_are_held(browser: Browser, pages: Pages) -> None:
    """A page that comes letter by letter is the page that comes whole, but for the view's id."""

    def plain(got: Any) -> str:
        return str(got.text.replace(view_of(got), "VIEW"))

    whole = plain(ask(browser, pages, Answer(PAGE)))
    assert plain(ask(browser, pages, Answer([PAGE[at : at + 1] for at in range(len(PAGE))]))) == whole
    assert plain(ask(browser, pages, Answer([PAGE[at : at + 13] for at in range(0, len(PAGE), 13)]))) == whole
    length = (b"content-length", b"%d" % len(PAGE))
    assert plain(ask(browser, pages, Answer([PAGE[:40], PAGE[40:]], [HTML, length]))) == whole


def test_a_page_can_be_larger_than_what_is_gathered(browser: Browser, pages: Pages) -> None:
    """A page of many megabytes is held back like any other."""
    piece = b"<p>" + b"x" * 100_000 + b"</p>"
    got = ask(
        browser, pages, Answer([b"<html><body>", *[piece] * 60, b'<img src="https://evil.example/"></body></html>'])
    )
    assert len(got.content) > 6_000_000
    assert got.text.count("data-gw-src=") == 1
    assert has_banner(got)


def test_a_file_sent_behind_our_back_is_not_offered(tmp_path: Path) -> None:
    """Server extensions by which a file would pass unseen are hidden from the site."""
    pages = Pages()

    async def run() -> None:
        gate = ConsentMiddleware(pages, ready_config(tmp_path))
        call, _ = drive(
            lambda scope, r, s: gate({**scope, "extensions": {"http.response.pathsend": {}, "tls": {}}}, r, s)
        )
        await call
        gate._close()

    asyncio.run(run())
    assert pages.scopes[-1]["extensions"] == {"tls": {}}


def test_a_remembered_page_is_never_another_s(browser: Browser, pages: Pages) -> None:
    """The same page under other grants, under another host, or changed by a byte is rewritten for itself."""
    page = b'<html><body><img src="https://video.example.net/p"><img src="https://www.example.org/p"></body></html>'
    held = ask(browser, pages, Answer(page)).text.count("data-gw-src=")
    other_host = ask(browser, pages, Answer(page), headers={"host": "other.example.org"}).text.count("data-gw-src=")
    browser.choose("accept_all")
    granted = ask(browser, pages, Answer(page)).text.count("data-gw-src=")
    changed = ask(browser, pages, Answer(page.replace(b"video.example.net", b"evil.example"))).text.count(
        "data-gw-src="
    )
    assert (held, other_host, granted, changed) == (1, 2, 0, 1)


def test_every_view_has_an_id_of_its_own(browser: Browser, pages: Pages) -> None:
    """A page from memory still gets a new view id each time."""
    ids = {view_of(ask(browser, pages, Answer())) for _ in range(5)}
    assert len(ids) == 5
    assert all(len(one) == 22 for one in ids)


def test_observing_changes_nothing_byte_for_byte(tmp_path: Path) -> None:
    """In observe mode every status, header and body passes as the site made it, whole, in pieces and compressed; what
    would have been held is listed by host and path, and browsers are asked to report what they would refuse."""
    headers = [HTML, (b"etag", b'"1"'), (b"cache-control", b"public"), *COOKIES]
    packed = [*headers, (b"content-encoding", b"gzip")]
    answers = {
        "/whole": Answer(PAGE, headers),
        "/pieces": Answer([PAGE[:100], PAGE[100:]], headers),
        "/packed": Answer(gzip.compress(PAGE, mtime=0), packed),
        "/part": Answer(PAGE[:50], headers, 206),
        "/same": Answer(b"", headers, 304),
        "/cut": Answer([gzip.compress(PAGE, mtime=0)[:200], b"rubbish", b"more"], packed),
        "/untyped": Answer([PAGE[:1], PAGE[1:]], headers[1:]),
        "/hidden": Answer([b"\xff", "<p>".encode("utf-16")[1:]], headers),
        "/drawing": Answer(b"<svg/>", [(b"content-type", b"image/svg+xml")]),
        "/bare": Answer([b"\x1f\x8b\x08\xff damaged", b"more"], packed),
    }
    pages = Pages(answers)

    async def run() -> dict[str, list[Any]]:
        gate = ConsentMiddleware(pages, ready_config(tmp_path, {"mode": "observe"}))
        found = {}
        for path in answers:
            call, found[path] = drive(gate, path, ((b"if-none-match", b'"0"'),))
            await call
        await asyncio.to_thread(gate._close)
        return found

    found = asyncio.run(run())
    for path, answer in answers.items():
        body = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
        assert (found[path][0]["status"], body_of(found[path])) == (answer.status, body)
        headers = found[path][0]["headers"]
        assert [header for header in headers if header[0] != REPORT] == answer.headers
        assert (REPORT in dict(headers)) == (path in ("/whole", "/pieces", "/packed", "/cut", "/untyped"))
    assert {dict(scope["headers"]).get(b"if-none-match") for scope in pages.scopes} == {b'"0"'}
    counts = read_counts(tmp_path / "data")
    assert counts["would_hold", "evil.example", "iframe unknown /whole"] == 1
    assert counts["would_hold", "teller.example.net", "script analytics /pieces"] == 1
    assert counts["would_hold", "_tel", "cookie analytics /same"] == 1
    assert not [key for key in counts if key[0] in ("held", "shown", "dropped")]
    assert read_recorded(tmp_path / "data") == []


def fail(*_: object, **__: object) -> Any:
    raise RuntimeError("seeded fault")


@pytest.mark.interpreted
def test_a_fault_of_ours_serves_the_page_closed(
    browser: Browser, pages: Pages, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When the rewriting fails the page is served as it is, cookies judged, and nothing foreign may load."""
    monkeypatch.setattr(response_module, "rewrite_page", fail)
    with caplog.at_level(logging.CRITICAL):
        got = ask(browser, pages, Answer(PAGE + b"<!-- another -->", [HTML, *COOKIES]))
    assert (got.status_code, got.content) == (200, PAGE + b"<!-- another -->")
    assert "default-src 'self' " in got.headers[CLOSED]
    assert list(set_cookies(got)) == ["sessionid"]


def test_a_fault_in_our_part_keeps_the_streamed_page(
    browser: Browser, pages: Pages, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When our own part cannot be made for a page that is on its way, the page goes on, held back, without it."""
    monkeypatch.setattr(response_module, "choose_language", fail)
    with caplog.at_level(logging.CRITICAL):
        got = ask(browser, pages, Answer([PAGE[:200], PAGE[200:]]))
    assert got.text.endswith("</body></html>")
    assert got.text.count("data-gw-src=") == 3
    assert not has_banner(got)


def test_a_fault_in_deciding_means_no(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When withdrawals cannot be looked up nothing optional happens, and the page is served."""
    pages = Pages({"/": Answer(headers=[HTML, *COOKIES])})
    with visiting(tmp_path, pages) as browser, caplog.at_level(logging.CRITICAL):
        browser.choose("accept_all")
        assert ' src="https://' in browser.get("/").text
        monkeypatch.setattr(SQLiteTombstones, "floor", fail)
        got = browser.get("/")
    assert (got.status_code, got.text.count("data-gw-src=")) == (200, 3)
    assert "_tel" not in set_cookies(got)


def test_the_site_s_own_faults_are_its_own(browser: Browser, pages: Pages) -> None:
    """An exception of the site is raised as it would be without us."""
    with pytest.raises(RuntimeError, match="seeded"):
        ask(browser, pages, fail)
