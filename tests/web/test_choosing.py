"""A visitor's choice: taken from the site's own pages only, committed, and answered."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from gateway import ledger
from gateway.analytics.visitor import Visitors
from gateway.config import Site
from gateway.database import open_database
from gateway.errors import BadRequest
from gateway.web import choosing as choosing_module
from gateway.web.choosing import parse_return_to
from tests.example_site import write_site
from tests.flows.worker_parts import read_counts
from tests.web.gated_site import (
    COOKIES,
    HTML,
    ORIGIN,
    SAME_SITE,
    Answer,
    Browser,
    Pages,
    ask,
    has_banner,
    set_cookies,
    visiting,
)

NAME, VISIT = "__Host-gw_consent", "__Host-gw_visit"
SCRIPT = {"accept": "application/json"}


def count_records(data_folder: Path) -> int:
    """How many choices the ledger holds; its chain has to verify."""
    engine = open_database(f"sqlite:///{data_folder / 'gateway.db'}")
    count = ledger.verify(engine)
    engine.dispose()
    return count


def test_a_form_is_sent_back_with_the_cookie(browser: Browser) -> None:
    """A choice by form is answered 303 to the page that it came from, with the cookie of the choice, never cached."""
    got = browser.choose("accept_all", return_to="/contact?a=b")
    assert (got.status_code, got.headers["location"], got.headers["cache-control"]) == (303, "/contact?a=b", "no-store")
    attributes = set_cookies(got)[NAME].split("; ")[1:]
    assert attributes == ["Max-Age=15552000", "Path=/", "HttpOnly", "SameSite=Lax", "Secure"]


def test_a_script_is_answered_in_json(browser: Browser) -> None:
    """A choice by script is answered with what was granted and a sentence in the visitor's language."""
    got = browser.choose("save", "analytics", headers={**SCRIPT, "accept-language": "en"})
    answer = got.json()
    assert (got.status_code, answer["ok"], answer["chosen"], answer["withdrawn"]) == (200, True, True, False)
    assert answer["granted"] == ["analytics"]
    assert (answer["message"][:26], answer["language"]) == ("Your choice has been saved", "en")
    assert NAME in set_cookies(got)


def test_without_a_return_address_the_home_page_follows(browser: Browser) -> None:
    """A form that names no page is sent to the home page."""
    assert browser.choose("reject_all").headers["location"] == "/"


def test_on_plain_http_loopback_the_cookie_has_no_prefix(tmp_path: Path) -> None:
    """On this machine without TLS, where browsers refuse prefixes and Secure, the choice is remembered all the same."""
    with visiting(tmp_path) as browser:
        browser.base_url = "http://localhost:8787"
        got = browser.choose("reject_all", headers={"origin": "http://localhost:8787"})
        assert set_cookies(got)["gw_consent"].split("; ")[1:] == [
            "Max-Age=15552000",
            "Path=/",
            "HttpOnly",
            "SameSite=Lax",
        ]
        assert not has_banner(browser.get("/"))


