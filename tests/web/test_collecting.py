"""What the script reports: acknowledged when it is on disk, refused without consent, and never an error page."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.analytics.journal import JOURNAL_FOLDER
from gateway.analytics.visit import Visit, encode_visit, new_id
from gateway.event import Told
from gateway.flows.collect import SLACK_MS
from gateway.flows.parts import Parts
from tests.flows.worker_parts import read_counts, read_recorded
from tests.web.gated_site import ORIGIN, SAME_SITE, Browser, set_cookies, view_of, visiting

VISIT = "__Host-gw_visit"
JSON = {**SAME_SITE, "content-type": "application/json"}


@pytest.fixture
def accepter(browser: Browser) -> Browser:
    """The shared browser of somebody who has accepted everything."""
    browser.choose("accept_all")
    return browser


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data folder of a gate of the test's own."""
    return tmp_path / "data"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Browser]:
    """An accepter before a gate of the test's own."""
    with visiting(tmp_path) as browser:
        browser.choose("accept_all")
        yield browser


def parts_of(browser: Browser) -> Parts:
    parts = browser.app._front.parts  # type: ignore[attr-defined]
    assert isinstance(parts, Parts)
    return parts


def test_an_acknowledged_event_is_on_disk(own: Browser, data: Path) -> None:
    """202 comes after the event can be read from the journal, with the visit's cookie and without any body."""
    got = own.report(name="download", props={"bestand": "wik.pdf", "n": 2, "ja": True}, topic="Rente")
    assert (got.status_code, got.content) == (202, b"")
    assert set_cookies(got)[VISIT].endswith("; Max-Age=86400; Path=/; HttpOnly; SameSite=Lax; Secure")
    (recorded,) = read_recorded(data)
    event = recorded.event
    assert (event.kind, event.path, event.view_id, event.topic) == ("download", "/a", "V" * 22, "Rente")
    assert event.props == {"bestand": "wik.pdf", "n": "2", "ja": "true"}
    assert recorded.granted == ("analytics", "marketing")


def test_views_of_the_script_are_views(own: Browser, data: Path) -> None:
    """In-page navigation is a page view with its own source, in the same visit as the page before."""
    first = own.report(k="page_view", view="A" * 22, url=f"{ORIGIN}/een?utm_source=krant", referrer="")
    assert first.status_code == 202
    own.report(k="page_view", view="B" * 22, url=f"{ORIGIN}/twee/1234567", referrer=f"{ORIGIN}/een")
    events = [recorded.event for recorded in read_recorded(data)]
    assert [(event.kind, event.path, event.source) for event in events] == [
        ("page_view", "/een", "krant"),
        ("page_view", "/twee/:id", ""),
    ]
    assert len({event.visit_id for event in events}) == 1


def test_an_address_that_nobody_may_know_is_dropped(own: Browser, data: Path) -> None:
    """Without a destination that tells of people the event is recorded and its address is not; what is none is refused."""
    assert own.report(name="download", email="a.jansen@example.org").status_code == 202
    (recorded,) = read_recorded(data)
    assert recorded.person is None
    assert all(b"jansen" not in path.read_bytes() for path in data.rglob("*") if path.is_file())
    for email in ("a.jansen", "a@b", "a\nb@example.org", "x" * 300 + "@example.org"):
        assert own.report(name="download", email=email).status_code == 400
    assert own.report(k="page_view", email="a.jansen@example.org").status_code == 400


def test_revenue_is_kept_to_a_thousandth(own: Browser, data: Path) -> None:
    """What an event was worth is an exact number of thousandths, in its currency; what tells of no event is worth nothing."""
    own.report(name="order", revenue={"amount": 12.35, "currency": "EUR"})
    own.report(name="refund", revenue={"amount": -0.105, "currency": "EUR"})
    own.report(k="page_view", revenue={"amount": 5, "currency": "EUR"})
    told = [recorded.event.told for recorded in read_recorded(data)][-3:]
    assert told == [Told(revenue=12_350, currency="EUR"), Told(revenue=-105, currency="EUR"), Told()]


def test_an_engagement_tells_of_scroll_width_and_vitals(own: Browser, data: Path) -> None:
    """Each is kept as it was told, the width as its class; what was not told is nothing."""
    view = new_id()
    own.report(k="page_view", view=view, url="/lang")
    own.report(k="engagement", view=view, seq=1, engaged=10, scroll=35, width=390, lcp=1200, cls=0)
    own.report(k="engagement", view=view, seq=2, engaged=20)
    told = [recorded.event.told for recorded in read_recorded(data)][-2:]
    assert told == [Told(scroll=35, screen="small", lcp=1200, cls=0), Told()]


