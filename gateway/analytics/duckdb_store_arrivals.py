"""How entries come into the embedded event store: staged, then events, visits and what was told of views, in one transaction.

Segments of several workers interleave, so nothing here depends on the order in which entries come: the entry page is the
earliest view, the exit page the latest, engaged time the largest told, and an engagement that comes before its view waits
in `waiting`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import duckdb
import msgspec

from gateway.analytics.duckdb_store_order import NEAR, tell_again
from gateway.analytics.duckdb_store_sums import spoil
from gateway.analytics.duckdb_store_tables import (
    FIELD_TYPES,
    FIELDS,
    MISSING,
    PLAIN,
    TIMES,
    TOLD_TYPES,
    texts,
)
from gateway.analytics.store import CUMULATIVE, VISIT_TEXTS, Count, naive_utc, sum_counts
from gateway.analytics.visit import CLOCKS_APART_SECONDS
from gateway.event import ENGAGEMENT, Entry, Event, Recorded

# An engagement tells of a view of its own visit, or of one before it, in a tab that stayed open. Views older than this
# before the visit's start are not looked for: it bounds what an update has to read.
SLACK = timedelta(hours=2)
CLOCKS_APART = timedelta(seconds=CLOCKS_APART_SECONDS)


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
_COLUMNS = [TIMES.get(name, name) for name in FIELDS]
_OF_VISIT = ("visit_id", "visitor", *VISIT_TEXTS)
_ALL_OF_VISIT = {name: f"v.{name}" for name in _OF_VISIT} | {"visit_started_at": "v.started_at"}
_EARLIEST = f"$since - INTERVAL {CLOCKS_APART_SECONDS} SECOND"
INSERT_EVENTS = f"""
INSERT INTO events ({", ".join(_COLUMNS)}, alone, first_here, sole)
SELECT {", ".join(_ALL_OF_VISIT.get(name, f"i.{name}") for name in _COLUMNS)}, v.alone,
    o.visit_id IS NULL AND row_number() OVER (PARTITION BY v.visit_id, i.path) = 1, false
FROM incoming i JOIN visits v ON v.site = i.site AND v.told_id = i.visit_id AND v.started_at >= $since
LEFT JOIN (SELECT DISTINCT visit_id, path FROM events WHERE happened_at >= {_EARLIEST} AND visit_id IN (
    SELECT v.visit_id FROM visits v JOIN changes c ON v.site = c.site AND v.told_id = c.visit_id AND v.started_at >= $since)
) o ON o.visit_id = v.visit_id AND o.path = i.path
WHERE i.kind <> 'engagement' ORDER BY i.happened_at"""

# What a batch adds to each of its visits. The entry is the least row, the exit the greatest: page views count before
# custom events, then time, then content, so that the same events in any order give the same visit.
CHANGES = f"""
CREATE OR REPLACE TEMP TABLE changes AS
SELECT site, visit_id, min(visit_started_at) AS started_at, max(happened_at) AS last_at,
    count(*) FILTER (WHERE kind = 'page_view') AS views, count(*) FILTER (WHERE kind <> 'page_view') AS events,
    min({{late: kind <> 'page_view', happened_at: happened_at, path: path, visitor: visitor,
        {texts("{0}: {0}")}}}) AS entry,
    max({{early: kind = 'page_view', happened_at: happened_at, path: path}}) AS exit
FROM incoming WHERE kind <> 'engagement' GROUP BY site, visit_id"""
_ENTRY = f"row(visits.views = 0, visits.entry_at, visits.entry_page, visits.visitor, {texts('visits.{}')})"
_EXIT = "row(visits.views > 0, visits.exit_at, visits.exit_page)"
_ADD = f"""last_at = greatest(visits.last_at, c.last_at),
    views = visits.views + c.views, events = visits.events + c.events,
    exit_at = CASE WHEN c.exit > {_EXIT} THEN c.exit.happened_at ELSE visits.exit_at END,
    exit_page = CASE WHEN c.exit > {_EXIT} THEN c.exit.path ELSE visits.exit_page END"""
MERGE_VISITS = f"""
MERGE INTO visits USING changes c
ON visits.site = c.site AND visits.told_id = c.visit_id AND visits.started_at >= $since
WHEN MATCHED AND c.entry < {_ENTRY} THEN UPDATE SET {_ADD},
    entry_at = c.entry.happened_at, entry_page = c.entry.path, visitor = c.entry.visitor,
    {texts("{0} = c.entry.{0}")}
