"""Answer an operator's question: one way to the figures, for console, API and command line.

Events and counters come from the store, choices from the ledger, queues from the outbox. Each figure is asked of what
is there at that moment; while entries are being drained, figures of one report can lie a fraction of a second apart.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Engine, select

from gateway.analytics.metrics import DIMENSIONS, SERIES, TOTALS, Table
from gateway.analytics.query import Query
from gateway.analytics.results import (
    ConsentFigures,
    CountRow,
    Period,
    Point,
    QueueState,
    Report,
    Row,
    Totals,
)
from gateway.analytics.sql import (
    Question,
    build_breakdown,
    build_counts,
    build_series,
    build_totals,
    find_buckets,
)
from gateway.analytics.store import Store
from gateway.database import LEDGER, reading
from gateway.destinations.figures import queue_figures
from gateway.flows.counters import SECOND_BANNER
from gateway.settings import DestinationConfig

DROPPED = ("dropped", "refused_request")
HELD = ("held", "would_hold", SECOND_BANNER)
SHOWN = ("shown",)
ELSEWHERE = ("refused_elsewhere",)
CHOICE = "choice"
WITHDRAWN = "withdrawn"
STREAMED_ROWS = 1000


@dataclass(frozen=True)
class ReportParts:
    """What a report is made from: the event store, the database of ledger and outbox, and who is told."""

    store: Store
    engine: Engine
    destinations: Sequence[DestinationConfig]


class ChoiceMade(msgspec.Struct):
    """What reports need of a ledger record's body; records from before `again` was kept are answers."""

    choice: str = ""
    outcome: str = ""
    granted: list[str] = []
    refused: list[str] = []
    withdrawn: list[str] = []
    language: str = ""
    again: bool = False


_choice = msgspec.json.Decoder(ChoiceMade)


def report(query: Query, parts: ReportParts) -> Report:
    """All figures of one site and period. Raises StoreError, or what the database raises."""
    store = parts.store
    return Report(
        site=query.site,
        period=Period(query.first.isoformat(), query.last.isoformat(), query.timezone, query.interval),
        totals=find_totals(query, store),
        series=find_series(query, store),
        breakdowns={dimension.name: find_breakdown(query, dimension.name, store) for dimension in DIMENSIONS},
        consent=find_consent(query, parts),
        dropped=find_counts(query, DROPPED, store),
        held=find_counts(query, HELD, store),
        destinations=find_queues(parts),
    )


def find_totals(query: Query, store: Store) -> Totals:
    """The figures of the whole period."""
    figures: dict[str, Any] = {}
    for table, metrics in TOTALS.items():
        rows = _ask(store, build_totals(query, table))
        figures |= dict(zip(metrics, rows[0], strict=True))
    return msgspec.convert(figures, Totals, strict=False)


def find_series(query: Query, store: Store) -> list[Point]:
    """A point for each day or hour of the period, those without anything included."""
    answers = {table: _by_bucket(query, table, store) for table in SERIES}
    points: list[Point] = []
    for bucket in find_buckets(query):
        figures: dict[str, Any] = {}
        for table, metrics in SERIES.items():
            figures |= dict(zip(metrics, answers[table].get(bucket.key, [0] * len(metrics)), strict=True))
        points.append(Point(at=bucket.label, **figures))
    return points


def find_breakdown(query: Query, dimension: str, store: Store) -> list[Row]:
    """The rows of a dimension, those with most visitors first."""
    rows = _ask(store, build_breakdown(query, dimension))
    return [Row(name, visitors, visits, int(views), seconds) for name, visitors, visits, views, seconds in rows]


def find_consent(query: Query, parts: ReportParts) -> ConsentFigures:
    """What visitors chose in the period, from the ledger; how often they were asked, from the counters.

    A choice that took back at least one purpose is a withdrawal, and counts as accepted in part when it kept another.
    """
    outcomes: Counter[str] = Counter()
    for _, choice in stream_choices(query, parts.engine):
        outcomes[choice.outcome] += 1
        outcomes[WITHDRAWN] += bool(choice.withdrawn) and choice.outcome != WITHDRAWN
    yes = outcomes["accepted"] + outcomes["partly"]
    chose = yes + outcomes["refused"]
    return ConsentFigures(
        shown=sum(row.count for row in find_counts(query, SHOWN, parts.store)),
        accepted=outcomes["accepted"],
        partly=outcomes["partly"],
        refused=outcomes["refused"],
        withdrawn=outcomes[WITHDRAWN],
        rate=yes / chose if chose else None,
        elsewhere=sum(row.count for row in find_counts(query, ELSEWHERE, parts.store)),
    )


def stream_choices(query: Query, engine: Engine) -> Iterator[tuple[float, ChoiceMade]]:
    """The choices recorded in the period, each with its time."""
    found = select(LEDGER.c.at, LEDGER.c.body).where(
        LEDGER.c.site == query.site,
        LEDGER.c.kind == CHOICE,
        LEDGER.c.at >= query.starts_at,
        LEDGER.c.at < query.ends_at,
    )
    with reading(engine) as connection:
        for at, body in connection.execute(found.execution_options(yield_per=STREAMED_ROWS)):
            yield at, _choice.decode(body)


def find_counts(query: Query, kinds: Sequence[str], store: Store) -> list[CountRow]:
    """The period's counters of these kinds, the largest first."""
    return [CountRow(*row) for row in _ask(store, build_counts(query, kinds))]


def find_queues(parts: ReportParts) -> list[QueueState]:
    """How each destination's deliveries stand now, whatever the period."""
    figures = queue_figures(parts.engine, parts.destinations)
    return [msgspec.convert(one, QueueState, from_attributes=True) for one in figures]


def _by_bucket(query: Query, table: Table, store: Store) -> dict[Any, Sequence[Any]]:
    return {row[0]: row[1:] for row in _ask(store, build_series(query, table))}


def _ask(store: Store, question: Question) -> list[tuple[Any, ...]]:
    return store.fetch(question.sql, question.values)
