"""Guessing is slowed down, nobody is locked out."""

from gateway.web.throttle import MAX_KEYS, Throttle

DAY = 86_400.0


def test_five_tries_are_free_and_then_waits_double_up_to_a_minute() -> None:
    """Who mistypes is not bothered; who guesses waits 2, 4, 8 ... 60 seconds."""
    throttle, now, waits = Throttle(per_minute=1000), 1000.0, []
    for _ in range(13):
        wait = throttle.start("anke", now)
        if wait:
            waits.append(wait)
            now += wait
            assert throttle.start("anke", now) == 0
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]


def test_tries_while_waiting_do_not_lengthen_the_wait() -> None:
    """An attacker who hammers cannot push the next chance away."""
    throttle = Throttle(per_minute=1000)
    for _ in range(5):
        assert throttle.start("anke", 0) == 0
    for _ in range(100):
        assert throttle.start("anke", 1) == 1
    assert throttle.start("anke", 2) == 0


def test_names_do_not_slow_each_other_until_all_together_are_too_many() -> None:
    """One name's waits leave others alone; thirty tries a minute is the most for all of them."""
    throttle = Throttle()
    for _ in range(5):
        throttle.start("anke", 0)
    assert throttle.start("anke", 0) > 0
    assert all(throttle.start(f"name{index}", 1) == 0 for index in range(25))
    assert throttle.start("one too many", 1) == 59
    assert throttle.start("one too many", 60) == 0


def test_a_right_try_and_a_quiet_hour_forget_the_wrong_ones() -> None:
    """Waits end with success and with time."""
    throttle = Throttle(per_minute=1000)
    for _ in range(5):
        throttle.start("anke", 0)
        throttle.start("bas", 0)
    throttle.succeeded("anke")
    assert throttle.start("anke", 0) == 0
    assert throttle.start("bas", 3601) == 0
    assert throttle.start("bas", 3601) == 0


def test_invented_names_do_not_fill_the_memory() -> None:
    """The oldest name is forgotten when there are too many."""
    throttle = Throttle(free=1, per_minute=10**6)
    for index in range(MAX_KEYS + 1):
        throttle.start(f"name{index}", 0)
    assert throttle.start("name0", 0) == 0
    assert throttle.start(f"name{MAX_KEYS}", 0) > 0
