"""The eight questions of a dashboard, over random periods and filters: our answers beside those of raw events.

Each side is a process of its own with two threads and the memory that the keeper gives its store; neither keeps results. The
same random questions go to both in turns, ours the whole way (query, SQL, store, small cells folded), and the answers have
to be the same.
"""

import os
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from bench.arriving import ask_while_events_arrive
from bench.made_events import DAYS, FIRST, SITES, TIMEZONE, count_raw, fill_store, make_raw
from bench.measure import most_mb
from bench.reports_postgres import time_postgres
from bench.table import Line
from gateway.analytics.duckdb_store import SETTINGS, DuckDBStore
from gateway.analytics.duckdb_store_file import connect
from gateway.analytics.filters import Condition, Filter, Join
from gateway.analytics.metrics import SERIES, TOTALS
from gateway.analytics.query import Query
from gateway.flows.answer import answer
from gateway.settings import AnalyticsConfig

EVENTS = int(os.environ.get("BENCH_EVENTS", "10_000_000"))
# A folder in which what is asked is kept from run to run: ten million events take a quarter of an hour to make.
KEPT = os.environ.get("BENCH_KEPT", "")
ROUNDS, TIMES = 6, 3
LENGTHS = (7, 28, 30, 91, DAYS)
BOUND, MOST_MB = 0.30, 1500
LEAST = 5  # visitors that a row needs to be shown, as configured by default
Rows = list[tuple[Any, ...]]

BY_VISIT = "FROM (SELECT visit_id, {columns} FROM events WHERE {where} GROUP BY visit_id) v"
RAW_TOTALS = """
SELECT count(DISTINCT visitor), count(*), sum(views), sum(happened - views), avg(views),
    avg(CASE WHEN views = 1 AND happened = 1 THEN 1.0 ELSE 0.0 END), avg(engaged) / 1000.0, median(engaged) / 1000.0
""" + BY_VISIT.replace(
    "{columns}",
    "min(visitor) AS visitor, count(*) FILTER (WHERE kind = 'page_view') AS views, count(*) AS happened, "
    "sum(CASE WHEN kind = 'page_view' THEN engaged_ms ELSE 0 END) AS engaged",
)  # fmt: skip
RAW_DAYS = """
SELECT CAST(CAST(happened_at AS DATE) AS VARCHAR) AS day, count(DISTINCT visitor), count(DISTINCT visit_id),
    count(*) FILTER (WHERE kind = 'page_view') FROM events WHERE {where} GROUP BY day ORDER BY day"""
RAW_BROKEN = """
SELECT {column}, count(DISTINCT visitor) AS visitors, count(*) FILTER (WHERE kind = 'page_view') AS views
FROM events WHERE {where} GROUP BY {column} ORDER BY visitors DESC, {column} LIMIT 10"""
RAW_FIRST = (
    "SELECT page, count(DISTINCT visitor) AS visitors, count(*) AS visits "
    + BY_VISIT.replace("{columns}", "arg_min(path, happened_at) AS page, min(visitor) AS visitor").replace(
        "{where}", "{where} AND kind = 'page_view'"
    )
    + " GROUP BY page ORDER BY visitors DESC, page LIMIT 10"
)
RAW_LAST = RAW_FIRST.replace("arg_min", "arg_max")
RAW_FIGURES = """
SELECT count(DISTINCT visitor), count(*) FILTER (WHERE kind = 'page_view') FROM events WHERE {where}"""

OF_VISITS: tuple[Filter | None, ...] = (
    None, Condition("is", "country", ("NL",)), Condition("is", "browser", ("Chrome", "Safari")),
    None, Condition("is_not", "source", ("Google",)), Condition("contains", "campaign", ("actie-1",)),
)  # fmt: skip
OF_ANY = (*OF_VISITS, None, Condition("contains", "page", ("/onderwerp-1/",)), Condition("is", "screen", ("small",)))
DUTCH_PAGES = Join("and", (Condition("is", "country", ("NL",)), Condition("contains", "page", ("/onderwerp-3/",))))
COLUMNS = {"page": "path"}


