"""Days that Plausible counted, out of its export, as sums in the database: each day once, whatever is killed.

An export is known by the hash of its site and content. It is read twice: first all of it is checked, then it is written, a
thousand lines in a transaction that also says how far it came; a killed import goes on there. Only when all is written
does it become whole, and is reported. A day that an earlier export has told stays as that one told it.
"""

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec
from sqlalchemy import Engine, delete, select, update

from gateway.analytics.day_sums import WHOLE
from gateway.analytics.imported_days import ARRIVING, DONE, LEAVING, SUMS
from gateway.analytics.plausible_export import WHOLE_FILE, Export, ExportFile, Line, open_export, read_lines
from gateway.analytics.plausible_names import Names
from gateway.database import insert_into, reading, transaction
from gateway.errors import ExportBroken
from gateway.imported_tables import IMPORTED_DAYS, IMPORTS

SOURCE = "plausible"
CHUNK_LINES = 1000
Tell = Callable[[int], None]
Key = tuple[str, str, str]  # dimension, day, name
Sums = tuple[int | None, ...]
D = IMPORTED_DAYS.c


class Taken(msgspec.Struct, frozen=True):
    """What came of one export: its days, and how many of them were told by an earlier one; files that are none of it."""

    days: int = 0
    told_before: int = 0
    first: str = ""
    last: str = ""
    left_out: list[str] = []
    known: bool = False


class _Checked(NamedTuple):
    name: str
    days: set[str]


class _Counter:
    """How many bytes have been read; told now and then."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._bytes, self._lines = tell, 0, 0

    def count(self, line: bytes) -> None:
        self._bytes += len(line)
        self._lines += 1
        if self._lines % CHUNK_LINES == 0:
            self._tell(self._bytes)


def import_plausible(path: Path, site: str, names: Names, engine: Engine, now: float, tell: Tell) -> Taken:
    """Take an export in. `tell` hears how many bytes were read, of twice the export's size. Raises ExportBroken, OSError, or
    what the database raises; whoever calls holds the data folder's import lock."""
    with open_export(path) as export:
        read = _Counter(tell)
        checked = _check(export, site, read)
        state, written = _find_state(engine, checked.name)
        if state == DONE:
            return Taken(known=True)
        _remove_unfinished(engine, site, checked.name if state == ARRIVING else "")
        told = checked.days & _told_days(engine, site)
        if state != ARRIVING:
            _begin(engine, site, checked.name, now)
            written = 0
        _write(engine, export, checked.name, told, names, written, read)
    with transaction(engine) as connection:
        connection.execute(update(IMPORTS).where(IMPORTS.c.id == checked.name).values(state=DONE))
    days = sorted(checked.days - told) or [""]
    return Taken(len(checked.days - told), len(told), days[0], days[-1], export.left_out)


def undo_plausible(path: Path, site: str, engine: Engine, tell: Tell) -> bool:
    """Take back what an export brought; returns whether it had been imported. Raises as above."""
    with open_export(path) as export:
        name = _check(export, site, _Counter(tell)).name
    state, _ = _find_state(engine, name)
    if state:
        _remove(engine, name)
    return bool(state)


def _check(export: Export, site: str, read: _Counter) -> _Checked:
    """Read all of it once; raises ExportBroken for the first line that cannot be read, and for a day that is told twice."""
    digest, days = sha256(f"{SOURCE} {site}".encode()), set[str]()
    where: dict[tuple[str, str], str] = {}
    for file in export.files:
        digest.update(f"\n{file.kind}\n".encode())

        def seen(line: bytes) -> None:
            digest.update(line)
            read.count(line)

        for line in read_lines(file, seen):
            if where.setdefault((file.kind, line.day), file.name) != file.name:
                raise ExportBroken(
                    file.name,
                    0,
                    "date",
                    f"{line.day} stands in {where[file.kind, line.day]} as well; import one of them",
                )
            if file.kind == WHOLE_FILE:
                days.add(line.day)
    return _Checked(digest.hexdigest(), days)


