"""Hours that are unlike the same hour of earlier weeks: many times as many page views, or as few.

Usual is the median of the same local hour of the four weeks before, of those that are in the store; with fewer than two of
them nothing is unusual. Unusual hours that are no more than a few hours apart are one event, known by its first hour: it
follows from the store alone, so that whoever looks again later finds the same event.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from statistics import median
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from gateway.analytics.store import Store, naive_utc
from gateway.settings import NoticeRule

HOUR = 3600
WEEKS, LEAST_WEEKS = 4, 2
APART = 6  # hours: those closer together are one event
BACK = 48  # hours that an event is followed back
SETTLED = 300  # seconds after which an hour is taken to be complete

BY_HOUR = (
    "SELECT date_trunc('hour', happened_at) AS begun, count(*) FROM events "
    "WHERE site = $site AND kind = 'page_view' AND happened_at >= $since GROUP BY begun"
)
FIRST = "SELECT min(happened_at) FROM events WHERE site = $site"


class Unusual(msgspec.Struct, frozen=True):
    """An hour that is unlike others: when it began, page views in it and usually, and the first hour of its event (epoch
    seconds)."""

    kind: str
    begun: int
    views: int
    usual: float
    event: int


class _Known(NamedTuple):
    """What the store has of a site: the hour of its first event, and page views by hour."""

    since: int
    views: Mapping[int, int]


def find_unusual(store: Store, site: str, timezone: str, rule: NoticeRule, now: float) -> Unusual | None:
    """What a rule finds now: a spike in the hour that is running, a drop in the last complete one. Raises StoreError."""
    begun = int(now) // HOUR * HOUR
    if rule.kind == "drop":
        begun = int(now - SETTLED) // HOUR * HOUR - HOUR
    weeks = timedelta(weeks=WEEKS, hours=BACK + 2).total_seconds()
    known = _read_hours(store, site, begun - weeks)
    usual = _judge(known, begun, timezone, rule)
    if usual is None:
        return None
    first = quiet = begun
    while first - quiet < APART * HOUR and begun - quiet < BACK * HOUR:
        quiet -= HOUR
        if _judge(known, quiet, timezone, rule) is not None:
            first = quiet
    return Unusual(rule.kind, begun, known.views.get(begun, 0), usual, first)


def _find_usual(known: _Known, begun: int, timezone: str) -> float | None:
    """The median of the same local hour of earlier weeks; None where too few of them are known."""
    local = datetime.fromtimestamp(begun, ZoneInfo(timezone))
    earlier = [int((local - timedelta(weeks=week)).timestamp()) for week in range(1, WEEKS + 1)]
    counts = [known.views.get(hour, 0) for hour in earlier if hour >= known.since]
    return float(median(counts)) if len(counts) >= LEAST_WEEKS else None


def _judge(known: _Known, begun: int, timezone: str, rule: NoticeRule) -> float | None:
    """What is usual, where this hour is not."""
    usual, views = _find_usual(known, begun, timezone), known.views.get(begun, 0)
    if usual is None:
        return None
    if rule.kind == "spike":
        return usual if views >= rule.floor and views >= usual * rule.times else None
    return usual if usual >= rule.floor and views * rule.times <= usual else None


def _read_hours(store: Store, site: str, since: float) -> _Known:
    [(first,)] = store.fetch(FIRST, {"site": site})
    rows = store.fetch(BY_HOUR, {"site": site, "since": naive_utc(since)})
    return _Known(_hour(first), {_hour(begun): int(str(count)) for begun, count in rows})


def _hour(at: object) -> int:
    """The hour that a store's time lies in; that of no time has not come yet."""
    return int((at - naive_utc(0)).total_seconds()) // HOUR * HOUR if isinstance(at, datetime) else 1 << 62
