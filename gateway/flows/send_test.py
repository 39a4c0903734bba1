"""A test event to one destination: an invented page view of nobody, and what came back."""

import asyncio
from collections.abc import Sequence

from gateway.destinations.base import Dead, Delivered, Destination, OutgoingRequest, Telling, Verdict
from gateway.destinations.sender import Sender
from gateway.errors import DestinationError
from gateway.event import PAGE_VIEW, Event, Person
from gateway.flows.lane import UNBUILDABLE, Lane, converse, get_credentials

TEST_PATH = "/gateway-test"
TEST_EMAIL = "gateway-test@example.org"
NOBODY = "0" * 32


def send_test(destination: Destination, site: str, event_id: str, now: float) -> Verdict:
    """Send it as any other event would be, checks of address and credentials included; blocks until there is a verdict."""
    return asyncio.run(_send(destination, site, event_id, now))


async def _send(destination: Destination, site: str, event_id: str, now: float) -> Verdict:
    event = Event(
        at=now,
        site=site,
        kind=next(iter(destination.config.events), PAGE_VIEW),
        path=TEST_PATH,
        visitor=0,
        visit_id="test",
        visit_started_at=now,
        view_id="test",
    )
    person = Person(TEST_EMAIL, dict.fromkeys(destination.config.cookies, "0")) if destination.knows_people else None
    async with Sender(allow_private=destination.config.allow_private, connections=1) as sender:
        lane = Lane(destination, sender)
        ready = await get_credentials(lane, now)
        if not isinstance(ready, Delivered):
            return ready
        try:
            request: OutgoingRequest = destination.build_test(Telling(event_id, event, NOBODY, person), now)
        except DestinationError:
            return Dead(UNBUILDABLE)
        judged = await converse(lane, request, now)
        return judged[0] if isinstance(judged, Sequence) else judged
