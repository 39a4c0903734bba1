"""What caches are told: a page is one visitor's, and an answer that carries what was granted is not shown to others."""

import pytest

from tests.web.gated_site import COOKIES, HTML, Answer, Browser, Header, Pages, ask

PNG: Header = (b"content-type", b"image/png")
FOR_CACHES: list[Header] = [
    (b"surrogate-control", b"max-age=3600"),
    (b"cdn-cache-control", b"max-age=3600"),
    (b"cloudflare-cdn-cache-control", b"public"),
    (b"voorbeeld-cache-control", b"max-age=60"),
    (b"x-accel-expires", b"3600"),
    (b"edge-control", b"!no-store"),
]
SAID = [
    (b"public, s-maxage=600, max-age=60", "private, no-cache"),
    (b"max-age=31536000, immutable", "private, no-cache"),
    (b"s-maxage=60, stale-while-revalidate=600, stale-if-error=86400", "private, no-cache"),
    (b"No-Store", "private, no-store"),
    (b"public, NO-TRANSFORM", "private, no-cache, no-transform"),
    (b"no-store, no-transform", "private, no-store, no-transform"),
]


@pytest.mark.parametrize(("said", "wanted"), SAID)
def test_no_cache_keeps_a_page(browser: Browser, pages: Pages, said: bytes, wanted: str) -> None:
    """Whatever a site tells caches, by whichever header, a page is one visitor's; words against storing and changing stay."""
    headers = [HTML, (b"cache-control", said), *FOR_CACHES, (b"vary", b"Accept-Encoding"), (b"expires", b"x")]
    for method in ("GET", "HEAD"):
        got = ask(browser, pages, Answer(headers=headers), method=method)
        assert [name for name, _ in [*FOR_CACHES, (b"expires", b"")] if name.decode() in got.headers] == []
        assert (got.headers["cache-control"], got.headers["vary"]) == (wanted, "Accept-Encoding, Cookie")
    browser.choose("accept_all")
    granted = ask(browser, pages, Answer(headers=headers)).headers["cache-control"]
    assert granted == wanted.replace("no-cache", "no-store")


KEPT = [
    (b"public, max-age=600, s-maxage=9000, immutable", "private, max-age=600, immutable"),
    (b"no-store", "private, no-store"),
    (b"private", "private"),
    (b"", "private"),
]


@pytest.mark.parametrize(("said", "wanted"), KEPT)
def test_an_answer_with_what_was_granted_is_not_shared(
    browser: Browser, pages: Pages, said: bytes, wanted: str
) -> None:
    """An image that sets a granted cookie, or a style that has a granted host contacted, stays with who granted it."""
    headers = [PNG, (b"cache-control", said), (b"etag", b'"1"'), *FOR_CACHES]
    granted: list[list[Header]] = [COOKIES, [(b"link", b"<https://teller.example.net/a.js>; rel=preload")]]
    for leading in granted:
        before = ask(browser, pages, Answer(b"x", [*headers, *leading]))
        assert (before.headers["cache-control"], before.headers["x-accel-expires"]) == (said.decode(), "3600")
        assert "teller.example.net" not in str(before.headers)
    browser.choose("accept_all")
    for leading in granted:
        after = ask(browser, pages, Answer(b"x", [*headers, *leading]))
        assert (after.headers["cache-control"], after.headers["etag"]) == (wanted, '"1"')
        assert [name for name, _ in FOR_CACHES if name.decode() in after.headers] == []
    necessary = (b"link", b"</a.css>; rel=preload, <https://cdn.example.org/b.css>; rel=preload")
    plain = ask(browser, pages, Answer(b"x", [*headers, necessary]))
    assert (plain.headers["cache-control"], plain.headers["x-accel-expires"]) == (said.decode(), "3600")
