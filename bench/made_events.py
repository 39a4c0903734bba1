"""Events of five invented sites, the same each time: made by DuckDB out of hashed numbers, a quarter of a million a second.

Half of all visits are the biggest site's. A visit begins between four and twenty hours UTC and has at most twelve page
views and events, so that none goes on over midnight: then what raw events say of a period and what visits say is the same.
"""

from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.duckdb_store_arrivals import take_in
from gateway.analytics.duckdb_store_file import PLAIN, Settings, connect
from gateway.analytics.period import midnight
from gateway.flows.sum_days import sum_days

SITES, TIMEZONE = tuple(f"site-{number}" for number in range(5)), "Europe/Amsterdam"
FIRST, DAYS = date(2026, 4, 1), 180
EVENTS_A_VISIT = 4.33
AMPLE: Settings = {**PLAIN, "memory_limit": "4GB"}

# A number from 0 up to (not with) `of`, from the row's number `n` and a word; and one that is small far more often.
EVEN = "CAST(hash({n}, '{word}') % {of} AS INTEGER)"
OFTEN_SMALL = "CAST(floor({of} * pow(hash({n}, '{word}') / 18446744073709551616.0, {power})) AS INTEGER)"


def _even(word: str, of: int, n: str = "n") -> str:
    return EVEN.format(n=n, word=word, of=of)


def _small(word: str, of: int, power: float = 3, n: str = "n") -> str:
    return OFTEN_SMALL.format(n=n, word=word, of=of, power=power)


def _one_of(word: str, values: str, power: float = 3) -> str:
    names = values.split(" ")
    return f"([{', '.join(repr(name) for name in names)}])[1 + {_small(word, len(names), power)}]"


VISITS = f"""
CREATE TEMP TABLE made AS
SELECT n,
    CASE WHEN {_even("site", 8)} < 4 THEN 'site-0' ELSE 'site-' || ({_even("site", 8)} - 3) END AS site,
    TIMESTAMP '{FIRST}' + to_days({_even("day", DAYS)}) + to_seconds(4 * 3600 + {_even("second", 15 * 3600)}) AS started_at,
    {_small("length", 12, 2.2)} AS more,
    left(replace(replace(to_base64(unhex(md5(n || 'visit'))), '+', '-'), '/', '_'), 22) AS visit_id,
    {_one_of("source", "@ Google @ Bing DuckDuckGo Facebook LinkedIn ChatGPT Nieuwsbrief Voorbeeldblad", 2)} AS source,
    {_one_of("medium", "@ @ @ email cpc social", 2)} AS medium,
    CASE WHEN {_even("campaign", 6)} = 0 THEN 'actie-' || {_small("campaigns", 40)} ELSE '' END AS campaign,
    {_one_of("channel", "search direct social referral email ai", 2)} AS channel,
    CASE WHEN {_even("referred", 3)} = 0 THEN '' ELSE 'www.voorbeeld-' || {_small("referrer", 900, 4)} || '.example/pagina' END
        AS referrer,
    {_one_of("country", "NL NL NL NL BE DE FR GB US ES IT PL SE NO DK FI CH AT PT IE CZ TR MA SR CW AW", 2)} AS country,
    {_one_of("language", "nl en de fr es tr pl ar", 4)} AS language,
    {_one_of("browser", "Chrome Safari Edge Firefox Samsung Opera Brave Vivaldi", 2)} AS browser,
    CAST(120 + {_small("version", 25)} AS VARCHAR) AS browser_version,
    {_one_of("os", "Windows iOS Android macOS Linux ChromeOS", 2)} AS os,
    CAST(10 + {_small("release", 8)} AS VARCHAR) AS os_version,
    {_one_of("device", "mobile desktop tablet", 2)} AS device
FROM (SELECT range AS n FROM range($visits))"""
EVENTS = f"""
CREATE TABLE events AS
SELECT started_at + to_milliseconds(CAST(step * 97000 + {_even("late", 60_000, "n * 16 + step")} * least(step, 1) AS BIGINT))
        AS happened_at, site, CASE WHEN step > 0 AND {_even("kind", 12, "n * 16 + step")} = 0
        THEN {_one_of("event", "download outbound search form").replace("hash(n,", "hash(n * 16 + step,")}
        ELSE 'page_view' END AS kind,
    '/onderwerp-' || {_small("path", 3000, 4, "n * 16 + step")} % 12 || '/pagina-' || {_small("path", 3000, 4, "n * 16 + step")}
        AS path,
    'onderwerp-' || {_small("path", 3000, 4, "n * 16 + step")} % 12 AS topic,
    CAST(hash({_small("who", 60_000, 1.5)}, site, CAST(started_at AS DATE)) AS UBIGINT) AS visitor,
    visit_id, started_at AS visit_started_at,
    left(replace(replace(to_base64(unhex(md5(n || '.' || step))), '+', '-'), '/', '_'), 22) AS view_id,
    CAST(step AS BIGINT) AS sequence, CAST({_small("engaged", 240_000, 4, "n * 16 + step")} AS BIGINT) AS engaged_ms,
    '{{}}' AS props, 'www.' || site || '.example' AS host,
    replace(source, '@', '') AS source, replace(medium, '@', '') AS medium, campaign, '' AS term, '' AS content, channel,
    referrer, country, language, browser, browser_version, os, os_version, device,
    CAST({_even("scroll", 101, "n * 16 + step")} AS SMALLINT) AS scroll,
    {_one_of("screen", "small large medium wide", 2)} AS screen,
    -1 AS lcp, -1 AS inp, -1 AS cls, CAST(0 AS BIGINT) AS revenue, '' AS currency, '' AS status
FROM (SELECT *, unnest(range(more + 1)) AS step FROM made WHERE started_at >= $since AND started_at < $until)
ORDER BY happened_at"""


