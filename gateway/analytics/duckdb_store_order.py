"""The order of rows in the embedded event store. Rows come as they happen, sites mixed, and a question about one site would
read those of all: so a stretch of days that are over, long enough to fill many blocks, is written anew site by site.

Each block knows its least and greatest site and moment, and is passed over where a question is not about it.
"""

from datetime import datetime, timedelta

import duckdb

# So many rows at least: a block has an eighth of a million, and should be of one site. And not many more: they are sorted.
ENOUGH = 1_000_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS arranged (until TIMESTAMP NOT NULL);
INSERT INTO arranged SELECT TIMESTAMP '1970-01-01' WHERE NOT EXISTS (SELECT 1 FROM arranged);
"""
UNTIL = "SELECT until FROM arranged"
DAYS = """
SELECT date_trunc('day', happened_at) AS day, count(*) FROM events
WHERE happened_at >= $since AND happened_at < $before GROUP BY day ORDER BY day"""
MOMENTS = {"events": "happened_at", "visits": "started_at"}
_STRETCH = "WHERE {moment} >= $since AND {moment} < $until"
ARRANGE = (
    f"CREATE OR REPLACE TEMP TABLE stretch AS SELECT * FROM {{table}} {_STRETCH} ORDER BY site, {{moment}}",
    f"DELETE FROM {{table}} {_STRETCH}",
    "INSERT INTO {table} SELECT * FROM stretch",
    "DROP TABLE stretch",
)
ADVANCE = "UPDATE arranged SET until = $until"


def find_stretch(connection: duckdb.DuckDBPyConnection, before: datetime) -> tuple[datetime, datetime] | None:
    """The first days before a moment that are not in order yet, if they hold enough; from and until."""
    row = connection.execute(UNTIL).fetchone()
    since = row[0] if row else datetime.min
    rows = 0
    for day, count in connection.execute(DAYS, {"since": since, "before": before}).fetchall():
        rows += count
        if rows >= ENOUGH and day + timedelta(days=1) <= before:
            return since, day + timedelta(days=1)
    return None


def arrange(connection: duckdb.DuckDBPyConnection, since: datetime, until: datetime) -> None:
    """Put a stretch in order; the caller holds the transaction."""
    for table, moment in MOMENTS.items():
        for statement in ARRANGE:
            text = statement.format(table=table, moment=moment)
            connection.execute(text, {"since": since, "until": until} if "$since" in text else {})
    connection.execute(ADVANCE, {"until": until})
