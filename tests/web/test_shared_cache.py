"""A real nginx with a cache before the gate: what one visitor was granted, or is called by, is never shown to another."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from gateway.front import ConsentMiddleware
from gateway.wsgi_front import WSGIConsentMiddleware
from tests.example_site import AGENT
from tests.nginx_server import run_nginx
from tests.ports import free_port
from tests.web.gated_site import COOKIES, HTML, PAGE, Answer, Header, Pages, ready_config
from tests.web.proxy_servers import run_server
from tests.web.wsgi_caller import WSGIBrowser, WSGIPages

# As careless as an operator may be: whatever has no word against it is kept for ten minutes, for everybody.
RULES = """
proxy_cache_path {folder}/cache keys_zone=pages:1m;
server {{
    listen 127.0.0.1:{port};
    location / {{
        proxy_pass http://127.0.0.1:{gateway};
        proxy_set_header Host $http_host;
        proxy_cache pages;
        proxy_cache_valid any 10m;
        proxy_cache_revalidate on;
        add_header X-Cached $upstream_cache_status always;
    }}
}}
"""
EAGER: list[Header] = [
    (b"cache-control", b"public, s-maxage=600, stale-while-revalidate=600"),
    (b"x-accel-expires", b"600"),
    (b"expires", b"Thu, 31 Dec 2037 23:55:55 GMT"),
    (b"etag", b'"theirs"'),
    (b"last-modified", b"Thu, 26 Nov 2026 10:00:00 GMT"),
]
CONSENT = "gw_consent"


class Got(NamedTuple):
    """What a visitor got."""

    status: int
    headers: HTTPMessage
    text: str

    @property
    def cached(self) -> str:
        return self.headers["x-cached"] or ""

    @property
    def foreign(self) -> int:
        """Tags that contact a foreign host."""
        return self.text.count(' src="https://')


class CachedVisitor:
    """Somebody with a cookie jar, before the cache."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.cookies: dict[str, str] = {}

    def get(self, path: str = "/", method: str = "GET", body: str | None = None, **headers: str) -> Got:
        sent = {
            "User-Agent": AGENT,
            "Accept": "text/html",
            "Sec-Fetch-Dest": "document",
            "Sec-Fetch-Site": "same-origin",
        }
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
        connection.request(
            method, path, body, sent | {name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = connection.getresponse()
        got = Got(answer.status, answer.headers, answer.read().decode())
        connection.close()
        for cookie in got.headers.get_all("set-cookie") or []:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return got

    def choose(self, choice: str) -> Got:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.get("/_gw/consent", "POST", urlencode({"choice": choice, "return_to": "/"}), **form)


class CachedSite(NamedTuple):
    """The site, the port of the cache, and that of the gate behind it."""

    pages: Pages
    port: int
    gateway: int

    def visitor(self, choice: str = "") -> CachedVisitor:
        """A newcomer, who chooses at once when told so."""
        visitor = CachedVisitor(self.port)
        if choice:
            assert visitor.choose(choice).status == 303
        return visitor


@contextmanager
def cached_site(folder: Path, **site: Any) -> Iterator[CachedSite]:
    """The example site behind the gate behind nginx."""
    pages, port = Pages(), free_port()
    app = ConsentMiddleware(pages, ready_config(folder, {"sites": [site]}))
    with run_server(app) as gateway:
        rules = RULES.format(folder=folder / "nginx", port=port, gateway=gateway)
        with run_nginx(folder / "nginx", rules, port):
            yield CachedSite(pages, port, gateway)


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CachedSite]:
    """Pages made for one visitor each."""
    with cached_site(tmp_path_factory.mktemp("private")) as site:
        yield site


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CachedSite]:
    """Pages that are the same for all."""
    with cached_site(tmp_path_factory.mktemp("shared"), cache_safe=True) as site:
        yield site


def test_no_page_of_one_visitor_is_kept_for_another(private: CachedSite) -> None:
    """Whatever the site tells the cache: accepters, refusers and newcomers get pages of their own, also in turns, and no
    view's id comes twice."""
    private.pages.answers["/"] = Answer(PAGE, [HTML, *EAGER, *COOKIES])
    accepter, refuser = private.visitor("accept_all"), private.visitor("reject_all")
    ids = []
    for _ in range(2):
        assert (accepter.get().foreign, refuser.get().foreign) == (2, 0)
        newcomer = private.visitor()
        fresh, again = newcomer.get(), private.visitor().get()
        assert (fresh.foreign, again.foreign, fresh.cached) == (0, 0, "MISS")
        ids += re.findall(r'"view":"([^"]+)', unescape(fresh.text + again.text))
        assert set(newcomer.cookies) == {"sessionid"}
    assert len(ids) == len(set(ids)) == 4
    accepter.choose("reject_all")
    assert accepter.get().foreign == 0


