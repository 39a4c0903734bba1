"""Follow visits from page to page, and keep what is about too few people to itself."""

from collections.abc import Sequence
from typing import Any

from gateway.analytics.page_flows import (
    EDGE,
    SIDES,
    FlowRow,
    PageFlow,
    Rest,
    Side,
    build_passes,
    build_side,
    parse_pages,
)
from gateway.analytics.query import Query
from gateway.analytics.results import Period
from gateway.analytics.store import Store
from gateway.flows.answer import FEW, answer
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
    found = answer(query, parts.store, parts.analytics) if query.filters else None
    if found and found.withheld:
        return PageFlow(query.site, period, pages, withheld=found.withheld)
    visitors, visits, passes = _ask(parts.store, query, pages)
    if 0 < visitors < least:
        return PageFlow(query.site, period, pages, withheld=FEW)
    if not passes:
        return PageFlow(query.site, period, pages, 0, 0, 0)
    (before, came), (after, went) = (_side(parts.store, query, pages, side, passes, least) for side in SIDES)
    rest: dict[Side, Rest] = {side: one for side, one in zip(SIDES, (came, went), strict=True) if one}
    return PageFlow(query.site, period, pages, visitors, visits, passes, before, after, rest)


def _ask(store: Store, query: Query, pages: Sequence[str]) -> tuple[int, int, int]:
    question = build_passes(query, pages, store.dialect)
    [(visitors, visits, passes)] = store.fetch(question.sql, question.values)
    return _int(visitors), _int(visits), _int(passes)


def _side(
    store: Store, query: Query, pages: Sequence[str], side: Side, passes: int, least: int
) -> tuple[list[FlowRow], Rest | None]:
    question = build_side(query, pages, side, dialect=store.dialect)
    rows = [(str(page), _int(who), _int(often)) for page, who, often in store.fetch(question.sql, question.values)]
    enough = [row for row in rows if row[1] >= least]
    edges = [row for row in enough if row[0] == EDGE]
    shown = [*edges, *(row for row in enough if row[0] != EDGE)][: query.limit]
    shown.sort(key=lambda row: -row[2])
    rest = len(shown) < len(rows)
    while rest and shown and 0 < _others(store, query, pages, side, [page for page, *_ in shown]) < least:
        shown.pop()
    told = [FlowRow(page, who, often, often / passes) for page, who, often in shown]
    left = passes - sum(row.passes for row in told)
    return told, Rest(left, left / passes) if left else None


def _others(store: Store, query: Query, pages: Sequence[str], side: Side, shown: Sequence[str]) -> int:
    """The visitors of all that stands in no row."""
    question = build_side(query, pages, side, shown, store.dialect)
    [(_, visitors, _)] = store.fetch(question.sql, question.values)
    return _int(visitors)


def _int(value: Any) -> int:
    return int(value or 0)
