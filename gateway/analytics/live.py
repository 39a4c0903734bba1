"""The last half hour: what is going on at a site now, minute by minute. Both stores answer the same statements."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from gateway.analytics.lasting import Informed, informed_events
from gateway.analytics.store import Store, naive_utc

MINUTES = 30
MOST_ROWS = 10
BROKEN_DOWN = {"page": "path", "source": "source", "country": "country"}  # dimension to column

_WITHIN = "WHERE e.site = $site AND e.happened_at >= $since"
_VIEWS = "sum(CASE WHEN e.kind = 'page_view' THEN 1 ELSE 0 END)"
BY_MINUTE = f"SELECT date_trunc('minute', e.happened_at) AS begun, {_VIEWS} FROM events e {_WITHIN} GROUP BY begun"


class LiveRow(msgspec.Struct, frozen=True):
    """One value of a dimension, with at least as many visitors as a row needs."""

    name: str
    visitors: int
    views: int


class Live(msgspec.Struct, frozen=True):
    """A site's last half hour. `since` is the first of its minutes (epoch seconds), `minutes` the page views of each, the last
    one still running. `folded`: dimensions of which rows were left out for too few visitors."""

    since: float
    minutes: list[int]
    visitors: int = 0
    views: int = 0
    events: int = 0
    rows: Mapping[str, list[LiveRow]] = {}
    folded: frozenset[str] = frozenset()


def look(store: Store, site: str, now: float, least: int) -> Live:
    """What the store has of a site's last half hour; rows with fewer than `least` visitors are left out. Raises StoreError."""
    since = now // 60 * 60 - (MINUTES - 1) * 60
    values: dict[str, object] = {"site": site, "since": naive_utc(since)}
    events = informed_events(store.dialect, "$since")
    [(visitors, views, rows)] = store.fetch(_totals(events), values)
    minutes = [0] * MINUTES
    for at, count in store.fetch(BY_MINUTE, values):
        index = _minute(at, since)
        if 0 <= index < MINUTES:
            minutes[index] = _int(count)
    broken = {
        dimension: fold(_rows(store.fetch(_by(column, events), values)), least)
        for dimension, column in BROKEN_DOWN.items()
    }
    return Live(
        since,
        minutes,
        _int(visitors),
        _int(views),
        _int(rows) - _int(views),
        {dimension: shown[:MOST_ROWS] for dimension, (shown, _) in broken.items()},
        frozenset(dimension for dimension, (_, left_out) in broken.items() if left_out),
    )


def fold(rows: Sequence[LiveRow], least: int) -> tuple[list[LiveRow], bool]:
    """The rows of enough visitors, and whether others were left out. Where those are too few together, the smallest row goes
    with them: else they would follow from the total by subtraction."""
    shown = [row for row in rows if row.visitors >= least]
    few = sum(row.visitors for row in rows) - sum(row.visitors for row in shown)
    if shown and 0 < few < least:
        shown = shown[:-1]
    return shown, len(shown) < len(rows)


def _totals(events: Informed) -> str:
    visitors = f"count(DISTINCT {events.column('visitor')})"
    return f"SELECT {visitors}, coalesce({_VIEWS}, 0), count(*) FROM {events.source} {_WITHIN}"


def _by(column: str, events: Informed) -> str:
    return (
        f"SELECT {events.column(column)} AS k, count(DISTINCT {events.column('visitor')}) AS people, {_VIEWS} AS shown "
        f"FROM {events.source} {_WITHIN} AND e.kind = 'page_view' GROUP BY k ORDER BY people DESC, shown DESC, k LIMIT 1000"
    )


def _rows(found: Sequence[tuple[object, ...]]) -> list[LiveRow]:
    return [LiveRow(str(name), _int(visitors), _int(views)) for name, visitors, views in found]


def _minute(at: object, since: float) -> int:
    return round((at - naive_utc(since)).total_seconds() / 60) if isinstance(at, datetime) else -1


def _int(value: object) -> int:
    return int(str(value))
