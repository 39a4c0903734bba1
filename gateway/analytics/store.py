"""What the keeper asks of an event store. DuckDB is the default; others answer the same."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from gateway.analytics.day_sums import DaySums
from gateway.analytics.dialect import Dialect
from gateway.event import Counted, Entry

Tell = Callable[[int], None]  # is told how many bytes have been written

# The text columns that a visit takes from its entry; events have them too.
ENTRY_TEXTS = (
    "host", "source", "medium", "campaign", "term", "content", "channel", "referrer", "country",
    "language", "browser", "browser_version", "os", "os_version", "device",
)  # fmt: skip
VISIT_TEXTS = tuple(name for name in ENTRY_TEXTS if name != "host")  # that an event has of its visit, not of its own
# What is told of a view again and again: the largest counts.
CUMULATIVE = ("engaged_ms", "scroll", "screen", "lcp", "inp", "cls")


class Batch(msgspec.Struct, frozen=True):
    """Entries of one journal segment; `drained` is the number of the last of them."""

    segment: str
    drained: int
    entries: Sequence[Entry]


class Count(NamedTuple):
    """One counter's number for one UTC hour (epoch seconds)."""

    site: str
    hour: int
    kind: str
    name: str
    detail: str
    n: int


class Store(Protocol):
    """An event store: entries in exactly once, rows out. All times are epoch seconds, UTC."""

    dialect: Dialect

    def add(self, *batches: Batch) -> None:
        """Store all batches and their segments' new offsets, each once; a batch whose offset was reached before is left out.
        Raises StoreError: then they are stored when it is tried again, or have been written down to be stored first."""

    def offsets(self) -> dict[str, int]:
        """The number of the last stored entry of each journal segment. Raises StoreError."""

    def forget(self, segment: str) -> None:
        """Drop the offset of a segment whose file is gone."""

    def fetch(self, sql: str, values: dict[str, object]) -> list[tuple[object, ...]]:
        """Run one reading query with values bound by name (`$name`); times are as `naive_utc` gives them. Raises StoreError."""

    def columns(self, table: str) -> list[tuple[str, str]]:
        """The columns of a table that say something, in order, each with the name that DuckDB has for its type."""

    def prune(self, before: float, visits_before: float | None = None) -> int:
        """Delete what happened before, and visits and counters from before a moment of their own (without: the same);
        returns how many rows went."""

    def compact(self, *, at_any_rate: bool = False) -> bool:
        """Give back room that nothing stands in, where that is for the gateway to do; returns whether it was done."""

    def arrange(self, before: float) -> bool:
        """Put some of what is older in an order in which a question about one site passes over others, where that is for the
        gateway to do; returns whether anything was, and there may be more. Raises StoreError."""

    def copy_to(self, target: Path, tell: Tell) -> None:
        """A copy of all that is stored, for a backup, where that lies in the data folder."""

    def summed_days(self, site: str, timezone: str) -> frozenset[date] | None:
        """The local days of which the store keeps sums (day_sums.py); None where it never does: then rows answer all."""

    def keep_sums(self, sums: DaySums) -> None:
        """Keep sums of some days that are over, until an entry comes that belongs to one. Raises StoreError."""

    def close(self) -> None:
        """Write everything down and release what is open."""


def naive_utc(at: float) -> datetime:
    """Epoch seconds as a store's times are bound and answered: in UTC, without a zone."""
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None)


def sum_counts(entries: Sequence[Entry]) -> list[Count]:
    """The plain counters among the entries, each with its sum."""
    summed: Counter[tuple[str, int, str, str, str]] = Counter()
    for entry in entries:
        if isinstance(entry, Counted):
            for kind, name, detail, count in entry.rows:
                summed[(entry.site, entry.hour, kind, name, detail)] += count
    return [Count(*key, n) for key, n in summed.items()]
