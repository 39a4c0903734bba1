"""Signed webhooks, as https://www.standardwebhooks.com has them: one event, one POST, one signature.

The body is `{"type", "timestamp", "data"}`; `webhook-id` is the same in every attempt and is the receiver's
key for telling a repeat; `webhook-timestamp` is the time of the attempt. We sign ourselves (the published
library goes wrong with times that are not UTC); the tests verify with the published library.

An answer counts by its status alone:

- 2xx: accepted.
- 410: the receiver is gone for good; this delivery is dead and the destination stops until the gateway is
  restarted.
- anything else, redirects included (they are never followed), and no answer at all: tried again, ten attempts
  over some 75 hours, or until the delivery expires. That goes for 401, 404 and the like too: they mostly mean
  that the receiver is being deployed or holds another secret, and the schedule leaves its operator days to
  put that right. Retry-After is honoured up to a day.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from gateway.destinations.base import (
    FILE,
    HOUR,
    MINUTE,
    NO_SECRETS,
    Dead,
    Delivered,
    Destination,
    OutgoingRequest,
    Reply,
    Retry,
    Telling,
    Verdict,
    check_url,
    parse_retry_after,
)
from gateway.errors import ConfigError, DestinationError
from gateway.event import Event
from gateway.settings import DestinationConfig

SECRET_PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)
MIN_DIFFERENT_BYTES = 12
BODY_CAP_BYTES = 20_000
NOT_IN_TYPE = re.compile(r"[^A-Za-z0-9_.]")


class Webhook(Destination):
    """One endpoint. `secret` is one `whsec_...`, or several, newest first and separated by spaces, while they
    rotate: then each request carries a signature by each."""

    schedule: Sequence[float] = (
        *(0.0, 5.0, 5 * MINUTE, 30 * MINUTE),
        *(hours * HOUR for hours in (2, 5, 10, 14, 20, 24)),
    )

    def __init__(self, config: DestinationConfig, secret: str, more_secrets: Mapping[str, str] = NO_SECRETS) -> None:
        check_url(config, "url", config.url)
        super().__init__(config, secret, more_secrets)
        self._keys = parse_secrets(secret, config.name)

    def build(self, batch: Sequence[Telling], now: float) -> OutgoingRequest:
        """The signed POST for one event."""
        [telling] = batch
        body, event_id = encode_body(telling.event), telling.event_id
        stamp = str(int(now))
        headers = {
            "content-type": "application/json",
            "webhook-id": event_id,
            "webhook-timestamp": stamp,
            "webhook-signature": sign(self._keys, event_id, stamp, body),
        }
        return OutgoingRequest("POST", self.config.url, headers, body)

    def judge(self, request: OutgoingRequest, reply: Reply, now: float) -> Verdict:
        """2xx is success whatever the body; see the module's text for the rest."""
        if 200 <= reply.status < 300:
            return Delivered()
        reason = f"http_{reply.status}"
        if reply.status == 410:
            return Dead(reason, disable=True)
        return Retry(reason, parse_retry_after(reply.headers.get("retry-after", ""), now))


def encode_body(event: Event) -> bytes:
    """The event as JSON; the visitor key as hexadecimal text, since receivers may hold 53 bits only."""
    data: dict[str, object] = msgspec.to_builtins(event)
    data["visitor"] = f"{event.visitor:016x}"
    data["visit_started_at"] = _rfc3339(event.visit_started_at)
    timestamp = data["at"] = _rfc3339(event.at)
    kind = NOT_IN_TYPE.sub("_", event.kind)
    try:
        body = msgspec.json.encode({"type": kind, "timestamp": timestamp, "data": data})
    except UnicodeEncodeError as error:
        raise DestinationError("the event holds text that is no Unicode") from error
    if len(body) > BODY_CAP_BYTES:
        raise DestinationError(f"the event takes {len(body)} bytes; webhooks carry {BODY_CAP_BYTES}")
    return body


def sign(keys: Sequence[bytes], event_id: str, timestamp: str, body: bytes) -> str:
    """The `webhook-signature` header: `v1,<base64 HMAC-SHA256>` for each key, separated by spaces."""
    content = f"{event_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(key, content, hashlib.sha256) for key in keys)
    return " ".join("v1," + base64.b64encode(digest).decode("ascii") for digest in digests)


def parse_secrets(text: str, name: str) -> list[bytes]:
    """The keys of a secret. Raises ConfigError, which never shows the secret."""
    keys = [_parse_secret(part) for part in text.split()]
    strong = [key for key in keys if len(key) in SECRET_BYTES and len(set(key)) >= MIN_DIFFERENT_BYTES]
    if not keys or len(strong) != len(keys):
        wanted = (
            "wanted `whsec_` and 24 to 64 random bytes in base64, for instance from "
            "`python -c \"import base64, os; print('whsec_' + base64.b64encode(os.urandom(32)).decode())\"`"
        )
        raise ConfigError(FILE, f"{name}.secret", "…", wanted)
    return strong


def _parse_secret(text: str) -> bytes:
    """The key's bytes; none when the text is no secret."""
    if not text.startswith(SECRET_PREFIX):
        return b""
    encoded = text.removeprefix(SECRET_PREFIX).rstrip("=")
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _rfc3339(at: float) -> str:
    try:
        moment = datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise DestinationError("the event has an impossible time") from error
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
