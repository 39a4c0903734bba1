"""Reading a request: whose it is, which cookie it carries, and where it may come from; nothing raises."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.request import RequestReader, VisitorRequest, find_cookie, host_name

TRUSTED = ("10.0.0.0/8", "2001:db8:ffff::/48")
PEER = ("192.0.2.1", 1234)


def read(*headers: tuple[bytes, bytes], trusted: tuple[str, ...] = (), **scope: Any) -> VisitorRequest:
    values: dict[str, Any] = {"type": "http", "method": "GET", "scheme": "https", "path": "/", "query_string": b""}
    values |= {"client": PEER, "headers": list(headers)} | scope
    return RequestReader(trusted).read(values)


# (peer, X-Forwarded-For, believed address), with 10.0.0.0/8 trusted
FORWARDED = [
    ("10.0.0.1", b"198.51.100.7", "198.51.100.7"),
    ("10.0.0.1", b"203.0.113.9, 198.51.100.7", "198.51.100.7"),
    ("10.0.0.1", b"203.0.113.9, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
    ("10.0.0.1", b"10.9.9.9, 10.0.0.2", "10.9.9.9"),
    ("10.0.0.1", b"", "10.0.0.1"),
    ("10.0.0.1", b"unknown", "10.0.0.1"),
    ("10.0.0.1", b"198.51.100.7, unknown", "10.0.0.1"),
    ("10.0.0.1", b"198.51.100.7, <script>", "10.0.0.1"),
    ("10.0.0.1", b"198.51.100.7:51234", "198.51.100.7"),
    ("10.0.0.1", b'"[2001:db8::7]:51234"', "2001:db8::7"),
    ("10.0.0.1", b"[2001:db8::7]", "2001:db8::7"),
    ("10.0.0.1", b"2001:db8::7", "2001:db8::7"),
    ("10.0.0.1", b"\xff\xfe", "10.0.0.1"),
    ("10.0.0.1", b"203.0.113.9," * 1000 + b"198.51.100.7", "198.51.100.7"),
    ("10.0.0.1", b"10.0.0.2," * 1000 + b"10.0.0.3", "10.0.0.2"),
    ("::ffff:10.0.0.1", b"198.51.100.7", "198.51.100.7"),
    ("2001:db8:ffff::1", b"198.51.100.7", "198.51.100.7"),
    ("192.0.2.1", b"198.51.100.7", "192.0.2.1"),
    ("192.0.2.1", b"10.0.0.1", "192.0.2.1"),
    ("", b"198.51.100.7", ""),
]


@pytest.mark.parametrize(("peer", "header", "client"), FORWARDED)
def test_addresses_are_believed_from_trusted_proxies_only(peer: str, header: bytes, client: str) -> None:
    """The right-most address that is no trusted proxy's counts; what stands before it may be invented."""
    assert read((b"x-forwarded-for", header), trusted=TRUSTED, client=(peer, 1)).client == client


@pytest.mark.parametrize("name", [b"x-real-ip", b"cf-connecting-ip", b"true-client-ip", b"forwarded", b"x-client-ip"])
def test_no_other_header_says_who_it_is(name: bytes) -> None:
    """Headers that no proxy of ours was agreed on are not read, from a trusted peer or another."""
    assert read((name, b"198.51.100.7"), trusted=TRUSTED, client=("10.0.0.1", 1)).client == "10.0.0.1"


def test_without_trusted_proxies_the_peer_counts() -> None:
    """By default nobody is believed, and a missing peer is nobody."""
    assert read((b"x-forwarded-for", b"198.51.100.7")).client == "192.0.2.1"
    assert read(client=None).client == ""


