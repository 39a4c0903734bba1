"""Plain counters of what was shown, dropped and held: numbers per site and hour, gathered in memory, written now and then.

They know nothing of any visitor. Each key has a bounded number of names, so that invented hosts cannot fill the memory.
"""

import threading
from collections.abc import Iterable, Sequence

from gateway.event import Counted

MAX_KEYS = 2_000
MAX_GROUPS = 2_000
MAX_LENGTH = 120
MAX_EXAMPLES = 3  # of one name in an hour
OTHER = "(other)"
SHOWN, CHOSE = "shown", "chose"  # kinds of counters: banners, and what was chosen
TOOK_BACK = "withdrawn"
ELSEWHERE = "refused_elsewhere"  # kind: pages shown to who has refused to another tool, by its name
PAGE, WITH_CONSENT = "page", "page_with_consent"  # kinds of the exempt page counter, whose hour is its day's noon
BOT, RATE = "bot", "implausible_rate"  # kinds: bots by name, and browsers that were too quick, with pages as examples
ASSERTED = "asserted"  # kind: events of servers, by the key whose holder asserted consent; also their property
SECOND_BANNER = "second_banner"  # kind: pages with another consent tool on them, by its name

Key = tuple[str, int, str, str, str]
Names = Sequence[tuple[str, str]]


class _Group:
    """Names that are counted together, found by their identity; kept here, so that it stays theirs."""

    __slots__ = ("count", "names")

    def __init__(self, names: Names) -> None:
        self.names, self.count = names, 1


class Counters:
    """Counts per (site, hour, kind, name, detail); `take` empties them."""

    def __init__(self) -> None:
        self._counts: dict[Key, int] = {}
        self._groups: dict[tuple[str, int, str, int], _Group] = {}
        self._examples: dict[tuple[str, str, str], set[str]] = {}
        self._examples_of = 0  # the hour
        self._lock = threading.Lock()

    def add(self, at: float, site: str, kind: str, name: str, detail: str = "", count: int = 1) -> None:
        """Add to one counter of the hour that `at` (epoch seconds) lies in."""
        self.add_each(at, site, kind, ((name, detail),), count)

    def add_each(self, at: float, site: str, kind: str, names: Iterable[tuple[str, str]], count: int = 1) -> None:
        """Add to several counters of one kind, each by name and detail."""
        hour = int(at) // 3600 * 3600
        with self._lock:
            counts = self._counts
            for name, detail in names:
                key = (site, hour, kind, name, detail)
                if key in counts:
                    counts[key] += count
                else:
                    self._begin(key, count)

    def add_example(self, at: float, site: str, kind: str, name: str, example: str) -> None:
        """Add to a name, under the example while it has few in this hour; more of them count without one."""
        hour, key = int(at) // 3600, (site, kind, name)
        with self._lock:
            if hour != self._examples_of:
                self._examples_of, self._examples = hour, {}
            if key not in self._examples and len(self._examples) >= MAX_KEYS:
                kept: set[str] = set()
            else:
                kept = self._examples.setdefault(key, set())
                if len(kept) < MAX_EXAMPLES:
                    kept.add(example)
        self.add(at, site, kind, name, example if example in kept else "")

    def add_group(self, at: float, site: str, kind: str, names: Names) -> None:
        """The same as `add_each` for names that come again as the very same object, a page's from the cache above all:
        they are counted as one, and told apart when they are taken."""
        key = (site, int(at) // 3600 * 3600, kind, id(names))
        with self._lock:
            known = self._groups.get(key)
            if known is not None:
                known.count += 1
                return
            if len(self._groups) < MAX_GROUPS:
                self._groups[key] = _Group(names)
                return
        self.add_each(at, site, kind, names)

    def put_back(self, counted: Counted) -> None:
        """Take in again what could not be written down."""
        for kind, name, detail, count in counted.rows:
            self.add(counted.hour, counted.site, kind, name, detail, count)

    def _begin(self, key: Key, count: int) -> None:
        site, hour, kind, name, detail = key
        key = (site, hour, kind, name[:MAX_LENGTH], detail[:MAX_LENGTH])
        if key not in self._counts and len(self._counts) >= MAX_KEYS:
            key = (site, hour, kind, OTHER, "")
        self._counts[key] = self._counts.get(key, 0) + count

    def take(self) -> list[Counted]:
        """What has gathered since the last call, as journal entries."""
        with self._lock:
            groups, self._groups = self._groups, {}
        for (site, hour, kind, _), group in groups.items():
            self.add_each(hour, site, kind, group.names, group.count)
        with self._lock:
            counts, self._counts = self._counts, {}
        grouped: dict[tuple[str, int], list[tuple[str, str, str, int]]] = {}
        for (site, hour, kind, name, detail), count in counts.items():
            grouped.setdefault((site, hour), []).append((kind, name, detail, count))
        return [Counted(site, hour, rows) for (site, hour), rows in grouped.items()]
