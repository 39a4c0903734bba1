"""The outbox's invariants under any order of events, on SQLite and PostgreSQL, against a model of consent.

What is modelled: visitors who grant and withdraw, a policy whose scope changes, a journal that is drained
late and twice, two workers that lease, start, settle, crash and overstay their leases, expiry and pruning.
"""

import os
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine

from gateway.database import transaction
from gateway.destinations.base import Dead, Delivered, Retry
from gateway.destinations.dead_letters import redrive
from gateway.destinations.figures import SETTLED, queue_figures
from gateway.destinations.outbox import (
    Started,
    State,
    add_deliveries,
    lease,
    release,
    withdraw,
)
from gateway.destinations.upkeep import expire_overdue, prune_settled, strip_dead
from tests.conftest import empty_tables
from tests.destinations.rows import NOW, look, make_config, make_delivery, put_consent, settle, start

DESTINATIONS = {"ads": ("marketing",), "both": ("analytics", "marketing")}
CONFIGS = [make_config(name, purposes=purposes) for name, purposes in DESTINATIONS.items()]
EXAMPLES = int(os.environ.get("OUTBOX_EXAMPLES", "30"))  # of 40 steps each, on each database
VISITORS = ("c0", "c1", "c2")
PURPOSES = ("analytics", "marketing")
LEASE, LIFE, MAX_ATTEMPTS = 60.0, 400.0, 4

Ended = Delivered | Retry | Dead
visitors = st.sampled_from(VISITORS)
purposes = st.sampled_from(PURPOSES)
owners = st.sampled_from(("a", "b"))
verdicts = st.sampled_from((Delivered(), Retry("timeout"), Retry("http_503", 50.0), Dead("http_410")))


@dataclass
class Visitor:
    """A visitor's consent as it should stand: the scope and first revision of each purpose granted."""

    revision: int = 0
    grants: dict[str, tuple[str, int]] = field(default_factory=dict)


@dataclass
class Recorded:
    """An event in the journal: by whom, under which revision, and what was granted at that moment."""

    event_id: str
    visitor: str
    revision: int
    granted: frozenset[str]
    at: float


@dataclass
class Held:
    """A row in a worker's hands; `event_id` once it is started."""

    row_id: int
    destination: str
    event_id: str = ""


class Wire:
    """A real receiver: what it is told goes by HTTP, and what came is in its own log."""

    def __init__(self) -> None:
        self.came: Counter[str] = Counter()
        wire = self

        class Handler(BaseHTTPRequestHandler):
            """Notes the path of each post."""

            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """One event."""
                wire.came[self.path] += 1
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is printed."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self._line = HTTPConnection("127.0.0.1", int(self.server.server_address[1]))

    def send(self, path: str) -> None:
        """Post, and wait for the answer."""
        self._line.request("POST", path, b"")
        self._line.getresponse().read()

    def close(self) -> None:
        """Hang up."""
        self._line.close()
        self.server.shutdown()
        self.server.server_close()


