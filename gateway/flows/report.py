"""Answer an operator's question: one way to the figures, for console, API and command line.

Events and counters come from the store, choices from the ledger, queues from the outbox. Each figure is asked of what
is there at that moment; while entries are being drained, figures of one report can lie a fraction of a second apart.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace
from sqlalchemy import Engine, select

from gateway.analytics.answers import Answer, AnswerRow, Figure, Imported
from gateway.analytics.dimensions import get_dimension
from gateway.analytics.imported_days import TOLD_DIMENSIONS
from gateway.analytics.local_time import find_buckets, label_bucket
from gateway.analytics.metrics import BREAKDOWNS, MEASURES, SERIES, TOTALS
from gateway.analytics.month_sketch import STANDARD_ERROR, MonthVisitors, estimate_month
from gateway.analytics.query import Query
from gateway.analytics.results import (
    HIDDEN,
    BotRow,
    Compared,
    ConsentFigures,
    CountRow,
    Measures,
    Money,
    PageCount,
    PagesCounted,
    Period,
    Point,
    QueueState,
    Report,
    Row,
    Totals,
)
from gateway.analytics.sql import build_count_sums, build_counts
from gateway.analytics.store import Store
from gateway.analytics.visitor import MONTH
from gateway.database import LEDGER, reading
from gateway.destinations.figures import queue_figures
from gateway.flows.annotate import find_notes
from gateway.flows.answer import find_part
from gateway.flows.answer_imported import answer_all
from gateway.flows.counters import ASSERTED, BOT, ELSEWHERE, PAGE, RATE, SECOND_BANNER, WITH_CONSENT
from gateway.flows.save_question import expand_segments
from gateway.settings import AnalyticsConfig, DestinationConfig

DROPPED = ("dropped", "refused_request")
HELD = ("held", "would_hold", SECOND_BANNER)
SHOWN = ("shown",)
CHOICE = "choice"
WITHDRAWN = "withdrawn"
STREAMED_ROWS = 1000
MAX_POINTS = 2000
EXAMPLES = 3
ROW = ("daily_visitors", "visits", "page_views")
MORE = {"event": ("events",), "goal": ("conversions", "conversion_rate")}  # what rows of these tell besides


@dataclass(frozen=True)
class ReportParts:
    """What a report is made from: the event store, the database of ledger and outbox, who is told, and what the
    configuration says of figures."""

    store: Store
    engine: Engine
    destinations: Sequence[DestinationConfig]
    analytics: AnalyticsConfig


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
    """All figures of one site and period. Raises QueryError, StoreError, or what the database raises."""
    query = expand_segments(query, parts.engine)
    store, found = parts.store, ask(query.asking(metrics=TOTALS, dimensions=(), order_by=()), parts)
    apart = find_part(query.asking(dimensions=BREAKDOWNS[:1]), parts.analytics.min_visitors)
    series = find_series(query, parts)
    broken = {} if found.withheld or apart else {one: find_breakdown(query, one, parts) for one in BREAKDOWNS}
    return Report(
        site=query.site,
        period=Period(query.first.isoformat(), query.last.isoformat(), query.timezone, query.interval),
        totals=HIDDEN if found.withheld else _totals(found.rows[0].figures if found.rows else ()),
        series=series,
        breakdowns={one: broken[one].rows if broken else [] for one in BREAKDOWNS},
        consent=find_consent(query, parts),
        dropped=find_counts(query, DROPPED, store),
        asserted=find_counts(query, (ASSERTED,), store),
        held=find_counts(query, HELD, store),
        bots=find_bots(query, store),
        destinations=find_queues(parts),
        others={one: part.others for one, part in broken.items() if part.others},
        withheld=found.withheld,
        compared=_compared(query, found, parts),
        measures=Measures() if found.withheld else find_measures(query, parts),
        revenue=[] if found.withheld else find_revenue(query, parts),
        pages=find_pages(query, parts),
        notes=find_notes(query, parts.engine),
        month=find_month(query, series, parts),
        imported=find_imported(query, found),
        rows_withheld=apart,
    )


def ask(query: Query, parts: ReportParts) -> Answer:
    """The answer to one question, imported days included."""
    return answer_all(query, parts.store, parts.engine, parts.analytics)


def find_imported(query: Query, found: Answer) -> Imported | None:
    """What is to be said of imported days for the report as a whole, from what its totals were answered with."""
    if found.imported is None or found.imported.left_out:
        return found.imported
    unknown = tuple(one for one in BREAKDOWNS if one not in TOLD_DIMENSIONS)
    hours = ("hour",) if query.interval == "hour" else ()
    return replace(found.imported, lacking=(*found.imported.lacking, *unknown, *hours))


def _totals(figures: Sequence[Figure]) -> Totals:
    return msgspec.convert(dict(zip(TOTALS, figures, strict=True)), Totals, strict=False) if figures else Totals()


def _compared(query: Query, found: Answer, parts: ReportParts) -> Compared | None:
    """The period before and its figures; where this one's are withheld, there is nothing to compare."""
    before = query.compared
    if before is None or found.withheld:
        return None
    figures = found.rows[0].compared if found.rows else None
    totals, series = None if figures is None else _totals(figures), find_series(before, parts)
    return Compared(before.first.isoformat(), before.last.isoformat(), totals, series)


