"""Events that break what reads, builds or takes them: each is set aside alone, and whoever is behind it arrives."""

import logging
import time

import msgspec
import pytest
from sqlalchemy import Engine

from gateway.database import transaction
from gateway.destinations.dead_letters import Which, redrive
from gateway.destinations.outbox import withdraw
from gateway.event import Event
from tests.destinations.rows import SECRET, grant, look, make_event, put_consent, queue
from tests.flows.scripted import Desk, Scripted, at_desk
from tests.flows.test_deliver import Moody, delivering, fresh, hook, run, settled, short_rests, states, until
from tests.receiver import Receiver, receiving

__all__ = ["short_rests"]
pytestmark = pytest.mark.slow
PRIVATE = "geheim"


def spoil(old: bytes, new: bytes) -> bytes:
    """An event's bytes with a part of them replaced."""
    good = msgspec.json.encode(make_event(time.time(), path=f"/{PRIVATE}"))
    assert old in good
    return good.replace(old, new)


def with_props(props: bytes) -> bytes:
    """An event's bytes with these properties."""
    return spoil(b'"topic"', b'"props":' + props + b',"topic"')


UNREADABLE = {
    "lone surrogate": with_props(b'{"a":"\\ud800"}'),
    "raw surrogate": with_props(b'{"a":"\xed\xa0\x80"}'),
    "raw NUL": with_props(b'{"a":"\0"}'),
    "not a number": spoil(b'"at":', b'"at":NaN,"x":'),
    "beyond any number": spoil(b'"at":', b'"at":1' + b"0" * 5000 + b',"x":'),
    "too great a power": spoil(b'"at":', b'"at":1e999,"x":'),
    "text for a number": spoil(b'"at":', b'"at":"1","x":'),
    "cut off": spoil(b"}", b""),
    "nothing": b"",
}
UNBUILDABLE = {
    "a time that is none": spoil(b'"at":', b'"at":1e308,"x":'),
    "a megabyte": with_props(b'{"a":"' + b"x" * 1_000_000 + b'"}'),
}
DEEP = {
    "deep lists": with_props(b"[" * 10_000 + b"]" * 10_000),
    "deep maps": spoil(b'"topic"', b'"x":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b',"topic"'),
}
HARMLESS = {
    "escaped NUL": with_props(b'{"a":"\\u0000"}'),
    "a key twice": with_props(b'{"a":"1","a":"2"}'),
    "a field twice": spoil(b'"topic"', b'"topic":"1","topic"'),
    "an integer beyond 64 bits": spoil(b'"visitor":', b'"visitor":340282366920938463463374607431768211456,"x":'),
}


def test_each_kind_of_poison_is_alone(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """F7: surrogates, NUL, numbers that are none or too great, depth, a megabyte: dead with a word as the reason, or told where
    it is whole after all; whatever came of one, those beside it arrive, and no log quotes any."""

    async def test() -> None:
        grant(engine)
        kinds = UNREADABLE | UNBUILDABLE | DEEP | HARMLESS
        rows = [fresh(name, payload=payload) for name, payload in kinds.items()]
        queue(engine, *rows, *(fresh(f"fine {number}") for number in range(10)), now=time.time())
        async with receiving(Receiver(SECRET)) as receiver, delivering(engine, hook(receiver.url)):
            await until(lambda: settled(engine))
        found = states(engine)
        assert {found[name] for name in UNREADABLE} == {("dead", "unreadable")}
        assert {found[name] for name in UNBUILDABLE} == {("dead", "unbuildable")}
        assert {found[name] for name in DEEP} <= {("dead", "unreadable"), ("dead", "fault")}
        assert {found[name] for name in HARMLESS} == {("delivered", "")}
        assert set(receiver.ids) == {*HARMLESS, *(f"fine {number}" for number in range(10))}

    with caplog.at_level(logging.DEBUG):
        run(test())
    assert PRIVATE not in caplog.text


def test_what_was_poison_is_sent_once_it_is_none(engine: Engine) -> None:
    """F7: what a fault of ours set aside arrives when it was mended and an operator sends it again, under a consent that still
    holds; of whoever has taken it back meanwhile nothing is sent."""

    async def test() -> None:
        for consent_id in ("stays", "goes"):
            grant(engine, consent_id)
            payload = msgspec.json.encode(make_event(time.time(), topic="poison"))
            queue(engine, fresh(f"of {consent_id}", consent_id, payload=payload), now=time.time())
        async with receiving(Receiver(SECRET)) as receiver:
            async with delivering(engine, hook(receiver.url, kind=Moody)):
                await until(lambda: {row.state for row in look(engine)} == {"dead"})
            with transaction(engine) as connection:
                put_consent(connection, "goes", {}, 2)
                withdraw(connection, "goes", ["hook"], time.time())
                assert redrive(connection, "hook", time.time(), Which("fault")) == 1
            async with delivering(engine, hook(receiver.url)):
                await until(lambda: settled(engine))
        assert receiver.ids == ["of stays"]
        assert states(engine) == {"of stays": ("delivered", ""), "of goes": ("cancelled", "withdrawn")}

    run(test())


@pytest.mark.parametrize("place", [0, 1, 3])
def test_poison_in_a_batch_costs_the_others_one_more_request(engine: Engine, place: int) -> None:
    """F7: an event that cannot be read is no part of the batch; the rest of it is told together, in order."""

    async def test() -> None:
        grant(engine)
        ids = [f"e{number}" for number in range(4)]
        good, bad = msgspec.json.encode(make_event(time.time())), UNREADABLE["lone surrogate"]
        rows = [fresh(event_id, payload=bad if number == place else good) for number, event_id in enumerate(ids)]
        queue(engine, *rows, now=time.time())
        async with at_desk(Desk()) as desk, delivering(engine, Scripted(desk.url)):
            await until(lambda: settled(engine))
        assert desk.told == [[event_id for number, event_id in enumerate(ids) if number != place]]
        assert states(engine)[ids[place]] == ("dead", "unreadable")

    run(test())


def test_the_poison_is_what_it_is_called() -> None:
    """The examples fail, or not, for the reason that they are named after."""
    for name, payload in UNREADABLE.items():
        with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
            msgspec.json.decode(payload, type=Event)
            pytest.fail(name)
    for payload in (UNBUILDABLE | HARMLESS).values():
        assert msgspec.json.decode(payload, type=Event).path == f"/{PRIVATE}"
