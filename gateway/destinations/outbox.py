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
  outbox row never waits for another (leases skip what is locked).
- A delivery is made at least once. Where a worker dies with a row started, the row returns to the queue when
  the lease ends, and its next start asks for consent again.
- A settled row has neither consent id nor payload.

Every function works within the caller's transaction. Times are epoch seconds and come in as `now`.
"""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, case, func, insert, literal, null, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.database import CONSENTS, OUTBOX, OUTBOX_OFFSETS
from gateway.destinations.base import Dead, Delivered, Retry, Verdict
from gateway.destinations.figures import note_error

INSERT_ROWS = 500

Grants = dict[str, tuple[str, int]]
_grants = msgspec.json.Decoder(Grants)
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
    GRANTED_LATER = "granted_later"
    EXPIRED = "expired"
    ATTEMPTS_SPENT = "attempts_spent"
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


class Started(msgspec.Struct, frozen=True):
    """A row that may be sent now. `attempts` counts this one."""

    event_id: str
    payload: bytes
    attempts: int


class NotStarted(msgspec.Struct, frozen=True):
    """A row that must not be sent: not covered by the consent, or not ours any more (`lease_lost`)."""

    reason: str


LOST = NotStarted("lease_lost")
FREE: Mapping[str, Any] = {"lease_owner": None, "lease_until": None}
CLOSED: Mapping[str, Any] = {**FREE, "consent_id": None, "payload": None}


def add_deliveries(connection: Connection, deliveries: Sequence[Delivery], now: float) -> None:
    """Queue deliveries; those that are there already, in whatever state, are left alone."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    fresh = {"state": State.QUEUED, "reason": "", "next_at": now, "attempts": 0}
    rows = [msgspec.structs.asdict(delivery) | fresh for delivery in deliveries]
    statement = dialect.insert(OUTBOX).on_conflict_do_nothing(index_elements=["event_id", "destination"])
    for first in range(0, len(rows), INSERT_ROWS):
        connection.execute(statement, rows[first : first + INSERT_ROWS])


def lease(
    connection: Connection, destination: str, owner: str, limit: int, now: float, lease_seconds: float
) -> list[Leased]:
    """Take at most `limit` due rows, longest due first; rows whose lease has ended are due again."""
    lost = (C.destination == destination, C.state.in_((State.LEASED, State.STARTED)), C.lease_until <= now)
    _return_to_queue(connection, lock_ids(connection, lost, limit), now)
    due = (C.destination == destination, C.state == State.QUEUED, C.next_at <= now)
    query = select(C.id, C.site).where(*due).order_by(C.next_at, C.id).limit(limit)
    found = [Leased(row.id, row.site) for row in connection.execute(query.with_for_update(skip_locked=True))]
    if found:
        values = {"state": State.LEASED, "lease_owner": owner, "lease_until": now + lease_seconds}
        connection.execute(update(OUTBOX).where(C.id.in_([row.id for row in found])).values(**values))
    return found


def find_next_due(connection: Connection, destination: str) -> float | None:
    """When something is to be done next: a queued row is due, or a lease ends. None when nothing waits."""
    queued = select(func.min(C.next_at)).where(C.destination == destination, C.state == State.QUEUED)
    held = C.state.in_((State.LEASED, State.STARTED))
    leases = select(func.min(C.lease_until)).where(C.destination == destination, held)
    times = [connection.execute(query).scalar() for query in (queued, leases)]
    return min((at for at in times if at is not None), default=None)


def start(
    connection: Connection,
    row_id: int,
    owner: str,
    purposes: Collection[str],
    scopes: Mapping[str, str],
    max_attempts: int,
    now: float,
) -> Started | NotStarted:
    """Ask for consent and mark the row started, or settle it with the reason why not.

    `scopes` are the present scope hashes of the row's site by purpose. Once the transaction is committed, the
    request may be written; before that, it must not.
    """
    row = connection.execute(select(OUTBOX).where(C.id == row_id)).one_or_none()
    if row is None or row.state != State.LEASED or row.lease_owner != owner or row.lease_until <= now:
        return LOST
    outcome: Started | NotStarted
    refusal = _find_refusal(connection, row, purposes, scopes, max_attempts, now)
    if refusal is None:
        outcome = Started(row.event_id, row.payload, row.attempts + 1)
        values = {"state": State.STARTED, "reason": "", "started_at": now, "attempts": row.attempts + 1}
    else:
        outcome = NotStarted(refusal[1])
        values = {**CLOSED, "state": refusal[0], "reason": refusal[1], "settled_at": now}
    # The row was read without a lock; whoever has changed it since wins here.
    still_ours = (C.id == row_id, C.state == State.LEASED, C.lease_owner == owner)
    marked = connection.execute(update(OUTBOX).where(*still_ours).values(**values))
    return outcome if marked.rowcount == 1 else LOST


