"""What may still come into the outbox: a destination that is down for long must not fill the disk."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from sqlalchemy import Connection, func, select

from gateway.database import OUTBOX
from gateway.destinations.figures import add_totals, note_error
from gateway.destinations.outbox import OPEN, Delivery, Reason, add_deliveries


def admit_deliveries(
    connection: Connection, deliveries: Sequence[Delivery], limits: Mapping[str, int], now: float
) -> None:
    """Queue what each destination's limit leaves room for; the newest beyond it are counted as dead, and never kept.

    Belongs into the transaction that moves the journal's offset, so that each is counted once.
    """
    for name, group in groupby(sorted(deliveries, key=lambda delivery: delivery.destination), lambda d: d.destination):
        theirs = list(group)
        room = max(0, limits[name] - _count_open(connection, name, limits[name]))
        add_deliveries(connection, theirs[:room], now)
        if len(theirs) > room:
            add_totals(connection, name, {"dead": len(theirs) - room})
            note_error(connection, name, Reason.QUEUE_FULL, now)


def _count_open(connection: Connection, name: str, limit: int) -> int:
    waiting = select(OUTBOX.c.id).where(OUTBOX.c.destination == name, OUTBOX.c.state.in_(OPEN)).limit(limit)
    return connection.execute(select(func.count()).select_from(waiting.subquery())).scalar_one()
