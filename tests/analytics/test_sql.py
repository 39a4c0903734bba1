"""From a question to SQL: local days and hours through clock changes, edges of a period, bound values only."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.analytics.dialect import DUCKDB
from gateway.analytics.dimensions import DIMENSIONS
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.filters import Condition, Filter, Join
from gateway.analytics.local_time import find_buckets, find_pieces, label_bucket
from gateway.analytics.query import Query
from gateway.analytics.sql import Question, build_answer, build_counts, build_fewest
from gateway.analytics.store import Batch
from gateway.event import Counted
from gateway.flows.count_page import find_noon
from gateway.settings import GoalConfig
from tests.analytics.entries import local, view

AMSTERDAM, KOLKATA, LORD_HOWE, HAVANA = "Europe/Amsterdam", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana"
CHATHAM = "Pacific/Chatham"
NUMBERS = count()
ZONES = (AMSTERDAM, KOLKATA, LORD_HOWE, HAVANA, "UTC", "America/New_York", "Africa/Casablanca", "Pacific/Apia", CHATHAM)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    """An empty store in a file."""
    opened = DuckDBStore(tmp_path / "events.duckdb")
    yield opened
    opened.close()


def ask(store: DuckDBStore, question: Question) -> list[tuple[Any, ...]]:
    """The answer to a question."""
    return store.fetch(question.sql, question.values)


def days(first: str, last: str, zone: str = AMSTERDAM, interval: str = "day", **fields: Any) -> Query:
    """A query from first to last day."""
    return Query("main", date.fromisoformat(first), date.fromisoformat(last), zone, interval, **fields)


def figures(store: DuckDBStore, query: Query, *metrics: str, by: str = "") -> list[Any]:
    """The rows of these metrics: figures, after the key when there is one."""
    asked = query.asking(metrics=metrics, dimensions=(by,) if by else ())
    return [row[:-4] for row in ask(store, build_answer(asked, DUCKDB))]


def test_period_without_clock_change_is_one_piece() -> None:
    """A winter week has one offset."""
    (piece,) = find_pieces(days("2026-11-16", "2026-11-22"))
    assert (piece.offset, piece.ends_at - piece.starts_at) == (3600, 7 * 86_400)


def test_year_is_cut_where_clocks_change() -> None:
    """A year in Amsterdam is three pieces, cut to the second where summer time begins and ends."""
    pieces = find_pieces(days("2026-01-01", "2026-12-31"))
    assert [piece.offset for piece in pieces] == [3600, 7200, 3600]
    edges = [datetime.fromtimestamp(piece.starts_at, UTC).isoformat() for piece in pieces[1:]]
    assert edges == ["2026-03-29T01:00:00+00:00", "2026-10-25T01:00:00+00:00"]
    assert [piece.ends_at for piece in pieces[:-1]] == [piece.starts_at for piece in pieces[1:]]


@pytest.mark.parametrize(
    ("day", "zone", "hours", "missing", "doubled"),
    [
        ("2026-11-23", AMSTERDAM, 24, None, None),
        ("2026-03-29", AMSTERDAM, 23, "02:00", None),
        ("2026-10-25", AMSTERDAM, 25, None, "02:00"),
        ("2026-03-08", HAVANA, 23, "00:00", None),
        ("2026-11-01", HAVANA, 25, None, "00:00"),
        ("2026-06-01", KOLKATA, 24, None, None),
    ],
)
def test_hours_of_a_day(day: str, zone: str, hours: int, missing: str | None, doubled: str | None) -> None:
    """A day has as many points as it has hours; the hour left out is no point, the hour lived twice is two."""
    labels = [bucket.label for bucket in find_buckets(days(day, day, zone), "hour")]
    counted = Counter(label.removeprefix(f"{day}T") for label in labels)
    assert (len(labels), labels) == (hours, sorted(labels))
    assert missing is None or missing not in counted
    assert {hour for hour, times in counted.items() if times > 1} == ({doubled} if doubled else set())


def test_weeks_begin_on_mondays_and_months_on_their_first() -> None:
    """Weeks and months are those that the period touches, over the year's end too."""
    period = days("2026-12-30", "2027-01-05")
    assert [bucket.label for bucket in find_buckets(period, "week")] == ["2026-12-28", "2027-01-04"]
    assert [bucket.label for bucket in find_buckets(period, "month")] == ["2026-12-01", "2027-01-01"]


def test_every_day_of_the_period_is_a_point() -> None:
    """Days are points in order, those on which clocks change too."""
    labels = [bucket.label for bucket in find_buckets(days("2026-10-24", "2026-10-26"), "day")]
    assert labels == ["2026-10-24", "2026-10-25", "2026-10-26"]


