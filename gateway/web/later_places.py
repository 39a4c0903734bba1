"""GET <prefix>placeholder?service=...: a placeholder for what a script put into a page and guard.js held there.

It is made of the policy and a size alone: of the address only the host is said, and only where no service names it.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from gateway.config import Site
from gateway.consent.decision import Decision
from gateway.consent.places import LARGEST, OWN_PATH, Place
from gateway.policy import NECESSARY
from gateway.web.body import read_query
from gateway.web.reply import HTML, reply
from gateway.web.request import VisitorRequest, host_name
from gateway.web.response import Desk

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class LaterPlaces:
    """Gives such placeholders for one worker."""

    def __init__(self, desk: Desk) -> None:
        self._placeholders = desk.snippets.placeholders

    async def answer(
        self, request: VisitorRequest, site: Site, _decision: Decision, _now: float, _receive: Receive, send: Send
    ) -> None:
        """One placeholder, with the style and form that it needs."""
        fields = {name: values[0] for name, values in read_query(request).items()}
        place = read_place(fields, site, request.host)
        body = self._placeholders.fragment(place, fields.get("lang", ""), site, request)
        await reply(send, 200, body, HTML)


def read_place(fields: dict[str, str], site: Site, own: str) -> Place:
    """The place that a script tells of; a service that cannot be allowed is none."""
    service = fields.get("service", "")
    if site.policy.services.get(service, NECESSARY) == NECESSARY:
        service = ""
    host = host_name(fields.get("host", "").encode("latin-1", "replace"))
    host = OWN_PATH if service and host in (own, *site.config.hosts) else host
    return Place(service, host, "", _pixels(fields, "width"), _pixels(fields, "height"), "wide" in fields)


def _pixels(fields: dict[str, str], name: str) -> int:
    text = fields.get(name, "")[:5]
    return min(int(text), LARGEST) if text.isascii() and text.isdigit() else 0
