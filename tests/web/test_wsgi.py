"""The gate before a WSGI app: what it does before an ASGI app it does here too, byte for byte, and as PEP 3333 says."""

import gzip
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from gateway import WSGIConsentMiddleware
from gateway.web.wsgi_site import BrokenSite
from tests.flows.worker_parts import read_counts, read_recorded
from tests.web.gated_site import COOKIES, HTML, PAGE, Answer, Browser, Header, Pages, ask, ready_config, visiting
from tests.web.wsgi_caller import Got, WSGIBrowser, WSGIPages, without_ids

TEXT: Header = (b"content-type", b"text/plain")
PLAIN = [("Content-Type", "text/plain")]
LIMITS = {"limits": {"reserve_bytes": 0, "posts_per_minute": 1_000_000}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shared gates of both kinds have their data."""
    return tmp_path_factory.mktemp("wsgi")


@pytest.fixture(scope="module")
def site() -> WSGIPages:
    """The inner WSGI app; each test puts its own answers in."""
    return WSGIPages()


@pytest.fixture(scope="module")
def gate(folder: Path, site: WSGIPages) -> Iterator[WSGIConsentMiddleware]:
    """The gate before it."""
    gate = WSGIConsentMiddleware(site, ready_config(folder, LIMITS))
    yield gate
    gate.close()


@pytest.fixture
def visitor(gate: WSGIConsentMiddleware, site: WSGIPages) -> WSGIBrowser:
    """A browser that comes for the first time."""
    site.answers.clear()
    return WSGIBrowser(gate)


@pytest.fixture(scope="module")
def asgi_pages() -> Pages:
    """The inner ASGI app."""
    return Pages()


@pytest.fixture(scope="module")
def asgi(folder: Path, asgi_pages: Pages) -> Iterator[Browser]:
    """A browser before the same configuration and data, behind ASGI."""
    with visiting(folder, asgi_pages, LIMITS) as browser:
        yield browser


def own_gate(folder: Path, app: Any = None, settings: dict[str, Any] | None = None) -> WSGIConsentMiddleware:
    """A gate with data of its own; to be closed."""
    return WSGIConsentMiddleware(app or WSGIPages(), ready_config(folder, settings))


BIG = b"<p>rente</p>" * 30_000
ANSWERS = {
    "page": Answer(headers=[HTML, *COOKIES, (b"etag", b"x"), (b"cache-control", b"public"), (b"x-own", b"1")]),
    "in pieces": Answer([PAGE[:50], b"", PAGE[50:90], PAGE[90:]]),
    "large": Answer([PAGE[:-14], *[BIG] * 3, PAGE[-14:]]),
    "large and announced": Answer(PAGE + BIG, [HTML, (b"content-length", b"%d" % len(PAGE + BIG))]),
    "gzip": Answer(gzip.compress(PAGE, mtime=0), [HTML, (b"content-encoding", b"gzip")]),
    "an encoding that cannot be read": Answer(b"\x0b\x02\x80", [HTML, (b"content-encoding", b"compress")]),
    "latin-1": Answer("<html>café</html>".encode("latin-1"), [(b"content-type", b"text/html; charset=iso-8859-1")]),
    "fragment": Answer(b'<div><img src="https://evil.example/"></div>'),
    "empty": Answer(b""),
    "error page": Answer(headers=[HTML, *COOKIES], status=500),
    "no HTML": Answer(bytes(range(256)) * 500, [(b"content-type", b"image/png"), *COOKIES, (b"etag", b"1")]),
    "redirect": Answer(b"", [TEXT, *COOKIES, (b"location", b"/b")], 302),
    "not modified": Answer(b"", [(b"etag", b"x"), *COOKIES], 304),
    "part": Answer(PAGE[:100], [HTML, (b"content-range", b"bytes 0-99/500")], 206),
}


@pytest.mark.parametrize("mode", ["undecided", "reject_all", "accept_all"])
@pytest.mark.parametrize("kind", ANSWERS)
def test_both_gates_answer_alike(
    visitor: WSGIBrowser, site: WSGIPages, asgi: Browser, asgi_pages: Pages, kind: str, mode: str
) -> None:
    """For the same answer of the site, status, headers and body are those that leave the ASGI gate, but for ids."""
    if mode != "undecided":
        visitor.choose(mode)
    asgi.carry(visitor.cookies)
    path = "/asked?vraag=hoe%20veel&x=%22"
    headers = {"referer": "https://zoek.example/?q=a", "connection": "keep-alive"}
    site.answers["/asked"] = asgi_pages.answers["/asked"] = ANSWERS[kind]
    got, there = visitor.get(path, headers=headers), asgi.get(path, headers=headers)
    assert got.status == f"{there.status_code} So"
    assert own_headers(got.headers) == own_headers([(n.decode(), v.decode()) for n, v in there.headers.raw])
    body = there.content
    if kind == "gzip":
        got.body, body = gzip.decompress(got.body), body  # httpx has unpacked it
    assert without_ids(got.body) == without_ids(body)


def own_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Headers in order, visit cookies by name alone: they hold a random id. Compressed bodies vary in length by an id."""
    found = [(n, v.partition("=")[0] if "gw_visit" in v else v) for n, v in headers]
    packed = ("content-encoding", "gzip") in found
    return [(n, v) for n, v in found if not (packed and n == "content-length")]


@pytest.mark.parametrize("kind", ["page", "no HTML", "error page"])
def test_both_gates_answer_a_head_alike(
    visitor: WSGIBrowser, site: WSGIPages, asgi: Browser, asgi_pages: Pages, kind: str
) -> None:
    """HEAD has the headers that it has behind ASGI, and no body."""
    answer = Answer(b"", ANSWERS[kind].headers, ANSWERS[kind].status)
    asgi.cookies.clear()
    there = ask(asgi, asgi_pages, answer, method="HEAD")
    site.answers["/asked"] = answer
    got = visitor.get("/asked", method="HEAD")
    assert own_headers(got.headers) == own_headers([(n.decode(), v.decode()) for n, v in there.headers.raw])
    assert got.body == b""


OWN = ["preferences", "preferences?return_to=/a&saved", "banner?lang=en", "state", "gateway.js", "nothing", "assets/x"]
OWN_PATHS = [*(f"/_gw/{name}" for name in OWN), "/.well-known/gpc.json"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
@pytest.mark.parametrize("path", OWN_PATHS)
def test_our_own_addresses_answer_alike(visitor: WSGIBrowser, asgi: Browser, path: str, method: str) -> None:
    """Everything under the prefix is as behind ASGI, what is refused too; only a missing type is added."""
    asgi.cookies.clear()
    got, there = visitor.get(path, method=method), asgi.request(method, path)
    headers = {name: value for name, value in got.headers if name != "content-type"}
    assert headers == {name: value for name, value in there.headers.items() if name != "content-type"}
    body = gzip.decompress(got.body) if got.body and "content-encoding" in headers else got.body
    assert (got.code, body) == (there.status_code, b"" if method == "HEAD" else there.content)


CHOICES = [
    (("reject_all",), ["sessionid"], 0),
    (("save", "analytics"), ["sessionid", "_tel", "__Host-gw_visit"], 1),
    (("save", "marketing"), ["sessionid", "_ads"], 1),
    (("accept_all",), ["sessionid", "_tel", "_ads", "__Host-gw_visit"], 2),
]


@pytest.mark.parametrize(("choice", "cookies", "released"), CHOICES)
def test_a_choice_lets_pass_what_it_named(
    visitor: WSGIBrowser, site: WSGIPages, choice: tuple[str, ...], cookies: list[str], released: int
) -> None:
    """Nothing optional before a choice; after it cookies and tags pass with their purpose alone."""
    site.answers["/"] = Answer(headers=[HTML, *COOKIES])
    first = visitor.get()
    assert (list(first.cookies), first.text.count(' src="https://')) == (["sessionid"], 0)
    assert 'id="gw-banner"' in first.text
    chosen = visitor.choose(*choice, return_to="/contact")
    assert (chosen.status, chosen.header("location")) == ("303 See Other", "/contact")
    after = visitor.get()
    assert (list(after.cookies), after.text.count(' src="https://')) == (cookies, released)
    assert 'id="gw-banner"' not in after.text


def test_withdrawing_holds_everything_back_at_once(visitor: WSGIBrowser, site: WSGIPages) -> None:
    """After a withdrawal known cookies are expired, and the cookie of before grants nothing any more."""
    visitor.choose("accept_all")
    visitor.get()
    before = dict(visitor.cookies)
    got = visitor.choose("reject_all", headers={"accept": "application/json"})
    assert (got.code, '"withdrawn":true' in got.text) == (200, True)
    assert {"_tel", "_ads", "__Host-gw_visit"} <= set(got.cookies)
    visitor.cookies = before
    assert 'id="gw-banner"' in visitor.get().text
    assert visitor.report().code == 403


def test_a_report_is_on_disk_when_it_is_acknowledged(tmp_path: Path) -> None:
    """A page view is counted by the server, and an event answered with 202 stands in the journal at that moment."""
    gate = own_gate(tmp_path)
    visitor = WSGIBrowser(gate)
    assert visitor.report().code == 403
    visitor.choose("accept_all")
    assert "__Host-gw_visit" in visitor.get("/bericht").cookies
    got = visitor.report()
    assert (got.status, list(got.cookies)) == ("202 Accepted", [])
    kinds = [(recorded.event.kind, recorded.event.path) for recorded in read_recorded(tmp_path / "data")]
    assert kinds == [("page_view", "/bericht"), ("event", "/a")]
    gate.close()


def test_bodies_are_read_as_far_as_they_may_be(visitor: WSGIBrowser) -> None:
    """A body that is too large, cut off, or of unknown length where none can be is refused; a chunked one is read."""
    visitor.choose("accept_all")
    good = b'{"v":1,"k":"event","view":"%s","url":"/a"}' % (b"V" * 22)
    assert visitor.report(good + b" " * 100_000).code == 413
    assert visitor.report(good, CONTENT_LENGTH=str(len(good) + 1)).code == 400
    assert visitor.report(good, CONTENT_LENGTH="").code == 400
    assert visitor.report(good, CONTENT_LENGTH="9" * 25).code == 413
    chunked = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}
    assert visitor.report(good, **chunked).code == 202
    assert visitor.report(good + b" " * 100_000, **chunked).code == 413


class Breaking(BytesIO):
    """The input of a client that goes away."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise ConnectionResetError


def test_a_client_that_goes_away_is_no_fault(visitor: WSGIBrowser) -> None:
    """When the body's connection breaks, the post is refused as cut off."""
    visitor.choose("accept_all")
    broken: dict[str, Any] = {"wsgi.input": Breaking()}
    assert visitor.report(**broken).code == 400


def test_the_site_may_ask_what_was_decided(visitor: WSGIBrowser, site: WSGIPages) -> None:
    """`environ["gateway.consent"].has(purpose)` says what was granted, on every page."""
    visitor.get()
    assert [site.environs[-1]["gateway.consent"].has(p) for p in ("necessary", "analytics")] == [True, False]
    visitor.choose("save", "analytics")
    visitor.get()
    consent = site.environs[-1]["gateway.consent"]
    assert [consent.has(p) for p in ("necessary", "analytics", "marketing", "x")] == [True, True, False, False]
    assert site.environs[-1]["gateway.client"] == "192.0.2.9"


def test_the_environ_is_the_server_s_but_for_what_hinders(visitor: WSGIBrowser, site: WSGIPages) -> None:
    """A page is asked for whole and readable; of anything else every key stays as the server gave it."""
    headers = {"if-none-match": "x", "if-modified-since": "y", "range": "bytes=0-9", "if-range": "x", "x-a-b": "é"}
    visitor.get(headers=headers)
    page = site.environs[-1]
    assert [key for key in ("IF_NONE_MATCH", "IF_MODIFIED_SINCE", "RANGE", "IF_RANGE") if f"HTTP_{key}" in page] == []
    assert (page["HTTP_ACCEPT_ENCODING"], page["HTTP_X_A_B"]) == ("gzip, deflate, br", "é")
    visitor.get(headers={**headers, "accept": "image/*"}, CONTENT_TYPE="", CONTENT_LENGTH="")
    other = site.environs[-1]
    assert (other["HTTP_RANGE"], other["HTTP_ACCEPT_ENCODING"], other["CONTENT_TYPE"]) == (
        "bytes=0-9",
        "gzip, deflate, br",
        "",
    )


def test_what_the_gate_takes_from_a_request_never_reaches_the_site(visitor: WSGIBrowser, site: WSGIPages) -> None:
    """Cookies without consent and the gateway's own are gone, and what a visitor says of its consent counts for
    nothing, however it is spelled."""
    visitor.choose("save", "analytics")
    visitor.cookies |= {"sessionid": "1", "_tel": "2", "_ads": "3"}
    for header in ("x-gateway-consent", "x_gateway_consent"):
        visitor.get(headers={header: "marketing"})
        asked = site.environs[-1]
        assert (asked["HTTP_COOKIE"], "marketing" in asked["HTTP_X_GATEWAY_CONSENT"]) == ("sessionid=1; _tel=2", False)


def test_a_site_reads_its_own_posts(visitor: WSGIBrowser, site: WSGIPages) -> None:
    """A form of the site's own arrives untouched."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", PLAIN)
        return [environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])) + environ["CONTENT_TYPE"].encode()]

    site.answers["/form"] = app
    got = visitor.get("/form", method="POST", body=b"naam=Jansen", headers={"content-type": "text/x"})
    assert got.body == b"naam=Jansentext/x"


ADDRESSES = [
    ({"PATH_INFO": "/caf\xc3\xa9 \xff"}, "/caf%C3%A9%20%FF"),
    ({"PATH_INFO": "/a", "QUERY_STRING": "b=%20"}, "/a?b=%20"),
    ({"SCRIPT_NAME": "/winkel", "PATH_INFO": "/a:b"}, "/winkel/a:b"),
    ({"SCRIPT_NAME": "/winkel", "PATH_INFO": ""}, "/winkel"),
    ({"PATH_INFO": "/a/b", "REQUEST_URI": "/a%2Fb?x"}, "/a%2Fb"),
    ({"PATH_INFO": "/a/b", "RAW_URI": "/a%2Fb"}, "/a%2Fb"),
    ({"PATH_INFO": "/a", "REQUEST_URI": "https://www.example.org/a"}, "/a"),
]


@pytest.mark.parametrize(("changes", "address"), ADDRESSES)
def test_the_page_s_address_is_the_visitor_s(visitor: WSGIBrowser, changes: dict[str, str], address: str) -> None:
    """Whatever bytes a path has and wherever the app is mounted, the form leads back to where the visitor is."""
    got = visitor.get(**changes)
    assert f'name="return_to" value="{address}"' in got.text


def test_a_mounted_app_has_its_addresses_below_its_mount(tmp_path: Path) -> None:
    """With a prefix below the place where the app is mounted, the gateway's addresses are found there."""
    gate = own_gate(tmp_path, settings={"prefix": "/winkel/_gw/"})
    got = WSGIBrowser(gate).get("/_gw/state", SCRIPT_NAME="/winkel")
    assert (got.code, '"chosen":false' in got.text) == (200, True)
    gate.close()


def test_only_trusted_proxies_are_believed(tmp_path: Path) -> None:
    """REMOTE_ADDR counts, unless it is a trusted proxy's: then what the proxy says."""
    site = WSGIPages()
    gate = own_gate(tmp_path, site, {"trusted_proxies": ["10.0.0.0/8"]})
    headers = {"x-forwarded-for": "203.0.113.9, 198.51.100.7"}
    for peer, client in (("10.0.0.1", "198.51.100.7"), ("192.0.2.1", "192.0.2.1"), ("", "")):
        WSGIBrowser(gate).get(headers=headers, REMOTE_ADDR=peer)
        assert site.environs[-1]["gateway.client"] == client
    gate.close()


class Pieces:
    """A body that is made piece by piece, and knows what has become of it."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = iter(pieces)
        self.made = self.closed = 0

    def __iter__(self) -> "Pieces":
        return self

    def __next__(self) -> bytes:
        piece = next(self._pieces)
        self.made += 1
        return piece

    def close(self) -> None:
        self.closed += 1


def answer_with(pieces: Any, headers: list[tuple[str, str]] | None = None) -> Any:
    """An inner app."""

    def app(_environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", headers or PLAIN)
        return pieces

    return app


@pytest.mark.parametrize("content_type", ["text/plain", "text/html"])
def test_bytes_go_out_as_they_come(visitor: WSGIBrowser, site: WSGIPages, content_type: str) -> None:
    """A streamed body is handed on piece by piece, before the next is made; pages too, with their tags held."""
    pieces = Pieces(b"<html><body><p>een", b"<p>twee", b'<img src="https://evil.example/">', b"</body></html>")
    site.answers["/"] = answer_with(pieces, [("Content-Type", content_type)])
    exchange = visitor.start()
    for number, text in enumerate((b"een", b"twee", b"evil"), 1):
        assert (text in exchange.next(), pieces.made) == (True, number)
    assert pieces.closed == 0
    exchange.finish()
    assert pieces.closed == 1


def test_a_body_is_closed_when_the_client_goes(visitor: WSGIBrowser, site: WSGIPages) -> None:
    """However far a body has come, the site hears of its end once, and no more is made."""
    for read in (0, 1, 2):
        pieces = Pieces(*[b"<html><body>"] * 9)
        site.answers["/"] = answer_with(pieces, [("Content-Type", "text/html")])
        exchange = visitor.start()
        for _ in range(read):
            exchange.next()
        exchange.close()
        assert (pieces.closed, pieces.made) == (1, max(1, read))


def test_a_body_of_one_piece_is_known_to_be(visitor: WSGIBrowser, site: WSGIPages, gate: WSGIConsentMiddleware) -> None:
    """A server can announce the length of what comes in one piece, as it can without the gate; of a stream it cannot."""
    site.answers["/one"] = answer_with([b"een"])
    site.answers["/stream"] = answer_with(Pieces(b"een"))

    def call(path: str) -> Any:
        return gate(visitor.environ(path), lambda *_: lambda _: None)

    one, stream = call("/one"), call("/stream")
    assert (len(one), hasattr(stream, "__len__")) == (1, False)
    one.close()
    stream.close()


def test_files_are_handed_on(visitor: WSGIBrowser, site: WSGIPages) -> None:
    """What a server's file wrapper holds comes whole, and the file is closed."""
    file = BytesIO(b"%PDF" * 50_000)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "application/pdf")])
        return environ["wsgi.file_wrapper"](file, 8192)

    site.answers["/"] = app
    assert visitor.get().body == b"%PDF" * 50_000
    assert file.closed


