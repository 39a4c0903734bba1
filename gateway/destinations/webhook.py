"""Signed webhooks, as https://www.standardwebhooks.com has them: one event, one POST, one signature.

The body is `{"type", "timestamp", "data"}` or a CloudEvent (see `hook_bodies`); `webhook-id` is the same in every
attempt and is the receiver's key for telling a repeat; `webhook-timestamp` is the time of the attempt. We sign
ourselves (the published library goes wrong with times that are not UTC); the tests verify with the published library.

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
from collections.abc import Mapping, Sequence
from typing import ClassVar

from gateway.destinations.base import (
    FILE,
    HOUR,
    MINUTE,
    NO_SECRETS,
    Dead,
    Delivered,
    Destination,
    Notice,
    OutgoingRequest,
    Reply,
    Retry,
    Telling,
    Verdict,
    check_url,
    parse_retry_after,
    read_options,
)
from gateway.destinations.hook_bodies import HookOptions, Message, encode, read_notice, read_telling
from gateway.errors import ConfigError
from gateway.settings import DestinationConfig, Section
from gateway.signing_algorithm import sign_sha256

SECRET_PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)
MIN_DIFFERENT_BYTES = 12
TOLD_ON = "what the receiver has passed on is its own to take back"
NAMELESS = "the receiver knows no name by which it could find what it was told of this visitor"


class Webhook(Destination):
    """One endpoint. `secret` is one `whsec_...`, or several, newest first and separated by spaces, while they
    rotate: then each request carries a signature by each."""

    options: ClassVar[type[Section]] = HookOptions
    schedule: Sequence[float] = (
        *(0.0, 5.0, 5 * MINUTE, 30 * MINUTE),
        *(hours * HOUR for hours in (2, 5, 10, 14, 20, 24)),
    )

    def __init__(self, config: DestinationConfig, secret: str, more_secrets: Mapping[str, str] = NO_SECRETS) -> None:
        check_url(config, "url", config.url)
        super().__init__(config, secret, more_secrets)
        self._keys = parse_secrets(secret, config.name)
        self._options = read_options(config, HookOptions)
        self.cannot_undo = TOLD_ON if self._options.withdrawals else NAMELESS

    def build(self, batch: Sequence[Telling], now: float) -> OutgoingRequest:
        """The signed POST for one event."""
        [telling] = batch
        return self.post(read_telling(telling, self._options, self.config.purposes), now)

    def judge(self, request: OutgoingRequest, reply: Reply, now: float) -> Verdict:
        """2xx is success whatever the body; see the module's text for the rest."""
        if 200 <= reply.status < 300:
            return Delivered()
        reason = f"http_{reply.status}"
        if reply.status == 410:
            return Dead(reason, disable=True)
        return Retry(reason, parse_retry_after(reply.headers.get("retry-after", ""), now))

    def withdraw(self, notice: Notice, now: float) -> OutgoingRequest | None:
        """Told like an event, where the receiver knows visitors by a name."""
        return self.post(read_notice(notice), now) if self._options.withdrawals else None

    def post(self, message: Message, now: float) -> OutgoingRequest:
        """The signed POST of any message."""
        content_type, body = encode(message, self._options)
        stamp = str(int(now))
        headers = {
            "content-type": content_type,
            "webhook-id": message.message_id,
            "webhook-timestamp": stamp,
            "webhook-signature": sign(self._keys, message.message_id, stamp, body),
        }
        return OutgoingRequest("POST", self.config.url, headers, body)


def sign(keys: Sequence[bytes], event_id: str, timestamp: str, body: bytes) -> str:
    """The `webhook-signature` header: `v1,<base64 HMAC-SHA256>` for each key, separated by spaces."""
    content = f"{event_id}.{timestamp}.".encode() + body
    digests = (sign_sha256(key, content) for key in keys)
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
