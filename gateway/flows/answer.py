"""Answer one question from the event store, and keep what is about too few people to itself.

Rows with fewer daily visitors than `min_visitors` are put together, and where those are too few in all, the smallest other
one with them: it would follow from the total, and so would they; a filter that fits fewer of them, or all but fewer,
is not answered, since what it leaves out would follow by subtraction; nor is what tells qualities of parts of days, which
could be taken from one another by the second. docs/analytics.md says what that protects and what it does not.
"""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from gateway.analytics.answers import Answer, AnswerRow, Figure
from gateway.analytics.dialect import Dialect
from gateway.analytics.dimensions import get_dimension
from gateway.analytics.filters import Condition, Filter, Join, conditions_of, join_filters
from gateway.analytics.goals import find_goals
from gateway.analytics.local_time import find_buckets, label_bucket
from gateway.analytics.query import Query
from gateway.analytics.sql import Question, build_answer, build_fewest, build_pattern, build_visitors
from gateway.analytics.store import Store
from gateway.errors import QueryError, StoreError
from gateway.settings import AnalyticsConfig, GoalConfig

Keys = tuple[str, ...]
Counting = Callable[[Query, Sequence[Filter], Dialect, Sequence[GoalConfig]], Question]
FEW, FEW_OTHERS, PART = "few", "few_others", "part_of_day"
MOST_COMPARED = 100_000
EVERYBODY = 2**62  # more than rows of too few visitors add up to
# Days of a longer period: where they have visitors enough, nobody need count those of all. Events take longer to read.
SAMPLED_VISITS, SAMPLED_EVENTS = 4, 1


def answer(query: Query, store: Store, config: AnalyticsConfig) -> Answer:
    """The query's rows. Raises QueryError for patterns and goals that there are none of, StoreError."""
    check_values(query, store, config)
    return _Asking(store, config).answer(query)


def find_part(query: Query, least: int) -> str:
    """PART where the question tells what visitors of a part of a day are like or did, else ""."""
    if least <= 1 or not _tells_qualities(query):
        return ""
    hours = any(condition.dimension == "hour" for condition in conditions_of(query.filters))
    by_hour = "hour" in query.dimensions and any(key.scope != "time" for key in query.keys)
    return PART if hours or by_hour or not query.whole else ""


def _tells_qualities(query: Query) -> bool:
    """Whether more is asked than how many there were, and for how long: what somebody has, or has done."""
    scopes = [get_dimension(condition.dimension).scope for condition in conditions_of(query.filters)]
    scopes += [key.scope for key in query.keys]
    return any(scope != "time" for scope in scopes) or _tells_goals(query)


def _tells_goals(query: Query) -> bool:
    return any(figure.of in ("conversions", "converted") or figure.unit == "money" for figure in query.figures)


def check_values(query: Query, store: Store, config: AnalyticsConfig) -> None:
    """What only configuration and store can say of a filter's values: goals that exist, patterns that can be used. Raises
    QueryError with all faults, and StoreError where the store cannot say."""
    goals = [goal.name for goal in config.goals]
    faults = []
    for condition in conditions_of(query.filters):
        if condition.dimension == "goal" and condition.operator in ("is", "is_not"):
            sensitive = condition.case_sensitive
            unknown = [value for value in condition.values if not find_goals(config.goals, "is", (value,), sensitive)]
            faults += [f"goal {value!r} is not configured; known: {', '.join(goals) or 'none'}" for value in unknown]
        if condition.operator.startswith("matches"):
            faults += [fault for fault in (_pattern_fault(value, store) for value in condition.values) if fault]
    if faults:
        raise QueryError(faults)


def _pattern_fault(pattern: str, store: Store) -> str:
    try:
        _ask(store, build_pattern(pattern, store.dialect))
    except StoreError as error:
        # Where this raises too, the store is down: no fault of the pattern.
        _ask(store, build_pattern("", store.dialect))
        return f"filter pattern {pattern[:80]!r} cannot be used: {error.__cause__ or error}"
    return ""


