"""The reference calculator: every metric in plain Python over raw events, written from docs/analytics.md and not from SQL.

It knows nothing of speed, of stores, or of how the gateway writes its questions; a store is right where the two agree.
"""

import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from gateway.analytics.filters import Condition, Filter
from gateway.analytics.query import Query
from gateway.event import ENGAGEMENT, PAGE_VIEW, Event
from gateway.settings import GoalConfig

VIEW_ONLY = ("topic", "screen")
NOT_EMPTY = ("currency", "status")
TIMES = ("hour", "day", "week", "month")
OF_VISIT = ("source", "channel", "referrer", "medium", "campaign", "term", "content", "country", "browser",
            "browser_version", "os", "os_version", "device", "language")  # fmt: skip
OF_VISITS = ("daily_visitors", "visits", "views_per_visit", "bounce_rate", "visit_duration", "median_visit_duration",
             "wall_duration", "entry_rate", "exit_rate")  # fmt: skip
COUNTS = ("daily_visitors", "visits", "page_views", "events", "conversions")
Key = tuple[str, ...]


@dataclass(eq=False)
class Happening:
    """A view or an event, with all that was told of it."""

    event: Event
    engaged: int
    told: dict[str, Any]
    visit: "Visit"

    @property
    def is_view(self) -> bool:
        return self.event.kind == PAGE_VIEW


@dataclass(eq=False)
class Visit:
    """A run of happenings, and the last sign of life of it."""

    rows: list[Happening] = field(default_factory=list)
    last: float = 0.0

    @property
    def started(self) -> float:
        return min(row.event.visit_started_at for row in self.rows)

    @property
    def views(self) -> list[Happening]:
        return [row for row in self.rows if row.is_view]

    @property
    def told(self) -> list[Happening]:
        """Those that say where it began and ended: views, where there are any."""
        return self.views or self.rows

    @property
    def entry(self) -> Event:
        return min((row.event for row in self.told), key=lambda e: (e.at, e.path))

    @property
    def exit(self) -> Event:
        return max((row.event for row in self.told), key=lambda e: (e.at, e.path))

    @property
    def engaged(self) -> int:
        return sum(row.engaged for row in self.views)


def read_visits(events: Iterable[Event]) -> list[Visit]:
    """The visits of these events, in whichever order they come."""
    found: dict[str, Visit] = defaultdict(Visit)
    told: dict[str, list[Event]] = defaultdict(list)
    events = list(events)
    for event in events:
        if event.kind == ENGAGEMENT:
            told[event.view_id].append(event)
    for event in events:
        if event.kind != ENGAGEMENT:
            visit = found[event.visit_id]
            more = told[event.view_id] if event.kind == PAGE_VIEW else []
            every = [event.told, *(one.told for one in more)]
            values = {
                name: max(getattr(one, name) for one in every) for name in ("scroll", "screen", "lcp", "inp", "cls")
            }
            values |= {name: getattr(event.told, name) for name in ("revenue", "currency", "status")}
            engaged = max([event.engaged_ms, *(one.engaged_ms for one in more)])
            visit.rows.append(Happening(event, engaged, values, visit))
            visit.last = max([visit.last, event.at, *(one.at for one in more)])
    return list(found.values())


@dataclass
class Row:
    """What a filter and a key are asked of: a happening or a visit, when it counts, and the goal it stands for."""

    visit: Visit
    at: float
    happening: Happening | None = None
    goal: GoalConfig | None = None


