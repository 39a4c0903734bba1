"""What a destination is: pure functions from events to a request, and from an answer to a verdict.

A destination knows its wire format and nothing else. It opens no connection, reads no clock, asks for no
consent: the outbox does the asking, the sender does the sending. All times are epoch seconds, UTC.

A new kind is a class under `Destination`: `build` and `judge` are its own, the rest has a default. What it is told in
`[destinations.options]` is a struct of its own (`options`, `read_options`). A conversation
of several requests (find, then delete) goes step by step: `judge` answers with the next request instead of a
verdict, and reads in `OutgoingRequest.step` and `memo` where it stands.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import ClassVar, Literal, TypeVar, get_args, get_type_hints

import msgspec

from gateway.destinations.addresses import find_url_fault
from gateway.errors import ConfigError
from gateway.event import Event, Person
from gateway.settings import DestinationConfig, Section
from gateway.signing_algorithm import sign_sha256

FILE = "destinations.toml"
Own = TypeVar("Own", bound=Section)
RETRY_AFTER_CAP_SECONDS = 24 * 3600.0
LEAST_WAIT_SECONDS = 1.0
WISH_SPREAD = 0.1
MINUTE, HOUR = 60.0, 3600.0
DAILY: tuple[float, ...] = (
    0.0,
    5.0,
    30.0,
    *(minutes * MINUTE for minutes in (5, 30)),
    *(2 * HOUR, 6 * HOUR, 12 * HOUR),
)


class Telling(msgspec.Struct, frozen=True):
    """One event to be told. `event_id` stays the same over all attempts: the receiver's key for telling a repeat.

    `subject` stands for the consent under which it was recorded, at this destination alone (see `make_subject`).
    `person` is there for destinations with `include_email` alone.
    """

    event_id: str
    event: Event
    subject: str
    person: Person | None = None


class PersonalEvent(Event, frozen=True, omit_defaults=True):
    """What waits in the outbox: an event, and for destinations that may know it, whose it is."""

    person: Person | None = None


class Notice(msgspec.Struct, frozen=True):
    """What a destination is to be told about somebody: that a consent was withdrawn, or that all is to be erased.

    `email` is what this destination may have been told. `purposes` are those taken back, of those that the destination
    needs. `notice_id` stays the same over all attempts.
    """

    notice_id: str
    kind: Literal["withdrawal", "erasure"]
    site: str
    subject: str
    purposes: tuple[str, ...]
    at: float
    email: str = ""


class OutgoingRequest(msgspec.Struct, frozen=True):
    """One HTTP request, ready to be written. `step` and `memo` are for `judge`; neither is ever sent."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    step: str = ""
    memo: str = ""

    def __repr__(self) -> str:
        """Method and address alone: query, headers and body may hold a secret or somebody's data."""
        return f"OutgoingRequest({self.method} {self.url.partition('?')[0]})"


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
    """The receiver accepted it."""

    detail: str = ""


class Retry(msgspec.Struct, frozen=True):
    """Try again: a passing failure, or, where it is `well`, nothing amiss with the receiver that has answered: it is merely
    waited for. `after`: the seconds that the receiver asked us to wait, or None."""

    reason: str
    after: float | None = None
    well: bool = False


class Throttled(msgspec.Struct, frozen=True):
    """Too much: the whole destination rests until then (epoch seconds). It costs the delivery no attempt."""

    reason: str
    until: float


class Renew(msgspec.Struct, frozen=True):
    """The credentials have run out: `renew` them once, by one delivery for all, and try again. Costs no attempt."""

    reason: str


class Misconfigured(msgspec.Struct, frozen=True):
    """Only the operator can mend it: the destination rests until it is resumed, what is queued stays."""

    reason: str


class Split(msgspec.Struct, frozen=True):
    """The receiver refused a batch as a whole: try each of its deliveries by itself. Alone, it is `Dead`."""

    reason: str


class Dead(msgspec.Struct, frozen=True):
    """Never try this delivery again. `disable`: nor any other of this destination, until it is resumed."""

    reason: str
    disable: bool = False


Verdict = Delivered | Retry | Throttled | Renew | Misconfigured | Split | Dead
# for a batch whose receiver tells its events apart: one verdict each, in the order of the batch
Judgement = Verdict | Sequence[Verdict] | OutgoingRequest


NO_SECRETS: Mapping[str, str] = MappingProxyType({})


