"""A receiver that misbehaves in every way before it answers: each event arrives in the end, under one id."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from sqlalchemy import Engine

from tests.destinations.rows import grant, look, queue
from tests.flows.test_deliver import delivering, fresh, hook, run, settled, short_rests, states, until
from tests.receiver import serving

__all__ = ["short_rests"]
pytestmark = pytest.mark.slow
Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]


def speak(raw: bytes) -> Fault:
    """These bytes instead of an answer, and the end of the connection."""

    async def fault(request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        transport.write(raw)
        transport.close()
        return web.Response()

    return fault


def answer(status: int, **headers: str) -> Fault:
    """This status with these headers."""

    async def fault(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return fault


async def abort(request: web.Request) -> web.StreamResponse:
    """The connection is cut."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def say_nothing(_: web.Request) -> web.StreamResponse:
    """For longer than anybody waits."""
    await asyncio.sleep(30)
    return web.Response()


FAULTS: dict[str, Fault] = {
    "cut": abort,
    "silence": say_nothing,
    "garbage": speak(b"\0garbage\r\n\r\n"),
    "half a head": speak(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "a failure that breaks off": speak(b"HTTP/1.1 503 No\r\nContent-Length: 10\r\n\r\nabc"),
    "home": answer(301, Location="http://169.254.169.254/latest/meta-data/"),
    "here again": answer(307, Location="/in"),
    "too much, in words": answer(429, Retry_After="abc"),
    "too much, long ago": answer(429, Retry_After="-1"),
    "too much, at a time": answer(429, Retry_After="Thu, 01 Jan 1970 00:00:00 GMT"),
    "a second": answer(503, Retry_After="1"),
    "unknown": answer(599),
}


def test_whatever_comes_first_each_event_arrives(engine: Engine) -> None:
    """F4: cut, silent, garbled, redirected, asked for time in odd ways: the event is tried again under its id and is told once;
    where a redirect leads nothing is asked."""
    asked: list[str] = []
    paths: set[str] = set()

    async def misbehave(request: web.Request) -> web.StreamResponse:
        await request.read()
        paths.add(request.path)
        event_id = request.headers["webhook-id"]
        asked.append(event_id)
        return web.Response(status=204) if asked.count(event_id) > 1 else await FAULTS[event_id](request)

    async def test() -> None:
        for event_id in FAULTS:
            grant(engine, event_id)
            queue(engine, fresh(event_id, event_id), now=time.time())
        async with serving(misbehave) as url, delivering(engine, hook(url, timeout_seconds=1)):
            await until(lambda: settled(engine))
        assert states(engine) == dict.fromkeys(FAULTS, ("delivered", ""))
        assert Counter(asked) == dict.fromkeys(FAULTS, 2)
        assert {row.attempts for row in look(engine)} == {2}
        assert paths == {"/in"}

    run(test())
