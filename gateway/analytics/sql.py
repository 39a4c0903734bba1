"""A report's question as SQL text and bound values.

Identifiers and expressions come from metrics.py and dimensions.py alone; whatever an operator typed is a value. One
question is made of parts (question_parts.py), joined by their keys. What the words of another engine are, dialect.py says.
"""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from gateway.analytics.conditions import Place, Writer
from gateway.analytics.dialect import Dialect
from gateway.analytics.filters import Filter
from gateway.analytics.metrics import SUMMED, Metric
from gateway.analytics.query import Query
from gateway.analytics.question_parts import VISITORS, Fold, Parts
from gateway.settings import GoalConfig

MAX_COUNTS = 200
FOLD = Fold("answered", "apart")


class Question(NamedTuple):
    """What `Store.fetch` takes: SQL and the values of its `$names`."""

    sql: str
    values: dict[str, object]


def build_answer(
    query: Query,
    dialect: Dialect,
    goals: Sequence[GoalConfig] = (),
    least: int = 0,
    together: int = 0,
    summed: frozenset[date] = frozenset(),
) -> Question:
    """Rows (*dimensions, *metrics, daily visitors, fewest of any row, number of all rows, 0), in the query's order.

    A row is there when something of it is; without dimensions there is always one. Those of fewer visitors than `least` are put
    together in rows that come after all others and end with 1: their dimensions but those of time are ''. Where they add up to
    fewer than `together`, the smallest other row is put with them. `summed` are the days of which the store keeps sums.
    """
    writer = Writer(query, goals, dialect)
    parts = Parts(writer, query, summed=summed)
    figures = query.figures if VISITORS in query.figures else [*query.figures, VISITORS]
    rows = parts.rows(figures)
    columns = [*parts.names, *(f"{_count(metric)} AS shown_{metric.name}" for metric in query.figures)]
    visitors = f"coalesce({VISITORS.name}, 0)"
    columns += [f"{visitors} AS visitors", f"min({visitors}) OVER () AS fewest", "count(*) OVER () AS all_rows"]
    order, page = _order(query, parts.names), _page(query, writer)
    if not least:
        return Question(f"SELECT {', '.join(columns)}, 0 AS folded FROM ({rows}) a{order}{page}", writer.values)
    others = Parts(writer, query, FOLD).rows(figures)
    shown = f"SELECT {', '.join(columns)}, 0 AS folded FROM {FOLD.answered} a WHERE a.{FOLD.mark} = 0{order}{page}"
    sql = (
        f"WITH {FOLD.answered} AS ({_mark(rows, parts, (least, together), writer)}) SELECT * FROM (SELECT * FROM ({shown}) s "
        f"UNION ALL SELECT {', '.join(columns)}, 1 AS folded FROM ({others}) o) b{order.replace('BY', 'BY folded,', 1)}"
    )
    return Question(sql, writer.values)


def _mark(rows: str, parts: Parts, bounds: tuple[int, int], writer: Writer) -> str:
    """The rows, with a column that is 1 on those that are put together: of too few visitors, or the smallest of the others of
    its time where the total, less all others, would tell of too few."""
    least, together = bounds
    visitors = f"coalesce(a.{VISITORS.name}, 0)"
    few = f"CASE WHEN {visitors} < {writer.bind(least, 'least')} THEN 1 ELSE 0 END"
    if not together:
        return f"SELECT a.*, {few} AS {FOLD.mark} FROM ({rows}) a"
    times = ", ".join(f"a.{name}" for name in parts.times)
    beside = f"OVER ({f'PARTITION BY {times}' if times else ''})"
    order = ", ".join([visitors, *(f"a.{name}" for name in parts.names)])
    place = f"row_number() OVER (PARTITION BY {f'{times}, ' if times else ''}{few} ORDER BY {order})"
    bound = writer.bind(together, "together")
    alone = f"max({few}) {beside} = 1 AND sum({few} * {visitors}) {beside} < {bound} AND {place} = 1"
    return f"SELECT a.*, CASE WHEN {few} = 1 OR ({alone}) THEN 1 ELSE 0 END AS {FOLD.mark} FROM ({rows}) a"


def build_visitors(
    query: Query,
    filters: Sequence[Filter | None],
    dialect: Dialect,
    goals: Sequence[GoalConfig],
) -> Question:
    """One row: how many daily visitors there are with each of the filters, whatever the query's own."""
    writer = Writer(query, goals, dialect)
    whole = query.asking(filters=None, dimensions=())
    fits = [writer.fits_visits(one) for one in filters]
    if all(fits):
        counts = [f"{writer.visitors()} FILTER (WHERE {one}) AS n{number}" for number, one in enumerate(fits)]
        return Question(f"SELECT {', '.join(counts)} {writer.source(whole, Place('visits'))}", writer.values)
    writer = Writer(query, goals, dialect)
    asked = [whole.asking(filters=one) for one in filters]
    counts = [f"({Parts(writer, one).visits([VISITORS])}) AS n{number}" for number, one in enumerate(asked)]
    return Question(f"SELECT {', '.join(counts)}", writer.values)


