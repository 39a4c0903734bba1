"""About how many visitors a month had: as exact as it says, whoever wrote it down and how often, and holding nobody."""

import math
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

from gateway.analytics.month_sketch import (
    REGISTERS,
    STANDARD_ERROR,
    MonthSketches,
    estimate,
    estimate_month,
    prune_months,
    put,
    unite,
)
from gateway.database import MONTH_SKETCHES, prepare_database, reading, transaction
from gateway.front import NOWHERE

SIZES = [(1, 9), (12, 60), (100, 60), (1_000, 60), (4_000, 20), (10_000, 20), (16_000, 20), (60_000, 8), (200_000, 4)]
keys = st.lists(st.integers(0, 2**64 - 1), max_size=60)


def sketch_of(*found: int) -> bytearray:
    """A sketch that these keys were put into, in this order."""
    sketch = bytearray(REGISTERS)
    for key in found:
        put(sketch, key)
    return sketch


def kept(engine: Engine) -> dict[tuple[str, str], bytes]:
    """What the database has, by site and month."""
    with reading(engine) as connection:
        return {(row.site, row.month): bytes(row.registers) for row in connection.execute(select(MONTH_SKETCHES))}


@pytest.mark.parametrize(("size", "rounds"), SIZES)
def test_estimates_are_as_far_from_exact_counts_as_is_stated(size: int, rounds: int) -> None:
    """At every size, where few registers are set and where all are: no bias, the spread at most as stated, and no estimate
    further off than five times that (of few visitors: by more than one of them)."""
    chance = random.Random(size)
    counts = [estimate(sketch_of(*(chance.getrandbits(64) for _ in range(size)))) for _ in range(rounds)]
    offs = [(count - size) / size for count in counts]
    assert abs(sum(offs)) / rounds < 3 * STANDARD_ERROR / math.sqrt(rounds)
    assert math.sqrt(sum(off * off for off in offs) / rounds) < 1.5 * STANDARD_ERROR
    assert all(abs(count - size) < max(1.1, 5 * STANDARD_ERROR * size) for count in counts)


@settings(max_examples=60)
@given(keys, keys, st.randoms())
def test_a_union_counts_everybody_once(one: list[int], other: list[int], chance: random.Random) -> None:
    """In whatever order and however often: the union of two sketches is the sketch of all of their visitors."""
    both = [*one, *other, *one]
    chance.shuffle(both)
    united = unite(sketch_of(*one), sketch_of(*other))
    assert united == sketch_of(*both) == unite(united, sketch_of(*other))


def test_workers_write_down_together_what_each_has_seen(engine: Engine) -> None:
    """Six workers at once, each with visitors of its own and some of the others': none of them gets lost, nobody counts
    twice, and a worker that starts again adds nothing by seeing them again."""
    people = [random.Random(number).getrandbits(64) for number in range(600)]
    barrier = threading.Barrier(6)

    def work(number: int) -> None:
        sketches = MonthSketches()
        for key in people[number * 80 : number * 80 + 200]:
            sketches.add("main", "2026-11", key)
        barrier.wait()
        sketches.write(engine)

    for _ in range(2):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert kept(engine) == {("main", "2026-11"): bytes(sketch_of(*people))}
    assert estimate_month(engine, "main", "2026-11") == pytest.approx(600, rel=5 * STANDARD_ERROR)
    assert estimate_month(engine, "main", "2026-10") is None is estimate_month(engine, "shop", "2026-11")


def test_what_cannot_be_written_waits(engine: Engine) -> None:
    """A database that takes nothing loses nobody: those seen before and since are written the next time, and only then."""
    sketches = MonthSketches()
    sketches.add("main", "2026-11", 1 << 60)
    sketches.add("shop", "2026-10", 7 << 40)
    for key in (2 << 60, 3 << 60):
        with pytest.raises(DBAPIError):
            sketches.write(prepare_database(NOWHERE))
        sketches.add("main", "2026-11", key)
    sketches.write(engine)
    written = kept(engine)
    assert written == {
        ("main", "2026-11"): bytes(sketch_of(1 << 60, 2 << 60, 3 << 60)),
        ("shop", "2026-10"): bytes(sketch_of(7 << 40)),
    }
    sketches.write(engine)
    assert kept(engine) == written


def test_months_that_are_too_old_go(engine: Engine) -> None:
    """Those before the given one, of every site; the others stay."""
    sketches = MonthSketches()
    for month in ("2025-12", "2026-01", "2026-02"):
        sketches.add("main", month, 1)
    sketches.write(engine)
    with transaction(engine) as connection:
        assert prune_months(connection, "2026-01") == 1
    assert [month for _, month in sorted(kept(engine))] == ["2026-01", "2026-02"]
