"""What a destination is: pure functions from an event to a request, and from an answer to a verdict.

A destination knows its wire format and nothing else. It opens no connection, reads no clock, asks for no
consent: the outbox does the asking, the sender does the sending. All times are epoch seconds, UTC.
"""

from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Protocol

import msgspec

from gateway.event import Event
from gateway.settings import DestinationConfig

RETRY_AFTER_CAP_SECONDS = 24 * 3600.0
# a wait is lengthened by up to this part of itself, so that what failed together does not return together
SPREAD = 0.2


class OutgoingRequest(msgspec.Struct, frozen=True):
    """One HTTP request, ready to be written."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


class Reply(msgspec.Struct, frozen=True):
    """What came back: header names in lower case, the body up to a cap. `whole` is False when the body was
    cut off.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool = True


class Unsent(msgspec.Struct, frozen=True):
    """No answer came. `reason` is one word out of a closed list (see `gateway.destinations.sender`)."""

    reason: str


class Delivered(msgspec.Struct, frozen=True):
    """The receiver accepted the event."""


class Retry(msgspec.Struct, frozen=True):
    """Try again. `after`: the seconds that the receiver asked us to wait, or None."""

    reason: str
    after: float | None = None


class Dead(msgspec.Struct, frozen=True):
    """Never try this delivery again. `disable`: nor any other of this destination, until the next start."""

    reason: str
    disable: bool = False


Verdict = Delivered | Retry | Dead


class Destination(Protocol):
    """A receiver of consented events. `schedule`: seconds to wait before each attempt, the first included."""

    config: DestinationConfig
    schedule: Sequence[float]

    def __init__(self, config: DestinationConfig, secret: str) -> None:
        """Raises ConfigError for a URL or secret that must not be used."""

    def build(self, event: Event, event_id: str, now: float) -> OutgoingRequest:
        """The request that tells of this event. Pure. `event_id` stays the same over all attempts.

        Raises DestinationError for an event that can never be told in this format.
        """
        ...

    def judge(self, reply: Reply, now: float) -> Verdict:
        """What an answer means. Pure."""
        ...


def parse_retry_after(value: str, now: float) -> float | None:
    """Seconds to wait for a Retry-After header (seconds or a date), at most a day; None when unreadable."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), RETRY_AFTER_CAP_SECONDS)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return max(0.0, min(seconds, RETRY_AFTER_CAP_SECONDS))


def retry_in(schedule: Sequence[float], attempts: int, after: float | None, chance: float) -> float | None:
    """Seconds until the next attempt when `attempts` have failed, or None when the schedule is spent.

    A receiver's own wish (`after`) lengthens the wait, never shortens it. `chance` is random, in [0, 1).
    """
    if attempts >= len(schedule):
        return None
    return max(schedule[attempts], after or 0.0) * (1 + SPREAD * chance)
