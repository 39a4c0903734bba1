"""Runs short pieces of database work in threads; what waits while a commit is under way is committed together.

Pieces of one kind (all starts of a destination, all its endings) are handed over as one list, so that a few
statements do for many deliveries. On SQLite, which lets one writer in at a time and waits for the disk with each
commit, all kinds share one transaction: under load one commit carries the starts and settlements of many
deliveries, and the visitors' own choices find the file free more often. PostgreSQL commits concurrently by
itself; there each kind has transactions of its own, since its locks are taken in one order within each.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine

from gateway.database import is_sqlite, transaction

T = TypeVar("T")
Item = TypeVar("Item")
Work = Callable[[Connection], Any]
Many = Callable[[Connection, Sequence[Any]], Sequence[Any]]


class Piece:
    """One piece of work: its kind, what it is about, and who waits for it."""

    def __init__(self, many: Many, item: object) -> None:
        self.many, self.item = many, item
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class GroupCommit:
    """Belongs to one event loop. `run` and `join` return once the work is committed."""

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
        return cast(T, await self._hand_over(Piece(many, work)))

    async def join(self, many: Callable[[Connection, Sequence[Item]], Sequence[T]], item: Item) -> T:
        """Do this together with all that waits for the same function; returns what it gives for this item."""
        return cast(T, await self._hand_over(Piece(many, item)))

    async def _hand_over(self, piece: Piece) -> Any:
        self._waiting.append(piece)
        if not (self._busy if self._together else piece.many in self._busy):
            key = None if self._together else piece.many
            self._busy.add(piece.many)
            self._workers.add(asyncio.create_task(self._work(key, piece.many)))
        return await piece.future

    async def finish(self) -> None:
        """Wait until all work handed over is done."""
        while self._workers:
            await asyncio.wait(self._workers)
        self._let_go()

    async def _work(self, key: Many | None, mark: Many) -> None:
        while batch := self._take(key):
            try:
                results = await asyncio.to_thread(self._commit, batch)
            except Exception as error:  # a door: whoever waits for the work hears of it
                self._fail(batch, error)
            else:
                self._answer(batch, results)
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

    @staticmethod
    def _answer(batch: list[Piece], results: list[Any]) -> None:
        for piece, result in zip(batch, results, strict=True):
            if not piece.future.done():
                piece.future.set_result(result)

    @staticmethod
    def _fail(batch: list[Piece], error: Exception) -> None:
        for piece in batch:
            if not piece.future.done():
                piece.future.set_exception(error)


def _run(connection: Connection, batch: Sequence[Piece]) -> list[Any]:
    results: list[Any] = []
    for many, pieces in groupby(batch, key=lambda piece: piece.many):
        results += many(connection, [piece.item for piece in pieces])
    return results


def _each(connection: Connection, works: Sequence[Work]) -> list[Any]:
    return [work(connection) for work in works]