def find_series(query: Query, parts: ReportParts) -> list[Point]:
    """A point for each day or hour of the period, those without anything included."""
    whole = query.asking(limit=MAX_POINTS, offset=0, order_by=(), compare="")
    found = ask(whole.asking(metrics=SERIES, dimensions=(query.interval,)), parts)
    hidden, nothing = (None,) * len(SERIES), (0,) * len(SERIES)
    figures = {row.keys[0]: hidden if row.few else row.figures for row in found.rows}
    points = []
    for bucket in find_buckets(query, query.interval):
        values = figures.get(label_bucket(bucket.key, query.timezone), hidden if found.withheld else nothing)
        points.append(Point(bucket.label, *(None if value is None else int(value) for value in values)))
    return points


def find_measures(query: Query, parts: ReportParts) -> Measures:
    """How far pages were seen, and how they did."""
    asked = query.asking(metrics=MEASURES, dimensions=(), order_by=(), compare="")
    found = ask(asked, parts)
    return Measures(*found.rows[0].figures) if found.rows else Measures()


def find_revenue(query: Query, parts: ReportParts) -> list[Money]:
    """What events were worth, by currency, the largest first; those of too few visitors are left out. Currencies have no total
    from which these would follow, so one order from abroad takes no other currency with it."""
    least = parts.analytics.min_visitors
    asked = query.asking(
        metrics=("revenue", "events", "daily_visitors"), dimensions=("currency",), order_by=(), compare=""
    )
    if find_part(asked, least):
        return []
    found = answer_all(asked, parts.store, parts.engine, replace(parts.analytics, min_visitors=1))
    told = [row for row in found.rows if (row.figures[2] or 0) >= least]
    return [Money(row.keys[0], row.figures[0], int(row.figures[1] or 0)) for row in told]


def find_pages(query: Query, parts: ReportParts) -> PagesCounted | None:
    """What the exempt page counter has counted, whatever the filter; None where it has counted nothing."""
    question = build_count_sums(query, (PAGE, WITH_CONSENT), parts.store.dialect)
    sums: dict[Any, Any] = dict(parts.store.fetch(question.sql, question.values))  # type: ignore[arg-type]
    total, with_consent = (int(sums.get(kind, 0)) for kind in (PAGE, WITH_CONSENT))
    if not total:
        return None
    least = parts.analytics.min_visitors
    found = [(row.name, row.count) for row in find_counts(query, (PAGE,), parts.store) if row.count >= least]
    rows = [PageCount(name, count) for name, count in found[: query.limit]]
    return PagesCounted(total, with_consent, with_consent / total, rows, total - sum(row.count for row in rows))


def find_month(query: Query, series: Sequence[Point], parts: ReportParts) -> MonthVisitors | None:
    """The estimate of different visitors in the month that the period lies in; None where it lies in several or is filtered,
    where nobody was counted, and where a day or hour of the period had more: imported logs are not in it, and what it lacks
    it does not know of."""
    month = query.first.isoformat()[:MONTH]
    if query.filters is not None or month != query.last.isoformat()[:MONTH]:
        return None
    about = estimate_month(parts.engine, query.site, month)
    busiest = (
        max((point.daily_visitors or 0 for point in series), default=0) if query.interval in ("hour", "day") else 0
    )
    if about is None or about * (1 + 3 * STANDARD_ERROR) + 1 < busiest:
        return None
    few = round(about) < parts.analytics.min_visitors
    return MonthVisitors(month, None if few else round(about), round(STANDARD_ERROR, 4))


class Breakdown(NamedTuple):
    """The rows of a dimension, and what those of too few visitors have in common."""

    rows: list[Row]
    others: Row | None


def find_breakdown(query: Query, dimension: str, parts: ReportParts) -> Breakdown:
    """The rows of a dimension, those with most visitors first."""
    if dimension == "goal" and not parts.analytics.goals:
        return Breakdown([], None)
    time = "time_on_page" if get_dimension(dimension).scope == "event" else "visit_duration"
    more = MORE.get(dimension, ())
    asked = query.asking(metrics=(*ROW, time, *more), dimensions=(dimension,), order_by=())
    found = ask(asked, parts)
    rows, others = ([_row(row, more) for row in part] for part in (found.rows, found.others))
    return Breakdown(rows, others[0] if others else None)


def _row(row: AnswerRow, more: Sequence[str]) -> Row:
    visitors, visits, views, seconds, *rest = row.figures
    before = None if row.compared is None else int(row.compared[0] or 0)
    told = {name: figure or 0 for name, figure in zip(more, rest, strict=True)}
    plain = {"visitors": int(visitors or 0), "visits": int(visits or 0), "page_views": int(views or 0)}
    return msgspec.convert(
        {"name": row.keys[0], "seconds": seconds, "before": before, **plain, **told}, Row, strict=False
    )


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
        elsewhere=sum(row.count for row in find_counts(query, (ELSEWHERE,), parts.store)),
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
    question = build_counts(query, kinds, store.dialect)
    rows: list[Any] = store.fetch(question.sql, question.values)
    return [CountRow(*row) for row in rows]


def find_bots(query: Query, store: Store) -> list[BotRow]:
    """Who was dropped as a bot or for its rate, those with most hits first, each with some of the pages."""
    found: dict[tuple[str, str], list[CountRow]] = {}
    for row in find_counts(query, (BOT, RATE), store):
        found.setdefault((row.kind, row.name), []).append(row)
    rows = [
        BotRow(kind, name, sum(row.count for row in own), [row.detail for row in own if row.detail][:EXAMPLES])
        for (kind, name), own in found.items()
    ]
    return sorted(rows, key=lambda row: -row.count)[: query.limit]


def find_queues(parts: ReportParts) -> list[QueueState]:
    """How each destination's deliveries stand now, whatever the period."""
    figures = queue_figures(parts.engine, parts.destinations)
    return [msgspec.convert(one, QueueState, from_attributes=True) for one in figures]
