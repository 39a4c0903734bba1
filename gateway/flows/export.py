"""All that is stored of a site, row by row: for programs of one's own, and to be free to leave."""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Engine, select

from gateway.analytics.imported_days import DONE, SUMS
from gateway.analytics.lasting import Informed, informed_events
from gateway.analytics.store import Store, naive_utc
from gateway.database import reading
from gateway.imported_tables import IMPORTED_DAYS, IMPORTS

# The tables that say something of a site, each with the moment by which its rows belong to a day.
MOMENTS = {"events": "happened_at", "visits": "started_at", "counts": "hour"}
DAYS = "imported_days"  # the file of days that another tool had counted
DAY_COLUMNS = [("day", "DATE"), ("source", "VARCHAR"), ("dimension", "VARCHAR"), ("name", "VARCHAR")]
AT_ONCE = 5000


class Rows(msgspec.Struct, frozen=True):
    """Some rows of one table. `columns` are (name, type as DuckDB names it); moments are UTC."""

    columns: list[tuple[str, str]]
    rows: list[list[str | int | float | bool | None]]


class Span(msgspec.Struct, frozen=True):
    """The first and the last moment of which anything is stored, epoch seconds; both 0 where there is nothing."""

    first: float
    last: float


def find_span(store: Store, site: str) -> Span:
    """From when to when there is something of a site. Raises StoreError."""
    moments: list[float] = []
    for table, column in MOMENTS.items():
        row = store.fetch(f"SELECT min({column}), max({column}) FROM {table} WHERE site = $site", {"site": site})[0]
        moments += [at.replace(tzinfo=UTC).timestamp() for at in row if isinstance(at, datetime)]
    return Span(min(moments, default=0.0), max(moments, default=0.0))


def read_rows(store: Store, table: str, site: str, start: float, end: float) -> Rows:
    """The rows of one of MOMENTS from `start` (epoch seconds) to before `end`. Raises StoreError."""
    columns = store.columns(table)
    rows = informed_events(store.dialect, "$start", "$end") if table == "events" else Informed(f"{table} e")
    names = ", ".join(f"{rows.column(name)} AS {name}" for name, _ in columns)
    moment = f"e.{MOMENTS[table]}"
    found = store.fetch(
        f"SELECT {names} FROM {rows.source} WHERE e.site = $site AND {moment} >= $start AND {moment} < $end ORDER BY {moment}",
        {"site": site, "start": naive_utc(start), "end": naive_utc(end)},
    )
    return Rows(columns, [[_plain(value) for value in row] for row in found])


def read_imported(engine: Engine, site: str, first: str, last: str) -> Iterator[Rows]:
    """The sums of days that another tool had counted and that were taken in whole, in the order of their days; `first` and
    `last` are ISO days, empty for all. Nothing where there are none."""
    day = IMPORTED_DAYS.c.day
    names = [
        day,
        IMPORTS.c.source,
        IMPORTED_DAYS.c.dimension,
        IMPORTED_DAYS.c.name,
        *(IMPORTED_DAYS.c[sum_] for sum_ in SUMS),
    ]
    query = select(*names).join(IMPORTS, IMPORTS.c.id == IMPORTED_DAYS.c.import_id).order_by(*names[:4])
    query = query.where(IMPORTS.c.site == site, IMPORTS.c.state == DONE, day >= first)
    if last:
        query = query.where(day <= last)
    columns = [*DAY_COLUMNS, *((sum_, "BIGINT") for sum_ in SUMS)]
    with reading(engine) as connection:
        for rows in connection.execute(query).partitions(AT_ONCE):
            yield Rows(columns, [list(row) for row in rows])


def _plain(value: object) -> str | int | float | bool | None:
    if isinstance(value, datetime):
        return value.isoformat(" ", "microseconds")
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
