"""How the outbox stands: figures for each destination that add up, also after rows have been pruned."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, func, select, union_all

from gateway.database import NOTICES, OUTBOX, OUTBOX_TOTALS, insert_into, reading
from gateway.destinations.outbox import EVENT, call_back, is_paused
from gateway.settings import DestinationConfig

SETTLED = ("delivered", "dead", "cancelled", "expired")  # states of a row, and columns of the totals
C = OUTBOX.c
# Events alone: what was told of withdrawals stands in the ledger. Settled rows may be millions, of which only an index is read:
# all of `outbox_due` is counted, and the few in `outbox_notices` are taken off.
ROWS = select(C.destination, C.state, func.count()).group_by(C.destination, C.state)
TAKEN_OFF = select(C.destination, C.state, -func.count()).where(NOTICES).group_by(C.destination, C.state)
COUNTS = union_all(ROWS, TAKEN_OFF)
WAITING = C.state.in_(("queued", "leased")) & C.id.not_in(select(C.id).where(NOTICES))
OLDEST = select(C.destination, func.min(C.recorded_at).label("oldest_at")).where(WAITING).group_by(C.destination)


class QueueFigures(msgspec.Struct, frozen=True):
    """One destination's deliveries: `received` is the sum of the six numbers that follow `kind`.

    `queued` counts leased rows too; `started` are on the wire. `oldest_at` is when the oldest waiting event
    was recorded. `last_error` is one word (`http_503`, `timeout`, ...).
    """

    destination: str
    kind: str
    queued: int = 0
    started: int = 0
    delivered: int = 0
    dead: int = 0
    cancelled: int = 0
    expired: int = 0
    oldest_at: float | None = None
    last_error: str = ""
    last_error_at: float | None = None

    @property
    def received(self) -> int:
        """All deliveries ever queued for this destination."""
        return self.queued + self.started + self.delivered + self.dead + self.cancelled + self.expired


def queue_figures(engine: Engine, destinations: Sequence[DestinationConfig]) -> list[QueueFigures]:
    """The figures of these destinations, in their order, all of one moment."""
    names = [config.name for config in destinations]
    with reading(engine) as connection:
        totals = {row.destination: row for row in connection.execute(select(OUTBOX_TOTALS))}
        live: Counter[tuple[str, str]] = Counter()
        for name, state, count in connection.execute(COUNTS):
            live[name, state] += count
        found = connection.execute(OLDEST.where(C.destination.in_(names)))
        oldest = {row.destination: row.oldest_at for row in found}
    return [_figures(config, live, totals.get(config.name), oldest.get(config.name)) for config in destinations]


def _figures(
    config: DestinationConfig, live: Counter[tuple[str, str]], totals: Any, oldest: float | None
) -> QueueFigures:
    def count(state: str) -> int:
        return live[config.name, state]

    return QueueFigures(
        destination=config.name,
        kind=config.kind,
        queued=count("queued") + count("leased"),
        started=count("started"),
        **{state: count(state) + (getattr(totals, state) if totals else 0) for state in SETTLED},
        oldest_at=oldest,
        last_error=totals.last_error if totals else "",
        last_error_at=totals.last_error_at if totals else None,
    )


class Untold(msgspec.Struct, frozen=True):
    """Notices of withdrawals and erasures that a destination has still to be told: how many, and since when."""

    destination: str
    count: int
    oldest_at: float


def find_untold(engine: Engine) -> list[Untold]:
    """What is still to be passed on, by destination; the events' figures leave it out."""
    query = (
        select(C.destination, func.count().label("count"), func.min(C.recorded_at).label("oldest_at"))
        .where(NOTICES, C.state.in_(("queued", "leased", "started")))
        .group_by(C.destination)
        .order_by(C.destination)
    )
    with reading(engine) as connection:
        return [Untold(*row) for row in connection.execute(query)]


def count_delivered(engine: Engine, since: float) -> dict[str, int]:
    """How many events each destination has accepted since then."""
    query = (
        select(OUTBOX.c.destination, func.count().label("accepted"))
        .where(OUTBOX.c.kind == EVENT, OUTBOX.c.state == "delivered", OUTBOX.c.settled_at >= since)
        .group_by(OUTBOX.c.destination)
    )
    with reading(engine) as connection:
        return {row.destination: row.accepted for row in connection.execute(query)}


class Standing(msgspec.Struct, frozen=True):
    """What an operator has said of a destination, and when."""

    paused_at: float | None = None
    resumed_at: float | None = None

    @property
    def paused(self) -> bool:
        """Whether it is paused now."""
        return is_paused(self.paused_at, self.resumed_at)


def get_standing(connection: Connection, destination: str) -> Standing:
    """What was said last."""
    query = select(OUTBOX_TOTALS.c.paused_at, OUTBOX_TOTALS.c.resumed_at).where(
        OUTBOX_TOTALS.c.destination == destination
    )
    row = connection.execute(query).first()
    return Standing(row.paused_at, row.resumed_at) if row else Standing()


def find_paused(engine: Engine) -> set[str]:
    """The destinations that an operator has paused."""
    with reading(engine) as connection:
        rows = connection.execute(select(OUTBOX_TOTALS)).all()
    return {row.destination for row in rows if is_paused(row.paused_at, row.resumed_at)}


def set_paused(connection: Connection, destination: str, now: float, *, paused: bool) -> None:
    """Pause a destination, or resume it: also one that has stopped by itself. From the commit of a pause on nothing starts.

    What was said before is forgotten: were the clock set back in between, it would seem to be the later word.
    """
    change = {"paused_at": now if paused else None, "resumed_at": None if paused else now}
    _upsert(connection, {"destination": destination, **change}, change)
    if paused:
        call_back(connection, destination, now)


def add_totals(connection: Connection, destination: str, added: dict[str, int]) -> None:
    """Count settled rows, by state, that are about to be deleted."""
    changes = {state: OUTBOX_TOTALS.c[state] + count for state, count in added.items()}
    _upsert(connection, {"destination": destination, **added}, changes)


def note_error(connection: Connection, destination: str, reason: str, at: float) -> None:
    """Remember a destination's last failure, as one word."""
    change = {"last_error": reason, "last_error_at": at}
    _upsert(connection, {"destination": destination, **change}, change)


def _upsert(connection: Connection, values: dict[str, Any], changes: dict[str, Any]) -> None:
    statement = insert_into(connection, OUTBOX_TOTALS).values(**values)
    connection.execute(statement.on_conflict_do_update(index_elements=["destination"], set_=changes))
