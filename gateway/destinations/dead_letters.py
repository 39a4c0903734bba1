"""Dead letters sent again, and the answer to why a delivery was sent or not."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, Engine, func, select, update

from gateway.database import OUTBOX, reading
from gateway.destinations.outbox import State

C = OUTBOX.c


class DeadLetters(msgspec.Struct, frozen=True):
    """How many of a destination's deliveries are dead for one reason; `again`: could still be sent."""

    destination: str
    reason: str
    count: int
    again: int


class Trace(msgspec.Struct, frozen=True):
    """What is known of one event's delivery to one destination; the consent while the row still has it."""

    destination: str
    kind: str
    state: str
    reason: str
    attempts: int
    recorded_at: float
    started_at: float | None
    settled_at: float | None
    consent_id: str | None
    revision: int


def count_dead(engine: Engine) -> list[DeadLetters]:
    """All dead letters by destination and reason; never what they said or of whom."""
    query = (
        select(C.destination, C.reason, func.count().label("count"), func.count(C.payload).label("again"))
        .where(C.state == State.DEAD)
        .group_by(C.destination, C.reason)
        .order_by(C.destination, C.reason)
    )
    with reading(engine) as connection:
        return [DeadLetters(*row) for row in connection.execute(query)]


def redrive(connection: Connection, destination: str, now: float, reason: str = "") -> int:
    """Queue a destination's dead letters again, of one reason or of all; returns how many.

    Their next start asks for consent as any other does. What is past its time stays dead.
    """
    theirs = [C.destination == destination, C.state == State.DEAD, C.payload.is_not(None), C.expires_at > now]
    if reason:
        theirs.append(C.reason == reason)
    fresh = {"state": State.QUEUED, "reason": "", "next_at": now, "attempts": 0, "settled_at": None}
    return connection.execute(update(OUTBOX).where(*theirs).values(**fresh)).rowcount


def trace(engine: Engine, event_id: str) -> Sequence[Trace]:
    """Each destination's delivery of one event."""
    columns = [C[name] for name in Trace.__struct_fields__]
    query = select(*columns).where(C.event_id == event_id).order_by(C.destination)
    with reading(engine) as connection:
        return [Trace(*row) for row in connection.execute(query)]
