"""A network has so many posts a minute, and no more; nobody else is kept waiting by it."""

from gateway.analytics.rate import MAX_KEYS
from gateway.web.rate_limit import RateLimit

MINUTE = 60.0 * 29_000_000


def test_a_network_has_its_share() -> None:
    """So many posts are allowed in a minute, from any address of the network; the next minute starts anew."""
    limit = RateLimit(3)
    assert [limit.allow(f"192.0.2.{last}", MINUTE + last) for last in range(5)] == [True] * 3 + [False] * 2
    assert limit.allow("192.0.3.1", MINUTE)
    assert limit.allow("192.0.2.1", MINUTE + 60)


def test_rubbish_shares_one_share() -> None:
    """What is no address is limited too."""
    limit = RateLimit(1)
    assert [limit.allow(ip, MINUTE) for ip in ("", "x", "999.1.1.1")] == [True, False, False]


def test_memory_is_bounded() -> None:
    """However many networks post in a minute, only so many are remembered."""
    limit = RateLimit(1)
    for number in range(MAX_KEYS + 50):
        limit.allow(f"2001:db8:{number:x}::1", MINUTE)
    assert len(limit._rate._counts) <= MAX_KEYS + 1