WHEN MATCHED THEN UPDATE SET {_ADD}
WHEN NOT MATCHED THEN INSERT (site, visit_id, told_id, started_at, last_at, views, events, engaged_ms, visitor,
    entry_at, entry_page, exit_at, exit_page, {texts("{}")})
    VALUES (c.site, nextval('visit_numbers'), c.visit_id, c.started_at, c.last_at, c.views, c.events, 0, c.entry.visitor,
    c.entry.happened_at, c.entry.path, c.exit.happened_at, c.exit.path, {texts("c.entry.{}")})"""

_ALL_DAY = f"$since - {NEAR}"
# Visits that get another entry, and those whose visitor turns out to have come more than once.
MOVED = f"""
CREATE OR REPLACE TEMP TABLE moved AS SELECT visits.visit_id, true AS entered FROM visits JOIN changes c
ON visits.site = c.site AND visits.told_id = c.visit_id AND visits.started_at >= $since WHERE c.entry < {_ENTRY}"""
PAIRED = f"""
INSERT INTO moved SELECT visit_id, false FROM visits WHERE alone AND started_at >= {_ALL_DAY} AND (site, visitor) IN (
    SELECT site, visitor FROM visits WHERE started_at >= {_ALL_DAY} AND (site, visitor) IN (
        SELECT v.site, v.visitor FROM visits v
        JOIN changes c ON v.site = c.site AND v.told_id = c.visit_id AND v.started_at >= $since)
    GROUP BY site, visitor HAVING count(*) > 1)"""
IS_MOVED = "SELECT EXISTS (SELECT 1 FROM moved)"
_THEIR_EVENTS = f"events.happened_at >= {_ALL_DAY} - INTERVAL {CLOCKS_APART_SECONDS} SECOND"
TELL_MOVED = (
    f"UPDATE visits SET alone = false WHERE started_at >= {_ALL_DAY} AND visit_id IN (SELECT visit_id FROM moved)",
    f"UPDATE events SET alone = false WHERE {_THEIR_EVENTS} AND visit_id IN (SELECT visit_id FROM moved)",
    f"""UPDATE events SET {", ".join(f"{name} = v.{name}" for name in _OF_VISIT if name != "visit_id")}
    FROM (SELECT * FROM visits WHERE started_at >= {_ALL_DAY} AND visit_id IN (SELECT visit_id FROM moved WHERE entered)) v
    WHERE events.visit_id = v.visit_id AND {_THEIR_EVENTS}""",
)

_TOLD = ", ".join(CUMULATIVE)
_LARGEST = ", ".join(f"max({name}) AS {name}" for name in CUMULATIVE)
WAIT = f"""
INSERT INTO waiting (site, view_id, last_at, {_TOLD}) SELECT site, view_id, max(happened_at), {_LARGEST} FROM incoming
WHERE kind = 'engagement' AND view_id <> '' GROUP BY site, view_id"""
ENGAGED = f"""
CREATE OR REPLACE TEMP TABLE engaged AS
SELECT v.site, v.view_id, v.visit_id, v.visit_started_at, v.happened_at, w.last_at,
    {", ".join(f"w.{name}" for name in CUMULATIVE)}, greatest(w.engaged_ms - v.engaged_ms, 0) AS gained
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
UPDATE_ENGAGED = """
UPDATE visits SET engaged_ms = visits.engaged_ms + c.gained, last_at = greatest(visits.last_at, c.last_at)
FROM (SELECT site, visit_id, CAST(sum(gained) AS BIGINT) AS gained, max(last_at) AS last_at
      FROM engaged GROUP BY site, visit_id) c
WHERE visits.site = c.site AND visits.visit_id = c.visit_id AND visits.started_at >= $since"""
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


def add_entries(connection: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> None:
    """Store events and counters; the caller holds the transaction."""
    events = [entry.event for entry in entries if isinstance(entry, Recorded)]
    counts = sum_counts(entries)
    if events:
        _add_events(connection, events)
    if counts:
        _add_counts(connection, counts)


def take_in(connection: duckdb.DuckDBPyConnection, since: datetime) -> None:
    """Make visits and events of what stands in `incoming`, whose visits began at `since` or later."""
    connection.execute(CHANGES)
    for statement in (MOVED, MERGE_VISITS, PAIRED):
        connection.execute(statement, {"since": since})
    row = connection.execute(IS_MOVED).fetchone()
    if row and row[0]:
        for statement in TELL_MOVED:
            connection.execute(statement, {"since": since})
    tell_again(connection, since)
    connection.execute(INSERT_EVENTS, {"since": since})


def _add_events(connection: duckdb.DuckDBPyConnection, events: list[Event]) -> None:
    connection.execute(STAGE, {"entries": msgspec.json.encode(events).decode()})
    started = earliest = naive_utc(min(event.visit_started_at for event in events))
    take_in(connection, started)
    if any(event.kind == ENGAGEMENT for event in events):
        connection.execute(WAIT)
    connection.execute(ENGAGED, {"since": started - SLACK})
    row = connection.execute(ENGAGED_SINCE).fetchone()
    if row and row[0] is not None:
        since = {"since": row[0]}
        connection.execute(UPDATE_VIEWS, since)
        connection.execute(UPDATE_ENGAGED, since)
        connection.execute(SETTLE)
        earliest = min(earliest, row[0])
    spoil(connection, earliest - CLOCKS_APART)


def _add_counts(connection: duckdb.DuckDBPyConnection, counts: list[Count]) -> None:
    connection.execute(COUNTED, {"counts": msgspec.json.encode(counts).decode()})
    since = {"since": naive_utc(min(count.hour for count in counts))}
    connection.execute(MERGE_COUNTS, since)
