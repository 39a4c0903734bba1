"""Standard Webhooks: what we sign is verified by the published library, and every answer has its verdict."""

import base64
import json
import time
from email.utils import formatdate

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from gateway.destinations.base import (
    Dead,
    Delivered,
    OutgoingRequest,
    Reply,
    Retry,
    Telling,
    Verdict,
    find_longest_wait,
    make_subject,
    parse_retry_after,
    retry_in,
)
from gateway.destinations.webhook import Webhook, parse_secrets, sign
from gateway.errors import ConfigError, DestinationError
from gateway.event import Event
from tests.destinations.rows import NOW, OTHER_SECRET, SECRET, make_config, make_event

EVENT_ID = "0123456789abcdef0123456789abcdef"
SUBJECT = make_subject(b"k" * 32, "hook", "c1")
SENT = OutgoingRequest("POST", "https://hooks.example.org/in", {}, b"{}")


def verify(secret: str, headers: dict[str, str], body: bytes) -> None:
    """The published library's verdict, its check of the time included."""
    standardwebhooks.Webhook(secret).verify(body, headers)


def judge(status: int, headers: dict[str, str] | None = None) -> Verdict:
    """The verdict on an answer with this status."""
    return Webhook(make_config(), SECRET).judge(SENT, Reply(status, headers or {}, b""), NOW)


