"""Periods: whole days of a calendar, given by name or by dates, and the periods that they are compared with."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

PERIODS = ("today", "yesterday", "7d", "28d", "30d", "91d", "month", "6mo", "12mo", "year", "all")
# Every word for what a period is compared with; of several that mean the same, the first is Plausible's.
MODES = {"previous_period": "previous_period", "year_over_year": "year", "year": "year"}
COMPARISONS = tuple(dict.fromkeys(MODES.values()))
MAX_DAYS = 1100
DAY = 24 * 60 * 60
YEARS = range(2000, 2100)


class Days(NamedTuple):
    """The first and the last day of a period, both included."""

    first: date
    last: date


def parse_days(fields: Mapping[str, str], today: date, faults: list[str]) -> Days:
    """The days that `from` and `to` say, or else `period` (without: 7d)."""
    if fields.get("from") or fields.get("to"):
        last = _parse_date(fields.get("to"), today, "to", faults)
        first = _parse_date(fields.get("from"), last or today, "from", faults)
        if first is None or last is None:
            return Days(today, today)
        if first > last:
            faults.append(f"from ({first}) is after to ({last})")
        elif (last - first).days >= MAX_DAYS:
            faults.append(f"a period has at most {MAX_DAYS} days")
        return Days(min(first, last), last)
    return _named_days(fields.get("period") or "7d", today, faults)


def compared_days(days: Days, comparison: str) -> Days:
    """As many days just before, or the same dates a year earlier (29 February becomes 28 February)."""
    if comparison == "year":
        return Days(_year_before(days.first), _year_before(days.last))
    length = days.last - days.first
    last = days.first - timedelta(days=1)
    return Days(last - length, last)


def parse_times(first: str, last: str, timezone: str, faults: list[str]) -> tuple[float, float] | None:
    """From the first moment to the second after the last, epoch seconds; without an offset they are of the local clock, and a
    time that is lived twice is the first, or the last, of both. None where there is a fault."""
    starts, ends = _parse_time(first, timezone, faults), _parse_time(last, timezone, faults)
    if starts is None or ends is None:
        return None
    start, end = starts[0], max(ends)
    if start > end:
        faults.append(f"{first} is after {last}")
        return None
    if end - start >= MAX_DAYS * DAY:
        faults.append(f"a period has at most {MAX_DAYS} days")
        return None
    return start, end + 1


def days_of(times: tuple[float, float], timezone: str) -> Days:
    """The local days on which two moments lie; of the second, those that it leaves no time of do not count."""
    first, last = (datetime.fromtimestamp(at, ZoneInfo(timezone)).date() for at in (times[0], times[1] - 1))
    return Days(first, last)


def compared_times(times: tuple[float, float], comparison: str, timezone: str) -> tuple[float, float]:
    """As long a time just before, or the same local times a year earlier (29 February becomes 28 February)."""
    if comparison != "year":
        return times[0] - (times[1] - times[0]), times[0]
    start, end = (datetime.fromtimestamp(at, ZoneInfo(timezone)) for at in times)
    return _time_before(start), _time_before(end)


def midnight(day: date, timezone: str) -> float:
    """Seconds since 1970 of the day's beginning on the local clock."""
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(timezone)).timestamp()


def same_days(days: Days, timezone: str, other: str) -> bool:
    """Whether each of the days begins and ends in both time zones at the same moment."""
    if timezone == other:
        return True
    starts = (days.first + timedelta(days=number) for number in range((days.last - days.first).days + 2))
    return all(midnight(day, timezone) == midnight(day, other) for day in starts)


@cache
def known_timezones() -> frozenset[str]:
    """Every IANA time zone that this machine knows."""
    return frozenset(available_timezones())


def _parse_date(text: str | None, default: date, key: str, faults: list[str]) -> date | None:
    try:
        day = date.fromisoformat(text) if text else default
    except ValueError:
        faults.append(f"{key} {text!r} is not a date such as 2026-11-23")
        return None
    if day.year not in YEARS:
        faults.append(f"{key} {text!r} is not a day from {YEARS[0]} to {YEARS[-1]}")
        return None
    return day


def _parse_time(text: str, timezone: str, faults: list[str]) -> tuple[float, float] | None:
    """The two moments that a local time can mean where clocks are put back; else they are the same."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        faults.append(f"{text[:80]!r} is not a time such as 2026-11-23T14:00:00+01:00")
        return None
    if at.year not in YEARS:
        faults.append(f"{text!r} is not a time from {YEARS[0]} to {YEARS[-1]}")
        return None
    at = (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(timezone))).replace(microsecond=0)
    return at.replace(fold=0).timestamp(), at.replace(fold=1).timestamp()


def _time_before(at: datetime) -> float:
    day = _year_before(at.date())
    return at.replace(year=day.year, day=day.day).timestamp()


def _named_days(period: str, today: date, faults: list[str]) -> Days:
    yesterday = today - timedelta(days=1)
    known = {
        "today": Days(today, today),
        "yesterday": Days(yesterday, yesterday),
        "7d": _back(today, 7),
        "28d": _back(today, 28),
        "30d": _back(today, 30),
        "91d": _back(today, 91),
        "month": Days(today.replace(day=1), today),
        "6mo": _back(today, 182),
        "12mo": _back(today, 365),
        "year": Days(today.replace(month=1, day=1), today),
        "all": _back(today, MAX_DAYS),
    }
    if period not in known:
        faults.append(f"period {period!r} is unknown; wanted one of {', '.join(PERIODS)}, or from and to")
    return known.get(period, Days(today, today))


def _back(today: date, days: int) -> Days:
    return Days(today - timedelta(days=days - 1), today)


def _year_before(day: date) -> date:
    try:
        return day.replace(year=day.year - 1)
    except ValueError:
        return day.replace(year=day.year - 1, day=28)
