"""The question that a report answers, parsed from untrusted text; all faults are told at once."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from gateway.errors import QueryError

PERIODS = ("today", "yesterday", "7d", "30d", "month", "12mo")
INTERVALS = ("day", "hour")
MAX_DAYS = 1100
MAX_HOURLY_DAYS = 31
MAX_ROWS = 1000
YEARS = range(2000, 2100)


class Query(msgspec.Struct, frozen=True):
    """A site, its days (both included, local), the chart's interval, and how many rows a breakdown shows."""

    site: str
    first: date
    last: date
    timezone: str
    interval: str = "day"
    limit: int = 10

    @property
    def starts_at(self) -> float:
        """Seconds since 1970 of the first local midnight."""
        return _midnight(self.first, self.timezone)

    @property
    def ends_at(self) -> float:
        """Seconds since 1970 of the local midnight after the last day."""
        return _midnight(self.last + timedelta(days=1), self.timezone)


def parse_query(fields: Mapping[str, str], sites: Mapping[str, str], now: datetime) -> Query:
    """Build a query from `site`, `period` or `from`/`to`, `interval`, `limit`.

    `sites` maps site ids to time zones; `now` is aware. Raises QueryError with every fault.
    """
    faults: list[str] = []
    site = fields.get("site") or next(iter(sites), "")
    if site not in sites:
        faults.append(f"site {site!r} is not configured; known: {', '.join(sites)}")
    timezone = sites.get(site, "UTC")
    today = now.astimezone(ZoneInfo(timezone)).date()
    first, last = _parse_days(fields, today, faults)
    interval = _parse_interval(fields.get("interval"), (last - first).days + 1, faults)
    limit = _parse_limit(fields.get("limit"), faults)
    if faults:
        raise QueryError(faults)
    return Query(site, first, last, timezone, interval, limit)


def _parse_days(fields: Mapping[str, str], today: date, faults: list[str]) -> tuple[date, date]:
    if fields.get("from") or fields.get("to"):
        last = _parse_date(fields.get("to"), today, "to", faults)
        first = _parse_date(fields.get("from"), last, "from", faults)
        if first > last:
            faults.append(f"from ({first}) is after to ({last})")
        elif (last - first).days >= MAX_DAYS:
            faults.append(f"a period has at most {MAX_DAYS} days")
        return min(first, last), last
    return _named_days(fields.get("period") or "7d", today, faults)


def _parse_date(text: str | None, default: date, key: str, faults: list[str]) -> date:
    try:
        day = date.fromisoformat(text) if text else default
    except ValueError:
        faults.append(f"{key} {text!r} is not a date such as 2026-11-23")
        return default
    if day.year not in YEARS:
        faults.append(f"{key} {text!r} is not a day from {YEARS[0]} to {YEARS[-1]}")
        return default
    return day


def _named_days(period: str, today: date, faults: list[str]) -> tuple[date, date]:
    yesterday = today - timedelta(days=1)
    known = {
        "today": (today, today),
        "yesterday": (yesterday, yesterday),
        "7d": (today - timedelta(days=6), today),
        "30d": (today - timedelta(days=29), today),
        "month": (today.replace(day=1), today),
        "12mo": (today - timedelta(days=364), today),
    }
    if period not in known:
        faults.append(f"period {period!r} is unknown; wanted one of {', '.join(PERIODS)}, or from and to")
    return known.get(period, (today, today))


def _parse_interval(text: str | None, days: int, faults: list[str]) -> str:
    interval = text or ("hour" if days == 1 else "day")
    if interval not in INTERVALS:
        faults.append(f"interval {text!r} is unknown; wanted day or hour")
    elif interval == "hour" and days > MAX_HOURLY_DAYS:
        faults.append(f"hours are shown for at most {MAX_HOURLY_DAYS} days")
    return interval


def _parse_limit(text: str | None, faults: list[str]) -> int:
    if not text:
        return 10
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MAX_ROWS:
        faults.append(f"limit {text!r} is not a number from 1 to {MAX_ROWS}")
        return 10
    return int(text)


def _midnight(day: date, timezone: str) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(timezone)).timestamp()
