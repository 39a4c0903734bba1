"""The embedded event store: one DuckDB file, owned by the keeper. The only user of duckdb.

`events` has a row for each page view and custom event, `visits` one for each visit, kept current as entries arrive, and
`counts` the plain counters. Entries and their segment's offset are one transaction, and an offset already reached is never
stored again: exactly once, whatever is killed.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import duckdb

from gateway.analytics.day_sums import DaySums
from gateway.analytics.dialect import DUCKDB
from gateway.analytics.duckdb_store_arrivals import add_entries
from gateway.analytics.duckdb_store_file import (
    Gate,
    Settings,
    compact_file,
    connect,
    copy_database,
    ensure_file,
    is_wasteful,
)
from gateway.analytics.duckdb_store_order import arrange, find_stretch
from gateway.analytics.duckdb_store_sums import FIND, forget, keep, read_days
from gateway.analytics.duckdb_store_tables import prepare
from gateway.analytics.store import Batch, Tell, naive_utc
from gateway.errors import StoreError

# Without the two `auto` settings DuckDB would fetch extensions from the internet.
SETTINGS: Settings = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
    "threads": 2,
    "memory_limit": "384MB",
    "allocator_background_threads": "true",  # gives memory back after a burst
    # The first would tell all rows apart before a count looks at its filter; the second finds nothing in our questions, and
    # takes a tenth of what planning takes.
    "disabled_optimizers": "distinct_aggregate_rewrite,common_subplan",
}

COLUMNS = """
SELECT column_name, data_type FROM duckdb_columns()
WHERE table_name = $name AND database_name = current_database() AND NOT internal
AND column_name NOT IN ('alone', 'first_here', 'sole') ORDER BY column_index"""
OFFSETS = "SELECT segment, drained FROM journal_offsets"
OFFSET = "SELECT drained FROM journal_offsets WHERE segment = $segment"
ADVANCE = """
INSERT INTO journal_offsets VALUES ($segment, $drained)
ON CONFLICT (segment) DO UPDATE SET drained = excluded.drained"""
FORGET = "DELETE FROM journal_offsets WHERE segment = $segment"
PRUNE = (
    "DELETE FROM events WHERE happened_at < $before",
    "DELETE FROM waiting WHERE last_at < $before",
)
PRUNE_VISITS = ("DELETE FROM visits WHERE started_at < $before", "DELETE FROM counts WHERE hour < $before")
# An engagement whose view has not come by then was told of a view that was dropped.
WAITING_KEPT = timedelta(days=2)
FORGET_WAITING = "DELETE FROM waiting WHERE last_at < (SELECT max(last_at) FROM waiting) - $kept"

# Questions whose text is kept as DuckDB has understood it: a dashboard asks the same with other values.
PARSED = 256


class Connections(NamedTuple):
    """Cursors for reading are made from a connection that never runs anything, so that none waits for a write."""

    writing: duckdb.DuckDBPyConnection
    reading: duckdb.DuckDBPyConnection


class DuckDBStore:
    """The Store in a DuckDB file. One process may have it open; any of its threads may call any method."""

    dialect = DUCKDB

    def __init__(self, path: Path, *, at_once: bool = True) -> None:
        """Open or make the file. Raises StoreError when it is damaged or another process has it.

        Not `at_once`: its first use opens it, and while it cannot be opened every use tries again.
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = path
        self._writing, self._opening, self._gate = threading.Lock(), threading.Lock(), Gate()
        self._parse = lru_cache(PARSED)(self._read_text)
        self._opened: Connections | None = None
        self._closed = False
        if at_once:
            with self._errors():
                self._open()

    def add(self, *batches: Batch) -> None:
        """Store all batches and their segments' new offsets in one transaction; a batch whose offset was reached
        before is left out. Raises StoreError, and then nothing is stored."""
        with self._transaction() as connection:
            new = [batch for batch in batches if not _is_stored(connection, batch)]
            add_entries(connection, [entry for batch in new for entry in batch.entries])
            for batch in new:
                connection.execute(ADVANCE, {"segment": batch.segment, "drained": batch.drained})

    def offsets(self) -> dict[str, int]:
        """The number of the last stored entry of each journal segment."""
        return {str(segment): int(str(drained)) for segment, drained in self.fetch(OFFSETS, {})}

    def forget(self, segment: str) -> None:
        """Drop the offset of a segment whose file is gone."""
        with self._transaction() as connection:
            connection.execute(FORGET, {"segment": segment})

    def fetch(self, sql: str, values: dict[str, object]) -> list[tuple[object, ...]]:
        """Run one reading query with values bound by name (`$name`); runs beside writes. Raises StoreError."""
        with self._errors(), self._gate.shared(), self._open().reading.cursor() as cursor:
            return cursor.execute(self._parse(sql), values).fetchall()

    def _read_text(self, sql: str) -> duckdb.Statement:
        """One question, without its values: DuckDB takes a third of what it needs before it reads any row for that."""
        (statement,) = self._open().reading.extract_statements(sql)
        return statement

    def columns(self, table: str) -> list[tuple[str, str]]:
        """The columns of a table, in order, each with its type."""
        return [(str(name), str(kind)) for name, kind in self.fetch(COLUMNS, {"name": table})]

    def prune(self, before: float, visits_before: float | None = None) -> int:
        """Delete what happened before (events), and the visits that began and counters that ended before a moment of their
        own (without: the same); returns how many rows went."""
        events, visits = naive_utc(before), naive_utc(before if visits_before is None else visits_before)
        with self._transaction() as connection:
            forget(connection, events, visits)
            gone = sum(_changed(connection.execute(sql, {"before": events})) for sql in PRUNE)
            gone += sum(_changed(connection.execute(sql, {"before": visits})) for sql in PRUNE_VISITS)
            gone += _changed(connection.execute(FORGET_WAITING, {"kept": WAITING_KEPT}))
        if gone:
            with self._writing, self._errors():
                self._open().writing.execute("CHECKPOINT")  # its room is used again from now on, not some day
        return gone

    def summed_days(self, site: str, timezone: str) -> frozenset[date]:
        """The local days of which sums are kept."""
        return read_days(self.fetch(FIND, {"site": site, "timezone": timezone}))

    def keep_sums(self, sums: DaySums) -> None:
        """Make the sums of some days, in one transaction. Raises StoreError."""
        with self._transaction() as connection:
            keep(connection, sums)

    def compact(self, *, at_any_rate: bool = False) -> bool:
        """Write the file anew when a third of it is free; returns whether it was. Whoever reads or writes waits."""
        with self._writing, self._errors():
            if not at_any_rate and not is_wasteful(self._open().writing):
                return False
            with self._gate.alone():
                self._let_go()
                compact_file(self._path)
        return True

    def arrange(self, before: float) -> bool:
        """Write a stretch of days before a moment anew, site by site, in one transaction; whether there was one."""
        with self._transaction() as connection:
            stretch = find_stretch(connection, naive_utc(before))
            if stretch:
                arrange(connection, *stretch)
        if stretch:
            with self._writing, self._errors():
                self._open().writing.execute("CHECKPOINT")  # what stood there before is read no more
        return stretch is not None

    def copy_to(self, target: Path, tell: Tell) -> None:
        """A copy of all that is stored at this moment; what is to be written waits, what reads does not."""
        with self._writing, self._errors():
            self._open()
            copy_database(self._path, target, tell)

    def close(self) -> None:
        """Write everything down and release the file."""
        with self._writing:
            self._closed = True
            self._let_go()

    def _open(self) -> Connections:
        with self._opening:
            if self._closed:
                raise StoreError("the event store is closed")
            if self._opened is None:
                ensure_file(self._path)
                writing = connect(self._path, SETTINGS)
                prepare(writing)
                self._path.chmod(0o600)
                self._opened = Connections(writing, writing.cursor())
            return self._opened

    def _let_go(self) -> None:
        with self._opening:
            opened, self._opened = self._opened, None
        for connection in reversed(opened or ()):
            with suppress(duckdb.Error):  # what could not be written into the file is in the log beside it
                connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._writing, self._errors():
            connection = self._open().writing
            connection.begin()
            try:
                yield connection
                connection.commit()
            except BaseException:
                with suppress(duckdb.Error):  # a commit that failed has been rolled back already
                    connection.rollback()
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            if isinstance(
                error, duckdb.FatalException
            ):  # such as a full disk: nothing is answered until it is reopened
                self._let_go()
            raise StoreError(f"the event store cannot answer: {error}") from error


def _is_stored(connection: duckdb.DuckDBPyConnection, batch: Batch) -> bool:
    known = connection.execute(OFFSET, {"segment": batch.segment}).fetchone()
    return known is not None and int(known[0]) >= batch.drained


def _changed(result: duckdb.DuckDBPyConnection) -> int:
    row = result.fetchone()
    return int(row[0]) if row else 0
