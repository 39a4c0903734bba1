"""Anything that can happen to the outbox, in any order, beside a model of what must come of it.

What is modelled: visitors who grant and withdraw and are erased, a policy whose scope changes, a journal that is drained late
and twice, two workers that lease, start, settle, crash and overstay their leases, transactions that are cut off, an operator
who pauses, resumes and redrives, a queue with a limit, notices and their receipts, expiry, sweeping and pruning.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine
from sqlalchemy import Connection, Engine, select

from gateway.database import OUTBOX_TOTALS, reading, transaction
from gateway.destinations.admission import admit_deliveries
from gateway.destinations.base import Dead, Delivered, Notice, Retry
from gateway.destinations.outbox import (
    ERASURE,
    EVENT,
    WITHDRAWAL,
    Delivery,
    State,
    get_offset,
    pass_on,
    set_offset,
    withdraw,
)
from gateway.destinations.upkeep import (
    drop_notices,
)
from tests.conftest import empty_tables
from tests.destinations.rows import NOW, SITE, look, make_config, make_delivery, put_consent
from tests.destinations.wire import Wire

DESTINATIONS = {"ads": ("marketing",), "both": ("analytics", "marketing")}
CONFIGS = [make_config(name, purposes=purposes) for name, purposes in DESTINATIONS.items()]
VISITORS = ("c0", "c1", "c2")
PURPOSES = ("analytics", "marketing")
LEASE, LIFE, MAX_ATTEMPTS, LIMIT, ALL = 60.0, 200.0, 4, 9, 100
WAITING = (State.QUEUED, State.LEASED)
OPEN = (*WAITING, State.STARTED)

Ended = Delivered | Retry | Dead


class CutOffError(Exception):
    """The process is gone before its commit."""


@dataclass
class Visitor:
    """A visitor's consent as it should stand: the scope and first revision of each purpose granted."""

    revision: int = 0
    grants: dict[str, tuple[str, int]] = field(default_factory=dict)


@dataclass
class Recorded:
    """An event in the journal: its number there, by whom, under which revision, and what was granted at that moment."""

    number: int
    event_id: str
    visitor: str
    revision: int
    granted: frozenset[str]
    at: float


@dataclass
class Held:
    """A row in a worker's hands; `event_id` once it is started. `taken_back`: a withdrawal came while it was on the wire."""

    row_id: int
    destination: str
    event_id: str = ""
    kind: str = EVENT
    visitor: str = ""
    taken_back: bool = False

    @property
    def path(self) -> str:
        """Where the receiver hears of it."""
        return f"/{self.destination}/{self.event_id}"


