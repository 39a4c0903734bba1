"""The question that a report answers, parsed from untrusted text; all faults are told at once."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from gateway.analytics.dimensions import DIMENSIONS, Dimension, find_dimension, get_dimension
from gateway.analytics.filters import Filter, join_filters, own_conditions, parse_filters, parse_words
from gateway.analytics.metrics import METRICS, Metric, find_metric, get_metric
from gateway.analytics.period import (
    MODES,
    Days,
    compared_days,
    compared_times,
    days_of,
    known_timezones,
    midnight,
    parse_days,
    same_days,
)
from gateway.errors import QueryError

INTERVALS = ("hour", "day", "week", "month")
MAX_HOURLY_DAYS = 31
MAX_ROWS = 1000
MAX_OFFSET = 1_000_000
MAX_DIMENSIONS = 4
# Characters of a field in an address. Filters take what an address can carry: a server reads 64 KB of it, escaped.
MAX_TEXT = 200
MAX_TEXTS = {"filters": 16_000, "where": 16_000, "metrics": 2_000, "dimensions": 2_000, "order_by": 2_000}
FIELDS = ("site", "period", "from", "to", "timezone", "interval", "limit", "offset", "compare", *MAX_TEXTS)


class Order(NamedTuple):
    """One key by which rows are ordered: a metric or a dimension of the query."""

    name: str
    descending: bool


class Query(msgspec.Struct, frozen=True):
    """A site, its days (both included, local), and what is asked of them.

    `metrics` and `dimensions` are names of metrics.py and dimensions.py; `interval` is the chart's, `limit` and `offset`
    cut breakdowns, `compare` is empty or one of COMPARISONS. `imports`: days that another tool counted are wanted too. `times`
    narrows the days to a part of them: from the first moment to before the second, epoch seconds. `whole`: what is asked of are
    whole days of the site's own calendar.
    """

    site: str
    first: date
    last: date
    timezone: str
    interval: str = "day"
    limit: int = 10
    offset: int = 0
    metrics: tuple[str, ...] = ("daily_visitors",)
    dimensions: tuple[str, ...] = ()
    filters: Filter | None = None
    order_by: tuple[Order, ...] = ()
    compare: str = ""
    imports: bool = True
    times: tuple[float, float] | None = None
    whole: bool = True

    @property
    def starts_at(self) -> float:
        """Seconds since 1970 of the first local midnight, or of the first moment."""
        return self.times[0] if self.times else midnight(self.first, self.timezone)

    @property
    def ends_at(self) -> float:
        """Seconds since 1970 of the local midnight after the last day, or of the moment after the last."""
        return self.times[1] if self.times else midnight(self.last + timedelta(days=1), self.timezone)

    @property
    def figures(self) -> list[Metric]:
        """The metrics asked for."""
        return [get_metric(name) for name in self.metrics]

    @property
    def keys(self) -> list[Dimension]:
        """The dimensions asked for."""
        return [get_dimension(name) for name in self.dimensions]

    @property
    def names(self) -> set[str]:
        """The dimensions asked for and those of its filter; what stands in `has_done` is asked elsewhere."""
        return {*self.dimensions, *(one.dimension for one in own_conditions(self.filters))}

    @property
    def scopes(self) -> set[str]:
        """The scopes of these."""
        return {str(get_dimension(name).scope) for name in self.names}

    @property
    def compared(self) -> "Query | None":
        """The same question about the period that this one is compared with, if it is."""
        if not self.compare:
            return None
        if self.times:
            times = compared_times(self.times, self.compare, self.timezone)
            return self.asking(times=times, compare="", **days_of(times, self.timezone)._asdict())
        first, last = compared_days(Days(self.first, self.last), self.compare)
        return self.asking(first=first, last=last, compare="")

    def asking(self, **changes: Any) -> "Query":
        """The same question with some of its fields changed."""
        return msgspec.structs.replace(self, **changes)

    def only(self, found: Filter | None) -> "Query":
        """The same question, narrowed by one more filter."""
        return self.asking(filters=join_filters(self.filters, found))


def parse_query(fields: Mapping[str, str], sites: Mapping[str, str], now: datetime) -> Query:
    """Build a query from texts, as they stand in an address.

    `site`, `period` or `from`/`to`, `timezone`, `interval`, `limit`, `offset`, `compare`; `metrics`, `dimensions` and
    `order_by` (`page_views:asc`) with commas between; `filters` as JSON, `where` as words, one filter a line.
    `sites` maps site ids to time zones; `now` is aware. Raises QueryError with every fault. A text that is too long is one:
    what is left of it after a cut may be another question.
    """
    faults: list[str] = []
    fields = _measure(fields, faults)
    site = fields.get("site") or next(iter(sites), "")
    if site not in sites:
        faults.append(f"site {site!r} is not configured; known: {', '.join(sites)}")
    timezone = parse_timezone(fields.get("timezone"), sites.get(site, "UTC"), faults)
    today = now.astimezone(ZoneInfo(timezone)).date()
    days = parse_days(fields, today, faults)
    length = (days.last - days.first).days + 1
    metrics = parse_metrics(_names(fields, "metrics") or ["daily_visitors"], faults)
    dimensions = parse_dimensions(_names(fields, "dimensions"), length, faults)
    filters = [_filters(fields.get("filters"), faults)]
    filters += [parse_words(line, faults) for line in (fields.get("where") or "").splitlines() if line.strip()]
    orders = [text.partition(":")[::2] for text in _names(fields, "order_by")]
    query = Query(
        site,
        *days,
        timezone,
        _parse_interval(fields.get("interval"), length, faults),
        _parse_number(fields.get("limit"), "limit", 10, range(1, MAX_ROWS + 1), faults),
        _parse_number(fields.get("offset"), "offset", 0, range(MAX_OFFSET + 1), faults),
        metrics,
        dimensions,
        join_filters(*filters),
        parse_order([(name, way or "desc") for name, way in orders], metrics, dimensions, faults),
        parse_comparison(fields.get("compare"), faults),
        whole=same_days(days, timezone, sites.get(site, timezone)),
    )
    if faults:
        raise QueryError(faults)
    return query


def parse_timezone(text: str | None, default: str, faults: list[str]) -> str:
    """An IANA time zone."""
    if text and text not in known_timezones():
        faults.append(f"timezone {text!r} is not an IANA time zone such as Europe/Amsterdam")
        return default
    return text or default


def parse_metrics(names: Sequence[object], faults: list[str]) -> tuple[str, ...]:
    """Names of metrics, ours or Plausible's, each once."""
    found: list[str] = []
    for name in names:
        metric = find_metric(name) if isinstance(name, str) else None
        if metric is None:
            faults.append(f"metric {str(name)[:80]!r} is unknown; known: {', '.join(one.name for one in METRICS)}")
        elif metric.name in found:
            faults.append(f"metric {name!r} is asked for twice")
        else:
            found.append(metric.name)
    return tuple(found)


