"""The durable outbox: one row for each event and destination, from queued to settled, with consent asked at
the start.

    queued -> leased -> started -> delivered | dead | cancelled | expired
       ^        |          |
       └────────┴──────────┘   lease lost or given back, or tried again later

- `start` is the last moment at which consent counts: one transaction that checks the consent and marks the
  row started. Only then may a byte be written. `withdraw` belongs into the transaction that takes a consent
  back: it cancels every row not started, so that from its commit on none starts. SQLite lets one writer in at
  a time; on PostgreSQL the start holds the consent's row FOR SHARE, which a withdrawal waits for, and the
  other way round.
- Lock order on PostgreSQL, so that nothing deadlocks: the consent first, then outbox rows; who holds one
  outbox row never waits for another (leases, upkeep and dead letters sent again skip what is locked), nor,
  but under its consent, for the ledger's end.
- A delivery is made at least once. Where a worker dies with a row started, the row returns to the queue when
  the lease ends, and its next start asks for consent again.
- A settled row has neither consent id nor payload. A dead letter keeps both until it expires, so that it can be
  sent again, which asks for consent anew; a withdrawal cancels it like what is queued.

Every function works within the caller's transaction. Times are epoch seconds and come in as `now`.
"""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, case, func, insert, literal, null, or_, select, update

from gateway.database import CONSENTS, OUTBOX, OUTBOX_OFFSETS, OUTBOX_TOTALS, insert_into
from gateway.destinations.base import Notice
from gateway.prepared import Among, Prepared

INSERT_ROWS = 500
CROWDED_SECONDS = 0.2  # until the earlier row of the same subject is looked at again
NOTICE_SECONDS = 90 * 86_400.0
EVENT, WITHDRAWAL, ERASURE = "event", "withdrawal", "erasure"
C = OUTBOX.c


class State(StrEnum):
    """Where a delivery stands. The last four are settled: nothing happens to the row any more."""

    QUEUED = "queued"
    LEASED = "leased"
    STARTED = "started"
    DELIVERED = "delivered"
    DEAD = "dead"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Reason(StrEnum):
    """Why a delivery was not made; or the last failed attempt's own word (`http_503`, `timeout`)."""

    WITHDRAWN = "withdrawn"
    NO_CONSENT = "no_consent"
    SCOPE_CHANGED = "scope_changed"
    CONSENT_EXPIRED = "consent_expired"
    GRANTED_LATER = "granted_later"
    EXPIRED = "expired"
    ATTEMPTS_SPENT = "attempts_spent"
    ERASED = "erased"
    BEHIND = "behind_another"
    QUEUE_FULL = "queue_full"
    ON_THE_WIRE = "withdrawn_on_the_wire"


class Delivery(msgspec.Struct, frozen=True):
    """A delivery to be queued: the encoded event, and the consent under which it was recorded."""

    event_id: str
    destination: str
    site: str
    consent_id: str
    revision: int
    payload: bytes
    recorded_at: float
    expires_at: float


class Leased(msgspec.Struct, frozen=True):
    """A row that is ours to start until the lease ends."""

    id: int
    site: str
    consent_id: str


class Started(msgspec.Struct, frozen=True):
    """A row that may be sent now. `attempts` counts this one; `kind` is EVENT, or that of a notice."""

    id: int
    kind: str
    consent_id: str
    event_id: str
    payload: bytes
    attempts: int


class NotStarted(msgspec.Struct, frozen=True):
    """A row that must not be sent: not covered by the consent, or not ours any more (`lease_lost`)."""

    reason: str


