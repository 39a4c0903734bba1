"""Anything that can happen to the outbox, in any order; see `outbox_model` for what must come of it."""

import sys
from collections import Counter

import hypothesis.strategies as st
from hypothesis.stateful import initialize, invariant, rule
from sqlalchemy import func, select

from gateway.database import LEDGER, reading, transaction
from gateway.destinations.attempts import RECEIPT, Rules, is_under_way
from gateway.destinations.base import Dead, Delivered, Retry
from gateway.destinations.dead_letters import redrive
from gateway.destinations.figures import SETTLED, queue_figures, set_paused
from gateway.destinations.outbox import EVENT, Reason, Started, State, lease, release
from gateway.destinations.upkeep import bound_dead, cancel_uncovered, expire_overdue, prune_settled, strip_dead
from tests.destinations.outbox_model import (
    ALL,
    CONFIGS,
    DESTINATIONS,
    LEASE,
    LIFE,
    MAX_ATTEMPTS,
    OPEN,
    PURPOSES,
    VISITORS,
    Ended,
    Held,
    OutboxModel,
    Recorded,
)
from tests.destinations.rows import SITE, look, settle, start

visitors = st.sampled_from(VISITORS)
purposes = st.sampled_from(PURPOSES)
places = st.sampled_from(sorted(DESTINATIONS))
owners = st.sampled_from(("a", "b"))
verdicts = st.sampled_from((Delivered(), Retry("timeout"), Retry("http_503", 50.0), Dead("http_410"), Dead("odd")))


TAKEN_BACK = (Reason.WITHDRAWN, Reason.ERASED)


