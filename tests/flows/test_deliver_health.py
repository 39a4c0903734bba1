"""The breaker, the clock and a locked database as deliveries meet them, over real HTTP."""

import asyncio
import random
import sqlite3
import time
from contextlib import closing

import pytest
from aiohttp import web
from sqlalchemy import Engine, event

from gateway.database import transaction
from gateway.destinations.base import Dead, Delivered, Retry, Verdict
from gateway.destinations.health import OPEN_AFTER
from gateway.destinations.outbox import withdraw
from gateway.flows.deliver import Deliverer
from gateway.flows.lane import Lane, note_health
from tests.destinations.rows import SCOPES, SECRET, SITE, grant, look, make_delivery, put_consent, queue
from tests.flows.scripted import Desk, Scripted, at_desk
from tests.flows.test_deliver import delivering, fill, fresh, hook, run, settled, short_rests, states, until
from tests.receiver import Received, Receiver, receiving

__all__ = ["short_rests"]
pytestmark = pytest.mark.slow
DAY = 86_400.0


def test_one_probe_whatever_waits(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """F5: after five failures in a row one request at a time, though many wait and there is room for eight, until one has ended
    well. A restart forgets it, and is taught it again as soon; then all of it arrives."""
    monkeypatch.setattr("gateway.destinations.health.LONGEST_REST_SECONDS", 0.02)
    well = asyncio.Event()
    present: set[str] = set()
    crowds: list[int] = []  # how many were there as each came

    async def answer(received: Received) -> web.StreamResponse:
        present.add(received.id)
        crowds.append(len(present))
        await asyncio.sleep(0.03)
        present.remove(received.id)
        return web.Response(status=204 if well.is_set() else 503)

    async def test() -> None:
        ids = fill(engine, 30)
        async with receiving(Receiver(SECRET, answer)) as receiver:
            made = hook(receiver.url)
            made.schedule = (0.0, *[0.05] * 1000)
            for _ in range(2):
                crowds.clear()
                async with delivering(engine, made):
                    await until(lambda: len(crowds) > 24)
                assert max(crowds) > 1
                assert set(crowds[20:]) == {1}  # what had begun before the fifth failure has ended by then
            well.set()
            async with delivering(engine, made):
                await until(lambda: settled(engine))
        assert {states(engine)[event_id] for event_id in ids} == {("delivered", "")}

    run(test())


def test_a_probe_without_consent_lets_the_next_one_through(engine: Engine) -> None:
    """F5: while the breaker is open, deliveries that come up as its probe and whose consent has gone wedge nothing."""

    async def test() -> None:
        desk = Desk(lambda desk: 503)
        for number in range(OPEN_AFTER):
            grant(engine, f"bad{number}")
            queue(engine, fresh(f"bad{number}", f"bad{number}"), now=time.time())
        async with at_desk(desk):
            destination = Scripted(desk.url)
            destination.schedule = (0.0, 600.0)
            async with delivering(engine, destination) as deliverer:
                await until(lambda: len(desk.told) == OPEN_AFTER)
                desk.answer = lambda desk: 200
                for number in range(3):  # never granted: refused at their start
                    queue(engine, fresh(f"gone{number}", f"gone{number}"), now=time.time())
                grant(engine, "good")
                queue(engine, fresh("good", "good"), now=time.time())
                deliverer.wake()
                await until(lambda: states(engine)["good"] == ("delivered", ""))
        assert {states(engine)[f"gone{number}"] for number in range(3)} == {("cancelled", "no_consent")}
        assert desk.told[OPEN_AFTER:] == [["good"]]

    run(test())


@pytest.mark.parametrize(
    ("verdicts", "fails"),
    [
        ([Retry("http_503")] * 3, True),
        ([Delivered(), Retry("odd"), Retry("odd")], False),
        ([Dead("odd"), Retry("odd")], False),
        ([Dead("odd")] * 3, False),
    ],
)
def test_a_batch_that_fails_in_part_opens_no_breaker(verdicts: list[Verdict], fails: bool) -> None:
    """F5: a receiver that judges one event is well, whatever it says of the others; only where all of a batch is to be tried
    again has the attempt failed."""
    lane = Lane(Scripted("http://127.0.0.1:1/"), None)  # type: ignore[arg-type]
    for _ in range(2 * OPEN_AFTER):
        note_health(lane, verdicts, 0.0, 0.5)
    assert lane.health.is_open is fails


def test_a_clock_that_jumps_loses_and_doubles_nothing(engine: Engine) -> None:
    """F8: a day ahead, back again, 1970 and back: what comes at each of these times is delivered at once, one time, and what
    was withdrawn in between is not sent."""
    offset = 0.0

    def clock() -> float:
        return time.time() + offset

    async def test() -> None:
        nonlocal offset
        async with at_desk(Desk()) as desk:
            destinations = [Scripted(desk.url)]
            deliverer = Deliverer(
                engine,
                destinations,
                {SITE: SCOPES},
                owner="node",
                clock=clock,
                chance=random.random,
                subject_key=b"k" * 32,
            )
            await deliverer.start()
            for number, ahead in enumerate((0.0, DAY, 0.0, 1000.0 - time.time(), 0.0)):
                offset = ahead
                now = clock()
                with transaction(engine) as connection:
                    for consent_id in (f"stays{number}", f"goes{number}"):
                        put_consent(connection, consent_id, {"marketing": (SCOPES["marketing"], 1)}, changed_at=now)
                    withdraw(connection, f"goes{number}", ["hook"], now)
                    put_consent(connection, f"goes{number}", {}, 2, changed_at=now)
                times = {"recorded_at": now, "expires_at": now + 3600}
                for consent_id in (f"stays{number}", f"goes{number}"):
                    queue(engine, make_delivery(f"of-{consent_id}", consent_id, **times), now=now)
                deliverer.wake()
                await until(lambda: settled(engine))
            await deliverer.stop()
        assert sorted(desk.told) == [[f"of-stays{number}"] for number in range(5)]
        assert {row.state for row in look(engine)} == {"delivered", "cancelled"}

    run(test())


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_locked_database_costs_time_and_at_most_a_repeat(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """F2: SQLite answers that it is busy, before a start and again when what was told is to be written down: nothing is lost,
    and what could not be written down is told once more, under the same id, when its lease has ended."""
    monkeypatch.setattr("gateway.flows.deliver.FAULT_SECONDS", 0.05)
    monkeypatch.setattr("gateway.flows.deliver.LEASE_SLACK_SECONDS", -44.0)  # a lease of one second
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=20"))
    engine.dispose()
    told: list[str] = []

    async def test() -> None:
        fill(engine, 1)
        with closing(sqlite3.connect(str(engine.url.database), isolation_level=None)) as holder:

            def answer(received: Received) -> web.StreamResponse:
                told.append(received.id)
                if len(told) == 1:
                    caplog.clear()
                    holder.execute("BEGIN IMMEDIATE")
                return web.Response(status=204)

            async with receiving(Receiver(SECRET, answer)) as receiver, delivering(engine, hook(receiver.url)):
                holder.execute("BEGIN IMMEDIATE")
                await until(lambda: "OperationalError" in caplog.text)
                assert told == []
                holder.execute("ROLLBACK")
                await until(lambda: bool(told) and "OperationalError" in caplog.text)
                holder.execute("ROLLBACK")
                await until(lambda: settled(engine))
        assert told == ["hook-0"] * 2
        assert states(engine) == {"hook-0": ("delivered", "")}

    run(test())