def test_a_page_is_asked_for_whole_whatever_the_cache_holds(private: CachedSite) -> None:
    """Neither a validator nor a range of a copy from elsewhere brings back what was granted; HEAD promises nothing either."""
    private.pages.answers["/again"] = Answer(PAGE, [HTML, *EAGER])
    visitor = private.visitor("reject_all")
    got = visitor.get("/again", If_None_Match='"theirs"', If_Modified_Since="Thu, 26 Nov 2026 10:00:00 GMT")
    assert (got.status, got.foreign, got.headers["etag"], got.headers["last-modified"]) == (200, 0, None, None)
    part = visitor.get("/again", Range="bytes=0-99")
    assert (part.status, part.foreign) == (200, 0)
    head = visitor.get("/again", "HEAD")
    assert (head.headers["cache-control"], head.headers["etag"]) == ("private, no-cache", None)


def test_what_sets_a_granted_cookie_is_not_kept_for_all(private: CachedSite) -> None:
    """An image that sets a cookie for who granted it sets none for others, and stays cached for them without it."""
    png = [(b"content-type", b"image/png"), (b"cache-control", b"public, max-age=600")]
    private.pages.answers["/p.png"] = Answer(b"png", [*png, (b"set-cookie", b"_tel=2; Path=/")])
    accepter, refuser = private.visitor("accept_all"), private.visitor("reject_all")
    got = accepter.get("/p.png", Accept="image/*")
    assert ("_tel" in accepter.cookies, got.cached) == (True, "MISS")
    assert refuser.get("/p.png", Accept="image/*").cached == "MISS"
    assert "_tel" not in refuser.cookies
    assert refuser.get("/p.png", Accept="image/*").cached == "HIT"


def test_one_copy_serves_everybody(shared: CachedSite) -> None:
    """In cache-safe mode the accepter's copy is the refuser's and the newcomer's, byte for byte: every tag held, no banner, no
    id, no decision in it, and a plain link to the choice."""
    shared.pages.answers["/"] = Answer(PAGE, [HTML, *EAGER])
    accepter, refuser, newcomer = shared.visitor("accept_all"), shared.visitor("reject_all"), shared.visitor()
    asked = len(shared.pages.scopes)
    first = accepter.get("/", Accept_Language="en")
    others = [refuser.get(), newcomer.get("/", Accept_Language="fr")]
    assert (first.cached, [got.cached for got in others]) == ("MISS", ["HIT", "HIT"])
    assert {got.text for got in others} == {first.text}
    assert len(shared.pages.scopes) == asked + 1
    assert (first.foreign, first.text.count("data-gw-src="), 'id="gw-banner"' in first.text) == (0, 3, False)
    assert ("view" in first.text, 'href="/_gw/preferences?return_to="' in first.text) == (False, True)
    assert first.headers["set-cookie"] is None
    assert (first.headers["cache-control"], first.headers["vary"]) == (EAGER[0][1].decode(), None)
    told = [accepter.get("/_gw/state"), refuser.get("/_gw/state"), newcomer.get("/_gw/state")]
    assert ['"granted":[]' in got.text for got in told] == [False, True, True]
    assert {got.cached for got in told} == {"MISS"}
    assert ['id="gw-banner"' in one.get("/_gw/banner").text for one in (refuser, newcomer)] == [False, True]


def test_the_site_learns_of_nobody_s_choice(shared: CachedSite) -> None:
    """What the site makes of a GET cannot depend on a visitor either; of a post it learns everything as ever."""
    accepter = shared.visitor("accept_all")
    accepter.cookies |= {"_tel": "1", "sessionid": "s"}
    accepter.get("/whose")
    assert (shared.pages.header(b"x-gateway-consent"), shared.pages.header(b"cookie")) == (b"none", b"sessionid=s")
    assert shared.pages.scopes[-1]["gateway.consent"].granted == frozenset()
    got = accepter.get("/whose", "POST", "x=1")
    assert b"analytics" in (shared.pages.header(b"x-gateway-consent") or b"")
    assert shared.pages.header(b"cookie") == b"_tel=1; sessionid=s"
    assert (got.foreign, got.headers["cache-control"]) == (2, "private, no-store")


VALIDATED: list[list[Header]] = [
    [(b"etag", b'"theirs"')],
    [(b"etag", b'W/"their,s"')],
    [(b"last-modified", b"Thu, 26 Nov 2026 10:00:00 GMT")],
]