class OutboxModel(RuleBasedStateMachine):
    """What visitors, journal and outbox should look like, and what is done to both of them at once."""

    steps = 0

    def __init__(self, engine: Engine, wire: Wire) -> None:
        super().__init__()
        self.engine, self.wire = engine, wire
        self.wire.came.clear()
        self.again: Counter[str] = Counter()
        empty_tables(engine)
        self.now = NOW
        self.scopes = dict.fromkeys(PURPOSES, "0")
        self.people = {name: Visitor() for name in VISITORS}
        self.journal: list[Recorded] = []
        self.events: dict[str, Recorded] = {}
        self.notices = 0
        self.receipts = 0
        self.paused: set[str] = set()
        self.redriven: set[int] = set()
        self.drained: set[tuple[str, str]] = set()
        self.held: dict[str, list[Held]] = {"a": [], "b": []}
        self.flying: dict[str, list[Held]] = {"a": [], "b": []}
        self.done: set[tuple[str, str]] = set()
        self.tallied: Counter[tuple[str, str]] = Counter()

    def grant(self, name: str, wanted: set[str]) -> None:
        person = self.people[name]
        person.revision += 1
        for purpose in wanted:
            scope, since = person.grants.get(purpose, ("", 0))
            if scope != self.scopes[purpose]:
                scope, since = self.scopes[purpose], person.revision
            person.grants[purpose] = (scope, since)
        with transaction(self.engine) as connection:
            put_consent(connection, name, person.grants, person.revision)

    def take_back(self, name: str, purpose: str) -> None:
        person = self.people[name]
        if person.grants.pop(purpose, None) is None:
            return
        person.revision += 1
        concerned = [destination for destination, needs in DESTINATIONS.items() if purpose in needs]
        self.end(name, concerned, WITHDRAWAL)

    def erase(self, name: str) -> None:
        person = self.people[name]
        person.grants.clear()
        person.revision += 1
        self.end(name, list(DESTINATIONS), ERASURE)
        # I9: nothing is left but what tells of the erasure, of a withdrawal before it, and what is on the wire.
        left = [
            row for row in look(self.engine) if row.consent_id == name or (row.payload and name in str(row.payload))
        ]
        assert all(row.kind == ERASURE or row.state in OPEN for row in left)

    def end(self, name: str, concerned: list[str], kind: str) -> None:
        """As a choice and an erasure do it: cancelled and passed on in one transaction."""
        dead = [row for row in self.rows(EVENT) if row.consent_id == name and row.state == State.DEAD]
        self.tallied.subtract((row.destination, "dead") for row in dead if row.destination in concerned)
        for held in (held for owned in self.flying.values() for held in owned):
            held.taken_back |= held.visitor == name and held.destination in concerned and held.kind == EVENT
        with transaction(self.engine) as connection:
            put_consent(connection, name, self.people[name].grants, self.people[name].revision)
            withdraw(connection, name, None if kind == ERASURE else concerned, self.now, kind)
            if kind == ERASURE:
                drop_notices(connection, name, concerned, self.now)
            for destination in concerned:
                self.notices += 1
                notice = Notice(f"n{self.notices}", kind, SITE, "", PURPOSES, self.now)  # type: ignore[arg-type]
                pass_on(connection, notice, name, destination, self.now)
        left = [row for row in self.rows(EVENT) if row.consent_id == name and row.destination in concerned]
        assert {row.state for row in left} <= {State.STARTED}

    def record(self, name: str, count: int) -> None:
        person = self.people[name]
        valid = frozenset(p for p, (scope, _) in person.grants.items() if scope == self.scopes[p])
        for _ in range(count):
            number = len(self.events) + 1
            event = Recorded(number, f"{number:032x}", name, person.revision, valid, self.now)
            self.events[event.event_id] = event
            self.journal.append(event)

    def drain(self, how: str) -> None:
        """`twice`: the store lost its offset, so that all is read again next time; `cut`: before the commit all is lost."""
        rows = [(event.number, self.delivery(event, name)) for event in self.journal for name in DESTINATIONS]
        with self.cut_off() if how == "cut" else transaction(self.engine) as connection:
            had = get_offset(connection, "s")
            fresh = [row for number, row in rows if row is not None and number > had]
            room = {name: LIMIT - self.count_open(connection, name) for name in DESTINATIONS}
            admit_deliveries(connection, fresh, dict.fromkeys(DESTINATIONS, LIMIT), self.now)
            set_offset(connection, "s", max(had, *(event.number for event in self.journal), 0))
        if how == "cut":
            return
        self.drained |= {(row.event_id, row.destination) for row in fresh}
        for name in DESTINATIONS:
            mine = [row for row in fresh if row.destination == name]
            self.tallied[name, "dead"] += max(0, len(mine) - max(0, room[name]))
        if how != "twice":
            self.journal.clear()

    def delivery(self, event: Recorded, destination: str) -> Delivery | None:
        times = {"recorded_at": event.at, "expires_at": event.at + LIFE, "revision": event.revision}
        wanted = event.granted.issuperset(DESTINATIONS[destination])
        return make_delivery(event.event_id, event.visitor, destination=destination, **times) if wanted else None

    def count_open(self, connection: Connection, destination: str) -> int:
        rows = (row for row in look(self.engine) if row.destination == destination)
        return sum(row.state in OPEN for row in rows)

    @contextmanager
    def cut_off(self) -> Iterator[Connection]:
        """A process dies before its commit: it is as if nothing had been asked for (I1)."""
        before = self.everything()
        try:
            with transaction(self.engine) as connection:
                yield connection
                raise CutOffError
        except CutOffError:
            assert self.everything() == before

    def everything(self) -> list[Any]:
        with reading(self.engine) as connection:
            return [look(self.engine), list(connection.execute(select(OUTBOX_TOTALS)).all())]

    def find_due(self, destination: str) -> list[int]:
        """What may be taken up now: in the order in which it came, each subject's as far as its first that may not."""
        due: list[int] = []
        stuck: set[str] = set()
        for row in look(self.engine):
            if row.destination != destination or row.state not in OPEN:
                continue
            ready = row.next_at <= self.now if row.state == State.QUEUED else row.lease_until <= self.now
            if ready and row.consent_id not in stuck:
                due.append(row.id)
            else:
                stuck.add(row.consent_id)
        return [] if destination in self.paused else due

    def covers(self, event: Recorded, destination: str) -> bool:
        grants = self.people[event.visitor].grants
        return all(
            purpose in grants and grants[purpose][0] == self.scopes[purpose] and grants[purpose][1] <= event.revision
            for purpose in DESTINATIONS[destination]
        )

    def rows(self, kind: str) -> list[Any]:
        return [row for row in look(self.engine) if row.kind == kind]
