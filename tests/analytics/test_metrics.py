"""The metrics' definitions, each shown on visits small enough to count by hand."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gateway.analytics.dialect import DUCKDB
from gateway.analytics.dimensions import DIMENSIONS, Defined, find_dimension, get_dimension
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.metrics import BREAKDOWNS, LANGUAGES, METRICS, SERIES, TOTALS, find_metric, get_metric
from gateway.analytics.query import Query
from gateway.analytics.results import Report, Totals
from gateway.analytics.sql import build_answer
from gateway.analytics.store import Batch
from gateway.event import Entry, Told
from tests.analytics.entries import NOON, ZONE, engaged, record, told, view

WEEK = Query("main", date(2026, 11, 20), date(2026, 11, 26), ZONE)
MINUTE = 60


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    """An empty store in a file."""
    opened = DuckDBStore(tmp_path / "events.duckdb")
    yield opened
    opened.close()


def measure(store: DuckDBStore, name: str) -> Any:
    """A metric over everything."""
    question = build_answer(WEEK.asking(metrics=(name,)), DUCKDB)
    return store.fetch(question.sql, question.values)[0][0]


READING = [view(NOON, "a", view_id="a1"), view(NOON + MINUTE, "a", view_id="a2", started=NOON)]
BOUNCE = [view(NOON, "b", visitor=2, view_id="b1")]
DOWNLOAD = [view(NOON, "c", visitor=3, view_id="c1"), record("download", NOON + 9, "c", visitor=3, started=NOON)]
ONLY_EVENT = [record("download", NOON, "d", visitor=4)]
TIMES = [
    engaged(NOON + 90, "a1", 10_000, "a", started=NOON),
    engaged(NOON + 90, "a2", 30_000, "a", started=NOON),
    engaged(NOON + 20, "c1", 2_000, "c", started=NOON),
]
SEEN = [
    *READING, *BOUNCE,
    told(NOON + 9, "a1", "a", started=NOON, scroll=100, lcp=1000, inp=100, cls=0),
    told(NOON + 9, "a2", "a", started=NOON, scroll=40, lcp=2000, cls=100),
    told(NOON + 9, "b1", "b", started=NOON, scroll=10, lcp=4000),
]  # fmt: skip
PAID = [
    record("order", NOON, "c", told=Told(revenue=12_345, currency="EUR")),
    record("order", NOON, "c", told=Told(revenue=10, currency="EUR")),
    record("refund", NOON, "c", told=Told(revenue=-2_000, currency="EUR")),
]
DOLLARS = [record("order", NOON, "d", told=Told(revenue=5_000, currency="USD"))]
ALL = [*READING, *BOUNCE, *DOWNLOAD, *TIMES]


@pytest.mark.parametrize(
    ("metric", "entries", "expected"),
    [
        ("daily_visitors", ALL, 3),
        ("visits", ALL, 3),
        ("page_views", ALL, 4),
        ("events", ALL, 1),
        ("views_per_visit", ALL, pytest.approx(4 / 3)),
        ("views_per_visit", [], None),
        ("scroll_depth", SEEN, pytest.approx(0.5)),
        ("scroll_depth", ALL, None),
        ("median_scroll_depth", SEEN, pytest.approx(0.4)),
        ("lcp", SEEN, 3000),
        ("inp", SEEN, 100),
        ("cls", SEEN, pytest.approx(0.075)),
        ("lcp", ALL, None),
        ("revenue", PAID, pytest.approx(10.355)),
        ("revenue", [*PAID, *DOLLARS], None),
        ("revenue", ALL, 0),
        ("average_revenue", [*PAID, *ALL], pytest.approx(10.355 / 3)),
        ("average_revenue", [*PAID, *DOLLARS], None),
        ("average_revenue", ALL, None),
        ("bounce_rate", ALL, pytest.approx(1 / 3)),
        ("bounce_rate", BOUNCE, 1),
        ("bounce_rate", DOWNLOAD, 0),
        ("bounce_rate", ONLY_EVENT, 0),
        ("bounce_rate", [], None),
        ("visit_duration", ALL, 14.0),
        ("visit_duration", BOUNCE, 0),
        ("visit_duration", [], None),
        ("median_visit_duration", ALL, 2.0),
        ("median_visit_duration", [], None),
        ("time_on_page", [*READING, *TIMES], 20.0),
        ("time_on_page", ONLY_EVENT, None),
        ("wall_duration", ALL, pytest.approx((90 + 0 + 20) / 3)),
        ("wall_duration", [], None),
        ("entry_rate", ALL, 1.0),
        ("exit_rate", ONLY_EVENT, 1.0),
    ],
)
def test_metric_is_what_it_says(store: DuckDBStore, metric: str, entries: list[Entry], expected: object) -> None:
    """Each metric gives the figure that its definition gives by hand, and nothing where there is nothing to divide."""
    if entries:
        store.add(Batch("a", 1, entries))
    assert measure(store, metric) == expected


def test_visitor_of_three_days_counts_three_times(store: DuckDBStore) -> None:
    """Daily visitors are added up over days, even if a key were the same on each."""
    days = [view(NOON + day * 86_400, f"visit-{day}", visitor=7) for day in range(3)]
    again = [view(NOON + 7200, "again", visitor=7)]
    store.add(Batch("a", 1, [*days, *again]))
    assert measure(store, "daily_visitors") == 3


def test_everything_is_explained_in_each_language() -> None:
    """Each metric and dimension has a label and a help text in every language."""
    defined: list[Defined] = [*METRICS, *DIMENSIONS]
    for thing in defined:
        assert set(thing.label) == set(thing.help) == set(LANGUAGES)
        assert all(thing.label.values())
        assert all(thing.help.values())


def test_revenue_and_errors_have_dimensions(store: DuckDBStore) -> None:
    """Revenue stands beside its currency, pages that do not exist beside their status, views beside the width that they had."""
    lost = record("not_found", NOON, "e", path="/weg", told=Told(status="404"))
    seen = told(NOON + 5, "f1", "f", started=NOON, screen="small")
    store.add(Batch("a", 1, [*PAID, *DOLLARS, lost, view(NOON, "f", view_id="f1"), seen]))
    found = {}
    for metric, dimension in (("revenue", "currency"), ("events", "status"), ("page_views", "screen")):
        question = build_answer(WEEK.asking(metrics=(metric,), dimensions=(dimension,)), DUCKDB)
        found[dimension] = [row[:2] for row in store.fetch(question.sql, question.values)]
    assert found["currency"] == [("EUR", pytest.approx(10.355)), ("USD", 5.0)]
    assert (found["status"], found["screen"]) == ([("404", 1)], [("small", 1)])


def test_names_are_defined_once() -> None:
    """No two metrics and no two dimensions share a name, and what a report asks for exists."""
    for things in (METRICS, DIMENSIONS):
        names = [name for thing in things for name in {thing.name, thing.outside}]
        assert len(set(names)) == len(names)
    assert all(get_metric(name) for name in (*TOTALS, *SERIES))
    assert Totals.__struct_fields__ == TOTALS
    assert Report.__doc__ is not None
    assert all(get_dimension(name).name in Report.__doc__ for name in BREAKDOWNS)


def test_other_names_mean_the_same() -> None:
    """What other tools' interfaces call them is understood."""
    assert find_metric("visitors") == get_metric("daily_visitors")
    assert find_dimension("visit:utm_source") is None
    assert find_dimension("visit:utm_campaign") == get_dimension("campaign")
    assert find_dimension("event:props:plan") == get_dimension("prop:plan")
