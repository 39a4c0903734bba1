"""Days that are over are summed up, each once, and again where an entry came for them later."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from gateway.analytics.day_sums import SUMMED_DIMENSIONS, DaySums, SummedDay
from gateway.analytics.dialect import Dialect
from gateway.analytics.period import MAX_DAYS, midnight
from gateway.analytics.query import Query
from gateway.analytics.sql import build_sums
from gateway.analytics.store import Store
from gateway.analytics.visit import CLOCKS_APART_SECONDS

SETTLED = timedelta(hours=1)  # after its end most of what belongs to a day has come
AT_ONCE = 7
FIRST = "SELECT min(started_at) FROM visits WHERE site = $site"


def sum_days(store: Store, site: str, timezone: str, now: float, seconds: float) -> bool:
    """Sum up days that have no sums yet, the newest first, for about so many seconds; whether none is left to be summed up.

    Raises StoreError; what was summed up by then is kept.
    """
    until = time.monotonic() + seconds
    summed = store.summed_days(site, timezone)
    if summed is None:
        return True
    for days in find_unsummed(summed, _first_day(store, site, timezone), timezone, now):
        if time.monotonic() >= until:
            return False
        store.keep_sums(build_day_sums(site, timezone, days, store.dialect))
    return True


def _first_day(store: Store, site: str, timezone: str) -> date:
    """The day before which the store has nothing of a site."""
    (found,) = store.fetch(FIRST, {"site": site})[0]
    if not isinstance(found, datetime):
        return date.max
    return (found.replace(tzinfo=UTC) - timedelta(seconds=CLOCKS_APART_SECONDS)).astimezone(ZoneInfo(timezone)).date()


def find_unsummed(summed: frozenset[date], first: date, timezone: str, now: float) -> Iterator[list[date]]:
    """Runs of days that are over and have no sums, in order, the last run first: of at most AT_ONCE days from the first day on
    that the store has anything of, and all that lie before it."""
    over = (datetime.fromtimestamp(now, UTC) - SETTLED).astimezone(ZoneInfo(timezone)).date()
    run: list[date] = []
    for day in (over - timedelta(days=number) for number in range(1, MAX_DAYS + 1)):
        if run and (day in summed or run[-1] == first or (len(run) == AT_ONCE and run[-1] > first)):
            yield run[::-1]
            run = []
        if day not in summed:
            run.append(day)
    if run:
        yield run[::-1]


def build_day_sums(site: str, timezone: str, days: Sequence[date], dialect: Dialect) -> DaySums:
    """The questions that sum up days that follow one another."""
    query = Query(site, days[0], days[-1], timezone)
    edges = [midnight(day, timezone) for day in (*days, days[-1] + timedelta(days=1))]
    bounds = [SummedDay(day, *edge) for day, edge in zip(days, pairwise(edges), strict=True)]
    return DaySums(site, timezone, bounds, {one: (*build_sums(query, one, dialect),) for one in SUMMED_DIMENSIONS})
