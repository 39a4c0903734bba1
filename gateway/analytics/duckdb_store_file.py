"""The DuckDB file as a file: copied while its owner keeps it still, made small again, counted where it lies in a backup.

DuckDB uses the room of deleted rows again and never gives it back; a file that is written anew has none.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

from gateway.analytics.journal import sync_file
from gateway.analytics.store import Tell
from gateway.errors import StoreError

COUNTED = ("events", "visits", "counts", "waiting")
AT_ONCE = 8 << 20
LEAST_FREE_BYTES = 64 << 20  # less is not worth the minute
FREE_SHARE = 3  # one part in so many
# No extension is looked for or fetched; files may be attached, since it has to write a second one.
Settings = dict[str, str | bool | int | float | list[str]]
PLAIN: Settings = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "threads": 2,
    "memory_limit": "384MB",
}
FREE = "SELECT block_size * free_blocks, block_size * total_blocks FROM pragma_database_size()"


class Gate:
    """Many may read at once; one may have everything to itself, and waits until those that read have done."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._alone = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Be one of those that read."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have nobody reading."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._alone = True
            self._changed.wait_for(lambda: not self._readers)
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()


def connect(path: Path | str, settings: Settings, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """A connection that draws no bars for what takes its time: DuckDB does, to whatever Python was given as a command."""
    connection = duckdb.connect(str(path), read_only=read_only, config=settings)
    connection.execute("SET enable_progress_bar = false")  # of this connection alone; its cursors draw none
    return connection


def ensure_file(path: Path) -> None:
    """Where there is no file, an empty one: whole, or not there at all. DuckDB would write it where it lies, and can never
    open what it left when the disk was full or its process was killed midway. Raises StoreError."""
    if path.exists():
        return
    fresh = Path(f"{path}.fresh")
    try:
        _delete(fresh)
        connect(fresh, PLAIN).close()
        sync_file(fresh)
        _delete(path)  # a log whose file is gone belongs to nothing
        fresh.replace(path)
        sync_file(path.parent)
    except (duckdb.Error, OSError) as error:
        raise StoreError(f"{path.name} cannot be made: {error}") from error


def copy_bytes(source: Path, target: Path, tell: Tell) -> None:
    """A copy for its owner alone, on disk when this returns."""
    descriptor = os.open(target, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with source.open("rb") as reading, os.fdopen(descriptor, "wb") as writing:
        while block := reading.read(AT_ONCE):
            writing.write(block)
            tell(len(block))
        writing.flush()
        os.fsync(writing.fileno())


def copy_database(path: Path, target: Path, tell: Tell) -> None:
    """File and log as they are: what is committed stands in one of the two. Its owner must write nothing meanwhile."""
    for suffix in ("", ".wal"):
        source = Path(f"{path}{suffix}")
        if source.exists():
            copy_bytes(source, Path(f"{target}{suffix}"), tell)


def count_rows(path: Path, *, settle: bool = False) -> dict[str, int]:
    """How many rows each table of a file has that nobody uses. `settle`: its log goes into it first. Raises StoreError."""
    try:
        with closing(connect(path, PLAIN, read_only=not settle)) as connection:
            if settle:
                connection.execute("CHECKPOINT")
            return {table: _number(connection, f"SELECT count(*) FROM {table}") for table in COUNTED}
    except duckdb.Error as error:
        raise StoreError(f"{path.name} cannot be read: {error}") from error


def is_wasteful(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether enough of the file is free to write it anew."""
    row = connection.execute(FREE).fetchone()
    free, whole = (int(row[0]), int(row[1])) if row else (0, 0)
    return free >= LEAST_FREE_BYTES and free * FREE_SHARE >= whole


def compact_file(path: Path) -> None:
    """Write a file that nobody has open anew and put it in the old one's place: killed at any moment, one of them is there.

    Raises StoreError; then the old one stays.
    """
    fresh = Path(f"{path}.compact")
    _delete(fresh)
    try:
        with closing(connect(path, PLAIN)) as connection:
            connection.execute("CHECKPOINT")
            connection.execute("ATTACH $target AS fresh".replace("$target", _quote(fresh)))
            connection.execute(f'COPY FROM DATABASE "{path.stem}" TO fresh')
            connection.execute("CHECKPOINT fresh")
            connection.execute("DETACH fresh")
        if Path(f"{path}.wal").exists() or Path(f"{fresh}.wal").exists():
            raise StoreError(f"{path.name} is still being written to")
        fresh.chmod(0o600)
        sync_file(fresh)
        fresh.replace(path)
        sync_file(path.parent)
    except duckdb.Error as error:
        raise StoreError(f"{path.name} cannot be written anew: {error}") from error
    finally:
        _delete(fresh)


def _number(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0


def _quote(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _delete(path: Path) -> None:
    for suffix in ("", ".wal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def write_parquet(lines: Path, columns: Sequence[tuple[str, str]], target: Path) -> None:
    """Rows as lines of JSON into a Parquet file; `columns` are (name, DuckDB's type). Raises StoreError."""
    shape = ", ".join(f"'{name}': '{kind}'" for name, kind in columns)
    reading = f"read_json($lines, format = 'newline_delimited', columns = {{{shape}}})"
    try:
        with connect(":memory:", PLAIN) as connection:
            connection.execute(
                f"COPY (SELECT * FROM {reading}) TO {_quote(target)} (FORMAT parquet)", {"lines": str(lines)}
            )
    except duckdb.Error as error:
        raise StoreError(f"{target.name} could not be written: {error}") from error
