"""Follow visits from page to page, and keep what is about too few people to itself."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from gateway.analytics.page_flows import (
    EDGE,
    SIDES,
    FlowRow,
    PageFlow,
    Rest,
    Side,
    build_flow,
    build_rest,
    parse_pages,
)
from gateway.analytics.query import Query
from gateway.analytics.results import Period
from gateway.analytics.sql import Question
from gateway.analytics.store import Store
from gateway.flows.answer import FEW, answer, find_part
from gateway.flows.report import ReportParts
from gateway.flows.save_question import expand_segments


def follow_pages(query: Query, texts: Sequence[str], parts: ReportParts) -> PageFlow:
    """What came before and after these pages, `query.limit` rows on each side. Raises QueryError, StoreError.

    Pages of too few visitors stand together with those that found no row; where all of these are too few visitors
    together, the last row goes with them, since they would follow by subtraction.
    """
    pages = parse_pages(texts)
    query = expand_segments(query, parts.engine)
    query = query.asking(metrics=("daily_visitors",), dimensions=(), order_by=(), compare="")
    least = parts.analytics.min_visitors
    period = Period(query.first.isoformat(), query.last.isoformat(), query.timezone, query.interval)
    withheld = find_part(query.asking(dimensions=("page",)), least)
    if query.filters and not withheld:
        withheld = answer(query, parts.store, parts.analytics).withheld
    if withheld:
        return PageFlow(query.site, period, pages, withheld=withheld)
    question = build_flow(query, pages, parts.store.dialect)
    found_rows = [
        (str(side), _Row(str(page), *map(_int, counts))) for side, page, *counts in _fetch(parts.store, question)
    ]
    (visitors, visits, passes) = next(row for side, row in found_rows if not side)[1:]
    if 0 < visitors < least:
        return PageFlow(query.site, period, pages, withheld=FEW)
    if not passes:
        return PageFlow(query.site, period, pages, 0, 0, 0)
    asking = _Asking(parts.store, query, pages, passes, least)
    (before, came), (after, went) = (
        asking.side(one, [row for side, row in found_rows if side == one]) for one in SIDES
    )
    rest: dict[Side, Rest] = {side: one for side, one in zip(SIDES, (came, went), strict=True) if one}
    return PageFlow(query.site, period, pages, visitors, visits, passes, before, after, rest)


class _Row(NamedTuple):
    page: str
    visitors: int
    visits: int
    passes: int


class _Asking(NamedTuple):
    store: Store
    query: Query
    pages: Sequence[str]
    passes: int
    least: int

    def side(self, side: Side, rows: Sequence[_Row]) -> tuple[list[FlowRow], Rest | None]:
        """The rows that are told of, most passes first, and what is left."""
        ordered = sorted(rows, key=lambda row: (-row.passes, row.page))
        enough = [row for row in ordered if row.visitors >= self.least]
        edges = [row for row in enough if row.page == EDGE]
        shown = [*edges, *(row for row in enough if row.page != EDGE)][: self.query.limit]
        shown.sort(key=lambda row: -row.passes)
        while len(shown) < len(rows) and shown and 0 < self.others(side, [row.page for row in shown]) < self.least:
            shown.pop()
        told = [FlowRow(row.page, row.visitors, row.passes, row.passes / self.passes) for row in shown]
        left = self.passes - sum(row.passes for row in told)
        return told, Rest(left, left / self.passes) if left else None

    def others(self, side: Side, shown: Sequence[str]) -> int:
        """The visitors of all that stands in no row."""
        question = build_rest(self.query, self.pages, side, shown, self.store.dialect)
        [(visitors,)] = _fetch(self.store, question)
        return _int(visitors)


def _fetch(store: Store, question: Question) -> list[tuple[Any, ...]]:
    return store.fetch(question.sql, question.values)


def _int(value: Any) -> int:
    return int(value or 0)
