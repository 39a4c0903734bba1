"""Withdrawal against start, from threads with connections of their own, on SQLite and PostgreSQL."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Engine

from gateway.database import transaction
from gateway.destinations.base import Delivered, Retry
from gateway.destinations.outbox import Started, lease, withdraw
from tests.conftest import empty_tables
from tests.destinations.rows import NOW, SCOPES, grant, look, make_delivery, put_consent, queue, settle, start

ROUNDS = 12
ROWS = 12
WORKERS = 3


@dataclass
class Tally:
    """What the workers of a round saw: when each started row's start was asked for, by row id."""

    asked_at: dict[int, float] = field(default_factory=dict)
    acknowledged_at: float = 0.0
    errors: list[BaseException] = field(default_factory=list)


def together(tally: Tally, *works: Callable[[], None]) -> None:
    """Run all at once, begun at the same moment; whatever one raises is kept."""
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], None]) -> None:
        barrier.wait()
        try:
            work()
        except BaseException as error:
            tally.errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not tally.errors


def begin(engine: Engine, tally: Tally, owner: str, ids: list[int]) -> None:
    """Start rows one after the other; every third one fails at once and is queued again."""
    for number, row_id in enumerate(ids):
        asked = time.monotonic()
        with transaction(engine) as connection:
            outcome = start(connection, row_id, owner, ("marketing",), SCOPES, 10, NOW)
        if isinstance(outcome, Started):
            tally.asked_at[row_id] = asked
            verdict = Retry("timeout") if number % 3 == 2 else Delivered()
            with transaction(engine) as connection:
                settle(connection, row_id, owner, verdict, 0.0, NOW)


def take_back(engine: Engine, tally: Tally, consent_id: str, delay: float) -> None:
    """A withdrawal, acknowledged when its transaction has committed."""
    time.sleep(delay)
    with transaction(engine) as connection:
        put_consent(connection, consent_id, {}, revision=2)
        withdraw(connection, consent_id, ["hook"], NOW)
    tally.acknowledged_at = time.monotonic()