class Destination(ABC):
    """A receiver of consented events. `schedule`: seconds to wait before each attempt, the first included.

    `batch_size`: the most events in one request; `mixed`: also of several subjects. `at_once`: no more
    requests than these, whatever the deliverer would do. `longest_hours`: older events
    are of no use there; an `expire_hours` above it does not start.
    `cannot_undo`: what no request can take back, said in each receipt.
    `knows_people`: tells of people, and needs `include_email`; `needs_secret`: it has one to show.
    `options`: what this kind takes in `[destinations.options]`; `secret_options`: those that name where a further
    secret stands, as `secret` does.
    """

    schedule: Sequence[float] = DAILY
    batch_size: ClassVar[int] = 1
    mixed: ClassVar[bool] = False
    at_once: ClassVar[int] = 1000
    longest_hours: ClassVar[int] = 24 * 31
    knows_people: ClassVar[bool] = False
    needs_secret: ClassVar[bool] = True
    cannot_undo: str = ""
    options: ClassVar[type[Section]] = Section
    secret_options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: DestinationConfig, secret: str, more_secrets: Mapping[str, str] = NO_SECRETS) -> None:
        """`more_secrets` by the names of `secret_options`. Raises ConfigError for what must not be used."""
        self.config = config

    def key_of(self, telling: Telling) -> str:
        """What the events of one request have in common. Default: whose they are."""
        return telling.subject

    @abstractmethod
    def build(self, batch: Sequence[Telling], now: float) -> OutgoingRequest:
        """The request that tells of these events: 1 to `batch_size`, one `key_of`, in the order recorded. Pure.

        Raises DestinationError for events that can never be told in this format; of a batch, each is then tried
        by itself.
        """

    @abstractmethod
    def judge(self, request: OutgoingRequest, reply: Reply, now: float) -> Judgement:
        """What an answer means: a verdict for all, one for each, or the next request of the same conversation."""

    def build_test(self, telling: Telling, now: float) -> OutgoingRequest:
        """The request that tells of an invented event, for an operator who wants to know what comes back. Pure."""
        return self.build([telling], now)

    def withdraw(self, notice: Notice, now: float) -> OutgoingRequest | None:
        """What to send when a consent is withdrawn or a subject erased; None where nothing can be asked for.

        Its answers go to `judge`, which tells by `step` that it is no event's. Pure.
        """
        return None

    def renew(self, now: float) -> OutgoingRequest | None:
        """The request for new credentials; None for kinds that need none, or while the present ones are good.

        Called before the first request, and after a `Renew` verdict (with `forget` in between).
        """
        return None

    def forget(self) -> None:  # noqa: B027 - most kinds have none to forget
        """The present credentials were refused."""

    def take(self, reply: Reply, now: float) -> Verdict:
        """Keep the credentials that came: `Delivered`, or what went wrong."""
        return Misconfigured("no_credentials")


def read_options(config: DestinationConfig, kind: type[Own]) -> Own:
    """What stands in the destination's `options`. Raises ConfigError, naming the key."""
    try:
        return msgspec.convert(config.options, kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        key = f"{config.name}.options{where.rstrip('`')}"
        if "unknown field `" in what:
            key, what = f"{key}.{what.split('`')[1]}", f"is no option of {config.kind}"
        elif what.startswith("Invalid enum value"):
            what = f"wanted {' or '.join(sorted(get_args(get_type_hints(kind)[where.strip('.`')])))}"
        raise ConfigError(FILE, key, None, what[:1].lower() + what[1:]) from error


def check_url(config: DestinationConfig, key: str, url: str) -> None:
    """Raises ConfigError for a URL that a destination must not have."""
    fault = find_url_fault(url, allow_private=config.allow_private)
    if fault is not None:
        raise ConfigError(FILE, f"{config.name}.{key}", "…" if "@" in url else url, fault)


def judge_failure(reply: Reply, now: float) -> Verdict | None:
    """What a status means where it says no more than HTTP has it say; None for 2xx.

    401, 403, 404 and 405 speak of account and address, never of an event: the operator has to look. Other 4xx
    refuse what was told.
    """
    reason = f"http_{reply.status}"
    if 200 <= reply.status < 300:
        return None
    if reply.status in (401, 403, 404, 405):
        return Misconfigured(reason)
    if 400 <= reply.status < 500 and reply.status not in (408, 425, 429):
        return Split(reason)
    return Retry(reason, parse_retry_after(reply.headers.get("retry-after", ""), now))


def make_subject(key: bytes, destination: str, consent_id: str) -> str:
    """32 hexadecimal digits that stand for a consent at one destination: the same each time, and no way back."""
    return sign_sha256(key, f"subject {destination} {consent_id}".encode()).hex()[:32]


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


def find_longest_wait(schedule: Sequence[float]) -> float:
    """Seconds that no next attempt is further away than: by the schedule, or at a receiver's wish, its midnight included."""
    return max(*schedule, RETRY_AFTER_CAP_SECONDS * (1 + WISH_SPREAD))


def retry_in(schedule: Sequence[float], attempts: int, after: float | None, chance: float) -> float | None:
    """Seconds until the next attempt when `attempts` have failed, or None when the schedule is spent.

    Full jitter: anything up to the scheduled wait, so that what failed together does not return together. A
    receiver's own wish (`after`) is waited for in full, and spread over a tenth more. `chance` is random, in [0, 1).
    """
    if attempts >= len(schedule):
        return None
    wished = (after or 0.0) * (1 + WISH_SPREAD * chance)
    return max(schedule[attempts] * chance, min(LEAST_WAIT_SECONDS, schedule[attempts]), wished)
