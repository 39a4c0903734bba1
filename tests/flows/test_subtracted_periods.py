"""Somebody who may ask anything subtracts the answers about one period from those about another, to find one visitor."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.analytics.answers import Answer
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.query import Query, parse_query
from gateway.analytics.store import Batch, Store
from gateway.event import PAGE_VIEW, Recorded
from gateway.flows.answer import answer
from gateway.settings import AnalyticsConfig, GoalConfig
from gateway.web.query_body import parse_body
from tests.analytics.entries import ZONE, local, record

LEAST = 5
GOALS = (GoalConfig(name="Plan", event="form", props={"plan": "goud"}),)
PROTECTED, OPEN = AnalyticsConfig(goals=GOALS, min_visitors=LEAST), AnalyticsConfig(goals=GOALS, min_visitors=1)
DAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SITES = itertools.count()
QUALITIES = ("page", "entry_page", "country", "goal", "prop:plan")
FILTERS: tuple[tuple[str, list[Any]], ...] = (
    ("page", ["is", "page", ["/geheim"]]), ("country", ["is_not", "country", ["NL"]]), ("goal", ["is", "goal", ["Plan"]]),
    ("visit", ["has_done", ["is", "prop:plan", ["goud"]]]),
)  # fmt: skip
QUESTIONS: list[tuple[str, Sequence[str], list[Any]]] = [
    *((name, [name], []) for name in QUALITIES), *((f"filter on {name}", [], found) for name, found in FILTERS)
]  # fmt: skip
METRICS = ("daily_visitors", "visits", "page_views", "conversions", "revenue")
# Clocks that run half an hour and more before and after the site's own.
ZONES = ("Europe/London", "Asia/Kolkata", "Pacific/Chatham")
Asked = Callable[[Sequence[str], list[Any]], Query]


class Way(NamedTuple):
    """Two questions that differ by a part of a day in which the one visitor came."""

    name: str
    without: Asked
    with_one: Asked


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all examples; each has a site of its own."""
    with closing(DuckDBStore(Path(tmp_path_factory.mktemp("subtracted")) / "events.duckdb")) as opened:
        yield opened


@st.composite
def visits(draw: st.DrawFn) -> tuple[int, list[Recorded]]:
    """The hour at which one visitor came alone, and everybody's visits: crowds at noon of three days, all of whom and of whose
    rows are enough; the one came in an hour of the middle day that nobody else had."""
    hour = draw(st.sampled_from((0, 1, 3, 8, 21, 22, 23)))
    found, numbers = list[Recorded](), itertools.count()
    for offset in (-1, 0, 1):
        noon = local(f"{DAY + timedelta(days=offset)} 12:00")
        for place in range(draw(st.integers(2 * LEAST, 3 * LEAST))):
            kind = "BE" if place % 2 else "NL"
            found += _visit(next(numbers), noon + draw(st.integers(0, 3500)), kind)
    return hour, found + _visit(next(numbers), local(f"{DAY} {hour:02}:20") + draw(st.integers(0, 60)), "BE")


def _visit(number: int, at: float, country: str) -> list[Recorded]:
    """A visit to a page of its own, on which a goal is reached."""
    name, more = f"visit-{number}", {"visitor": number, "started": at, "country": country}
    page = record(PAGE_VIEW, at, name, path="/geheim", view_id=f"{number}.0", **more)
    return [page, record("form", at + 5, name, path="/geheim", props={"plan": "goud"}, **more)]


def fill(store: Store, found: Sequence[Recorded]) -> str:
    """Keep these visits as those of a new site."""
    site = f"site-{next(SITES)}"
    store.add(Batch(site, 1, [_on(row, site) for row in found]))
    return site


def _on(row: Recorded, site: str) -> Recorded:
    event = replace(
        row.event, site=site, view_id=f"{site}.{row.event.view_id}", visit_id=f"{site}.{row.event.visit_id}"
    )
    return Recorded(event, row.consent_id, row.revision, row.granted)


def ways_to_ask(site: str, hour: int) -> Iterator[Way]:
    """Every way in which two periods can differ by the hour of the one visitor."""
    start, end = (f"{DAY}T{hour:02}:{minute}:00" for minute in (10, 59))

    def moments(first: str, last: str) -> Asked:
        return lambda dimensions, filters: of_program(site, [first, last], dimensions, filters)

    yield Way(
        "a period that ends an hour later", moments("2026-11-22T00:00:00", start), moments("2026-11-22T00:00:00", end)
    )
    last = "2026-11-24T23:59:59"
    yield Way("a period that begins an hour earlier", moments(end, last), moments(start, last))
    whole: Asked = partial(of_program, site, ["2026-11-22", "2026-11-24"])
    yield Way("whole days and all but an hour", moments(end, last), whole)
    but = ["is_not", "hour", [f"{DAY}T{hour:02}:00"]]
    yield Way("a filter that leaves out the hour", lambda d, f: whole(d, ["and", [but, f]] if f else but), whole)
    for zone in ZONES:
        yield Way(f"the day of {zone}", partial(of_console, site, zone), partial(of_console, site, ZONE))


def of_program(site: str, period: list[str], dimensions: Sequence[str], filters: list[Any]) -> Query:
    """The question as a program asks it."""
    named = [f"event:props:{name[5:]}" if name.startswith("prop:") else name for name in dimensions]
    asked = {"site_id": site, "metrics": METRICS, "date_range": period, "dimensions": named, "filters": filters}
    return parse_body(msgspec.json.encode(asked), {site: ZONE}, NOW).query