def parse_dimensions(names: Sequence[object], days: int, faults: list[str]) -> tuple[str, ...]:
    """Names of dimensions, ours or Plausible's, each once, not too many, hours not over too many days."""
    found: list[str] = []
    for name in names:
        dimension = find_dimension(name) if isinstance(name, str) else None
        if dimension is None:
            known = ", ".join(one.name for one in DIMENSIONS)
            faults.append(f"dimension {str(name)[:80]!r} is unknown; known: {known}, prop:<name>")
        elif dimension.name in found:
            faults.append(f"dimension {name!r} is asked for twice")
        else:
            found.append(dimension.name)
    if len(found) > MAX_DIMENSIONS:
        faults.append(f"dimensions are {len(found)}; at most {MAX_DIMENSIONS}")
    if "hour" in found and days > MAX_HOURLY_DAYS:
        faults.append(f"hours are shown for at most {MAX_HOURLY_DAYS} days")
    return tuple(found)


def parse_order(
    pairs: Sequence[tuple[object, object]], metrics: Sequence[str], dimensions: Sequence[str], faults: list[str]
) -> tuple[Order, ...]:
    """Keys that are metrics or dimensions of the query, each `asc` or `desc`."""
    found: list[Order] = []
    for name, way in pairs:
        known = (find_metric(name) or find_dimension(name)) if isinstance(name, str) else None
        if known is None or known.name not in (*metrics, *dimensions):
            faults.append(f"order_by {str(name)[:80]!r} is none of the metrics and dimensions asked for")
        elif way not in ("asc", "desc"):
            faults.append(f"order_by {name!r}: {str(way)[:80]!r} is not asc or desc")
        else:
            found.append(Order(known.name, way == "desc"))
    return tuple(found)


def parse_comparison(text: str | None, faults: list[str]) -> str:
    """Empty, or one of COMPARISONS, by any of its words."""
    if text and text not in MODES:
        faults.append(f"compare {text!r} is unknown; wanted {' or '.join(MODES)}")
    return MODES.get(text or "", "")


def _measure(fields: Mapping[str, str], faults: list[str]) -> dict[str, str]:
    """The fields of a question, without those that are too long."""
    there = {key: fields[key] for key in FIELDS if fields.get(key)}
    limits = {key: MAX_TEXTS.get(key, MAX_TEXT) for key in there}
    long = {key for key, text in there.items() if len(text) > limits[key]}
    faults += [f"{key} is {len(there[key])} characters long; at most {limits[key]}" for key in there if key in long]
    return {key: text for key, text in there.items() if key not in long}


def _names(fields: Mapping[str, str], key: str) -> list[str]:
    return [name for name in (part.strip() for part in (fields.get(key) or "").split(",")) if name]


def _filters(text: str | None, faults: list[str]) -> Filter | None:
    if not text:
        return None
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        faults.append(f"filters are not JSON: {error}")
        return None
    return parse_filters(value, faults)


def _parse_interval(text: str | None, days: int, faults: list[str]) -> str:
    interval = text or ("hour" if days == 1 else "day")
    if interval not in INTERVALS:
        faults.append(f"interval {text!r} is unknown; wanted one of {', '.join(INTERVALS)}")
        return "day"
    if interval == "hour" and days > MAX_HOURLY_DAYS:
        faults.append(f"hours are shown for at most {MAX_HOURLY_DAYS} days")
    return interval


def _parse_number(text: str | None, key: str, default: int, allowed: range, faults: list[str]) -> int:
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text[:9]) not in allowed:
        faults.append(f"{key} {text!r} is not a number from {allowed[0]} to {allowed[-1]}")
        return default
    return int(text)
