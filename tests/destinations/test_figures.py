"""What an operator has said of a destination: a pause holds from its commit on, whatever is held just then."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
from aiohttp import web
from sqlalchemy import Engine

from gateway import ledger
from gateway.database import reading, transaction
from gateway.destinations.attempts import Ending, settle
from gateway.destinations.base import Delivered, Notice, Retry
from gateway.destinations.figures import get_standing, note_error, set_paused
from gateway.destinations.outbox import NotStarted, Started, lease, pass_on
from gateway.flows.operate_destination import pause, resume
from tests.conftest import empty_tables
from tests.destinations.rows import NOW, SCOPES, SECRET, grant, look, make_delivery, queue, start
from tests.example_site import write_site
from tests.flows.test_deliver import delivering, fill, hook, run, settled, until
from tests.receiver import Received, Receiver, receiving


def begin(engine: Engine, row_id: int) -> Started | NotStarted:
    """Start a row of worker w."""
    with transaction(engine) as connection:
        return start(connection, row_id, "w", ("marketing",), SCOPES, 9, NOW)


def say(engine: Engine, *, paused: bool) -> None:
    """An operator's word."""
    with transaction(engine) as connection:
        set_paused(connection, "hook", NOW, paused=paused)


def test_what_a_pause_finds_held_does_not_start(engine: Engine) -> None:
    """Leased rows are in the queue again, their holder's start finds them gone, and none is leased until it is resumed; what
    was on the wire is finished; another destination goes on."""
    grant(engine)
    grant(engine, "c2")
    queue(engine, make_delivery("wire"), make_delivery("held", "c2"), make_delivery("else", destination="other"))
    with transaction(engine) as connection:
        wire, held = lease(connection, "hook", "w", 9, NOW, 60)
    assert isinstance(begin(engine, wire.id), Started)
    with transaction(engine) as connection:
        set_paused(connection, "hook", NOW, paused=True)
    assert begin(engine, held.id) == NotStarted("lease_lost")
    assert {row.event_id: row.state for row in look(engine)} == {"wire": "started", "held": "queued", "else": "queued"}
    with transaction(engine) as connection:
        assert lease(connection, "hook", "w", 9, NOW, 60) == []
        assert [row.site for row in lease(connection, "other", "w", 9, NOW, 60)] == ["main"]
        set_paused(connection, "hook", NOW + 1, paused=False)
        assert [row.id for row in lease(connection, "hook", "w", 9, NOW + 1, 60)] == [held.id]


def test_a_pause_is_obeyed_although_many_are_held(engine: Engine, tmp_path: Path) -> None:
    """What is leased ahead of its turn waits too: once the pause is answered, no request begins, until it is resumed."""

    async def slowly(received: Received) -> web.StreamResponse:
        await asyncio.sleep(0.05)
        return web.Response(status=204)

    def begun() -> int:
        return sum(row.started_at is not None for row in look(engine))

    async def test() -> None:
        fill(engine, 60)
        receiver = Receiver(SECRET, slowly)
        config = write_site(tmp_path)
        async with receiving(receiver), delivering(engine, hook(receiver.url), concurrency=4):
            await until(lambda: len(receiver.ids) > 4)
            await asyncio.to_thread(pause, config, engine, "hook", "op", time.time())
            paused_at = await asyncio.to_thread(begun)
            await asyncio.sleep(0.6)
            assert await asyncio.to_thread(begun) == paused_at < 60
        assert len(receiver.ids) == paused_at
        resume(config, engine, "hook", "op", time.time())
        async with receiving(receiver), delivering(engine, hook(receiver.url), concurrency=4):
            await until(lambda: settled(engine))
        assert len(receiver.ids) == 60

    run(test())


def test_the_last_word_counts_whatever_the_clock_says(engine: Engine) -> None:
    """F8: a pause after a resume holds, though the clock was set back by an hour in between; and so the other way round."""
    for at, paused in ((NOW, False), (NOW - 3600, True), (NOW - 7200, False)):
        with transaction(engine) as connection:
            set_paused(connection, "hook", at, paused=paused)
        with reading(engine) as connection:
            assert get_standing(connection, "hook").paused is paused


@pytest.mark.slow
def test_a_pause_waits_for_a_lease_that_is_being_committed(postgres_engine: Engine) -> None:
    """F14: what another node is leasing at that moment is called back as well."""
    empty_tables(postgres_engine)
    grant(postgres_engine)
    queue(postgres_engine, make_delivery("e1"))
    say(postgres_engine, paused=False)
    pausing = threading.Thread(target=say, args=(postgres_engine,), kwargs={"paused": True})
    with transaction(postgres_engine) as connection:
        [held] = lease(connection, "hook", "w", 9, NOW, 60)
        pausing.start()
        pausing.join(0.3)
        assert pausing.is_alive()
    pausing.join(60)
    assert begin(postgres_engine, held.id) == NotStarted("lease_lost")


def test_errors_and_receipts_are_written_in_one_order(postgres_engine: Engine) -> None:
    """F14: where an event has failed and a notice has arrived, another node that writes a receipt and then an error is waited
    for, and neither is thrown out."""
    empty_tables(postgres_engine)
    grant(postgres_engine)
    queue(postgres_engine, make_delivery("e1"))
    with transaction(postgres_engine) as connection:
        pass_on(connection, Notice("n1", "withdrawal", "main", "", ("marketing",), NOW), "c2", "hook", NOW)
        event, notice = lease(connection, "hook", "w", 9, NOW, 60)
    for row in (event, notice):
        assert isinstance(begin(postgres_engine, row.id), Started)
    endings = [Ending(event.id, Retry("timeout"), 5.0), Ending(notice.id, Delivered(), asked="withdrawal")]
    ended: list[int] = []

    def end() -> None:
        with transaction(postgres_engine) as connection:
            ended.append(settle(connection, endings, "w", NOW))

    ending = threading.Thread(target=end)
    with transaction(postgres_engine) as connection:
        ledger.append(connection, at=NOW, site="main", kind="passed_on", consent_id="c3", body={})
        ending.start()
        ending.join(0.3)
        assert ending.is_alive()
        note_error(connection, "hook", "http_503", NOW)
    ending.join(60)
    assert ended == [2]