class Kind(NamedTuple):
    """One of the questions: what is asked of us, the same in SQL over raw events, and which filters it may get."""

    panel: str
    raw: str
    metrics: tuple[str, ...]
    dimensions: tuple[str, ...] = ()
    filters: Sequence[Filter | None] = OF_ANY


class Asked(NamedTuple):
    """One question of one period with one filter."""

    panel: str
    query: Query
    raw: str


def _broken(panel: str, dimension: str) -> Kind:
    raw = RAW_BROKEN.replace("{column}", COLUMNS.get(dimension, dimension))
    return Kind(panel, raw, ("daily_visitors", "page_views"), (dimension,))


KINDS = (
    Kind("totals", RAW_TOTALS, TOTALS, filters=OF_VISITS),
    Kind("per day", RAW_DAYS, SERIES, ("day",)),
    _broken("top pages", "page"),
    _broken("referrers", "referrer"),
    _broken("browser, system, device", "browser"),
    _broken("browser, system, device", "os"),
    _broken("browser, system, device", "device"),
    _broken("countries", "country"),
    Kind("filtered", RAW_FIGURES, ("daily_visitors", "page_views"), filters=(DUTCH_PAGES,)),
    Kind("entries and exits", RAW_FIRST, ("daily_visitors", "visits"), ("entry_page",), OF_VISITS),
    Kind("entries and exits", RAW_LAST, ("daily_visitors", "visits"), ("exit_page",), OF_VISITS),
)


def draw_questions(rounds: int = ROUNDS) -> list[Asked]:
    """The same random questions each time."""
    chance = random.Random(20261127)
    asked = []
    for _ in range(rounds):
        for kind in KINDS:
            most = 1000 if kind.dimensions == ("day",) else 10
            length = chance.choice(LENGTHS)
            first = FIRST + timedelta(days=chance.randrange(DAYS - length + 1))
            found = chance.choice(kind.filters)
            query = Query(
                SITES[0], first, first + timedelta(days=length - 1), TIMEZONE, limit=most,
                metrics=kind.metrics, dimensions=kind.dimensions, filters=found,
            )  # fmt: skip
            asked.append(Asked(kind.panel, query, kind.raw.replace("{where}", _where(query))))
    return asked


def _where(query: Query) -> str:
    within = f"site = '{query.site}' AND happened_at >= DATE '{query.first}' AND happened_at < DATE '{query.last}' + 1"
    return f"{within} AND {_plain(query.filters)}" if query.filters else within


def _plain(found: Filter) -> str:
    """A filter as somebody would write it by hand."""
    if isinstance(found, Join):
        return f" {found.operator} ".join(_plain(part) for part in found.parts)
    column, values = COLUMNS.get(found.dimension, found.dimension), ", ".join(f"'{value}'" for value in found.values)
    if found.operator == "contains":
        return f"contains({column}, {values})"
    return f"{column} {'NOT IN' if found.operator == 'is_not' else 'IN'} ({values})"


class Side(NamedTuple):
    """A process that answers: seconds and rows for each question, and what it takes at most."""

    pool: ProcessPoolExecutor

    def ask(self, asked: Sequence[Asked]) -> tuple[list[float], list[Rows]]:
        """Every question once."""
        return self.pool.submit(_ask_all, asked).result()

    def most_mb(self) -> float:
        """The most memory that the process has had."""
        return self.pool.submit(most_mb).result()


_answering: Callable[[Asked], Rows]


def open_ours(path: Path) -> None:
    """For the process that asks the store."""
    global _answering
    store = DuckDBStore(path)
    config = AnalyticsConfig(min_visitors=LEAST)
    _answering = lambda asked: [row.keys + row.figures for row in answer(asked.query, store, config).rows]  # noqa: E731


def open_raw(path: Path) -> None:
    """For the process that asks the raw events."""
    global _answering
    connection = connect(path, SETTINGS, read_only=True)
    _answering = lambda asked: connection.execute(asked.raw).fetchall()  # noqa: E731


def _ask_all(asked: Sequence[Asked]) -> tuple[list[float], list[Rows]]:
    seconds, found = [], []
    for one in asked:
        begun = time.perf_counter()
        found.append(_answering(one))
        seconds.append(time.perf_counter() - begun)
    return seconds, found


