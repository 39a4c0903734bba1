"""The embedded event store against counting by hand: the order in which journals are drained changes nothing."""

import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import given, settings

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.store import VISIT_TEXTS, Batch
from gateway.event import ENGAGEMENT, Entry, Recorded
from tests.analytics.random_visits import drains, naive_visits


def stored(pieces: list[tuple[str, int, list[Entry]]]) -> tuple[list[Any], dict[Any, Any], int]:
    """What a fresh store makes of the pieces: its visits, events by kind, and engaged milliseconds in all."""
    with tempfile.TemporaryDirectory() as folder, closing(DuckDBStore(Path(folder) / "events.duckdb")) as store:
        for segment, drained, entries in pieces:
            store.add(Batch(segment, drained, entries))
        columns = "told_id, views, events, engaged_ms, entry_page, exit_page, source"
        found = store.fetch(f"SELECT {columns} FROM visits", {})
        kinds = {row[0]: row[1] for row in store.fetch("SELECT kind, count(*) FROM events GROUP BY kind", {})}
        told = store.fetch("SELECT coalesce(sum(engaged_ms), 0) FROM events", {})[0][0]
    return found, kinds, int(str(told))


_OF_VISIT = ("visitor", "alone", *VISIT_TEXTS)
_DIFFERS = " OR ".join(f"e.{name} <> v.{name}" for name in _OF_VISIT)
UNLIKE = f"""SELECT count(*) FROM events e LEFT JOIN visits v ON v.visit_id = e.visit_id
WHERE v.visit_id IS NULL OR e.visit_started_at <> v.started_at OR {_DIFFERS}"""
NOT_ALONE = """SELECT count(*) FROM visits v
JOIN visits o ON o.site = v.site AND o.visitor = v.visitor AND o.visit_id <> v.visit_id
WHERE v.alone AND abs(epoch(o.started_at) - epoch(v.started_at)) <= 25 * 3600"""
NOT_ONCE = """SELECT count(*) FROM (SELECT sum(CAST(first_here AS INTEGER)) AS first FROM events GROUP BY visit_id, path)
WHERE first <> 1"""


@settings(max_examples=25)
@given(drains(few=True))
def test_events_know_their_visits_whatever_comes_late(pieces: list[tuple[str, int, list[Entry]]]) -> None:
    """A row of events has the visitor, the beginning and the lasting qualities of its visit, also where an earlier entry
    changes them; no visit is taken to be its visitor's only one that day which is not, and one event stands for all
    on its page."""
    with tempfile.TemporaryDirectory() as folder, closing(DuckDBStore(Path(folder) / "events.duckdb")) as store:
        for segment, drained, entries in pieces:
            store.add(Batch(segment, drained, entries))
        assert [store.fetch(sql, {}) for sql in (UNLIKE, NOT_ALONE, NOT_ONCE)] == [[(0,)]] * 3


@settings(max_examples=25)
@given(drains())
def test_any_order_gives_what_counting_by_hand_gives(pieces: list[tuple[str, int, list[Entry]]]) -> None:
    """However entries are split over segments, ordered, and read again, the figures are those of the events."""
    taken = {(segment, drained): entries for segment, drained, entries in pieces}
    events = [entry.event for entries in taken.values() for entry in entries if isinstance(entry, Recorded)]
    found, kinds, told = stored(pieces)
    assert len(found) == len(set(found))
    assert set(found) == naive_visits(events)
    assert kinds == Counter(event.kind for event in events if event.kind != ENGAGEMENT)
    assert told == sum(row[3] for row in naive_visits(events))
