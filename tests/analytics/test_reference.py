"""Stores agree with the reference calculator: every metric, every dimension, random filters, any clock."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.analytics.day_sums import summed_dimension
from gateway.analytics.dialect import CLICKHOUSE
from gateway.analytics.dimensions import DIMENSIONS
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.filters import Condition, Filter, Join
from gateway.analytics.metrics import METRICS, SERIES, TOTALS
from gateway.analytics.query import Query
from gateway.analytics.sql import build_fewest, build_visitors
from gateway.analytics.store import Batch, Store
from gateway.event import ENGAGEMENT, PAGE_VIEW, Event, Recorded, Told
from gateway.flows.answer import answer
from gateway.flows.sum_days import build_day_sums
from gateway.settings import AnalyticsConfig, GoalConfig
from tests.analytics.entries import local, record
from tests.analytics.reference import TIMES, Reference, read_visits
from tests.clickhouse_server import clickhouse_server

GOALS = (
    GoalConfig(name="Artikel", page="/a*"),
    GoalConfig(name="Plan", event="form", props={"plan": "gou*"}),
    GoalConfig(name="Lang", seconds=3),
)
CONFIG = AnalyticsConfig(goals=GOALS, min_visitors=1)
# Clocks go forward and back, a year ends, an ordinary day; zones behind, before, and at odd minutes.
MOMENTS = ("2026-03-28 23:10", "2026-10-24 23:10", "2026-12-31 21:40", "2026-11-23 12:00")
ZONES = ("Europe/Amsterdam", "America/New_York", "America/Havana", "Asia/Kolkata", "Pacific/Chatham", "Pacific/Apia")
NAMES = (*(one.name for one in DIMENSIONS), "prop:plan")
VALUES = ("", "/", "/a", "/A/b", "Google", "google", "NL", "form", "goud", "zilver", "topic-1", "desktop", "Artikel",
          "Lang", "404", "EUR", "wide", "2026-11-23", "2027-01-01", "2026-10-25T02:00", "2026-10-25T02:00+02:00",
          "2026-10-25T02:00+01:00", "+01:00", "2026-04-05T01:00+10:30", "page_view")  # fmt: skip
PATTERNS = ("^/a", "o+", "^$", "[0-9]{4}", "(?i)GOOGLE", ".")
# The hour before clocks change: forward and back, at midnight, at night, by half an hour, within one; and before a year ends.
EDGES = (
    ("Europe/Amsterdam", "2026-03-29 01:10"), ("Europe/Amsterdam", "2026-10-25 01:10"),
    ("America/New_York", "2026-03-08 01:10"), ("America/Havana", "2026-11-01 00:10"),
    ("Asia/Kolkata", "2026-12-31 23:10"), ("Australia/Lord_Howe", "2026-04-05 01:10"),
    ("Australia/Lord_Howe", "2026-10-04 01:10"), ("Pacific/Chatham", "2026-04-05 02:10"),
    ("Pacific/Chatham", "2026-09-27 02:10"),
)  # fmt: skip
SITES = itertools.count()


@contextmanager
def open_duckdb(folder: Path) -> Iterator[Store]:
    """The store of an installation that names none."""
    with closing(DuckDBStore(folder / "events.duckdb")) as opened:
        yield opened


@contextmanager
def open_clickhouse(folder: Path) -> Iterator[Store]:
    """The store of one with `store.url`."""
    with clickhouse_server(folder / "clickhouse") as server, closing(server.open_store(folder / "books")) as opened:
        yield opened


STORES = {"duckdb": open_duckdb, "clickhouse": open_clickhouse}


@pytest.fixture(scope="module", params=STORES)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all examples; each has a site of its own."""
    with STORES[request.param](tmp_path_factory.mktemp("reference")) as opened:
        yield opened


@st.composite
def entries(draw: st.DrawFn, start: float, number: int) -> list[Recorded]:
    """One visit: views and events with what was told of them, some at the very same moment, some over midnight."""
    at = start + draw(st.sampled_from((0, 60, 3000, 7260, 9000, 90_000)))
    fields = {
        "started": at,
        "visitor": draw(st.integers(0, 2)),
        "source": draw(st.sampled_from(("", "Google", "bing"))),
        "country": draw(st.sampled_from(("NL", "MT"))),
        "device": draw(st.sampled_from(("desktop", "mobile"))),
    }
    fields |= {name: draw(st.sampled_from(("", "x"))) for name in ("campaign", "browser", "language")}
    found = []
    for step in range(draw(st.integers(1, 4))):
        at += draw(st.sampled_from((0, 0.25, 60, 1700)))
        kind = draw(st.sampled_from((PAGE_VIEW, PAGE_VIEW, "form", "not_found")))
        more = fields | {"path": draw(st.sampled_from(("/", "/a", "/A/b"))), "host": draw(st.sampled_from(("", "h")))}
        more |= {"view_id": f"{number}.{step}", "topic": draw(st.sampled_from(("", "topic-1")))}
        if kind == PAGE_VIEW:
            found += draw(engagements(at, f"{number}.{step}", number, fields))
        elif kind == "form":
            money = Told(
                revenue=draw(st.sampled_from((0, 1250, -500))), currency=draw(st.sampled_from(("", "EUR", "USD")))
            )
            more |= {"props": {"plan": draw(st.sampled_from(("goud", "zilver")))}, "told": money}
        else:
            more["told"] = Told(status="404")
        found.append(record(kind, at, f"visit-{number}", **more))
    return found


