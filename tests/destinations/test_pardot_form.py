"""A form handler: what it is sent, and how success and failure are told apart, against the strict stand-in."""

from typing import Any
from urllib.parse import parse_qs

import pytest

from gateway.destinations.base import Dead, Delivered, Judgement, Misconfigured, Reply, Retry, Telling
from gateway.destinations.pardot_form import PardotForm
from gateway.errors import ConfigError, DestinationError
from gateway.receivers.rehearsal import FORM_ERROR, FORM_SUCCESS, Rehearsal
from tests.destinations.pardot_parts import COOKIES, EMAIL, tell_person
from tests.destinations.rows import NOW, make_config, make_event

URL = "https://go.example.org/l/519011/2026-01-31/abc"
OPTIONS: dict[str, Any] = {"success": FORM_SUCCESS, "error": FORM_ERROR, "fields": {"page": "Page", "topic": "Topic"}}
THEIRS = dict(zip(COOKIES, ("423581070", "ab12"), strict=True))


def make_form(options: dict[str, Any] | None = None, **changes: Any) -> PardotForm:
    """A handler of an invented account."""
    values = {"kind": "pardot_form", "url": URL, "secret": "", "include_email": True, "cookies": COOKIES}
    return PardotForm(make_config("form", **(values | {"options": OPTIONS | (options or {})} | changes)), "")


def send(receivers: Rehearsal, form: PardotForm, telling: Telling) -> Judgement:
    """One form to the stand-in."""
    sent = form.build([telling], NOW)
    got = receivers.take(sent.method, sent.url.removeprefix("https://go.example.org"), sent.headers, sent.body)
    return form.judge(sent, Reply(got.status, got.headers, got.body), NOW)


def test_a_form_is_the_visitors_own() -> None:
    """Mapped fields, url-encoded, with the visitor's cookies and the page it comes from; no location of ours or anybody's."""
    receivers = Rehearsal({})
    telling = tell_person(cookies=THEIRS, host="www.example.org", props={"success_location": "https://evil.example"})
    assert send(receivers, make_form(), telling) == Delivered()
    [submission] = receivers.pages.submissions
    page = "https://www.example.org/artikelen/betalingsregeling"
    assert submission.fields == {"email": EMAIL, "Page": page, "Topic": "regelingen"}
    assert submission.visitor == "423581070"
    sent = make_form().build([telling], NOW)
    assert sent.headers["referer"] == page
    assert parse_qs(sent.body.decode()).keys() == {"email", "Page", "Topic"}


def test_forms_of_many_never_become_one_visitors() -> None:
    """Without both cookies nothing is sent, unless the handler is in kiosk mode; then no cookie goes along."""
    receivers = Rehearsal({})
    half = tell_person(cookies={COOKIES[0]: "423581070"})
    with pytest.raises(DestinationError, match="one visitor's"):
        make_form().build([half], NOW)
    assert send(receivers, make_form({"kiosk": True}), half) == Delivered()
    assert receivers.pages.submissions[0].visitor == ""
    with pytest.raises(DestinationError):
        make_form({"kiosk": True}).build([Telling("e1", make_event(), "s1")], NOW)


@pytest.mark.parametrize(
    ("status", "location", "verdict"),
    [
        (302, FORM_SUCCESS, Delivered()),
        (302, FORM_SUCCESS + "?x=1", Delivered()),
        (302, FORM_ERROR, Dead("form_refused")),
        (302, "https://evil.example/", Misconfigured("odd_location")),
        (302, "", Misconfigured("odd_location")),
        (200, "", Misconfigured("no_location")),
        (404, "", Misconfigured("http_404")),
        (503, "", Retry("http_503")),
    ],
)
def test_where_it_leads_says_how_it_went(status: int, location: str, verdict: object) -> None:
    """Success and failure are both 302."""
    form = make_form()
    sent = form.build([tell_person(cookies=THEIRS)], NOW)
    assert form.judge(sent, Reply(status, {"location": location}, b""), NOW) == verdict


def test_a_field_that_the_handler_does_not_have_is_refused_there() -> None:
    """The stand-in leads to the error page, and the delivery is dead."""
    form = make_form({"fields": {"topic": "Onderwerp"}})
    assert send(Rehearsal({}), form, tell_person(cookies=THEIRS)) == Dead("form_refused")


@pytest.mark.parametrize(
    ("options", "changes", "key"),
    [
        ({"error": FORM_SUCCESS}, {}, "options.error"),
        ({"error": FORM_SUCCESS + "?error=1"}, {}, "options.error"),
        ({"fields": {"page": "success_location"}}, {}, "options.fields"),
        ({"email": "error_location"}, {}, "options.fields"),
        ({}, {"url": "https://go.example.org/form"}, "url"),
        ({}, {"url": "https://192.168.1.1/l/519011/2026-01-31/abc"}, "url"),
        ({}, {"cookies": ()}, "cookies"),
        ({}, {"cookies": ("visitor_id520011",)}, "cookies"),
    ],
)
def test_what_cannot_work_does_not_start(options: dict[str, Any], changes: dict[str, Any], key: str) -> None:
    """Pages that cannot be told apart, fields that lead elsewhere, cookies of another account."""
    with pytest.raises(ConfigError) as caught:
        make_form(options, **changes)
    assert caught.value.key == f"form.{key}"
