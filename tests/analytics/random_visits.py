"""Random visits for property tests, how workers' journals could hold them, and what plain Python makes of them."""

from collections import defaultdict
from typing import Any

from hypothesis import strategies as st

from gateway.event import ENGAGEMENT, PAGE_VIEW, Entry, Event, Recorded
from tests.analytics.entries import NOON, engaged, record

PATHS, SOURCES = ("/", "/a", "/b"), ("", "Bing", "Google")


@st.composite
def visits(draw: st.DrawFn, number: int, few: bool) -> list[Recorded]:
    """One visit's entries: views, custom events and engagement, some at the very same moment; `few`: of one of two visitors."""
    visit, entries, at = f"visit-{number}", list[Recorded](), NOON + draw(st.integers(0, 5000))
    started, visitor = at, draw(st.integers(1, 2)) if few else number
    for step in range(draw(st.integers(1, 5))):
        at += draw(st.sampled_from((0, 0.25, 60, 1700)))
        kind = draw(st.sampled_from((PAGE_VIEW, PAGE_VIEW, "download")))
        fields = {"path": draw(st.sampled_from(PATHS)), "source": draw(st.sampled_from(SOURCES)), "started": started}
        view_id = f"{visit}.{step}"
        entries.append(record(kind, at, visit, view_id=view_id, visitor=visitor, **fields))
        for told in draw(st.lists(st.integers(0, 9000), max_size=3)):
            entries.append(engaged(at + told / 1000, view_id, told, visit, started=started))
    return entries


@st.composite
def drains(draw: st.DrawFn, few: bool = False) -> list[tuple[str, int, list[Entry]]]:
    """Entries of several visits, shuffled over three workers' segments, read in pieces, some read twice; `few`: visitors come
    again."""
    entries = [entry for number in range(draw(st.integers(1, 4))) for entry in draw(visits(number, few))]
    segments: dict[str, list[Entry]] = defaultdict(list)
    for entry in draw(st.permutations(entries)):
        segments[draw(st.sampled_from("abc"))].append(entry)
    pieces: list[tuple[str, int, list[Entry]]] = []
    for name, rows in segments.items():
        half = draw(st.integers(0, len(rows)))
        pieces += [(name, end, rows[start:end]) for start, end in ((0, half), (half, len(rows))) if start < end]
    repeated = draw(st.lists(st.integers(0, len(pieces) - 1), max_size=2))
    return [piece for index, piece in enumerate(pieces) for _ in range(1 + (index in repeated))]


def naive_visits(events: list[Event]) -> set[tuple[Any, ...]]:
    """The visits that plain Python makes of the same events."""
    told: dict[str, int] = defaultdict(int)
    for event in events:
        if event.kind == ENGAGEMENT:
            told[event.view_id] = max(told[event.view_id], event.engaged_ms)
    by_visit: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.kind != ENGAGEMENT:
            by_visit[event.visit_id].append(event)
    rows = set()
    for visit, found in by_visit.items():
        views = [event for event in found if event.kind == PAGE_VIEW]
        entry = min(views or found, key=lambda e: (e.at, e.path, e.source))
        leaving = max(views or found, key=lambda e: (e.at, e.path))
        seconds = sum(told[event.view_id] for event in views)
        rows.add((visit, len(views), len(found) - len(views), seconds, entry.path, leaving.path, entry.source))
    return rows