class OutboxMachine(RuleBasedStateMachine):
    """Does anything in any order, and compares."""

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
        self.drained: set[tuple[str, str]] = set()
        self.held: dict[str, list[Held]] = {"a": [], "b": []}
        self.flying: dict[str, list[Held]] = {"a": [], "b": []}
        self.done: set[tuple[str, str]] = set()
        self.tallied: Counter[tuple[str, str]] = Counter()

    @initialize()
    def everybody_accepts_and_looks_around(self) -> None:
        for name in VISITORS:
            self.grant(name, set(PURPOSES))
            self.record(name, 2)
        self.drain(lost=False)

    # What visitors and the operator do

    # Few rules that do much: hypothesis leaves whole rules out of a run, and a delivery needs many steps.

    @rule(name=visitors, wanted=st.sets(purposes), lost=st.sets(purposes))
    def choose(self, name: str, wanted: set[str], lost: set[str]) -> None:
        if wanted:
            self.grant(name, wanted)
        for purpose in sorted(lost):
            self.take_back(name, purpose)

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
        for row in look(self.engine):
            if row.consent_id == name and row.state == State.DEAD and row.destination in concerned:
                self.tallied[row.destination, "dead"] -= 1
        with transaction(self.engine) as connection:
            put_consent(connection, name, person.grants, person.revision)
            withdraw(connection, name, concerned, self.now)
        left = [row for row in look(self.engine) if row.consent_id == name and row.state == State.DEAD]
        assert not [row for row in left if row.destination in concerned]
        waiting = [row for row in look(self.engine) if row.state in (State.QUEUED, State.LEASED)]
        assert not [row for row in waiting if row.consent_id == name and row.destination in concerned]

    @rule(name=visitors, count=st.integers(1, 3), drained=st.sampled_from(("yes", "twice", "later")))
    def browse(self, name: str, count: int, drained: str) -> None:
        self.record(name, count)
        if drained != "later":
            self.drain(lost=drained == "twice")

    def record(self, name: str, count: int) -> None:
        person = self.people[name]
        valid = frozenset(p for p, (scope, _) in person.grants.items() if scope == self.scopes[p])
        for _ in range(count):
            number = len(self.events)
            event = Recorded(f"{number:032x}", name, person.revision, valid, self.now)
            self.events[event.event_id] = event
            self.journal.append(event)

    def drain(self, lost: bool) -> None:
        """`lost`: the offset was not written, so that all is drained again next time."""
        rows = [
            make_delivery(
                event.event_id,
                event.visitor,
                destination=destination,
                revision=event.revision,
                recorded_at=event.at,
                expires_at=event.at + LIFE,
            )
            for event in self.journal
            for destination, needs in DESTINATIONS.items()
            if event.granted.issuperset(needs)
        ]
        with transaction(self.engine) as connection:
            add_deliveries(connection, rows, self.now)
        self.drained |= {(row.event_id, row.destination) for row in rows}
        if not lost:
            self.journal.clear()

    # What workers do

    @rule(
        owner=owners,
        limit=st.integers(0, 4),
        kept=st.integers(0, 2),
        ends=st.lists(verdicts, max_size=4),
    )
    def work(self, owner: str, limit: int, kept: int, ends: list[Ended]) -> None:
        """Lease some, start what is held but for some kept for later, and settle some of what is on the wire."""
        for destination in DESTINATIONS if limit else ():
            self.lease(owner, destination, limit)
        while len(self.held[owner]) > kept:
            self.start(owner, self.held[owner].pop(0))
        for verdict in ends[: len(self.flying[owner])]:
            self.settle(owner, self.flying[owner].pop(0), verdict)

    def lease(self, owner: str, destination: str, limit: int) -> None:
        with transaction(self.engine) as connection:
            rows = lease(connection, destination, owner, limit, self.now, LEASE)
        # I6: nothing is taken up while something earlier of the same subject is in other hands or waits.
        taken = {row.id for row in rows}
        for row in look(self.engine):
            if row.destination == destination and row.state in (State.QUEUED, State.LEASED, State.STARTED):
                assert row.id in taken or not any(row.id < r.id and row.consent_id == r.consent_id for r in rows)
        self.held[owner] += [Held(row.id, destination) for row in rows]

    def start(self, owner: str, held: Held) -> None:
        needs = DESTINATIONS[held.destination]
        with transaction(self.engine) as connection:
            outcome = start(connection, held.row_id, owner, needs, self.scopes, MAX_ATTEMPTS, self.now)
        if isinstance(outcome, Started):
            self.check_start(outcome.event_id, held.destination)
            held.event_id = outcome.event_id
            path = f"/{held.destination}/{held.event_id}"
            # Whoever has overstayed the lease may have told it already.
            others = [other for owned in self.flying.values() for other in owned if other.row_id == held.row_id]
            self.again[path] += len(others)
            self.wire.send(path)
            self.flying[owner].append(held)
        elif outcome.reason != "lease_lost":
            row = next(row for row in look(self.engine) if row.id == held.row_id)
            self.tallied[held.destination, row.state] += 1
            # Nor is anything held back that the consent covers.
            covered = self.covers(self.events[row.event_id], held.destination)
            assert not (covered and row.state == State.CANCELLED)

    def check_start(self, event_id: str, destination: str) -> None:
        event = self.events[event_id]
        # I3: nothing starts after a withdrawal; nor under a scope that nobody has agreed to.
        assert self.covers(event, destination)
        # I4: nothing that was not granted when it happened is ever sent, whatever was granted later.
        assert event.granted.issuperset(DESTINATIONS[destination])
        # I5: what the receiver has accepted, and we have written down, is not sent again.
        assert (event_id, destination) not in self.done

    def covers(self, event: Recorded, destination: str) -> bool:
        grants = self.people[event.visitor].grants
        return all(
            purpose in grants and grants[purpose][0] == self.scopes[purpose] and grants[purpose][1] <= event.revision
            for purpose in DESTINATIONS[destination]
        )

    def settle(self, owner: str, held: Held, verdict: Ended) -> None:
        wait = verdict.after or 5.0 if isinstance(verdict, Retry) else None
        with transaction(self.engine) as connection:
            ours = settle(connection, held.row_id, owner, verdict, wait, self.now)
        if not ours:
            self.again[f"/{held.destination}/{held.event_id}"] += 1
            return
        if isinstance(verdict, Delivered):
            self.done.add((held.event_id, held.destination))
        else:
            self.again[f"/{held.destination}/{held.event_id}"] += 1
        row = next(row for row in look(self.engine) if row.id == held.row_id)
        if row.state in SETTLED:
            self.tallied[held.destination, row.state] += 1

    @rule(destination=st.sampled_from(sorted(DESTINATIONS)))
    def press_redrive(self, destination: str) -> None:
        """An operator sends the dead letters again."""
        with transaction(self.engine) as connection:
            self.tallied[destination, "dead"] -= redrive(connection, destination, self.now)

    @rule(owner=owners, returns=st.booleans(), new_policy=st.booleans())
    def disturb(self, owner: str, returns: bool, new_policy: bool) -> None:
        """The policy's scope changes, or a worker dies with all it holds; `returns`: it begins again."""
        if new_policy:
            self.scopes["marketing"] = str(int(self.scopes["marketing"]) + 1)
            return
        self.again.update(f"/{held.destination}/{held.event_id}" for held in self.flying[owner])
        self.held[owner].clear()
        self.flying[owner].clear()
        if returns:
            with transaction(self.engine) as connection:
                release(connection, owner, self.now)

    # Time

    @rule(seconds=st.sampled_from((1.0, 10.0, LEASE, 150.0)), upkeep=st.booleans())
    def wait(self, seconds: float, upkeep: bool) -> None:
        self.now += seconds
        if not upkeep:
            return
        expire_overdue(self.engine, self.now)
        strip_dead(self.engine, self.now)
        assert not [row for row in look(self.engine) if row.state == "queued" and row.expires_at <= self.now]
        # The journal is drained for good before its rows are pruned; see the offsets in `flows/drain`.
        self.drain(lost=False)
        prune_settled(self.engine, self.now - 30)

    # What must hold at every moment

    @invariant()
    def each_delivery_is_in_one_state_and_counted_once(self) -> None:
        rows = look(self.engine)
        names = [(row.event_id, row.destination) for row in rows]
        assert len(set(names)) == len(names)  # I2
        assert set(names) <= self.drained
        for figures in queue_figures(self.engine, CONFIGS):
            received = sum(destination == figures.destination for _, destination in self.drained)
            assert figures.received == received  # I10
            assert figures.delivered == self.tallied[figures.destination, "delivered"]
            assert figures.dead == self.tallied[figures.destination, "dead"]

    @invariant()
    def the_receiver_has_it_once_but_for_what_failed(self) -> None:
        """I5, by the receiver's own log."""
        for event_id, destination in self.done:
            assert self.wire.came[f"/{destination}/{event_id}"] >= 1
        for path, count in self.wire.came.items():
            assert count <= 1 + self.again[path]

    @invariant()
    def settled_rows_name_nobody(self) -> None:
        for row in look(self.engine):
            settled = row.state in SETTLED
            again = row.state == State.DEAD and row.payload is not None  # may be sent again, until its time is over
            assert (settled and not again) == (row.consent_id is None) == (row.payload is None)
            assert settled == (row.settled_at is not None)
            assert (row.lease_owner is not None) == (row.state in (State.LEASED, State.STARTED))


@pytest.mark.slow
@pytest.mark.timeout(600 + EXAMPLES * 5)  # a failing example is made small first, which takes its time
def test_invariants_hold_in_any_order(engine: Engine) -> None:
    """No start without a covering consent, each delivery in exactly one state, and figures that reconcile."""

    wire = Wire()

    class Machine(OutboxMachine):
        def __init__(self) -> None:
            super().__init__(engine, wire)

    quiet = [HealthCheck.too_slow]
    rounds = settings(max_examples=EXAMPLES, stateful_step_count=40, suppress_health_check=quiet)
    try:
        run_state_machine_as_test(Machine, settings=rounds)
    finally:
        wire.close()