def test_the_published_test_vector() -> None:
    """The signature of Standard Webhooks' own example."""
    keys = parse_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "hook")
    signature = sign(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_library_verifies_a_request() -> None:
    """A built request is a JSON POST that the published library accepts, and refuses when anything is changed."""
    now = time.time()
    request = Webhook(make_config(), SECRET).build([Telling(EVENT_ID, make_event(), SUBJECT)], now)
    assert (request.method, request.url) == ("POST", "https://hooks.example.org/in")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-timestamp"] == str(int(now))
    verify(SECRET, request.headers, request.body)
    for changed in (
        (request.headers, request.body + b" "),
        (request.headers | {"webhook-id": "1"}, request.body),
        (request.headers | {"webhook-timestamp": str(int(now) + 1)}, request.body),
    ):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            verify(SECRET, *changed)


def test_while_secrets_rotate_either_verifies() -> None:
    """With two secrets the request carries two signatures, and receivers with either one accept it."""
    request = Webhook(make_config(), f"{OTHER_SECRET} {SECRET}").build(
        [Telling(EVENT_ID, make_event(), SUBJECT)], time.time()
    )
    verify(SECRET, request.headers, request.body)
    verify(OTHER_SECRET, request.headers, request.body)


def test_a_secret_without_padding_is_read_as_the_library_reads_it() -> None:
    """Base64 may come without its `=` at the end."""
    bare = "whsec_" + base64.b64encode(bytes(range(25))).decode().rstrip("=")
    request = Webhook(make_config(), bare).build([Telling(EVENT_ID, make_event(), SUBJECT)], time.time())
    verify(bare, request.headers, request.body)


def test_the_id_stays_and_the_timestamp_is_the_attempts() -> None:
    """A later attempt has the same id and body, and its own timestamp and signature."""
    hook = Webhook(make_config(), SECRET)
    first, second = (hook.build([Telling(EVENT_ID, make_event(), SUBJECT)], at) for at in (NOW, NOW + 305.9))
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == EVENT_ID
    assert second.headers["webhook-timestamp"] == str(int(NOW) + 305)
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


def test_the_body_tells_the_event() -> None:
    """Type, time in RFC 3339, and the event's fields; the visitor key as hexadecimal text; nothing empty."""
    request = Webhook(make_config(), SECRET).build([Telling(EVENT_ID, make_event(1_780_000_000.25), SUBJECT)], NOW)
    body = json.loads(request.body)
    assert (body["type"], body["timestamp"]) == ("page_view", "2026-05-28T20:26:40.250Z")
    assert body["data"] == {
        "at": "2026-05-28T20:26:40.250Z",
        "site": "main",
        "kind": "page_view",
        "path": "/artikelen/betalingsregeling",
        "topic": "regelingen",
        "country": "NL",
        "visitor": "fedcba9876543210",
        "visit_id": "v1",
        "visit_started_at": "2026-05-28T20:25:40.250Z",
        "view_id": "w1",
    }


@given(text=st.text(max_size=200), kind=st.text(min_size=1, max_size=40))
def test_no_text_of_an_event_reaches_a_header(text: str, kind: str) -> None:
    """Whatever an event holds, headers and URL are ours, and the type has no character but the allowed ones."""
    event = make_event(kind=kind, path="/" + text, topic=text, props={text: text})
    try:
        request = Webhook(make_config(), SECRET).build([Telling(EVENT_ID, event, SUBJECT)], NOW)
    except DestinationError:
        return
    signature = request.headers.pop("webhook-signature")
    assert request.headers == {
        "content-type": "application/json",
        "webhook-id": EVENT_ID,
        "webhook-timestamp": str(int(NOW)),
    }
    assert signature.startswith("v1,")
    assert signature.isascii()
    assert signature.isprintable()
    told = json.loads(request.body)
    assert set(told["type"]) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.")
    assert told["data"]["props"] == {text: text}


@pytest.mark.parametrize(
    "event",
    [
        make_event(props={"brochure": "x" * 25_000}),
        make_event(topic="\ud800"),
        make_event(at=float("nan")),
        make_event(at=1e300),
        make_event(visit_started_at=float("-inf")),
    ],
)
def test_an_event_that_cannot_be_told_is_refused(event: Event) -> None:
    """Too large, no Unicode, no possible time: a DestinationError, which makes the delivery dead."""
    with pytest.raises(DestinationError):
        Webhook(make_config(), SECRET).build([Telling(EVENT_ID, event, SUBJECT)], NOW)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Delivered()),
        (202, Delivered()),
        (204, Delivered()),
        (299, Delivered()),
        (301, Retry("http_301")),
        (302, Retry("http_302")),
        (400, Retry("http_400")),
        (401, Retry("http_401")),
        (404, Retry("http_404")),
        (410, Dead("http_410", disable=True)),
        (422, Retry("http_422")),
        (500, Retry("http_500")),
        (599, Retry("http_599")),
    ],
)
def test_only_2xx_is_success(status: int, verdict: Verdict) -> None:
    """A redirect is a failure, 410 ends it, and all else is tried again."""
    assert judge(status) == verdict


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize(
    ("header", "after"),
    [
        ("5", 5.0),
        (" 120 ", 120.0),
        ("99999999", 86_400.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
        ("abc", None),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("٣", None),
        ("9" * 5000, 86_400.0),
    ],
)
def test_retry_after_is_honoured_within_a_day(status: int, header: str, after: float | None) -> None:
    """Seconds or a date, never below none and never above a day; what is neither is ignored."""
    assert judge(status, {"retry-after": header}) == Retry(f"http_{status}", after)


@given(st.text())
def test_any_retry_after_is_read_or_ignored(text: str) -> None:
    """No header makes the parser fail or wait for longer than a day."""
    seconds = parse_retry_after(text, NOW)
    assert seconds is None or 0 <= seconds <= 86_400


def test_the_schedule_is_the_standards() -> None:
    """Ten attempts: at once, then after 5 s, 5 min, 30 min, 2, 5, 10, 14, 20 and 24 hours."""
    assert list(Webhook.schedule) == [0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert [retry_in(Webhook.schedule, attempts, None, 0.0) for attempts in range(1, 11)] == [1.0] * 9 + [None]


@given(
    attempts=st.integers(1, 9),
    after=st.none() | st.floats(0, 86_400),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_a_wait_is_spread_and_never_shorter_than_asked(attempts: int, after: float | None, chance: float) -> None:
    """Full jitter: anything up to the schedule's wait, at least a second, and all of what the receiver wished for; never longer
    than the longest, by which a clock that was set back is known."""
    wait = retry_in(Webhook.schedule, attempts, after, chance)
    assert wait is not None
    assert max(1.0, after or 0) <= wait <= max(Webhook.schedule[attempts], (after or 0) * 1.1)
    assert wait <= find_longest_wait(Webhook.schedule)


def test_a_subject_says_nothing_and_differs_by_destination() -> None:
    """What stands for a consent at one destination is the same each time, and another one elsewhere."""
    made = {make_subject(key, name, one) for key in (b"a" * 32, b"b" * 32) for name in "xy" for one in ("c1", "c2")}
    assert len(made) == 8
    assert make_subject(b"a" * 32, "x", "c1") in made
    assert all(len(subject) == 32 and "c1" not in subject for subject in made)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        " ",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_",
        "whsec_not-base64!",
        "whsec_" + base64.b64encode(bytes(range(23))).decode(),
        "whsec_" + base64.b64encode(bytes(range(65))).decode(),
        "whsec_" + base64.b64encode(b"\0" * 32).decode(),
        "whsec_" + base64.b64encode(b"changeme" * 4).decode(),
        f"{SECRET} whsec_c2hvcnQ=",
        f"whpk_{SECRET}",
    ],
)
def test_a_weak_secret_does_not_start_and_is_not_shown(secret: str) -> None:
    """Too short, too long, repeated bytes or no secret at all: a ConfigError that names the key only."""
    with pytest.raises(ConfigError) as caught:
        Webhook(make_config(), secret)
    assert caught.value.key == "hook.secret"
    assert caught.value.value == "…"
    assert len(secret) < 10 or secret not in str(caught.value)