class Reference:
    """Answers one query over the visits of a site."""

    def __init__(self, visits: Sequence[Visit], query: Query, goals: Sequence[GoalConfig]) -> None:
        self._visits, self._query, self._goals = visits, query, goals
        self._zone = ZoneInfo(query.timezone)
        self._by_goal = "goal" in query.dimensions

    def answer(self) -> dict[Key, list[float | None]]:
        """Each key's figures, in the order of the query's metrics."""
        keys = set(self._matched(self._query, self._by_goal)) | {() for _ in [0] if not self._query.dimensions}
        figures = [self._metric(name) for name in self._query.metrics]
        keys |= {key for found in figures for key in found}
        empty = [0 if name in COUNTS else None for name in self._query.metrics]
        return {key: [found.get(key, nothing) for found, nothing in zip(figures, empty, strict=True)] for key in keys}

    def _metric(self, name: str) -> dict[Key, float | None]:
        if name in OF_VISITS:
            groups = self._matched(self._query, self._by_goal)
            return {key: self._of_visits(name, rows) for key, rows in groups.items()}
        if name == "conversions":
            return {key: self._conversions(rows) for key, rows in self._happened(by_goal=True).items()}
        if name == "conversion_rate":
            return self._conversion_rate()
        return {key: _of_events(name, rows) for key, rows in self._happened(self._by_goal).items()}

    def _conversion_rate(self) -> dict[Key, float | None]:
        kept = tuple(name for name in self._query.dimensions if name != "goal")
        asked = self._query.asking(dimensions=kept, filters=self._query.filters and _strip(self._query.filters))
        whole = {key: len(_visits_of(rows)) for key, rows in self._matched(asked, by_goal=False).items()}
        reached = {key: len(_visits_of(rows)) for key, rows in self._matched(self._query, by_goal=True).items()}
        if not self._by_goal:
            return {key: reached.get(key, 0) / count for key, count in whole.items()}
        places = [number for number, name in enumerate(self._query.dimensions) if name != "goal"]
        return {key: count / whole[tuple(key[place] for place in places)] for key, count in reached.items()}

    def _matched(self, query: Query, by_goal: bool) -> dict[Key, list[Row]]:
        """The happenings that fit, of the visits that began in the period; they count when their visit began."""
        visits = [visit for visit in self._visits if query.starts_at <= visit.started < query.ends_at]
        rows = [Row(visit, visit.started, happening) for visit in visits for happening in visit.rows]
        return self._grouped(query, rows, by_goal)

    def _happened(self, by_goal: bool) -> dict[Key, list[Row]]:
        """The happenings that fit and fell into the period themselves."""
        query = self._query
        every = [row for visit in self._visits for row in visit.rows]
        rows = [Row(r.visit, r.event.at, r) for r in every if query.starts_at <= r.event.at < query.ends_at]
        return self._grouped(query, rows, by_goal)

    def _grouped(self, query: Query, rows: Sequence[Row], by_goal: bool) -> dict[Key, list[Row]]:
        if by_goal:
            rows = [Row(r.visit, r.at, r.happening, g) for r in rows for g in self._goals if self._meets(r, g)]
        groups: dict[Key, list[Row]] = defaultdict(list)
        for row in rows:
            if all(_is_row(name, row) for name in query.dimensions) and self._fits(query.filters, row):
                groups[tuple(self._value(name, row) for name in query.dimensions)].append(row)
        return groups

    def _of_visits(self, name: str, rows: Sequence[Row]) -> float | None:
        visits = _visits_of(rows)
        if name == "daily_visitors":
            return len({(self._local(v.started).date(), v.entry.visitor) for v in visits})
        if name == "entry_rate":
            return len({id(row.visit) for row in rows if _is_edge(row, row.visit.entry)}) / len(visits)
        if name == "exit_rate":
            return len({id(row.visit) for row in rows if _is_edge(row, row.visit.exit)}) / len(visits)
        simple: dict[str, Callable[[], float]] = {
            "visits": lambda: len(visits),
            "views_per_visit": lambda: statistics.fmean(len(v.views) for v in visits),
            "bounce_rate": lambda: statistics.fmean(len(v.rows) == 1 and v.rows[0].is_view for v in visits),
            "visit_duration": lambda: statistics.fmean(v.engaged / 1000 for v in visits),
            "median_visit_duration": lambda: statistics.median(v.engaged / 1000 for v in visits),
            "wall_duration": lambda: statistics.fmean(v.last - v.started for v in visits),
        }
        return simple[name]()

    def _conversions(self, rows: Sequence[Row]) -> int:
        times = sum(1 for row in rows if row.goal and not row.goal.seconds)
        return times + len({(row.goal.name, id(row.visit)) for row in rows if row.goal and row.goal.seconds})

    def _meets(self, row: Row, goal: GoalConfig) -> bool:
        happening = row.happening
        assert happening is not None
        if goal.seconds:
            return row.visit.engaged >= goal.seconds * 1000
        if goal.page:
            return happening.is_view and _like(happening.event.path, goal.page)
        props = happening.event.props
        return happening.event.kind == goal.event and all(_like(props.get(k, ""), v) for k, v in goal.props.items())

    def _fits(self, found: Filter | None, row: Row) -> bool:
        if found is None:
            return True
        if isinstance(found, Condition):
            return self._holds(found, row)
        if found.operator in ("has_done", "has_not_done"):
            done = any(self._fits(found.parts[0], Row(row.visit, r.event.at, r)) for r in row.visit.rows)
            return done == (found.operator == "has_done")
        held = [self._fits(part, row) for part in found.parts]
        return {"and": all(held), "or": any(held), "not": not held[0]}[found.operator]

    def _holds(self, condition: Condition, row: Row) -> bool:
        operator, negated = condition.operator.removesuffix("_not"), condition.operator.endswith("_not")
        values = [self._value(condition.dimension, row)]
        if condition.dimension == "goal" and row.goal is None:
            values = [goal.name for goal in self._goals if self._meets(row, goal)]
        hours = condition.dimension == "hour"
        held = any(
            _compare(_written(text, value) if hours else text, operator, value, condition.case_sensitive)
            for text in values
            for value in condition.values
        )
        return held != negated

    def _value(self, name: str, row: Row) -> str:
        if name in TIMES:
            return self._time(name, row.at)
        if name == "goal":
            return row.goal.name if row.goal else ""
        if name == "entry_page":
            return row.visit.entry.path
        if name == "exit_page":
            return row.visit.exit.path
        if name in OF_VISIT:
            return str(getattr(row.visit.entry, name))
        assert row.happening is not None
        event = row.happening.event
        if name.startswith("prop:"):
            return event.props.get(name.removeprefix("prop:"), "")
        plain = {"page": event.path, "event": event.kind, "topic": event.topic, "host": event.host}
        return str(plain[name] if name in plain else row.happening.told[name])

    def _time(self, name: str, at: float) -> str:
        local = self._local(at)
        if name == "hour":
            offset = timezone(local.utcoffset() or timedelta(0))  # of the moment: clocks may change within the hour
            start = local.replace(minute=0, second=0, microsecond=0, tzinfo=offset)
            return start.isoformat(timespec="minutes")
        day = local.date()
        if name == "week":
            day -= timedelta(days=day.isoweekday() - 1)
        return (day.replace(day=1) if name == "month" else day).isoformat()

    def _local(self, at: float) -> datetime:
        return datetime.fromtimestamp(at, UTC).astimezone(self._zone)


