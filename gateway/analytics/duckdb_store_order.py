"""The order of rows in the embedded event store. Rows come as they happen, sites mixed, and a question about one site would
read those of all: so a stretch of days that are over, long enough to fill many blocks, is written anew site by site.

Each block knows its least and greatest site and moment, and is passed over where a question is not about it. All of a visit
stands together, which tells its rows from others sooner; `sole` marks rows that a question about pages need not tell apart.
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
# Visits lie near one another when they can have begun on one local day, whatever the clock: none has more hours.
NEAR = "INTERVAL 26 HOUR"
# What is alone among all rows of its visitor on its path. Those of very long visits are not marked, so that whatever lies near
# a row that is has begun within these bounds.
READ = {
    "events": f"""SELECT e.* REPLACE (o.path IS NOT NULL AND e.visit_started_at >= $since - {NEAR} AS sole)
    FROM (SELECT * FROM events {_STRETCH.format(moment=MOMENTS["events"])}) e LEFT JOIN (
        SELECT site, visitor, path FROM events
        WHERE visit_started_at >= $since - 2 * {NEAR} AND visit_started_at < $until + 2 * {NEAR}
        GROUP BY site, visitor, path HAVING count(*) = 1) o
    ON o.site = e.site AND o.visitor = e.visitor AND o.path = e.path
    ORDER BY e.site, e.visit_started_at, e.visit_id, e.happened_at""",
    "visits": f"SELECT * FROM visits {_STRETCH.format(moment=MOMENTS['visits'])} ORDER BY site, started_at",
}
ARRANGE = (
    "CREATE OR REPLACE TEMP TABLE stretch AS {reading}",
    f"DELETE FROM {{table}} {_STRETCH}",
    "INSERT INTO {table} SELECT * FROM stretch",
    "DROP TABLE stretch",
)
IS_NEAR = f"SELECT $since < until + 2 * {NEAR} FROM arranged"
# Who has come again, near what stands in order already, may have been on the same paths.
TELL_AGAIN = f"""
UPDATE events SET sole = false WHERE sole AND visit_started_at >= $since - {NEAR} AND (site, visitor) IN (
    SELECT v.site, v.visitor FROM visits v
    JOIN changes c ON v.site = c.site AND v.told_id = c.visit_id AND v.started_at >= $since)"""
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
            text = statement.format(table=table, moment=moment, reading=READ[table])
            connection.execute(text, {"since": since, "until": until} if "$since" in text else {})
    connection.execute(ADVANCE, {"until": until})


def tell_again(connection: duckdb.DuckDBPyConnection, since: datetime) -> None:
    """Take the mark from rows of visitors who have more in `changes`, whose visits began at `since` or later."""
    row = connection.execute(IS_NEAR, {"since": since}).fetchone()
    if row and row[0]:
        connection.execute(TELL_AGAIN, {"since": since})
