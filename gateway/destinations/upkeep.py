"""What keeps the outbox small: settle what is past its time, delete what has long been settled.

Both look for their rows outside of a write transaction, since that reads the whole table, and then change
them some at a time, so that deliveries and visitors' choices come in between.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, and_, case, delete, literal, or_, select, update

from gateway.database import OUTBOX, reading, transaction
from gateway.destinations.attempts import Ending, write_receipt
from gateway.destinations.base import Dead
from gateway.destinations.figures import SETTLED, add_totals
from gateway.destinations.outbox import CLOSED, EVENT, Reason, State, lock_ids

ROWS_AT_A_TIME = 1000
C = OUTBOX.c


def expire_overdue(engine: Engine, now: float) -> int:
    """Settle rows past their time that nobody holds, whatever their destination; returns how many."""
    held = C.state.in_((State.LEASED, State.STARTED))
    unheld = or_(C.state == State.QUEUED, and_(held, C.lease_until <= now))
    overdue = (unheld, C.expires_at <= now)
    values: dict[str, Any] = {**CLOSED, "state": State.EXPIRED, "settled_at": now}
    # What failed before is the better reason, where there is one.
    values["reason"] = case((C.reason == "", literal(Reason.EXPIRED.value)), else_=C.reason)

    def expire(connection: Connection, ids: list[int]) -> None:
        notices = connection.execute(select(OUTBOX).where(C.id.in_(ids), C.kind != EVENT)).all()
        for row in notices:  # nobody could be told for all that time: the ledger says so
            asked = row.kind if row.attempts else "nothing"
            write_receipt(connection, row, Ending(row.id, Dead(row.reason or Reason.EXPIRED), asked=asked), now)
        connection.execute(update(OUTBOX).where(C.id.in_(ids)).values(values))

    return _some_at_a_time(engine, overdue, expire)


def strip_dead(engine: Engine, now: float) -> int:
    """Take event and consent from dead letters past their time, which nothing could send again; returns how many."""

    def strip(connection: Connection, ids: list[int]) -> None:
        connection.execute(update(OUTBOX).where(C.id.in_(ids)).values(**CLOSED))

    return _some_at_a_time(engine, (C.state == State.DEAD, C.expires_at <= now, C.payload.is_not(None)), strip)


def prune_settled(engine: Engine, before: float) -> int:
    """Delete rows settled before that time and add them to the totals; returns how many went."""
    return _some_at_a_time(engine, (C.state.in_(SETTLED), C.settled_at < before), _prune)


def _prune(connection: Connection, ids: list[int]) -> None:
    rows = connection.execute(select(C.destination, C.state).where(C.id.in_(ids), C.kind == EVENT))
    counts: dict[str, Counter[str]] = {}
    for destination, state in rows:
        counts.setdefault(destination, Counter())[state] += 1
    # In one order everywhere, so that two who prune at once cannot wait for each other.
    for destination, added in sorted(counts.items()):
        add_totals(connection, destination, added)
    connection.execute(delete(OUTBOX).where(C.id.in_(ids)))


def _some_at_a_time(
    engine: Engine, conditions: tuple[Any, ...], change: Callable[[Connection, list[int]], None]
) -> int:
    query = select(C.id).where(*conditions).limit(ROWS_AT_A_TIME)
    changed = 0
    while True:
        with reading(engine) as connection:
            found = list(connection.execute(query).scalars())
        if not found:
            return changed
        with transaction(engine) as connection:
            ids = lock_ids(connection, (C.id.in_(found), *conditions))
            change(connection, ids)
        changed += len(ids)
        if not ids:  # all of them in somebody else's hands
            return changed