def test_engagement_belongs_to_its_view(own: Browser, data: Path) -> None:
    """Engaged time is kept under the view that the page was given, clamped to what the visit has lasted."""
    view = view_of(own.get("/"))
    assert own.report(k="engagement", view=view, seq=1, engaged=1200).status_code == 202
    own.report(k="engagement", view=view, seq=2, engaged=10**9)
    opened, *engaged = [recorded.event for recorded in read_recorded(data)]
    assert {event.view_id for event in engaged} == {opened.view_id} == {view}
    assert [(event.sequence, event.engaged_ms <= SLACK_MS + 5_000) for event in engaged] == [(1, True), (2, True)]
    assert engaged[0].engaged_ms == 1200


def test_engagement_never_begins_a_visit(own: Browser, data: Path) -> None:
    """Without a running visit engaged time is of no known view: counted as such, no event, no cookie."""
    old = encode_visit(Visit("main", "O" * 22, 1_000_000, 1_000_000), parts_of(own).signers.visit)
    for cookies in ({}, {VISIT: "forged"}, {VISIT: old}):
        own.carry({**{k: v for k, v in dict(own.cookies).items() if k != VISIT}, **cookies})
        got = own.report(k="engagement", seq=1, engaged=1000)
        assert (got.status_code, got.headers["x-gateway-dropped"], "set-cookie" in got.headers) == (202, "1", False)
    own.__exit__()
    assert read_recorded(data) == []
    assert read_counts(data)["dropped", "unknown_view", ""] == 3


def test_without_consent_nothing_is_taken(browser: Browser) -> None:
    """Before a choice, after a refusal, and with another purpose alone, an event is refused, and sets no cookie."""
    for choice in ((), ("reject_all",), ("save", "marketing")):
        if choice:
            browser.choose(*choice)
        got = browser.report()
        assert (got.status_code, "set-cookie" in got.headers) == (403, False)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
        {"origin": "null", "sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_other_sites_cannot_report(accepter: Browser, headers: dict[str, str]) -> None:
    """A page of another site or subdomain cannot invent events for a visitor of ours."""
    assert accepter.report(headers=headers).status_code == 403


def test_bots_are_answered_and_not_counted(own: Browser, data: Path) -> None:
    """A script that calls itself a bot is answered as anybody is, and leaves a count alone."""
    got = own.report(headers={"user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"})
    assert (got.status_code, got.headers["x-gateway-dropped"]) == (202, "1")
    own.__exit__()
    assert read_recorded(data) == []
    assert read_counts(data)["dropped", "bot", ""] == 1


GOOD: dict[str, Any] = {"v": 1, "k": "event", "view": "V" * 22, "url": "/a"}
WRONG: list[dict[str, Any]] = [
    {"v": 2},
    {"v": "1"},
    {"k": "click"},
    {"k": None},
    {"view": "short"},
    {"view": "V" * 33},
    {"view": "V" * 21 + "\n"},
    {"view": "V" * 16 + "<script>"},
    {"view": 7},
    {"url": None},
    {"url": "/" + "a" * 5000},
    {"seq": -1},
    {"seq": 1.5},
    {"seq": True},
    {"seq": 10**9},
    {"engaged": -1},
    {"engaged": "1"},
    {"engaged": 2**60},
    {"name": ""},
    {"name": "page_view"},
    {"name": "engagement"},
    {"name": "x\n"},
    {"name": "<b>"},
    {"name": "n" * 65},
    {"topic": "t" * 501},
    {"scroll": 101},
    {"scroll": -2},
    {"width": -1},
    {"lcp": 10**9},
    {"cls": 0.1},
    {"revenue": 5},
    {"revenue": {"amount": "5", "currency": "EUR"}},
    {"revenue": {"amount": 5}},
    {"revenue": {"amount": 5, "currency": "eur"}},
    {"revenue": {"amount": 1e12, "currency": "EUR"}},
    {"props": {"asserted": "3f5a43b0c1d2"}},
    {"props": []},
    {"props": None},
    {"props": {"a": None}},
    {"props": {"a": {"b": 1}}},
    {"props": {"a": [1]}},
    {"props": {"a" * 65: 1}},
    {"props": {'a"b': 1}},
    {"props": {f"p{number}": 1 for number in range(31)}},
]


@pytest.mark.parametrize("changes", WRONG)
def test_wrong_fields_are_refused(accepter: Browser, changes: dict[str, Any]) -> None:
    """A missing version, a wrong type, a value out of bounds: 400 that says which field, and no traceback."""
    got = accepter.report(headers={"accept": "*/*"}, **{**GOOD, **changes})
    assert got.status_code == 400
    assert got.text.startswith("the report cannot be read") or "name of the gateway's own" in got.text
    assert "Traceback" not in got.text


def with_props(text: bytes) -> bytes:
    return msgspec.json.encode(GOOD)[:-1] + b',"props":' + text + b"}"


BODIES: list[tuple[bytes, int]] = [
    (b"", 400),
    (b"null", 400),
    (b"[]", 400),
    (b"{}", 400),
    (b"{", 400),
    (b"\xff\xfe{}", 400),
    (b"\x00" * 100, 400),
    (with_props(b'{"a":NaN}'), 400),
    (with_props(b'{"a":Infinity}'), 400),
    (with_props(b'{"a":1e1000000}'), 400),
    (with_props(b'{"a":' + b"1" * 5000 + b"}"), 400),
    (with_props(b'{"a":"\xff"}'), 400),
    (with_props(b'{"\xff":"a"}'), 400),
    (with_props(b'{"a":"\\ud800"}'), 400),
    (with_props(b"[" * 15_000), 400),
    (with_props(b'{"a":' * 2_500 + b"1" + b"}" * 2_500), 400),
    (msgspec.json.encode(GOOD) + b"{}", 400),
    (msgspec.json.encode({**GOOD, "k": "x" * 17_000}), 413),
    (b" " * 100_000, 413),
]


@pytest.mark.parametrize(("body", "status"), BODIES)
def test_rubbish_is_refused(accepter: Browser, body: bytes, status: int) -> None:
    """Broken, deep, endless and oversized bodies are refused by a status of the visitor's own fault."""
    got = accepter.post("/_gw/collect", content=body, headers=JSON)
    assert got.status_code == status
    assert "Traceback" not in got.text


def test_a_body_without_a_length_has_a_cap_too(accepter: Browser) -> None:
    """A chunked body is read no further than the cap."""
    read = []

    def pieces() -> Iterator[bytes]:
        for number in range(1000):
            read.append(number)
            yield b" " * 1000

    assert accepter.post("/_gw/collect", content=pieces(), headers=JSON).status_code == 413


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "", "application/json-patch+json"]
)
def test_only_json_is_read(accepter: Browser, media: str) -> None:
    """Another media type is refused: a foreign page could send it without asking."""
    got = accepter.post("/_gw/collect", content=msgspec.json.encode(GOOD), headers={**SAME_SITE, "content-type": media})
    assert got.status_code == 415


