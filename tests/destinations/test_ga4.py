"""Google Analytics 4: what is sent passes the strict stand-in field by field, whatever an event holds; and no more is said."""

import json
import time
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.destinations.base import (
    Dead,
    Delivered,
    Judgement,
    Misconfigured,
    Notice,
    OutgoingRequest,
    Reply,
    Retry,
    Split,
    Telling,
    make_subject,
)
from gateway.destinations.ga4 import CHECKING, DELETION, TOKEN, GoogleAnalytics, make_client, make_session
from gateway.errors import ConfigError, DestinationError
from gateway.event import Event, Told
from gateway.receivers.google_rules import find_faults
from tests.destinations.rows import NOW, make_config, make_event

API_SECRET = "api-secret+of/4711"
SUBJECT = make_subject(b"k" * 32, "ga4", "consent-1")
EU = "https://region1.google-analytics.com/mp/collect"


def make_google(options: dict[str, Any] | None = None, secret: str = API_SECRET, **changes: Any) -> GoogleAnalytics:
    """A destination of an invented data stream."""
    values = {"kind": "ga4", "url": EU, "options": {"measurement_id": "G-REHEARSAL1"} | (options or {})}
    return GoogleAnalytics(make_config("ga4", **(values | changes)), secret)


def tell(*events: Event, subject: str = SUBJECT) -> list[Telling]:
    """Tellings of one subject."""
    return [Telling(f"e{number}", event, subject) for number, event in enumerate(events)]


def body_of(*events: Event, now: float = NOW, google: GoogleAnalytics | None = None) -> dict[str, Any]:
    """What would be sent."""
    found: dict[str, Any] = json.loads((google or make_google()).build(tell(*events), now).body)
    return found


def test_a_page_view_is_told_field_by_field() -> None:
    """Address, client, session, consent, country, device class and browser family, campaign and referrer: no more than that."""
    event = make_event(
        path="/artikelen/één :id",
        host="www.example.org",
        source="nieuwsbrief",
        medium="email",
        campaign="najaar 2026",
        referrer="mail.example.net/in",
        device="mobile",
        browser="Firefox",
        browser_version="140.0",
        os="Android",
        language="nl",
        network="203.0.113.0/24",
        props={"formaat-x": "pdf"},
    )
    request = make_google().build(tell(event), NOW + 5)
    assert (request.method, request.headers) == ("POST", {"content-type": "application/json"})
    address, _, query = request.url.partition("?")
    assert address == EU
    assert dict(parse_qsl(query)) == {"measurement_id": "G-REHEARSAL1", "api_secret": API_SECRET}
    assert json.loads(request.body) == {
        "client_id": make_client(SUBJECT),
        "consent": {"ad_user_data": "DENIED", "ad_personalization": "DENIED"},
        "user_location": {"country_id": "NL"},
        "device": {"category": "mobile", "browser": "Firefox"},
        "events": [
            {
                "name": "page_view",
                "timestamp_micros": int(NOW * 1e6),
                "params": {
                    "session_id": str(make_session(tell(event)[0])),
                    "engagement_time_msec": 1,
                    "page_location": "https://www.example.org/artikelen/%C3%A9%C3%A9n%20:id"
                    "?utm_source=nieuwsbrief&utm_medium=email&utm_campaign=najaar+2026",
                    "page_referrer": "https://mail.example.net/in",
                    "content_group": "regelingen",
                    "formaat_x": "pdf",
                },
            }
        ],
    }


def test_ids_are_made_under_a_key_and_never_the_raw_ones() -> None:
    """The same visitor is the same client each time, another at another destination; sessions follow visits; nothing raw."""
    subjects = [make_subject(key, name, "consent-1") for key in (b"a" * 32, b"b" * 32) for name in ("ga4", "other")]
    clients = {make_client(subject) for subject in subjects}
    assert len(clients) == 4
    assert make_client(subjects[0]) in clients
    assert all(len(part) <= 10 and part.isdigit() for client in clients for part in client.split("."))
    visits = [make_event(visit_id=visit) for visit in ("v1", "v1", "v2")]
    first, same, other = (make_session(one) for one in tell(*visits))
    assert first == same != other
    assert len(str(first)) == 10
    assert make_session(tell(visits[0], subject=subjects[1])[0]) != first
    event = make_event(visit_id="RAW-VISIT", view_id="RAW-VIEW", network="203.0.113.0/24")
    sent = make_google().build(tell(event), NOW).body.decode()
    for raw in (
        "RAW-VISIT",
        "RAW-VIEW",
        SUBJECT,
        SUBJECT[:16],
        "consent-1",
        str(event.visitor),
        "203.0.113",
        "ip_override",
    ):
        assert raw not in sent


