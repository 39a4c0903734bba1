"""A report's question as SQL text and bound values.

Identifiers and expressions come from metrics.py alone; whatever an operator typed is a value. Local time is worked out
here: the period is cut where the site's offset from UTC changes, and within each piece local time is UTC plus a
constant. That costs a fifth of what AT TIME ZONE costs, and needs no extension of the database.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gateway.analytics.metrics import MOMENT, ROW, SERIES, TOTALS, Table, get_dimension, get_metric
from gateway.analytics.query import Query
from gateway.analytics.store import naive_utc

HOUR = 3600
MAX_COUNTS = 200

# The words that are DuckDB's own; another engine has others.
_PARAMETER = "${name}"
_SHIFTED = "{moment} + to_seconds({seconds})"
_UNSHIFTED = "{moment} - to_seconds({seconds})"


class Question(NamedTuple):
    """What `Store.fetch` takes: SQL and the values of its `$names`."""

    sql: str
    values: dict[str, object]


class Piece(NamedTuple):
    """A stretch of a period (epoch seconds, the end not included) with one offset from UTC (seconds)."""

    starts_at: float
    ends_at: float
    offset: int


class Bucket(NamedTuple):
    """One bar of a chart: the key under which SQL answers, and the local label."""

    key: datetime
    label: str


def build_totals(query: Query, table: Table) -> Question:
    """One row with the metrics TOTALS[table]."""
    return _select(query, table, [], TOTALS[table])


def build_series(query: Query, table: Table) -> Question:
    """Rows (bucket, *SERIES[table]), one for each bucket of `find_buckets` in which something happened."""
    question = _select(query, table, [f"{_bucket(query, table)} AS bucket"], SERIES[table])
    return Question(f"{question.sql} GROUP BY bucket ORDER BY bucket", question.values)


def build_breakdown(query: Query, dimension_name: str) -> Question:
    """Rows (name, *ROW) of a dimension, those with most visitors first, at most `query.limit`."""
    dimension = get_dimension(dimension_name)
    question = _select(query, dimension.table, [f"{dimension.column} AS name"], ROW)
    where = f" AND {dimension.where}" if dimension.where else ""
    sql = f"{question.sql}{where} GROUP BY name ORDER BY {ROW[0]} DESC, name LIMIT {_value('limit')}"
    return Question(sql, {**question.values, "limit": query.limit})


def build_counts(query: Query, kinds: Sequence[str]) -> Question:
    """Rows (kind, name, detail, n) of the counters of these kinds, the largest first."""
    values: dict[str, object] = {f"kind_{index}": kind for index, kind in enumerate(kinds)}
    sql = (
        "SELECT kind, name, detail, CAST(sum(n) AS BIGINT) AS total FROM counts "
        f"WHERE site = {_value('site')} AND hour >= {_value('since')} AND hour < {_value('until')} "
        f"AND kind IN ({', '.join(_value(name) for name in values)}) "
        f"GROUP BY kind, name, detail ORDER BY total DESC, kind, name, detail LIMIT {_value('limit')}"
    )
    return Question(sql, {**_period(query), **values, "limit": MAX_COUNTS})


def build_daily_counts(query: Query, kinds: Sequence[str]) -> Question:
    """Rows (local day, kind, name, detail, n) of the counters of these kinds; an hour belongs to the day it begins on."""
    pieces = find_pieces(query)
    values: dict[str, object] = {f"kind_{index}": kind for index, kind in enumerate(kinds)}
    day = f"date_trunc('day', {_SHIFTED.format(moment='hour', seconds=_offset_of(pieces, 'hour'))})"
    sql = (
        f"SELECT {day} AS day, kind, name, detail, CAST(sum(n) AS BIGINT) AS total FROM counts "
        f"WHERE site = {_value('site')} AND hour >= {_value('since')} AND hour < {_value('until')} "
        f"AND kind IN ({', '.join(_value(name) for name in values)}) "
        "GROUP BY day, kind, name, detail ORDER BY day, kind, name, detail"
    )
    return Question(sql, {**_period(query), **_piece_values(pieces), **values})


def find_pieces(query: Query) -> list[Piece]:
    """The period cut at each change of the zone's offset (summer time begins or ends)."""
    zone = ZoneInfo(query.timezone)
    pieces: list[Piece] = []
    start, at = query.starts_at, query.starts_at
    while at < query.ends_at:
        following = min(at + 24 * HOUR, query.ends_at)
        if _offset(following, zone) != _offset(at, zone):
            edge = _find_edge(at, following, zone)
            pieces.append(Piece(start, edge, _offset(at, zone)))
            start = edge
        at = following
    if start < query.ends_at:
        pieces.append(Piece(start, query.ends_at, _offset(start, zone)))
    return pieces