def test_compressed_bodies_are_not_read(accepter: Browser) -> None:
    """A compressed body is rubbish to us, and no bomb."""
    got = accepter.post("/_gw/collect", content=b"\x1f\x8b" + b"\0" * 100, headers={**JSON, "content-encoding": "gzip"})
    assert got.status_code == 400


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("v", "k", "view", "url", "referrer", "topic", "seq", "engaged", "name", "props")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4))
@example({"url": "\x00\u202e", "props": {"\x00": "\u2028"}})
@example({"referrer": "http://[", "url": "http://[", "topic": "%" * 400})
def test_random_reports_never_fail_us(accepter: Browser, changes: dict[str, Any]) -> None:
    """Whatever a report holds, it is stored or refused; it is never our fault."""
    body = msgspec.json.encode({**GOOD, **changes})
    assert accepter.post("/_gw/collect", content=body, headers=JSON).status_code in (202, 400)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_random_bytes_never_fail_us(accepter: Browser, body: bytes) -> None:
    """Bytes that are no report are refused as such."""
    assert accepter.post("/_gw/collect", content=body, headers=JSON).status_code == 400


def lose_journal(data: Path) -> None:
    """Take the journal's folder away, however often its own thread makes a file there meanwhile."""
    while (data / JOURNAL_FOLDER).exists():
        shutil.rmtree(data / JOURNAL_FOLDER, ignore_errors=True)


def test_a_full_disk_says_when_to_come_back(own: Browser, data: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When the journal cannot write, an event is answered 503 with Retry-After; pages and choices go on as before."""
    lose_journal(data)
    got = own.report()
    assert (got.status_code, got.headers["retry-after"]) == (503, "30")
    assert own.get("/").status_code == 200
    assert own.choose("reject_all").status_code == 303
    (data / JOURNAL_FOLDER).mkdir()
    own.choose("accept_all")
    assert own.report().status_code == 202


def test_a_spent_reserve_refuses_events_and_takes_withdrawals(tmp_path: Path) -> None:
    """Once the reserve of disk was given up for a choice, events are refused, so that the next withdrawal fits too."""
    with visiting(tmp_path, settings={"limits": {"reserve_bytes": 4096}}) as browser:
        browser.choose("accept_all")
        assert browser.report().status_code == 202
        (tmp_path / "data" / "reserve.bin").unlink()
        assert browser.report().status_code == 503
        assert browser.choose("reject_all").status_code == 303
    assert len(read_recorded(tmp_path / "data")) == 1


def test_a_full_disk_never_costs_a_page(own: Browser, data: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A page view that cannot be written down is a page all the same."""
    lose_journal(data)
    got = own.get("/")
    assert (got.status_code, "data-gw=" in got.text) == (200, True)