def make_raw(path: Path, events: int) -> None:
    """A file of about so many raw events as a plain table would keep them, in the order of their time."""
    with connect(path, AMPLE) as connection:
        connection.execute(VISITS, {"visits": round(events / EVENTS_A_VISIT)})
        begun = FIRST
        for number in range(0, DAYS, 30):
            since, until = begun + timedelta(days=number), begun + timedelta(days=number + 30)
            text = EVENTS if not number else EVENTS.replace("CREATE TABLE events AS", "INSERT INTO events")
            connection.execute(text, {"since": since, "until": until})


def count_raw(path: Path) -> int:
    """How many events there are in such a file."""
    with connect(path, PLAIN, read_only=True) as connection:
        row = connection.execute("SELECT count(*) FROM events").fetchone()
        return int(row[0]) if row else 0


TAKEN = """
CREATE OR REPLACE TEMP TABLE incoming AS
SELECT * FROM made.events WHERE happened_at >= $since AND happened_at < $until ORDER BY happened_at"""
# What engagement would have told in time: here views know it from the start.
ENGAGED = """
UPDATE visits SET engaged_ms = c.engaged_ms FROM (
    SELECT visit_id, sum(engaged_ms) AS engaged_ms FROM incoming WHERE kind = 'page_view' GROUP BY visit_id) c
WHERE visits.told_id = c.visit_id AND visits.started_at >= $since"""
DAYS_AT_ONCE = 5


def fill_store(raw: Path, target: Path) -> None:
    """A store of the same events, taken in by the store's own statements, some days at a time, with sums of the biggest site's
    days, which alone is asked for."""
    DuckDBStore(target).close()
    with connect(target, AMPLE) as connection:
        connection.execute(f"ATTACH '{raw}' AS made (READ_ONLY)")
        for number in range(0, DAYS, DAYS_AT_ONCE):
            since = FIRST + timedelta(days=number)
            connection.execute(TAKEN, {"since": since, "until": since + timedelta(days=DAYS_AT_ONCE)})
            take_in(connection, datetime.combine(since, datetime.min.time()))
            connection.execute(ENGAGED, {"since": since})
        connection.execute("CHECKPOINT")
    over = midnight(FIRST + timedelta(days=DAYS + 1), TIMEZONE)
    with closing(DuckDBStore(target)) as store:
        while store.arrange(over):
            pass
        sum_days(store, SITES[0], TIMEZONE, over + 7200, seconds=1e6)
