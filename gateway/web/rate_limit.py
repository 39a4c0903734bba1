"""So many posts a minute for each network, so that nobody fills the ledger. Addresses are cut, and kept for a minute."""

from gateway.analytics.masking import truncate_address

MAX_NETWORKS = 10_000


class RateLimit:
    """Counts posts per network (/24, /48) in the running minute of one worker, in memory."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._minute = 0
        self._counts: dict[str, int] = {}

    def allow(self, ip: str, now: float) -> bool:
        """Count one post; False when its network has had its share of this minute."""
        minute = int(now // 60)
        if minute != self._minute or len(self._counts) > MAX_NETWORKS:
            self._minute, self._counts = minute, {}
        network = truncate_address(ip)
        self._counts[network] = self._counts.get(network, 0) + 1
        return self._counts[network] <= self._per_minute