def build_fewest(
    query: Query,
    filters: Sequence[Filter],
    dialect: Dialect,
    goals: Sequence[GoalConfig],
) -> Question:
    """One row: how many daily visitors there are at least with each of the filters, told sooner than how many there are.

    Where rows say who came once, these are counted, and nobody is told apart.
    """
    writer = Writer(query, goals, dialect)
    whole = query.asking(filters=None, dimensions=())
    fits = [writer.fits_visits(one) for one in filters]
    if dialect.informed and all(fits):
        counts = [f"count(*) FILTER (WHERE {one}) AS n{number}" for number, one in enumerate(fits)]
        return Question(
            f"SELECT {', '.join(counts)} {writer.source(whole, Place('visits'))} AND v.alone", writer.values
        )
    writer = Writer(query, goals, dialect)
    held = [writer.holds(one) for one in filters]
    if not dialect.informed or not all(held):
        return build_visitors(query, filters, dialect, goals)
    flags = [f"{one} AS h{number}" for number, one in enumerate(held)]
    counts = [f"count(*) FILTER (WHERE h{number}) AS n{number}" for number in range(len(held))]
    visits = f"SELECT {', '.join(flags)} {writer.source(whole, Place('matched'))} AND e.alone GROUP BY e.visit_id"
    return Question(f"SELECT {', '.join(counts)} FROM ({visits}) h", writer.values)


def build_sums(query: Query, dimension: str, dialect: Dialect) -> Question:
    """Rows (local day, value, *SUMMED) of each day of the period, by a dimension or ("") as a whole, with the value ''."""
    asked = query.asking(dimensions=("day", dimension) if dimension else ("day",))
    writer = Writer(asked, (), dialect)
    parts = Parts(writer, asked)
    sums = [f"coalesce({one.name}, 0)" for one in SUMMED]
    keys = [parts.names[0], parts.names[1] if dimension else "''"]
    return Question(f"SELECT {', '.join([*keys, *sums])} FROM ({parts.rows(list(SUMMED))}) a", writer.values)


def build_pattern(pattern: str, dialect: Dialect) -> Question:
    """A question that can be answered only when the engine understands the regular expression."""
    sql = dialect.matches.format(text="''", pattern="$pattern")
    return Question(f"SELECT {sql}", {"pattern": pattern})


def build_counts(query: Query, kinds: Sequence[str], dialect: Dialect) -> Question:
    """Rows (kind, name, detail, n) of the counters of these kinds, the largest first."""
    writer = Writer(query, (), dialect)
    sql = (
        f"SELECT c.kind, c.name, c.detail, CAST(sum(c.n) AS BIGINT) AS total {writer.counts(kinds)} "
        "GROUP BY c.kind, c.name, c.detail ORDER BY total DESC, c.kind, c.name, c.detail "
        f"LIMIT {writer.bind(MAX_COUNTS)}"
    )
    return Question(sql, writer.values)


def build_count_sums(query: Query, kinds: Sequence[str], dialect: Dialect) -> Question:
    """Rows (kind, n): all counters of each of these kinds together."""
    writer = Writer(query, (), dialect)
    return Question(
        f"SELECT c.kind, CAST(sum(c.n) AS BIGINT) {writer.counts(kinds)} GROUP BY c.kind ORDER BY c.kind", writer.values
    )


def build_daily_counts(query: Query, kinds: Sequence[str], dialect: Dialect) -> Question:
    """Rows (local day, kind, name, detail, n) of the counters of these kinds; an hour belongs to the day it begins on."""
    writer = Writer(query, (), dialect)
    sql = (
        f"SELECT {writer.day('c.hour')} AS day, c.kind, c.name, c.detail, CAST(sum(c.n) AS BIGINT) AS total "
        f"{writer.counts(kinds)} GROUP BY day, c.kind, c.name, c.detail ORDER BY day, c.kind, c.name, c.detail"
    )
    return Question(sql, writer.values)


def _count(metric: Metric) -> str:
    """Where there is nothing to count, the count is 0."""
    return f"coalesce({metric.name}, 0)" if metric.unit == "count" else metric.name


def _order(query: Query, names: Sequence[str]) -> str:
    if not names:
        return ""
    columns = dict(zip(query.dimensions, names, strict=True))
    orders = [(columns.get(order.name, f"shown_{order.name}"), order.descending) for order in query.order_by]
    if not orders and query.keys[0].scope != "time":
        orders = [(f"shown_{query.metrics[0]}", True)]
    orders += [(name, False) for name in names if name not in {name for name, _ in orders}]
    keys = ", ".join(f"{name}{' DESC' if down else ''} NULLS LAST" for name, down in orders)
    return f" ORDER BY {keys}"


def _page(query: Query, writer: Writer) -> str:
    return f" LIMIT {writer.bind(query.limit)} OFFSET {writer.bind(query.offset)}" if query.dimensions else ""
