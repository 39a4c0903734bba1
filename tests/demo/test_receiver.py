"""The webhook receiver: takes what the published library signs, refuses all else."""

import base64
import json
import os
from datetime import UTC, datetime
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from standardwebhooks import Webhook

from gateway.demo.receiver import HOOK_PATH, LOG_PATH, Receiver
from tests.demo.demo_worlds import NOON, serving

SECRET = "whsec_" + base64.b64encode(os.urandom(32)).decode()
BODY = json.dumps({"type": "page_view", "timestamp": "2025-11-23T11:00:00Z", "data": {"path": "/"}})


def signed(body: str = BODY, secret: str = SECRET, at: float = NOON, identity: str = "msg_1") -> dict[str, str]:
    """Headers as the published library makes them."""
    signature = Webhook(secret).sign(identity, datetime.fromtimestamp(at, UTC), body)
    return {"webhook-id": identity, "webhook-timestamp": str(int(at)), "webhook-signature": signature}


def post(origin: str, body: str, headers: dict[str, str]) -> int:
    """The status of a delivery."""
    connection = HTTPConnection(urlsplit(origin).netloc, timeout=5)
    connection.request("POST", HOOK_PATH, body.encode(), headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_right_delivery_is_taken_and_shown() -> None:
    """What the published library signed is accepted, written down, and shown as JSON."""
    receiver = Receiver(SECRET, lambda: NOON + 1)
    with serving(receiver.app()) as origin:
        assert post(origin, BODY, signed()) == 204
        connection = HTTPConnection(urlsplit(origin).netloc, timeout=5)
        connection.request("GET", LOG_PATH)
        shown = json.loads(connection.getresponse().read())
        connection.close()
    assert shown["refused"] == []
    assert shown["deliveries"] == [
        {"at": NOON + 1, "id": "msg_1", "type": "page_view", "timestamp": "2025-11-23T11:00:00Z", "data": {"path": "/"}}
    ]


OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()
REFUSED = {
    "another secret": (BODY, signed(secret=OTHER)),
    "a changed body": (BODY.replace("/", "/x"), signed()),
    "a changed id": (BODY, signed() | {"webhook-id": "msg_2"}),
    "an old time": (BODY, signed(at=NOON - 301)),
    "a time to come": (BODY, signed(at=NOON + 301)),
    "a changed time": (BODY, signed() | {"webhook-timestamp": str(int(NOON) + 1)}),
    "no signature": (BODY, {name: value for name, value in signed().items() if name != "webhook-signature"}),
    "no id": (BODY, signed() | {"webhook-id": ""}),
    "a time that is none": (BODY, signed() | {"webhook-timestamp": "soon"}),
    "another version's signature": (BODY, signed() | {"webhook-signature": "v2,AAAA"}),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_anything_else_is_refused(name: str) -> None:
    """A delivery with anything wrong about signature or time gets 401 and is not in the log."""
    receiver = Receiver(SECRET, lambda: NOON)
    with serving(receiver.app()) as origin:
        assert post(origin, *REFUSED[name]) == 401
    assert (receiver.log, len(receiver.refused)) == ([], 1)


def test_one_right_signature_among_several_is_enough() -> None:
    """While secrets rotate, a delivery carries a signature by each."""
    receiver = Receiver(SECRET, lambda: NOON)
    headers = signed()
    headers["webhook-signature"] = "v1,AAAA " + headers["webhook-signature"]
    with serving(receiver.app()) as origin:
        assert post(origin, BODY, headers) == 204


def test_a_signed_body_that_is_no_event_is_a_bad_request() -> None:
    """A right signature over something else is answered 400."""
    receiver = Receiver(SECRET, lambda: NOON)
    with serving(receiver.app()) as origin:
        assert post(origin, "[]", signed("[]")) == 400
