"""A destination at an invented business unit, and its answers."""

import json
from typing import Any

from gateway.destinations.base import OutgoingRequest, Reply, Telling
from gateway.destinations.pardot import Pardot
from gateway.event import Person
from gateway.receivers.rehearsal import CLIENT_ID, EXTENSION, SECRETS, UNIT, Rehearsal
from gateway.settings import DestinationConfig
from tests.destinations.rows import NOW, make_config, make_event

API = "https://pi.pardot.com/api/v5"
LOGIN = "https://voorbeeld.my.salesforce.com"
EMAIL = "a.jansen@example.org"
COOKIES = ("visitor_id519011", "visitor_id519011-hash")
OPTIONS: dict[str, Any] = {
    "business_unit": UNIT,
    "client_id": CLIENT_ID,
    "login_url": LOGIN,
    "extension": EXTENSION,
    "activities": {"download": "Download"},
}


def make_pardot_config(options: dict[str, Any] | None = None, **changes: Any) -> DestinationConfig:
    """One that asks for a client's own credentials."""
    values: dict[str, Any] = {"kind": "pardot", "url": API, "include_email": True, "events": ("page_view", "download")}
    return make_config("pardot", **(values | {"options": OPTIONS | (options or {})} | changes))


def make_pardot(
    options: dict[str, Any] | None = None, more: dict[str, str] | None = None, secret: str = "", **changes: Any
) -> Pardot:
    """The destination of such a configuration."""
    return Pardot(make_pardot_config(options, **changes), secret or SECRETS["PARDOT_CLIENT_SECRET"], more or {})


def tell_person(kind: str = "download", cookies: dict[str, str] | None = None, **changes: Any) -> Telling:
    """An event of somebody who gave an address."""
    return Telling("e1", make_event(kind=kind, **changes), "s1", Person(EMAIL, cookies or {}))


def answer(status: int = 200, value: object = None, **headers: str) -> Reply:
    """An answer in JSON."""
    return Reply(status, headers, b"" if value is None else json.dumps(value).encode())


def ask(receivers: Rehearsal, request: OutgoingRequest, *moved: tuple[str, str]) -> Reply:
    """What the strict stand-in answers, as the sender would bring it back."""
    target = request.url
    for real, prefix in moved or ((API, "/pardot/api/v5"), (LOGIN, "/pardot")):
        target = target.replace(real, prefix)
    got = receivers.take(request.method, target, request.headers, request.body)
    return Reply(got.status, {name.lower(): value for name, value in got.headers.items()}, got.body)


def converse(receivers: Rehearsal, pardot: Pardot, request: OutgoingRequest | None, now: float = NOW) -> Any:
    """All steps of a conversation, with a token before; the verdict."""
    token = pardot.renew(NOW)
    if token is not None:
        pardot.take(ask(receivers, token), NOW)
    assert request is not None
    judged: Any = request
    while isinstance(judged, OutgoingRequest):
        judged = with_token(pardot, judged)
        judged = pardot.judge(judged, ask(receivers, judged), now)
    return judged


def with_token(pardot: Pardot, request: OutgoingRequest) -> OutgoingRequest:
    """The request as it would have been built after the token came."""
    headers = request.headers | {"authorization": pardot._login.authorization}
    return OutgoingRequest(request.method, request.url, headers, request.body, request.step, request.memo)
