"""Deliverers that end, by themselves or killed, and what is left to the next one: nothing lost, and nothing told twice without
need."""

import asyncio
import contextlib
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from aiohttp import web
from sqlalchemy import Engine

from gateway.database import transaction
from gateway.destinations.figures import queue_figures
from gateway.destinations.outbox import withdraw
from tests.destinations.rows import SCOPES, SECRET, grant, look, make_config, put_consent, queue
from tests.flows.killed_deliverer import make_deliverer as make_owner
from tests.flows.scripted import Desk, at_desk
from tests.flows.test_deliver import (
    delivering,
    fill,
    fresh,
    hook,
    make_deliverer,
    run,
    settled,
    short_rests,
    states,
    until,
)
from tests.flows.test_lanes import EachAlone, fill_one
from tests.flows.test_withdrawal_races import Watcher, watcher
from tests.receiver import Received, Receiver, receiving

__all__ = ["short_rests", "watcher"]
pytestmark = pytest.mark.slow
RELEASE, LEASE, START, SETTLE = range(1, 5)  # the commits of a delivery, in their order
MOMENTS = [f"{commit}-{moment}" for commit in (RELEASE, LEASE, START, SETTLE) for moment in ("before", "after")]


def test_killed_at_each_commit_of_a_delivery(engine: Engine, watcher: Watcher) -> None:
    """F1: a deliverer killed before or after any of its commits; the next one under its name delivers, once where nothing was
    sent. Killed between the receiver's 2xx and the commit that says so, it tells a second time, under the same id."""
    for name in MOMENTS:
        grant(engine, name)
        queue(engine, fresh(f"event-{name}", name, destination=name), now=time.time())
    url = engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.flows.killed_deliverer", url, watcher.url, *MOMENTS]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.stdout.split() == ["-9"] * len(MOMENTS), ended.stderr
    told = {f"event-{SETTLE}-before", f"event-{SETTLE}-after"}
    assert set(watcher.came) == told

    async def finish() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for name in MOMENTS:
                deliverer = make_owner(engine, watcher.url, name)
                await deliverer.start()
                stack.push_async_callback(deliverer.stop, 1)
            await until(lambda: settled(engine))

    run(finish())
    assert set(states(engine).values()) == {("delivered", "")}
    times = {event: len(came) for event, came in watcher.came.items()}
    assert times == {f"event-{name}": 1 for name in MOMENTS} | {f"event-{SETTLE}-before": 2}


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many open sockets as the machine allows: both ends of each connection are in this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def put_many(engine: Engine, count: int, destinations: list[str]) -> list[str]:
    """Queue events of so many visitors, each for one of these destinations; their ids."""
    ids = [f"e{number}" for number in range(count)]
    with transaction(engine) as connection:
        for event_id in ids:
            put_consent(connection, f"of-{event_id}", {"marketing": (SCOPES["marketing"], 1)})
    rows = [
        fresh(event_id, f"of-{event_id}", destination=destinations[number % len(destinations)])
        for number, event_id in enumerate(ids)
    ]
    queue(engine, *rows, now=time.time())
    return ids


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_thousand_under_way_end_within_the_grace_or_are_given_back(engine: Engine) -> None:
    """F20: of a thousand requests on the wire at a stop, those that are answered within the grace are settled and never told
    again; the others are in the queue at once, without a lease and without the loss of an attempt."""
    ending, hung = asyncio.Event(), asyncio.Event()

    async def answer(received: Received) -> web.StreamResponse:
        await (hung if int(received.id[1:]) % 2 else ending).wait()
        return web.Response(status=204)

    async def test() -> None:
        names = [f"hook{number}" for number in range(8)]
        ids = put_many(engine, 1000, names)
        receiver = Receiver(SECRET, answer)
        async with receiving(receiver):
            deliverer = make_deliverer(
                engine, *[hook(receiver.url, name, timeout_seconds=60) for name in names], concurrency=125
            )
            await deliverer.start()
            await until(lambda: len(receiver.ids) == 1000, 60)
            ending.set()
            await until(lambda: any(row.state == "delivered" for row in look(engine)), 60)
            began = time.monotonic()
            await deliverer.stop(1.0)
            assert time.monotonic() - began < 20  # the hung ones would stay for ever
            rows = look(engine)
            assert {(row.state, row.attempts) for row in rows} == {("delivered", 1), ("queued", 0)}
            assert {row.lease_owner for row in rows} == {None}
            done = {row.event_id for row in rows if row.state == "delivered"}
            assert {int(event_id[1:]) % 2 for event_id in done} == {0}
            hung.set()
            async with delivering(
                engine, *[hook(receiver.url, name, timeout_seconds=60) for name in names], concurrency=125
            ):
                await until(lambda: settled(engine), 60)
        assert Counter(receiver.ids) == {event_id: 1 if event_id in done else 2 for event_id in ids}

    run(test())


