"""What the keeper asks of an event store. DuckDB is the default; others answer the same."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from gateway.event import Entry


class Batch(msgspec.Struct, frozen=True):
    """Entries of one journal segment; `drained` is the number of the last of them."""

    segment: str
    drained: int
    entries: Sequence[Entry]


class Store(Protocol):
    """An event store: entries in exactly once, rows out. All times are epoch seconds, UTC."""

    def add(self, *batches: Batch) -> None:
        """Store all batches and their segments' new offsets in one transaction; a batch whose offset was reached
        before is left out. Raises StoreError, and then nothing is stored."""

    def offsets(self) -> dict[str, int]:
        """The number of the last stored entry of each journal segment."""

    def forget(self, segment: str) -> None:
        """Drop the offset of a segment whose file is gone."""

    def fetch(self, sql: str, values: dict[str, object]) -> list[tuple[object, ...]]:
        """Run one reading query with values bound by name; times are as `naive_utc` gives them. Raises StoreError."""

    def prune(self, before: float, visits_before: float | None = None) -> int:
        """Delete what happened before, and visits and counters from before a moment of their own (without: the same);
        returns how many rows went."""

    def close(self) -> None:
        """Write everything down and release the file."""


def naive_utc(at: float) -> datetime:
    """Epoch seconds as a store's times are bound and answered: in UTC, without a zone."""
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
