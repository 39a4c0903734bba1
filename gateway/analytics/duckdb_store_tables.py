"""The tables of the embedded event store, and how older files come to them.

A visit's id is a number here: it is given when the visit's first entry comes (`told_id` is the id that came with it), and
events carry it. Joining by a number takes a fifth of joining by a text, and most questions need not join: a row of events
has the visitor, the beginning and the lasting qualities of its visit. What tells different visitors and visits from one
another costs most, and most need it not: `alone` is a visit (and its events) whose visitor has no other near it, `first_here`
one event of a visit among all on the same path, `sole` one that has no other of its visitor on its path near it (only what
stands in order is marked so).
"""

import duckdb

from gateway.analytics.duckdb_store_order import SCHEMA as ORDER_SCHEMA
from gateway.analytics.duckdb_store_sums import SCHEMA as SUMS_SCHEMA
from gateway.analytics.store import CUMULATIVE, ENTRY_TEXTS, VISIT_TEXTS
from gateway.event import Event, Told

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


def texts(template: str) -> str:
    """The template with each of the texts, commas between."""
    return ", ".join(template.format(name) for name in ENTRY_TEXTS)


SCHEMA = f"""
CREATE TABLE IF NOT EXISTS events (
    happened_at TIMESTAMP NOT NULL, site VARCHAR NOT NULL, kind VARCHAR NOT NULL, path VARCHAR NOT NULL,
    topic VARCHAR NOT NULL, visitor UBIGINT NOT NULL, visit_id BIGINT NOT NULL, visit_started_at TIMESTAMP NOT NULL,
    view_id VARCHAR NOT NULL, sequence BIGINT NOT NULL, engaged_ms BIGINT NOT NULL, props VARCHAR NOT NULL,
    {texts("{} VARCHAR NOT NULL")}, alone BOOLEAN, first_here BOOLEAN,
    sole BOOLEAN DEFAULT false);
CREATE TABLE IF NOT EXISTS visits (
    site VARCHAR NOT NULL, visit_id BIGINT NOT NULL, told_id VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL,
    last_at TIMESTAMP NOT NULL, visitor UBIGINT NOT NULL, views BIGINT NOT NULL, events BIGINT NOT NULL,
    engaged_ms BIGINT NOT NULL, entry_at TIMESTAMP NOT NULL, entry_page VARCHAR NOT NULL, exit_at TIMESTAMP NOT NULL,
    exit_page VARCHAR NOT NULL, {texts("{} VARCHAR NOT NULL")}, alone BOOLEAN DEFAULT true);
CREATE TABLE IF NOT EXISTS waiting (
    site VARCHAR NOT NULL, view_id VARCHAR NOT NULL, engaged_ms BIGINT NOT NULL, last_at TIMESTAMP NOT NULL);
CREATE TABLE IF NOT EXISTS counts (
    site VARCHAR NOT NULL, hour TIMESTAMP NOT NULL, kind VARCHAR NOT NULL, name VARCHAR NOT NULL,
    detail VARCHAR NOT NULL, n BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS journal_offsets (segment VARCHAR PRIMARY KEY, drained BIGINT NOT NULL);
CREATE SEQUENCE IF NOT EXISTS visit_numbers;
"""
# Stores of earlier versions get the columns that they lack; what was interrupted goes on when the file is opened again.
ADDED = tuple(
    f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {name} {kind}"
    for table, names in (("events", LATER), ("waiting", CUMULATIVE))
    for name, kind in LATER.items()
    if name in names
)

# Stores in which events and visits were joined by the text that came with them get numbers instead, all or none of them.
IS_TOLD = "SELECT data_type = 'VARCHAR' FROM duckdb_columns() WHERE table_name = 'events' AND column_name = 'visit_id'"
NUMBERED = (
    "ALTER TABLE visits RENAME visit_id TO told_id",
    "ALTER TABLE visits ADD COLUMN visit_id BIGINT DEFAULT 0",
    "UPDATE visits SET visit_id = nextval('visit_numbers')",
    """CREATE TABLE numbered AS SELECT e.* REPLACE (coalesce(v.visit_id, 0) AS visit_id)
    FROM events e LEFT JOIN visits v ON v.site = e.site AND v.told_id = e.visit_id ORDER BY e.happened_at""",
    "DROP TABLE events",
    "ALTER TABLE numbered RENAME TO events",
)
# Stores in which events had qualities of their own get those of their visits.
IS_UNINFORMED = """
SELECT count(*) = 0 FROM duckdb_columns() WHERE table_name = 'events' AND column_name = 'first_here'"""
_OF_VISIT = ", ".join(f"coalesce(v.{name}, e.{name}) AS {name}" for name in ("visitor", *VISIT_TEXTS))
INFORMED = (
    "ALTER TABLE visits ADD COLUMN IF NOT EXISTS alone BOOLEAN DEFAULT false",
    """UPDATE visits SET alone = true WHERE (site, visitor) IN (
        SELECT site, visitor FROM visits GROUP BY site, visitor HAVING count(*) = 1)""",
    "ALTER TABLE visits ALTER alone SET DEFAULT true",
    f"""CREATE TABLE informed AS
    SELECT e.* REPLACE ({_OF_VISIT}, coalesce(v.started_at, e.visit_started_at) AS visit_started_at),
        coalesce(v.alone, false) AS alone, row_number() OVER (PARTITION BY e.visit_id, e.path) = 1 AS first_here
    FROM events e LEFT JOIN visits v ON v.visit_id = e.visit_id ORDER BY e.happened_at""",
    "DROP TABLE events",
    "ALTER TABLE informed RENAME TO events",
)
# Stores that were put in order before rows were marked are put in order once more.
IS_UNMARKED = "SELECT count(*) = 0 FROM duckdb_columns() WHERE table_name = 'events' AND column_name = 'sole'"
MARKED = (
    "ALTER TABLE events ADD COLUMN sole BOOLEAN DEFAULT false",
    "UPDATE arranged SET until = TIMESTAMP '1970-01-01'",
)


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables that a file lacks, and the columns that an older one lacks; interrupted, the next time goes on."""
    for statement in (SCHEMA, SUMS_SCHEMA, ORDER_SCHEMA, *ADDED):
        connection.execute(statement)
    for is_older, statements in ((IS_TOLD, NUMBERED), (IS_UNINFORMED, INFORMED), (IS_UNMARKED, MARKED)):
        row = connection.execute(is_older).fetchone()
        if row and row[0]:
            connection.begin()
            for statement in statements:
                connection.execute(statement)
            connection.commit()