class OutboxMachine(OutboxModel):
    """Does anything in any order, and compares."""

    @initialize()
    def everybody_accepts_and_looks_around(self) -> None:
        for name in VISITORS:
            self.grant(name, set(PURPOSES))
            self.record(name, 2)
        self.drain("yes")

    # What visitors and the operator do

    # Few rules that do much: hypothesis leaves whole rules out of a run, and a delivery needs many steps.

    @rule(
        name=visitors,
        wanted=st.sets(purposes),
        lost=st.sets(purposes),
        how=st.sampled_from(("", "", "again", "erased")),
        having=st.sampled_from((*OPEN, State.DEAD)),
    )
    def choose(self, name: str, wanted: set[str], lost: set[str], how: str, having: State) -> None:
        """`again`: what was taken back is granted anew at once, and what happened before is drained after. `having`: of whom
        there is such a row, if there is one."""
        name = next((row.consent_id for row in look(self.engine) if row.state == having and row.consent_id), name)
        if wanted:
            self.grant(name, wanted)
        if how == "again":
            self.record(name, 1)
        for purpose in sorted(lost):
            self.take_back(name, purpose)
        if how == "again":
            self.grant(name, lost)
            self.drain("yes")
        elif how == "erased":
            self.erase(name)

    @rule(
        name=visitors,
        count=st.integers(1, 3),
        drained=st.sampled_from(("yes", "yes", "twice", "later", "later", "cut")),
    )
    def browse(self, name: str, count: int, drained: str) -> None:
        self.record(name, count)
        if drained != "later":
            self.drain(drained)

    # What workers do

    @rule(
        owner=owners,
        limit=st.sampled_from((0, 1, 3, ALL)),
        kept=st.integers(0, 2),
        ends=st.lists(verdicts, min_size=1, max_size=8),
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
        wanted = self.find_due(destination)
        with transaction(self.engine) as connection:
            taken = [row.id for row in lease(connection, destination, owner, limit, self.now, LEASE)]
        # I6: nothing is taken up while something earlier of the same subject is in other hands or waits. I7: and all else that
        # is due is, whatever becomes of other subjects and destinations.
        assert set(taken) <= set(wanted)
        if limit == ALL:
            assert taken == wanted
        self.held[owner] += [Held(row_id, destination) for row_id in taken]

    def start(self, owner: str, held: Held) -> None:
        needs = DESTINATIONS[held.destination]
        with transaction(self.engine) as connection:
            outcome = start(connection, held.row_id, owner, needs, self.scopes, MAX_ATTEMPTS, self.now)
        if isinstance(outcome, Started):
            held.event_id, held.kind, held.visitor = outcome.event_id, outcome.kind, outcome.consent_id
            assert held.destination not in self.paused
            # I5: what was accepted and written down is not sent again.
            assert (held.event_id, held.destination) not in self.done
            self.check_order(held)
            if held.kind == EVENT:
                self.check_start(self.events[outcome.event_id], held.destination)
            # Whoever has overstayed the lease may have told it already.
            others = [other for owned in self.flying.values() for other in owned if other.row_id == held.row_id]
            self.again[held.path] += len(others)
            self.wire.send(held.path)
            self.flying[owner].append(held)
        elif outcome.reason != "lease_lost":
            row = next(row for row in look(self.engine) if row.id == held.row_id)
            self.tallied[held.destination, row.state] += 1
            # Nor is anything held back that the consent covers.
            assert not (row.state == State.CANCELLED and self.covers(self.events[row.event_id], held.destination))

    def check_order(self, held: Held) -> None:
        """I6: nothing starts while an earlier one of its subject waits for its turn; but a dead letter that is sent again."""
        same = [
            row for row in look(self.engine) if (row.destination, row.consent_id) == (held.destination, held.visitor)
        ]
        earlier = [row for row in same if row.id < held.row_id and row.id not in self.redriven]
        assert State.QUEUED not in {row.state for row in earlier}

    def check_start(self, event: Recorded, destination: str) -> None:
        # I3: nothing starts after a withdrawal; nor under a scope that nobody has agreed to.
        assert self.covers(event, destination)
        # I4: nothing that was not granted when it happened is ever sent, whatever was granted later.
        assert event.granted.issuperset(DESTINATIONS[destination])

    def settle(self, owner: str, held: Held, verdict: Ended) -> None:
        if held.taken_back:  # I3, for the second and later requests of one attempt
            assert not is_under_way(self.engine, [held.row_id], owner)
        wait = verdict.after or 5.0 if isinstance(verdict, Retry) else None
        before = next((row for row in look(self.engine) if row.id == held.row_id), None)  # None: ended and pruned
        with transaction(self.engine) as connection:
            ours = settle(connection, held.row_id, owner, verdict, wait, self.now)
        # F14: who has overstayed the lease has nothing to say.
        assert ours == bool(before and (before.state, before.lease_owner) == (State.STARTED, owner))
        self.again[held.path] += not (ours and isinstance(verdict, Delivered))
        if not (ours and before):
            return
        if isinstance(verdict, Delivered):
            self.done.add((held.event_id, held.destination))
        row = next(row for row in look(self.engine) if row.id == held.row_id)
        assert not (before.reason in TAKEN_BACK and row.state == State.QUEUED)
        if row.state in SETTLED and held.kind == EVENT:
            self.tallied[held.destination, row.state] += 1
        self.receipts += row.state in SETTLED and held.kind != EVENT

    @rule(destination=places, action=st.sampled_from(("redrive", "redrive", "pause", "resume")))
    def operate(self, destination: str, action: str) -> None:
        """Dead letters again; nothing more to be sent there, or on."""
        dead = [row for row in self.rows(EVENT) if row.destination == destination and row.state == State.DEAD]
        with transaction(self.engine) as connection:
            if action == "redrive":
                redrive(connection, destination, self.now)
            else:
                set_paused(connection, destination, self.now, paused=action == "pause")
        if action == "redrive":
            ids = {row.id for row in dead}
            again = [row for row in self.rows(EVENT) if row.id in ids and row.state == State.QUEUED]
            self.tallied[destination, "dead"] -= len(again)
            self.redriven |= ids
        elif action == "pause":
            self.paused.add(destination)
            for owner, owned in self.held.items():
                for held in [held for held in owned if held.destination == destination]:
                    self.start(owner, held)  # it was called back
        else:
            self.paused.discard(destination)

    @rule(owner=owners, what=st.sampled_from(("dies", "returns", "overslept", "new policy", "cut off")))
    def disturb(self, owner: str, what: str) -> None:
        """The policy's scope changes; a worker dies with all it holds, or begins again; or what it does is cut off."""
        if what == "new policy":
            self.scopes["marketing"] = str(int(self.scopes["marketing"]) + 1)
        elif what == "cut off":
            self.work_cut_off(owner)
        elif what == "overslept":
            self.oversleep(owner)
        else:
            self.again.update(held.path for held in self.flying[owner])
            self.held[owner].clear()
            self.flying[owner].clear()
            if what == "returns":
                with transaction(self.engine) as connection:
                    release(connection, owner, self.now)

    def oversleep(self, owner: str) -> None:
        """Its leases end, another takes up what it had, and only then it wakes."""
        self.now += LEASE
        other = "b" if owner == "a" else "a"
        self.work(other, ALL, 0, [])
        while self.flying[owner]:
            self.settle(owner, self.flying[owner].pop(0), Delivered())

    def work_cut_off(self, owner: str) -> None:
        with self.cut_off() as connection:
            for destination, needs in DESTINATIONS.items():
                for row in lease(connection, destination, owner, ALL, self.now, LEASE):
                    start(connection, row.id, owner, needs, self.scopes, MAX_ATTEMPTS, self.now)
        for held in self.flying[owner]:
            with self.cut_off() as connection:
                settle(connection, held.row_id, owner, Dead("http_410"), None, self.now)

    # Time

    @rule(seconds=st.sampled_from((1.0, 10.0, LEASE, LIFE + 50)), upkeep=st.sampled_from(("none", "expire", "sweep")))
    def wait(self, seconds: float, upkeep: str) -> None:
        self.now += seconds
        if upkeep == "expire":
            expire_overdue(self.engine, self.now)
            strip_dead(self.engine, self.now)
            assert not [row for row in look(self.engine) if row.state == "queued" and row.expires_at <= self.now]
            # The journal is drained for good before its rows are pruned; see the offsets in `flows/drain`.
            self.drain("yes")
            prune_settled(self.engine, self.now - 30)
        elif upkeep == "sweep":
            self.sweep()

    def sweep(self) -> None:
        """Exactly what no consent covers goes before its turn; and of dead letters no more are kept than may be."""
        before = {row.id: row for row in self.rows(EVENT) if row.payload is not None and row.state != State.STARTED}
        rules = {name: Rules(needs, {SITE: self.scopes}, MAX_ATTEMPTS) for name, needs in DESTINATIONS.items()}
        cancel_uncovered(self.engine, rules, self.now)
        for row in (row for row in self.rows(EVENT) if row.id in before):
            assert (row.state == State.CANCELLED) != self.covers(self.events[row.event_id], row.destination)
            self.tallied[row.destination, "dead"] -= before[row.id].state == State.DEAD != row.state
        bound_dead(self.engine, dict.fromkeys(DESTINATIONS, 2))
        kept = [row for row in self.rows(EVENT) if row.state == State.DEAD and row.payload is not None]
        assert max(Counter(row.destination for row in kept).values(), default=0) <= 2

    # The end

    def teardown(self) -> None:
        """However it went: all that is open ends in time, what fails holds back the rest of its subject, who has overslept
        settles nothing, and no time that passes changes what has been delivered."""
        if sys.exc_info()[0] is not None:
            return  # a step has failed: that is what is to be told
        for owner in self.held:
            self.disturb(owner, "returns")
        for destination in DESTINATIONS:
            self.operate(destination, "resume")
        self.drain("yes")
        self.deliver_all()
        for name in VISITORS:
            self.grant(name, set(PURPOSES))
            self.record(name, 2)
        self.drain("yes")
        self.fail_the_first_of_each()
        self.work("a", ALL, 0, [])
        self.oversleep("a")
        self.work("b", 0, 0, [Delivered()] * ALL)
        assert {(event_id, name) for event_id in list(self.events)[-6:] for name in DESTINATIONS} <= self.done
        self.wait(LIFE, "expire")
        self.each_delivery_is_in_one_state_and_counted_once()
        self.the_receiver_has_it_once_but_for_what_failed()

    def deliver_all(self) -> None:
        """As often as what waits for a failed one before it may need."""
        for _ in range(2 * MAX_ATTEMPTS):
            self.now += LEASE
            self.work("a", ALL, 0, [Delivered()] * ALL)
        assert not [row for row in look(self.engine) if row.state in OPEN]

    def fail_the_first_of_each(self) -> None:
        """Two of each subject in one hand: the second is not started once the first one waits for its next attempt."""
        self.work("a", ALL, ALL, [])
        first = {(row.destination, row.consent_id): row.id for row in reversed(look(self.engine)) if row.state in OPEN}
        ours, self.held["a"] = self.held["a"], []
        assert sorted(held.row_id for held in ours if held.row_id not in first.values())
        for held in sorted(ours, key=lambda held: held.row_id not in first.values()):
            self.start("a", held)
            while self.flying["a"]:
                self.settle("a", self.flying["a"].pop(), Retry("timeout"))
        self.now += LEASE

    # What must hold at every moment

    @invariant()
    def each_delivery_is_in_one_state_and_counted_once(self) -> None:
        type(self).steps += 1
        names = [(row.event_id, row.destination) for row in self.rows(EVENT)]
        assert len(set(names)) == len(names)  # I2
        assert set(names) <= self.drained
        for figures in queue_figures(self.engine, CONFIGS):
            received = sum(destination == figures.destination for _, destination in self.drained)
            assert figures.received == received  # I10, and I1: what was taken in is there, or has ended
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
        """I9."""
        for row in look(self.engine):
            settled = row.state in SETTLED
            again = row.state == State.DEAD and row.payload is not None  # may be sent again, until its time is over
            assert (settled and not again) == (row.consent_id is None) == (row.payload is None)
            assert settled == (row.settled_at is not None)
            assert (row.lease_owner is not None) == (row.state in (State.LEASED, State.STARTED))

    @invariant()
    def each_notice_that_has_ended_has_its_receipt(self) -> None:
        query = select(func.count()).select_from(LEDGER).where(LEDGER.c.kind == RECEIPT)
        with reading(self.engine) as connection:
            assert connection.execute(query).scalar_one() == self.receipts