def _write(
    engine: Engine, export: Export, name: str, told: set[str], names: Names, written: int, read: _Counter
) -> None:
    waiting: dict[Key, Sums] = {}
    number = 0
    for number, (file, line) in enumerate(_all_lines(export, read), 1):
        if number <= written or line.day in told:
            continue
        for dimension, value in names.find(file.kind, line.names):
            key = (dimension, line.day, value)
            waiting[key] = _add(waiting[key], line.sums) if key in waiting else line.sums
        if number % CHUNK_LINES == 0:
            _store(engine, name, waiting, number)
            waiting = {}
    _store(engine, name, waiting, number)


def _all_lines(export: Export, read: _Counter) -> Iterator[tuple[ExportFile, Line]]:
    for file in export.files:
        for line in read_lines(file, read.count):
            yield file, line


def _store(engine: Engine, name: str, waiting: dict[Key, Sums], written: int) -> None:
    rows = [
        {"import_id": name, "dimension": dimension, "day": day, "name": value, **dict(zip(SUMS, sums, strict=True))}
        for (dimension, day, value), sums in waiting.items()
    ]
    with transaction(engine) as connection:
        if rows:
            insert = insert_into(connection, IMPORTED_DAYS)
            more = {one: D[one] + insert.excluded[one] for one in SUMS}
            connection.execute(
                insert.on_conflict_do_update(index_elements=list(IMPORTED_DAYS.primary_key), set_=more), rows
            )
        connection.execute(update(IMPORTS).where(IMPORTS.c.id == name).values(written=written))


def _add(one: Sums, other: Sums) -> Sums:
    return tuple(None if a is None or b is None else a + b for a, b in zip(one, other, strict=True))


def _find_state(engine: Engine, name: str) -> tuple[str, int]:
    with reading(engine) as connection:
        found = connection.execute(select(IMPORTS.c.state, IMPORTS.c.written).where(IMPORTS.c.id == name)).first()
    return ("", 0) if found is None else (found.state, found.written)


def _begin(engine: Engine, site: str, name: str, now: float) -> None:
    row = {"id": name, "site": site, "source": SOURCE, "state": ARRIVING, "written": 0, "at": now}
    with transaction(engine) as connection:
        connection.execute(IMPORTS.insert(), row)


def _told_days(engine: Engine, site: str) -> set[str]:
    """The days that whole imports of the site have told."""
    told = select(D.day).join(IMPORTS, IMPORTS.c.id == D.import_id)
    with reading(engine) as connection:
        found = connection.execute(told.where(IMPORTS.c.site == site, IMPORTS.c.state == DONE, D.dimension == WHOLE))
        return set(found.scalars())


def _remove_unfinished(engine: Engine, site: str, but: str) -> None:
    """What was killed and not begun again, and what was being taken back."""
    unfinished = select(IMPORTS.c.id).where(IMPORTS.c.site == site, IMPORTS.c.state != DONE, IMPORTS.c.id != but)
    with reading(engine) as connection:
        names = connection.execute(unfinished).scalars().all()
    for name in names:
        _remove(engine, name)


def _remove(engine: Engine, name: str) -> None:
    """First out of all reports, then, a dimension in a transaction, so that nobody else waits for long, out of the database."""
    with transaction(engine) as connection:
        connection.execute(update(IMPORTS).where(IMPORTS.c.id == name).values(state=LEAVING))
    with reading(engine) as connection:
        there = select(D.dimension).where(D.import_id == name).distinct()
        dimensions = connection.execute(there).scalars().all()
    for dimension in dimensions:
        with transaction(engine) as connection:
            connection.execute(delete(IMPORTED_DAYS).where(D.import_id == name, D.dimension == dimension))
    with transaction(engine) as connection:
        connection.execute(delete(IMPORTS).where(IMPORTS.c.id == name))
