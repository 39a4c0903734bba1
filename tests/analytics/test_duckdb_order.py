"""The embedded store's rows are put in order site by site, and say afterwards what they said before."""

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from gateway.analytics import duckdb_store_order
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.query import Query
from gateway.analytics.store import Batch
from gateway.event import Entry
from gateway.flows.answer import answer
from gateway.settings import AnalyticsConfig
from tests.analytics.entries import NOON, ZONE, engaged, view

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
