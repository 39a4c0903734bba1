"""Matomo: what is sent passes the strict stand-in field by field; its counts are believed only where they add up."""

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import event as note
from hypothesis import given
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
    Verdict,
    make_subject,
)
from gateway.destinations.matomo import Matomo, judge_counts, make_visitor
from gateway.errors import ConfigError, DestinationError
from gateway.event import Event, Told
from gateway.receivers.matomo_receiver import find_fault
from tests.destinations.rows import NOW, make_config, make_event

TOKEN = "0123456789abcdef0123456789abcdef"
URL = "https://matomo.example.org/matomo.php"
SUBJECT = make_subject(b"k" * 32, "matomo", "consent-1")


def make_matomo(options: dict[str, Any] | None = None, secret: str = TOKEN, **changes: Any) -> Matomo:
    """A destination at an invented Matomo."""
    values = {"kind": "matomo", "url": URL, "options": {"site_id": 1} if options is None else options}
    return Matomo(make_config("matomo", **(values | changes)), secret)


def lines_of(*events: Event, now: float = NOW) -> list[dict[str, str]]:
    """The requests within the bulk request for these events of one subject."""
    body = json.loads(make_matomo().build([Telling("e", event, SUBJECT) for event in events], now).body)
    assert body["token_auth"] == TOKEN
    return [dict(parse_qsl(line.removeprefix("?"), strict_parsing=True)) for line in body["requests"]]


def test_a_page_view_is_told_field_by_field() -> None:
    """Website, visitor, time, address, referrer, topic, country and language: no more than that."""
    event = make_event(
        host="www.example.org",
        path="/één :id",
        source="brief",
        medium="email",
        referrer="mail.example.net/in",
        language="nl",
        browser="Firefox",
        network="203.0.113.0/24",
    )
    request = make_matomo().build([Telling("e", event, SUBJECT)], NOW + 5)
    assert (request.method, request.url, request.headers) == ("POST", URL, {"content-type": "application/json"})
    [line] = lines_of(event)
    assert len(line.pop("pv_id")) == 6
    assert line == {
        "idsite": "1",
        "rec": "1",
        "apiv": "1",
        "bots": "1",
        "cid": make_visitor(SUBJECT),
        "cdt": str(int(NOW)),
        "url": "https://www.example.org/%C3%A9%C3%A9n%20:id?utm_source=brief&utm_medium=email",
        "urlref": "https://mail.example.net/in",
        "lang": "nl",
        "country": "nl",
        "action_name": "regelingen",
    }


def test_other_events_have_their_form() -> None:
    """Engagement is a ping of the same page view; what the site names is an event with its properties."""
    view, ping, download = lines_of(
        make_event(view_id="w1"),
        make_event(kind="engagement", view_id="w1", engaged_ms=4200),
        make_event(kind="download", view_id="w2", topic="", path="/a", props={"bestand": "brochure", "taal": "nl"}),
    )
    assert (ping["ping"], ping["pv_id"]) == ("1", view["pv_id"])
    assert "action_name" not in ping
    assert (download["e_c"], download["e_a"], download["e_n"]) == ("download", "/a", "bestand: brochure, taal: nl")
    assert download["pv_id"] != view["pv_id"]
    [order] = lines_of(make_event(kind="order", told=Told(revenue=49_950, currency="EUR")))
    assert (order["e_v"], "e_v" in download) == ("49.95", False)


def test_nothing_raw_is_told() -> None:
    """No address, agent, network, consent id, visitor key, view or visit id, and not the subject itself."""
    event = make_event(visit_id="RAW-VISIT", view_id="RAW-VIEW", network="203.0.113.0/24", browser="Firefox")
    sent = make_matomo().build([Telling("e", event, SUBJECT)], NOW).body.decode()
    for raw in ("RAW-VISIT", "RAW-VIEW", "203.0.113", "cip=", "ua=", "Firefox", SUBJECT[:16], str(event.visitor)):
        assert raw not in sent
    others = {make_visitor(make_subject(key, "matomo", "consent-1")) for key in (b"a" * 32, b"b" * 32)}
    assert make_visitor(SUBJECT) not in others
    assert len(others) == 2


