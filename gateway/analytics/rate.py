"""How often something happened in the running minute, in the memory of one worker."""

MAX_KEYS = 10_000


class Rate:
    """Counts by key in the running minute; what is counted by is forgotten with it."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._minute = 0
        self._counts: dict[str, int] = {}

    def allow(self, key: str, now: float) -> bool:
        """Count one; False when the key has had its share of this minute."""
        minute = int(now // 60)
        if minute != self._minute or len(self._counts) > MAX_KEYS:
            self._minute, self._counts = minute, {}
        self._counts[key] = count = self._counts.get(key, 0) + 1
        return count <= self._per_minute
