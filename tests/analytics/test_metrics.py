"""The metrics' definitions, each shown on visits small enough to count by hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.metrics import DIMENSIONS, LANGUAGES, METRICS, ROW, SERIES, TOTALS, get_dimension, get_metric
from gateway.analytics.results import Report, Totals
from gateway.analytics.store import Batch
from gateway.event import Entry
from tests.analytics.entries import NOON, engaged, record, view

DAY = "date_trunc('day', {moment})"
MINUTE = 60


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    """An empty store in a file."""
    opened = DuckDBStore(tmp_path / "events.duckdb")
    yield opened
    opened.close()


def measure(store: DuckDBStore, name: str, table: Any) -> Any:
    """A metric over everything on a table."""
    moment = {"events": "happened_at", "visits": "started_at"}[table]
    expression = get_metric(name).on[table].replace("{day}", DAY.format(moment=moment))
    return store.fetch(f"SELECT {expression} FROM {table}", {})[0][0]


READING = [view(NOON, "a", view_id="a1"), view(NOON + MINUTE, "a", view_id="a2", started=NOON)]
BOUNCE = [view(NOON, "b", visitor=2, view_id="b1")]
DOWNLOAD = [view(NOON, "c", visitor=3, view_id="c1"), record("download", NOON + 9, "c", visitor=3, started=NOON)]
ONLY_EVENT = [record("download", NOON, "d", visitor=4)]
TIMES = [
    engaged(NOON + 90, "a1", 10_000, "a", started=NOON),
    engaged(NOON + 90, "a2", 30_000, "a", started=NOON),
    engaged(NOON + 20, "c1", 2_000, "c", started=NOON),
]
ALL = [*READING, *BOUNCE, *DOWNLOAD, *TIMES]


@pytest.mark.parametrize(
    ("metric", "table", "entries", "expected"),
    [
        ("daily_visitors", "events", ALL, 3),
        ("daily_visitors", "visits", ALL, 3),
        ("visits", "events", ALL, 3),
        ("visits", "visits", ALL, 3),
        ("page_views", "events", ALL, 4),
        ("page_views", "visits", ALL, 4),
        ("events", "events", ALL, 1),
        ("events", "visits", ALL, 1),
        ("views_per_visit", "visits", ALL, pytest.approx(4 / 3)),
        ("views_per_visit", "visits", [], None),
        ("bounce_rate", "visits", ALL, pytest.approx(1 / 3)),
        ("bounce_rate", "visits", BOUNCE, 1),
        ("bounce_rate", "visits", DOWNLOAD, 0),
        ("bounce_rate", "visits", ONLY_EVENT, 0),
        ("bounce_rate", "visits", [], None),
        ("visit_duration", "visits", ALL, 14.0),
        ("visit_duration", "visits", BOUNCE, 0),
        ("visit_duration", "visits", [], None),
        ("median_visit_duration", "visits", ALL, 2.0),
        ("median_visit_duration", "visits", [], None),
        ("seconds", "events", [*READING, *TIMES], 20.0),
        ("seconds", "visits", [*READING, *TIMES], 40.0),
    ],
)
def test_metric_is_what_it_says(
    store: DuckDBStore, metric: str, table: str, entries: list[Entry], expected: object
) -> None:
    """Each metric gives the figure that its definition gives by hand, and nothing where there is nothing to divide."""
    if entries:
        store.add(Batch("a", 1, entries))
    assert measure(store, metric, table) == expected


def test_visitor_of_three_days_counts_three_times(store: DuckDBStore) -> None:
    """Daily visitors are added up over days, even if a key were the same on each."""
    days = [view(NOON + day * 86_400, f"visit-{day}", visitor=7) for day in range(3)]
    again = [view(NOON + 7200, "again", visitor=7)]
    store.add(Batch("a", 1, [*days, *again]))
    assert (measure(store, "daily_visitors", "events"), measure(store, "daily_visitors", "visits")) == (3, 3)


def test_everything_is_explained_in_each_language() -> None:
    """Each metric and dimension has a label and a help text in every language."""
    for thing in (*METRICS, *DIMENSIONS):
        assert set(thing.label) == set(thing.help) == set(LANGUAGES)
        assert all(thing.label.values())
        assert all(thing.help.values())


def test_names_are_defined_once() -> None:
    """No two metrics and no two dimensions share a name, and what a report asks for exists."""
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert len({dimension.name for dimension in DIMENSIONS}) == len(DIMENSIONS)
    for table, names in (*TOTALS.items(), *SERIES.items()):
        assert all(table in get_metric(name).on for name in names)
    for dimension in DIMENSIONS:
        assert get_dimension(dimension.name).table in get_metric(ROW[0]).on
    assert {name for names in TOTALS.values() for name in names} == set(Totals.__struct_fields__)
    assert Report.__doc__ is not None
    assert all(dimension.name in Report.__doc__ for dimension in DIMENSIONS)
