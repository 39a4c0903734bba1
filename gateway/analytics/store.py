"""What the keeper asks of an event store. DuckDB is the default; others answer the same."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from gateway.event import Entry


class Store(Protocol):
    """An event store: entries in exactly once, rows out. All times are epoch seconds, UTC."""

    def add(self, segment: str, drained: int, entries: Sequence[Entry]) -> None:
        """Store the entries and the segment's new offset in one transaction; nothing when that offset was reached
        before. Raises StoreError, and then nothing is stored."""

    def offsets(self) -> dict[str, int]:
        """The number of the last stored entry of each journal segment."""

    def forget(self, segment: str) -> None:
        """Drop the offset of a segment whose file is gone."""

    def fetch(self, sql: str, values: dict[str, object]) -> list[tuple[object, ...]]:
        """Run one reading query with values bound by name; times are as `naive_utc` gives them. Raises StoreError."""

    def prune(self, before: float) -> int:
        """Delete what happened before; returns how many rows went."""

    def close(self) -> None:
        """Write everything down and release the file."""


def naive_utc(at: float) -> datetime:
    """Epoch seconds as a store's times are bound and answered: in UTC, without a zone."""
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