def _find_refusal(
    connection: Connection,
    row: Row[Any],
    purposes: Collection[str],
    scopes: Mapping[str, str],
    max_attempts: int,
    now: float,
) -> tuple[State, str] | None:
    if row.expires_at <= now:
        return State.EXPIRED, Reason.EXPIRED
    if row.attempts >= max_attempts:
        return State.DEAD, Reason.ATTEMPTS_SPENT
    query = select(CONSENTS.c.grants).where(CONSENTS.c.consent_id == row.consent_id, CONSENTS.c.site == row.site)
    grants = connection.execute(query.with_for_update(read=True)).scalar()
    reason = find_gap(grants, purposes, scopes, row.revision)
    return (State.CANCELLED, reason) if reason is not None else None


def find_gap(grants: str | None, purposes: Collection[str], scopes: Mapping[str, str], revision: int) -> Reason | None:
    """Why a consent's grants do not cover an event recorded under `revision`; None when they cover every
    purpose.

    `grants` is the JSON of the consents table. Whatever is missing, malformed or unknown is not covered.
    """
    try:
        granted = _grants.decode(grants) if grants is not None else {}
    except msgspec.DecodeError:
        return Reason.NO_CONSENT
    if grants is None or not purposes:
        return Reason.NO_CONSENT
    if any(purpose not in granted for purpose in purposes):
        return Reason.WITHDRAWN
    if any(granted[purpose][0] != scopes.get(purpose) for purpose in purposes):
        return Reason.SCOPE_CHANGED
    later = any(granted[purpose][1] > revision for purpose in purposes)
    return Reason.GRANTED_LATER if later else None


def settle(
    connection: Connection, row_id: int, owner: str, verdict: Verdict, retry_in: float | None, now: float
) -> bool:
    """Write down how an attempt ended. `retry_in`: seconds until the next attempt, None when there is none.

    False when the row is not ours any more; whoever holds it now will settle it.
    """
    row = connection.execute(select(OUTBOX).where(C.id == row_id).with_for_update()).one_or_none()
    if row is None or row.state != State.STARTED or row.lease_owner != owner:
        return False
    values = _settled(row, verdict, retry_in, now)
    connection.execute(update(OUTBOX).where(C.id == row_id).values(**values))
    if not isinstance(verdict, Delivered):
        note_error(connection, row.destination, verdict.reason, now)
    return True


def _settled(row: Row[Any], verdict: Verdict, retry_in: float | None, now: float) -> dict[str, Any]:
    withdrawn = row.reason == Reason.WITHDRAWN
    if isinstance(verdict, Delivered):
        end = State.DELIVERED, Reason.ON_THE_WIRE if withdrawn else ""
    elif isinstance(verdict, Retry) and withdrawn:
        end = State.CANCELLED, Reason.WITHDRAWN
    elif isinstance(verdict, Dead) or retry_in is None:
        end = State.DEAD, verdict.reason
    elif now + retry_in >= row.expires_at:
        end = State.EXPIRED, verdict.reason
    else:
        return {**FREE, "state": State.QUEUED, "reason": verdict.reason, "next_at": now + retry_in}
    return {**CLOSED, "state": end[0], "reason": end[1], "settled_at": now}


def withdraw(connection: Connection, consent_id: str, destinations: Collection[str], now: float) -> int:
    """Cancel every delivery of this consent to these destinations that has not started; returns how many.

    Belongs into the transaction that changes the consent's row. A delivery that is on the wire is finished,
    but never tried again.
    """
    if not destinations:
        return 0
    # The consent first, whatever the caller has locked: see the lock order above.
    connection.execute(select(CONSENTS.c.consent_id).where(CONSENTS.c.consent_id == consent_id).with_for_update())
    theirs = (C.consent_id == consent_id, C.destination.in_(list(destinations)))
    on_the_wire = C.state == State.STARTED
    # One statement for both, so that a row that moves meanwhile is seen where it went.
    values = {name: case((on_the_wire, C[name]), else_=null()) for name in CLOSED}
    values["state"] = case((on_the_wire, C.state), else_=literal(State.CANCELLED.value))
    values["settled_at"] = case((on_the_wire, C.settled_at), else_=literal(now))
    open_states = (State.QUEUED, State.LEASED, State.STARTED)
    statement = update(OUTBOX).where(*theirs, C.state.in_(open_states)).values(values)
    touched = connection.execute(statement.values(reason=Reason.WITHDRAWN)).rowcount
    started = select(func.count()).select_from(OUTBOX).where(*theirs, on_the_wire)
    return touched - connection.execute(started).scalar_one()


def release(connection: Connection, owner: str, now: float) -> int:
    """Return all that this owner holds to the queue, started rows included; returns how many rows.

    For an owner that ends, or begins again after a crash: nobody else may be using its name.
    """
    held = (C.lease_owner == owner, C.state.in_((State.LEASED, State.STARTED)))
    ids = lock_ids(connection, held)
    _return_to_queue(connection, ids, now)
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


def _return_to_queue(connection: Connection, ids: Collection[int], now: float) -> None:
    if ids:
        values = {**FREE, "state": State.QUEUED, "next_at": now}
        connection.execute(update(OUTBOX).where(C.id.in_(ids)).values(values))
