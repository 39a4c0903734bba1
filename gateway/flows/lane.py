"""One destination's lane: what it holds, whose turn is next, and how an attempt's answer is taken.

Rows of one subject are one behind the other; different subjects go side by side. What goes together in one
request is taken together (a load), as far as the kind of destination allows.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple, cast

import msgspec
from sqlalchemy import Connection

from gateway.destinations.attempts import Ending
from gateway.destinations.base import (
    Dead,
    Delivered,
    Destination,
    Misconfigured,
    Notice,
    OutgoingRequest,
    PersonalEvent,
    Renew,
    Retry,
    Split,
    Telling,
    Throttled,
    Unsent,
    Verdict,
    make_subject,
    retry_in,
)
from gateway.destinations.health import Health
from gateway.destinations.outbox import EVENT, Leased, NotStarted, Reason, Started
from gateway.destinations.sender import Sender
from gateway.destinations.withheld import is_withheld, trim
from gateway.errors import DestinationError

# Reasons of deliveries that can never be made, beside a destination's own.
UNREADABLE, UNBUILDABLE, FAULT, WITHHELD = "unreadable", "unbuildable", "fault", "withheld"
MOST_STEPS = 8  # requests in one conversation
MOST_RENEWALS = 2  # credentials refused so often in a row: new ones do not help
NOTHING_TO_ASK = "nothing"
NOTICE_PAUSE_SECONDS = 86_400.0
_events, _notices = msgspec.json.Decoder(PersonalEvent), msgspec.json.Decoder(Notice)


@dataclass
class Load:
    """Leased rows that begin together. `probe`: they ask for all others whether the receiver is back; `endings`: how their last
    request ended, where that is not written down yet."""

    rows: list[Leased]
    probe: bool
    endings: list[Ending] = field(default_factory=list)


@dataclass
class Lane:
    """One destination at work. `changed`: there may be something to do; `disabled`: why it has stopped, and since when.

    `most_held`: how many leased rows it holds, waiting for their turn.
    """

    destination: Destination
    sender: Sender
    most_held: int = 1
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    health: Health = field(default_factory=Health)
    running: set[asyncio.Task[None]] = field(default_factory=set)
    places: int = 0  # taken by attempts that have not had their answer yet
    loads: int = 0  # begun, and their ending not written down yet
    ended: list[Load] = field(default_factory=list)  # of those, the ones nobody has been asked to write down
    stirred: bool = False  # somebody will look what has ended
    held: int = 0
    more: bool = False  # there was more than could be held
    disabled: str = ""
    disabled_at: float = 0.0
    paused: bool = False
    renewing: asyncio.Lock = field(default_factory=asyncio.Lock)
    renewals: int = 0
    issued: int = 0  # how often credentials came
    refused: int = -1  # of those, the last that were refused
    alone: set[int] = field(default_factory=set)
    waiting: dict[str, deque[Leased]] = field(default_factory=dict)  # of subjects with no attempt under way
    behind: dict[str, deque[Leased]] = field(default_factory=dict)  # of those that have one
    busy: set[str] = field(default_factory=set)
    start: Callable[[Connection, Sequence[list[list[int]]]], list[list[list[Started | NotStarted]]]] = field(init=False)
    settle: Callable[[Connection, Sequence[list[Ending]]], list[None]] = field(init=False)

    @property
    def name(self) -> str:
        """The destination's name."""
        return self.destination.config.name

    @property
    def rests(self) -> bool:
        """Whether nothing may be begun until somebody says so."""
        return bool(self.disabled) or self.paused

    def hold(self, rows: Iterable[Leased]) -> None:
        """Take leased rows up, each behind the others of its subject."""
        for row in rows:
            self.held += 1
            queues = self.behind if row.consent_id in self.busy else self.waiting
            queues.setdefault(row.consent_id, deque()).append(row)

    def is_ready(self) -> bool:
        """Whether some subject has a row and no attempt under way."""
        return bool(self.waiting)

    def is_low(self) -> bool:
        """Whether it is time to look for more: nothing can begin, or there is more and half of what was held has gone."""
        return not self.waiting or (self.more and self.held < self.most_held // 2)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Have it done beside the rest, until it says `forget_task` of itself."""
        self.running.add(asyncio.create_task(work))

    def forget_task(self) -> None:
        """The task that says so is about to end."""
        self.running.discard(cast(asyncio.Task[None], asyncio.current_task()))

    def take_load(self, *, probe: bool) -> Load:
        """What goes in the next request; its subjects are busy until `leave`."""
        load: list[Leased] = []
        most = self.destination.batch_size
        while self.waiting and len(load) < most:
            subject, rows = next(iter(self.waiting.items()))
            if load and rows[0].id in self.alone:
                break
            self._take(subject, rows, load)
            if not self.destination.mixed or load[-1].id in self.alone:
                break
        self.held -= len(load)
        self.loads += 1
        return Load(load, probe)

    def _take(self, subject: str, rows: deque[Leased], load: list[Leased]) -> None:
        """Move this subject's rows into the load, as many as fit; what has to go alone goes alone."""
        del self.waiting[subject]
        self.busy.add(subject)
        while rows and len(load) < self.destination.batch_size and not (load and rows[0].id in self.alone):
            load.append(rows.popleft())
            if load[-1].id in self.alone:
                break
        if rows:
            self.behind[subject] = rows

    def leave(self, loads: Sequence[Load]) -> None:
        """The endings of these are written down; their subjects may go on."""
        self.loads -= len(loads)
        for load in loads:
            for row in load.rows:
                self.busy.discard(row.consent_id)
                if rows := self.behind.pop(row.consent_id, None):
                    self.waiting[row.consent_id] = rows
            if len(load.rows) == 1:
                self.alone.discard(load.rows[0].id)

    def drop(self, subject: str) -> None:
        """What else is held of this subject is in the queue again."""
        for queues in (self.waiting, self.behind):
            self.held -= len(queues.pop(subject, ()))

    def let_go(self) -> bool:
        """Hold nothing any more but what is under way; whether there was anything."""
        held, self.held = self.held, 0
        self.waiting.clear()
        self.behind.clear()
        return held > 0

    def disable(self, reason: str, now: float) -> None:
        """Stop until an operator resumes."""
        self.disabled, self.disabled_at = reason, now


class Parcel(NamedTuple):
    """Started rows that share one request, and the request; or why there is none."""

    rows: list[Started]
    request: OutgoingRequest | Verdict


def build_parcels(
    destination: Destination,
    started: Sequence[Started],
    key: bytes,
    clock: Callable[[], float],
    note_fault: Callable[[Exception], None],
) -> Iterator[Parcel]:
    """The requests for these rows, in their order, each built when it is its turn: what grows too old meanwhile is seen.

    An event that makes the destination's own code fail (`note_fault`) is set aside; it must not stop the others.
    """
    tellings: list[tuple[Started, Telling]] = []
    for row in started:
        subject = make_subject(key, destination.config.name, row.consent_id)
        try:
            if row.kind == EVENT:
                event = trim(_events.decode(row.payload), destination.config)
                if is_withheld(event, destination.config):  # queued before the configuration said so
                    yield Parcel([row], Dead(WITHHELD))
                else:
                    tellings.append((row, Telling(row.event_id, event, subject, event.person)))
            else:
                notice = _notices.decode(row.payload)
                notice = msgspec.structs.replace(notice, subject=subject)
                request = destination.withdraw(notice, clock())
                yield Parcel([row], request if request is not None else Delivered(NOTHING_TO_ASK))
        except (msgspec.DecodeError, UnicodeDecodeError):
            yield Parcel([row], Dead(UNREADABLE))
        except Exception as error:  # a door: see above
            note_fault(error)
            yield Parcel([row], Dead(FAULT))
    for _, group in groupby(tellings, key=lambda pair: destination.key_of(pair[1])):
        pairs = list(group)
        built = _build(destination, [telling for _, telling in pairs], clock(), note_fault)
        yield Parcel([row for row, _ in pairs], built)


def _build(
    destination: Destination, batch: list[Telling], now: float, note_fault: Callable[[Exception], None]
) -> OutgoingRequest | Verdict:
    try:
        return destination.build(batch, now)
    except DestinationError:
        return Split(UNBUILDABLE)
    except Exception as error:  # a door: see above
        note_fault(error)
        return Split(FAULT)


async def _always() -> bool:
    return True


async def converse(
    lane: Lane, request: OutgoingRequest, now: float, may_go_on: Callable[[], Awaitable[bool]] = _always
) -> Verdict | Sequence[Verdict]:
    """Send, and whatever the answers ask for next, until there is a verdict; `may_go_on` is asked before each but the first."""
    timeout = lane.destination.config.timeout_seconds
    for step in range(MOST_STEPS):
        if step and not await may_go_on():
            return Retry(Reason.WITHDRAWN)
        answer = await lane.sender.send(request, timeout)
        if isinstance(answer, Unsent):
            return Retry(answer.reason)
        judged = lane.destination.judge(request, answer, now)
        if not isinstance(judged, OutgoingRequest):
            return judged
        request = judged
    return Dead(FAULT)


async def get_credentials(lane: Lane, now: float) -> Verdict:
    """`Delivered` when the destination has what it needs; asked for by one at a time for the whole lane."""
    if lane.destination.renew(now) is None:
        return Delivered()
    async with lane.renewing:
        request = lane.destination.renew(now)
        if request is None:
            return Delivered()
        answer = await lane.sender.send(request, lane.destination.config.timeout_seconds)
        if isinstance(answer, Unsent):
            return Retry(answer.reason)
        taken = lane.destination.take(answer, now)
        lane.issued += isinstance(taken, Delivered)
        return taken


def spread(parcel: Parcel, judged: Verdict | Sequence[Verdict]) -> list[tuple[Started, Verdict]]:
    """One verdict for each row; where a receiver's count does not fit, each is tried by itself."""
    if isinstance(judged, Verdict):
        return [(row, judged) for row in parcel.rows]
    if len(judged) != len(parcel.rows):
        return [(row, Split(FAULT)) for row in parcel.rows]
    return list(zip(parcel.rows, judged, strict=True))


def note_health(lane: Lane, judged: Verdict | Sequence[Verdict], now: float, chance: float) -> None:
    """What an answer says of the receiver: well when something was accepted, refused or is merely waited for, else ill when all
    is to be tried again."""
    verdicts = [judged] if isinstance(judged, Verdict) else list(judged)
    if any(isinstance(verdict, Delivered) for verdict in verdicts):
        lane.renewals = 0
    if any(isinstance(verdict, Delivered | Dead | Split) or _is_waited_for(verdict) for verdict in verdicts):
        lane.health.ended(well=True, now=now, chance=chance)
        return
    failures = [verdict for verdict in verdicts if isinstance(verdict, Retry) and verdict.reason != Reason.WITHDRAWN]
    if failures and len(failures) == len(verdicts):
        reason = failures[-1].reason
        lane.health.ended(well=False, now=now, chance=chance, reason=reason)
        # Who asks for time asks for it for whatever else would come.
        if asked := max(verdict.after or 0.0 for verdict in failures):
            lane.health.rest_until(now + asked, now, reason)


def _is_waited_for(verdict: Verdict) -> bool:
    return isinstance(verdict, Retry) and verdict.well


def decide_ending(lane: Lane, row: Started, verdict: Verdict, together: int, now: float, chance: float) -> Ending:
    """What becomes of a row by its verdict; what concerns the whole destination is noted in the lane."""
    if isinstance(verdict, Split) and together == 1:
        verdict = Dead(verdict.reason)
    if isinstance(verdict, Delivered | Dead | Retry):
        return _end(lane, row, verdict, now, chance)
    wait = 0.0
    if isinstance(verdict, Split):
        lane.alone.add(row.id)
    elif isinstance(verdict, Throttled):
        lane.health.rest_until(verdict.until, now, verdict.reason)
        wait = max(0.0, verdict.until - now)
    elif isinstance(verdict, Misconfigured):
        lane.disable(verdict.reason, now)
    return Ending(row.id, Retry(verdict.reason), wait, costs=False)


def _end(lane: Lane, row: Started, verdict: Delivered | Dead | Retry, now: float, chance: float) -> Ending:
    wait: float | None = None
    if isinstance(verdict, Retry):
        wait = retry_in(lane.destination.schedule, row.attempts, verdict.after, chance)
        if wait is None and row.kind != EVENT:  # telling is a duty: once a day, for as long as the notice lasts
            wait = NOTICE_PAUSE_SECONDS * (0.5 + 0.5 * chance)
    elif isinstance(verdict, Dead) and verdict.disable:
        lane.disable(verdict.reason, now)
    if row.kind == EVENT:
        return Ending(row.id, verdict, wait)
    asked = NOTHING_TO_ASK if isinstance(verdict, Delivered) and verdict.detail == NOTHING_TO_ASK else row.kind
    return Ending(row.id, verdict, wait, asked=asked, cannot_undo=lane.destination.cannot_undo)


def note_refused_credentials(lane: Lane, verdicts: Iterable[Verdict], issued: int, now: float) -> None:
    """Forget credentials that were refused; refused again and again, they are the operator's to mend.

    `issued` says with which an attempt was made: many attempts with the same are refused once, and do not cost the newer.
    """
    refused = next((verdict for verdict in verdicts if isinstance(verdict, Renew)), None)
    if refused is None or issued != lane.issued or issued == lane.refused:
        return
    lane.refused = issued
    lane.renewals += 1
    lane.destination.forget()
    if lane.renewals > MOST_RENEWALS:
        lane.renewals = 0
        lane.disable(refused.reason, now)
