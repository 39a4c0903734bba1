"""The embedded event store: one DuckDB file, owned by the keeper. The only user of duckdb.

`events` has a row for each page view and custom event, `visits` one for each visit, kept current as entries arrive, and
`counts` the plain counters. Segments of several workers interleave, so nothing here depends on the order in which
entries come: the entry page is the earliest view, the exit page the latest, engaged time the largest told, and an
engagement that comes before its view waits in `waiting`. Entries and their segment's offset are one transaction, and
an offset already reached is never stored again: exactly once, whatever is killed.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb
import msgspec

from gateway.analytics.dialect import DUCKDB
from gateway.analytics.duckdb_store_file import Gate, compact_file, copy_database, is_wasteful
from gateway.analytics.store import CUMULATIVE, ENTRY_TEXTS, Batch, Count, Tell, naive_utc, sum_counts
from gateway.errors import StoreError
from gateway.event import ENGAGEMENT, Event, Recorded, Told

# Without the two `auto` settings DuckDB would fetch extensions from the internet.
SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
    "threads": 2,
    "memory_limit": "384MB",
    "allocator_background_threads": "true",  # gives memory back after a burst
}
# An engagement tells of a view of its own visit, or of one before it, in a tab that stayed open. Views older than this
# before the visit's start are not looked for: it bounds what an update has to read.
SLACK = timedelta(hours=2)

# What came later than the first stores: where a store is older, its events say nothing of it.
LATER = {
    "scroll": "SMALLINT DEFAULT -1", "screen": "VARCHAR DEFAULT ''", "lcp": "INTEGER DEFAULT -1",
    "inp": "INTEGER DEFAULT -1", "cls": "INTEGER DEFAULT -1", "revenue": "BIGINT DEFAULT 0",
    "currency": "VARCHAR DEFAULT ''", "status": "VARCHAR DEFAULT ''",
}  # fmt: skip
TOLD_TYPES = {name: kind.partition(" ")[0] for name, kind in LATER.items()}
FIELD_TYPES = {
    "at": "DOUBLE", "visitor": "UBIGINT", "visit_started_at": "DOUBLE", "sequence": "BIGINT",
    "engaged_ms": "BIGINT", "props": "JSON",
}  # fmt: skip
MISSING = {
    "props": "'{}'", "visitor": "0", "sequence": "0", "engaged_ms": "0", "revenue": "0",
    "scroll": "-1", "lcp": "-1", "inp": "-1", "cls": "-1",
}  # fmt: skip
# Every field of Event but the network, which is never stored, and all that is told.
PLAIN = tuple(name for name in Event.__struct_fields__ if name not in ("network", "told"))
FIELDS = (*PLAIN, *Told.__struct_fields__)
TIMES = {"at": "happened_at", "visit_started_at": "visit_started_at"}


def _texts(template: str) -> str:
    return ", ".join(template.format(name) for name in ENTRY_TEXTS)


SCHEMA = f"""
CREATE TABLE IF NOT EXISTS events (
    happened_at TIMESTAMP NOT NULL, site VARCHAR NOT NULL, kind VARCHAR NOT NULL, path VARCHAR NOT NULL,
    topic VARCHAR NOT NULL, visitor UBIGINT NOT NULL, visit_id VARCHAR NOT NULL, visit_started_at TIMESTAMP NOT NULL,
    view_id VARCHAR NOT NULL, sequence BIGINT NOT NULL, engaged_ms BIGINT NOT NULL, props VARCHAR NOT NULL,
    {_texts("{} VARCHAR NOT NULL")});
CREATE TABLE IF NOT EXISTS visits (
    site VARCHAR NOT NULL, visit_id VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL, last_at TIMESTAMP NOT NULL,
    visitor UBIGINT NOT NULL, views BIGINT NOT NULL, events BIGINT NOT NULL, engaged_ms BIGINT NOT NULL,
    entry_at TIMESTAMP NOT NULL, entry_page VARCHAR NOT NULL, exit_at TIMESTAMP NOT NULL, exit_page VARCHAR NOT NULL,
    {_texts("{} VARCHAR NOT NULL")});
CREATE TABLE IF NOT EXISTS waiting (
    site VARCHAR NOT NULL, view_id VARCHAR NOT NULL, engaged_ms BIGINT NOT NULL, last_at TIMESTAMP NOT NULL);
