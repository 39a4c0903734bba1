"""So many posts a minute for each network, so that nobody fills the ledger. Addresses are cut, and kept for a minute."""

from gateway.analytics.masking import truncate_address
from gateway.analytics.rate import Rate


class RateLimit:
    """Counts posts per network (/24, /48) in the running minute of one worker, in memory."""

    def __init__(self, per_minute: int) -> None:
        self._rate = Rate(per_minute)

    def allow(self, ip: str, now: float) -> bool:
        """Count one post; False when its network has had its share of this minute."""
        return self._rate.allow(truncate_address(ip), now)
