"""Deliverers that are killed at a commit of theirs: `python -m tests.flows.killed_deliverer DATABASE RECEIVER NAME...`

Each name (`3-before`) is a destination and an owner, with a process of its own, which kills itself as it is about to make its
third commit (`before`), or as soon as it is made (`after`).
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from itertools import count
from typing import Any

from sqlalchemy import Engine

from gateway.database import prepare_database
from gateway.flows.deliver import Deliverer
from tests.destinations.rows import SCOPES, SITE
from tests.flows.scripted import Scripted


def end_at(engine: Engine, name: str) -> None:
    """Have this process killed at that moment."""
    commit, commits = engine.dialect.do_commit, count(1)

    def kill_at(moment: str) -> None:
        if moment == name:
            os.kill(os.getpid(), signal.SIGKILL)

    def do_commit(connection: Any) -> None:
        number = next(commits)
        kill_at(f"{number}-before")
        commit(connection)
        kill_at(f"{number}-after")

    vars(engine.dialect)["do_commit"] = do_commit


def make_deliverer(engine: Engine, receiver: str, name: str) -> Deliverer:
    """For one destination, under an owner's name of its own."""
    return Deliverer(
        engine,
        [Scripted(receiver, name)],
        {SITE: SCOPES},
        owner=name,
        clock=time.time,
        chance=random.random,
        subject_key=b"k" * 32,
    )


async def deliver(engine: Engine, receiver: str, name: str) -> None:
    """Until the end, which comes before that of the wait."""
    await make_deliverer(engine, receiver, name).start()
    await asyncio.sleep(30)


def main(database: str, receiver: str, names: Sequence[str]) -> None:
    """Print how each process ended, in the order of the names."""
    children = []
    for name in names:
        child = os.fork()
        if child == 0:
            engine = prepare_database(database)
            end_at(engine, name)
            asyncio.run(deliver(engine, receiver, name))
            os._exit(0)
        children.append(child)
    print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
