"""A copy of the whole data folder while everything runs.

Draining is held meanwhile (its caller sees to it), so that journals, store and outbox agree: what the store's copy has not
taken yet stands in the copied journals, and is taken once after a restore. The heads are copied before the ledger, which can
only have grown since. Secrets of the day (salts) and sessions are in no backup, and are never written there on the way.
"""

import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from gateway.analytics.duckdb_store_file import copy_bytes
from gateway.analytics.journal import JOURNAL_FOLDER, find_segments, measure_segment
from gateway.analytics.store import Tell
from gateway.errors import ConfigError
from gateway.heads import KEY_FILE
from gateway.keys import FILE, SUBJECT_FILE

DATABASE_COPY, STORE_COPY = "gateway.db", "events.duckdb"
KEY_FILES = (FILE, SUBJECT_FILE, KEY_FILE)
MANIFEST = "manifest.json"
UNFINISHED = "unfinished"  # stands in a backup until it has its manifest
LEFT_OUT = ("salts", "sessions")  # tables that are made, and stay empty
# Locks, sockets, the bell, the reserve, drafts, what a killed process left, and what is copied in a way of its own.
NOT_COPIED = re.compile(
    r".*\.(lock|starting|sock|bell)|reserve\.bin|events\.duckdb.*|gateway\.db.*|.*\.[0-9a-f]{16}", re.DOTALL
)
SCHEMA = """
SELECT type = 'table', name, sql FROM live.sqlite_master
WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type <> 'table', rowid"""

CopyStore = Callable[[Path, Tell], None]


def partial_of(target: Path) -> Path:
    """Where a backup is made, before it has its name."""
    return target.with_name(f"{target.name}.partial")


def weigh(folder: Path, database: Path | None) -> int:
    """About how many bytes will be copied."""
    beside = [] if database is None or database.parent == folder else [database]
    return sum(path.stat().st_size for path in (*_files(folder), *beside) if path.exists())


def copy_data(
    folder: Path, target: Path, database: Path | None, copy_store: CopyStore, *, with_keys: bool, tell: Tell
) -> Path:
    """Copy a data folder into a new one beside `target`, which is returned. `database` is None where it is no SQLite file.

    Raises ConfigError for a target that cannot be, OSError, StoreError.
    """
    _check_target(folder, target)
    partial = partial_of(target)
    _begin(partial)
    copy_store(partial / STORE_COPY, tell)
    _copy_journals(folder / JOURNAL_FOLDER, partial / JOURNAL_FOLDER, tell)
    for path in _files(folder):
        name = path.relative_to(folder)
        if name.parts[0] == JOURNAL_FOLDER or NOT_COPIED.fullmatch(path.name):
            continue
        if with_keys or path.name not in KEY_FILES:
            _copy_plain(path, partial / name, tell)
    if database is not None:
        copy_tables(database, partial / DATABASE_COPY)
        tell(database.stat().st_size)
    return partial


def _check_target(folder: Path, target: Path) -> None:
    if target.exists():
        raise ConfigError("command line", "TO", str(target), "is there already; wanted a folder that is not there yet")
    if target.is_relative_to(folder):
        raise ConfigError("command line", "TO", str(target), "lies in the data folder; wanted another disk at best")
    if not target.parent.is_dir():
        raise ConfigError("command line", "TO", str(target), f"there is no folder {target.parent}")


def _begin(partial: Path) -> None:
    """A folder that holds nothing but its mark; what an interrupted backup left there goes, at whatever step that one ended."""
    partial.mkdir(mode=0o700, exist_ok=True)
    mark, left = partial / UNFINISHED, list(partial.iterdir())
    if left and not mark.exists() and not (partial / MANIFEST).exists():
        raise ConfigError("command line", "TO", str(partial), "is in the way, and is no unfinished backup")
    mark.touch(mode=0o600)
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path != mark:
            path.unlink()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def _copy_plain(path: Path, target: Path, tell: Tell) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    copy_bytes(path, target, tell)


def _copy_journals(journals: Path, target: Path, tell: Tell) -> None:
    """Each segment with all that was committed to it until now. One that is being appended to ends with its last whole commit:
    what is half written was acknowledged to nobody."""
    target.mkdir(mode=0o700)
    for segment in find_segments(journals):
        copy = target / segment.name
        copy_bytes(segment.path, copy, tell)
        if not segment.closed:
            os.truncate(copy, measure_segment(copy)[0])
    for path in journals.glob("*.damaged*"):
        copy_bytes(path, target / path.name, tell)


def copy_tables(database: Path, target: Path) -> None:
    """The tables of a SQLite file as they are at one moment, whoever writes to it; without the rows of those left out."""
    target.touch(mode=0o600)
    with closing(sqlite3.connect(target, isolation_level=None, uri=True)) as copy:
        copy.execute("ATTACH ? AS live", (f"file:{quote(str(database))}?mode=rw",))
        copy.execute("BEGIN")
        for is_table, name, sql in copy.execute(SCHEMA).fetchall():
            copy.execute(sql)
            if is_table and name not in LEFT_OUT:
                copy.execute(f'INSERT INTO main."{name}" SELECT * FROM live."{name}"')
        copy.execute("COMMIT")
