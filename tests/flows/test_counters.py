"""Counters add up, know no visitor, and cannot be made to fill the memory."""

import threading

from gateway.event import Counted
from gateway.flows.counters import MAX_GROUPS, MAX_KEYS, MAX_LENGTH, OTHER, Counters

HOUR = 3600 * 500_000


def test_counts_add_up_per_site_and_hour() -> None:
    """Equal things of one hour are one row; another hour, site, kind, name or detail is another."""
    counters = Counters()
    for at, site, detail in [(0.0, "main", ""), (3599.9, "main", ""), (3600.0, "main", ""), (0.0, "shop", "x")]:
        counters.add(HOUR + at, site, "held", "evil.example", detail)
    counters.add(HOUR, "main", "shown", "nl", count=3)
    assert counters.take() == [
        Counted("main", HOUR, [("held", "evil.example", "", 2), ("shown", "nl", "", 3)]),
        Counted("main", HOUR + 3600, [("held", "evil.example", "", 1)]),
        Counted("shop", HOUR, [("held", "evil.example", "x", 1)]),
    ]


def test_what_was_taken_is_not_taken_again() -> None:
    """Each count is handed over once."""
    counters = Counters()
    counters.add(HOUR, "main", "shown", "nl")
    assert len(counters.take()) == 1
    assert counters.take() == []


def test_invented_names_do_not_fill_the_memory() -> None:
    """Of names without end only so many are kept, long ones cut; the rest is counted together, and nothing is lost."""
    counters = Counters()
    for number in range(MAX_KEYS + 500):
        counters.add(HOUR, "main", "held", f"host{number}.example" + "x" * 10 * (number % 40), "y" * 500)
    (counted,) = counters.take()
    assert len(counted.rows) <= MAX_KEYS + 1
    assert max(len(name) + len(detail) for _, name, detail, _ in counted.rows) <= 2 * MAX_LENGTH
    assert sum(count for *_, count in counted.rows) == MAX_KEYS + 500
    assert {name: count for _, name, _, count in counted.rows}[OTHER] == 500


def test_threads_lose_no_count() -> None:
    """Counts of many threads add up while another takes them."""
    counters, taken = Counters(), list[Counted]()

    def add() -> None:
        for _ in range(2000):
            counters.add(HOUR, "main", "shown", "nl")

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken += counters.take()
    taken += counters.take()
    assert sum(row[3] for counted in taken for row in counted.rows) == 8000


def test_groups_count_as_their_names_do() -> None:
    """Names counted as one object are told apart when taken, beside those counted singly; equal ones are added up."""
    counters, page = Counters(), (("teller.example", "script analytics"), ("film.example", "iframe marketing"))
    for at in (0.0, 10.0, 3600.0):
        counters.add_group(HOUR + at, "main", "held", page)
    counters.add_group(HOUR, "main", "held", (page[0], page[1]))
    counters.add(HOUR, "main", "held", *page[0])
    assert counters.take() == [
        Counted("main", HOUR, [("held", *page[0], 4), ("held", *page[1], 3)]),
        Counted("main", HOUR + 3600, [("held", *page[0], 1), ("held", *page[1], 1)]),
    ]
    assert counters.take() == []


def test_groups_without_end_do_not_fill_the_memory() -> None:
    """Beyond so many groups their names are counted singly; nothing is lost."""
    counters = Counters()
    for number in range(MAX_GROUPS + 300):
        counters.add_group(HOUR, "main", "held", ((f"host{number % 7}.example", ""),))
    (counted,) = counters.take()
    assert sum(count for *_, count in counted.rows) == MAX_GROUPS + 300
    assert len(counted.rows) == 7
