"""The embedded store's rows are put in order site by site, and say afterwards what they said before."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings

from gateway.analytics import duckdb_store_order
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.filters import Condition, Filter
from gateway.analytics.query import Query
from gateway.analytics.store import Batch
from gateway.event import Entry
from gateway.flows.answer import answer
from gateway.settings import AnalyticsConfig
from tests.analytics.entries import NOON, ZONE, engaged, local, view
from tests.analytics.random_visits import drains

DAY = 86_400
SITES = ("main", "other")
CONFIG = AnalyticsConfig(min_visitors=1)
QUERY = Query(
    "main",
    date(2026, 11, 20),
    date(2026, 11, 26),
    ZONE,
    metrics=("visits", "page_views", "visit_duration"),
    dimensions=("day",),
)
MARKED = "SELECT view_id FROM events WHERE sole ORDER BY view_id"
NOT_SOLE = """SELECT count(*) FROM events e JOIN events o
ON o.site = e.site AND o.visitor = e.visitor AND o.path = e.path AND o.rowid <> e.rowid
WHERE e.sole AND abs(epoch(o.visit_started_at) - epoch(e.visit_started_at)) <= 25 * 3600"""
PAGES = QUERY.asking(metrics=("daily_visitors", "visits", "page_views"), dimensions=("page",))
FILTERS: tuple[Filter | None, ...] = (None, Condition("is", "event", ("page_view",)))
ROWS = "SELECT site, happened_at FROM events ORDER BY rowid"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DuckDBStore]:
    """Three days of two sites, mixed, of which two are a stretch."""
    monkeypatch.setattr(duckdb_store_order, "ENOUGH", 30)
    with closing(DuckDBStore(tmp_path / "events.duckdb")) as opened:
        for day in range(3):
            opened.add(Batch("a", day + 1, day_of_views(day)))
        yield opened


def day_of_views(day: int) -> list[Entry]:
    """Twenty views of one day."""
    return [view(NOON + day * DAY + n, f"visit-{day}-{n}", site=SITES[n % 2], view_id=f"v{day}.{n}") for n in range(20)]


def test_a_stretch_is_written_site_by_site(store: DuckDBStore) -> None:
    """Of days that are over and hold enough rows all of a site stands together, in time's order; others stay."""
    assert store.arrange(NOON + 2 * DAY)
    rows = store.fetch(ROWS, {})
    newest, stretch = rows[:20], rows[20:]
    assert [row[0] for row in newest] == list(SITES) * 10
    assert stretch == sorted(stretch)
    assert len(stretch) == 40
    assert not store.arrange(NOON + 2 * DAY)


def test_answers_stay_as_they_were(store: DuckDBStore) -> None:
    """Nothing is lost or counted twice by it, and what comes late for such a day is counted with it."""
    before = answer(QUERY, store, CONFIG).rows
    assert store.arrange(NOON + 2 * DAY)
    assert answer(QUERY, store, CONFIG).rows == before
    store.add(
        Batch(
            "b",
            1,
            [view(NOON + 60, "visit-0-0", started=NOON), engaged(NOON + 70, "v0.0", 9000, "visit-0-0", started=NOON)],
        )
    )
    figures = answer(QUERY, store, CONFIG).rows[0].figures
    assert figures == (10, 11, 0.9)


def test_too_few_rows_and_days_that_go_on_wait(store: DuckDBStore) -> None:
    """A stretch ends with a day that is over."""
    assert not store.arrange(NOON + DAY)
    assert store.arrange(NOON + 3 * DAY)


@pytest.mark.slow
@settings(max_examples=10)
@given(drains(few=True))
def test_what_is_marked_need_not_be_told_apart(pieces: list[tuple[str, int, list[Entry]]]) -> None:
    """A row marked as its visitor's only one on its path has no other near it, whatever comes after it was put in order, and
    pages have the visitors and visits that they have in a store in which nothing is."""
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        closing(DuckDBStore(Path(folder) / "ordered.duckdb")) as ordered,
        closing(DuckDBStore(Path(folder) / "plain.duckdb")) as plain,
    ):
        patch.setattr(duckdb_store_order, "ENOUGH", 1)
        for number, (segment, drained, entries) in enumerate(pieces):
            for opened in (ordered, plain):
                opened.add(Batch(segment, drained, entries))
            if number == len(pieces) // 2:
                ordered.arrange(NOON + 2 * DAY)
        assert ordered.fetch(NOT_SOLE, {}) == [(0,)]
        for found in FILTERS:
            asked = PAGES.only(found)
            assert answer(asked, ordered, CONFIG).rows == answer(asked, plain, CONFIG).rows


@pytest.mark.parametrize("late", [False, True], ids=["together", "late"])
def test_whoever_comes_over_the_edge_of_a_stretch_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    """Before and after the end of a stretch lie visits of one visitor to one page: neither is taken for the only one, whenever
    the second comes; another visitor's is."""
    monkeypatch.setattr(duckdb_store_order, "ENOUGH", 1)
    edge = local("2026-11-24 01:00")  # midnight, UTC
    before: list[Entry] = [view(edge - 600, "one", view_id="v1"), view(edge - 600, "two", visitor=2, view_id="v2")]
    after: list[Entry] = [view(edge + 600, "three", view_id="v3")]
    with closing(DuckDBStore(tmp_path / "events.duckdb")) as store:
        store.add(Batch("a", 1, before if late else before + after))
        assert store.arrange(edge)
        assert store.fetch(MARKED, {}) == ([("v1",), ("v2",)] if late else [("v2",)])
        store.add(Batch("b", 1, after))
        assert store.fetch(MARKED, {}) == [("v2",)]


def test_a_store_put_in_order_before_is_put_in_order_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a version that marked nothing loses nothing, and its rows are marked in time."""
    monkeypatch.setattr(duckdb_store_order, "ENOUGH", 1)
    path = tmp_path / "events.duckdb"
    with closing(DuckDBStore(path)) as store:
        store.add(Batch("a", 1, [view(NOON, view_id="v1")]))
        assert store.arrange(NOON + DAY)
    with duckdb.connect(str(path)) as older:
        older.execute("ALTER TABLE events DROP COLUMN sole")
    with closing(DuckDBStore(path)) as store:
        store.add(Batch("a", 2, [view(NOON + 60, "visit-2", visitor=2, view_id="v2")]))
        assert store.fetch(MARKED, {}) == []
        assert store.arrange(NOON + DAY)
        assert store.fetch(MARKED, {}) == [("v1",), ("v2",)]
