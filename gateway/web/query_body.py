"""The body of a question to /api/v2/query: JSON in the shape of Plausible's Stats API v2, read with all faults at once."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from gateway.analytics.filters import Filter, parse_filters
from gateway.analytics.period import MODES, PERIODS, Days, days_of, parse_days, parse_times, same_days
from gateway.analytics.query import (
    MAX_OFFSET,
    Query,
    parse_dimensions,
    parse_metrics,
    parse_order,
    parse_timezone,
)
from gateway.errors import QueryError

FIELDS = (
    "site_id",
    "metrics",
    "date_range",
    "dimensions",
    "filters",
    "order_by",
    "include",
    "pagination",
    "timezone",
)
INCLUDED = ("imports", "time_labels", "total_rows", "comparisons")
LAST_HOURS = {"24h": 24}
DATE_RANGES = ("day", *LAST_HOURS, *PERIODS)
PERCENTAGE = "percentage"  # of all visitors: worked out here, of two answers
MAX_PAGE = 10_000
TIME = "time"  # hours, days, weeks or months, as they fit the period
VISITORS, HOUR = "daily_visitors", 3600


class Asked(NamedTuple):
    """A question, what is told besides its rows, and the figures of a row: metrics of the query, and PERCENTAGE."""

    query: Query
    time_labels: bool
    total_rows: bool
    figures: tuple[str, ...]


def parse_body(body: bytes, sites: Mapping[str, str], now: datetime) -> Asked:
    """The question in a body. `sites` maps the sites that may be asked about to their time zones. Raises QueryError."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise QueryError([f"the body is not JSON: {error}"]) from error
    if not isinstance(value, dict):
        raise QueryError(["the body is not a JSON object"])
    reader = _Reader(value)
    asked = reader.read(sites, now)
    if reader.faults:
        raise QueryError(reader.faults)
    return asked


