"""Deliveries against the bare client, a withdrawal with a full queue, memory, and a slow destination beside a quick one."""

import asyncio
import base64
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import msgspec
from sqlalchemy import Engine, bindparam, delete, func, or_, select

from bench.measure import server
from bench.servers import decided
from bench.table import Line, at_least, at_most_megabytes, at_most_ratio
from gateway.config import Config
from gateway.database import CONSENTS, OUTBOX, open_database, reading, transaction
from gateway.destinations.base import Destination, Telling
from gateway.destinations.outbox import OPEN, Delivery, add_deliveries
from gateway.destinations.webhook import Webhook
from gateway.event import Event
from gateway.flows.choose import ACCEPT_ALL, REJECT_ALL, Said, choose
from gateway.flows.deliver import CONCURRENCY, Deliverer
from gateway.garbage import spare_what_stays
from gateway.prepared import Prepared
from gateway.settings import DestinationConfig

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
ROWS = int(os.environ.get("BENCH_ROWS", "8000"))  # a second or two, beside which the start counts for little
QUICK_ROWS, TAIL_ROUNDS = 300, 5
QUEUED = 1000
MEMORY_ROWS, ROWS_AT_ONCE, OWNERS = int(os.environ.get("BENCH_QUEUED", "1000000")), 20_000, 1000
SITE, PURPOSE, SCOPE = "main", "marketing", "s" * 12
SECRET = "whsec_" + base64.b64encode(bytes(range(40))).decode()
_any_open = Prepared(
    select(OUTBOX.c.id)
    .where(OUTBOX.c.destination == bindparam("destination"), or_(*(OUTBOX.c.state == state for state in OPEN)))
    .limit(1)
)


def run(folder: Path) -> list[Line]:
    """All of them."""
    with server("hook_sink", folder) as (port, _):
        rates = asyncio.run(_rates(folder, f"http://127.0.0.1:{port}"))
        little, much = _memories(folder, f"http://127.0.0.1:{port}/")
        tails = asyncio.run(_tails(folder, f"http://127.0.0.1:{port}"))
    empty, full = _withdrawals(folder)
    quiet, beside = (statistics.median(column) for column in zip(*tails, strict=True))
    delivered, bare = (statistics.median(column) for column in zip(*rates, strict=True))
    return [
        at_least(
            f"deliveries, {CONCURRENCY} at once, each with its consent check and its row", delivered, bare, 0.4,
            f"{delivered:,.0f}/s", f"{bare:,.0f}/s, the bare client",
        ),
        at_most_ratio("acknowledging a withdrawal with 1,000 queued", full, empty, 3),
        at_most_megabytes(f"memory of the deliverer with {MEMORY_ROWS:,} rows queued", much, little, 1.1),
        at_most_ratio("99th percentile beside a destination that takes 10 s", beside, quiet, 1.2),
    ]  # fmt: skip


def hook_to(name: str, url: str) -> Webhook:
    """A webhook to the bench's receiver."""
    config = DestinationConfig(
        name=name, kind="webhook", url=url, secret="env:X", purposes=(PURPOSE,), allow_private=True, timeout_seconds=15
    )
    return Webhook(config, SECRET)


def _event(now: float) -> Event:
    return Event(now, SITE, "page_view", "/artikelen/betalen", 7, "visit", now, "view", topic="betalen", country="NL")


def _fill(engine: Engine, name: str, count: int, now: float, consents: Sequence[str] = ()) -> None:
    """Queue deliveries, each of a visitor of its own unless told whose."""
    owners = consents or [f"{name}-{number}-{now:.6f}"[:32] for number in range(count)]
    rows = [
        Delivery(f"{name}-{number}-{now:.6f}", name, SITE, owners[number % len(owners)], 1,
                 msgspec.json.encode(_event(now)), now, now + 3600)
        for number in range(count)
    ]  # fmt: skip
    if not consents:
        _consent(engine, owners, now)
    with transaction(engine) as connection:
        add_deliveries(connection, rows, now)


def _consent(engine: Engine, owners: Sequence[str], now: float) -> Sequence[str]:
    """Visitors who agreed."""
    grants = msgspec.json.encode({PURPOSE: (SCOPE, 1)}).decode()
    values = {"site": SITE, "revision": 1, "grants": grants, "changed_at": now}
    with transaction(engine) as connection:
        connection.execute(CONSENTS.insert(), [{"consent_id": owner, **values} for owner in owners])
    return owners


def make_deliverer(engine: Engine, *destinations: Destination) -> Deliverer:
    """For the bench's one site, with the product's own concurrency."""
    return Deliverer(
        engine, destinations, {SITE: {PURPOSE: SCOPE}}, owner="bench", clock=time.time, chance=random.random,
        subject_key=b"k" * 32,
    )  # fmt: skip


def is_done(engine: Engine, name: str) -> bool:
    """Whether all of a destination's rows have ended; asked often, so it must not cost what it waits for."""
    with reading(engine) as connection:
        return not _any_open.find(connection, {"destination": name})


