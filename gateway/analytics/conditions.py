"""Filters, dimensions and metrics as SQL: what a question's parts are written with.

Three kinds of rows are asked: `events` (in the period by their own time), `visits` (that began in the period), and
`matched`: the events of the visits that began in the period; `strays` are the events of which these two tell otherwise.
Whatever an operator typed is bound, never written.
"""

from collections.abc import Sequence
from datetime import date
from typing import Literal, NamedTuple

from gateway.analytics.dialect import Dialect
from gateway.analytics.dimensions import PROP, Dimension, get_dimension
from gateway.analytics.filters import DONE, Condition, Filter, Join, has_done, own_conditions, replace_conditions
from gateway.analytics.goals import find_goals, goal_condition
from gateway.analytics.lasting import began_between, first_begun
from gateway.analytics.local_time import HAS_OFFSET, find_pieces, odd_edges, write_offset
from gateway.analytics.metrics import Metric
from gateway.analytics.period import Days
from gateway.analytics.query import Query
from gateway.analytics.store import naive_utc
from gateway.analytics.visit import CLOCKS_APART_SECONDS
from gateway.settings import GoalConfig

Rows = Literal["events", "visits", "matched", "strays"]
MOMENT: dict[Rows, str] = {
    "events": "e.happened_at",
    "visits": "v.started_at",
    "matched": "e.visit_started_at",
    "strays": "CASE WHEN s.sign = 1 THEN e.happened_at ELSE e.visit_started_at END",
}
IS_ENTRY = "e.happened_at = v.entry_at AND e.path = v.entry_page"
IS_EXIT = "e.happened_at = v.exit_at AND e.path = v.exit_page"
IS_COUNTED = "(e.kind = 'page_view' OR v.views = 0)"


class Place(NamedTuple):
    """What the rows are of, and whether each stands once for every goal that it meets (`g.goal`)."""

    rows: Rows
    by_goal: bool = False


class Strays(NamedTuple):
    """Events that count elsewhere than their visit: FROM and WHERE, and what is to be added of a figure of them, `%s`."""

    source: str
    moved: str


BOTH_WAYS = "coalesce(%s FILTER (WHERE {0}), 0) - coalesce(%s FILTER (WHERE NOT {0}), 0)"