@pytest.mark.parametrize("number", range(len(VALIDATED)))
def test_the_site_s_validators_work_through_ours(shared: CachedSite, number: int) -> None:
    """A browser or cache that asks again names our validator, the site is asked with its own, and a 304 is a 304; a validator
    of the site itself, from before, or of other contents of ours, brings the whole page."""
    validators, path = VALIDATED[number], f"/validated{number}"
    same = Answer(b"", validators, 304)

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        asked = headers.get(b"if-none-match", b"") + headers.get(b"if-modified-since", b"")
        known = bool(asked) and any(value.removeprefix(b"W/") in asked for _, value in validators)
        page = Answer(PAGE, [HTML, (b"cache-control", b"no-cache"), *validators])
        await (same if known else page)(scope, receive, send)

    shared.pages.answers[path] = answer
    visitor = CachedVisitor(shared.gateway)
    first = visitor.get(path)
    tag = first.headers["etag"]
    assert re.fullmatch(r'W/"gw-[\w-]{11}-[ed]-[!#-~]+"', tag)
    assert first.headers["last-modified"] is None
    again = visitor.get(path, If_None_Match=f'"other", {tag}')
    assert (again.status, again.headers["etag"], again.text) == (304, tag, "")
    older = tag.replace(tag[6:17], "A" * 11)
    for stale in ('"theirs"', 'W/"their,s"', older):
        got = visitor.get(path, If_None_Match=stale, If_Modified_Since="Thu, 26 Nov 2026 10:00:00 GMT")
        assert (got.status, got.foreign, got.headers["etag"]) == (200, 0, tag)


def test_a_cache_asks_again_with_our_validator(shared: CachedSite) -> None:
    """A copy that has grown old in a second is asked about, not fetched: the cache goes on with it."""
    headers = [(b"cache-control", b"max-age=1"), (b"etag", b'"theirs"')]

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        known = b'"theirs"' in dict(scope["headers"]).get(b"if-none-match", b"")
        await (Answer(b"", headers, 304) if known else Answer(PAGE, [HTML, *headers]))(scope, receive, send)

    shared.pages.answers["/old"] = answer
    visitor = shared.visitor()
    first = visitor.get("/old")
    until = time.monotonic() + 5
    while (got := visitor.get("/old")).cached == "HIT" and time.monotonic() < until:
        time.sleep(0.2)
    assert (got.cached, got.text, got.headers["etag"]) == ("REVALIDATED", first.text, first.headers["etag"])


def test_a_page_that_cannot_be_read_is_closed_for_all(shared: CachedSite) -> None:
    """In cache-safe mode too nothing foreign loads from what we would misread, nor after a fault."""
    shared.pages.answers["/utf-16"] = Answer(PAGE.decode().encode("utf-16"), [HTML, *EAGER])
    connection = HTTPConnection("127.0.0.1", shared.port, timeout=10)
    connection.request("GET", "/utf-16", headers={"Accept": "text/html"})
    answer = connection.getresponse()
    assert (answer.read(), answer.status) == (PAGE.decode().encode("utf-16"), 200)
    assert "default-src 'self' " in answer.headers["content-security-policy"]
    connection.close()


def test_the_preferences_page_leads_back_to_where_the_link_was(shared: CachedSite) -> None:
    """The link is the same on every page, so the page that led there is told by the browser; another site is not believed."""
    visitor = shared.visitor()
    origin = f"http://127.0.0.1:{shared.port}"
    back = visitor.get("/_gw/preferences?return_to=", Referer=f"{origin}/dossier?a=1&b=2").text
    assert 'name="return_to" value="/dossier?a=1&amp;b=2"' in back
    for foreign in ("https://evil.example/x", f"{origin}.evil.example/x", f"{origin}//evil.example", ""):
        assert 'name="return_to" value=""' in visitor.get("/_gw/preferences?return_to=", Referer=foreign).text


def test_pages_are_the_same_for_all_behind_wsgi_too(tmp_path: Path) -> None:
    """An accepter's page is a newcomer's, the site sees nobody's choice with it, and is asked with its own validator."""
    site = WSGIPages({"/page": Answer(headers=[HTML, *COOKIES, (b"etag", b'"theirs"')])})
    gate = WSGIConsentMiddleware(site, ready_config(tmp_path, {"sites": [{"cache_safe": True}]}))
    accepter, newcomer = WSGIBrowser(gate), WSGIBrowser(gate)
    accepter.choose("accept_all")
    got, other = accepter.get("/page"), newcomer.get("/page")
    assert (got.body, list(got.cookies)) == (other.body, ["sessionid"])
    assert site.environs[-2]["gateway.consent"].granted == frozenset()
    accepter.get("/page", headers={"if-none-match": got.header("etag")})
    assert site.environs[-1]["HTTP_IF_NONE_MATCH"] == '"theirs", W/"theirs"'
    gate.close()
