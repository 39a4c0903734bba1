"""Runs short pieces of database work in threads; on SQLite, those that wait are committed together.

SQLite lets one writer in at a time and each commit waits for the disk. Under load one commit then carries
the starts and settlements of many deliveries, and the visitors' own choices find the file free more often.
PostgreSQL commits concurrently by itself, and a transaction that holds one row only cannot deadlock, so
there each piece has its own.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from gateway.database import is_sqlite, transaction

T = TypeVar("T")
Work = Callable[[Connection], Any]


class GroupCommit:
    """Belongs to one event loop. `run` returns once the work is committed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._together = is_sqlite(engine)
        self._waiting: list[tuple[Work, asyncio.Future[Any]]] = []
        self._workers: set[asyncio.Task[None]] = set()

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do this work in a transaction and return its result. When one piece raises, all committed with it
        do.

        The caller may be cancelled meanwhile; work that has begun is finished all the same.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, future))
        if not (self._together and self._workers):
            self._workers.add(asyncio.create_task(self._work()))
        return await future

    async def finish(self) -> None:
        """Wait until all work handed over is done."""
        while self._workers:
            await asyncio.wait(self._workers)

    async def _work(self) -> None:
        while batch := self._take():
            try:
                results = await asyncio.to_thread(self._commit, [work for work, _ in batch])
            except Exception as error:  # a door: whoever waits for the work hears of it
                self._fail(batch, error)
            else:
                self._answer(batch, results)
        # Here, not in a callback: work that came before the callback would wait for a worker that has gone.
        task = asyncio.current_task()
        assert task is not None
        self._workers.discard(task)

    def _take(self) -> list[tuple[Work, asyncio.Future[Any]]]:
        count = len(self._waiting) if self._together else 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    def _commit(self, batch: Sequence[Work]) -> list[Any]:
        with transaction(self._engine) as connection:
            return [work(connection) for work in batch]

    @staticmethod
    def _answer(batch: list[tuple[Work, asyncio.Future[Any]]], results: list[Any]) -> None:
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)

    @staticmethod
    def _fail(batch: list[tuple[Work, asyncio.Future[Any]]], error: Exception) -> None:
        for _, future in batch:
            if not future.done():
                future.set_exception(error)