class Writer:
    """Writes the SQL of one question about one period, and gathers its values."""

    def __init__(
        self, query: Query, goals: Sequence[GoalConfig], dialect: Dialect, values: dict[str, object] | None = None
    ) -> None:
        """`values`: those of another question, of which this one becomes a part with a period of its own."""
        self._goals, self._dialect = goals, dialect
        self._own, self.values = "" if values is None else "part_", {} if values is None else values
        self._site = self.bind(query.site, "site")
        self._query, self._pieces = query, find_pieces(query)

    def part(self, query: Query) -> "Writer":
        """What writes a part of the same question about some of its days."""
        return Writer(query, self._goals, self._dialect, self.values)

    @property
    def _since(self) -> str:
        return self.bind(naive_utc(self._query.starts_at), f"{self._own}since")

    @property
    def _until(self) -> str:
        return self.bind(naive_utc(self._query.ends_at), f"{self._own}until")

    def bind(self, value: object, name: str = "") -> str:
        """A placeholder for the value."""
        name = name or f"v{len(self.values)}"
        self.values[name] = value
        return f"${name}"

    def figure(self, metric: Metric) -> str:
        """A metric's expression."""
        sql = metric.sql.replace("{visitors}", self._dialect.visitors)
        sql = sql.format(daily=self._daily("visits")) if "{daily}" in sql else sql
        if metric.most:
            return self._dialect.most.format(value=sql)
        return self._dialect.median.format(value=sql) if metric.median else sql

    def visitors(self, rows: Rows = "visits") -> str:
        """How many daily visitors rows are of, however often each stands among them."""
        return f"count(distinct {self._daily(rows)})"

    def tells(self, figures: Sequence[Metric]) -> bool:
        """Whether events know enough of their visits to tell all these figures of them."""
        return self._dialect.informed and all(metric.matched for metric in figures)

    def matched(self, metric: Metric, query: Query, apart: bool) -> str:
        """A metric's expression over events that fit, of the visits that hold them; `apart`: by each of the query's keys."""
        visits, visitors = "count(distinct e.visit_id)", "count(distinct {daily})"
        if apart and "page" in query.dimensions:
            whole = all(name == "page" or _is_of_visit(name) for name in query.names)
            visits = self._dialect.page_visits if whole else self._dialect.path_visits
            visitors = self._dialect.page_visitors if whole else self._dialect.path_visitors
        sql = metric.matched.replace("{visits}", visits).replace("{visitors}", visitors)
        return sql.format(daily=self._daily("matched")) if "{daily}" in sql else sql

    def fits_visits(self, found: Filter | None) -> str:
        """Whether a visit `v.` fits; empty, where its events have to be asked."""
        names = [one.dimension for one in own_conditions(found)]
        if found is None or has_done(found) or not all(map(_is_of_visit, names)):
            return ""
        return self._filter(found, Place("visits"))

    def holds(self, found: Filter) -> str:
        """Whether a visit, of which a group has all events, holds one that fits; empty, where they alone cannot tell."""
        parts = found.parts if isinstance(found, Join) and found.operator == "and" else (found,)
        done = [part for part in parts if isinstance(part, Join) and part.operator in DONE]
        asked = [(one.parts[0], int(one.operator == "has_done")) for one in done]
        asked += [(Join("and", rest), 1)] if (rest := tuple(part for part in parts if part not in done)) else []
        if any(has_done(one) or not all(map(self._on_events, own_conditions(one))) for one, _ in asked):
            return ""
        held = [(self._filter(one, Place("matched")), wanted) for one, wanted in asked]
        return " AND ".join(f"max(CASE WHEN {fits} THEN 1 ELSE 0 END) = {wanted}" for fits, wanted in held)

    def _on_events(self, condition: Condition) -> bool:
        dimension = get_dimension(condition.dimension)
        return dimension.scope in ("event", "time") or self._known(dimension)

    def key(self, dimension: Dimension, place: Place) -> str:
        """A dimension's value on a row; a day, week or month as its first day, an hour as its start in UTC."""
        if dimension.scope == "time":
            return self._bucket(dimension.name, MOMENT[place.rows])
        return "g.goal" if dimension.scope == "goal" else self._text(dimension, place)

    def source(self, query: Query, place: Place, joined: bool = False, also: str = "", events: str = "events e") -> str:
        """FROM and WHERE: rows of the site and period that fit the query's filter and have its dimensions, and what joins."""
        conditions = [f"{'v' if place.rows == 'visits' else 'e'}.site = {self._site}"]
        conditions += [] if place.rows == "strays" else [self._within(place)]
        conditions += [key.where for key in query.keys if key.where]
        if query.filters is not None:
            conditions.append(self._filter(query.filters, place))
        tables = "visits v" if place.rows == "visits" else events + self._beside(query.names, place, joined)
        if place.by_goal:
            conditions.append(self._meets_named())
        return f"FROM {tables}{also} WHERE {' AND '.join(conditions)}"

    def strays(self, query: Query) -> Strays:
        """The events that fit and lie in another period than the beginning of their visit, or on another local day where the
        question is of days. Each condition leaves most rows unread; what both edges leave is put together once."""
        if "time" in query.scopes:
            return self._over_midnight(query)
        edges = f"{self._across(self._since, '>=')} UNION ALL {self._across(self._until, '<')}"
        return Strays(self.source(query, Place("strays"), events=f"({edges}) e"), BOTH_WAYS.format("e.added"))

    def _across(self, edge: str, way: str) -> str:
        """Events on another side of a moment than the beginning of their visit: they are near it, in the order of time."""
        return (
            f"SELECT e.*, e.happened_at {way} {edge} AS added FROM events e WHERE e.site = {self._site} "
            f"AND e.happened_at >= {self._just_before(edge)} AND e.visit_started_at < {self._just_after(edge)} "
            f"AND (e.happened_at >= {edge}) <> (e.visit_started_at >= {edge})"
        )

    def _over_midnight(self, query: Query) -> Strays:
        """Each stands twice: on its own day, and, to be taken away, on its visit's."""
        days = (self._day(self._just_before("v.started_at")), self._day("greatest(v.started_at, v.last_at)"))
        since, until = self._just_before(self._since), self._just_after(self._until)
        visits = (
            f"SELECT v.visit_id, {self._day('v.started_at')} AS begun FROM visits v WHERE v.site = {self._site} "
            f"AND v.last_at >= {since} AND v.started_at < {until} AND {' <> '.join(days)}"
        )
        # The few visits first, since days are worked out for each row that is left.
        twice = f" JOIN ({visits}) c ON c.visit_id = e.visit_id CROSS JOIN (SELECT 1 AS sign UNION ALL SELECT -1) s"
        conditions = [
            self.source(query, Place("strays"), also=twice),
            f"e.happened_at >= {since} AND e.visit_started_at < {until}",
            self._within(Place("strays")),
            f"{self._day(MOMENT['events'])} <> c.begun",
        ]
        return Strays(" AND ".join(conditions), BOTH_WAYS.format("s.sign = 1"))

    def _just_before(self, moment: str) -> str:
        """A moment, as the slowest clock may have told it."""
        return self._dialect.unshifted.format(moment=moment, seconds=CLOCKS_APART_SECONDS)

    def _just_after(self, moment: str) -> str:
        """A moment, as the fastest clock may have told it."""
        return self._dialect.shifted.format(moment=moment, seconds=CLOCKS_APART_SECONDS)

    @staticmethod
    def of_hours(query: Query) -> bool:
        """Whether the hour of a row matters."""
        return "hour" in query.names

    def join_visits(self, alias: str) -> str:
        """The visits of the period whose ids another table has."""
        return (
            f"JOIN visits v ON v.visit_id = {alias}.visit_id WHERE v.site = {self._site} "
            f"AND v.started_at >= {self._since} AND v.started_at < {self._until}"
        )

    def sums(self, dimension: str, first: date, last: date, but: Days | None) -> str:
        """FROM and WHERE: what is summed up of the days from first to last, some left out."""
        days = [f"d.day >= {self.bind(first)} AND d.day <= {self.bind(last)}"]
        if but is not None:
            days.append(f"(d.day < {self.bind(but.first)} OR d.day > {self.bind(but.last)})")
        return f"FROM day_sums d WHERE d.site = {self._site} AND d.dimension = {self.bind(dimension)} AND {' AND '.join(days)}"

    def counts(self, kinds: Sequence[str]) -> str:
        """FROM and WHERE: the period's counters of these kinds."""
        chosen = ", ".join(self.bind(kind) for kind in kinds)
        return (
            f"FROM counts c WHERE c.site = {self._site} AND c.hour >= {self._since} AND c.hour < {self._until} "
            f"AND c.kind IN ({chosen})"
        )

    def day(self, moment: str) -> str:
        """The local day of a moment."""
        return self._bucket("day", moment)

    @staticmethod
    def flags() -> tuple[str, str]:
        """Whether the visit began, and whether it ended, on one of the rows of a group."""
        entered = f"max(CASE WHEN {IS_ENTRY} AND {IS_COUNTED} THEN 1 ELSE 0 END) AS entered"
        return entered, f"max(CASE WHEN {IS_EXIT} AND {IS_COUNTED} THEN 1 ELSE 0 END) AS leaving"

    @staticmethod
    def needs_events(query: Query) -> bool:
        """Whether its visits can be told from one another only by their events."""
        return any(scope in ("event", "goal") for scope in query.scopes)

    @staticmethod
    def by_goal(query: Query) -> bool:
        """Whether its rows are broken down by goal."""
        return any(key.scope == "goal" for key in query.keys)

    @staticmethod
    def without_goals(query: Query) -> Filter | None:
        """Its filter, with what it says of goals left out."""
        if query.filters is None:
            return None
        return replace_conditions(query.filters, lambda one: None if one.dimension == "goal" else one)

    def _beside(self, names: set[str], place: Place, joined: bool = False) -> str:
        """What events are joined with: their visits, and the goals."""
        asked = [get_dimension(name) for name in names]
        timed = any(goal.seconds for goal in self._goals) and (
            place.by_goal or any(one.scope == "goal" for one in asked)
        )
        tables = ""
        if joined or timed or any(one.scope == "visit" and not self._known(one) for one in asked):
            on = [f"v.site = {self._site}", "v.visit_id = e.visit_id", *self._begun("v.started_at", place.rows)]
            tables += f" JOIN visits v ON {' AND '.join(on)}"
        if place.by_goal:
            goals = [
                f"SELECT {self.bind(goal.name)} AS goal, {int(bool(goal.seconds))} AS once" for goal in self._goals
            ]
            tables += f" CROSS JOIN ({' UNION ALL '.join(goals) or 'SELECT NULL AS goal, 0 AS once'}) g"
        return tables

    def _within(self, place: Place) -> str:
        moment = MOMENT[place.rows]
        return f"{moment} >= {self._since} AND {moment} < {self._until}"

    def _meets_named(self) -> str:
        met = [f"(g.goal = {self.bind(goal.name)} AND {self._meets(goal)})" for goal in self._goals]
        return f"({' OR '.join(met)})" if met else "1 = 0"

    def _meets(self, goal: GoalConfig) -> str:
        return goal_condition(goal, self._dialect, self.bind)

    def _filter(self, found: Filter, place: Place) -> str:
        if isinstance(found, Condition):
            return self._condition(found, place)
        if found.operator in DONE:
            return self._done(found, place)
        parts = [self._filter(part, place) for part in found.parts]
        if found.operator == "not":
            return f"NOT ({parts[0]})"
        return f"({f' {found.operator.upper()} '.join(parts)})"

    def _done(self, join: Join, place: Place) -> str:
        """Whether the row's visit holds any event that fits, whenever that was."""
        inner = Place("events")
        names = {one.dimension for one in own_conditions(join.parts[0])}
        fits = self._filter(join.parts[0], inner)
        negated = "NOT " if join.operator == "has_not_done" else ""
        row = "v" if place.rows == "visits" else "e"
        where = [f"e.site = {self._site}", *self._begun("e.visit_started_at", place.rows), fits]
        return (
            f"{row}.visit_id {negated}IN (SELECT e.visit_id FROM events e{self._beside(names, inner)} "
            f"WHERE {' AND '.join(where)})"
        )

    def _begun(self, moment: str, rows: Rows) -> list[str]:
        """That a visit began when the visits of such rows did: what began at another time need not be looked for. Rows that
        count by their own time are of visits that have an event in the period, or near its edges; where events know their
        visits, looking for the first of these costs more than it spares."""
        if rows in ("visits", "matched"):
            return began_between(moment, self._since, self._until)
        if self._dialect.informed:
            return []
        until = self._just_after(self._until)
        return began_between(moment, first_begun(self._site, self._just_before(self._since), until), until)

    def _condition(self, condition: Condition, place: Place) -> str:
        negated = condition.operator.endswith("_not")
        operator = condition.operator.removesuffix("_not")
        dimension = get_dimension(condition.dimension)
        if dimension.scope == "goal" and not place.by_goal:
            chosen = find_goals(self._goals, operator, condition.values, condition.case_sensitive)
            fits = " OR ".join(self._meets(goal) for goal in chosen) or "1 = 0"
        else:
            texts = [self._written(dimension, place, value) for value in condition.values]
            pairs = zip(texts, condition.values, strict=True)
            fits = " OR ".join(self._compared(text, operator, value, condition) for text, value in pairs)
        return f"NOT ({fits})" if negated else f"({fits})"

    def _compared(self, text: str, operator: str, value: str, condition: Condition) -> str:
        if operator == "matches":
            pattern = self.bind(value if condition.case_sensitive else f"(?i){value}")
            return self._dialect.matches.format(text=text, pattern=pattern)
        bound = self.bind(value)
        if not condition.case_sensitive:
            text, bound = (self._dialect.lower.format(text=one) for one in (text, bound))
        return self._dialect.contains.format(text=text, part=bound) if operator == "contains" else f"{text} = {bound}"

    def _known(self, dimension: Dimension) -> bool:
        """Whether events have this quality of their visit themselves."""
        return self._dialect.informed and dimension.lasting

    def _text(self, dimension: Dimension, place: Place) -> str:
        if dimension.name.startswith(PROP):
            name = self.bind(self._dialect.prop_name(dimension.name.removeprefix(PROP)))
            return self._dialect.prop.format(props=dimension.column, name=name)
        if place.rows != "visits" and self._known(dimension):
            return dimension.column.replace("v.", "e.", 1)
        return dimension.column

    def _written(self, dimension: Dimension, place: Place, value: str) -> str:
        """A dimension's value on a row, as a filter's value writes it: hours with their offset from UTC or without."""
        if dimension.scope != "time":
            return self.key(dimension, place)
        moment = MOMENT[place.rows]
        if dimension.name != "hour":
            return f"cast({self._bucket(dimension.name, moment)} as varchar)"
        hour = self._dialect.local_hour.format(moment=self._local(moment))
        offset = [write_offset(piece.offset) for piece in self._pieces]
        return f"concat({hour}, {self._by_piece(moment, 'written', offset)})" if HAS_OFFSET.search(value) else hour

    def _bucket(self, interval: str, moment: str) -> str:
        """Days, weeks and months are named by local date; hours by their start in UTC, since an hour can come twice."""
        if interval == "day":
            return self._dialect.date.format(moment=moment, seconds=self._offset(moment))
        start = f"date_trunc('{interval}', {self._local(moment)})"
        if interval == "hour":
            return self._clipped(self._dialect.unshifted.format(moment=start, seconds=self._offset(moment)), moment)
        return f"cast({start} as date)"

    def _clipped(self, start: str, moment: str) -> str:
        """The start of an hour; where the clock changed, or the period begins, within it, of what came after that moment."""
        for number in odd_edges(self._pieces):
            edge = self.bind(naive_utc(self._pieces[number].starts_at), f"{self._own}begins_{number}")
            start = f"CASE WHEN {moment} >= {edge} AND {start} < {edge} THEN {edge} ELSE {start} END"
        return start

    def _daily(self, rows: Rows) -> str:
        """Who a row's visitor was, on the local day on which the visit began."""
        row = "v" if rows == "visits" else "e"
        return self._dialect.daily.format(day=self._day(MOMENT[rows]), row=row)

    def _day(self, moment: str) -> str:
        """The number of a moment's local day."""
        return self._dialect.day.format(moment=moment, seconds=self._offset(moment))

    def _local(self, moment: str) -> str:
        return self._dialect.shifted.format(moment=moment, seconds=self._offset(moment))

    def _offset(self, moment: str) -> str:
        """The offset from UTC that held at a row's moment."""
        return self._by_piece(moment, "offset", [piece.offset for piece in self._pieces])

    def _by_piece(self, moment: str, name: str, values: Sequence[object]) -> str:
        """That of the values that is of the piece of the period in which a row's moment lies."""
        bound = [self.bind(value, f"{self._own}{name}_{number}") for number, value in enumerate(values)]
        whens = [
            f"WHEN {moment} < {self.bind(naive_utc(piece.ends_at), f'{self._own}edge_{number}')} THEN {value}"
            for number, (piece, value) in enumerate(zip(self._pieces[:-1], bound, strict=False))
        ]
        return f"CASE {' '.join(whens)} ELSE {bound[-1]} END" if whens else bound[-1]


def _is_of_visit(name: str) -> bool:
    """Whether it is the same for all events of a visit, where they count when it began."""
    return get_dimension(name).scope in ("visit", "time")
