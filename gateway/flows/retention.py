"""Retention: what is older than the configuration says goes, events before the visits that they made up."""

from calendar import monthrange
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Engine, func, select

from gateway.analytics.month_sketch import prune_months
from gateway.analytics.store import Store, naive_utc
from gateway.analytics.visitor import MONTH, local_day
from gateway.database import SIGHTINGS, reading, transaction
from gateway.flows.inventory import prune_sights
from gateway.mailings import count_old, prune_mailings
from gateway.settings import RetentionConfig

OLD_EVENTS = "SELECT count(*) FROM events WHERE happened_at < $before"
OLD_VISITS = "SELECT count(*) FROM visits WHERE started_at < $before"
OLD_COUNTS = "SELECT count(*) FROM counts WHERE hour < $before"


class Old(msgspec.Struct, frozen=True):
    """What is older than it may be: rows, and the moments (epoch seconds) before which they lie."""

    events_before: float
    visits_before: float
    events: int = 0
    visits: int = 0
    counters: int = 0
    inventory: int = 0
    mailings: int = 0


def months_before(now: float, months: int) -> float:
    """The same day and time so many months earlier; where that month is shorter, its last day."""
    at = datetime.fromtimestamp(now, UTC)
    year, month = divmod(at.year * 12 + at.month - 1 - months, 12)
    day = min(at.day, monthrange(year, month + 1)[1])
    return at.replace(year=year, month=month + 1, day=day).timestamp()


def find_old(store: Store, engine: Engine, retention: RetentionConfig, now: float) -> Old:
    """What `prune` would delete now. Raises StoreError."""
    events_before = months_before(now, retention.events_months)
    visits_before = months_before(now, retention.visits_months)
    with reading(engine) as connection:
        query = select(func.count()).select_from(SIGHTINGS).where(SIGHTINGS.c.last_at < events_before)
        seen, mailed = connection.execute(query).scalar_one(), count_old(connection, events_before)
    return Old(
        events_before,
        visits_before,
        events=_count(store, OLD_EVENTS, events_before),
        visits=_count(store, OLD_VISITS, visits_before),
        counters=_count(store, OLD_COUNTS, visits_before),
        inventory=seen,
        mailings=mailed,
    )


def prune(store: Store, engine: Engine, retention: RetentionConfig, now: float) -> Old:
    """Delete it, each store in one transaction; returns what went. Interrupted, the next time does the rest. Sketches of months
    go with the visits."""
    old = find_old(store, engine, retention, now)
    with transaction(engine) as connection:
        prune_months(connection, local_day(old.visits_before, "UTC")[:MONTH])
        prune_mailings(connection, old.events_before)
    prune_sights(engine, old.events_before)
    store.prune(old.events_before, old.visits_before)
    return old


def _count(store: Store, sql: str, before: float) -> int:
    return int(str(store.fetch(sql, {"before": naive_utc(before)})[0][0]))