@st.composite
def engagements(draw: st.DrawFn, at: float, view: str, number: int, fields: dict[str, object]) -> list[Recorded]:
    """What is told of one view: times that grow, depth and vitals that may be missing."""
    found = []
    for told in draw(st.lists(st.integers(0, 9000), max_size=2)):
        vital = st.sampled_from((-1, 0, 100, 3000))
        scroll, screen = draw(st.sampled_from((-1, 0, 40, 100))), draw(st.sampled_from(("", "wide")))
        seen = Told(scroll, screen, draw(vital), draw(vital), draw(vital))
        more = {"started": fields["started"], "view_id": view, "engaged_ms": told, "told": seen}
        found.append(record(ENGAGEMENT, at + told / 1000, f"visit-{number}", **more))
    return found


def conditions(names: tuple[str, ...]) -> st.SearchStrategy[Filter]:
    """One condition on one of these dimensions."""
    values = st.lists(st.sampled_from(VALUES), min_size=1, max_size=2).map(tuple)
    patterns = st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2).map(tuple)
    plain = st.builds(
        Condition,
        st.sampled_from(("is", "is_not", "contains", "contains_not")),
        st.sampled_from(names),
        values,
        st.booleans(),
    )
    found = st.builds(
        Condition, st.sampled_from(("matches", "matches_not")), st.sampled_from(names), patterns, st.booleans()
    )
    return (plain | found).map(_known)


def _known(found: Condition) -> Condition:
    """Goals that are not configured are refused, not answered."""
    if found.dimension != "goal" or found.operator.startswith("matches"):
        return found
    return replace(found, values=tuple(GOALS[len(value) % len(GOALS)].name for value in found.values))