def _of_events(name: str, rows: Sequence[Row]) -> float | None:
    found = [row.happening for row in rows if row.happening]
    views = [happening for happening in found if happening.is_view]
    if name in ("page_views", "events"):
        return len(views) if name == "page_views" else len(found) - len(views)
    if name == "revenue":
        currencies = {happening.told["currency"] for happening in found} - {""}
        return sum(h.told["revenue"] for h in found) / 1000 if found and len(currencies) < 2 else None
    if name == "average_revenue":
        worth = [happening.told for happening in found if happening.told["currency"]]
        return (
            _mean([told["revenue"] / 1000 for told in worth]) if len({told["currency"] for told in worth}) < 2 else None
        )
    if name == "time_on_page":
        return _mean([view.engaged / 1000 for view in views])
    column = name.removeprefix("median_").replace("scroll_depth", "scroll")
    scale = {"scroll": 100, "cls": 1000}.get(column, 1)
    told = sorted(view.told[column] / scale for view in views if view.told[column] >= 0)
    if name in ("lcp", "inp", "cls"):
        return _three_quarters(told)
    return (statistics.median(told) if told else None) if name.startswith("median") else _mean(told)


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _three_quarters(told: Sequence[float]) -> float | None:
    """What three quarters do not exceed, in proportion between two neighbours."""
    if len(told) < 2:
        return told[0] if told else None
    return statistics.quantiles(told, n=4, method="inclusive")[2]


def _visits_of(rows: Sequence[Row]) -> list[Visit]:
    return list({id(row.visit): row.visit for row in rows}.values())


def _is_row(name: str, row: Row) -> bool:
    """Whether a breakdown by this has a row for it at all."""
    assert row.happening is not None
    if name in VIEW_ONLY:
        return row.happening.is_view
    if name in NOT_EMPTY:
        return bool(row.happening.told[name])
    return not (name == "event" and row.happening.is_view)


def _is_edge(row: Row, edge: Event) -> bool:
    """Whether it is the page on which its visit began or ended."""
    assert row.happening is not None
    event = row.happening.event
    return row.happening in row.visit.told and (event.at, event.path) == (edge.at, edge.path)


def _strip(found: Filter) -> Filter | None:
    """A filter without what it says of goals."""
    if isinstance(found, Condition):
        return None if found.dimension == "goal" else found
    parts = tuple(part for part in map(_strip, found.parts) if part is not None)
    return type(found)(found.operator, parts) if parts else None


def _like(text: str, pattern: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def _written(hour: str, value: str) -> str:
    """An hour with its offset only where the filter's value has one."""
    return hour if re.search(r"[+-]\d\d:\d\d$", value) else hour[:16]


def _compare(text: str, operator: str, value: str, sensitive: bool) -> bool:
    if operator == "matches":
        return re.search(value, text, 0 if sensitive else re.IGNORECASE) is not None
    if not sensitive:
        text, value = text.lower(), value.lower()
    return value in text if operator == "contains" else value == text