_notices = msgspec.json.Decoder(Notice)
OPEN = (State.QUEUED, State.LEASED, State.STARTED)
LOST = NotStarted("lease_lost")
FREE: Mapping[str, Any] = {"lease_owner": None, "lease_until": None}
CLOSED: Mapping[str, Any] = {**FREE, "consent_id": None, "payload": None}
E = OUTBOX.alias("earlier").c
FIND_DUE = Prepared(
    select(C.id, C.site, C.consent_id)
    .where(C.destination == bindparam("destination"), C.state == State.QUEUED, C.next_at <= bindparam("now"))
    .order_by(C.next_at, C.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
FIND_BLOCKED = Prepared(
    select(C.id, func.max(case((E.state == State.QUEUED, E.next_at), else_=literal(0.0))))
    .where(Among(C.id, "ids"), E.destination == C.destination, E.consent_id == C.consent_id, E.id < C.id)
    .where(or_(*(E.state == state for state in OPEN)), ~Among(E.id, "ids"))
    .group_by(C.id)
)
HELD = or_(C.state == State.LEASED, C.state == State.STARTED)
NEXT_QUEUED = Prepared(
    select(func.min(C.next_at)).where(C.destination == bindparam("destination"), C.state == State.QUEUED)
)
NEXT_LOST = Prepared(select(func.min(C.lease_until)).where(C.destination == bindparam("destination"), HELD))
FIND_STANDING = Prepared(
    select(OUTBOX_TOTALS.c.paused_at, OUTBOX_TOTALS.c.resumed_at)
    .where(OUTBOX_TOTALS.c.destination == bindparam("destination"))
    .with_for_update(read=True)  # a pause that comes meanwhile waits for us, and finds what we have taken
)
TAKE = Prepared(
    update(OUTBOX)
    .where(Among(C.id, "ids"))
    .values(state=State.LEASED, lease_owner=bindparam("owner"), lease_until=bindparam("until"))
)


def add_deliveries(connection: Connection, deliveries: Sequence[Delivery], now: float) -> None:
    """Queue deliveries; those that are there already, in whatever state, are left alone."""
    fresh = {"state": State.QUEUED, "reason": "", "next_at": now, "attempts": 0, "kind": EVENT}
    rows = [msgspec.structs.asdict(delivery) | fresh for delivery in deliveries]
    statement = insert_into(connection, OUTBOX).on_conflict_do_nothing(index_elements=["event_id", "destination"])
    for first in range(0, len(rows), INSERT_ROWS):
        connection.execute(statement, rows[first : first + INSERT_ROWS])


def lease(
    connection: Connection, destination: str, owner: str, limit: int, now: float, lease_seconds: float
) -> list[Leased]:
    """Take at most `limit` due rows, longest due first; rows whose lease has ended are due again.

    Never one whose subject has an earlier row under way or waiting for its next attempt: what happened first is
    told first. None while the destination is paused.
    """
    if any(is_paused(*row) for row in _lock_standing(connection, destination)):
        return []
    lost = (C.destination == destination, C.state.in_((State.LEASED, State.STARTED)), C.lease_until <= now)
    return_to_queue(connection, lock_ids(connection, lost, limit), now)
    rows = FIND_DUE.find(connection, {"destination": destination, "now": now, "limit": limit})
    found = {row[0]: Leased(*row) for row in rows}
    for row_id, next_at in _find_blocked(connection, list(found), now):
        connection.execute(update(OUTBOX).where(C.id == row_id).values(next_at=next_at))
        del found[row_id]
    if found:
        TAKE.change(connection, {"ids": list(found), "owner": owner, "until": now + lease_seconds})
    return sorted(found.values(), key=lambda leased: leased.id)


def _lock_standing(connection: Connection, destination: str) -> Sequence[Any]:
    found = FIND_STANDING.find(connection, {"destination": destination})
    if not found:  # the first of all: a row that is not there cannot be locked, and a pause would not wait for us
        fresh = insert_into(connection, OUTBOX_TOTALS).values(destination=destination)
        connection.execute(fresh.on_conflict_do_nothing(index_elements=["destination"]))
        found = FIND_STANDING.find(connection, {"destination": destination})
    return found


def _find_blocked(connection: Connection, ids: list[int], now: float) -> list[tuple[int, float]]:
    """Those that an earlier row of the same subject keeps back, with the time at which to look again."""
    if not ids:
        return []
    return [(row_id, max(at, now + CROWDED_SECONDS)) for row_id, at in FIND_BLOCKED.find(connection, {"ids": ids})]


def is_paused(paused_at: float | None, resumed_at: float | None) -> bool:
    """Whether what an operator said last of a destination is that it shall send nothing."""
    return paused_at is not None and (resumed_at is None or resumed_at < paused_at)


def call_back(connection: Connection, destination: str, now: float) -> int:
    """Return to the queue what is held and not started, whoever holds it: their starts find it gone; returns how many.

    What somebody is starting just now goes its way.
    """
    ids = lock_ids(connection, (C.destination == destination, C.state == State.LEASED))
    return_to_queue(connection, ids, now)
    return len(ids)


def find_next_due(connection: Connection, destination: str) -> float | None:
    """When something is to be done next: a queued row is due, or a lease ends. None when nothing waits."""
    found = [query.find(connection, {"destination": destination})[0][0] for query in (NEXT_QUEUED, NEXT_LOST)]
    return min((at for at in found if at is not None), default=None)


def withdraw(
    connection: Connection, consent_id: str, destinations: Collection[str] | None, now: float, kind: str = WITHDRAWAL
) -> int:
    """Cancel every delivery of this consent to these destinations that has not started, dead letters too; how many. None
    stands for all destinations, those too that are no longer configured.

    Belongs into the transaction that changes the consent's row. A delivery that is on the wire is finished,
    but never tried again. Notices stay: they tell of the withdrawal. An erasure's reason is its own.
    """
    if destinations is not None and not destinations:
        return 0
    # The consent first, whatever the caller has locked: see the lock order above.
    connection.execute(select(CONSENTS.c.consent_id).where(CONSENTS.c.consent_id == consent_id).with_for_update())
    theirs = [C.consent_id == consent_id, C.kind == EVENT]
    if destinations is not None:
        theirs.append(C.destination.in_(list(destinations)))
    on_the_wire = C.state == State.STARTED
    # One statement for both, so that a row that moves meanwhile is seen where it went.
    values = {name: case((on_the_wire, C[name]), else_=null()) for name in CLOSED}
    values["state"] = case((on_the_wire, C.state), else_=literal(State.CANCELLED.value))
    values["settled_at"] = case((on_the_wire, C.settled_at), else_=literal(now))
    statement = update(OUTBOX).where(*theirs, C.state.in_((*OPEN, State.DEAD))).values(values)
    reason = Reason.ERASED if kind == ERASURE else Reason.WITHDRAWN
    touched = connection.execute(statement.values(reason=reason)).rowcount
    started = select(func.count()).select_from(OUTBOX).where(*theirs, on_the_wire)
    return touched - connection.execute(started).scalar_one()


def pass_on(connection: Connection, notice: Notice, consent_id: str, destination: str, now: float) -> None:
    """Queue what a destination is to be told of a withdrawal or an erasure, behind all else of this consent.

    It asks for no consent and does not expire: telling is a duty.
    """
    fresh = {"state": State.QUEUED, "reason": "", "next_at": now, "attempts": 0, "revision": 0, "kind": notice.kind}
    row = {"event_id": notice.notice_id, "destination": destination, "site": notice.site, "consent_id": consent_id}
    times = {"recorded_at": now, "expires_at": now + NOTICE_SECONDS}
    connection.execute(insert(OUTBOX).values(**row, **fresh, **times, payload=msgspec.json.encode(notice)))


def find_told_off(connection: Connection) -> dict[str, set[str]]:
    """Addresses by consent, out of notices of withdrawals that nobody has accepted yet: all that is left of them here."""
    query = select(C.consent_id, C.payload).where(C.kind == WITHDRAWAL, C.payload.is_not(None))
    notices = ((consent_id, _notices.decode(payload)) for consent_id, payload in connection.execute(query))
    told: dict[str, set[str]] = {}
    for consent_id, notice in notices:
        if notice.email:
            told.setdefault(consent_id, set()).add(notice.email)
    return told


def release(connection: Connection, owner: str, now: float, destination: str = "", *, costs: bool = True) -> int:
    """Return all that this owner holds to the queue, started rows included; returns how many rows.

    For an owner that ends, or begins again after a crash: nobody else may be using its name. Of one destination,
    only what has not started: the rest is on the wire. What an owner breaks off itself `costs` no attempt; after a crash
    each does, since a row may have been the reason.
    """
    held: tuple[Any, ...] = (C.lease_owner == owner, C.state.in_((State.LEASED, State.STARTED)))
    if destination:
        held = (C.lease_owner == owner, C.state == State.LEASED, C.destination == destination)
    ids = lock_ids(connection, held)
    if not costs:
        begun = update(OUTBOX).where(C.id.in_(ids), C.state == State.STARTED)
        connection.execute(begun.values(attempts=C.attempts - 1))
    return_to_queue(connection, ids, now)
    return len(ids)


def get_offset(connection: Connection, segment: str) -> int:
    """The number of the last entry of this journal segment that the outbox has seen; 0 for none."""
    query = select(OUTBOX_OFFSETS.c.number).where(OUTBOX_OFFSETS.c.segment == segment)
    return connection.execute(query).scalar() or 0


def set_offset(connection: Connection, segment: str, number: int) -> None:
    """Remember how far a segment has been read; belongs into the transaction that adds its deliveries."""
    forget_offset(connection, segment)
    connection.execute(insert(OUTBOX_OFFSETS).values(segment=segment, number=number))


def forget_offset(connection: Connection, segment: str) -> None:
    """Drop the offset of a segment that is about to be removed."""
    connection.execute(OUTBOX_OFFSETS.delete().where(OUTBOX_OFFSETS.c.segment == segment))


def lock_ids(connection: Connection, conditions: tuple[Any, ...], limit: int | None = None) -> list[int]:
    """The rows that meet these conditions and that nobody else is changing just now, locked."""
    query = select(C.id).where(*conditions).limit(limit).with_for_update(skip_locked=True)
    return list(connection.execute(query).scalars())


def return_to_queue(connection: Connection, ids: Collection[int], now: float) -> None:
    """Nobody holds these rows any more, and they are due."""
    if ids:
        values = {**FREE, "state": State.QUEUED, "next_at": now}
        connection.execute(update(OUTBOX).where(C.id.in_(ids)).values(values))