class _Asking:
    def __init__(self, store: Store, config: AnalyticsConfig) -> None:
        self._store, self._goals, self._least = store, config.goals, config.min_visitors

    def answer(self, query: Query) -> Answer:
        """Rows, what they leave out, and the figures compared with."""
        withheld = find_part(query, self._least) or self._withheld(query)
        if withheld:
            return Answer([], withheld=withheld)
        folding = self._least > 1 and any(key.scope != "time" for key in query.keys)
        told = query.filters is not None or ("hour" in query.dimensions and _tells_goals(query))
        hide = self._least > 1 and (folding or told)
        hidden = self._hidden(query) if folding else set()
        rows, others, all_rows = self._rows(_without(query, hidden), self._least if folding else 0, hide)
        if query.compared is not None:
            rows = self._compare(rows, query, query.compared, hide)
        return Answer(rows, [*others, *_withheld_others(query, hidden)], all_rows)

    def _hidden(self, query: Query) -> set[Keys]:
        """The days, weeks and months that a filter leaves too few visitors on: by whatever else they are broken down, they
        tell no more than by themselves."""
        times = _times(query)
        if query.filters is None or len(times) in (0, len(query.dimensions)):
            return set()
        asked = query.asking(dimensions=times, order_by=(), compare="")
        return {row.keys for row in self._rows(asked, 0, True)[0] if row.few}

    def _withheld(self, query: Query) -> str:
        if query.filters is None or self._least <= 1:
            return ""
        quick = [query.filters, *_left_out(query.filters, quick=True)]
        of_visits = all(get_dimension(one.dimension).scope == "visit" for one in conditions_of(query.filters))
        days = SAMPLED_VISITS if of_visits else SAMPLED_EVENTS
        middle = query.first + (query.last - query.first) // 2
        part = query.asking(first=middle, last=min(query.last, middle + timedelta(days=days - 1)))
        if all(count >= self._least for count in self._count(build_fewest, part, quick)):
            return ""
        fitting, *others = self._count(build_visitors, query, [query.filters, *_left_out(query.filters)])
        if 0 < fitting < self._least:
            return FEW
        return FEW_OTHERS if any(0 < count < self._least for count in others) else ""

    def _count(self, build: Counting, query: Query, filters: Sequence[Filter]) -> list[int]:
        question = build(query, filters, self._store.dialect, self._goals)
        return [int(count) for count in _ask(self._store, question)[0]]

    def _rows(self, query: Query, least: int, hide: bool) -> tuple[list[AnswerRow], list[AnswerRow], int]:
        """Rows of at least so many visitors, what all others have in common, and how many rows there are of the first in all.

        `hide`: those with too few visitors tell no figures. Of time, nor do those that would tell theirs by subtraction.
        """
        width, rows, others, all_rows = len(query.dimensions), list[AnswerRow](), list[AnswerRow](), 0
        whole = hide and width > 0 and all(key.scope == "time" for key in query.keys)
        asked, counts = query.asking(limit=MOST_COMPARED, offset=0) if whole else query, list[int]()
        for *values, visitors, _, counted, folded in self._answered(asked, least):
            keys, figures = tuple(_label(key, query) for key in values[:width]), values[width:]
            if folded:
                others += [AnswerRow(keys, tuple(map(_plain, figures)))] if any(figures) else []
                continue
            all_rows = counted
            few = hide and width > 0 and visitors < self._least and any(figures)
            rows.append(AnswerRow(keys, tuple(None if few else _plain(figure) for figure in figures), few))
            counts.append(visitors)
        if not rows and asked.offset:  # past the last page: how many there are is told with rows alone
            all_rows = self._rows(query.asking(offset=0, limit=1), least, hide)[2]
        if whole:
            rows = self._hide_beside(rows, counts)[query.offset : query.offset + query.limit]
        return rows, others, all_rows

    def _hide_beside(self, rows: list[AnswerRow], visitors: Sequence[int]) -> list[AnswerRow]:
        """Where what is withheld in all is of one row, or of too few visitors, the smallest other row goes with it: the total
        would tell the rest."""
        hidden = [number for number, row in enumerate(rows) if row.few]
        if not hidden or (len(hidden) > 1 and sum(visitors[number] for number in hidden) >= self._least):
            return rows
        shown = [number for number, row in enumerate(rows) if not row.few and any(row.figures)]
        if shown:
            smallest = min(shown, key=lambda number: visitors[number])
            rows[smallest] = replace(rows[smallest], figures=(None,) * len(rows[smallest].figures), few=True)
        return rows

    def _answered(self, query: Query, least: int) -> list[tuple[Any, ...]]:
        """Where rows of too few visitors are rare, what they have in common is asked for only where there are any. Where these
        are too few people, the smallest other row goes with them: by the day, at first on days where the rows add up to too
        few, then, where each of them is in several rows, on any. That is rare, and is looked for only where it is."""
        if least and all(key.narrow for key in query.keys):
            rows = self._answered(query, 0)
            if rows and rows[0][-3] >= least:
                return rows
        rows = self._asked(query, least, 0)
        for together in (least, EVERYBODY) if _times(query) else (EVERYBODY,):
            told = query.offset or any(not folded for *_, folded in rows)
            few = any(folded and visitors < least for *_, visitors, _, _, folded in rows)
            if not (least and told and few):
                break
            rows = self._asked(query, least, together)
        return rows

    def _asked(self, query: Query, least: int, together: int) -> list[tuple[Any, ...]]:
        summed = None if query.filters else self._store.summed_days(query.site, query.timezone)
        question = build_answer(query, self._store.dialect, self._goals, least, together, summed or frozenset())
        return _ask(self._store, question)

    def _compare(self, rows: Sequence[AnswerRow], query: Query, before: Query, hide: bool) -> list[AnswerRow]:
        """Each row with the figures of the row of the same keys; hours, days ... go by their number in the period."""
        if self._withheld(before):
            return list(rows)
        asked = before.only(_among(rows, query)).asking(limit=MOST_COMPARED, offset=0, order_by=())
        figures = {row.keys: None if row.few else row.figures for row in self._rows(asked, 0, hide)[0]}
        nothing: tuple[Figure, ...] = tuple(0 if metric.unit == "count" else None for metric in query.figures)
        earlier, hidden = earlier_labels(query, before), self._hidden(before) if hide else set()
        places = [query.dimensions.index(name) for name in _times(query)]

        def compared(row: AnswerRow) -> tuple[Figure, ...] | None:
            keys = tuple(earlier.get(key, key) for key in row.keys)
            return None if tuple(keys[place] for place in places) in hidden else figures.get(keys, nothing)

        return [replace(row, compared=compared(row)) for row in rows]


