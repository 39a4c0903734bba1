"""Retention: what is too old goes, nothing else."""

import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from hashlib import md5
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gateway.analytics import duckdb_store_file
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.month_sketch import MonthSketches, estimate_month
from gateway.analytics.query import Query
from gateway.analytics.store import Batch
from gateway.database import open_database
from gateway.event import PAGE_VIEW, Counted, Event, Recorded
from gateway.flows.answer import answer
from gateway.flows.retention import find_old, months_before, prune
from gateway.mailings import claim, is_unsubscribed, mailing_key, unsubscribe
from gateway.settings import AnalyticsConfig, RetentionConfig

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()
MONTH = 31 * 86_400


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    """A store of its own."""
    with closing(DuckDBStore(tmp_path / "events.duckdb")) as store:
        yield store


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """A database of its own."""
    return open_database(f"sqlite:///{tmp_path / 'gateway.db'}")


def add_visits(store: DuckDBStore, *ages: int) -> None:
    """One visit of one view, and one counter, for each age in months."""
    for number, age in enumerate(ages):
        at = NOW - age * MONTH
        event = Event(at, "main", PAGE_VIEW, "/", number, f"visit-{number}", at, f"view-{number}")
        counted = Counted("main", int(at // 3600 * 3600), [("shown", "nl", "", 1)])
        store.add(Batch(f"s{number}", 1, [Recorded(event, "c", 1, ("analytics",)), counted]))


def count(store: DuckDBStore, table: str) -> int:
    """The rows of a table."""
    return int(str(store.fetch(f"SELECT count(*) FROM {table}", {})[0][0]))


@pytest.mark.slow
def test_events_go_before_their_visits(store: DuckDBStore, engine: Engine) -> None:
    """Events go after 13 months, visits and counters after 25; what would go was said before."""
    add_visits(store, 0, 12, 14, 24, 26, 30)
    old = find_old(store, engine, RetentionConfig(), NOW)
    assert (old.events, old.visits, old.counters) == (4, 2, 2)
    assert [count(store, table) for table in ("events", "visits", "counts")] == [6, 6, 6]
    assert prune(store, engine, RetentionConfig(), NOW) == old
    assert [count(store, table) for table in ("events", "visits", "counts")] == [2, 4, 4]
    again = prune(store, engine, RetentionConfig(), NOW)
    assert (again.events, again.visits, again.counters) == (0, 0, 0)


@pytest.mark.slow
def test_sketches_of_months_go_with_the_visits(store: DuckDBStore, engine: Engine) -> None:
    """A month's estimate stays as long as any visit of that month may."""
    sketches = MonthSketches()
    for month in ("2024-09", "2024-10", "2026-11"):
        sketches.add("main", month, 1)
    sketches.write(engine)
    prune(store, engine, RetentionConfig(), NOW)
    left = [estimate_month(engine, "main", month) is not None for month in ("2024-09", "2024-10", "2026-11")]
    assert left == [False, True, True]


@pytest.mark.slow
def test_a_file_written_anew_holds_the_same(store: DuckDBStore, tmp_path: Path) -> None:
    """Compacting keeps every row, goes on storing where it was, and leaves nothing beside the file."""
    add_visits(store, *range(12))
    before = {table: sorted(store.fetch(f"SELECT * FROM {table}", {}), key=str) for table in ("events", "visits")}
    assert not store.compact()
    assert store.compact(at_any_rate=True)
    assert {table: sorted(store.fetch(f"SELECT * FROM {table}", {}), key=str) for table in before} == before
    add_visits(store, *range(13))  # the first twelve offsets are known still
    assert count(store, "events") == 13
    assert [path.name for path in tmp_path.glob("*.compact*")] == []


@pytest.mark.slow
def test_a_file_that_is_mostly_free_gets_smaller(
    store: DuckDBStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day after much was deleted the file is written anew by itself, and what was left is in it."""
    monkeypatch.setattr(duckdb_store_file, "LEAST_FREE_BYTES", 1 << 20)
    path = tmp_path / "events.duckdb"
    for part in range(4):
        entries = []
        for number in range(5000):
            at = NOW - 20 * MONTH - part * 5000 - number
            event = Event(
                at, "main", PAGE_VIEW, f"/{md5(str(at).encode()).hexdigest()}", number, f"v{at}", at, f"w{at}"
            )
            entries.append(Recorded(event, "c", 1, ("analytics",)))
        store.add(Batch(f"many-{part}", len(entries), entries))
    add_visits(store, 1, 2)
    store.compact(at_any_rate=True)  # all of it stands in the file, not in its log
    assert store.prune(NOW - 13 * MONTH) > 20_000
    before = path.stat().st_size
    add_visits(store, 1, 2, 3, 20)
    assert store.prune(NOW - 13 * MONTH) >= 1  # DuckDB tells of free room with the next checkpoint only
    assert store.compact()
    assert path.stat().st_size < before / 2
    assert (count(store, "events"), count(store, "visits")) == (3, 3)
    assert not store.compact()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("now", "months", "then"),
    [
        ("2026-11-27", 13, "2025-10-27"),
        ("2026-03-31", 1, "2026-02-28"),
        ("2024-03-31", 13, "2023-02-28"),
        ("2026-01-15", 25, "2023-12-15"),
    ],
)
def test_months_are_those_of_the_calendar(now: str, months: int, then: str) -> None:
    """The same day so many months earlier, or the last day of a shorter month."""
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()
    assert datetime.fromtimestamp(months_before(moment, months), UTC).date().isoformat() == then


@pytest.mark.slow
def test_mails_are_forgotten_but_not_who_unsubscribed(store: DuckDBStore, engine: Engine) -> None:
    """What was mailed goes with the events of its time; that somebody wants no more of it stays."""
    for at in (NOW - 14 * MONTH, NOW - MONTH):
        assert claim(engine, mailing_key("report", str(at)), at)
        unsubscribe(engine, mailing_key("somebody", str(at)), at)
    assert find_old(store, engine, RetentionConfig(), NOW).mailings == 1
    assert prune(store, engine, RetentionConfig(), NOW).mailings == 1
    assert not claim(engine, mailing_key("report", str(NOW - MONTH)), NOW)
    assert claim(engine, mailing_key("report", str(NOW - 14 * MONTH)), NOW)
    assert is_unsubscribed(engine, mailing_key("somebody", str(NOW - 14 * MONTH)))


@pytest.mark.slow
def test_what_visits_tell_after_events_are_gone(store: DuckDBStore, engine: Engine) -> None:
    """Page views in all, by source, by day and by month are still told of visits; by page and hour there are none, and those of
    a visit over midnight all stand on the day on which it began."""
    day = datetime(2025, 1, 15, 12, tzinfo=UTC).timestamp()
    for number, begun in enumerate((day, day + 60, day + 43_000)):  # the third goes on over midnight
        events = [
            Recorded(
                Event(at, "main", PAGE_VIEW, "/", number, f"v{number}", begun, f"{number} {at}", source="Google"),
                "c",
                1,
                (),
            )
            for at in (begun, begun + 600)
        ]
        store.add(Batch(f"s{number}", 1, events))
    query = Query("main", date(2025, 1, 15), date(2025, 1, 16), "UTC", metrics=("page_views", "visits"))

    def ask(*dimensions: str) -> list[tuple[object, ...]]:
        found = answer(query.asking(dimensions=dimensions), store, AnalyticsConfig(min_visitors=1))
        return [(*row.keys, *row.figures) for row in found.rows]

    assert ask("day") == [("2025-01-15", 5, 3), ("2025-01-16", 1, 0)]
    prune(store, engine, RetentionConfig(), NOW)
    assert (ask(), ask("source")) == ([(6, 3)], [("Google", 6, 3)])
    assert ask("month") == [("2025-01-01", 6, 3)]
    assert ask("day") == [("2025-01-15", 6, 3)]
    assert ask("page") == []
    assert [row[1] for row in ask("hour")] == [0, 0]
