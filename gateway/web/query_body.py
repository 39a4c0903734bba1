"""The body of a question to /api/v2/query: JSON in the shape of Plausible's Stats API v2, read with all faults at once."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from gateway.analytics.filters import Filter, parse_filters
from gateway.analytics.period import PERIODS, Days, parse_days
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
DATE_RANGES = ("day", *PERIODS)
MODES = {"previous_period": "previous_period", "year_over_year": "year", "year": "year"}
MAX_PAGE = 10_000


class Asked(NamedTuple):
    """A question, and what is told besides its rows."""

    query: Query
    time_labels: bool
    total_rows: bool


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
        days = self._days(now.astimezone(ZoneInfo(timezone)))
        length = (days.last - days.first).days + 1
        metrics = parse_metrics(self._list("metrics", wanted=True), self.faults)
        dimensions = parse_dimensions(self._list("dimensions"), length, self.faults)
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
            order_by=parse_order(self._pairs(), metrics, dimensions, self.faults),
            compare=self._compare(include),
        )
        return Asked(query, self._flag(include, "time_labels"), self._flag(include, "total_rows"))

    def _timezone(self, default: str) -> str:
        name = self._value.get("timezone")
        if name is not None and not isinstance(name, str):
            self.faults.append(f"timezone {_shown(name)} is not a name such as Europe/Amsterdam")
            name = None
        return parse_timezone(name, default, self.faults)

    def _days(self, now: datetime) -> Days:
        asked, today = self._value.get("date_range"), now.date()
        if isinstance(asked, str) and asked in DATE_RANGES:
            return parse_days({"period": "today" if asked == "day" else asked}, today, self.faults)
        if isinstance(asked, list) and len(asked) == 2 and all(isinstance(one, str) and one for one in asked):
            faults: list[str] = []
            days = parse_days({"from": asked[0], "to": asked[1]}, today, faults)
            self.faults += [f"date_range: {fault}" for fault in faults]
            return days
        wanted = f"wanted one of {', '.join(DATE_RANGES)}, or two days [first, last] such as 2026-11-23"
        self.faults.append(f"date_range {_shown(asked)} is no period of whole days; {wanted}")
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

    def _pairs(self) -> list[tuple[object, object]]:
        pairs = []
        for pair in self._list("order_by"):
            if isinstance(pair, list) and len(pair) == 2:
                pairs.append((pair[0], pair[1]))
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
        self._flag(include, "imports")
        found = include.get("comparisons")
        if found is None:
            return ""
        mode = found.get("mode") if isinstance(found, dict) and len(found) == 1 else None
        if not isinstance(mode, str) or mode not in MODES:
            self.faults.append(f'include.comparisons {_shown(found)} is not {{"mode": one of {", ".join(MODES)}}}')
            return ""
        return MODES[mode]


def _shown(value: object) -> str:
    return msgspec.json.encode(value).decode()[:80]
