"""The tables of an event store in ClickHouse, and the statements that keep them current.

`events` has a row for each page view and custom event, `visits` one for each visit, `counts` the plain counters, as in
DuckDB. Whatever is written may be written twice: a row of `events` has a key of its own, and what is told of a view is a
greatest value; a visit is worked out anew from its events, and the fuller of two accounts of it wins. So each statement can
be repeated, and two keepers can write of one visit, in any order. Questions read merged rows (`final`).

Times are UTC. A visit is found by when it began: that comes with each of its events, and is the same in all of them.
"""

from typing import NamedTuple

from gateway.analytics.store import CUMULATIVE, ENTRY_TEXTS
from gateway.settings import RetentionConfig

MOMENT = "DateTime64(6, 'UTC')"
# Words of a small vocabulary are kept as numbers; these have none.
OPEN_TEXTS = ("campaign", "term", "content", "referrer")
TOLD_TYPES = {
    "engaged_ms": "Int64",
    "scroll": "Int16",
    "screen": "String",
    "lcp": "Int32",
    "inp": "Int32",
    "cls": "Int32",
}
# Inserts that a table remembers by their tokens: a batch that may have arrived is told again at once, or when its keeper
# starts again. Only `counts` need it: all else may be inserted at any time again.
REMEMBERED = 100_000
REMEMBERED_SECONDS = 30 * 86_400
# An engagement whose view has not come by then was told of a view that was dropped.
WAITING_DAYS = 2


class Place(NamedTuple):
    """Where the tables stand: on one server, or on all replicas of a cluster."""

    cluster: str = ""

    @property
    def on_cluster(self) -> str:
        """What a statement that changes tables says of it."""
        return f" ON CLUSTER `{self.cluster}`" if self.cluster else ""

    def engine(self, kind: str, arguments: str = "") -> str:
        """A table engine, replicated on a cluster: the server's macros say which shard and replica it is."""
        if not self.cluster:
            return f"{kind}({arguments})"
        path = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
        return f"Replicated{kind}({path}{f', {arguments}' if arguments else ''})"


def _texts(template: str) -> str:
    return ", ".join(
        template.format(name, "String" if name in OPEN_TEXTS else "LowCardinality(String)") for name in ENTRY_TEXTS
    )


def _most(name: str) -> str:
    return f"SimpleAggregateFunction(max, {TOLD_TYPES[name]})"


_ANY_WORD = "SimpleAggregateFunction(any, LowCardinality(String))"
_ANY_TEXT, _ANY_NUMBER = "SimpleAggregateFunction(any, String)", "SimpleAggregateFunction(any, Int64)"
# Two rows of one key differ in what was told until then, so what does not differ may be taken from any of them.
SEEN = f"""
CREATE TABLE IF NOT EXISTS events%(on_cluster)s (
    happened_at {MOMENT}, site LowCardinality(String), kind {_ANY_WORD}, path {_ANY_TEXT}, topic {_ANY_WORD},
    visitor SimpleAggregateFunction(any, UInt64), visit_id String, visit_started_at {MOMENT}, view_id {_ANY_TEXT},
    sequence {_ANY_NUMBER}, engaged_ms {_most("engaged_ms")}, props {_ANY_TEXT},
    {_texts("{} SimpleAggregateFunction(any, {})")}, scroll {_most("scroll")}, screen {_most("screen")},
    lcp {_most("lcp")}, inp {_most("inp")}, cls {_most("cls")}, revenue {_ANY_NUMBER}, currency {_ANY_WORD},
    status {_ANY_WORD}, last_at SimpleAggregateFunction(max, {MOMENT}), row_key UInt64,
    INDEX by_moment happened_at TYPE minmax GRANULARITY 1)
ENGINE = %(engine)s PARTITION BY toYYYYMM(happened_at)
ORDER BY (site, visit_started_at, visit_id, happened_at, row_key)
TTL toDateTime(happened_at) + toIntervalMonth(%(months)d) SETTINGS %(settings)s"""
VISITS = f"""
CREATE TABLE IF NOT EXISTS visits%(on_cluster)s (
    site LowCardinality(String), visit_id String, started_at {MOMENT}, last_at {MOMENT}, visitor UInt64, views Int64,
    events Int64, engaged_ms Int64, entry_at {MOMENT}, entry_page String, exit_at {MOMENT}, exit_page String,
    {_texts("{} {}")}, fullness UInt64)
ENGINE = %(engine)s PARTITION BY toYYYYMM(started_at) ORDER BY (site, started_at, visit_id)
TTL toDateTime(started_at) + toIntervalMonth(%(months)d) SETTINGS %(settings)s"""
COUNTS = f"""
CREATE TABLE IF NOT EXISTS counts%(on_cluster)s (
    site LowCardinality(String), hour {MOMENT}, kind LowCardinality(String), name String, detail String, n Int64)
ENGINE = %(engine)s PARTITION BY toYYYYMM(hour) ORDER BY (site, hour, kind, name, detail)
TTL toDateTime(hour) + toIntervalMonth(%(months)d) SETTINGS %(settings)s"""
TOLD = f"""
CREATE TABLE IF NOT EXISTS told%(on_cluster)s (
    site LowCardinality(String), view_id String, {", ".join(f"{name} {_most(name)}" for name in CUMULATIVE)},
    last_at SimpleAggregateFunction(max, {MOMENT}), kept_at SimpleAggregateFunction(max, DateTime) DEFAULT now())
ENGINE = %(engine)s ORDER BY (site, view_id) TTL kept_at + toIntervalDay({WAITING_DAYS})
SETTINGS index_granularity = 512, %(settings)s"""