def left(engine: Engine, name: str) -> int:
    """How many of a destination's rows have not ended."""
    with reading(engine) as connection:
        open_rows = OUTBOX.c.destination == name, OUTBOX.c.state.in_(OPEN)  # by its index: looking must not cost much
        return connection.execute(select(func.count()).select_from(OUTBOX).where(*open_rows)).scalar_one()


async def _rates(folder: Path, url: str) -> list[tuple[float, float]]:
    """Deliveries and bare posts of the same bodies each second, in turns."""
    engine = open_database(f"sqlite:///{folder}/outbox.db")
    spare_what_stays()  # as the keeper does
    found = []
    for _ in range(ROUNDS):
        _fill(engine, "hook", ROWS, time.time())
        hook = hook_to("hook", f"{url}/")
        deliverer = make_deliverer(engine, hook)
        began = time.perf_counter()
        await deliverer.start()
        while not await asyncio.to_thread(is_done, engine, "hook"):
            await asyncio.sleep(0.02)
        rate = ROWS / (time.perf_counter() - began)
        await deliverer.stop()
        found.append((rate, await _bare(hook)))
    return found


async def _bare(hook: Webhook) -> float:
    now = time.time()
    request = hook.build([Telling("bare", _event(now), "")], now)
    numbers = iter(range(ROWS))

    async def post(session: aiohttp.ClientSession) -> None:
        for _ in numbers:
            async with session.post(request.url, data=request.body, headers=request.headers) as response:
                await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session:
        began = time.perf_counter()
        await asyncio.gather(*(post(session) for _ in range(CONCURRENCY)))
        return ROWS / (time.perf_counter() - began)


async def _tails(folder: Path, url: str) -> list[tuple[float, float]]:
    """The quick destination's 99th percentile from queued to settled, alone and beside a slow one, in turns."""
    engine = open_database(f"sqlite:///{folder}/tails.db")
    return [(await _tail(engine, url, slow=False), await _tail(engine, url, slow=True)) for _ in range(TAIL_ROUNDS)]


async def _tail(engine: Engine, url: str, *, slow: bool) -> float:
    with transaction(engine) as connection:
        connection.execute(delete(OUTBOX))
    if slow:
        _fill(engine, "slow", 200, time.time())
    deliverer = make_deliverer(engine, hook_to("quick", f"{url}/"), *([hook_to("slow", f"{url}/slow")] if slow else []))
    await deliverer.start()
    await asyncio.sleep(1)  # the slow one's places are taken
    for _ in range(QUICK_ROWS):
        await asyncio.to_thread(_fill, engine, "quick", 1, time.time())
        deliverer.wake()
        await asyncio.sleep(0.01)
    while not await asyncio.to_thread(is_done, engine, "quick"):
        await asyncio.sleep(0.02)
    await deliverer.stop(0)
    with reading(engine) as connection:
        times = select(OUTBOX.c.settled_at - OUTBOX.c.recorded_at).where(OUTBOX.c.destination == "quick")
        return float(sorted(connection.execute(times).scalars())[int(QUICK_ROWS * 0.99)])


def _memories(folder: Path, url: str) -> tuple[float, float]:
    """Megabytes of a deliverer with few rows queued, and with a million."""
    found = []
    for rows in (ROWS_AT_ONCE, MEMORY_ROWS):
        database = f"sqlite:///{folder}/queued-{rows}.db"
        engine = open_database(database)
        owners = _consent(engine, [f"owner-{number}" for number in range(OWNERS)], time.time())
        for _ in range(0, rows, ROWS_AT_ONCE):
            _fill(engine, "hook", ROWS_AT_ONCE, time.time(), owners)
        engine.dispose()
        ran = subprocess.run(
            [sys.executable, "-m", "bench.queued", database, url], capture_output=True, text=True, check=True
        )
        found.append(float(ran.stdout))
    return found[0], found[1]


def _withdrawals(folder: Path) -> tuple[float, float]:
    """Seconds for a withdrawal to be acknowledged, with nothing queued and with a thousand."""
    config: Config = decided(folder, 1)[0]
    hook = hook_to("hook", "http://127.0.0.1/")
    config = msgspec.structs.replace(config, destinations=(hook.config,))
    engine = open_database(config.database_url)
    found: dict[int, list[float]] = {0: [], QUEUED: []}
    for _ in range(ROUNDS * 4):
        for count, times in found.items():
            now = time.time()
            site = config.sites[0]
            chosen = choose(Said(ACCEPT_ALL, frozenset(), "nl", "banner"), None, site, config, engine, now)
            if count:
                _fill(engine, "hook", count, now, [chosen.choice.consent_id])
            began = time.perf_counter()
            choose(Said(REJECT_ALL, frozenset(), "nl", "banner"), chosen.choice, site, config, engine, now)
            times.append(time.perf_counter() - began)
    return statistics.median(found[0]), statistics.median(found[QUEUED])