def test_restarts_one_after_the_other_cost_no_delivery(engine: Engine) -> None:
    """F13: ten stops with requests under way, as many as there are attempts; everything arrives all the same."""
    answering = asyncio.Event()

    async def answer(received: Received) -> web.StreamResponse:
        await answering.wait()
        return web.Response(status=204)

    async def test() -> None:
        ids = fill(engine, 6)
        receiver = Receiver(SECRET, answer)
        async with receiving(receiver):
            for number in range(1, 11):
                deliverer = make_deliverer(engine, hook(receiver.url, timeout_seconds=60))
                await deliverer.start()
                await until(lambda number=number: len(receiver.ids) == 6 * number)  # type: ignore[misc]
                await deliverer.stop(0.0)
            answering.set()
            async with delivering(engine, hook(receiver.url, timeout_seconds=60)):
                await until(lambda: settled(engine))
        assert states(engine) == dict.fromkeys(ids, ("delivered", ""))

    run(test())


def test_what_a_stop_still_sends_asks_for_consent(engine: Engine) -> None:
    """F9 (h): of three events that were started together one is on the wire as the deliverer stops; a withdrawal now is the
    last that is heard, although there is time left for the others."""

    async def test() -> None:
        first, *others = fill_one(engine, 3)
        stopping: list[asyncio.Task[None]] = []

        def answer(desk: Desk) -> int:
            stopping.append(asyncio.create_task(deliverer.stop(10)))
            with transaction(engine) as connection:
                put_consent(connection, "c1", {}, 2)
                withdraw(connection, "c1", ["hook"], time.time())
            return 200

        async with at_desk(Desk(answer)) as desk:
            deliverer = make_deliverer(engine, EachAlone(desk.url))
            await deliverer.start()
            await until(lambda: bool(stopping))
            await stopping[0]
        assert desk.told == [[first]]
        cancelled = dict.fromkeys(others, ("cancelled", "withdrawn"))
        assert states(engine) == {first: ("delivered", "withdrawn_on_the_wire"), **cancelled}

    run(test())


def test_who_has_overslept_its_lease_settles_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """F14: a node whose request hangs beyond its lease: another node tells the event again, under the same id; a refusal that
    the first one hears at last changes nothing of what has been delivered."""
    monkeypatch.setattr("gateway.flows.deliver.LEASE_SLACK_SECONDS", -539.0)  # a lease of one second
    goes_on = asyncio.Event()

    async def answer(received: Received) -> web.StreamResponse:
        if len(receiver.ids) > 1:
            return web.Response(status=204)
        await goes_on.wait()
        return web.Response(status=410)

    receiver = Receiver(SECRET, answer)

    async def test() -> None:
        [event_id] = fill(engine, 1)
        async with receiving(receiver), delivering(engine, hook(receiver.url, timeout_seconds=60)) as first:
            await until(lambda: len(receiver.ids) == 1)
            for task in first._tasks:  # it looks after nothing any more, its own leases neither
                task.cancel()
            second = make_deliverer(engine, hook(receiver.url, timeout_seconds=60))
            second._owner = "another node"
            await second.start()
            await until(lambda: settled(engine))
            goes_on.set()
            await until(lambda: bool(first.disabled))
            await second.stop(1)
        assert receiver.ids == [event_id] * 2
        assert states(engine) == {event_id: ("delivered", "")}
        [figures] = queue_figures(engine, [make_config()])
        assert (figures.delivered, figures.received, figures.dead) == (1, 1, 0)

    run(test())
