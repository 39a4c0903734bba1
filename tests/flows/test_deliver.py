"""Deliveries over real HTTP to a strict receiver, from the outbox on SQLite and PostgreSQL."""

import asyncio
import contextlib
import logging
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from gateway.database import transaction
from gateway.destinations.base import Destination, OutgoingRequest, Telling
from gateway.destinations.figures import Standing, get_standing, queue_figures, set_paused
from gateway.destinations.outbox import Delivery, lease, withdraw
from gateway.destinations.webhook import Webhook
from gateway.errors import DestinationError
from gateway.flows.deliver import Deliverer
from tests.destinations.rows import (
    OTHER_SECRET,
    SCOPES,
    SECRET,
    SITE,
    grant,
    look,
    make_config,
    make_delivery,
    make_event,
    put_consent,
    queue,
    start,
)
from tests.receiver import Received, Receiver, receiving

SETTLED = {"delivered", "dead", "cancelled", "expired"}
QUICK = (0.0, *[0.05] * 9)


def hook(url: str, name: str = "hook", kind: type[Webhook] = Webhook, **changes: Any) -> Webhook:
    """A webhook to a local receiver whose retries come at once."""
    config = make_config(name, url=url, allow_private=True, **({"timeout_seconds": 5} | changes))
    made = kind(config, SECRET)
    made.schedule = QUICK
    return made


def fresh(event_id: str, consent_id: str = "c1", **changes: Any) -> Delivery:
    """A delivery of this moment, for the receiver's clock is the real one."""
    now = time.time()
    return make_delivery(event_id, consent_id, **({"recorded_at": now, "expires_at": now + 3600} | changes))


def fill(engine: Engine, count: int, **changes: Any) -> list[str]:
    """Queue deliveries, each of a visitor of its own who agreed; returns their ids."""
    ids = [f"{changes.get('destination', 'hook')}-{number}" for number in range(count)]
    for event_id in ids:
        grant(engine, f"of-{event_id}")
    queue(engine, *(fresh(event_id, f"of-{event_id}", **changes) for event_id in ids), now=time.time())
    return ids


def make_deliverer(engine: Engine, *destinations: Destination, concurrency: int = 8) -> Deliverer:
    """A deliverer under the owner's name `node`."""
    return Deliverer(
        engine,
        destinations,
        {SITE: SCOPES},
        owner="node",
        clock=time.time,
        chance=random.random,
        subject_key=b"k" * 32,
        concurrency=concurrency,
    )


@asynccontextmanager
async def delivering(engine: Engine, *destinations: Destination, concurrency: int = 8) -> AsyncIterator[Deliverer]:
    """A deliverer at work for as long as the block lasts."""
    deliverer = make_deliverer(engine, *destinations, concurrency=concurrency)
    await deliverer.start()
    try:
        yield deliverer
    finally:
        await deliverer.stop(1)


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something to become true, in threads of its own so that the loop goes on."""
    ends = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < ends, "it did not happen in time"
        await asyncio.sleep(0.02)


def settled(engine: Engine) -> bool:
    """Whether nothing is left to do."""
    return all(row.state in SETTLED for row in look(engine))


def states(engine: Engine) -> dict[str, tuple[str, str]]:
    """State and reason of each row by its event id."""
    return {row.event_id: (row.state, row.reason) for row in look(engine)}


@pytest.fixture(autouse=True)
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The breaker's rests are short here; their length is health's own test."""
    monkeypatch.setattr("gateway.destinations.health.FIRST_REST_SECONDS", 0.02)
    monkeypatch.setattr("gateway.destinations.health.LONGEST_REST_SECONDS", 0.1)


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test in a loop of its own; no task may be left behind."""
    asyncio.run(asyncio.wait_for(test, 60))


def test_everything_queued_is_delivered_once_and_verified(engine: Engine) -> None:
    """Each event arrives once, with a signature that the published library accepts; the figures say so."""

    async def test() -> None:
        grant(engine)
        ids = fill(engine, 60)
        async with receiving(Receiver(SECRET)) as receiver, delivering(engine, hook(receiver.url)):
            await until(lambda: settled(engine))
        assert sorted(receiver.ids) == sorted(ids)
        assert receiver.refused == []
        assert receiver.accepted[0].body["data"]["path"] == "/artikelen/betalingsregeling"
        [figures] = queue_figures(engine, [make_config()])
        assert (figures.delivered, figures.received, figures.last_error) == (60, 60, "")

    run(test())


def test_a_woken_lane_begins_at_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that come while all is idle are sent when `wake` is called, not at the next look."""
    monkeypatch.setattr("gateway.flows.deliver.IDLE_SECONDS", 600.0)

    async def test() -> None:
        grant(engine)
        async with receiving(Receiver(SECRET)) as receiver, delivering(engine, hook(receiver.url)) as deliverer:
            await asyncio.sleep(0.3)
            fill(engine, 1)
            deliverer.wake()
            await until(lambda: settled(engine))

    run(test())


