"""Runs short pieces of database work in threads; what waits while a commit is under way is committed together.

Pieces of one kind (all starts of a destination, all its endings) are handed over as one list, so that a few
statements do for many deliveries. On SQLite, which lets one writer in at a time and waits for the disk with each
commit, all kinds share one transaction: under load one commit carries the starts and settlements of many
deliveries, and the visitors' own choices find the file free more often. PostgreSQL commits concurrently by
itself; there each kind has transactions of its own, since its locks are taken in one order within each.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple, TypeVar, cast

from sqlalchemy import Connection, Engine

from gateway.database import is_sqlite, transaction

T = TypeVar("T")
Item = TypeVar("Item")
Work = Callable[[Connection], Any]
Many = Callable[[Connection, Sequence[Any]], Sequence[Any]]


class Piece(NamedTuple):
    """One piece of work: its kind, what it is about, and whom to tell its result, or what went wrong."""

    many: Many
    item: Any
    told: Callable[[Any, Exception | None], None]


class GroupCommit:
    """Belongs to one event loop. `run` and `join` return once the work is committed; `hand_over` tells of it then."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._together = is_sqlite(engine)
        self._waiting: list[Piece] = []
        self._workers: set[asyncio.Task[None]] = set()
        self._busy: set[Many] = set()
        self._kept: Connection | None = None  # on SQLite, where one transaction is open at a time

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do this work in a transaction and return its result. When one piece raises, all committed with it
        do.

        The caller may be cancelled meanwhile; work that has begun is finished all the same.
        """
        # On PostgreSQL nothing is shared with others: the work itself is its kind.
        many: Many = _each if self._together else lambda connection, works: _each(connection, works)
        return cast(T, await self.join(many, work))

    async def join(self, many: Callable[[Connection, Sequence[Item]], Sequence[T]], item: Item) -> T:
        """Do this together with all that waits for the same function; returns what it gives for this item."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.hand_over(many, item, partial(_tell, future))
        return await future

    def hand_over(self, many: Many, item: Any, told: Callable[[Any, Exception | None], None]) -> None:
        """The same for who need not wait: `told` is called in the loop, with the result or with what went wrong."""
        self._waiting.append(Piece(many, item, told))
        if not (self._busy if self._together else many in self._busy):
            key = None if self._together else many
            self._busy.add(many)
            self._workers.add(asyncio.create_task(self._work(key, many)))

    async def finish(self) -> None:
        """Wait until all work handed over is done."""
        while self._workers:
            await asyncio.wait(self._workers)
        self._let_go()

    async def _work(self, key: Many | None, mark: Many) -> None:
        loop, tell = asyncio.get_running_loop(), _tell_nobody
        await asyncio.sleep(0)  # what else this turn of the loop brings goes along
        batch = self._take(key)
        while batch:
            commit = loop.run_in_executor(None, self._commit, batch)
            tell()  # only now: what those do who are told keeps the loop busy, and the database works meanwhile
            tell = partial(_tell_all, batch, *await _outcome(commit))
            batch = self._take(key)
            if not batch:
                tell()
                tell = _tell_nobody
                await asyncio.sleep(0)
                batch = self._take(key)
        # Here, not in a callback: work that came before the callback would wait for a worker that has gone.
        self._busy.discard(mark)
        task = asyncio.current_task()
        assert task is not None
        self._workers.discard(task)

    def _take(self, key: Many | None) -> list[Piece]:
        batch = [piece for piece in self._waiting if key is None or piece.many == key]
        self._waiting = [piece for piece in self._waiting if not (key is None or piece.many == key)]
        # Kinds in the order in which they came first; within a kind, the order of arrival.
        order = {many: place for place, many in enumerate(dict.fromkeys(piece.many for piece in batch))}
        return sorted(batch, key=lambda piece: order[piece.many])

    def _commit(self, batch: Sequence[Piece]) -> list[Any]:
        if not self._together:
            with transaction(self._engine) as connection:
                return _run(connection, batch)
        try:
            self._kept = self._kept or self._engine.connect()
            with self._kept.begin():
                return _run(self._kept, batch)
        except BaseException:
            self._let_go()
            raise

    def _let_go(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None


def _tell(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    """To who waits, unless cancelled meanwhile."""
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


async def _outcome(commit: Awaitable[list[Any]]) -> tuple[list[Any], Exception | None]:
    """What each piece gives, or what went wrong for all of them."""
    try:
        return await commit, None
    except Exception as error:  # a door: whoever waits for the work hears of it
        return [], error


def _tell_all(batch: Sequence[Piece], results: Sequence[Any], error: Exception | None) -> None:
    for place, piece in enumerate(batch):
        piece.told(None if error else results[place], error)


def _tell_nobody() -> None:
    """Nothing has been committed that somebody waits for."""


def _run(connection: Connection, batch: Sequence[Piece]) -> list[Any]:
    results: list[Any] = []
    for many, pieces in groupby(batch, key=lambda piece: piece.many):
        results += many(connection, [piece.item for piece in pieces])
    return results


def _each(connection: Connection, works: Sequence[Work]) -> list[Any]:
    return [work(connection) for work in works]
