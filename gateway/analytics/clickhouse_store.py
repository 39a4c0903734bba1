"""The event store in ClickHouse, for more than one machine can hold. The only user of clickhouse_connect.

Same questions, same answers as DuckDB: dialect.py has the words that differ, and READING makes NULL, joins and sums over
nothing mean the same. What the tables are, clickhouse_store_schema.py says; how each entry is stored once,
clickhouse_store_batch.py.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import clickhouse_connect
from clickhouse_connect.driver import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.external import ExternalData

from gateway.analytics.clickhouse_store_batch import Books, Pending, build_pending
from gateway.analytics.clickhouse_store_schema import (
    CHANGED,
    EVENT_COLUMNS,
    KEPT,
    MOMENT,
    SETTLE,
    SHARDS,
    TELL,
    TTLS,
    Place,
    build_pruning,
    build_retention,
    build_schema,
)
from gateway.analytics.day_sums import DaySums
from gateway.analytics.dialect import CLICKHOUSE
from gateway.analytics.store import Batch, Tell, naive_utc
from gateway.errors import StoreError
from gateway.settings import RetentionConfig

CONNECT_SECONDS, ANSWER_SECONDS = 5, 120
# Rows merged; NULL where there is nothing to add up or to join; a column's name before an alias.
READING = {
    "final": 1,
    "do_not_merge_across_partitions_select_final": 1,
    "use_skip_indexes_if_final": 1,
    "join_use_nulls": 1,
    "aggregate_functions_null_for_empty": 1,
    "cast_keep_nullable": 1,
    "prefer_column_name_to_alias": 1,
}
WORKING_OUT = {"final": 1, "do_not_merge_across_partitions_select_final": 1, "use_skip_indexes_if_final": 1}
TYPES: dict[type, str] = {str: "String", int: "Int64", float: "Float64", datetime: MOMENT}
# What DuckDB calls the types that a table has, wrapped or not.
DUCKDB_TYPES = {"String": "VARCHAR", "DateTime64": "TIMESTAMP", "UInt64": "UBIGINT", "Int64": "BIGINT", "Int32": "INTEGER",
                "Int16": "SMALLINT"}  # fmt: skip
COLUMNS = """
SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = $name
AND name NOT IN ('row_key', 'fullness') AND NOT (table = 'events' AND name = 'last_at') ORDER BY position"""


class Server(NamedTuple):
    """Where ClickHouse answers over HTTP. `cluster`: the tables stand on all of its replicas."""

    host: str
    port: int
    secure: bool
    database: str
    user: str
    password: str
    cluster: str = ""


class ClickHouseStore:
    """The Store on a ClickHouse server; `folder` holds what is on its way there. Any thread may call any method."""

    dialect = CLICKHOUSE

    def __init__(self, server: Server, folder: Path, retention: RetentionConfig, *, at_once: bool = True) -> None:
        """Connect and make the tables that are not there. Raises StoreError.

        Not `at_once`: its first use connects, and while that fails every use tries again.
        """
        self._server, self._place, self._retention = server, Place(server.cluster), retention
        self._books = Books(folder)
        self._writing, self._opening = threading.Lock(), threading.Lock()
        self._opened: Client | None = None
        self._closed = False
        if at_once:
            with self._errors():
                self._open()

    def add(self, *batches: Batch) -> None:
        """Write the batches down, store them, then advance their segments' offsets; a batch whose offset was reached before
        is left out. Raises StoreError: what was written down is stored before anything else."""
        with self._writing, self._errors():
            known = self._settle()
            new = [batch for batch in batches if known.get(batch.segment, 0) < batch.drained]
            if new:
                self._books.write_pending(build_pending(new))
                self._settle()

    def offsets(self) -> dict[str, int]:
        """The number of the last stored entry of each journal segment, once what is on its way has arrived."""
        with self._writing, self._errors():
            return self._settle()

    def forget(self, segment: str) -> None:
        """Drop the offset of a segment whose file is gone."""
        with self._writing:
            offsets = self._books.offsets()
            if offsets.pop(segment, None) is not None:
                self._books.write_offsets(offsets)

    def fetch(self, sql: str, values: dict[str, object]) -> list[tuple[object, ...]]:
        """Run one reading query with values bound by name (`$name`). Raises StoreError."""
        with self._errors():
            found = self._open().query(_typed(sql, values), _bound(sql, values), settings=READING)
            return [tuple(row) for row in found.result_rows]

    def columns(self, table: str) -> list[tuple[str, str]]:
        """The columns of a table that say something, in order, each with the name that DuckDB has for its type."""
        return [(str(name), _plain_type(str(kind))) for name, kind in self.fetch(COLUMNS, {"name": table})]

    def prune(self, before: float, visits_before: float | None = None) -> int:
        """Delete what happened before, and visits and counters from before a moment of their own (without: the same);
        returns how many rows went. The tables forget by themselves too, whenever they are merged."""
        gone = 0
        for table, column in KEPT.items():
            moment = naive_utc(before if table == "events" or visits_before is None else visits_before)
            counted = self.fetch(f"SELECT count(*) FROM {table} WHERE {column} < $before", {"before": moment})[0][0]
            if counted:
                gone += int(str(counted))
                self._command(build_pruning(self._place, table), {"before": moment}, {"mutations_sync": 1})
        return gone

    def compact(self, *, at_any_rate: bool = False) -> bool:
        """The server sees to its room itself."""
        return False

    def arrange(self, before: float) -> bool:
        """Its tables are in order."""
        return False

    def summed_days(self, site: str, timezone: str) -> None:
        """None: its rows answer everything."""

    def keep_sums(self, sums: DaySums) -> None:
        """Nothing is kept."""

    def copy_to(self, target: Path, tell: Tell) -> None:
        """Nothing: what is stored does not lie in the data folder, and is backed up where it lies."""

    def close(self) -> None:
        """Let the connection go."""
        with self._opening:
            self._closed = True
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _settle(self) -> dict[str, int]:
        """Store what was written down to be stored, if anything; returns the offsets."""
        known = self._books.offsets()
        pending = self._books.pending()
        if pending is not None:
            if any(known.get(segment, 0) < number for segment, number in pending.drained.items()):
                self._insert(pending)
                known |= pending.drained
                self._books.write_offsets(known)
            self._books.forget_pending()
        return known

    def _insert(self, pending: Pending) -> None:
        """Every step can be done again: with the same rows under the same token, or from what is stored."""
        client = self._open()
        # With a server that gathers inserts by itself, it would not be known whether this one has arrived.
        once = {"insert_deduplication_token": pending.token, "insert_deduplicate": 1, "async_insert": 0}
        for table, columns, rows in (
            ("events", EVENT_COLUMNS, pending.events),
            ("told", None, pending.told),
            ("counts", None, pending.counts),
        ):
            if rows:
                client.raw_insert(table, columns, rows, fmt="JSONEachRow", settings=once)
        if not pending.changed:
            return
        if self._place.cluster:  # what other replicas have of these visits
            self._command("SYSTEM SYNC REPLICA events LIGHTWEIGHT", {})
        since: dict[str, object] = {"since": naive_utc(pending.since)}
        for statement in (TELL, SETTLE):
            self._command(statement, since, WORKING_OUT, pending.changed)

    def _command(
        self, sql: str, values: dict[str, object], settings: dict[str, int] | None = None, changed: bytes = b""
    ) -> None:
        along = (
            ExternalData(file_name="changed", data=changed, fmt="JSONEachRow", structure=CHANGED) if changed else None
        )
        with self._errors():
            self._open().command(_typed(sql, values), _bound(sql, values), settings=settings, external_data=along)

    def _open(self) -> Client:
        with self._opening:
            if self._closed:
                raise StoreError("the event store is closed")
            if self._opened is None:
                self._opened = self._connect()
            return self._opened

    def _connect(self) -> Client:
        server = self._server
        client = clickhouse_connect.get_client(
            host=server.host,
            port=server.port,
            secure=server.secure,
            database=server.database,
            username=server.user,
            password=server.password,
            connect_timeout=CONNECT_SECONDS,
            send_receive_timeout=ANSWER_SECONDS,
            client_name="consent-gateway",
            autogenerate_session_id=False,  # so that many threads can ask at once
            form_encode_query_params=True,  # a filter can be longer than an address may be
        )
        try:
            self._check_cluster(client)
            for statement in build_schema(self._place, self._retention):
                client.command(statement)
            self._keep_for(client)
        except BaseException:
            client.close()
            raise
        return client

    def _check_cluster(self, client: Client) -> None:
        cluster = self._server.cluster
        if not cluster:
            return
        shards = client.query(_typed(SHARDS, {"cluster": cluster}), {"cluster": cluster}).result_rows[0][0]
        if shards != 1:
            has = "there is none of that name" if not shards else f"it has {shards} shards"
            raise StoreError(
                f"store.cluster {cluster!r}: {has}; wanted a cluster of one shard with any number of replicas"
            )

    def _keep_for(self, client: Client) -> None:
        """A table that forgets earlier or later than the configuration says is told so."""
        written = {str(name): str(text) for name, text in client.query(TTLS).result_rows}
        for table in KEPT:
            months = self._retention.events_months if table == "events" else self._retention.visits_months
            if f"toIntervalMonth({months})" not in written.get(table, ""):
                client.command(build_retention(self._place, table, months))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except ClickHouseError as error:
            raise StoreError(f"the event store cannot answer: {error}") from error


def _typed(sql: str, values: dict[str, object]) -> str:
    """The text with `$name` as ClickHouse writes it: with the value's type."""
    return re.sub(r"\$(\w+)", lambda found: f"{{{found[1]}:{TYPES[type(values[found[1]])]}}}", sql)


def _bound(sql: str, values: dict[str, object]) -> dict[str, object] | None:
    """The values that the text speaks of; moments with their fractions."""
    used = {name: values[name] for name in re.findall(r"\$(\w+)", sql)}
    return {
        name: value.isoformat(" ", "microseconds") if isinstance(value, datetime) else value
        for name, value in used.items()
    } or None


def _plain_type(kind: str) -> str:
    return next(name for inner, name in DUCKDB_TYPES.items() if inner in kind)