TEXTS = st.text(max_size=60) | st.builds(lambda part, times: part * times, st.text(max_size=5), st.integers(0, 400))
NAMES = st.from_regex(r"[a-z][a-z0-9 _-]{0,39}", fullmatch=True)
KINDS = st.sampled_from(["page_view", "engagement", "brochure-1"]) | NAMES
PROPS = st.dictionaries(NAMES, TEXTS, max_size=6)
GOOD = {"path": TEXTS.map("/".__add__), "topic": TEXTS, "referrer": TEXTS, "source": TEXTS, "medium": TEXTS}
GOOD |= {"host": TEXTS, "visit_id": TEXTS, "browser": TEXTS, "device": st.sampled_from(["desktop", "other", ""])}
GOOD |= {"country": st.sampled_from(["NL", "", "nl", "EU1"]) | TEXTS, "engaged_ms": st.integers(0, 2**40)}
EVENTS = st.builds(make_event, at=st.floats(NOW - 71 * 3600, NOW + 3600), kind=KINDS, props=PROPS, **GOOD)
BAD = st.builds(
    make_event,
    at=st.floats(NOW - 80 * 3600, NOW) | st.floats(),
    kind=KINDS | st.text(min_size=1, max_size=50) | st.sampled_from(["session_start", "ga_x", "_x"]),
    props=st.dictionaries(NAMES | st.text(max_size=50), TEXTS, max_size=30),
    **GOOD,
)


@given(st.lists(EVENTS | BAD, min_size=1, max_size=3), st.booleans())
@settings(max_examples=200)
def test_what_is_built_passes_googles_validation(events: list[Event], ads: bool) -> None:
    """Names, counts, sizes, reserved words, times: a request is refused here or has nothing that Google would find."""
    try:
        request = make_google({"ads": ads}).build(tell(*events), NOW)
    except DestinationError:
        note("refused")
        return
    body = json.loads(request.body)
    assert find_faults(body, len(request.body), NOW) == []
    assert body.keys() <= {"client_id", "consent", "user_location", "device", "events"}
    assert body.get("user_location", {}).keys() <= {"country_id"}
    assert len(body["events"]) == len(events)


@given(st.builds(make_event, **GOOD))
def test_no_page_view_is_lost_for_its_texts(event: Event) -> None:
    """Whatever a path, topic or referrer holds (that is Unicode): it is shortened and told."""
    body = make_google().build(tell(event), NOW).body
    assert find_faults(json.loads(body), len(body), NOW) == []


@pytest.mark.parametrize(
    ("changes", "param", "letters"),
    [
        ({"path": "/" + "é" * 2000}, "page_location", 1000),
        ({"referrer": "a.example/" + "é" * 500}, "page_referrer", 420),
        ({"topic": "x" * 500}, "content_group", 100),
        ({"props": {"kleur": "x" * 500}}, "kleur", 100),
    ],
)
def test_texts_are_cut_at_googles_limits(changes: dict[str, Any], param: str, letters: int) -> None:
    """To the letter where it can be, and never within an encoded one."""
    [told] = body_of(make_event(**changes))["events"]
    assert letters - 3 < len(told["params"][param]) <= letters
    assert not told["params"][param][-2:].startswith("%")
    assert not told["params"][param].endswith("%")