def _left_out(found: Filter, *, quick: bool = False) -> list[Filter]:
    """For each condition that has to hold, those who fulfil all others but not this one: by event, and by visit.

    What is said of time is no quality of a visitor, and narrows the period only. `quick`: of those by event only the ones by
    visit, who are among them.
    """
    parts = found.parts if isinstance(found, Join) and found.operator == "and" else (found,)
    left: list[Filter] = []
    for number, part in enumerate(parts):
        scopes = {get_dimension(condition.dimension).scope for condition in conditions_of(part)}
        if "time" in scopes:
            continue
        rest = [other for place, other in enumerate(parts) if place != number]
        ways = ("not", "has_not_done") if scopes & {"event", "goal"} else ("not",)
        ways = ways[-1:] if quick else ways
        left += [Join("and", (*rest, Join(way, (part,)))) for way in ways]
    return left


def _times(query: Query) -> Keys:
    return tuple(key.name for key in query.keys if key.scope == "time")


def at_times(names: Sequence[str], keys: Sequence[str]) -> list[Condition]:
    """What leaves of these dimensions of time only one hour, day, week or month."""
    return [Condition("is", name, (key,)) for name, key in zip(names, keys, strict=True)]


def _without(query: Query, hidden: set[Keys]) -> Query:
    """The question without these of its days, weeks and months."""
    each = tuple(Join("and", tuple(at_times(_times(query), keys))) for keys in sorted(hidden))
    return query.only(Join("not", (Join("or", each),))) if each else query


def _withheld_others(query: Query, hidden: set[Keys]) -> list[AnswerRow]:
    """For each of these times a row that says so."""
    nothing = (None,) * len(query.metrics)
    found = [dict(zip(_times(query), keys, strict=True)) for keys in sorted(hidden)]
    return [AnswerRow(tuple(keys.get(name, "") for name in query.dimensions), nothing, True) for keys in found]


def _among(rows: Sequence[AnswerRow], query: Query) -> Filter | None:
    """Only what the rows are of: a question about another period need not find more."""
    conditions = [
        Condition("is", key.name, tuple({row.keys[place]: None for row in rows}))
        for place, key in enumerate(query.keys)
        if key.scope != "time"
    ]
    return join_filters(*conditions) if rows else None


def earlier_labels(query: Query, before: Query) -> dict[str, str]:
    """For each hour, day, week or month of the period the one of the same number in the period before."""
    found: dict[str, str] = {}
    for key in query.keys:
        if key.scope == "time":
            pairs = zip(find_buckets(query, key.name), find_buckets(before, key.name), strict=False)
            found |= {_label(now.key, query): _label(then.key, query) for now, then in pairs}
    return found


def _label(key: Any, query: Query) -> str:
    return label_bucket(key, query.timezone) if isinstance(key, date) else str(key)


def _plain(figure: Any) -> Figure:
    return int(figure) if isinstance(figure, Decimal) else figure


def _ask(store: Store, question: Question) -> list[tuple[Any, ...]]:
    return store.fetch(question.sql, question.values)