def test_failures_are_tried_again_under_the_same_id(engine: Engine) -> None:
    """Two failures and a success: three requests with one id, later timestamps, one delivery."""

    def answer(received: Received) -> web.StreamResponse:
        return web.Response(status=204 if receiver.ids.count(received.id) > 2 else 503)

    receiver = Receiver(SECRET, answer)

    async def test() -> None:
        grant(engine)
        [event_id] = fill(engine, 1)
        async with receiving(receiver), delivering(engine, hook(receiver.url)):
            await until(lambda: settled(engine))
        assert receiver.ids == [event_id] * 3
        [row] = look(engine)
        assert (row.state, row.attempts) == ("delivered", 3)
        [figures] = queue_figures(engine, [make_config()])
        assert figures.last_error == "http_503"

    run(test())


def test_the_last_attempt_is_the_tenth(engine: Engine) -> None:
    """A receiver that always fails is asked ten times; then the delivery is dead with the last reason."""

    async def test() -> None:
        grant(engine)
        fill(engine, 1)
        receiver = Receiver(SECRET, lambda received: web.Response(status=500))
        async with receiving(receiver), delivering(engine, hook(receiver.url)):
            await until(lambda: settled(engine))
        assert len(receiver.ids) == 10
        assert states(engine) == {"hook-0": ("dead", "http_500")}

    run(test())


def test_retry_after_is_waited_for(engine: Engine) -> None:
    """A receiver's own wish for more time is kept."""

    async def test() -> None:
        grant(engine)
        fill(engine, 1)
        receiver = Receiver(SECRET, lambda received: web.Response(status=429, headers={"Retry-After": "500"}))
        async with receiving(receiver), delivering(engine, hook(receiver.url)):
            await until(lambda: states(engine) == {"hook-0": ("queued", "http_429")})
        [row] = look(engine)
        assert 490 < row.next_at - time.time() < 600

    run(test())


def test_gone_stops_the_destination_and_keeps_the_rest(engine: Engine) -> None:
    """After a 410 nothing more is sent there until the next start; the other deliveries wait."""

    async def test() -> None:
        grant(engine)
        fill(engine, 5)
        receiver = Receiver(SECRET, lambda received: web.Response(status=410))
        async with receiving(receiver), delivering(engine, hook(receiver.url), concurrency=1) as deliverer:
            await until(lambda: deliverer.disabled == {"hook": "http_410"})
            deliverer.wake()
            await asyncio.sleep(0.3)
        assert len(receiver.ids) == 1
        assert sorted(row.state for row in look(engine)) == ["dead", *["queued"] * 4]
        async with receiving(Receiver(SECRET)) as again, delivering(engine, hook(again.url)):
            await until(lambda: settled(engine))
        assert len(again.ids) == 4

    run(test())