@pytest.mark.parametrize("interval", ["day", "hour", "week", "month"])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_points_are_what_the_zone_says(store: DuckDBStore, interval: str, data: st.DataObject) -> None:
    """In any zone, through any clock change, a moment is counted in the day or hour that the local clock shows."""
    site = f"site-{next(NUMBERS)}"  # one that has nothing yet
    zone = data.draw(st.sampled_from(ZONES))
    first = date(2026, 1, 1) + timedelta(days=data.draw(st.integers(0, 350)))
    query = Query(site, first, first + timedelta(days=data.draw(st.integers(0, 14))), zone, interval)
    inside = st.integers(int(query.starts_at), int(query.ends_at) - 1)
    edges = [piece.starts_at + step for piece in find_pieces(query) for step in (-1, 0, 1)]
    moments = data.draw(st.lists(st.one_of(inside, st.sampled_from(edges)), min_size=1, max_size=20))
    store.add(Batch(site, 1, [view(float(at), f"{site}-{number}", site=site) for number, at in enumerate(moments)]))
    answers = figures(store, query.asking(limit=1000), "visits", by=interval)
    labels = {bucket.key: bucket.label for bucket in find_buckets(query, interval)}
    counted = Counter[str]()
    for key, visits in answers:
        counted[labels[key]] += visits
    within = [at for at in moments if query.starts_at <= at < query.ends_at]
    assert counted == Counter(clock(at, zone, interval) for at in within)


# Days on which clocks change by half an hour, within an hour, by two hours, at a minute past midnight, or over a whole day.
ODD_DAYS = (
    (LORD_HOWE, date(2026, 4, 5)), (LORD_HOWE, date(2026, 10, 4)), (CHATHAM, date(2026, 4, 5)), (CHATHAM, date(2026, 9, 27)),
    (AMSTERDAM, date(2026, 10, 25)), ("Antarctica/Troll", date(2026, 3, 29)), ("Antarctica/Troll", date(2026, 10, 25)),
    ("America/St_Johns", date(2009, 3, 8)), ("America/Caracas", date(2016, 5, 1)), ("Asia/Pyongyang", date(2018, 5, 4)),
    ("Asia/Kathmandu", date(2026, 6, 1)), ("Pacific/Apia", date(2011, 12, 31)), ("Asia/Tehran", date(2022, 3, 22)),
)  # fmt: skip


@pytest.mark.parametrize(("zone", "day"), ODD_DAYS, ids=[f"{zone} {day}" for zone, day in ODD_DAYS])
def test_every_moment_has_the_hour_and_offset_of_its_clock(store: DuckDBStore, zone: str, day: date) -> None:
    """Each five minutes of the day, and each second around its changes, are counted under the hour and the offset from UTC that
    zoneinfo gives, in a row and in a point of their own."""
    query = Query("main", day, day, zone, "hour", metrics=("page_views",), dimensions=("hour",), limit=1000)
    edges = [piece.starts_at + step for piece in find_pieces(query)[1:] for step in (-1, 0, 1)]
    moments = sorted({*edges, *range(int(query.starts_at), int(query.ends_at), 300)})
    store.add(Batch("a", len(moments), [view(float(at), f"{at}") for at in moments]))
    wanted = Counter(
        f"{shown:%Y-%m-%dT%H}:00{shown.isoformat()[19:]}"
        for shown in (datetime.fromtimestamp(at, ZoneInfo(zone)) for at in moments)
    )
    found = {label_bucket(key, zone): views for key, views, *_ in ask(store, build_answer(query, DUCKDB))}
    assert found == wanted
    buckets = find_buckets(query, "hour")
    assert [label_bucket(bucket.key, zone) for bucket in buckets] == list(
        dict.fromkeys(
            f"{shown:%Y-%m-%dT%H}:00{shown.isoformat()[19:]}"
            for shown in (datetime.fromtimestamp(at, ZoneInfo(zone)) for at in moments)
        )
    )
    assert all(label_bucket(one.key, zone).startswith(one.label) for one in buckets)


def test_a_period_that_begins_within_an_hour(store: DuckDBStore) -> None:
    """Right after Lord Howe's clocks went back half an hour: what is left of that hour is called by it, with its new offset."""
    starts = datetime(2026, 4, 4, 15, 10, tzinfo=UTC).timestamp()
    times, day = (starts, starts + 3600), date(2026, 4, 5)
    query = Query("main", day, day, LORD_HOWE, times=times, metrics=("page_views",), dimensions=("hour",))
    store.add(Batch("a", 1, [view(starts + second, f"{second}") for second in (-1, 0, 1199, 1200, 3599, 3600)]))
    found = [(label_bucket(key, LORD_HOWE), views) for key, views, *_ in ask(store, build_answer(query, DUCKDB))]
    assert found == [("2026-04-05T01:00+10:30", 2), ("2026-04-05T02:00+10:30", 2)]


