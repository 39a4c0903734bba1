"""A webhook receiver as a careful customer would write it, from the published rules alone.

It checks every delivery itself (https://www.standardwebhooks.com: `webhook-id`, `webhook-timestamp`,
`webhook-signature`) and shares no code with the sender. What does not verify is refused and written down as
such.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HOOK_PATH = "/hooks/gateway"
LOG_PATH = "/__log"
TOLERANCE_SECONDS = 300.0
BODY_CAP_BYTES = 64 * 1024
SECRET_PREFIX = "whsec_"


class Delivery(msgspec.Struct, frozen=True):
    """One accepted delivery; `at` is the receiver's time (epoch seconds), `data` the event as it came."""

    at: float
    id: str
    type: str
    timestamp: str
    data: dict[str, object]


class _Body(msgspec.Struct, frozen=True):
    type: str
    timestamp: str
    data: dict[str, object]


def find_fault(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> str | None:
    """Why a delivery must be refused, or None when its signature is right and fresh."""
    identity, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not identity or "." in identity:
        return "no usable webhook-id"
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        return "no usable webhook-timestamp"
    if abs(now - int(stamp)) > TOLERANCE_SECONDS:
        return "webhook-timestamp is too far from now"
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    digest = hmac.digest(key, f"{identity}.{stamp}.".encode() + body, hashlib.sha256)
    wanted = b"v1," + base64.b64encode(digest)
    given = headers.get("webhook-signature", "").encode("utf-8", "replace").split(b" ")
    return None if any(hmac.compare_digest(wanted, one) for one in given) else "no signature fits"


class Receiver:
    """Takes deliveries; `log` holds those that were right, `refused` a word for each of the others."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._secret, self._clock = secret, clock
        self.log: list[Delivery] = []
        self.refused: list[str] = []

    def app(self) -> Starlette:
        """The receiver as an app: POST to HOOK_PATH, and the log as JSON at LOG_PATH."""
        hook = Route(HOOK_PATH, self.receive, methods=["POST"])
        return Starlette(routes=[hook, Route(LOG_PATH, self.show)])

    async def receive(self, request: Request) -> Response:
        """204 for a right delivery (a repeat included), 401 for a wrong signature, 400 for a wrong body."""
        now = self._clock()
        body = await request.body()
        fault = find_fault(self._secret, request.headers, body, now)
        if len(body) > BODY_CAP_BYTES or fault is not None:
            return self._refuse(401, fault or "body is too large")
        try:
            parsed = msgspec.json.decode(body, type=_Body)
        except msgspec.DecodeError:
            return self._refuse(400, "body is no event")
        identity = request.headers["webhook-id"]
        self.log.append(Delivery(now, identity, parsed.type, parsed.timestamp, parsed.data))
        return Response(status_code=204)

    async def show(self, _request: Request) -> Response:
        """Everything received so far."""
        shown = {"deliveries": self.log, "refused": self.refused}
        return Response(msgspec.json.encode(shown), media_type="application/json")

    def _refuse(self, status: int, fault: str) -> Response:
        self.refused.append(fault)
        return Response(fault, status_code=status, media_type="text/plain")
