"""What an operator keeps of a site for next time, by name: segments (a filter) and funnels (their steps).

Keeping one under a name that is taken replaces it. Each act is a record in the ledger.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Delete, Engine, delete, func, insert, select

from gateway import ledger
from gateway.analytics.filters import (
    SEGMENT,
    TIMES,
    Condition,
    Filter,
    Join,
    conditions_of,
    encode_filters,
    parse_filters,
    replace_conditions,
)
from gateway.analytics.funnels import parse_steps
from gateway.analytics.query import Query
from gateway.console_tables import SAVED
from gateway.database import reading, transaction
from gateway.errors import QueryError

Kind = Literal["segment", "funnel"]
KINDS: Mapping[str, Kind] = {"segment": "segment", "funnel": "funnel"}
RECORD = "saved"  # in the ledger
MOST_SAVED = 100  # of a kind, for each site
# A bar parts the values of a filter in words.
NAME = re.compile(r"[^\s|][^|\x00-\x1f\x7f]{0,63}\Z")


class Saved(msgspec.Struct, frozen=True):
    """One kept thing; `content` is a segment's filter as `parse_filters` reads it, or a funnel's steps in words."""

    name: str
    content: list[Any]
    operator: str
    at: float


def list_saved(engine: Engine, site: str, kind: Kind) -> list[Saved]:
    """All that is kept of a site, by name."""
    query = select(SAVED).where(SAVED.c.site == site, SAVED.c.kind == kind).order_by(SAVED.c.name)
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    return [Saved(row.name, msgspec.json.decode(row.content), row.operator, row.at) for row in rows]


def save_segment(engine: Engine, query: Query, name: str, operator: str, now: float) -> None:
    """Keep the query's filter under a name. Raises QueryError for a bad name, no filter, or one that cannot be kept."""
    faults = [] if query.filters else ["there is no filter to keep: filter by something first"]
    used = {condition.dimension for condition in conditions_of(query.filters)}
    faults += [f"a segment cannot be about {one}: it is asked of any period" for one in sorted(used & set(TIMES))]
    faults += ["a segment cannot hold another one: take that filter away first"] if SEGMENT in used else []
    _save(engine, query.site, "segment", Saved(name.strip(), encode_filters(query.filters), operator, now), faults)


def save_funnel(engine: Engine, site: str, name: str, steps: list[str], operator: str, now: float) -> None:
    """Keep a funnel's steps under a name. Raises QueryError for a bad name and for steps that are none."""
    parse_steps(steps)
    _save(engine, site, "funnel", Saved(name.strip(), steps, operator, now), [])


def forget_saved(engine: Engine, site: str, kind: Kind, name: str, operator: str, now: float) -> None:
    """Keep it no longer. Raises QueryError when there is none of that name."""
    with transaction(engine) as connection:
        if not connection.execute(_one(site, kind, name)).rowcount:
            raise QueryError([f"there is no {kind} {name[:80]!r}"])
        _record(connection, site, now, {"action": "deleted", "what": kind, "name": name, "operator": operator})


def expand_segments(query: Query, engine: Engine) -> Query:
    """The query with the filters of the segments that it names. Raises QueryError for names that there are none of."""
    if not any(condition.dimension == SEGMENT for condition in conditions_of(query.filters)):
        return query
    known = {one.name: one.content for one in list_saved(engine, query.site, "segment")}
    faults: list[str] = []

    def expand(condition: Condition) -> Filter | None:
        if condition.dimension != SEGMENT:
            return condition
        unknown = [name for name in condition.values if name not in known]
        faults.extend(f"segment {name[:80]!r} is unknown" for name in unknown)
        kept = [parse_filters(known[name], faults) for name in condition.values if name in known]
        any_of = Join("or", tuple(one for one in kept if one is not None))
        return any_of if condition.operator == "is" else Join("not", (any_of,))

    expanded = query.filters and replace_conditions(query.filters, expand)
    if faults:
        raise QueryError(faults)
    return query.asking(filters=expanded)


def _save(engine: Engine, site: str, kind: Kind, kept: Saved, faults: list[str]) -> None:
    if not NAME.match(kept.name):
        faults = [*faults, f"name {kept.name[:80]!r} is not 1 to 64 letters, digits and spaces, without |"]
    with transaction(engine) as connection:
        replaced = connection.execute(_one(site, kind, kept.name)).rowcount
        of_kind = (SAVED.c.site == site) & (SAVED.c.kind == kind)
        count = connection.execute(select(func.count()).select_from(SAVED).where(of_kind)).scalar_one()
        if count >= MOST_SAVED:
            faults = [*faults, f"there are {count} already; at most {MOST_SAVED}"]
        if faults:
            raise QueryError(faults)
        content = msgspec.json.encode(kept.content).decode()
        row = {"name": kept.name, "content": content, "operator": kept.operator, "at": kept.at}
        connection.execute(insert(SAVED).values(site=site, kind=kind, **row))
        body = {"action": "changed" if replaced else "added", "what": kind, "name": kept.name}
        _record(connection, site, kept.at, {**body, "content": kept.content, "operator": kept.operator})


def _one(site: str, kind: Kind, name: str) -> Delete:
    return delete(SAVED).where(SAVED.c.site == site, SAVED.c.kind == kind, SAVED.c.name == name)


def _record(connection: Connection, site: str, now: float, body: dict[str, object]) -> None:
    ledger.append(connection, at=now, site=site, kind=RECORD, consent_id=None, body=body)
