"""Group commit: each piece of work is committed before its caller goes on, and none is lost or left waiting."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy import Connection, Engine, func, insert, select

from gateway.database import SALTS, is_sqlite, reading
from gateway.destinations.group_commit import GroupCommit


def put(day: int) -> Callable[[Connection], int]:
    """Work that writes one row and returns its number."""

    def work(connection: Connection) -> int:
        connection.execute(insert(SALTS).values(site="main", day=str(day), salt=b"x"))
        return day

    return work


def fail(connection: Connection) -> int:
    """Work that raises after writing."""
    put(-1)(connection)
    raise KeyError("nothing")


def count(engine: Engine) -> int:
    """Rows that are committed."""
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(SALTS)).scalar_one()


def test_results_come_back_to_their_callers(engine: Engine) -> None:
    """Many at once each get their own result, and all is committed when they have it."""

    async def run() -> list[int]:
        commits = GroupCommit(engine)
        return list(await asyncio.gather(*(commits.run(put(day)) for day in range(50))))

    assert asyncio.run(run()) == list(range(50))
    assert count(engine) == 50


def test_one_after_the_other_never_waits_for_a_worker_that_has_gone(engine: Engine) -> None:
    """Work that comes just as the worker ends is taken up all the same."""

    async def run() -> None:
        commits = GroupCommit(engine)

        async def chain(first: int) -> None:
            for day in range(first, first + 20):
                await commits.run(put(day))

        await asyncio.wait_for(asyncio.gather(chain(0), chain(100), chain(200)), 30)

    asyncio.run(run())
    assert count(engine) == 60


def test_a_failure_is_told_and_undone(engine: Engine) -> None:
    """Who hands in failing work gets the error; nothing of that commit stays; later work goes on."""

    async def run() -> None:
        commits = GroupCommit(engine)
        with pytest.raises(KeyError):
            await commits.run(fail)
        assert await commits.run(put(1)) == 1

    asyncio.run(run())
    assert count(engine) == 1


def test_sqlite_commits_together(engine: Engine) -> None:
    """On SQLite those that wait fail together, since they share a commit; on PostgreSQL each is alone."""

    async def run() -> int:
        commits, under_way, others_wait = GroupCommit(engine), threading.Event(), threading.Event()

        def put_first(connection: Connection) -> int:
            under_way.set()
            others_wait.wait(20)
            return put(0)(connection)

        first = asyncio.create_task(commits.run(put_first))
        await asyncio.to_thread(under_way.wait, 20)
        rest = [asyncio.create_task(commits.run(work)) for work in (put(1), fail, put(2))]
        await asyncio.sleep(0)  # all three are handed over
        others_wait.set()
        results = await asyncio.gather(first, *rest, return_exceptions=True)
        return sum(isinstance(result, KeyError) for result in results)

    assert asyncio.run(run()) == (3 if is_sqlite(engine) else 1)
    assert count(engine) == (1 if is_sqlite(engine) else 3)


def test_what_comes_during_a_commit_shares_the_next_which_waits_for_nobody(engine: Engine) -> None:
    """Work handed over in several turns of the loop while a commit is under way goes into one; that one begins before whoever
    waits for the first is told, and keeps the loop busy."""
    kept: list[list[int]] = []
    told: list[int] = []
    under_way, others_wait, second = threading.Event(), threading.Event(), threading.Event()

    def put_all(connection: Connection, days: Sequence[int]) -> list[int]:
        kept.append(list(days))
        (second if under_way.is_set() else under_way).set()
        others_wait.wait(20)
        return [put(day)(connection) for day in days]

    def tell(result: int, error: Exception | None) -> None:
        told.append(result if second.wait(20) else -1)  # the loop stands still meanwhile

    async def run() -> None:
        commits = GroupCommit(engine)
        commits.hand_over(put_all, 0, tell)
        await asyncio.to_thread(under_way.wait, 20)
        for day in range(1, 5):
            commits.hand_over(put_all, day, tell)
            await asyncio.sleep(0)
        others_wait.set()
        await commits.finish()

    asyncio.run(run())
    assert kept == [[0], [1, 2, 3, 4]]
    assert told == [0, 1, 2, 3, 4]
    assert count(engine) == 5


def test_finish_waits_for_work_whose_caller_was_cancelled(engine: Engine) -> None:
    """A cancelled caller leaves; what it handed in is committed before `finish` returns."""

    async def run() -> None:
        commits = GroupCommit(engine)
        callers = [asyncio.create_task(commits.run(put(day))) for day in range(5)]
        await asyncio.sleep(0)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        await commits.finish()

    asyncio.run(run())
    assert count(engine) == 5


def test_the_connection_that_is_kept_goes_with_a_failure_and_at_the_end(engine: Engine) -> None:
    """Work goes on after a failure with a connection that knows nothing of it; after `finish` none is held."""
    before = engine.pool.checkedout()  # type: ignore[attr-defined]

    async def run() -> None:
        commits = GroupCommit(engine)
        await commits.run(put(0))
        with pytest.raises(KeyError):
            await commits.run(fail)
        await commits.run(put(1))
        await commits.finish()

    asyncio.run(run())
    assert count(engine) == 2
    assert engine.pool.checkedout() == before  # type: ignore[attr-defined]