def test_a_policy_that_has_changed_cancels_what_waits(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also at a destination that is paused: nothing has to come up for its start first."""
    monkeypatch.setattr("gateway.flows.deliver.EXPIRE_SECONDS", 0.05)

    async def test() -> None:
        grant(engine)
        fill(engine, 2)
        with transaction(engine) as connection:
            set_paused(connection, "hook", time.time(), paused=True)
        scopes = {SITE: SCOPES}
        clock, key = time.time, b"k" * 32
        deliverer = Deliverer(
            engine, [hook("http://127.0.0.1:9/")], scopes, owner="n", clock=clock, chance=random.random, subject_key=key
        )
        await deliverer.start()
        await asyncio.sleep(0.2)
        assert set(states(engine).values()) == {("queued", "")}
        scopes[SITE] = SCOPES | {"marketing": "another"}
        await until(lambda: set(states(engine).values()) == {("cancelled", "scope_changed")})
        await deliverer.stop()

    run(test())


def test_a_wrong_secret_delivers_nothing_and_says_so(engine: Engine) -> None:
    """A receiver that cannot verify us refuses; the delivery is kept and tried again."""

    async def test() -> None:
        grant(engine)
        fill(engine, 1)
        async with receiving(Receiver(OTHER_SECRET)) as receiver, delivering(engine, hook(receiver.url)):
            await until(lambda: states(engine) == {"hook-0": ("dead", "http_401")})
        assert (receiver.accepted, set(receiver.refused)) == ([], {"signature"})

    run(test())


def test_withdrawal_in_the_middle(engine: Engine) -> None:
    """R11: after the withdrawal is acknowledged no delivery of that consent starts; the others go on."""

    async def slow(received: Received) -> web.StreamResponse:
        await asyncio.sleep(0.02)
        return web.Response(status=204)

    def take_back() -> float:
        with transaction(engine) as connection:
            put_consent(connection, "c1", {}, revision=2)
            withdraw(connection, "c1", ["hook"], time.time())
        return time.time()

    async def test() -> None:
        grant(engine, "c1")
        grant(engine, "c2")
        now = time.time()
        queue(engine, *(fresh(f"{n}-c{1 + n % 2}", f"c{1 + n % 2}") for n in range(120)), now=now)
        receiver = Receiver(SECRET, slow)
        async with receiving(receiver), delivering(engine, hook(receiver.url)):
            await until(lambda: len(receiver.ids) > 20)
            acknowledged = await asyncio.to_thread(take_back)
            await until(lambda: settled(engine))
        rows = {row.event_id: row for row in look(engine)}
        assert len([row for row in rows.values() if row.event_id.endswith("c2")]) == 60
        assert {row.state for row in rows.values() if row.event_id.endswith("c2")} == {"delivered"}
        for row in rows.values():
            if row.state == "cancelled":
                assert row.event_id not in receiver.ids
            elif row.event_id.endswith("c1"):
                assert row.started_at <= acknowledged
        cancelled = [row for row in rows.values() if row.state == "cancelled"]
        assert 0 < len(cancelled) < 60
        # By the receiver's own log too: what came after was on the wire before.
        late = [r for r in receiver.accepted if r.id.endswith("c1") and r.at > acknowledged]
        assert all(rows[r.id].started_at <= acknowledged for r in late)
        assert len(late) <= 8

    run(test())


def test_without_covering_consent_nothing_is_sent(engine: Engine) -> None:
    """No consent, another purpose, another site, a later grant: no request, each with its reason."""

    async def test() -> None:
        grant(engine, "other purpose", 1, "analytics")
        grant(engine, "later", 5)
        rows = [fresh("a", "nobody"), fresh("b", "other purpose"), fresh("c", "later"), fresh("d", site="elsewhere")]
        queue(engine, *rows, now=time.time())
        async with receiving(Receiver(SECRET)) as receiver, delivering(engine, hook(receiver.url)):
            await until(lambda: settled(engine))
        assert receiver.ids == []
        assert states(engine) == {
            "a": ("cancelled", "no_consent"),
            "b": ("cancelled", "withdrawn"),
            "c": ("cancelled", "granted_later"),
            "d": ("cancelled", "no_consent"),
        }

    run(test())


def test_a_slow_destination_delays_no_other(engine: Engine) -> None:
    """While one destination hangs with all its places taken, another delivers everything."""

    async def hang(received: Received) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    async def test() -> None:
        grant(engine)
        fill(engine, 30, destination="slow")
        fill(engine, 30, destination="quick")
        async with receiving(Receiver(SECRET, hang)) as slow, receiving(Receiver(SECRET)) as quick:
            lanes = hook(slow.url, "slow"), hook(quick.url, "quick")
            async with delivering(engine, *lanes, concurrency=4):
                await until(lambda: len(quick.ids) == 30)  # for less long than the others hang
        assert len(slow.ids) == 4

    run(test())


def test_no_more_at_once_than_allowed(engine: Engine) -> None:
    """A destination has at most as many requests on the wire as its concurrency."""
    present, most = 0, 0

    async def count(received: Received) -> web.StreamResponse:
        nonlocal present, most
        present += 1
        most = max(most, present)
        await asyncio.sleep(0.02)
        present -= 1
        return web.Response(status=204)

    async def test() -> None:
        grant(engine)
        fill(engine, 30)
        receiver = Receiver(SECRET, count)
        async with receiving(receiver), delivering(engine, hook(receiver.url), concurrency=3):
            await until(lambda: settled(engine))
        assert most == 3

    run(test())


class Moody(Webhook):
    """Refuses some events, and fails over others."""

    def build(self, batch: Sequence[Telling], now: float) -> OutgoingRequest:
        """As the real one, for most."""
        event = batch[0].event
        if event.topic == "refused":
            raise DestinationError("cannot be told")
        if event.topic == "poison":
            raise ZeroDivisionError(event.path)
        return super().build(batch, now)


def test_a_poisoned_event_is_set_aside_alone(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """F7: Unreadable, unbuildable and failing events are dead with a reason that quotes nothing; the others arrive."""

    def encode(**changes: Any) -> bytes:
        return msgspec.json.encode(make_event(time.time(), path="/geheim", **changes))

    async def test() -> None:
        grant(engine)
        rows = [
            fresh("a", payload=b"{"),
            fresh("b", payload=b'{"at": "x"}'),
            fresh("c", payload=encode(topic="refused")),
            fresh("d", payload=encode(topic="poison")),
            fresh("e", payload=encode(props={"x": "y" * 30_000})),
            *(fresh(f"fine {n}") for n in range(20)),
        ]
        queue(engine, *rows, now=time.time())
        async with receiving(Receiver(SECRET)) as receiver, delivering(engine, hook(receiver.url, kind=Moody)):
            await until(lambda: settled(engine))
        found = states(engine)
        assert [found[name] for name in "abcde"] == [
            ("dead", "unreadable"),
            ("dead", "unreadable"),
            ("dead", "unbuildable"),
            ("dead", "fault"),
            ("dead", "unbuildable"),
        ]
        assert len(receiver.ids) == 20

    with caplog.at_level(logging.DEBUG):
        run(test())
    assert "ZeroDivisionError" in caplog.text
    for private in ("geheim", "c1", "betalingsregeling", "fedcba"):
        assert private not in caplog.text


def test_stopping_gives_back_what_it_holds(engine: Engine) -> None:
    """F20: A stop within its grace returns leases and requests that hang; the next deliverer finishes them."""

    async def hang(received: Received) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    async def test() -> None:
        grant(engine)
        ids = fill(engine, 40)
        receiver = Receiver(SECRET, hang)
        async with receiving(receiver):
            deliverer = make_deliverer(engine, hook(receiver.url))
            await deliverer.start()
            await until(lambda: len(receiver.ids) == 8)
            await asyncio.wait_for(deliverer.stop(0.3), 20)  # for less long than the requests hang
        rows = look(engine)
        assert {(row.state, row.lease_owner) for row in rows} == {("queued", None)}
        async with receiving(Receiver(SECRET)) as again, delivering(engine, hook(again.url)):
            await until(lambda: settled(engine))
        assert sorted(again.ids) == sorted(ids)

    run(test())


def test_stopping_lets_requests_on_the_wire_end(engine: Engine) -> None:
    """A request that ends within the grace is settled, not repeated."""

    async def slow(received: Received) -> web.StreamResponse:
        await asyncio.sleep(0.4)
        return web.Response(status=204)

    async def test() -> None:
        grant(engine)
        fill(engine, 3)
        receiver = Receiver(SECRET, slow)
        async with receiving(receiver):
            deliverer = make_deliverer(engine, hook(receiver.url))
            await deliverer.start()
            await until(lambda: len(receiver.ids) == 3)
            await deliverer.stop(5)
        assert {row.state for row in look(engine)} == {"delivered"}

    run(test())


def test_what_a_killed_process_held_is_sent_again_at_once(engine: Engine) -> None:
    """Rows left leased and started under our name are taken back at the start: same id, consent asked anew."""

    async def test() -> None:
        grant(engine, "c1")
        grant(engine, "c2")
        now = time.time()
        queue(engine, fresh("sent", "c1"), fresh("taken back", "c2"), fresh("leased", "c1"), now=now)
        with transaction(engine) as connection:
            rows = lease(connection, "hook", "node", 3, now, 600)
        for row in rows[:2]:
            with transaction(engine) as connection:
                start(connection, row.id, "node", ("marketing",), SCOPES, 10, now)
        with transaction(engine) as connection:
            put_consent(connection, "c2", {}, 2)
            withdraw(connection, "c2", ["hook"], now)
        async with receiving(Receiver(SECRET)) as receiver, delivering(engine, hook(receiver.url)):
            await until(lambda: settled(engine))
        assert sorted(receiver.ids) == ["leased", "sent"]
        assert states(engine)["taken back"] == ("cancelled", "withdrawn")

    run(test())


def test_a_lost_connection_to_the_database_is_got_over(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of the database cost time, not deliveries."""
    monkeypatch.setattr("gateway.flows.deliver.FAULT_SECONDS", 0.05)
    failures = iter(range(4))

    async def test() -> None:
        grant(engine)
        async with receiving(Receiver(SECRET)) as receiver, delivering(engine, hook(receiver.url)) as deliverer:

            def failing(connection: Connection, name: str) -> Standing:
                if next(failures, None) is not None:
                    raise OperationalError("SELECT", {}, Exception("gone"))
                return get_standing(connection, name)

            monkeypatch.setattr("gateway.flows.deliver.get_standing", failing)
            fill(engine, 5)
            deliverer.wake()
            await until(lambda: len(look(engine)) == 5 and settled(engine))
        assert len(receiver.ids) == 5

    run(test())


def test_overdue_rows_expire_without_their_destination(engine: Engine) -> None:
    """Rows of a destination that is no longer configured end as expired when their time has come."""

    async def test() -> None:
        queue(engine, fresh("old", destination="removed", expires_at=time.time() - 1))
        async with delivering(engine):
            await until(lambda: settled(engine))
        assert states(engine) == {"old": ("expired", "expired")}

    run(test())


def test_a_name_that_leads_home_gets_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A public name that resolves to a private address is refused at each attempt, and the queue says so."""
    real = socket.getaddrinfo
    asked: list[object] = []

    def resolve(host: str, port: int, *args: Any, **kwargs: Any) -> Sequence[Any]:
        if host != "hooks.example.org":
            return real(host, port, *args, **kwargs)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    async def test() -> None:
        grant(engine)
        fill(engine, 1)
        destination = Webhook(make_config(), SECRET)
        destination.schedule = (0.0, 600.0)
        async with delivering(engine, destination):
            await until(lambda: states(engine) == {"hook-0": ("queued", "address_refused")})
        assert asked

    run(test())


def test_many_nodes_share_one_outbox(engine: Engine) -> None:
    """Three deliverers under names of their own deliver everything once between them."""

    async def test() -> None:
        grant(engine)
        ids = fill(engine, 90)
        async with receiving(Receiver(SECRET)) as receiver, contextlib.AsyncExitStack() as stack:
            for number in range(3):
                deliverer = make_deliverer(engine, hook(receiver.url), concurrency=4)
                deliverer._owner = f"node {number}"
                await deliverer.start()
                stack.push_async_callback(deliverer.stop, 1)
            await until(lambda: settled(engine))
        assert sorted(receiver.ids) == sorted(ids)

    run(test())