TEXTS = st.text(max_size=60) | st.builds(lambda part, times: part * times, st.text(max_size=5), st.integers(0, 800))
EVENTS = st.builds(
    make_event,
    at=st.floats(NOW - 30 * 86_400, NOW + 3600) | st.floats(),
    kind=st.sampled_from(["page_view", "engagement"]) | st.text(min_size=1, max_size=50),
    path=TEXTS.map("/".__add__),
    host=TEXTS,
    topic=TEXTS,
    referrer=TEXTS,
    source=TEXTS,
    campaign=TEXTS,
    country=st.sampled_from(["NL", "", "nl"]) | TEXTS,
    language=st.sampled_from(["nl", ""]) | TEXTS,
    props=st.dictionaries(st.text(max_size=20), TEXTS, max_size=3),
)


@given(EVENTS)
def test_what_is_built_is_invalid_to_no_matomo(event: Event) -> None:
    """Whatever an event holds: refused here, or a request in which the strict stand-in finds no fault."""
    try:
        [line] = lines_of(event)
    except DestinationError:
        note("refused")
        return
    assert find_fault(line, True, NOW) == ""
    assert len(line["url"]) <= 2000
    assert all(len(line.get(name, "")) <= 255 for name in ("action_name", "e_c", "e_a", "e_n"))


@pytest.mark.parametrize(
    "changes", [{"at": float("nan")}, {"at": float("-inf")}, {"topic": "\ud800"}, {"path": "/\ud800"}]
)
def test_what_cannot_be_told_is_refused(changes: dict[str, Any]) -> None:
    """Impossible times and text that is no Unicode: a DestinationError, which sets this event alone aside."""
    with pytest.raises(DestinationError):
        lines_of(make_event(**changes))


def test_a_batch_is_bounded() -> None:
    """100 events of whomever go together, and never more than a megabyte."""
    matomo = make_matomo()
    assert (matomo.batch_size, matomo.mixed) == (100, True)
    assert len({matomo.key_of(Telling("e", make_event(), subject)) for subject in "abc"}) == 1
    large = make_event(path="/" + "é" * 2000, referrer="a/" + "é" * 2000, topic="漢" * 255)
    with pytest.raises(DestinationError):
        matomo.build([Telling("e", large, SUBJECT)] * 400, NOW)
    assert len(matomo.build([Telling("e", large, SUBJECT)] * 100, NOW).body) < 1_000_000


def counts(tracked: int, invalid: int, *indices: int, status: str = "success") -> bytes:
    """An answer of bulk tracking."""
    return json.dumps({"status": status, "tracked": tracked, "invalid": invalid, "invalid_indices": indices}).encode()


GOOD, BAD = Delivered(), Dead("invalid")


@pytest.mark.parametrize(
    ("body", "sent", "verdict"),
    [
        (counts(3, 0), 3, GOOD),
        (b'{"status":"success","tracked":"3","invalid":"0"}', 3, GOOD),
        (counts(2, 1, 1), 3, [GOOD, BAD, GOOD]),
        (counts(2, 1), 3, Split("invalid")),
        (counts(2, 1, 7), 3, Split("invalid")),
        (counts(0, 3), 3, BAD),
        (counts(0, 1), 1, BAD),
        (counts(2, 0), 3, Split("incomplete")),
        (counts(1, 1, 0), 3, Split("incomplete")),
        (counts(0, 0), 3, Retry("incomplete")),
        (counts(0, 0), 1, Retry("incomplete")),
        (counts(4, 0), 3, Retry("odd_answer")),
        (counts(-1, 4), 3, Retry("odd_answer")),
        (counts(3, 0, status="error"), 3, Retry("odd_answer")),
        (b"<html>maintenance</html>", 3, Retry("odd_answer")),
        (b"", 3, Retry("odd_answer")),
    ],
)
def test_success_is_what_adds_up(body: bytes, sent: int, verdict: Verdict | list[Verdict]) -> None:
    """F19: only counts that cover all that was sent are a delivery; what was passed over in silence is tried by itself."""
    assert judge_counts(body, sent) == verdict


