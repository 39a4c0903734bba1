"""What keeps the outbox small: settle what is past its time or its consent, delete what has long been settled.

All look for their rows outside of a write transaction, since that reads the whole table, and then change
them some at a time, so that deliveries and visitors' choices come in between.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from typing import Any

from sqlalchemy import Connection, Engine, and_, case, delete, literal, or_, select, update

from gateway.database import CONSENTS, OUTBOX, reading, transaction
from gateway.destinations.attempts import Consent, Ending, Rules, judge_consent, write_receipt
from gateway.destinations.base import Dead
from gateway.destinations.figures import SETTLED, add_totals
from gateway.destinations.outbox import CLOSED, EVENT, Reason, State, lock_ids

ROWS_AT_A_TIME = 1000
C, K = OUTBOX.c, CONSENTS.c
WAITS = OUTBOX.alias("waits")
W = WAITS.c
WAITING = (W.kind == EVENT, W.payload.is_not(None), W.state.in_((State.QUEUED, State.LEASED, State.DEAD)))
WITH_CONSENTS = WAITS.outerjoin(CONSENTS, (K.consent_id == W.consent_id) & (K.site == W.site))


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


def cancel_uncovered(engine: Engine, rules: Mapping[str, Rules], now: float) -> int:
    """Cancel what waits, dead letters too, under consents that cover it no more; returns how many.

    A start would refuse it in any case; this is for what will not be started soon: its event and its consent go now. `rules` by
    destination; what waits for others is left to expire.
    """
    before = now - min((one.lifetime_seconds for one in rules.values()), default=inf)
    ended = case((K.changed_at < before, 1), else_=0)
    kinds = (
        select(W.destination, W.site, W.revision, K.grants, ended).select_from(WITH_CONSENTS).where(*WAITING).distinct()
    )
    with reading(engine) as connection:
        found = connection.execute(kinds).all()
    changed = 0
    for destination, site, revision, grants, is_ended in found:
        consent = Consent(grants, -inf if is_ended else now) if grants is not None else None
        reason = destination in rules and judge_consent(consent, rules[destination], site, revision, now)
        if reason:
            known = K.grants.is_(None) if grants is None else K.grants == grants
            same = (W.destination == destination, W.site == site, W.revision == revision, known, ended == is_ended)
            alike = select(W.id).select_from(WITH_CONSENTS).where(*WAITING, *same)
            values = {**CLOSED, "state": State.CANCELLED, "reason": reason, "settled_at": now}
            changed += _some_at_a_time(engine, (C.id.in_(alike),), partial(_settle, values))
    return changed


def _settle(values: Mapping[str, Any], connection: Connection, ids: list[int]) -> None:
    connection.execute(update(OUTBOX).where(C.id.in_(ids)).values(**values))


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
