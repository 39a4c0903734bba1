"""The last half hour, out of the store: what belongs to it, minute by minute, and no row about few people."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.live import Live, LiveRow, fold, look
from gateway.analytics.store import Batch
from gateway.event import PAGE_VIEW, Event, Recorded

NOW = datetime(2026, 11, 27, 12, 10, 20, tzinfo=UTC).timestamp()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    """A store of its own."""
    with closing(DuckDBStore(tmp_path / "events.duckdb")) as store:
        yield store


def put(store: DuckDBStore, *seen: tuple[int, float, str, str]) -> None:
    """One event for each (visitor, seconds ago, path, kind)."""
    entries = []
    for number, (visitor, ago, path, kind) in enumerate(seen):
        at = NOW - ago
        event = Event(at, "main", kind, path, visitor, f"visit-{visitor}", at, f"view-{number}", source="Google")
        entries.append(Recorded(event, "a-consent", 1, ("analytics",)))
    store.add(Batch("a", len(entries), entries))


def test_only_the_last_thirty_minutes_count(store: DuckDBStore) -> None:
    """Events from before its first minute are not in it; each view stands in its minute, the running one last."""
    first = 20 + 29 * 60  # seconds since the first minute began
    put(store, (1, 5, "/", PAGE_VIEW), (1, 70, "/", PAGE_VIEW), (2, first, "/", PAGE_VIEW), (3, first + 1, "/", PAGE_VIEW),
        (4, 8, "/", "download"))  # fmt: skip
    live = look(store, "main", NOW, 1)
    assert (live.visitors, live.views, live.events) == (3, 3, 1)
    assert [index for index, count in enumerate(live.minutes) if count] == [0, 28, 29]
    assert sum(live.minutes) == live.views
    assert live.rows["page"] == [LiveRow("/", 2, 3)]
    assert look(store, "other", NOW, 1) == Live(live.since, [0] * 30, rows={"page": [], "source": [], "country": []})


def test_rows_of_few_visitors_are_left_out(store: DuckDBStore) -> None:
    """A page that fewer than five saw has no row, and it is said that some have none."""
    put(store, *((visitor, 10, "/", PAGE_VIEW) for visitor in range(6)),
        *((visitor, 10, "/geheim", PAGE_VIEW) for visitor in range(10, 14)), (20, 10, "/klein", PAGE_VIEW))  # fmt: skip
    live = look(store, "main", NOW, 5)
    assert live.rows["page"] == [LiveRow("/", 6, 6)]
    assert live.rows["source"] == [LiveRow("Google", 11, 11)]
    assert live.folded == {"page"}


@pytest.mark.parametrize(
    ("visitors", "shown"),
    [([9, 7, 5], 3), ([9, 7, 4], 1), ([9, 7, 4, 1], 2), ([9, 4, 4], 1), ([4], 0), ([], 0), ([9, 1], 0)],
)
def test_few_people_do_not_follow_by_subtraction(visitors: list[int], shown: int) -> None:
    """Where those left out are too few together, the smallest row is left out with them."""
    rows = [LiveRow(str(count), count, count) for count in visitors]
    kept, left_out = fold(rows, 5)
    assert [row.visitors for row in kept] == visitors[:shown]
    assert left_out == (shown < len(visitors))