class _Reader:
    def __init__(self, value: dict[str, object]) -> None:
        self._value = value
        self.faults = [f"{name[:80]!r} is no field; known: {', '.join(FIELDS)}" for name in value if name not in FIELDS]

    def read(self, sites: Mapping[str, str], now: datetime) -> Asked:
        site = self._value.get("site_id")
        if not isinstance(site, str) or site not in sites:
            self.faults.append(f"site_id {_shown(site)} is none of the key's sites: {', '.join(sites) or 'none'}")
            site = ""
        timezone = self._timezone(sites.get(site, "UTC"))
        days, times = self._period(now.astimezone(ZoneInfo(timezone)), timezone)
        length = (days.last - days.first).days + 1
        figures, metrics = self._metrics()
        meant = {TIME: _time_dimension(length, times)}
        named = [meant[TIME] if one == TIME else one for one in self._list("dimensions")]
        dimensions = parse_dimensions(named, length, self.faults)
        if PERCENTAGE in figures and not self._value.get("dimensions"):
            self.faults.append(f"metric {PERCENTAGE!r} is of a breakdown; dimensions are empty")
        include = self._object("include", INCLUDED)
        page = self._object("pagination", ("limit", "offset"))
        query = Query(
            site,
            *days,
            timezone,
            limit=self._number(page, "limit", MAX_PAGE, range(1, MAX_PAGE + 1)),
            offset=self._number(page, "offset", 0, range(MAX_OFFSET + 1)),
            metrics=metrics,
            dimensions=dimensions,
            filters=self._filters(),
            order_by=parse_order(self._pairs(figures, meant), metrics, dimensions, self.faults),
            compare=self._compare(include),
            imports=self._flag(include, "imports"),
            times=times,
            whole=times is None and same_days(days, timezone, sites.get(site, timezone)),
        )
        return Asked(query, self._flag(include, "time_labels"), self._flag(include, "total_rows"), figures)

    def _metrics(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The figures asked for, and the metrics that they are made of: a percentage is of visitors."""
        names = self._list("metrics", wanted=True)
        asked = parse_metrics([name for name in names if name != PERCENTAGE], self.faults)
        if PERCENTAGE not in names:
            return asked, asked
        if names.count(PERCENTAGE) > 1:
            self.faults.append(f"metric {PERCENTAGE!r} is asked for twice")
        figures = list(asked)
        figures.insert(names.index(PERCENTAGE), PERCENTAGE)
        return tuple(figures), asked if VISITORS in asked else (*asked, VISITORS)

    def _timezone(self, default: str) -> str:
        name = self._value.get("timezone")
        if name is not None and not isinstance(name, str):
            self.faults.append(f"timezone {_shown(name)} is not a name such as Europe/Amsterdam")
            name = None
        return parse_timezone(name, default, self.faults)

    def _period(self, now: datetime, timezone: str) -> tuple[Days, tuple[float, float] | None]:
        """Whole days, or the days and the times that are asked for of them."""
        asked, faults = self._value.get("date_range"), list[str]()
        times: tuple[float, float] | None
        if isinstance(asked, str) and asked in LAST_HOURS:
            until = int(now.timestamp()) + 1
            times = (float(until - LAST_HOURS[asked] * HOUR), float(until))
        elif isinstance(asked, list) and len(asked) == 2 and all(isinstance(one, str) and "T" in one for one in asked):
            times = parse_times(asked[0], asked[1], timezone, faults)
        else:
            return self._days(asked, now.date()), None
        self.faults += [f"date_range: {fault}" for fault in faults]
        return (days_of(times, timezone), times) if times else (Days(now.date(), now.date()), None)

    def _days(self, asked: object, today: date) -> Days:
        if isinstance(asked, str) and asked in DATE_RANGES:
            return parse_days({"period": "today" if asked == "day" else asked}, today, self.faults)
        if isinstance(asked, list) and len(asked) == 2 and all(isinstance(one, str) and one for one in asked):
            faults: list[str] = []
            days = parse_days({"from": asked[0], "to": asked[1]}, today, faults)
            self.faults += [f"date_range: {fault}" for fault in faults]
            return days
        wanted = f"wanted one of {', '.join(DATE_RANGES)}, or two days or two times [first, last] such as "
        wanted += "2026-11-23 or 2026-11-23T14:00:00+01:00"
        self.faults.append(f"date_range {_shown(asked)} is no period; {wanted}")
        return Days(today, today)

    def _list(self, name: str, wanted: bool = False) -> Sequence[object]:
        found = self._value.get(name, [])
        if not isinstance(found, list) or (wanted and not found):
            self.faults.append(f"{name} {_shown(found)} is not a list of names{', at least one' if wanted else ''}")
            return []
        return found

    def _filters(self) -> Filter | None:
        found = self._value.get("filters", [])
        return parse_filters(found, self.faults)

    def _pairs(self, figures: Sequence[str], meant: Mapping[str, str]) -> list[tuple[object, object]]:
        """Names, by what is meant with them, and ways; percentages have the order of the visitors that they are of."""
        pairs = list[tuple[object, object]]()
        same = {**meant, PERCENTAGE: VISITORS} if PERCENTAGE in figures else meant
        for pair in self._list("order_by"):
            if isinstance(pair, list) and len(pair) == 2:
                pairs.append((same.get(pair[0], pair[0]) if isinstance(pair[0], str) else pair[0], pair[1]))
            else:
                self.faults.append(f'order_by {_shown(pair)} is not a pair such as ["visitors", "desc"]')
        return pairs

    def _object(self, name: str, known: Sequence[str]) -> dict[str, object]:
        found = self._value.get(name, {})
        if not isinstance(found, dict):
            self.faults.append(f"{name} {_shown(found)} is not an object with {', '.join(known)}")
            return {}
        self.faults += [f"{name}.{key[:80]} is unknown; known: {', '.join(known)}" for key in found if key not in known]
        return found

    def _number(self, page: Mapping[str, object], name: str, default: int, allowed: range) -> int:
        found = page.get(name, default)
        if isinstance(found, bool) or not isinstance(found, int) or found not in allowed:
            self.faults.append(f"pagination.{name} {_shown(found)} is not a number from {allowed[0]} to {allowed[-1]}")
            return default
        return found

    def _flag(self, include: Mapping[str, object], name: str) -> bool:
        found = include.get(name, False)
        if not isinstance(found, bool):
            self.faults.append(f"include.{name} {_shown(found)} is neither true nor false")
        return found is True

    def _compare(self, include: Mapping[str, object]) -> str:
        found = include.get("comparisons")
        if found is None:
            return ""
        mode = found.get("mode") if isinstance(found, dict) and len(found) == 1 else None
        if not isinstance(mode, str) or mode not in MODES:
            self.faults.append(f'include.comparisons {_shown(found)} is not {{"mode": one of {", ".join(MODES)}}}')
            return ""
        return MODES[mode]


def _time_dimension(days: int, times: tuple[float, float] | None) -> str:
    """What `time` means for a period, as Plausible chooses it: hours of two days, days of forty, weeks of a year, months."""
    hours = (times[1] - times[0]) / HOUR if times else days * 24
    if hours <= 48:
        return "hour"
    return "day" if hours <= 40 * 24 else "week" if hours <= 52 * 7 * 24 else "month"


def _shown(value: object) -> str:
    return msgspec.json.encode(value).decode()[:80]
