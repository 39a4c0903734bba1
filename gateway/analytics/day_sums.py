"""Sums of whole days: what a store may keep of days that are over, so that most questions read a few rows for each day.

Every figure that is a sum over days (daily visitors are) or a quotient of such sums can be had of them, for the days of one
time zone, by one dimension, without a filter. A store that keeps none answers the same, from visits and events.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from gateway.analytics.dimensions import DIMENSIONS
from gateway.analytics.period import Days
from gateway.analytics.query import Query

WHOLE = ""  # the dimension of sums that are broken down by nothing
SUMMED_DIMENSIONS = (WHOLE, *(one.name for one in DIMENSIONS if one.scope in ("event", "visit")))
OF_DAYS = ("day", "week", "month")


class SummedDay(NamedTuple):
    """A local day and when it begins and ends, in epoch seconds."""

    day: date
    starts_at: float
    ends_at: float


class DaySums(NamedTuple):
    """What is kept of some days of a site: for each dimension the SQL of its rows (build_sums) and the values of its names."""

    site: str
    timezone: str
    days: Sequence[SummedDay]
    questions: Mapping[str, tuple[str, dict[str, object]]]


def summed_dimension(query: Query) -> str:
    """The one dimension beside time of a question that sums can answer."""
    return next((key.name for key in query.keys if key.scope != "time"), WHOLE)


def can_sum(query: Query, summed: frozenset[date]) -> bool:
    """Whether a question can be answered from sums at all, and for some of its days there are any."""
    others = [name for name in query.dimensions if name not in OF_DAYS]
    if query.times or query.filters is not None or len(others) > 1 or not set(others) <= set(SUMMED_DIMENSIONS):
        return False
    return any(day in summed for day in _days(query.first, query.last))


def find_live_days(query: Query, summed: frozenset[date]) -> Days | None:
    """From the first to the last day of the period that there are no sums of, if there are such days."""
    missing = [day for day in _days(query.first, query.last) if day not in summed]
    return Days(missing[0], missing[-1]) if missing else None


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))