def widen(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    """Filters joined by and, or, not."""
    both = st.builds(Join, st.sampled_from(("and", "or")), st.lists(inner, min_size=1, max_size=3).map(tuple))
    return both | st.builds(Join, st.just("not"), st.tuples(inner))


TIMELESS = tuple(name for name in NAMES if name not in TIMES)
DONE = st.builds(
    Join,
    st.sampled_from(("has_done", "has_not_done")),
    st.tuples(st.recursive(conditions(TIMELESS), widen, max_leaves=2)),
)
EVERY = tuple(metric.name for metric in METRICS)
ASKED = st.sampled_from((EVERY, TOTALS, SERIES, ("daily_visitors", "page_views"))) | st.lists(
    st.sampled_from(EVERY), min_size=1, unique=True
).map(tuple)
FILTERS = st.none() | st.recursive(conditions(NAMES) | DONE, widen, max_leaves=4)


def compare(
    store: Store, data: st.DataObject, dimensions: tuple[str, ...], where: tuple[str, str] | None = None
) -> None:
    """Draw a site, a period, a zone, a filter and metrics, often those of a page of the console, which are answered in shorter
    ways than all; store and reference give the same rows, whatever was summed up before the last entries came."""
    site = f"site-{next(SITES)}"
    zone, moment = where or (data.draw(st.sampled_from(ZONES)), data.draw(st.sampled_from(MOMENTS)))
    start = local(moment, zone)
    visits = [data.draw(entries(start, number)) for number in range(data.draw(st.integers(1, 4)))]
    rows = data.draw(st.permutations([row for visit in visits for row in visit]))
    rows = [Recorded(_on(row, site), row.consent_id, row.revision, row.granted) for row in rows]
    half, kept = data.draw(st.integers(0, len(rows))), data.draw(st.integers(0, len(rows)))
    store.add(Batch(site, 1, rows[:kept][:half]), Batch(f"{site}.b", 1, rows[:kept][half:]))
    first = date.fromisoformat(moment[:10]) - timedelta(days=data.draw(st.integers(-1, 1)))
    last = first + timedelta(days=data.draw(st.integers(0, 2)))
    metrics = data.draw(ASKED)
    query = Query(
        site, first, last, zone, limit=1000, metrics=metrics, dimensions=dimensions, filters=data.draw(FILTERS)
    )
    if query.filters is None and store.summed_days(site, zone) is not None:
        summed = data.draw(st.sampled_from(((), (0,), (0, 1), (1, 2), (2,))))
        sum_up(store, query, [first + timedelta(days=number) for number in summed])
    store.add(Batch(f"{site}.c", 1, rows[kept:]))
    if query.filters is not None and store.dialect.informed:
        check_fewest(store, query, [query.filters, Join("not", (query.filters,))])
    found = {row.keys: list(row.figures) for row in answer(query, store, CONFIG).rows}
    wanted = Reference(read_visits([row.event for row in rows]), query, GOALS).answer()
    assert set(found) <= set(wanted)
    for key, figures in wanted.items():
        told = dict(zip(metrics, figures, strict=True))
        if key in found:
            assert dict(zip(metrics, found[key], strict=True)) == pytest.approx(
                told, abs=1e-6
            )  # times are kept to that
        else:  # nothing of what is asked for is there
            assert set(metrics) != set(EVERY) and not any(figures)


def check_fewest(store: Store, query: Query, filters: list[Filter]) -> None:
    """What is said quickly of how many visitors there are at least is not more than there are."""
    (least,), (exactly,) = (
        store.fetch(*build(query, filters, store.dialect, GOALS)) for build in (build_fewest, build_visitors)
    )
    assert all(int(str(one)) <= int(str(other)) for one, other in zip(least, exactly, strict=True))


def sum_up(store: Store, query: Query, days: list[date]) -> None:
    """Keep sums of some days, only by the dimension that will be asked for."""
    if days:
        sums, dimension = build_day_sums(query.site, query.timezone, days, store.dialect), summed_dimension(query)
        known = {name: question for name, question in sums.questions.items() if name == dimension}
        store.keep_sums(sums._replace(questions=known))


def _on(row: Recorded, site: str) -> Event:
    return replace(row.event, site=site, view_id=f"{site}.{row.event.view_id}", visit_id=f"{site}.{row.event.visit_id}")


def ask_often(store: Store, times: int, ask: Callable[[st.DataObject], None]) -> None:
    """Ask so many random questions; a quarter of them where each goes to a server and back."""
    often = settings(max_examples=times // 4 if store.dialect is CLICKHOUSE else times)
    often(given(data=st.data())(lambda data: ask(data)))()


def test_any_question_is_answered_as_plain_python_does(store: Store) -> None:
    """All metrics at once, by up to two dimensions, whatever the filter, the zone and the period."""
    names = st.lists(st.sampled_from(NAMES), max_size=2, unique=True)
    ask_often(store, 150, lambda data: compare(store, data, tuple(data.draw(names))))


@pytest.mark.parametrize("dimension", NAMES)
def test_each_dimension_is_answered_as_plain_python_does(store: Store, dimension: str) -> None:
    """None is left to chance."""
    ask_often(store, 4, lambda data: compare(store, data, (dimension,)))


@pytest.mark.parametrize("edge", EDGES, ids=" ".join)
def test_time_is_told_as_the_clock_on_the_wall_does(store: Store, edge: tuple[str, str]) -> None:
    """Hours, days, weeks and months where clocks change and where a year ends."""
    times = st.sampled_from(TIMES)
    ask_often(store, 12, lambda data: compare(store, data, (data.draw(times),), edge))


@pytest.mark.parametrize("found", [None, Condition("is", "country", ("NL",)), Condition("contains", "page", ("/a",))])
@pytest.mark.parametrize("dimensions", [(), ("country",), ("page",), ("day",)])
def test_what_goes_on_over_an_edge_counts_where_it_happened(
    store: Store, dimensions: tuple[str, ...], found: Filter | None
) -> None:
    """A visit counts where it began and each of its events where it happened, on either side of the first and of the last
    midnight, where a clock that was behind has it happen before its visit too."""
    site = f"site-{next(SITES)}"
    rows = []
    for number, (midnight, country) in enumerate(
        itertools.product(("2026-11-23 00:00", "2026-11-25 00:00"), ("NL", "MT"))
    ):
        for begun, steps in ((-600, (0, 300, 900, 1500)), (60, (-100, 0, 500))):
            start, visit = local(midnight) + begun, f"visit-{number}.{begun}"
            more = {"started": start, "visitor": number, "country": country}
            rows += [
                _record_on(site, start + step, visit, more | {"path": path, "view_id": f"{visit}.{step}"})
                for step, path in zip(steps, ("/", "/a", "/A/b", "/a"), strict=False)
            ]
    store.add(Batch(site, 1, rows))
    first, last = date(2026, 11, 23), date(2026, 11, 24)
    for metrics in (TOTALS, SERIES, ("daily_visitors", "page_views")):
        query = Query(site, first, last, ZONES[0], limit=99, metrics=metrics, dimensions=dimensions, filters=found)
        answered = {row.keys: row.figures for row in answer(query, store, CONFIG).rows}
        wanted = Reference(read_visits([row.event for row in rows]), query, GOALS).answer()
        assert {key: pytest.approx(tuple(figures)) for key, figures in wanted.items()} == answered


def _record_on(site: str, at: float, visit: str, fields: dict[str, object]) -> Recorded:
    row = record(PAGE_VIEW, at, visit, **fields)
    return Recorded(_on(row, site), row.consent_id, row.revision, row.granted)
