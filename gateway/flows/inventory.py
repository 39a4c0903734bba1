"""The inventory: what was seen on a site, in the database, each name with its pages, first and last time, and how often.

It is bounded: of names and pages without end only so many are kept, those that visitors can invent fewer.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, case, delete, distinct, func, select

from gateway.database import SIGHTINGS, insert_into, reading, transaction
from gateway.event import Counted, Entry, Sight, Sighted
from gateway.flows.counters import OTHER
from gateway.flows.page_numbers import NUMBERS
from gateway.flows.sightings import HOST, NO_HOSTS, SENT, VIOLATION, Rows, add_sight

MAX_NAMES = 2_000  # of one kind on one site
MAX_INVENTED = 300  # of those that visitors can make up
MAX_PAGES = 50  # of one name
MAX_LETTERS = 160  # of a name and a detail; paths have twice as many
INVENTED = frozenset((SENT, VIOLATION))
HOUR = 3600.0
EFFECTS = {
    "held": (1, 0),
    "would_hold": (0, 1),
    "violation": (1, 0),
}  # counters, and whether these are held or would be


class Page(msgspec.Struct, frozen=True):
    """A page on which something was seen. `count` is 0 where only the total is known."""

    path: str
    count: int
    would: int


class Item(msgspec.Struct, frozen=True):
    """One thing in the inventory, over all its pages."""

    site: str
    kind: str
    name: str
    detail: str
    first_at: float
    last_at: float
    count: int
    held: int
    would: int
    pages: tuple[Page, ...]


def read_sights(entry: Entry, now: float) -> list[tuple[str, Sight]]:
    """What a journal entry adds to the inventory, each with its site: what was sighted, and how often something was held."""
    if isinstance(entry, Sighted):
        return [(entry.site, _plain(row)) for row in entry.rows]
    return [(entry.site, _plain(row)) for row in _read_counts(entry, now)] if isinstance(entry, Counted) else []


def _plain(row: Sight) -> Sight:
    """As every database takes it. A page may hold anything, and PostgreSQL no NUL: what it refuses would hold up all that is
    behind it for ever."""
    texts = (row.name, row.path, row.detail)
    name, path, detail = ("".join(letter if letter.isprintable() else "?" for letter in text) for text in texts)
    return msgspec.structs.replace(
        row, name=name[:MAX_LETTERS], path=path[: 2 * MAX_LETTERS], detail=detail[:MAX_LETTERS]
    )


def _read_counts(entry: Counted, now: float) -> Iterator[Sight]:
    """Counters of hosts held back and of violations reported; cookies are sighted with their counts."""
    at = min(now, entry.hour + HOUR)
    for kind, name, detail, count in entry.rows:
        what, _, rest = detail.partition(" ")
        if kind in EFFECTS and name != OTHER and name not in NO_HOSTS and what != "cookie":
            held, would = (count * share for share in EFFECTS[kind])
            path = rest.partition(" ")[2] if kind == "would_hold" else ""
            listed = VIOLATION if kind == "violation" else HOST
            yield Sight(listed, name, path, what, at, at, count, held, would)


def add_sights(connection: Connection, sights: Iterable[tuple[str, Sight]]) -> None:
    """Add to what is known, within the caller's transaction. What is too much is added up under `(other)`."""
    bounded: Rows = {}
    for (site, kind), group in _by_kind(sights).items():
        names = _find_pages(connection, site, kind, {row.name for row in group})
        room = (MAX_INVENTED if kind in INVENTED else MAX_NAMES) - _count_names(connection, site, kind)
        for row in group:
            if row.name not in names:
                room -= 1
                names[row.name] = set() if room >= 0 else None
            add_sight(bounded, site, _fit(row, names[row.name]))
    if bounded:
        values = [{"site": site, **msgspec.structs.asdict(row)} for (site, *_), row in bounded.items()]
        connection.execute(_upsert(connection), values)