def test_the_campaign_survives_a_long_path() -> None:
    """The path is cut, so that the query is whole."""
    [told] = body_of(make_event(path="/" + "x" * 2000, source="a", medium="email", campaign="b"))["events"]
    location = told["params"]["page_location"]
    assert len(location) == 1000
    assert urlsplit(location).query == "utm_source=a&utm_medium=email&utm_campaign=b"


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "session_start"},
        {"kind": "ga_view"},
        {"kind": "1st"},
        {"kind": "x" * 41},
        {"kind": "é"},
        {"props": {"page_location": "x"}},
        {"props": {"session_id": "1"}},
        {"props": {"items": "x"}},
        {"props": {"google_x": "x"}},
        {"props": {"_x": "x"}},
        {"props": {"firebase_conversion": "1"}},
        {"props": {"9": "x"}},
        {"props": {"a-b": "x", "a_b": "x"}},
        {"props": {f"a{number}": "x" for number in range(26)}},
        {"at": NOW - 72 * 3600},
        {"at": NOW - 72 * 3600 + 30},
        {"at": float("nan")},
        {"at": float("-inf")},
        {"topic": "\ud800"},
        {"path": "/\ud800"},
    ],
)
def test_what_google_would_drop_is_refused_here(changes: dict[str, Any]) -> None:
    """Reserved and impossible names, our own parameters, too many, too old, no Unicode: a DestinationError, counted."""
    with pytest.raises(DestinationError):
        make_google().build(tell(make_event(**changes)), NOW)


def test_a_batch_that_is_too_large_is_told_one_by_one() -> None:
    """25 long events exceed 130 kB, which refuses the batch; each alone is told."""
    event = make_event(props={f"a{number}": "漢" * 100 for number in range(20)})
    google = make_google()
    with pytest.raises(DestinationError):
        google.build(tell(*[event] * 25), NOW)
    assert len(google.build(tell(event), NOW).body) < 130_000


def test_a_clock_ahead_of_ours_is_not_believed() -> None:
    """An event of the future is told as of now: Google takes none."""
    [told] = body_of(make_event(NOW + 90))["events"]
    assert told["timestamp_micros"] == int(NOW * 1e6)


def test_what_is_said_once_is_the_same_for_all_of_a_request() -> None:
    """Events of another person, country, device or browser go in another request."""
    google = make_google()
    events = [make_event(), make_event(country="BE"), make_event(device="tablet"), make_event(browser="Safari")]
    keys = {google.key_of(one) for one in [*tell(*events), *tell(events[0], subject="0" * 32)]}
    assert len(keys) == 5
    assert (google.batch_size, google.mixed, google.longest_hours) == (25, False, 72)


def test_engagement_is_told_as_a_parameter() -> None:
    """Google reserves its own name for it and adds up what we tell as a total."""
    [told] = body_of(make_event(kind="engagement", engaged_ms=4200))["events"]
    assert (told["name"], told["params"]["engaged_msec"], told["params"]["engagement_time_msec"]) == (
        "engagement",
        4200,
        1,
    )


def test_what_an_event_was_worth_is_told_with_its_currency() -> None:
    """As Google's own `value` and `currency`; a property cannot take their place then."""
    order = make_event(kind="order", told=Told(revenue=49_950, currency="EUR"), props={"plan": "large"})
    [told] = body_of(order)["events"]
    assert (told["params"]["value"], told["params"]["currency"], told["params"]["plan"]) == (49.95, "EUR", "large")
    with pytest.raises(DestinationError):
        body_of(msgspec.structs.replace(order, props={"value": "1"}))


def test_ads_are_denied_unless_said_otherwise() -> None:
    """`consent` says GRANTED only with `ads`; both values in capitals, as the protocol wants."""
    granted = body_of(make_event(), google=make_google({"ads": True}))
    assert granted["consent"] == {"ad_user_data": "GRANTED", "ad_personalization": "GRANTED"}


SENT = OutgoingRequest("POST", EU, {}, b"{}")
ASKED = OutgoingRequest("POST", "https://oauth2.example.org/token", {}, b"", TOKEN, "1.2")


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Delivered()),
        (204, Delivered()),
        (301, Retry("http_301")),
        (400, Split("http_400")),
        (401, Misconfigured("http_401")),
        (403, Misconfigured("http_403")),
        (404, Misconfigured("http_404")),
        (408, Retry("http_408")),
        (413, Split("http_413")),
        (429, Retry("http_429", 30.0)),
        (500, Retry("http_500", 30.0)),
        (503, Retry("http_503", 30.0)),
    ],
)
def test_each_status_has_its_verdict(status: int, verdict: Judgement) -> None:
    """2xx is all that Google says; address and account are the operator's; passing failures wait as long as asked."""
    headers = {"retry-after": "30"} if status in (429, 500, 503) else {}
    assert make_google().judge(SENT, Reply(status, headers, b""), NOW) == verdict


