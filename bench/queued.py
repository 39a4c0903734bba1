"""What the deliverer's memory is with so many rows queued; a process of its own, so that filling the queue leaves no trace.

python -m bench.queued DATABASE-URL RECEIVER: delivers for a while, then prints its largest resident size in megabytes.
"""

import asyncio
import sys

from bench.deliveries import hook_to, left, make_deliverer
from bench.measure import most_mb
from gateway.database import open_database

DELIVERED = 2000


async def deliver(database: str, url: str) -> float:
    """Megabytes after so many deliveries."""
    engine = open_database(database)
    until = left(engine, "hook") - DELIVERED
    deliverer = make_deliverer(engine, hook_to("hook", url))
    await deliverer.start()
    while await asyncio.to_thread(left, engine, "hook") > until:
        await asyncio.sleep(0.1)
    await deliverer.stop(1)
    return most_mb()


if __name__ == "__main__":
    print(asyncio.run(deliver(*sys.argv[1:])))
