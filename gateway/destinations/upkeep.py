"""What keeps the outbox small: settle what is past its time or its consent, delete what has long been settled.

All look for their rows outside of a write transaction, since that reads the whole table, and then change
them some at a time, so that deliveries and visitors' choices come in between.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from functools import partial
from math import inf
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, and_, case, delete, literal, or_, select, update

from gateway import ledger
from gateway.database import CONSENTS, NOTICES, OUTBOX, reading, transaction
from gateway.destinations.attempts import Consent, Ending, Rules, judge_consent, write_receipt
from gateway.destinations.base import Dead
from gateway.destinations.figures import SETTLED, add_totals
from gateway.destinations.outbox import (
    CLOSED,
    EVENT,
    HELD,
    WITHDRAWAL,
    Reason,
    State,
    lock_ids,
    return_to_queue,
)

ROWS_AT_A_TIME = 1000
CLOCKS_APART_SECONDS = 60.0  # by so much the clocks of two nodes may differ
C, K = OUTBOX.c, CONSENTS.c
NOTHING = "nothing"  # was asked, since nobody came to it
WAITS = OUTBOX.alias("waits")
W = WAITS.c
WAITING = (W.kind == EVENT, W.payload.is_not(None), W.state.in_((State.QUEUED, State.LEASED, State.DEAD)))
WITH_CONSENTS = WAITS.outerjoin(CONSENTS, (K.consent_id == W.consent_id) & (K.site == W.site))


class Longest(NamedTuple):
    """Seconds that one destination's deliveries wait for their next attempt at most, and that a lease of them lasts."""

    wait: float
    lease: float


def expire_overdue(engine: Engine, now: float) -> int:
    """Settle rows past their time that nobody holds, whatever their destination; returns how many."""
    held = C.state.in_((State.LEASED, State.STARTED))
    unheld = or_(C.state == State.QUEUED, and_(held, C.lease_until <= now))
    overdue = (unheld, C.expires_at <= now)
    values: dict[str, Any] = {**CLOSED, "state": State.EXPIRED, "settled_at": now}
    # What failed before is the better reason, where there is one.
    values["reason"] = case((C.reason == "", literal(Reason.EXPIRED.value)), else_=C.reason)

    def expire_notices(connection: Connection, ids: list[int]) -> None:
        for row in connection.execute(select(OUTBOX).where(C.id.in_(ids))).all():
            # Nobody could be told for all that time: the ledger says so.
            asked = row.kind if row.attempts else NOTHING
            write_receipt(connection, row, Ending(row.id, Dead(row.reason or Reason.EXPIRED), asked=asked), now)
        _change(values, connection, ids)

    events = _some_at_a_time(engine, (*overdue, C.kind == EVENT), partial(_change, values))
    # An erasure of several consents holds the ledger's end while it waits for rows: whoever has rows must not wait for that.
    return events + _some_at_a_time(engine, (*overdue, NOTICES), expire_notices, first=ledger.lock_end)


def bring_back(engine: Engine, longest: Mapping[str, Longest], now: float) -> int:
    """Make due what no wait can explain: a machine wrote it down whose clock ran ahead and has been set back since. `longest`
    by destination; returns how many.

    What is on the wire at this very moment may be made twice.
    """
    changed = 0
    for name, (wait, lease) in longest.items():
        for late in (
            (C.state == State.QUEUED, C.next_at > now + wait + CLOCKS_APART_SECONDS),
            (HELD, C.lease_until > now + lease + CLOCKS_APART_SECONDS),
        ):
            again = partial(return_to_queue, now=now)
            changed += _some_at_a_time(engine, (C.destination == name, *late), again)
    return changed


def strip_dead(engine: Engine, now: float) -> int:
    """Take event and consent from dead letters past their time, which nothing could send again; returns how many."""
    past = (C.state == State.DEAD, C.expires_at <= now, C.payload.is_not(None))
    return _some_at_a_time(engine, past, partial(_change, CLOSED))


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
            changed += _some_at_a_time(engine, (C.id.in_(alike),), partial(_change, values))
    return changed


def _change(values: Mapping[str, Any], connection: Connection, ids: list[int]) -> None:
    connection.execute(update(OUTBOX).where(C.id.in_(ids)).values(**values))


def drop_notices(connection: Connection, consent_id: str, destinations: Collection[str], now: float) -> None:
    """An erasure says more than what could not be told of a withdrawal, and nothing of that is to stay: notices that are dead,
    and those for who is none of these destinations any more, of which the ledger says that they were never told."""
    untold = (C.state == State.QUEUED) & C.destination.not_in(list(destinations))
    theirs = (C.consent_id == consent_id, C.kind == WITHDRAWAL, or_(C.state == State.DEAD, untold))
    for row in connection.execute(select(OUTBOX).where(*theirs).order_by(C.id).with_for_update()).all():
        if row.state == State.QUEUED:
            asked = row.kind if row.attempts else NOTHING
            write_receipt(connection, row, Ending(row.id, Dead(Reason.ERASED), asked=asked), now)
        values = {**CLOSED, "state": State.CANCELLED, "reason": Reason.ERASED, "settled_at": now}
        connection.execute(update(OUTBOX).where(C.id == row.id).values(**values))


def bound_dead(engine: Engine, limits: Mapping[str, int]) -> int:
    """Take event and consent from the oldest of a destination's dead letters, where there are more than its limit; how many.

    A receiver that refuses everything fills no disk either. Notices are not counted: they have to be told.
    """

    changed = 0
    for name, limit in limits.items():
        letters = (C.destination == name, C.state == State.DEAD, C.kind == EVENT, C.payload.is_not(None))
        newest = select(C.id).where(*letters).order_by(C.id.desc())
        with reading(engine) as connection:
            last_kept = connection.execute(newest.offset(limit - 1).limit(1)).scalar()
        if last_kept is not None:
            changed += _some_at_a_time(engine, (*letters, C.id < last_kept), partial(_change, CLOSED))
    return changed


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
    engine: Engine,
    conditions: tuple[Any, ...],
    change: Callable[[Connection, list[int]], None],
    first: Callable[[Connection], None] = lambda _: None,
) -> int:
    query = select(C.id).where(*conditions).limit(ROWS_AT_A_TIME)
    changed = 0
    while True:
        with reading(engine) as connection:
            found = list(connection.execute(query).scalars())
        if not found:
            return changed
        with transaction(engine) as connection:
            first(connection)
            ids = lock_ids(connection, (C.id.in_(found), *conditions))
            change(connection, ids)
        changed += len(ids)
        if not ids:  # all of them in somebody else's hands
            return changed
