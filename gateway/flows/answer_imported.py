"""Answer one question from what the gateway counted and, for days before that, from what another tool did.

An imported day counts only before the first day of which the store holds anything, so that no day counts twice. Few people are
put together here as `answer` does it, of both parts together.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import astuple, replace
from sqlalchemy import Engine

from gateway.analytics.answers import Answer, AnswerRow, Figure, Imported
from gateway.analytics.filters import Condition, Join
from gateway.analytics.imported_days import SUMS, ImportedDays, Sums, can_tell, find_imported_days, read_sums
from gateway.analytics.local_time import start_of
from gateway.analytics.period import midnight
from gateway.analytics.query import Query
from gateway.analytics.store import Store, naive_utc
from gateway.flows.answer import EVERYBODY, MOST_COMPARED, answer, at_times, earlier_labels, find_part
from gateway.settings import AnalyticsConfig

FIRST_OWN = (
    "SELECT min(started_at) FROM visits WHERE site = $site AND started_at < $before",
    "SELECT min(happened_at) FROM events WHERE site = $site AND happened_at < $before",
)
COUNTS = {"daily_visitors": "visitors", "visits": "visits", "page_views": "views", "events": "events"}
RATIOS = {"views_per_visit": "views", "bounce_rate": "bounces", "wall_duration": "seconds"}  # each by visits
Keys = tuple[str, ...]


def answer_all(query: Query, store: Store, engine: Engine, config: AnalyticsConfig) -> Answer:
    """As `answer`, with imported days. Raises what it raises, and what the database does."""
    if not query.imports or find_part(query, config.min_visitors):
        return answer(query, store, config)
    asking = _Asking(store, engine, config)
    before = query.compared
    now, then = asking.find(query), None if before is None else asking.find(before)
    days = now or then
    if days is None:
        return answer(query, store, config)
    left_out = can_tell(query)
    if left_out:
        return replace(answer(query, store, config), imported=_describe(days, left_out))
    rows, others, all_rows, lacking = asking.answer(query, now, then)
    return Answer(rows, others, all_rows, imported=_describe(days, "", lacking))


class _Part(msgspec.Struct):
    """A row's own figures, by metric, and the sums of its imported days."""

    own: dict[str, Figure]
    sums: Sums | None = None


class _Found(NamedTuple):
    rows: list[AnswerRow]
    others: list[AnswerRow]
    all_rows: int
    lacking: tuple[str, ...]


class _Asking:
    def __init__(self, store: Store, engine: Engine, config: AnalyticsConfig) -> None:
        self._store, self._engine, self._config = store, engine, config
        self._open = replace(config, min_visitors=1)

    def find(self, query: Query) -> ImportedDays | None:
        """The imported days of the period that lie before the first own day."""
        found = find_imported_days(query, None, self._engine)
        if found is None:
            return None
        first = self._first_own_day(query, found.last)
        return found if first is None else find_imported_days(query, first, self._engine)

    def _first_own_day(self, query: Query, last: date) -> date | None:
        """The first local day with anything of the gateway's own, where that is not after the `last` imported one."""
        until = {"site": query.site, "before": naive_utc(midnight(last + timedelta(days=1), query.timezone))}
        moments = [row[0] for sql in FIRST_OWN for row in self._store.fetch(sql, {**until})]
        there = [at for at in moments if isinstance(at, datetime)]
        return min(there).replace(tzinfo=UTC).astimezone(ZoneInfo(query.timezone)).date() if there else None

    def answer(self, query: Query, now: ImportedDays | None, then: ImportedDays | None) -> _Found:
        """Both parts, row by row, with the imported days of the period and of the one compared with."""
        folding = self._config.min_visitors > 1 and any(key.scope != "time" for key in query.keys)
        parts, least = self._read(query, now), self._config.min_visitors if folding else 0
        few = _find_few(query, parts, least, least)
        others = self._others(query, {keys: parts[keys] for keys in few})
        if any(0 < _visitors(part) < least for part in others.values()):
            few = _find_few(query, parts, least, EVERYBODY)
            others = self._others(query, {keys: parts[keys] for keys in few})
        rows = [AnswerRow(keys, _join(query, part)) for keys, part in parts.items() if keys not in few]
        page = _order(rows, query)
        if query.dimensions:
            page = page[query.offset : query.offset + query.limit]
        if query.compared is not None:
            page = self._compare(page, query, query.compared, then, folding)
        told = [part.sums for part in parts.values() if part.sums is not None]
        lacking = tuple(name for name in query.metrics if not all(_tells(sums, name) for sums in told))
        together = [AnswerRow(keys, _join(query, part)) for keys, part in sorted(others.items())]
        return _Found(page, [row for row in together if any(row.figures)], len(rows), lacking)

    def _read(self, query: Query, found: ImportedDays | None) -> dict[Keys, _Part]:
        """Every row of either part, nothing put together yet."""
        metrics = tuple(dict.fromkeys((*query.metrics, "daily_visitors", "visits")))
        whole = query.asking(metrics=metrics, limit=MOST_COMPARED, offset=0, order_by=(), compare="")
        own = answer(whole, self._store, self._open)
        parts = {row.keys: _Part(dict(zip(metrics, row.figures, strict=True))) for row in own.rows}
        if found is not None:
            for day, name, sums in read_sums(query, found, self._engine):
                part = parts.setdefault(_keys(query, day, name), _Part({}))
                part.sums = sums if part.sums is None else _add(part.sums, sums)
        return parts

    def _others(self, query: Query, few: dict[Keys, _Part]) -> dict[Keys, _Part]:
        """What rows of too few visitors have in common: of imported days what they add up to, of own days exactly."""
        if not few:
            return {}
        named = next(place for place, key in enumerate(query.keys) if key.scope != "time")
        times = tuple(key.name for key in query.keys if key.scope == "time")
        own = defaultdict[Keys, list[str]](list)
        for keys, part in few.items():
            if part.own:
                own[keys[:named] + keys[named + 1 :]].append(keys[named])
        each = [
            Join("and", (*at_times(times, rest), Condition("is", query.dimensions[named], tuple(names))))
            for rest, names in own.items()
        ]
        asked = query.asking(dimensions=times).only(Join("or", tuple(each))) if each else None
        joined = self._read(asked, None) if asked else {}
        for keys, part in few.items():
            rest = keys[:named] + keys[named + 1 :]
            if part.sums is not None:
                one = joined.setdefault(rest, _Part({}))
                one.sums = part.sums if one.sums is None else _add(one.sums, part.sums)
        return {(*keys[:named], "", *keys[named:]): part for keys, part in joined.items()}

    def _compare(
        self, rows: Sequence[AnswerRow], query: Query, before: Query, found: ImportedDays | None, folding: bool
    ) -> list[AnswerRow]:
        parts, earlier = self._read(before, found), earlier_labels(query, before)
        nothing: tuple[Figure, ...] = tuple(0 if metric.unit == "count" else None for metric in query.figures)

        def compared(row: AnswerRow) -> tuple[Figure, ...] | None:
            part = parts.get(tuple(earlier.get(key, key) for key in row.keys))
            if part is None:
                return nothing
            few = folding and 0 < _visitors(part) < self._config.min_visitors
            return None if few else _join(query, part)

        return [replace(row, compared=compared(row)) for row in rows]


