"""The circuit breaker, the rest that a receiver asks for, and the slow return, by a clock of the test's own."""

from itertools import pairwise

from gateway.destinations.health import FIRST_RATE, FREE_RATE, LONGEST_REST_SECONDS, OPEN_AFTER, Health, Rest


def fail(health: Health, times: int, now: float) -> None:
    """So many attempts in a row without success."""
    for _ in range(times):
        probe = health.begun()
        health.ended(well=False, now=now, chance=0.5)
        health.left(probe=probe)


def test_a_few_failures_stop_nothing() -> None:
    """F5: the breaker opens after five failures in a row; a success in between begins the count anew."""
    health = Health()
    fail(health, OPEN_AFTER - 1, 100.0)
    assert health.may_begin(100.0) == 0
    health.ended(well=True, now=100.0, chance=0.5)
    fail(health, OPEN_AFTER - 1, 100.0)
    assert health.may_begin(100.0) == 0
    fail(health, 1, 100.0)
    assert 2.5 <= health.may_begin(100.0) <= 5


def test_why_it_is_at_rest_can_be_told() -> None:
    """After failures in a row, with how many and the last one's word, until an attempt has ended well; at the receiver's wish
    until then; by a clock that was set back no later than was meant."""
    health = Health()
    fail(health, OPEN_AFTER - 1, 100.0)
    assert health.find_rest(100.0) is None
    health.ended(well=False, now=100.0, chance=1.0, reason="http_503")
    assert health.find_rest(100.0) == health.find_rest(200.0) == Rest(105.0, OPEN_AFTER, "http_503")
    assert health.find_rest(40.0) == Rest(45.0, OPEN_AFTER, "http_503")
    health.ended(well=True, now=106.0, chance=0.5)
    assert health.find_rest(106.0) is None
    health.rest_until(300.0, 200.0, "http_429")
    assert health.find_rest(200.0) == Rest(300.0, 0, "http_429")
    assert health.find_rest(300.0) is None


def test_one_probe_at_a_time() -> None:
    """F5: after the rest one attempt is let through, and others only when it has ended well."""
    health = Health()
    fail(health, OPEN_AFTER, 100.0)
    assert health.may_begin(106.0) == 0
    probe = health.begun()
    assert probe
    assert health.may_begin(106.0) > 0
    health.ended(well=True, now=106.0, chance=0.5)
    health.left(probe=probe)
    assert health.may_begin(106.0) == 0
    assert not health.begun()


def test_a_probe_without_consent_does_not_wedge() -> None:
    """F5: a probe whose delivery was cancelled says nothing; the next one may come, and an old attempt ends nothing."""
    health = Health()
    old = health.begun()
    fail(health, OPEN_AFTER, 100.0)
    probe = health.begun()
    health.left(probe=old)
    assert health.may_begin(110.0) > 0
    health.left(probe=probe)
    assert health.may_begin(110.0) == 0
    assert health.is_open


def test_rests_grow_up_to_a_cap() -> None:
    """F6: each failed probe doubles the rest, at random down to half of it, and never beyond five minutes."""
    health, now, rests = Health(), 0.0, []
    fail(health, OPEN_AFTER, now)
    for _ in range(12):
        now += (rest := health.may_begin(now))
        rests.append(rest)
        fail(health, 1, now)
    assert rests == sorted(rests)
    assert rests[-1] == LONGEST_REST_SECONDS * 0.75


def test_what_has_waited_does_not_fall_upon_it_at_once() -> None:
    """F6: after an outage of an hour, the first seconds carry a few requests, then twice as many, then all."""
    health = Health()
    fail(health, OPEN_AFTER, 0.0)
    probe = health.begun()
    health.ended(well=True, now=3600.0, chance=0.5)
    health.left(probe=probe)
    sent, now = [0] * 12, 3600.0
    while now < 3612:
        wait = health.may_begin(now)
        if wait == 0:
            health.begun()
            sent[int(now - 3600)] += 1
        now += max(wait, 0.0005)
    assert sent[0] <= 2 * FIRST_RATE
    assert all(later <= 2.5 * earlier + 2 for earlier, later in pairwise(sent[:6]))
    assert max(sent) > FREE_RATE / 2


def test_a_receiver_is_left_alone_until_it_said() -> None:
    """A rest that was asked for is kept, a shorter one does not cut it, and the return is slow."""
    health = Health()
    health.rest_until(500.0, 100.0)
    health.rest_until(400.0, 100.0)
    assert health.may_begin(100.0) == 400
    assert health.may_begin(500.0) == 0
    health.begun()
    assert 0 < health.may_begin(500.0) <= 1 / FIRST_RATE


def test_a_clock_that_jumps_back_waits_no_longer_than_asked() -> None:
    """F8: a step of a day back lengthens no wait by more than was asked for, counted from what the clock says now."""
    health = Health()
    fail(health, OPEN_AFTER, 1e6)
    assert health.may_begin(1e6 - 86_400) <= LONGEST_REST_SECONDS
