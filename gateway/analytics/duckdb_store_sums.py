"""Sums of whole days in the embedded event store: `day_sums` holds them, `summed_days` says which days they are good for.

An entry that belongs to a day, however late, makes its sums good for nothing in the transaction that stores it; they stay
until they are made anew, so that a question that has just been written reads what was true a moment before.
"""

from datetime import date, datetime

import duckdb

from gateway.analytics.day_sums import DaySums
from gateway.analytics.metrics import SUMMED
from gateway.analytics.store import naive_utc
from gateway.analytics.visit import CLOCKS_APART_SECONDS

_SUMS = ", ".join(one.name for one in SUMMED)
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS day_sums (
    site VARCHAR NOT NULL, day DATE NOT NULL, dimension VARCHAR NOT NULL, name VARCHAR NOT NULL,
    {", ".join(f"{one.name} BIGINT NOT NULL" for one in SUMMED)});
CREATE TABLE IF NOT EXISTS summed_days (
    site VARCHAR NOT NULL, timezone VARCHAR NOT NULL, day DATE NOT NULL, starts_at TIMESTAMP NOT NULL,
    ends_at TIMESTAMP NOT NULL);
"""
FIND = "SELECT day FROM summed_days WHERE site = $site AND timezone = $timezone"
IS_ANY = """
SELECT EXISTS (SELECT 1 FROM events WHERE site = $site AND happened_at >= $since AND happened_at < $until)
    OR EXISTS (SELECT 1 FROM visits WHERE site = $site AND started_at >= $since AND started_at < $until)"""
# Whatever zone they were made for: a site whose zone has changed has its days made anew, one after the other.
CLEAR = "DELETE FROM {table} WHERE site = $site AND day >= $first AND day <= $last"
INSERT = (
    f"INSERT INTO day_sums (site, dimension, day, name, {_SUMS}) SELECT $site, $dimension, q.* FROM ({{question}}) q"
)
MARK = "INSERT INTO summed_days SELECT $site, $timezone, unnest($days), unnest($starts), unnest($ends)"

IS_LATE = "SELECT EXISTS (SELECT 1 FROM summed_days WHERE ends_at > $since)"
# What a visit has of its entry may have changed with an event, and counts on all days that its events lie on. What is told of
# a view counts on the view's day and on that of its visit.
SPOIL = f"""
DELETE FROM summed_days USING (
    SELECT v.site, v.started_at - INTERVAL {CLOCKS_APART_SECONDS} SECOND AS since, v.last_at AS until FROM visits v
    JOIN (SELECT DISTINCT site, visit_id FROM incoming WHERE kind <> 'engagement') i
    ON i.site = v.site AND i.visit_id = v.told_id
    UNION ALL SELECT site, happened_at, happened_at FROM engaged
    UNION ALL SELECT site, visit_started_at, visit_started_at FROM engaged) t
WHERE summed_days.site = t.site AND summed_days.ends_at > t.since AND summed_days.starts_at <= t.until"""
_PRUNED = """starts_at < $before AND ends_at > (SELECT min({moment}) FROM {table} WHERE {moment} < $before)"""
# What sums say of rows that go has to go with them.
FORGET = tuple(
    statement
    for table, moment in (("events", "happened_at"), ("visits", "started_at"))
    for statement in (
        f"DELETE FROM day_sums USING (SELECT site, day FROM summed_days WHERE {_PRUNED.format(table=table, moment=moment)}) p "
        "WHERE day_sums.site = p.site AND day_sums.day = p.day",
        f"DELETE FROM summed_days WHERE {_PRUNED.format(table=table, moment=moment)}",
    )
)


def keep(connection: duckdb.DuckDBPyConnection, sums: DaySums) -> None:
    """Put the sums of some days in the place of those that there were; the caller holds the transaction."""
    first, last = sums.days[0], sums.days[-1]
    whole = {"site": sums.site, "first": first.day, "last": last.day}
    for table in ("day_sums", "summed_days"):
        connection.execute(CLEAR.format(table=table), whole)
    period = {"site": sums.site, "since": naive_utc(first.starts_at), "until": naive_utc(last.ends_at)}
    row = connection.execute(IS_ANY, period).fetchone()
    if row and row[0]:
        for dimension, (question, values) in sums.questions.items():
            connection.execute(INSERT.format(question=question), values | {"site": sums.site, "dimension": dimension})
    days, starts, ends = zip(*sums.days, strict=True)
    bounds = {"starts": [naive_utc(at) for at in starts], "ends": [naive_utc(at) for at in ends]}
    connection.execute(MARK, {"site": sums.site, "timezone": sums.timezone, "days": list(days), **bounds})


def spoil(connection: duckdb.DuckDBPyConnection, since: datetime) -> None:
    """Sums of days to which anything in `incoming` or `engaged` belongs are good no more; all of it is of `since` or later."""
    row = connection.execute(IS_LATE, {"since": since}).fetchone()
    if row and row[0]:
        connection.execute(SPOIL)


def forget(connection: duckdb.DuckDBPyConnection, events: datetime, visits: datetime) -> None:
    """Delete sums of the days of which rows are about to be deleted."""
    for statement, before in zip(FORGET, (events, events, visits, visits), strict=True):
        connection.execute(statement, {"before": before})


def read_days(rows: list[tuple[object, ...]]) -> frozenset[date]:
    """The days that FIND found."""
    return frozenset(day for (day,) in rows if isinstance(day, date))