def test_an_operator_is_told_of_plain_http(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A browser keeps no Secure cookie of a page that came by plain http: the log says so, once; not on this machine, and not
    where only the TLS server before us is not believed."""
    with visiting(tmp_path) as browser:
        for address in ("http://localhost:8787", "http://www.example.org", "http://www.example.org"):
            browser.base_url = address
            for origin in ("https://www.example.org", address):
                browser.choose("reject_all", headers={"origin": origin})
    assert caplog.text.count("a choice came by plain http from www.example.org") == 1


def test_a_shared_domain_has_a_secure_cookie(tmp_path: Path) -> None:
    """With a parent domain configured, one choice holds for all of its hosts."""
    with visiting(tmp_path, settings={"sites": [{"cookie_domain": "example.org"}]}) as browser:
        found = set_cookies(browser.choose("reject_all"))["__Secure-gw_consent"]
        assert found.endswith("; Secure; Domain=example.org")
        assert not has_banner(browser.get("/", headers={"host": "shop.example.org"}))
        shop = {"host": "shop.example.org", "origin": "https://shop.example.org"}
        browser.choose("accept_all")
        assert browser.get("/_gw/state", headers=shop).json()["granted"] == ["analytics", "marketing"]
        gone = browser.choose("reject_all", headers=shop).headers.get_list("set-cookie")
        assert "_ads=; Max-Age=0; Path=/; Domain=example.org; Secure" in gone
        assert browser.get("/_gw/state").json()["granted"] == []


def foreign(**headers: str) -> dict[str, str]:
    """A form's headers without the browser's word that it is our own page, and these instead."""
    return {"content-type": "application/x-www-form-urlencoded", **headers}


FOREIGN = [
    foreign(),
    foreign(origin="https://evil.example"),
    foreign(origin="null"),
    foreign(origin="https://shop.example.org", **{"sec-fetch-site": "same-site"}),
    foreign(origin=ORIGIN, **{"sec-fetch-site": "cross-site"}),
    foreign(referer="https://evil.example/"),
    {"content-type": "text/plain", "origin": "https://evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_other_sites_cannot_choose(browser: Browser, headers: dict[str, str]) -> None:
    """A post that a browser does not call our own is refused, and changes nothing."""
    got = browser.post("/_gw/consent", content="choice=accept_all", headers=headers)
    assert got.status_code == 403
    assert "set-cookie" not in got.headers
    assert has_banner(browser.get("/"))


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_a_post_decides(browser: Browser, method: str) -> None:
    """No other method decides anything, prefetched or not, with whatever in the address."""
    for headers in (SAME_SITE, {**SAME_SITE, "sec-purpose": "prefetch"}):
        got = browser.request(method, "/_gw/consent?choice=accept_all&purpose=analytics", headers=headers)
        assert (got.status_code, "set-cookie" in got.headers) == (405, False)
    assert has_banner(browser.get("/?choice=accept_all"))


BODIES: list[tuple[bytes | str, str, int]] = [
    ("", "application/x-www-form-urlencoded", 400),
    ("choice=", "application/x-www-form-urlencoded", 400),
    ("choice=yes", "application/x-www-form-urlencoded", 400),
    ("choice=Accept_All", "application/x-www-form-urlencoded", 400),
    ("choice=accept_all&choice=yes", "application/x-www-form-urlencoded", 400),
    ("choice=save&purpose=sales", "application/x-www-form-urlencoded", 400),
    ("choice=save&purpose=unknown", "application/x-www-form-urlencoded", 400),
    ("choice=accept_all&return_to=//evil.example", "application/x-www-form-urlencoded", 400),
    ("choice=accept_all" + "&a=b" * 1200, "application/x-www-form-urlencoded", 400),
    (b"choice=accept_all&purpose=\xff", "application/x-www-form-urlencoded", 400),
    ("choice=accept_all&purpose=%ff", "application/x-www-form-urlencoded", 400),
    ("choice=accept_all&a=" + "x" * 20_000, "application/x-www-form-urlencoded", 413),
    ("choice=accept_all", "text/plain", 415),
    ('{"choice": "accept_all"}', "application/json", 415),
    ("choice=accept_all", "multipart/form-data; boundary=x", 415),
]


@pytest.mark.parametrize(("body", "media", "status"), BODIES)
def test_rubbish_is_refused(browser: Browser, body: bytes | str, media: str, status: int) -> None:
    """An unknown choice or purpose, a broken, foreign or oversized body is refused by a status, and changes nothing."""
    got = browser.post("/_gw/consent", content=body, headers={**SAME_SITE, "content-type": media})
    assert (got.status_code, "set-cookie" in got.headers) == (status, False)
    assert "Traceback" not in got.text


def test_what_is_refused_is_no_choice(tmp_path: Path) -> None:
    """Refused posts leave no record but a count of their reason."""
    with visiting(tmp_path) as browser:
        browser.post("/_gw/consent", content="choice=accept_all", headers=FOREIGN[1])
        browser.choose("yes")
        browser.choose("save", "sales")
        browser.get("/_gw/consent")
    assert count_records(tmp_path / "data") == 0
    counts = read_counts(tmp_path / "data")
    reasons = {name: count for (kind, name, _), count in counts.items() if kind == "refused_request"}
    assert reasons == {"cross_site": 1, "choice": 1, "purpose": 1, "method": 1}


ADDRESSES = [
    "//evil.example",
    "//evil.example/path",
    "///evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "https://evil.example",
    "https:evil.example",
    "https:/evil.example",
    "HTTPS://www.example.org/",
    "javascript:alert(1)",
    "\tjava\nscript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "contact",
    "?a=b",
    "#x",
    "/a\r\nSet-Cookie: x=1",
    "/a\r\n\r\n<script>",
    "/a\0",
    "/caf\u00e9",
    "/\u2028",
    "/\uff0fevil.example",
    "/a b",
    "/" + "a" * 5000,
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_return_address_leads_away(address: str) -> None:
    """Whatever a browser could read as another host, a script or a second header is refused."""
    with pytest.raises(BadRequest) as caught:
        parse_return_to(address)
    assert caught.value.status == 400


OWN = ["/", "/a", "/a?b=c&d=//e", "/a#b", "/%0d%0a", "/%2f%2fevil.example", "/.//evil.example", "/@evil.example", "/;x"]


@pytest.mark.parametrize("address", OWN)
def test_own_addresses_are_kept(address: str) -> None:
    """A path on this site is returned to as it is; none at all is none."""
    assert parse_return_to(address) == address
    assert parse_return_to("") == ""


@settings(max_examples=200)
@given(st.text(alphabet="/\\:@?#.%\t\r\n \0aehtpsvil0é", max_size=30))
def test_random_return_addresses_lead_nowhere_else(text: str) -> None:
    """Of any text only a printable path that begins with one slash comes through."""
    try:
        found = parse_return_to(text)
    except BadRequest:
        return
    assert found == text
    assert found == "" or (found[0] == "/" and found[1:2] not in ("/", "\\"))
    assert not set(found) & set("\\\t\r\n\0 ")


@pytest.mark.parametrize(
    "path", ["/contact", "/caf\u00e9 & co", "//dubbel//op", "/a%2Fb", "/\\x", "/?q=\\x", "/?q=caf%C3%A9+%26"]
)
def test_every_page_can_be_chosen_on(browser: Browser, path: str) -> None:
    """The form on a page is taken, whatever the page's address, and leads back to this site."""
    page = browser.get(ORIGIN + path)
    form = (
        page.text.partition('name="return_to" value="')[2]
        .partition('"')[0]
        .replace("&amp;", "&")
        .replace("&#x27;", "'")
    )
    got = browser.choose("reject_all", return_to=form)
    assert got.status_code == 303
    assert got.headers["location"].startswith("/")
    assert not got.headers["location"].startswith(("//", "/\\"))


def test_a_network_cannot_fill_the_ledger(tmp_path: Path) -> None:
    """After so many posts in a minute more are put off, but whoever has something to take back is never kept
    waiting."""
    with visiting(tmp_path, settings={"limits": {"posts_per_minute": 3, "reserve_bytes": 0}}) as browser:
        browser.choose("accept_all")
        granted = dict(browser.cookies)
        for _ in range(2):
            browser.carry({})
            assert browser.choose("reject_all").status_code == 303
        browser.carry({})
        late = browser.choose("reject_all")
        assert (late.status_code, "retry-after" in late.headers) == (429, True)
        browser.carry(granted)
        assert browser.choose("accept_all").status_code == 429  # a yes of long ago is no free pass
        browser.carry(granted)
        assert browser.choose("reject_all").status_code == 303
        browser.carry(granted)
        assert browser.choose("reject_all").status_code == 429  # nothing is left to be taken back
    assert count_records(tmp_path / "data") == 4


def broken(*_: object, **__: object) -> Any:
    raise OperationalError("", {}, sqlite3.OperationalError("disk I/O error"))


def test_a_choice_that_cannot_be_written_sets_no_cookie(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When the ledger takes nothing the visitor is told so and asked again later: no cookie without a record."""
    with monkeypatch.context() as patch:
        patch.setattr(choosing_module, "choose", broken)
        got = browser.choose("accept_all")
    assert (got.status_code, got.headers["retry-after"], "set-cookie" in got.headers) == (503, "30", False)
    assert has_banner(browser.get("/"))


@pytest.mark.interpreted
def test_a_choice_stands_when_its_view_cannot_be_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A journal or salt that cannot be had costs the count of the accepting page, not the choice."""
    with visiting(tmp_path) as browser:
        monkeypatch.setattr(Visitors, "key", broken)
        got = browser.choose("accept_all", view="V" * 22)
        assert (got.status_code, list(set_cookies(got))) == (303, [NAME])
    assert count_records(tmp_path / "data") == 1


def test_a_site_s_answer_is_not_needed_to_choose(tmp_path: Path) -> None:
    """Choices never reach the site behind the gate."""
    pages = Pages({"/_gw/consent": Answer(headers=[HTML, *COOKIES])})
    with visiting(tmp_path, pages) as browser:
        browser.choose("accept_all")
        assert ask(browser, pages, Answer()).status_code == 200
    assert [scope["path"] for scope in pages.scopes] == ["/asked"]


def test_two_sites_keep_their_choices_apart(tmp_path: Path) -> None:
    """A choice on one site is none on another of the same gateway, though they share keys and policy."""
    sites = [{"id": "main", "hosts": ["www.example.org"]}, {"id": "shop", "hosts": ["shop.example"]}]
    config = write_site(tmp_path, {"sites": sites})
    assert all(isinstance(site, Site) for site in config.sites)
    with visiting(tmp_path, settings={"sites": sites}) as browser:
        browser.choose("accept_all")
        value = f"{NAME}={browser.cookies[NAME]}"
        browser.cookies.clear()
        assert not has_banner(browser.get("/", headers={"cookie": value}))
        assert has_banner(browser.get("/", headers={"cookie": value, "host": "shop.example"}))


def test_who_sends_no_cookie_is_led_to_why_the_question_returns(browser: Browser) -> None:
    """A browser that keeps no cookie lands on the words that stand in the banner it may meet again; one that had sent none but
    keeps what it is given comes by the same way to the page itself, and so does one that sends some, at once."""
    navigating = {"sec-fetch-mode": "navigate"}
    asked = browser.get("/").text
    by = browser.choose("accept_all", return_to="/contact?a=b", headers=navigating).headers["location"]
    assert by == "/_gw/kept?return_to=%2Fcontact%3Fa%3Db"
    assert browser.get(by).headers["location"] == "/contact?a=b"
    assert browser.choose("reject_all", return_to="/contact", headers=navigating).headers["location"] == "/contact"
    browser.cookies.clear()
    led = browser.get(by).headers["location"]
    assert (led, f'id="{led.partition("#")[2]}"' in asked) == ("/contact?a=b#gw-not-kept", True)
    assert browser.get("/_gw/kept?return_to=//evil.example/").status_code == 400
