"""The parts of a front worker, opened for a test, and what it wrote into its journal."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.analytics.journal import JOURNAL_FOLDER, find_segments, read_segment
from gateway.event import Counted, Entry, Recorded
from gateway.flows.parts import Parts
from gateway.front import open_parts
from tests.example_site import NOW, write_site
from tests.migrated import put_migrated


@contextmanager
def opened_parts(folder: Path, settings: dict[str, Any] | None = None) -> Iterator[Parts]:
    """Parts on a data folder of their own, with a clock that stands still."""
    config = write_site(folder, {"limits": {"reserve_bytes": 0}, **(settings or {})})
    put_migrated(config.data_folder / "gateway.db")
    parts = open_parts(config, lambda: NOW)
    try:
        yield parts
    finally:
        parts.journal.close()
        parts.tombstones.close()
        parts.engine.dispose()


def read_entries(data_folder: Path) -> list[Entry]:
    """All that stands in the journals of a data folder, in order."""
    segments = find_segments(data_folder / JOURNAL_FOLDER)
    return [entry for segment in segments for _, entry in read_segment(segment, 0, 10**9)]


def read_recorded(data_folder: Path) -> list[Recorded]:
    """The events among them."""
    return [entry for entry in read_entries(data_folder) if isinstance(entry, Recorded)]


def read_counts(data_folder: Path) -> dict[tuple[str, str, str], int]:
    """The counters among them, added up over hours: (kind, name, detail) -> count."""
    counts: dict[tuple[str, str, str], int] = {}
    for entry in read_entries(data_folder):
        for kind, name, detail, count in entry.rows if isinstance(entry, Counted) else ():
            counts[kind, name, detail] = counts.get((kind, name, detail), 0) + count
    return counts
