"""Slows down guessing: a few tries for free, then a wait that doubles up to a cap; and a bound for all together."""

from collections import OrderedDict, deque

MAX_KEYS = 4096


class Throttle:
    """Counts tries in memory. A try counts from its start, so that tries side by side are counted too.

    Nobody is locked out for good: a wait is never longer than `cap_seconds`, tries made while waiting do not lengthen
    it, and all is forgotten after `forget_seconds` of quiet.
    """

    def __init__(
        self, free: int = 5, cap_seconds: float = 60, forget_seconds: float = 3600, per_minute: int = 30
    ) -> None:
        self._free, self._cap, self._forget, self._per_minute = free, cap_seconds, forget_seconds, per_minute
        self._tries: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._recent: deque[float] = deque()

    def start(self, key: str, now: float) -> float:
        """0 when a try under `key` may go ahead (it is counted), else the seconds to wait (it is not)."""
        wait = max(self._wait_for_key(key, now), self._wait_for_all(now))
        if wait > 0:
            return wait
        count, _ = self._tries.pop(key, (0, now))
        self._tries[key] = (count + 1, now)
        self._recent.append(now)
        if len(self._tries) > MAX_KEYS:
            self._tries.popitem(last=False)
        return 0.0

    def succeeded(self, key: str) -> None:
        """The try was right: forget the wrong ones before it."""
        self._tries.pop(key, None)
        if self._recent:
            self._recent.pop()

    def _wait_for_key(self, key: str, now: float) -> float:
        count, last = self._tries.get(key, (0, now))
        if now - last > self._forget:
            del self._tries[key]
            return 0.0
        if count < self._free:
            return 0.0
        return min(self._cap, 2.0 ** min(count - self._free + 1, 20)) - (now - last)

    def _wait_for_all(self, now: float) -> float:
        while self._recent and now - self._recent[0] >= 60:
            self._recent.popleft()
        return 60 - (now - self._recent[0]) if len(self._recent) >= self._per_minute else 0.0