def test_a_test_event_asks_the_validation_server_first() -> None:
    """Its messages are a refusal; without any, the event is sent."""
    google = make_google()
    check = google.build_test(tell(make_event())[0], NOW)
    assert check.url.startswith("https://region1.google-analytics.com/debug/mp/collect?measurement_id=")
    assert check.step == CHECKING
    assert google.judge(check, Reply(200, {}, b'{"validationMessages":[{"fieldPath":"x"}]}'), NOW) == Dead(
        "refused_by_validation"
    )
    assert isinstance(google.judge(check, Reply(200, {}, b"<html>"), NOW), Retry)
    sent = google.judge(check, Reply(200, {}, b'{"validationMessages":[]}'), NOW)
    assert sent == google.build(tell(make_event()), NOW)


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (400, b'{"error":"invalid_grant"}', Misconfigured("no_token")),
        (401, b"", Misconfigured("no_token")),
        (200, b"<html>", Misconfigured("no_token")),
        (429, b"", Retry("http_429")),
        (503, b"", Retry("http_503")),
    ],
)
def test_without_a_token_nothing_is_deleted(status: int, body: bytes, verdict: Judgement) -> None:
    """A passing failure is tried again; an account that gets no token is the operator's to mend."""
    assert make_google().judge(ASKED, Reply(status, {}, body), NOW) == verdict


def test_a_token_is_followed_by_the_deletion() -> None:
    """The next request names the client alone, and carries the token in a header."""
    asked = make_google().judge(ASKED, Reply(200, {}, b'{"access_token":"t1"}'), NOW)
    assert isinstance(asked, OutgoingRequest)
    assert (asked.step, json.loads(asked.body)) == (DELETION, {"clientId": "1.2"})
    assert asked.headers["authorization"] == "Bearer t1"
    assert "t1" not in repr(asked)


def test_without_an_account_the_receipt_says_what_stays() -> None:
    """Nothing is asked, and `cannot_undo` says that nothing is deleted."""
    google = make_google()
    assert google.withdraw(Notice("n1", "erasure", "main", SUBJECT, (), NOW), NOW) is None
    assert "nothing is deleted" in google.cannot_undo


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"url": "https://www.google-analytics.com/"}, "ga4.url"),
        ({"url": "https://www.google-analytics.com/debug/mp/collect"}, "ga4.url"),
        ({"url": EU + "?api_secret=x"}, "ga4.url"),
        ({"url": "https://127.0.0.1/mp/collect"}, "ga4.url"),
        ({"secret": "a b c d e f g"}, "ga4.secret"),
        ({"secret": "short"}, "ga4.secret"),
        ({"include_network": True}, "ga4.include_network"),
        ({"events": ("page_view", "session_start")}, "ga4.events"),
        ({"options": {"measurement_id": "UA-1"}}, "ga4.options.measurement_id"),
        ({"options": {"ads": "yes"}}, "ga4.options.ads"),
        ({"options": {"property_id": "4711"}}, "ga4.options.property_id"),
        ({"options": {"property_id": "x"}}, "ga4.options.property_id"),
        ({"options": {"surprise": 1}}, "ga4.options.surprise"),
    ],
)
def test_a_wrong_configuration_does_not_start(changes: dict[str, Any], key: str) -> None:
    """Each names its key, and none shows a secret."""
    with pytest.raises(ConfigError) as caught:
        make_google(**changes)
    assert caught.value.key == key
    assert API_SECRET not in str(caught.value)


def test_neither_address_nor_account_is_printed_with_its_secret() -> None:
    """A request that gets into a message shows method and address, never the query."""
    request = make_google().build(tell(make_event(time.time())), time.time())
    assert repr(request) == f"OutgoingRequest(POST {EU})"
    assert str([request]) == f"[OutgoingRequest(POST {EU})]"