def test_the_old_way_of_writing_works(visitor: WSGIBrowser, site: WSGIPages) -> None:
    """What an app writes with the callable that it gets goes before what it returns."""

    def app(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/html")])
        write(b"<html><body>een")
        write(b'<img src="https://evil.example/">')
        return [b"twee</body></html>"]

    site.answers["/"] = app
    got = visitor.get()
    assert got.text.startswith('<html><body>een<img data-gw-src="https://evil.example/" data-gw-purpose="unknown">twee')


def raise_seeded() -> None:
    """The site's own fault."""
    raise LookupError("seeded")


def test_an_error_page_may_replace_what_has_not_gone_out(visitor: WSGIBrowser, site: WSGIPages) -> None:
    """With `exc_info` the head is replaced as long as no byte has gone; after that the fault is raised again."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        if "late" in environ["QUERY_STRING"]:
            yield b"begun"
        yield b""
        try:
            raise_seeded()
        except LookupError as error:
            start_response("500 Oei", PLAIN, (type(error), error, error.__traceback__))
        yield b"sorry"

    site.answers["/"] = app
    got = visitor.get()
    assert (got.status, got.body) == ("500 Oei", b"sorry")
    exchange = visitor.start("/?late")
    with pytest.raises(LookupError, match="seeded"):
        exchange.finish()


def test_a_site_s_exception_passes_untouched(visitor: WSGIBrowser, site: WSGIPages) -> None:
    """Raised at the call or half-way, it reaches the server as it was, and the body is closed."""

    def at_once(_environ: dict[str, Any], _start: Any) -> list[bytes]:
        raise LookupError("at once")

    class Failing(Pieces):
        def __next__(self) -> bytes:
            if self.made == 2:
                raise LookupError("half-way")
            return super().__next__()

    site.answers["/"] = at_once
    with pytest.raises(LookupError, match="at once"):
        visitor.get()
    for content_type in ("text/plain", "text/html"):
        pieces = Failing(b"<html>", b"<body>", b"x")
        site.answers["/"] = answer_with(pieces, [("Content-Type", content_type)])
        exchange = visitor.start()
        with pytest.raises(LookupError, match="half-way"):
            exchange.finish()
        assert pieces.closed == 1


def test_a_site_that_breaks_the_rules_is_told(visitor: WSGIBrowser, site: WSGIPages) -> None:
    """No start, or two of them, is an error that says so."""

    def twice(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", PLAIN)
        start_response("200 OK", PLAIN)
        return []

    site.answers["/"] = lambda _environ, _start: [b"x"]
    with pytest.raises(BrokenSite, match="before the first byte"):
        visitor.get()
    site.answers["/"] = twice
    with pytest.raises(BrokenSite, match="twice"):
        visitor.get()


def test_observing_changes_nothing(tmp_path: Path) -> None:
    """While observing every byte and header stays as it was, and what would be held is counted."""
    gate = own_gate(tmp_path, WSGIPages({"/": Answer(headers=[HTML, *COOKIES])}), {"mode": "observe"})
    got = WSGIBrowser(gate).get()
    assert got.body == PAGE
    assert len(got.cookies) == len(COOKIES)
    gate.close()
    counts = read_counts(tmp_path / "data")
    assert counts["would_hold", "evil.example", "iframe unknown /"] == 1


def test_threads_share_one_gate(tmp_path: Path) -> None:
    """Eight threads with visitors of their own at once, and each sees its own choice, on pages whole and streamed; each
    event that was acknowledged is in the journal."""
    answers = {"/whole": Answer(headers=[HTML, *COOKIES]), "/stream": Answer([PAGE[:70], PAGE[70:]])}
    gate = own_gate(tmp_path, WSGIPages(answers), LIMITS)
    together = threading.Barrier(8)

    def visit(number: int) -> int:
        visitor, choice = WSGIBrowser(gate), ("accept_all", "reject_all", "save")[number % 3]
        together.wait()
        acknowledged = 0
        for _ in range(6):
            visitor.choose(choice)
            for path in answers:
                check_page(visitor.get(path), choice)
            assert ("__Host-gw_visit" in visitor.cookies) is (choice == "accept_all")
            acknowledged += visitor.report().code == 202
        return acknowledged

    with ThreadPoolExecutor(8) as threads:
        acknowledged = list(threads.map(visit, range(8)))
    gate.close()
    assert acknowledged == [6 if number % 3 == 0 else 0 for number in range(8)]
    recorded = [one.event.kind for one in read_recorded(tmp_path / "data")]
    assert (recorded.count("event"), recorded.count("page_view")) == (sum(acknowledged), 2 * sum(acknowledged))


def check_page(got: Got, choice: str) -> None:
    """A page as one who chose so has to see it."""
    assert got.text.count(' src="https://') == (2 if choice == "accept_all" else 0)
    assert got.text.count("data-gw-src=") == (1 if choice == "accept_all" else 3)


def test_a_page_waits_for_no_other(tmp_path: Path) -> None:
    """A visitor whose page is slow keeps nobody else waiting, at our own addresses neither."""
    reached, release = threading.Event(), threading.Event()

    def slow(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        reached.set()
        release.wait(60)
        start_response("200 OK", PLAIN)
        return [b"late"]

    gate = own_gate(tmp_path, WSGIPages({"/slow": slow}))
    with ThreadPoolExecutor(1) as thread:
        late = thread.submit(WSGIBrowser(gate).get, "/slow")
        assert reached.wait(10)
        visitor = WSGIBrowser(gate)
        visitor.choose("accept_all")
        assert visitor.report().code == 202
        assert visitor.get().code == 200
        assert not late.done()
        release.set()
        assert late.result().body == b"late"
    gate.close()