def _find_few(query: Query, parts: dict[Keys, _Part], least: int, together: int) -> set[Keys]:
    """The rows of fewer visitors than `least`; where those of a time add up to fewer than `together`, the smallest other."""
    times = [place for place, key in enumerate(query.keys) if key.scope == "time"]
    found, beside = set[Keys](), defaultdict[Keys, list[Keys]](list)
    for keys in parts:
        beside[tuple(keys[place] for place in times)].append(keys)
    for group in beside.values():
        few = [keys for keys in group if _visitors(parts[keys]) < least]
        found.update(few)
        if 0 < len(few) < len(group) and sum(_visitors(parts[keys]) for keys in few) < together:
            rest = set(group).difference(few)
            found.add(min(rest, key=lambda keys: (_visitors(parts[keys]), keys)))
    return found


def _figure(name: str, part: _Part) -> Figure:
    """A metric of both parts together. What imported days do not tell is of own days alone; without any it is unknown."""
    own, sums = part.own.get(name), part.sums
    if sums is None:
        return own
    if not _tells(sums, name):
        return own if any(part.own.values()) else None
    if name in COUNTS:
        return (own or 0) + int(getattr(sums, COUNTS[name]))
    mine = int(part.own.get("visits") or 0)
    visits = mine + (sums.visits or 0)
    return (mine * (own or 0) + int(getattr(sums, RATIOS[name]))) / visits if visits else None


def _tells(sums: Sums, name: str) -> bool:
    if name in RATIOS:
        return sums.visits is not None and getattr(sums, RATIOS[name]) is not None
    return name in COUNTS and getattr(sums, COUNTS[name]) is not None


def _join(query: Query, part: _Part) -> tuple[Figure, ...]:
    return tuple(_figure(name, part) for name in query.metrics)


def _order(rows: list[AnswerRow], query: Query) -> list[AnswerRow]:
    """In the query's order, or by the first metric, what is missing last; rows of time by time."""
    orders = [(order.name, order.descending) for order in query.order_by]
    if not orders and query.keys and query.keys[0].scope != "time":
        orders = [(query.metrics[0], True)]
    orders += [(name, False) for name in query.dimensions if name not in dict(orders)]
    for name, down in reversed(orders):
        rows = _by(rows, query, name, down)
    return rows


def _by(rows: list[AnswerRow], query: Query, name: str, down: bool) -> list[AnswerRow]:
    def value(row: AnswerRow) -> Any:
        return (
            row.keys[query.dimensions.index(name)]
            if name in query.dimensions
            else row.figures[query.metrics.index(name)]
        )

    there = [row for row in rows if value(row) is not None]
    return sorted(there, key=value, reverse=down) + [row for row in rows if value(row) is None]


def _visitors(part: _Part) -> int:
    return int(_figure("daily_visitors", part) or 0)


def _describe(days: ImportedDays, left_out: str, lacking: tuple[str, ...] = ()) -> Imported:
    return Imported(days.source, days.first.isoformat(), days.last.isoformat(), days.days, left_out, lacking)


def _keys(query: Query, day: date | None, name: str) -> Keys:
    return tuple(start_of(day, key.name).isoformat() if key.scope == "time" and day else name for key in query.keys)


def _add(one: Sums, other: Sums) -> Sums:
    pairs = zip(SUMS[1:], astuple(one)[1:], astuple(other)[1:], strict=True)
    rest = {name: None if a is None or b is None else a + b for name, a, b in pairs}
    return Sums(one.visitors + other.visitors, **rest)