SENT = OutgoingRequest("POST", URL, {}, b"{}", memo="2")


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (400, b"unknown idsite '9'", Misconfigured("unknown_site")),
        (400, b"An unexpected website was found in the request", Misconfigured("unknown_site")),
        (400, b"Invalid idSite: '0'", Misconfigured("unknown_site")),
        (400, b"something else", Split("http_400")),
        (400, b"bad url https://www.example.org/website/?idsite=9&unknown+idsite", Split("http_400")),
        (401, b"", Misconfigured("http_401")),
        (403, b"", Misconfigured("http_403")),
        (404, b"", Misconfigured("http_404")),
        (429, b"", Retry("http_429")),
        (500, counts(1, 0, status="error"), Retry("http_500")),
        (503, b"", Retry("http_503")),
        (302, b"", Retry("http_302")),
    ],
)
def test_each_status_has_its_verdict(status: int, body: bytes, verdict: Judgement) -> None:
    """An unknown website and a wrong token are the operator's; a bulk request that failed was rolled back, and is repeated."""
    assert make_matomo().judge(SENT, Reply(status, {}, body), NOW) == verdict


def test_visits_are_found_deleted_and_looked_for_again() -> None:
    """Until none is found; the token stands in the body, never in the address."""
    matomo = make_matomo()
    find = matomo.withdraw(Notice("n1", "erasure", "main", SUBJECT, (), NOW), NOW)
    assert find is not None
    assert find.url == "https://matomo.example.org/index.php"
    form = dict(parse_qsl(find.body.decode()))
    assert (form["method"], form["segment"]) == (
        "PrivacyManager.findDataSubjects",
        f"visitorId=={make_visitor(SUBJECT)}",
    )
    delete = matomo.judge(find, Reply(200, {}, b'[{"idSite":1,"idVisit":"5"},{"idSite":1,"idVisit":6}]'), NOW)
    assert isinstance(delete, OutgoingRequest)
    form = dict(parse_qsl(delete.body.decode()))
    assert {name: form[name] for name in form if name.startswith("visits")} == {
        "visits[0][idsite]": "1",
        "visits[0][idvisit]": "5",
        "visits[1][idsite]": "1",
        "visits[1][idvisit]": "6",
    }
    assert matomo.judge(delete, Reply(200, {}, b'{"log_visit":2}'), NOW) == find
    assert matomo.judge(find, Reply(200, {}, b"[]"), NOW) == Delivered()
    for step in (find, delete):
        assert matomo.judge(step, Reply(200, {}, b'{"result":"error","message":"x"}'), NOW) == Misconfigured(
            "no_access"
        )
        assert matomo.judge(step, Reply(200, {}, b"<html>"), NOW) == Retry("odd_answer")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"url": "https://matomo.example.org/"}, "matomo.url"),
        ({"url": "http://matomo.example.org/matomo.php"}, "matomo.url"),
        ({"url": URL + "?token_auth=x"}, "matomo.url"),
        ({"secret": "hidden-token"}, "matomo.secret"),
        ({"include_network": True}, "matomo.include_network"),
        ({"options": {}}, "matomo.options"),
        ({"options": {"site_id": 0}}, "matomo.options.site_id"),
        ({"options": {"site_id": "1"}}, "matomo.options.site_id"),
    ],
)
def test_a_wrong_configuration_does_not_start(changes: dict[str, Any], key: str) -> None:
    """Each names its key, and none shows a token."""
    with pytest.raises(ConfigError) as caught:
        make_matomo(**changes)
    assert caught.value.key == key
    assert "hidden" not in str(caught.value)