def of_console(site: str, zone: str, dimensions: Sequence[str], filters: list[Any]) -> Query:
    """The question as it stands in an address of the console."""
    asked = {"site": site, "from": f"{DAY}", "to": f"{DAY}", "timezone": zone, "limit": "1000"}
    asked |= {"metrics": ",".join(METRICS), "dimensions": ",".join(dimensions)}
    asked |= {"filters": msgspec.json.encode(filters).decode()} if filters else {}
    return parse_query(asked, {site: ZONE}, NOW)


def subtract(found: Answer, other: Answer) -> list[Any]:
    """What one answer tells more or less than the other: rows whose visits differ by fewer than a row has to have."""
    if found.withheld or other.withheld:
        return []
    many, few = ({row.keys: row.figures[1] for row in one.rows if not row.few} for one in (found, other))
    apart = {keys: abs(int(many[keys] or 0) - int(few[keys] or 0)) for keys in many.keys() & few.keys()}
    return [(keys, count) for keys, count in apart.items() if 0 < count < LEAST]


def attack(store: Store, config: AnalyticsConfig, site: str, hour: int) -> list[str]:
    """What can be found of the one visitor, and how."""
    found = []
    for way in ways_to_ask(site, hour):
        for name, dimensions, filters in QUESTIONS:
            answers = (answer(ask(dimensions, filters), store, config) for ask in (way.with_one, way.without))
            found += [f"{name} by {way.name}: {told}" for told in subtract(*answers)]
    return found


@pytest.mark.slow
def test_no_part_of_a_day_is_left_when_two_periods_are_subtracted(store: Store) -> None:
    """A visitor who came alone, in an hour of their own, to pages that many others saw: neither page nor country, goal nor
    property is found by a period that ends or begins an hour later, an hour that is filtered away, or the day of another
    time zone; whole days are answered."""

    @settings(max_examples=5)
    @given(visits())
    def nobody_is_found(made: tuple[int, list[Recorded]]) -> None:
        hour, found = made
        site = fill(store, found)
        assert attack(store, PROTECTED, site, hour) == []
        for name, dimensions, filters in QUESTIONS:
            told = answer(of_program(site, ["2026-11-22", "2026-11-24"], dimensions, filters), store, PROTECTED)
            assert told.rows and not told.rows[0].few, name

    nobody_is_found()


@pytest.mark.slow
def test_the_attack_finds_everything_where_nothing_is_protected(store: Store) -> None:
    """With min_visitors = 1 the same program finds the visitor's page, country, goal and property: it is no attack of straw."""

    @settings(max_examples=1)
    @given(visits())
    def all_is_found(made: tuple[int, list[Recorded]]) -> None:
        hour, found = made
        told = "\n".join(attack(store, OPEN, fill(store, found), hour))
        for name in (*QUALITIES, *(f"filter on {name}" for name, _ in FILTERS)):
            assert f"{name} by a period that ends an hour later" in told, (name, told)
        assert "a filter that leaves out the hour" in told

    all_is_found()


@pytest.mark.slow
@pytest.mark.parametrize("interval", ["hour", "day"])
def test_times_that_are_withheld_cannot_be_had_from_the_total(store: Store, interval: str) -> None:
    """Under a filter, what is withheld of hours and days is never of fewer visitors than a row needs, however it is paged."""

    @settings(max_examples=30)
    @given(st.lists(st.sampled_from((0, 0, 0, 0, 14, 37, 60)), min_size=LEAST, max_size=30), st.sampled_from((1, 7)))
    def nothing_is_left(hours: list[int], limit: int) -> None:
        midnight = local(f"{DAY - timedelta(days=1)} 00:00")
        found = [row for n, hour in enumerate(hours) for row in _visit(n, midnight + hour * 3600 + n, "NL")]
        query = of_program(fill(store, found), ["2026-11-22", "2026-11-24"], [interval], ["is", "page", ["/geheim"]])
        total = answer(query.asking(dimensions=()), store, PROTECTED).rows[0].figures[0]
        pages = (
            answer(query.asking(limit=limit, offset=at), store, PROTECTED).rows for at in itertools.count(0, limit)
        )
        rows = [row for page in itertools.takewhile(bool, pages) for row in page]
        left = int(total or 0) - sum(int(row.figures[0] or 0) for row in rows)
        assert len(rows) == len({row.keys for row in rows}) and (left == 0 or left >= LEAST), (left, rows)

    nothing_is_left()


def test_hours_tell_how_many_came_and_nothing_of_them(store: Store) -> None:
    """How many came in an hour, or in a part of a day, is answered; what they are like or reached in it is not, and goals by
    the hour only where enough came."""
    start = local(f"{DAY} 12:00")
    lonely = _visit(99, local(f"{DAY} 03:20"), "NL")
    site = fill(store, [*(row for n in range(LEAST) for row in _visit(n, start + n, "NL")), *lonely])
    hours = of_program(site, [f"{DAY}T00:00:00", f"{DAY}T11:00:00"], ["time:hour"], []).asking(metrics=("visits",))
    assert [row.figures for row in answer(hours, store, PROTECTED).rows] == [(1,)]
    part = [f"{DAY}T00:00:00", f"{DAY}T23:00:00"]
    for asked in (
        of_program(site, [f"{DAY}", f"{DAY}"], ["time:hour", "page"], []),
        of_program(site, part, [], []),
        of_program(site, part, [], FILTERS[0][1]).asking(metrics=("visits",)),
    ):
        assert answer(asked, store, PROTECTED).withheld == "part_of_day"
    by_hour = of_console(site, ZONE, ["hour"], []).asking(metrics=("conversions",))
    assert [row.figures for row in answer(by_hour, store, PROTECTED).rows] == [(None,), (None,)]
    assert [row.figures for row in answer(by_hour, store, OPEN).rows] == [(1,), (LEAST,)]
