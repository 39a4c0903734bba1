"""About how many different visitors a site's calendar month had: HyperLogLog sketches, which hold nobody.

A visitor's key of the month (see visitor.py) is 64 bit: the first 12 choose one of 4096 registers, which keeps the highest
rank that it has seen, the number of zeros before the first one in the remaining bits, plus one. Whoever comes again changes
nothing, on whatever day and at whatever worker, so sketches are united by taking the higher of each register, in any order
and as often as one likes. The estimate is Ertl's ("New cardinality estimation algorithms for HyperLogLog sketches", 2017,
algorithm 6): without bias from the first visitor on, and without tables.
"""

import math
import threading
from collections import Counter
from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, Engine, delete, select, update

from gateway.database import MONTH_SKETCHES, insert_into, reading, transaction

INDEX_BITS = 12
REGISTERS = 1 << INDEX_BITS
RANK_BITS = 64 - INDEX_BITS
STANDARD_ERROR = 1.04 / math.sqrt(REGISTERS)  # 0.016, as a share of the estimate
M = MONTH_SKETCHES.c
Name = tuple[str, str]  # site and month, `2026-11`


class MonthVisitors(msgspec.Struct, frozen=True):
    """About how many different visitors a calendar month (`2026-11`, the site's own) has had, each once; None where they are
    too few to tell. `standard_error` is a share of the estimate: two times in three it is no further off."""

    month: str
    visitors: int | None
    standard_error: float


class MonthSketches:
    """What one worker has seen since it last wrote: a sketch for each site and month. Methods may be called from any thread."""

    def __init__(self) -> None:
        self._sketches: dict[Name, bytearray] = {}
        self._lock = threading.Lock()

    def add(self, site: str, month: str, key: int) -> None:
        """Take in a visitor by their key of the month, 64 bit, unsigned; the key is not kept."""
        with self._lock:
            sketch = self._sketches.get((site, month))
            if sketch is None:
                sketch = self._sketches[(site, month)] = bytearray(REGISTERS)
            put(sketch, key)

    def write(self, engine: Engine) -> None:
        """Unite what was seen with what the database has. What it does not take waits for the next time; raises what the
        database raises."""
        with self._lock:
            waiting, self._sketches = self._sketches, {}
        try:
            for name in list(waiting):
                with transaction(engine) as connection:
                    _unite_kept(connection, name, waiting[name])
                del waiting[name]
        finally:
            self._put_back(waiting)

    def _put_back(self, waiting: dict[Name, bytearray]) -> None:
        with self._lock:
            for name, sketch in waiting.items():
                self._sketches[name] = unite(sketch, self._sketches.get(name, sketch))


def put(sketch: bytearray, key: int) -> None:
    """Let a 64-bit key raise its register."""
    index, rest = key >> RANK_BITS, key & ((1 << RANK_BITS) - 1)
    sketch[index] = max(sketch[index], RANK_BITS - rest.bit_length() + 1)


def unite(one: Sequence[int], other: Sequence[int]) -> bytearray:
    """The sketch of all who are in either."""
    return bytearray(map(max, one, other))


def estimate(sketch: Sequence[int]) -> float:
    """About how many keys were put into a sketch of REGISTERS ranks; right to STANDARD_ERROR."""
    counts = Counter(sketch)
    if counts[0] == REGISTERS:
        return 0.0
    sum_ = REGISTERS * _tau(1 - counts[RANK_BITS + 1] / REGISTERS)
    for rank in range(RANK_BITS, 0, -1):
        sum_ = (sum_ + counts[rank]) / 2
    return REGISTERS * REGISTERS / (2 * math.log(2) * (sum_ + REGISTERS * _sigma(counts[0] / REGISTERS)))


def _sigma(x: float) -> float:
    """x + the sum of x^(2^k) * 2^(k-1) over k from 1: what empty registers tell; for x below 1."""
    sum_, before, factor = x, -1.0, 1.0
    while sum_ != before:
        x *= x
        before, sum_ = sum_, sum_ + x * factor
        factor *= 2
    return sum_


def _tau(x: float) -> float:
    """(1 - x - the sum of (1 - x^(2^-k))^2 * 2^-k over k from 1) / 3: what full registers tell."""
    if x in (0.0, 1.0):
        return 0.0
    sum_, before, factor = 1 - x, -1.0, 1.0
    while sum_ != before:
        x = math.sqrt(x)
        factor /= 2
        before, sum_ = sum_, sum_ - (1 - x) ** 2 * factor
    return sum_ / 3


def estimate_month(engine: Engine, site: str, month: str) -> float | None:
    """About how many visitors a site's month had, as far as workers have written it down; None where nobody was counted."""
    with reading(engine) as connection:
        kept = connection.execute(select(M.registers).where(M.site == site, M.month == month)).scalar()
    return None if kept is None else estimate(kept)


def prune_months(connection: Connection, before: str) -> int:
    """Drop the sketches of months before this one; returns how many."""
    return connection.execute(delete(MONTH_SKETCHES).where(M.month < before)).rowcount


def _unite_kept(connection: Connection, name: Name, sketch: bytearray) -> None:
    """The row is there and locked before it is read, so that no worker's registers get lost to another's."""
    site, month = name
    row = {"site": site, "month": month, "registers": bytes(REGISTERS)}
    connection.execute(insert_into(connection, MONTH_SKETCHES).values(row).on_conflict_do_nothing())
    theirs = (M.site == site) & (M.month == month)
    kept = bytes(connection.execute(select(M.registers).where(theirs).with_for_update()).scalar_one())
    both = bytes(unite(kept, sketch))
    if both != kept:
        connection.execute(update(MONTH_SKETCHES).where(theirs).values(registers=both))
