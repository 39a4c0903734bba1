"""Days that another tool counted: sums of each day, as a whole and by one dimension, read for reports.

They stand in for days before the first that the gateway counted itself. They know no filter, no hours, and no two dimensions
at once.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Engine, func, select

from gateway.analytics.day_sums import OF_DAYS, WHOLE
from gateway.analytics.query import Query
from gateway.database import reading
from gateway.imported_tables import IMPORTED_DAYS, IMPORTS

ARRIVING, DONE, LEAVING = "arriving", "whole", "leaving"
SUMS = ("visitors", "visits", "views", "bounces", "seconds", "events")
EVENT = "event"
TOLD_DIMENSIONS = (
    "page", "entry_page", "exit_page", "source", "channel", "referrer", "medium", "campaign", "term", "content",
    "country", "device", "browser", "browser_version", "os", "os_version", EVENT,
)  # fmt: skip
D = IMPORTED_DAYS.c


class Sums(msgspec.Struct, frozen=True):
    """Sums of some days; None is what was not told. `seconds` lie between the visits' first and last event."""

    visitors: int = 0
    visits: int | None = None
    views: int | None = None
    bounces: int | None = None
    seconds: int | None = None
    events: int | None = None


class ImportedDays(NamedTuple):
    """The imported days of a site within a period: from which imports, the first and the last, and how many."""

    imports: tuple[str, ...]
    source: str
    first: date
    last: date
    days: int


def find_imported_days(query: Query, before: date | None, engine: Engine) -> ImportedDays | None:
    """The imported days in a query's period, and before a day, if there are any."""
    with reading(engine) as connection:
        whole = select(IMPORTS.c.id, IMPORTS.c.source).where(IMPORTS.c.site == query.site, IMPORTS.c.state == DONE)
        imports = connection.execute(whole.order_by(IMPORTS.c.at, IMPORTS.c.id)).all()
        if not imports:
            return None
        names = tuple(one.id for one in imports)
        there = select(func.min(D.day), func.max(D.day), func.count(D.day.distinct()))
        found = connection.execute(there.where(*_within(names, WHOLE, query, before))).one()
    if not found[2]:
        return None
    sources = ", ".join(dict.fromkeys(one.source for one in imports))
    return ImportedDays(names, sources, date.fromisoformat(found[0]), date.fromisoformat(found[1]), found[2])


def can_tell(query: Query) -> str:
    """Why imported days cannot answer a question: the word of the fault, or empty where they can."""
    if query.filters is not None:
        return "filter"
    if query.times:
        return "hour"
    others = [key.name for key in query.keys if key.scope != "time"]
    if len(others) > 1 or not set(others) <= set(TOLD_DIMENSIONS):
        return "dimension"
    return "" if set(query.dimensions) - set(others) <= set(OF_DAYS) else "hour"


def read_sums(query: Query, found: ImportedDays, engine: Engine) -> Iterator[tuple[date | None, str, Sums]]:
    """(day, value of the query's dimension, sums): None without a dimension of time, '' without another."""
    dimension = next((key.name for key in query.keys if key.scope != "time"), WHOLE)
    by_day = any(key.scope == "time" for key in query.keys)
    rows = _read(query, found, dimension, by_day, engine)
    if dimension != WHOLE:
        yield from rows
        return
    events = {day: sums.events or 0 for day, _, sums in _read(query, found, EVENT, by_day, engine, merged=True)}
    told = _tell_events(found, engine)
    for day, name, sums in rows:
        yield day, name, msgspec.structs.replace(sums, events=events.get(day, 0) if told else None)


def _tell_events(found: ImportedDays, engine: Engine) -> bool:
    """Whether events were exported at all: older exports have none of them."""
    asked = select(D.day).where(D.import_id.in_(found.imports), D.dimension == EVENT).limit(1)
    with reading(engine) as connection:
        return connection.execute(asked).first() is not None


def _read(
    query: Query, found: ImportedDays, dimension: str, by_day: bool, engine: Engine, merged: bool = False
) -> Iterator[tuple[date | None, str, Sums]]:
    keys: Sequence[ColumnElement[str]] = [*([D.day] if by_day else []), *([] if merged else [D.name])]
    # A sum passes over NULL: what not every row tells is not told.
    sums = [func.sum(D[name]) for name in SUMS] + [func.count() - func.count(D[name]) for name in SUMS]
    asked = select(*keys, *sums).where(*_within(found.imports, dimension, query, None), D.day <= found.last.isoformat())
    with reading(engine) as connection:
        for row in connection.execute(asked.group_by(*keys)):
            told, lacking = row[len(keys) : -len(SUMS)], row[-len(SUMS) :]
            values = [None if missing or one is None else int(one) for one, missing in zip(told, lacking, strict=True)]
            day = date.fromisoformat(row[0]) if by_day else None
            yield day, "" if merged else row[len(keys) - 1], Sums(values[0] or 0, *values[1:])


def _within(imports: Sequence[str], dimension: str, query: Query, before: date | None) -> list[ColumnElement[bool]]:
    held = [D.import_id.in_(imports), D.dimension == dimension]
    held += [D.day >= query.first.isoformat(), D.day <= query.last.isoformat()]
    return held + ([D.day < before.isoformat()] if before else [])