@given(st.sampled_from(sorted(available_timezones())), st.integers(946_684_800 // 900, 2_240_524_800 // 900))
def test_a_quarter_of_an_hour_lies_in_one_day_and_hour(zone: str, quarter: int) -> None:
    """In every zone since 2000, a quarter of an hour of UTC has one local day, hour and offset: what is worked out once for a
    quarter holds for all of it. St. John's changed at a minute past midnight until 2011."""
    if zone in ("America/St_Johns", "Canada/Newfoundland", "America/Goose_Bay") and quarter < 1_325_376_000 // 900:
        return
    shown = {datetime.fromtimestamp(quarter * 900 + second, ZoneInfo(zone)) for second in (0, 1, 450, 899)}
    assert len({(at.date(), at.hour, at.utcoffset()) for at in shown}) == 1
    assert (
        find_noon(zone, quarter)
        == datetime.fromtimestamp(quarter * 900, ZoneInfo(zone))
        .replace(hour=12, minute=0, second=0, fold=0)
        .timestamp()
    )


def clock(at: float, zone: str, interval: str) -> str:
    """The label of a moment as Python's own zone data give it."""
    shown = datetime.fromtimestamp(at, ZoneInfo(zone))
    if interval == "week":
        return (shown.date() - timedelta(days=shown.weekday())).isoformat()
    return shown.strftime({"hour": "%Y-%m-%dT%H:00", "day": "%Y-%m-%d", "month": "%Y-%m-01"}[interval])


def test_period_has_sharp_local_edges(store: DuckDBStore) -> None:
    """From the first local midnight, included, to the midnight after the last day, left out."""
    moments = ["2026-10-24 23:59:59", "2026-10-25 00:00:00", "2026-10-25 23:59:59", "2026-10-26 00:00:00"]
    store.add(Batch("a", 1, [view(local(moment), f"v{number}") for number, moment in enumerate(moments)]))
    day = days("2026-10-25", "2026-10-25")
    assert figures(store, day, "visits", "daily_visitors", "page_views", "events") == [(2, 1, 2, 0)]


def test_visit_belongs_to_the_day_on_which_it_began(store: DuckDBStore) -> None:
    """A visit over midnight is one visit, of the first day; its views are counted on either side."""
    start = local("2026-11-22 23:50")
    store.add(Batch("a", 1, [view(start, visitor=1), view(start + 1200, visitor=2, started=start)]))
    query = days("2026-11-22", "2026-11-23")
    found = figures(store, query, "visits", "daily_visitors", "page_views", by="day")
    assert found == [(date(2026, 11, 22), 1, 1, 1), (date(2026, 11, 23), 0, 0, 1)]


def test_other_sites_are_left_out(store: DuckDBStore) -> None:
    """A report is of one site."""
    at = local("2026-11-23 12:00")
    store.add(
        Batch("a", 1, [view(at, "a"), view(at, "b", site="other"), Counted("other", int(at), [("shown", "nl", "", 1)])])
    )
    query = days("2026-11-23", "2026-11-23")
    assert figures(store, query, "visits", "page_views") == [(1, 1)]
    assert ask(store, build_counts(query, ["shown"], DUCKDB)) == []


def test_breakdown_is_ordered_and_cut(store: DuckDBStore) -> None:
    """Most visitors first, then by name; no more rows than asked for."""
    at = local("2026-11-23 12:00")
    paths = ["/b", "/b", "/a", "/a", "/c", "/d"]
    store.add(Batch("a", 1, [view(at, f"v{n}", visitor=n, path=path) for n, path in enumerate(paths)]))
    query = days("2026-11-23", "2026-11-23", limit=3)
    assert [row[0] for row in figures(store, query, "daily_visitors", by="page")] == ["/a", "/b", "/c"]
    assert [row[0] for row in figures(store, query.asking(offset=2), "visits", by="page")] == ["/c", "/d"]


TEXTS = [one.name for one in DIMENSIONS if one.scope in ("event", "visit") and "_page" not in one.name]


# What events alone have, or their told part, is asked for in test_metrics.
@pytest.mark.parametrize("dimension", sorted(set(TEXTS) - {"event", "currency", "screen", "status"}))
def test_each_dimension_can_be_asked(store: DuckDBStore, dimension: str) -> None:
    """Every dimension of texts answers with its value and figures, also for what has no value."""
    at = local("2026-11-23 12:00")
    column = {"page": "path"}.get(dimension, dimension)
    store.add(Batch("a", 1, [view(at, "v1", **{column: "something"}), view(at, "v2", visitor=2, **{column: ""})]))
    metrics = ("daily_visitors", "visits", "page_views", "time_on_page")
    rows = figures(store, days("2026-11-23", "2026-11-23"), *metrics, by=dimension)
    assert rows == [("", 1, 1, 1, 0.0), ("something", 1, 1, 1, 0.0)]


def test_counters_are_summed_largest_first(store: DuckDBStore) -> None:
    """Counters of the kinds asked for, over the hours of the period, the largest first."""
    hour = int(local("2026-11-23 00:00"))
    rows = [("dropped", "bot", "", 2), ("dropped", "prefetch", "", 5), ("held", "x", "", 9)]
    store.add(Batch("a", 1, [Counted("main", hour, rows), Counted("main", hour + 82_800, [("dropped", "bot", "", 1)])]))
    store.add(Batch("a", 2, [Counted("main", hour - 3600, rows), Counted("main", hour + 86_400, rows)]))
    found = ask(store, build_counts(days("2026-11-23", "2026-11-23"), ["dropped", "refused_request"], DUCKDB))
    assert found == [("dropped", "prefetch", "", 5), ("dropped", "bot", "", 3)]


HOSTILE = "main' OR 1=1; DROP TABLE events; --"
GOALS = (GoalConfig(name="/contact", page="/contact*"), GoalConfig(name=HOSTILE, page="/contact*"))


@pytest.mark.parametrize("interval", ["", "day"])
@pytest.mark.parametrize("dimension", ["page", "source", "goal", "prop:plan"])
def test_values_never_enter_the_text(store: DuckDBStore, dimension: str, interval: str) -> None:
    """What an operator typed is bound; the text is the same whatever it was."""
    honest = Query("main", date(2026, 1, 1), date(2026, 12, 31), AMSTERDAM)
    honest = honest.asking(dimensions=tuple(filter(None, (dimension, interval))))
    texts = set()
    for value in (HOSTILE, "/contact"):
        narrowed = honest.asking(site=value).only(Condition("contains", dimension, (value,)))
        question = build_answer(narrowed, DUCKDB, GOALS, least=5)
        assert value in question.values.values()
        texts.add(question.sql)
        ask(store, question)
    assert len(texts) == 1
    assert store.fetch("SELECT count(*) FROM events", {}) == [(0,)]


def test_unknown_dimension_is_no_identifier() -> None:
    """A name that is no dimension never becomes SQL."""
    for name in ("path; DROP TABLE events", 'prop:a"', "prop:"):
        with pytest.raises(KeyError):
            build_answer(days("2026-11-23", "2026-11-23", dimensions=(name,)), DUCKDB)


HAS_ONE = Condition("is", "page", ("/a",))


@pytest.mark.parametrize(
    ("found", "least"),
    [
        (Condition("is", "country", ("NL",)), 2),
        (HAS_ONE, 2),
        (Join("has_not_done", (HAS_ONE,)), 1),
        (Join("and", (Condition("is", "page", ("/b",)), Join("has_not_done", (HAS_ONE,)))), 1),
        (Join("and", (Condition("is", "page", ("/b",)), HAS_ONE)), 0),
        (Join("and", (Join("has_done", (HAS_ONE,)), Condition("is", "page", ("/b",)))), 1),
    ],
    ids=["visit", "event", "not done", "and not done", "both at once", "done too"],
)
def test_how_many_there_are_at_least_is_told_without_telling_anybody_apart(
    store: DuckDBStore, found: Filter, least: int
) -> None:
    """Visitors who came once are counted, by what their visits and all of their events are; others are left out."""
    noon = local("2026-11-23 12:00")
    pages = {1: "/a", 2: "/a /b", 3: "/b"}
    rows = [
        view(noon + n, f"visit-{who}", visitor=who, path=path, country="NL" if who < 3 else "BE", started=noon)
        for who, paths in pages.items()
        for n, path in enumerate(paths.split())
    ]
    twice = [view(noon + n, f"again-{n}", visitor=9, path="/a", country="NL") for n in range(2)]
    store.add(Batch("a", 1, [*rows, *twice]))
    question = build_fewest(days("2026-11-23", "2026-11-23"), [found], DUCKDB, ())
    assert "distinct" not in question.sql
    assert ask(store, question) == [(least,)]