def _by_kind(sights: Iterable[tuple[str, Sight]]) -> dict[tuple[str, str], list[Sight]]:
    groups: dict[tuple[str, str], list[Sight]] = {}
    for site, row in sights:
        groups.setdefault((site, row.kind), []).append(row)
    return groups


def _fit(row: Sight, pages: set[str] | None) -> Sight:
    """The row as there is room for it: `pages` are those of its name, None when there is no room for the name."""
    if pages is None:
        return msgspec.structs.replace(row, name=OTHER, path="", detail="")
    if row.path not in pages and len(pages) >= MAX_PAGES:
        return msgspec.structs.replace(row, path="")
    pages.add(row.path)
    return row


def _find_pages(connection: Connection, site: str, kind: str, names: set[str]) -> dict[str, set[str] | None]:
    """The pages on which those names were seen, of the names that are known."""
    table = SIGHTINGS.c
    query = select(table.name, table.path).where(table.site == site, table.kind == kind, table.name.in_(names))
    known: dict[str, set[str] | None] = {OTHER: {""}}
    for name, path in connection.execute(query):
        pages = known.setdefault(name, set())
        assert pages is not None
        pages.add(path)
    return known


def _count_names(connection: Connection, site: str, kind: str) -> int:
    table = SIGHTINGS.c
    query = select(func.count(distinct(table.name))).where(table.site == site, table.kind == kind)
    return int(connection.execute(query).scalar_one())


def _upsert(connection: Connection) -> Any:
    insert = insert_into(connection, SIGHTINGS)
    old, new = SIGHTINGS.c, insert.excluded
    return insert.on_conflict_do_update(
        index_elements=["site", "kind", "name", "path"],
        set_={
            "detail": case((new.detail != "", new.detail), else_=old.detail),
            "first_at": case((new.first_at < old.first_at, new.first_at), else_=old.first_at),
            "last_at": case((new.last_at > old.last_at, new.last_at), else_=old.last_at),
            "count": old["count"] + new["count"],
            "held": old.held + new.held,
            "would": old.would + new.would,
        },
    )


def read_inventory(engine: Engine, site: str, kind: str = "", name: str = "", *, pages: bool = True) -> list[Item]:
    """Everything that was seen on a site (of one kind; of one name), the newest first; without `pages` it takes less."""
    table = SIGHTINGS.c
    of_kind = table.kind == kind if kind else table.kind != NUMBERS  # those are looked at elsewhere
    wanted = [table.site == site, of_kind, *([table.name == name] if name else [])]
    times = (func.min(table.first_at), func.max(table.last_at))
    sums = (func.sum(table["count"]), func.sum(table.held), func.sum(table.would))
    query = select(table.kind, table.name, func.max(table.detail), *times, *sums)
    found: dict[tuple[str, str], list[Page]] = {}
    with reading(engine) as connection:
        rows = connection.execute(query.where(*wanted).group_by(table.kind, table.name)).all()
        if pages:
            seen = select(table.kind, table.name, table.path, table["count"], table.would).where(
                *wanted, table.path != ""
            )
            for kind_, name_, path, count, would in connection.execute(seen):
                found.setdefault((kind_, name_), []).append(Page(path, count, would))
    items = []
    for kind_, name_, detail, first_at, last_at, *sums_ in rows:
        count, held, would = map(int, sums_)
        shown = _order(found.get((kind_, name_), []))
        items.append(Item(site, kind_, name_, detail, first_at, last_at, count, held, would, shown))
    return sorted(items, key=lambda item: (-item.first_at, item.kind, item.name))


def _order(pages: list[Page]) -> tuple[Page, ...]:
    """Those on which the most would be held first."""
    return tuple(sorted(pages, key=lambda page: (-page.would, -page.count, page.path)))


def prune_sights(engine: Engine, before: float) -> None:
    """Forget what was last seen before."""
    with transaction(engine) as connection:
        connection.execute(delete(SIGHTINGS).where(SIGHTINGS.c.last_at < before))