def find_buckets(query: Query) -> list[Bucket]:
    """Every day or hour of the period, in order, also those in which nothing happened.

    A day on which clocks change has 23 or 25 hours: the hour left out is no bucket, the hour lived twice is two.
    """
    return _hours(query) if query.interval == "hour" else _days(query)


def _select(query: Query, table: Table, columns: list[str], metrics: Sequence[str]) -> Question:
    pieces = find_pieces(query)
    day = f"date_trunc('day', {_local(pieces, table)})"
    figures = [f"{get_metric(name).on[table].replace('{day}', day)} AS {name}" for name in metrics]
    sql = (
        f"SELECT {', '.join([*columns, *figures])} FROM {table} WHERE site = {_value('site')} "
        f"AND {MOMENT[table]} >= {_value('since')} AND {MOMENT[table]} < {_value('until')}"
    )
    return Question(sql, _period(query) | (_piece_values(pieces) if _value("offset_0") in sql else {}))


def _bucket(query: Query, table: Table) -> str:
    """Days are named by local date; hours by their start in UTC, since a local hour can come twice."""
    pieces = find_pieces(query)
    local = _local(pieces, table)
    if query.interval == "day":
        return f"date_trunc('day', {local})"
    return _UNSHIFTED.format(moment=f"date_trunc('hour', {local})", seconds=_offset_of(pieces, MOMENT[table]))


def _local(pieces: Sequence[Piece], table: Table) -> str:
    return _SHIFTED.format(moment=MOMENT[table], seconds=_offset_of(pieces, MOMENT[table]))


def _offset_of(pieces: Sequence[Piece], moment: str) -> str:
    """The offset from UTC that held at a row's moment."""
    last = len(pieces) - 1
    if last == 0:
        return _value("offset_0")
    whens = [f"WHEN {moment} < {_value(f'edge_{i}')} THEN {_value(f'offset_{i}')}" for i in range(last)]
    return f"CASE {' '.join(whens)} ELSE {_value(f'offset_{last}')} END"


def _piece_values(pieces: Sequence[Piece]) -> dict[str, object]:
    edges: dict[str, object] = {f"edge_{i}": naive_utc(piece.ends_at) for i, piece in enumerate(pieces[:-1])}
    return edges | {f"offset_{i}": piece.offset for i, piece in enumerate(pieces)}


def _period(query: Query) -> dict[str, object]:
    return {"site": query.site, "since": naive_utc(query.starts_at), "until": naive_utc(query.ends_at)}


def _value(name: str) -> str:
    return _PARAMETER.format(name=name)


def _offset(at: float, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(at, UTC).astimezone(zone).utcoffset() or timedelta(0)
    return round(offset.total_seconds())


def _find_edge(before: float, after: float, zone: ZoneInfo) -> float:
    """The first whole second in (before, after] that has the offset of `after`."""
    new = _offset(after, zone)
    low, high = int(before), int(after)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _offset(middle, zone) == new else (middle, high)
    return float(high)


def _days(query: Query) -> list[Bucket]:
    count = (query.last - query.first).days + 1
    days = [query.first + timedelta(days=number) for number in range(count)]
    return [Bucket(datetime.combine(day, time()), day.isoformat()) for day in days]


def _hours(query: Query) -> list[Bucket]:
    buckets: list[Bucket] = []
    for piece in find_pieces(query):
        at = (piece.starts_at + piece.offset) // HOUR * HOUR - piece.offset
        while at < piece.ends_at:
            label = naive_utc(at + piece.offset).isoformat(timespec="minutes")
            buckets.append(Bucket(naive_utc(at), label))
            at += HOUR
    return buckets