def open_side(path: Path, opening: Callable[[Path], None]) -> Side:
    """Start the process of one side."""
    return Side(ProcessPoolExecutor(1, get_context("spawn"), opening, (path,)))


def run(folder: Path) -> list[Line]:
    """Make the events, ask all sides in turns, compare."""
    events, plain = make_events(folder, EVENTS)
    asked = draw_questions()
    ours, raw = open_side(events, open_ours), open_side(plain, open_raw)
    check_answers(asked, ours.ask(asked)[1], raw.ask(asked)[1])
    told, base = zip(*((ours.ask(asked)[0], raw.ask(asked)[0]) for _ in range(TIMES)), strict=True)
    quickest, quickest_raw = take_quickest(told), take_quickest(base)
    most = ours.most_mb()
    for side in (ours, raw):
        side.pool.shutdown()
    return [
        *_by_panel(asked, quickest, quickest_raw, count_raw(plain)),
        Line("memory of the process that answers", f"{most:,.0f} MB", "", "", "<= 1.5 GB", most <= MOST_MB),
        _beside(plain, folder, asked[: len(KINDS)], quickest),
        *ask_while_events_arrive(events, folder, SITES[0], _by_dashboard(asked)),
    ]


def make_events(folder: Path, count: int) -> tuple[Path, Path]:
    """The store and the file of raw events, made where they are not kept."""
    folder = (Path(KEPT) if KEPT else folder) / str(count)
    events, plain = folder / "events.duckdb", folder / "raw.duckdb"
    if not events.exists():
        folder.mkdir(parents=True, exist_ok=True)
        make_raw(plain, count)
        fill_store(plain, events)
    return events, plain


def take_quickest(times: Sequence[Sequence[float]]) -> list[float]:
    """The least that each question took, of all rounds."""
    return [min(taken) for taken in zip(*times, strict=True)]


def _beside(plain: Path, folder: Path, asked: Sequence[Asked], ours: Sequence[float]) -> Line:
    """PostgreSQL's time for one dashboard beside ours."""
    seconds, mine = sum(time_postgres(plain, folder, [one.raw for one in asked])), sum(ours[: len(asked)])
    what = "beside them: PostgreSQL over raw events, a dashboard's questions once"
    return Line(what, f"{mine * 1e3:,.0f} ms", f"{seconds * 1e3:,.0f} ms PostgreSQL", f"{mine / seconds:.3f}", "")


def _by_dashboard(asked: Sequence[Asked]) -> list[list[Query]]:
    """The questions of each round together, as a page asks them."""
    return [[one.query for one in asked[at : at + len(KINDS)]] for at in range(0, len(asked), len(KINDS))]


def _by_panel(asked: Sequence[Asked], ours: Sequence[float], raw: Sequence[float], events: int) -> list[Line]:
    lines = []
    for panel in dict.fromkeys(one.panel for one in asked):
        mine, base = (
            sum(each for one, each in zip(asked, times, strict=True) if one.panel == panel) for times in (ours, raw)
        )
        lines.append(_line(f"{panel}, {ROUNDS} times", mine, base))
    whole = _line(f"a dashboard's questions over {events / 1e6:.1f} M events, in all", sum(ours), sum(raw))
    ratio = sum(ours) / sum(raw)
    return [*lines, Line(whole.what, whole.value, whole.beside, whole.ratio, f"<= {BOUND}", ratio <= BOUND)]


def _line(what: str, mine: float, base: float) -> Line:
    return Line(what, f"{mine * 1e3:,.0f} ms", f"{base * 1e3:,.0f} ms raw", f"{mine / base:.2f}", "")


def check_answers(asked: Sequence[Asked], ours: Sequence[Rows], raw: Sequence[Rows]) -> None:
    """Stop where one answer is not the other."""
    for one, mine, plain in zip(asked, ours, raw, strict=True):
        shown = [row for row in plain if not one.query.dimensions or row[1] >= LEAST]
        if [_rounded(row) for row in mine if None not in row] != [_rounded(row) for row in shown]:
            raise SystemExit(f"the answers differ: {one}\nours: {mine[:12]}\nraw: {plain[:12]}")


def _rounded(row: Sequence[Any]) -> list[Any]:
    return [value if isinstance(value, str) else round(float(value), 6) for value in row]
