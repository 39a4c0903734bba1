"""The cookie firewall: what no service of a granted purpose names does not reach the browser."""

import pytest

from gateway.consent.cookies import cookie_of, cut_to, expire_cookies, find_refused, is_named_as_needed, paths_above
from gateway.consent.decision import UNDECIDED, decide
from tests.example_site import NOW, make_choice, read_policy

POLICY = read_policy()
NAMES = [
    (b"a=1", "a"),
    (b"a=", "a"),
    (b" a = 1; Path=/", "a"),
    (b"\ta=1", "a"),
    (b"a=b=c", "a"),
    (b"__Host-a=1", "__Host-a"),
    (b"=sessionid", ""),
    (b"sessionid", ""),
    (b"sessionid; Path=/a=b", ""),
    (b"; sessionid=1", ""),
    (b"", ""),
    (b"\xe9=1", "é"),
]


@pytest.mark.parametrize(("value", "name"), NAMES)
def test_the_name_is_what_a_browser_reads(value: bytes, name: str) -> None:
    """The name stands before the first `=` of the first part; a nameless cookie has none."""
    assert cookie_of(value) == name


SENT = [
    b"sessionid=1",
    b"csrftoken=2",
    b"_tel=3",
    b"_ads=4; Domain=example.org",
    b"other=5",
    b"=sessionid",
    b"SessionId=6",
]
PASSED = [
    ((), [b"sessionid=1", b"csrftoken=2"]),
    (("analytics",), [b"sessionid=1", b"csrftoken=2", b"_tel=3"]),
    (("analytics", "marketing"), [b"sessionid=1", b"csrftoken=2", b"_tel=3", b"_ads=4; Domain=example.org"]),
]


@pytest.mark.parametrize(("purposes", "passed"), PASSED)
def test_only_necessary_and_granted_cookies_pass(purposes: tuple[str, ...], passed: list[bytes]) -> None:
    """Necessary cookies always pass, those of a purpose with its grant, unknown and nameless ones never."""
    headers = [(b"content-type", b"text/html"), *((b"set-cookie", value) for value in SENT), (b"Set-Cookie", b"_tel=7")]
    decision = decide(make_choice(POLICY, *purposes), "main", POLICY, NOW)
    refused = [header for header, _, _ in find_refused(headers, POLICY, decision)]
    left = [value for name, value in headers if name == b"set-cookie" and (name, value) not in refused]
    assert left == passed
    assert ((b"Set-Cookie", b"_tel=7") in refused) is ("analytics" not in purposes)
    assert headers[0] not in refused


def test_a_refused_cookie_is_named_with_its_purpose() -> None:
    """The report learns which cookie was held and for which purpose's sake."""
    headers = [(b"set-cookie", b"_tel_9=1"), (b"set-cookie", b"=x")]
    found = [(name, purpose) for _, name, purpose in find_refused(headers, POLICY, UNDECIDED)]
    assert found == [("_tel_9", "analytics"), ("", "unknown")]


EXPIRED = [
    ("shop.example.org", ["", "; Domain=shop.example.org", "; Domain=example.org"]),
    ("example.org", ["", "; Domain=example.org"]),
    ("localhost", [""]),
    ("192.0.2.1", [""]),
    ("2001:db8::1", [""]),
    ("", [""]),
]


@pytest.mark.parametrize(("host", "domains"), EXPIRED)
def test_cookies_are_expired_wherever_they_may_lie(host: str, domains: list[str]) -> None:
    """An optional cookie is deleted from the host and from each domain above it that could hold it."""
    wanted = [f"_tel=; Max-Age=0; Path=/{domain}; Secure" for domain in domains]
    assert expire_cookies(["_tel"], host, secure=True) == wanted + [f"{line}; Partitioned" for line in wanted]
    assert expire_cookies(["_tel"], host, secure=False) == [line.removesuffix("; Secure") for line in wanted]


def test_a_host_cookie_is_expired_on_its_host_alone() -> None:
    """A `__Host-` cookie cannot have a domain, so it is deleted without one."""
    found = expire_cookies(["__Host-a"], "shop.example.org", secure=True, paths=("/", "/shop"))
    assert found == ["__Host-a=; Max-Age=0; Path=/; Secure", "__Host-a=; Max-Age=0; Path=/; Secure; Partitioned"]


ABOVE = [
    ("/", []),
    ("/shop", ["/shop"]),
    ("/shop/cart/?a=/b", ["/shop", "/shop/", "/shop/cart", "/shop/cart/"]),
    ("/a;b", []),
    ("/a b", []),
    ("/a,b", []),
    ("relative", []),
    ("", []),
    ("/" + "a" * 600, []),
]


@pytest.mark.parametrize(("path", "above"), ABOVE)
def test_a_page_has_its_own_path_and_those_above(path: str, above: list[str]) -> None:
    """A cookie may have been set for any folder that the page lies in; what no path can hold expires nothing."""
    assert paths_above(path) == above


def test_a_cookie_of_a_folder_is_expired_there() -> None:
    """Path and domain both have to be those that a cookie was set with."""
    found = expire_cookies(["_tel"], "www.example.org", secure=False, paths=("/shop",))
    assert found == [
        f"_tel=; Max-Age=0; Path=/shop{d}" for d in ("", "; Domain=www.example.org", "; Domain=example.org")
    ]


def test_the_head_does_not_outgrow_what_proxies_take() -> None:
    """Of many lines the first ones go out, as many as fit with their names."""
    lines = expire_cookies([f"_tel_{n}" for n in range(100)], "www.example.org", secure=True)
    cut = cut_to(lines, 1000)
    assert cut == lines[: len(cut)]
    assert 900 < sum(len(f"set-cookie: {line}\r\n") for line in cut) <= 1000
    assert cut_to([], 10) == []


NEEDED = [
    "csrftoken_x",
    "XSRF-TOKEN",
    "ASP.NET_SessionId",
    ".AspNetCore.Antiforgery.x",
    "winkelmand_id",
    "cart",
    "sid",
    "app-sid",
    "logged_in",
]
OTHERS = ["_fbp", "side", "residence", "theme", "_ga_ABC", "visitor_id123", "catalog", "rare_thing"]


@pytest.mark.parametrize("name", NEEDED + OTHERS)
def test_names_of_forms_sign_in_and_baskets_are_known(name: str) -> None:
    """A guess from the name alone, of cookies that nobody knows."""
    assert is_named_as_needed(name) is (name in NEEDED)