def race(engine: Engine, consent_id: str, delay: float) -> Tally:
    """Workers start the rows of one consent while it is taken back, and go on long after."""
    grant(engine, consent_id)
    queue(engine, *(make_delivery(f"{consent_id}-{n}", consent_id) for n in range(ROWS)))
    tally, held = Tally(), dict[str, list[int]]()
    for number in range(WORKERS):
        with transaction(engine) as connection:
            rows = lease(connection, "hook", f"w{number}", ROWS // WORKERS, NOW, 60)
        held[f"w{number}"] = [row.id for row in rows]
    together(
        tally,
        lambda: take_back(engine, tally, consent_id, delay),
        *(lambda owner=owner, ids=ids: begin(engine, tally, owner, ids) for owner, ids in held.items()),
    )
    return tally


def test_no_start_after_an_acknowledged_withdrawal(engine: Engine) -> None:
    """Every start was asked for before the withdrawal was acknowledged, and no row is left that could start."""
    raced = 0
    for number in range(ROUNDS):
        tally = race(engine, f"c{number}", delay=number * 0.002)
        assert all(asked < tally.acknowledged_at for asked in tally.asked_at.values())
        rows = [row for row in look(engine) if row.event_id.startswith(f"c{number}-")]
        assert {row.state for row in rows} <= {"delivered", "cancelled"}
        assert {row.id for row in rows if row.state == "delivered"} <= set(tally.asked_at)
        assert all(row.consent_id is None and row.payload is None for row in rows)
        raced += 0 < len(tally.asked_at) < ROWS
    assert raced, "no round had its withdrawal in the middle of the starts"


def test_a_row_that_comes_in_after_the_withdrawal_is_not_started(engine: Engine) -> None:
    """What the withdrawal could not see, because it was drained later, is stopped by the check at the start."""
    for number in range(ROUNDS):
        consent_id, tally = f"c{number}", Tally()
        grant(engine, consent_id)
        together(
            tally,
            lambda: take_back(engine, tally, consent_id, 0.0),  # noqa: B023
            lambda: queue(engine, make_delivery(f"e-{consent_id}", consent_id)),  # noqa: B023
        )
        with transaction(engine) as connection:
            rows = lease(connection, "hook", "w", 10, NOW, 60)
        begin(engine, tally, "w", [row.id for row in rows])
        assert tally.asked_at == {}
    assert {row.state for row in look(engine)} == {"cancelled"}


def test_one_row_is_started_by_one_worker(engine: Engine) -> None:
    """F14: Workers that lease at the same moment get different rows, and together all of them."""
    queue(engine, *(make_delivery(f"e{n}", f"c{n}") for n in range(40)))
    leased: list[int] = []

    def work(owner: str) -> None:
        for _ in range(8):
            with transaction(engine) as connection:
                leased.extend(row.id for row in lease(connection, "hook", owner, 3, NOW, 60))

    together(Tally(), *(lambda owner=owner: work(owner) for owner in "abc"))
    assert len(leased) == len(set(leased)) == 40


def test_withdrawals_leases_and_settlements_do_not_block_each_other(engine: Engine) -> None:
    """Many at once over the same rows end without a deadlock, and all rows end settled."""
    consents = [f"c{n}" for n in range(6)]
    for consent_id in consents:
        grant(engine, consent_id)
    queue(engine, *(make_delivery(f"{c}-{n}", c) for n in range(10) for c in consents))
    tally = Tally()

    def work(owner: str) -> None:
        for _ in range(15):
            with transaction(engine) as connection:
                rows = lease(connection, "hook", owner, 4, NOW, 60)
            begin(engine, tally, owner, [row.id for row in rows])

    def withdraw_all() -> None:
        for consent_id in consents:
            take_back(engine, tally, consent_id, 0.01)

    together(tally, withdraw_all, lambda: work("a"), lambda: work("b"))
    work("c")
    assert {row.state for row in look(engine)} <= {"delivered", "cancelled"}


def test_a_withdrawal_waits_for_a_start_that_is_being_committed(engine: Engine) -> None:
    """While a start is checked and marked, the withdrawal is not acknowledged; after, the row is on the wire."""
    grant(engine)
    queue(engine, make_delivery("e1"))
    with transaction(engine) as connection:
        [row] = lease(connection, "hook", "w", 1, NOW, 60)
    tally = Tally()
    withdrawal = threading.Thread(target=take_back, args=(engine, tally, "c1", 0.0))
    with transaction(engine) as connection:
        outcome = start(connection, row.id, "w", ("marketing",), SCOPES, 10, NOW)
        withdrawal.start()
        withdrawal.join(0.3)
        assert withdrawal.is_alive()
    withdrawal.join(60)
    assert isinstance(outcome, Started)
    assert [(row.state, row.reason) for row in look(engine)] == [("started", "withdrawn")]


def test_a_start_waits_for_a_withdrawal_that_is_being_committed(postgres_engine: Engine) -> None:
    """A row that came in behind an open withdrawal's back does not start before it, and not after it either."""
    empty_tables(postgres_engine)
    grant(postgres_engine)
    tally = Tally()
    with transaction(postgres_engine) as connection:
        put_consent(connection, "c1", {}, revision=2)
        withdraw(connection, "c1", ["hook"], NOW)
        queue(postgres_engine, make_delivery("e1"))
        with transaction(postgres_engine) as other:
            [row] = lease(other, "hook", "w", 1, NOW, 60)
        starting = threading.Thread(target=begin, args=(postgres_engine, tally, "w", [row.id]))
        starting.start()
        starting.join(0.3)
        assert starting.is_alive()
    starting.join(60)
    assert [(row.state, row.reason) for row in look(postgres_engine)] == [("cancelled", "withdrawn")]
    assert tally.asked_at == {}