def build_schema(place: Place, retention: RetentionConfig) -> list[str]:
    """The statements that make what is not there yet, and bring the time for which rows are kept up to date."""
    window = "replicated" if place.cluster else "non_replicated"
    remembered = f"{window}_deduplication_window = {REMEMBERED}"
    if place.cluster:
        remembered += f", replicated_deduplication_window_seconds = {REMEMBERED_SECONDS}"
    made = (
        (SEEN, "AggregatingMergeTree", "", retention.events_months),
        (VISITS, "ReplacingMergeTree", "fullness", retention.visits_months),
        (COUNTS, "SummingMergeTree", "n", retention.visits_months),
        (TOLD, "AggregatingMergeTree", "", 0),
    )
    return [
        text
        % {
            "on_cluster": place.on_cluster,
            "engine": place.engine(kind, arguments),
            "months": months,
            "settings": remembered,
        }
        for text, kind, arguments, months in made
    ]


KEPT = {"events": "happened_at", "visits": "started_at", "counts": "hour"}


def build_retention(place: Place, table: str, months: int) -> str:
    """The statement that says for how many months a table keeps its rows."""
    return f"ALTER TABLE {table}{place.on_cluster} MODIFY TTL toDateTime({KEPT[table]}) + toIntervalMonth({months:d})"


SHARDS = "SELECT uniqExact(shard_num) FROM system.clusters WHERE cluster = $cluster"
TTLS = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"


def build_pruning(place: Place, table: str) -> str:
    """The statement that deletes a table's rows from before a moment, at once."""
    return f"ALTER TABLE {table}{place.on_cluster} DELETE WHERE {KEPT[table]} < $before"


EVENT_COLUMNS = (
    "happened_at", "site", "kind", "path", "topic", "visitor", "visit_id", "visit_started_at", "view_id", "sequence",
    "props", *ENTRY_TEXTS, "revenue", "currency", "status", *CUMULATIVE, "last_at", "row_key",
)  # fmt: skip

# What a batch changed, sent along with a statement: whose visits are to be worked out, and which views were told of.
CHANGED = f"site String, visit_started_at {MOMENT}, visit_id String, view_id String"
_CHANGED_VIEWS = "(site, view_id) IN (SELECT site, view_id FROM changed WHERE view_id <> '')"
_GREATEST = ", ".join(f"max(told.{name}) AS {name}" for name in (*CUMULATIVE, "last_at"))
_LATEST = ", ".join(f"{'t' if name in (*CUMULATIVE, 'last_at') else 'e'}.{name}" for name in EVENT_COLUMNS)
TELL = f"""
INSERT INTO events ({", ".join(EVENT_COLUMNS)})
SELECT {_LATEST} FROM events AS e
INNER JOIN (SELECT site, view_id, {_GREATEST} FROM told WHERE {_CHANGED_VIEWS} GROUP BY site, view_id) AS t
    ON e.site = t.site AND e.view_id = t.view_id
WHERE e.kind = 'page_view' AND e.happened_at >= $since"""

# The entry is the least row, the exit the greatest: page views count before custom events, then time, then content, so that
# the same events in any order give the same visit.
_ENTRY = ("path", "visitor", *ENTRY_TEXTS)
_ENTRY_NAMES = ("entry_page", "visitor", *ENTRY_TEXTS)
SETTLE = f"""
INSERT INTO visits (site, visit_id, started_at, last_at, views, events, engaged_ms, entry_at,
    {", ".join(_ENTRY_NAMES)}, exit_at, exit_page, fullness)
SELECT site, visit_id, begun, latest, viewed, happened, engaged, entered.2,
    {", ".join(f"entered.{place}" for place in range(3, len(_ENTRY) + 3))}, left.2, left.3,
    toUInt64(viewed + happened + engaged + greatest(dateDiff('microsecond', begun, latest), 0))
FROM (
    SELECT site, visit_id, min(e.visit_started_at) AS begun, max(e.last_at) AS latest,
        toInt64(countIf(kind = 'page_view')) AS viewed, toInt64(countIf(kind <> 'page_view')) AS happened,
        sumIf(e.engaged_ms, kind = 'page_view') AS engaged,
        min((kind <> 'page_view', happened_at, {", ".join(_ENTRY)})) AS entered,
        max((kind = 'page_view', happened_at, path)) AS left
    FROM events AS e WHERE (site, visit_started_at, visit_id) IN (
        SELECT site, visit_started_at, visit_id FROM changed
        UNION ALL SELECT site, visit_started_at, visit_id FROM events
        WHERE kind = 'page_view' AND happened_at >= $since AND {_CHANGED_VIEWS})
    GROUP BY site, visit_id)"""
