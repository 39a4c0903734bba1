"""CloudEvents that the published library takes, and withdrawals told under the very name that events had."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.destinations.base import Notice, OutgoingRequest, Telling, make_subject
from gateway.destinations.webhook import Webhook
from gateway.errors import ConfigError, DestinationError
from gateway.receivers.rehearsal import SECRETS, Rehearsal
from tests.destinations.rows import NOW, make_config, make_event

SECRET = SECRETS["CRM_WEBHOOK_SECRET"]
SUBJECT = make_subject(b"k" * 32, "hook", "c1")
CLOUD = {"format": "cloudevents", "type_prefix": "nl.example."}


def make_hook(**options: Any) -> Webhook:
    """A webhook with these options."""
    return Webhook(make_config(purposes=("analytics", "marketing"), options=options), SECRET)


def receive(request: OutgoingRequest) -> tuple[int, Rehearsal]:
    """What the strict receiver makes of it."""
    rehearsal = Rehearsal({}, clock=lambda: NOW)
    answer = rehearsal.take(request.method, "/hooks/in", request.headers, request.body)
    return answer.status, rehearsal


def test_the_published_library_reads_a_cloud_event() -> None:
    """Its attributes are those of the event; `data` is that of the other form; the signature covers it."""
    event = make_event(host="www.example.org")
    request = make_hook(**CLOUD).build([Telling("e1", event, SUBJECT)], NOW)
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.headers["webhook-id"] == "e1"
    read = from_structured(HTTPMessage(request.headers, request.body), JSONFormat())
    assert (read.get_id(), read.get_source(), read.get_type()) == (
        "e1",
        "https://www.example.org",
        "nl.example.page_view",
    )
    assert read.get_specversion() == "1.0"
    assert read.get_subject() == "/artikelen/betalingsregeling"
    assert read.get_time() == datetime.fromtimestamp(NOW, UTC)
    assert read.get_datacontenttype() == "application/json"
    assert read.get_extension("consentpurposes") == "analytics,marketing"
    plain = make_hook().build([Telling("e1", event, SUBJECT)], NOW)
    assert read.get_data() == json.loads(plain.body)["data"]
    assert receive(request)[0] == receive(plain)[0] == 204


@given(path=st.text(max_size=100), host=st.text(max_size=100), kind=st.text(min_size=1, max_size=40))
def test_whatever_an_event_holds_it_is_a_cloud_event(path: str, host: str, kind: str) -> None:
    """The library and the strict receiver take it, or it is refused before."""
    event = make_event(path="/" + path, host=host, kind=kind, props={kind: path})
    try:
        request = make_hook(**CLOUD).build([Telling("e1", event, SUBJECT)], NOW)
    except DestinationError:
        return
    read = from_structured(HTTPMessage(request.headers, request.body), JSONFormat())
    assert read.get_type().startswith("nl.example.")
    assert (read.get_subject() or "").isprintable()
    assert receive(request)[0] == 204


def test_a_site_without_hosts_is_named_by_its_id() -> None:
    """`source` is a URI reference in any case."""
    request = make_hook(**CLOUD).build([Telling("e1", make_event(), SUBJECT)], NOW)
    assert json.loads(request.body)["source"] == "/sites/main"


@pytest.mark.parametrize("form", [{}, CLOUD])
@pytest.mark.parametrize(
    ("kind", "told"), [("withdrawal", "consent.withdrawn"), ("erasure", "subject.erase.requested")]
)
def test_a_withdrawal_names_whom_the_events_named(form: dict[str, str], kind: Any, told: str) -> None:
    """The same name as in events before, which purposes went, and no consent id; signed like any other."""
    hook = make_hook(**form, withdrawals=True)
    event = json.loads(hook.build([Telling("e1", make_event(), SUBJECT)], NOW).body)
    request = hook.withdraw(Notice("n1", kind, "main", SUBJECT, ("marketing",), NOW), NOW)
    assert request is not None
    body = json.loads(request.body)
    assert body["type"] == form.get("type_prefix", "") + told
    assert body["data"]["subject"] == event["data"]["subject"] == SUBJECT
    assert (body["data"]["purposes"], body["data"]["site"]) == (["marketing"], "main")
    assert "c1" not in request.body.decode()
    assert "consentpurposes" not in body
    status, rehearsal = receive(request)
    assert (status, list(rehearsal.hooks.events)) == (204, ["n1"])


def test_without_the_option_visitors_have_no_name() -> None:
    """Events hold the day's key alone; nothing is asked, and the receipt says why."""
    hook = make_hook()
    assert "subject" not in json.loads(hook.build([Telling("e1", make_event(), SUBJECT)], NOW).body)["data"]
    assert hook.withdraw(Notice("n1", "erasure", "main", SUBJECT, (), NOW), NOW) is None
    assert "no name" in hook.cannot_undo


@pytest.mark.parametrize(
    "options", [{"format": "binary"}, {"type_prefix": "No Prefix"}, {"type_prefix": "a"}, {"x": 1}]
)
def test_wrong_options_are_named(options: dict[str, Any]) -> None:
    """Another format, a prefix that is none, an unknown key: refused at the start."""
    with pytest.raises(ConfigError) as caught:
        make_hook(**options)
    assert caught.value.key.startswith("hook.options")
