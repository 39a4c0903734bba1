"""Dead letters sent again, and the answer to why a delivery was sent or not."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, func, select, update

from gateway.database import CONSENTS, OUTBOX, reading
from gateway.destinations.attempts import Consent, Rules, judge_consent
from gateway.destinations.outbox import EVENT, State

C, K = OUTBOX.c, CONSENTS.c
ROWS_AT_A_TIME = 1000


class Which(msgspec.Struct, frozen=True):
    """Which of a destination's dead letters: of one reason or of all, given up from `since` on and before `until`."""

    reason: str = ""
    since: float | None = None
    until: float | None = None

    def conditions(self, destination: str) -> list[Any]:
        """What their rows have to meet."""
        theirs = [C.destination == destination, C.state == State.DEAD]
        if self.reason:
            theirs.append(C.reason == self.reason)
        if self.since is not None:
            theirs.append(C.settled_at >= self.since)
        if self.until is not None:
            theirs.append(C.settled_at < self.until)
        return theirs


ALL = Which()


class Foreseen(msgspec.Struct):
    """What sending again would do with a destination's dead letters of one reason: `queued` would be, `old` stay dead, since
    they are past their time or no longer kept; `refused` of those queued would not start, by the reason why not."""

    reason: str
    queued: int = 0
    old: int = 0
    refused: Counter[str] = msgspec.field(default_factory=Counter)


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


def redrive(connection: Connection, destination: str, now: float, which: Which = ALL) -> int:
    """Queue a destination's dead letters again; returns how many.

    Their next start asks for consent as any other does. What is past its time stays dead.
    """
    theirs = [*which.conditions(destination), C.payload.is_not(None), C.expires_at > now]
    fresh = {"state": State.QUEUED, "reason": "", "next_at": now, "attempts": 0, "settled_at": None}
    # Who holds one outbox row never waits for another: what is just being withdrawn, or stripped, is left to that.
    free = select(C.id).where(*theirs).with_for_update(skip_locked=True)
    return connection.execute(update(OUTBOX).where(C.id.in_(free)).values(**fresh)).rowcount


def foresee(engine: Engine, destination: str, rules: Rules, now: float, which: Which = ALL) -> list[Foreseen]:
    """What `redrive` would do now, and what would come of it at the start, by reason; nothing is changed."""
    kept = (C.payload.is_not(None) & (C.expires_at > now)).label("kept")
    query = (
        select(C.reason, C.kind, C.site, C.revision, kept, K.grants, K.changed_at)
        .select_from(OUTBOX.outerjoin(CONSENTS, (K.consent_id == C.consent_id) & (K.site == C.site)))
        .where(*which.conditions(destination))
        .order_by(C.reason)
    )
    found: dict[str, Foreseen] = {}
    with reading(engine) as connection:
        for row in connection.execution_options(yield_per=ROWS_AT_A_TIME).execute(query):
            one = found.setdefault(row.reason, Foreseen(row.reason))
            if not row.kept:
                one.old += 1
                continue
            one.queued += 1
            consent = None if row.grants is None else Consent(row.grants, row.changed_at)
            refusal = judge_consent(consent, rules, row.site, row.revision, now) if row.kind == EVENT else None
            if refusal is not None:
                one.refused[refusal] += 1
    return list(found.values())


def trace(engine: Engine, event_id: str) -> Sequence[Trace]:
    """Each destination's delivery of one event."""
    columns = [C[name] for name in Trace.__struct_fields__]
    query = select(*columns).where(C.event_id == event_id).order_by(C.destination)
    with reading(engine) as connection:
        return [Trace(*row) for row in connection.execute(query)]
