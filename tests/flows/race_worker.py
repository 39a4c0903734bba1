"""A keeper's deliverer in a process of its own: `python -m tests.flows.race_worker DATABASE RECEIVER OWNER`."""

import asyncio
import random
import signal
import sys
import time
from typing import ClassVar

from gateway.database import open_database
from gateway.destinations.base import Telling
from gateway.flows.deliver import Deliverer
from tests.destinations.rows import SCOPES, SITE
from tests.flows.scripted import Scripted


class Mixed(Scripted):
    """Events of several people in one request."""

    mixed: ClassVar[bool] = True

    def key_of(self, telling: Telling) -> str:
        """All go together."""
        return ""


async def main(database: str, receiver: str, owner: str) -> None:
    """Deliver until told to stop."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    kinds = [Scripted(receiver, "hook"), Mixed(receiver, "mixed")]
    deliverer = Deliverer(
        open_database(database),
        kinds,
        {SITE: SCOPES},
        owner=owner,
        clock=time.time,
        chance=random.random,
        subject_key=b"k" * 32,
        concurrency=4,
    )
    await deliverer.start()
    print("at work", flush=True)
    while not stopping.is_set():
        deliverer.wake()
        try:
            async with asyncio.timeout(0.05):
                await stopping.wait()
        except TimeoutError:
            continue
    await deliverer.stop(5)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
