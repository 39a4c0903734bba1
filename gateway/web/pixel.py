"""GET <prefix>pixel.gif: counts the view of a page that does not pass the gateway and runs no script.

The page is the one that shows it, by the Referer header; `?topic=` names its topic. Without consent the same picture comes,
and nothing is recorded.
"""

from urllib.parse import parse_qsl, urlsplit

from gateway.analytics.visit import NAME as VISIT
from gateway.analytics.visit import new_id
from gateway.config import Site
from gateway.consent.decision import Decision
from gateway.event import DropReason
from gateway.flows.view import open_view, record_view
from gateway.hit import Hit
from gateway.web.collecting import Receive, Send
from gateway.web.reply import reply
from gateway.web.request import VisitorRequest
from gateway.web.response import Desk

# One transparent pixel: https://www.w3.org/Graphics/GIF/spec-gif89a.txt
GIF = bytes.fromhex("4749463839610100010080000000000000000021f90401000000002c00000000010001000002024401003b")
GIF_TYPE = b"image/gif"
TOPIC_LETTERS = 500


def path_of(page: str) -> str:
    """Path and query of a page's address, as the gate would have seen them."""
    try:
        parts = urlsplit(page)
    except ValueError:
        return "/"
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


class Pixel:
    """Answers for one worker."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def answer(
        self, request: VisitorRequest, site: Site, decision: Decision, now: float, _receive: Receive, send: Send
    ) -> None:
        """The picture, with the visit's cookie where it is due."""
        cookie = self._count(request, site, decision, now) if decision.counts and request.method == "GET" else ""
        await reply(send, 200, GIF, GIF_TYPE, cookies=[cookie] if cookie else [])

    def _count(self, request: VisitorRequest, site: Site, decision: Decision, now: float) -> str:
        """Count the view of the page that shows it; the Set-Cookie value that is due."""
        parts, page = self._desk.parts, request.header(b"referer")
        if not request.same_origin or not page:
            parts.counters.add(now, site.id, "dropped", DropReason.NO_PAGE.value)
            return ""
        # Where the page's visitor came from nobody knows: the page itself is no source.
        hit = Hit(
            now,
            site.id,
            request.host,
            path_of(page),
            request.client,
            request.user_agent,
            page,
            request.languages,
            view_id=new_id(),
            prefetch=request.prefetch,
            hints=request.hints,
        )
        name = self._desk.cookie_name(VISIT, request, site)
        before = self._desk.visits.read(request, name)
        view = open_view(hit, decision, before, name, site, parts, secure=request.secure)
        topic = dict(parse_qsl(request.query)).get("topic", "")[:TOPIC_LETTERS]
        record_view(view, topic, decision, site, parts)
        return view.set_cookie
