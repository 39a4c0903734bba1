"""The strict stand-ins over HTTP, and a queue of one visitor's page views before them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from sqlalchemy import Engine

from gateway.demo.loopback import LoopbackServer
from gateway.event import Event
from gateway.receivers.rehearsal import Rehearsal
from tests.destinations.rows import grant, queue
from tests.flows.test_deliver import fresh


@contextmanager
def open_rehearsal(path: str, clock: Callable[[], float] = time.time) -> Iterator[tuple[Rehearsal, str]]:
    """All receivers, and the address of the one under `path`."""
    receivers = Rehearsal({}, clock=clock)
    server = LoopbackServer(receivers.app(), 0)
    server.start()
    try:
        yield receivers, f"http://127.0.0.1:{server.port}{path}"
    finally:
        server.stop()


def fill(engine: Engine, destination: str, consent_id: str, events: list[Event]) -> list[str]:
    """Queue these events of one visitor, in order; their ids."""
    grant(engine, consent_id)
    ids = [f"{consent_id}-{number}" for number in range(len(events))]
    for event_id, event in zip(ids, events, strict=True):
        payload = msgspec.json.encode(event)
        queue(engine, fresh(event_id, consent_id, destination=destination, payload=payload), now=time.time())
    return ids