CREATE TABLE IF NOT EXISTS counts (
    site VARCHAR NOT NULL, hour TIMESTAMP NOT NULL, kind VARCHAR NOT NULL, name VARCHAR NOT NULL,
    detail VARCHAR NOT NULL, n BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS journal_offsets (segment VARCHAR PRIMARY KEY, drained BIGINT NOT NULL);
"""
# Stores of earlier versions get the columns that they lack; what was interrupted goes on when the file is opened again.
ADDED = tuple(
    f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {name} {kind}"
    for table, names in (("events", LATER), ("waiting", CUMULATIVE))
    for name, kind in LATER.items()
    if name in names
)


def _staged(name: str) -> str:
    """One column of `incoming`: encoders leave defaults out, so what is missing is empty."""
    if name in TIMES:
        return f'make_timestamp(CAST(round(e."{name}" * 1000000) AS BIGINT)) AS {TIMES[name]}'
    missing = MISSING.get(name, "''")
    return f"coalesce(e.{'told.' if name in TOLD_TYPES else ''}{name}, {missing}) AS {name}"


_SHAPE = {name: FIELD_TYPES.get(name, "VARCHAR") for name in PLAIN} | {"told": TOLD_TYPES}
_JSON = msgspec.json.encode([_SHAPE]).decode()
STAGE = f"""
CREATE OR REPLACE TEMP TABLE incoming AS
SELECT {", ".join(_staged(name) for name in FIELDS)} FROM (SELECT unnest(from_json($entries, '{_JSON}')) AS e)"""
_COLUMNS = ", ".join(TIMES.get(name, name) for name in FIELDS)
INSERT_EVENTS = (
    f"INSERT INTO events ({_COLUMNS}) SELECT {_COLUMNS} FROM incoming WHERE kind <> 'engagement' ORDER BY happened_at"
)

# What a batch adds to each of its visits. The entry is the least row, the exit the greatest: page views count before
# custom events, then time, then content, so that the same events in any order give the same visit.
CHANGES = f"""
CREATE OR REPLACE TEMP TABLE changes AS
SELECT site, visit_id, min(visit_started_at) AS started_at, max(happened_at) AS last_at,
    count(*) FILTER (WHERE kind = 'page_view') AS views, count(*) FILTER (WHERE kind <> 'page_view') AS events,
    min({{late: kind <> 'page_view', happened_at: happened_at, path: path, visitor: visitor,
        {_texts("{0}: {0}")}}}) AS entry,
    max({{early: kind = 'page_view', happened_at: happened_at, path: path}}) AS exit
FROM incoming WHERE kind <> 'engagement' GROUP BY site, visit_id"""
_SAME_VISIT = "visits.site = c.site AND visits.visit_id = c.visit_id AND visits.started_at >= $since"
_ENTRY = f"row(visits.views = 0, visits.entry_at, visits.entry_page, visits.visitor, {_texts('visits.{}')})"
_EXIT = "row(visits.views > 0, visits.exit_at, visits.exit_page)"
_ADD = f"""last_at = greatest(visits.last_at, c.last_at),
    views = visits.views + c.views, events = visits.events + c.events,
    exit_at = CASE WHEN c.exit > {_EXIT} THEN c.exit.happened_at ELSE visits.exit_at END,
    exit_page = CASE WHEN c.exit > {_EXIT} THEN c.exit.path ELSE visits.exit_page END"""
MERGE_VISITS = f"""
MERGE INTO visits USING changes c ON {_SAME_VISIT}
WHEN MATCHED AND c.entry < {_ENTRY} THEN UPDATE SET {_ADD},
    entry_at = c.entry.happened_at, entry_page = c.entry.path, visitor = c.entry.visitor,
    {_texts("{0} = c.entry.{0}")}
WHEN MATCHED THEN UPDATE SET {_ADD}
WHEN NOT MATCHED THEN INSERT (site, visit_id, started_at, last_at, views, events, engaged_ms, visitor,
    entry_at, entry_page, exit_at, exit_page, {_texts("{}")})
    VALUES (c.site, c.visit_id, c.started_at, c.last_at, c.views, c.events, 0, c.entry.visitor,
    c.entry.happened_at, c.entry.path, c.exit.happened_at, c.exit.path, {_texts("c.entry.{}")})"""

_TOLD = ", ".join(CUMULATIVE)
_LARGEST = ", ".join(f"max({name}) AS {name}" for name in CUMULATIVE)
WAIT = f"""
INSERT INTO waiting (site, view_id, last_at, {_TOLD}) SELECT site, view_id, max(happened_at), {_LARGEST} FROM incoming
WHERE kind = 'engagement' AND view_id <> '' GROUP BY site, view_id"""
ENGAGED = f"""
CREATE OR REPLACE TEMP TABLE engaged AS
SELECT v.site, v.view_id, v.visit_id, v.visit_started_at, {", ".join(f"w.{name}" for name in CUMULATIVE)}, w.last_at,
    greatest(w.engaged_ms - v.engaged_ms, 0) AS gained
FROM (SELECT site, view_id, max(last_at) AS last_at, {_LARGEST} FROM waiting
      WHERE view_id IN (SELECT view_id FROM incoming) GROUP BY site, view_id) w
JOIN events v ON v.site = w.site AND v.view_id = w.view_id
WHERE v.kind = 'page_view' AND v.happened_at >= $since"""
ENGAGED_SINCE = "SELECT min(visit_started_at) FROM engaged"
UPDATE_VIEWS = f"""
UPDATE events SET {", ".join(f"{name} = greatest(events.{name}, w.{name})" for name in CUMULATIVE)}
FROM (SELECT DISTINCT site, view_id, {_TOLD} FROM engaged) w
WHERE events.site = w.site AND events.view_id = w.view_id AND events.kind = 'page_view'
    AND events.happened_at >= $since
    AND ({" OR ".join(f"events.{name} < w.{name}" for name in CUMULATIVE)})"""
UPDATE_ENGAGED = f"""
UPDATE visits SET engaged_ms = visits.engaged_ms + c.gained, last_at = greatest(visits.last_at, c.last_at)
FROM (SELECT site, visit_id, CAST(sum(gained) AS BIGINT) AS gained, max(last_at) AS last_at
      FROM engaged GROUP BY site, visit_id) c
WHERE {_SAME_VISIT}"""
SETTLE = """
DELETE FROM waiting USING (SELECT DISTINCT site, view_id FROM engaged) w
WHERE waiting.site = w.site AND waiting.view_id = w.view_id"""

# Arrays, not objects: json's `[site, hour, kind, name, detail, n]`.
COUNTED = """
CREATE OR REPLACE TEMP TABLE counted AS
SELECT e->>0 AS site, make_timestamp(CAST(e->>1 AS BIGINT) * 1000000) AS hour, e->>2 AS kind, e->>3 AS name,
    e->>4 AS detail, CAST(e->>5 AS BIGINT) AS n
FROM (SELECT unnest(from_json($counts, '["JSON"]')) AS e)"""
MERGE_COUNTS = """
MERGE INTO counts USING counted c
ON counts.hour >= $since AND counts.hour = c.hour AND counts.site = c.site AND counts.kind = c.kind
    AND counts.name = c.name AND counts.detail = c.detail
WHEN MATCHED THEN UPDATE SET n = counts.n + c.n
WHEN NOT MATCHED THEN INSERT VALUES (c.site, c.hour, c.kind, c.name, c.detail, c.n)"""

COLUMNS = """
SELECT column_name, data_type FROM duckdb_columns()
WHERE table_name = $name AND database_name = current_database() AND NOT internal ORDER BY column_index"""
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
            entries = [entry for batch in new for entry in batch.entries]
            events = [entry.event for entry in entries if isinstance(entry, Recorded)]
            counts = sum_counts(entries)
            if events:
                _add_events(connection, events)
            if counts:
                _add_counts(connection, counts)
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
            return cursor.execute(sql, values).fetchall()

    def columns(self, table: str) -> list[tuple[str, str]]:
        """The columns of a table, in order, each with its type."""
        return [(str(name), str(kind)) for name, kind in self.fetch(COLUMNS, {"name": table})]

    def prune(self, before: float, visits_before: float | None = None) -> int:
        """Delete what happened before (events), and the visits that began and counters that ended before a moment of their
        own (without: the same); returns how many rows went."""
        events, visits = naive_utc(before), naive_utc(before if visits_before is None else visits_before)
        with self._transaction() as connection:
            gone = sum(_changed(connection.execute(sql, {"before": events})) for sql in PRUNE)
            gone += sum(_changed(connection.execute(sql, {"before": visits})) for sql in PRUNE_VISITS)
            gone += _changed(connection.execute(FORGET_WAITING, {"kept": WAITING_KEPT}))
        if gone:
            with self._writing, self._errors():
                self._open().writing.execute("CHECKPOINT")  # its room is used again from now on, not some day
        return gone

    def compact(self, *, at_any_rate: bool = False) -> bool:
        """Write the file anew when a third of it is free; returns whether it was. Whoever reads or writes waits."""
        with self._writing, self._errors():
            if not at_any_rate and not is_wasteful(self._open().writing):
                return False
            with self._gate.alone():
                self._let_go()
                compact_file(self._path)
        return True

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
                writing = duckdb.connect(str(self._path), config=SETTINGS)
                for statement in (SCHEMA, *ADDED):
                    writing.execute(statement)
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


def _add_events(connection: duckdb.DuckDBPyConnection, events: list[Event]) -> None:
    connection.execute(STAGE, {"entries": msgspec.json.encode(events).decode()})
    started = naive_utc(min(event.visit_started_at for event in events))
    connection.execute(INSERT_EVENTS)
    connection.execute(CHANGES)
    connection.execute(MERGE_VISITS, {"since": started})
    if any(event.kind == ENGAGEMENT for event in events):
        connection.execute(WAIT)
    connection.execute(ENGAGED, {"since": started - SLACK})
    row = connection.execute(ENGAGED_SINCE).fetchone()
    if row and row[0] is not None:
        since = {"since": row[0]}
        connection.execute(UPDATE_VIEWS, since)
        connection.execute(UPDATE_ENGAGED, since)
        connection.execute(SETTLE)


def _add_counts(connection: duckdb.DuckDBPyConnection, counts: list[Count]) -> None:
    connection.execute(COUNTED, {"counts": msgspec.json.encode(counts).decode()})
    since = {"since": naive_utc(min(count.hour for count in counts))}
    connection.execute(MERGE_COUNTS, since)


def _changed(result: duckdb.DuckDBPyConnection) -> int:
    row = result.fetchone()
    return int(row[0]) if row else 0