def test_several_forwarded_headers_are_one_list() -> None:
    """A header sent twice is read as one, in order, so that a second one hides nothing."""
    headers = [(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-for", b"198.51.100.7")]
    assert read(*headers, trusted=TRUSTED, client=("10.0.0.1", 1)).client == "198.51.100.7"


SCHEMES = [
    ("10.0.0.1", b"https", "https"),
    ("10.0.0.1", b"http, HTTPS", "https"),
    ("10.0.0.1", b"https, http", "http"),
    ("10.0.0.1", b"javascript", "http"),
    ("192.0.2.1", b"https", "http"),
]


@pytest.mark.parametrize(("peer", "header", "scheme"), SCHEMES)
def test_the_scheme_is_the_nearest_trusted_proxy_s_word(peer: str, header: bytes, scheme: str) -> None:
    """X-Forwarded-Proto is believed from a trusted proxy, its last word, and only for http and https."""
    found = read((b"x-forwarded-proto", header), trusted=TRUSTED, client=(peer, 1), scheme="http")
    assert found.scheme == scheme


NAME = "__Host-gw_consent"
COOKIES = [
    (b"__Host-gw_consent=tok", "tok"),
    (b"a=1; __Host-gw_consent=tok; b=2", "tok"),
    (b"a=1;__Host-gw_consent=tok;b=2", "tok"),
    (b"a=1 ;  __Host-gw_consent=tok ", "tok"),
    (b"__Host-gw_consent=to=k==", "to=k=="),
    (b"__Host-gw_consent=", ""),
    (b"", ""),
    (b"__Host-gw_consent", ""),
    (b"x__Host-gw_consent=tok", ""),
    (b"x __Host-gw_consent=tok", ""),
    (b"=__Host-gw_consent=tok", ""),
    (b"a=__Host-gw_consent=tok", ""),
    (b'a="; __Host-gw_consent=tok', "tok"),
    (b"__host-gw_consent=tok", ""),
    (b"__Host-gw_consent=tok; __Host-gw_consent=tok", "tok"),
    (b"__Host-gw_consent=one; __Host-gw_consent=two", ""),
    (b"__Host-gw_consent=two; a=1; __Host-gw_consent=one", ""),
    (b"__Host-gw_consent=; __Host-gw_consent=one", ""),
    (b"x__Host-gw_consent=bad; __Host-gw_consent=tok", "tok"),
    (b"a=__Host-gw_consent=bad; __Host-gw_consent=tok", "tok"),
    (b"__Host-gw_consent=\xff", "\xff"),
    (b"a=1; " * 10_000 + b"__Host-gw_consent=tok", "tok"),
]


@pytest.mark.parametrize(("header", "value"), COOKIES)
def test_one_cookie_is_found_and_no_look_alike(header: bytes, value: str) -> None:
    """Only a cookie of exactly that name counts, and two that differ count as none."""
    assert find_cookie(header, NAME) == value


def test_cookies_in_several_headers_are_one_list() -> None:
    """HTTP/2 may send a header for each cookie: a second consent cookie is seen there too."""
    assert read((b"cookie", b"a=1"), (b"cookie", b"__Host-gw_consent=tok")).cookie(NAME) == "tok"
    two = read((b"cookie", b"__Host-gw_consent=tok"), (b"cookie", b"__Host-gw_consent=bad"))
    assert two.cookie(NAME) == ""
    assert two.cookie_names() == [NAME, NAME]


HOSTS = [
    (b"www.example.org", "www.example.org"),
    (b"WWW.Example.org:8443", "www.example.org"),
    (b"example.org.", "example.org"),
    (b"[2001:DB8::1]:80", "2001:db8::1"),
    (b"192.0.2.1:80", "192.0.2.1"),
    (b"localhost:8787", "localhost"),
    (b"xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
    (b"", ""),
    (b"evil.example/path", ""),
    (b"a@b", ""),
    (b"a b", ""),
    (b'"><script>', ""),
    (b"caf\xe9.example", ""),
    (b"\0", ""),
    (b"a" * 300, ""),
]


@pytest.mark.parametrize(("header", "host"), HOSTS)
def test_a_host_is_a_plain_name(header: bytes, host: str) -> None:
    """Lower case, without port and final dot; anything that is no name is none."""
    assert host_name(header) == host
    assert read((b"host", header)).host == host


SITE = (b"host", b"www.example.org")
ORIGINS: list[tuple[list[tuple[bytes, bytes]], bool]] = [
    ([(b"sec-fetch-site", b"same-origin")], True),
    ([(b"sec-fetch-site", b"none")], True),
    ([(b"sec-fetch-site", b"same-site")], False),
    ([(b"sec-fetch-site", b"cross-site")], False),
    ([(b"sec-fetch-site", b"cross-site"), (b"origin", b"https://www.example.org")], False),
    ([(b"sec-fetch-site", b"")], False),
    ([(b"origin", b"https://www.example.org")], True),
    ([(b"origin", b"HTTPS://WWW.EXAMPLE.ORG")], True),
    ([(b"origin", b"http://www.example.org")], False),
    ([(b"origin", b"https://www.example.org:8443")], False),
    ([(b"origin", b"https://www.example.org.evil.example")], False),
    ([(b"origin", b"https://shop.example.org")], False),
    ([(b"origin", b"null")], False),
    ([(b"origin", b"null"), (b"referer", b"https://www.example.org/")], False),
    ([(b"referer", b"https://www.example.org/a")], True),
    ([(b"referer", b"https://www.example.org.evil.example/")], False),
    ([(b"referer", b"https://www.example.org@evil.example/")], False),
    ([(b"referer", b"https://evil.example/https://www.example.org/")], False),
    ([], False),
]


@pytest.mark.parametrize(("headers", "same"), ORIGINS)
def test_only_the_browser_s_word_makes_a_post_our_own(headers: list[tuple[bytes, bytes]], same: bool) -> None:
    """Sec-Fetch-Site first, then Origin, then Referer; another host, port, scheme or subdomain, or silence, is
    foreign."""
    assert read(SITE, *headers).same_origin is same


DOCUMENTS: list[tuple[list[tuple[bytes, bytes]], bool]] = [
    ([(b"accept", b"text/html")], True),
    ([(b"accept", b"text/html"), (b"sec-fetch-dest", b"document")], True),
    ([(b"accept", b"text/html"), (b"sec-fetch-dest", b"iframe")], False),
    ([(b"accept", b"text/html"), (b"sec-fetch-dest", b"empty")], False),
    ([(b"accept", b"text/html"), (b"x-requested-with", b"XMLHttpRequest")], False),
    ([(b"accept", b"*/*")], False),
    ([], False),
]


@pytest.mark.parametrize(("headers", "document"), DOCUMENTS)
def test_a_navigation_is_told_from_a_fetch(headers: list[tuple[bytes, bytes]], document: bool) -> None:
    """Frames, fetches and fragments are no page that somebody looks at."""
    assert read(*headers).is_document is document


@pytest.mark.parametrize(
    ("name", "value", "prefetch"),
    [
        (b"sec-purpose", b"prefetch", True),
        (b"sec-purpose", b"prefetch;prerender", True),
        (b"purpose", b"prefetch", True),
        (b"x-moz", b"prefetch", True),
        (b"sec-purpose", b"", False),
        (b"accept", b"text/html", False),
    ],
)
def test_a_prefetch_is_known(name: bytes, value: bytes, prefetch: bool) -> None:
    """Every browser's way of saying that it only fetches ahead is understood."""
    assert read((name, value)).prefetch is prefetch


URLS: list[tuple[dict[str, Any], str]] = [
    ({"path": "/a", "query_string": b"b=c"}, "/a?b=c"),
    ({"path": "/caf\u00e9 x"}, "/caf%C3%A9%20x"),
    ({"path": "/caf\u00e9", "raw_path": b"/caf%C3%A9"}, "/caf%C3%A9"),
    ({"path": "//evil.example/x", "raw_path": b"//evil.example/x"}, "/evil.example/x"),
    ({"path": "/\\evil.example", "raw_path": b"/\\evil.example"}, "/%5Cevil.example"),
    ({"path": "/a", "query_string": b"b=\\c"}, "/a?b=%5Cc"),
    ({"path": "http://evil.example/", "raw_path": b"http://evil.example/"}, "/http://evil.example/"),
    ({"path": "*", "raw_path": b"*"}, "/*"),
]


@pytest.mark.parametrize(("scope", "url"), URLS)
def test_an_address_is_a_path_on_this_site(scope: dict[str, Any], url: str) -> None:
    """The address that a page is returned to is as it was asked for, and no browser reads it as another host."""
    assert read(**scope).url == url


SECURE = [
    ("https", b"www.example.org", True),
    ("http", b"www.example.org", True),
    ("http", b"localhost:8787", False),
    ("http", b"127.0.0.1", False),
    ("http", b"[::1]:8787", False),
    ("http", b"site.localhost", False),
    ("http", b"127.0.0.2", False),
    ("http", b"127.example.org", True),
    ("https", b"localhost", True),
    ("wss", b"localhost", True),
]


@pytest.mark.parametrize(("scheme", "host", "secure"), SECURE)
def test_only_plain_http_loopback_is_insecure(scheme: str, host: bytes, secure: bool) -> None:
    """Cookies are Secure everywhere but on this machine itself."""
    assert read((b"host", host), scheme=scheme).secure is secure


def test_a_bare_scope_is_enough() -> None:
    """What ASGI leaves optional may be missing."""
    found = RequestReader(TRUSTED).read({"type": "websocket", "path": "/", "headers": []})
    assert (found.url, found.scheme, found.host, found.client, found.method) == ("/", "http", "", "", "GET")


def test_what_is_remembered_by_a_header_is_short() -> None:
    """Agent, languages and hints are cut, so that giants are not kept in any memory."""
    giants = [(name, b"a" * 60_000) for name in (b"user-agent", b"accept-language", b"sec-ch-ua")]
    found = read(*giants).hit("main", 0.0)
    assert (len(found.user_agent), len(found.language), len(found.hints)) == (512, 500, 400)


NAMES = [
    b"host",
    b"cookie",
    b"origin",
    b"referer",
    b"accept",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"sec-fetch-site",
]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=60)), max_size=12), st.binary(max_size=60))
def test_hostile_headers_never_raise(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    """Whatever bytes the headers hold, the request can be read and asked everything."""
    found = read(*headers, trusted=TRUSTED, client=("10.0.0.1", 1), query_string=query)
    found.cookie(NAME)
    found.cookie_names()
    hit = found.hit("main", 0.0)
    assert hit.url.startswith("/")
    assert found.same_origin in (True, False)
    assert found.is_document in (True, False)


def test_no_random_forwarding_reaches_past_a_trusted_proxy() -> None:
    """Over random chains the believed address is the last one that is not ours, whatever stands before it."""
    dice = random.Random(11)
    for _ in range(500):
        invented = [f"203.0.113.{dice.randrange(256)}" for _ in range(dice.randrange(5))]
        ours = [f"10.1.1.{dice.randrange(256)}" for _ in range(dice.randrange(4))]
        chain = ", ".join([*invented, "198.51.100.7", *ours]).encode()
        assert read((b"x-forwarded-for", chain), trusted=TRUSTED, client=("10.0.0.1", 1)).client == "198.51.100.7"


GPC = [
    ((b"1",), True),
    ((), False),
    ((b"0",), False),
    ((b"true",), False),
    ((b"1, 1",), False),
    ((b"11",), False),
    ((b"0", b"1"), True),
    ((b"1", b"0"), True),
    ((b"1", b"1"), True),
]


@pytest.mark.parametrize(("values", "given"), GPC)
def test_global_privacy_control_is_exactly_one(values: tuple[bytes, ...], given: bool) -> None:
    """R21: `1` is the signal, nothing else is; of several headers one is enough."""
    assert read(*((b"sec-gpc", value) for value in values)).gpc is given
