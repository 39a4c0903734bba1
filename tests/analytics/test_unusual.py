"""Hours unlike the same hour of earlier weeks are found, each event by its first hour."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.store import Batch
from gateway.analytics.unusual import Unusual, find_unusual
from gateway.settings import NoticeRule
from tests.analytics.entries import ZONE, local, view

SPIKE = NoticeRule(kind="spike", times=3.0, floor=12, to=("anke@example.org",))
DROP = NoticeRule(kind="drop", times=3.0, floor=12, to=("anke@example.org",))
WEEKS = ("2026-10-19 14:00", "2026-10-26 14:00", "2026-11-02 14:00", "2026-11-09 14:00")
TODAY = "2026-11-16 14:00"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    """An empty store."""
    opened = DuckDBStore(tmp_path / "events.duckdb")
    yield opened
    opened.close()


def fill(store: DuckDBStore, hours: dict[str, int]) -> None:
    """So many page views in each local hour."""
    entries = [view(local(hour) + n, f"{hour}-{n}") for hour, count in hours.items() for n in range(count)]
    store.add(Batch(f"segment {len(hours)} {next(iter(hours))}", 1, entries))


def spike(store: DuckDBStore, at: str) -> Unusual | None:
    """What the rule for spikes finds."""
    return find_unusual(store, "main", ZONE, SPIKE, local(at))


@pytest.mark.parametrize(
    ("usual", "today", "found"),
    [
        ((5, 4, 6, 90), 18, 5.5),  # the median: one odd week changes nothing
        ((5, 4, 6, 90), 16, None),
        ((1, 1, 1, 1), 11, None),  # below the floor
        ((0, 0, 0, 1), 12, 0.0),
    ],
)
def test_a_spike_is_told_while_its_hour_runs(
    store: DuckDBStore, usual: tuple[int, ...], today: int, found: float | None
) -> None:
    """Three times what is usual at that hour of the week and not below the floor; over summer time's end by the local hour."""
    fill(store, {"2026-10-13 09:00": 1} | dict(zip(WEEKS, usual, strict=True)) | {TODAY: today})
    seen = spike(store, "2026-11-16 14:20")
    begun = int(local(TODAY))
    assert seen == (None if found is None else Unusual("spike", begun, today, found, begun))
    assert spike(store, "2026-11-16 15:01") is None


def test_a_drop_is_told_when_its_hour_is_over(store: DuckDBStore) -> None:
    """Not while it runs, and some minutes later, when what was on its way has been stored; silence is a drop as well."""
    fill(store, dict.fromkeys(WEEKS, 30) | {"2026-11-16 13:00": 3})
    for at, found in (("14:59", False), ("15:02", False), ("15:06", True), ("16:04", True), ("16:06", False)):
        seen = find_unusual(store, "main", ZONE, DROP, local(f"2026-11-16 {at}"))
        assert (seen is not None) == found, at
        assert seen is None or (seen.views, seen.usual) == (0, 30.0)


def test_nothing_is_unusual_where_little_is_known(store: DuckDBStore) -> None:
    """A site of one week has no usual hour; with two there is one."""
    fill(store, {WEEKS[3]: 4, TODAY: 40})
    assert spike(store, "2026-11-16 14:20") is None
    fill(store, {WEEKS[2]: 4})
    assert spike(store, "2026-11-16 14:20") is not None
    assert find_unusual(store, "other", ZONE, SPIKE, local("2026-11-16 14:20")) is None


def test_hours_that_belong_together_are_one_event(store: DuckDBStore) -> None:
    """A spike of many hours with a lull in it is known by its first hour; one on the next day is another."""
    weeks = {f"{week[:10]} {hour:02}:00": 4 for week in WEEKS for hour in range(8, 20)}
    weeks |= {f"2026-{day} 09:00": 4 for day in ("10-20", "10-27", "11-03", "11-10")}
    fill(store, weeks | {f"2026-11-16 {hour:02}:00": 40 for hour in (9, 10, 11, 15)} | {"2026-11-17 09:00": 40})
    events = [spike(store, f"2026-11-{at}:30") for at in ("16 09", "16 11", "16 15", "17 09")]
    assert [event and event.event for event in events] == [
        int(local(f"2026-11-{at}:00")) for at in ("16 09", "16 09", "16 09", "17 09")
    ]
