"""The addresses to which other makers' clients post: Plausible's, Umami's and Matomo's, each switched on by itself.

In a browser before the gateway the visitor's own choice decides, and page views are left out, for the gateway counts them
itself. From a server a key decides, under the consent that its holder asserts (`server_events`). Clients are told of a success
in any case, in the words of their own servers: what they can do nothing about shall break nothing.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from gateway.config import Site
from gateway.consent.decision import Decision
from gateway.errors import BadRequest
from gateway.event import NOT_FOUND, PAGE_VIEW, DropReason
from gateway.flows.collect_told import ToldHit
from gateway.settings import ClientsConfig
from gateway.web.body import read_body
from gateway.web.client_event import ClientEvent
from gateway.web.collecting import DROPPED, Collecting
from gateway.web.matomo_body import Bulk, decode_bulk, decode_matomo, read_fields
from gateway.web.pixel import GIF, GIF_TYPE
from gateway.web.plausible_body import decode_plausible
from gateway.web.reply import JSON, reply
from gateway.web.report_body import Report
from gateway.web.request import VisitorRequest
from gateway.web.response import Desk
from gateway.web.server_events import ServerEvents, claim_headers
from gateway.web.umami_body import decode_umami

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Handler = Callable[[VisitorRequest, Site, Decision, float, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

PLAUSIBLE_PATH, UMAMI_PATH, MATOMO_PATHS = "/api/event", "/api/send", ("/matomo.php", "/piwik.php")
BULK_BYTES, BULK_REQUESTS = 1_048_576, 500  # of many events at once
UMAMI_DROPPED = b'{"beep":"boop"}'  # what Umami's server says to a robot


class Asking(NamedTuple):
    """A request, and what is known of whose it is."""

    request: VisitorRequest
    site: Site
    decision: Decision
    now: float


class Clients:
    """Answers such posts for one worker."""

    def __init__(self, desk: Desk, collecting: Collecting, servers: ServerEvents) -> None:
        self._parts, self._collecting, self._servers = desk.parts, collecting, servers
        self._limit = desk.parts.config.settings.limits.body_bytes

    def routes(self) -> dict[str, dict[str, Handler]]:
        """What is answered for each of PATHS, by path and method."""
        matomo: dict[str, Handler] = {"GET": self._answer_matomo, "POST": self._answer_matomo}
        return {
            PLAUSIBLE_PATH: {"POST": self._answer_plausible},
            UMAMI_PATH: {"POST": self._answer_umami},
            **dict.fromkeys(MATOMO_PATHS, matomo),
        }

    async def _answer_plausible(
        self, request: VisitorRequest, site: Site, decision: Decision, now: float, receive: Receive, send: Send
    ) -> None:
        """202 and `ok`, with a header where nothing was recorded."""
        told = decode_plausible(await read_body(request, receive, self._limit))
        told = claim_headers(told, request) if told else None
        headers = await self._tell(told, "", Asking(request, site, decision, now), b"x-plausible-dropped")
        await reply(send, 202, b"ok", headers=headers)

    async def _answer_umami(
        self, request: VisitorRequest, site: Site, decision: Decision, now: float, receive: Receive, send: Send
    ) -> None:
        """200 and JSON; a visit is known by our own cookie, so there is no token that the client would have to send again."""
        told, shown = decode_umami(await read_body(request, receive, self._limit))
        headers = await self._tell(told, shown, Asking(request, site, decision, now), DROPPED)
        await reply(send, 200, UMAMI_DROPPED if (DROPPED, b"1") in headers else b"{}", JSON, headers=headers)

    async def _answer_matomo(
        self, request: VisitorRequest, site: Site, decision: Decision, now: float, receive: Receive, send: Send
    ) -> None:
        """A picture, or nothing where none is wanted; for several at once their numbers."""
        asking, fields = Asking(request, site, decision, now), read_fields(request.query)
        if request.method == "POST":
            body = await read_body(request, receive, BULK_BYTES)
            if body.lstrip()[:1] == b"{":
                await self._answer_bulk(decode_bulk(body), asking, send)
                return
            fields |= read_fields(body.decode("utf-8", "replace"))
        told = decode_matomo(fields) if request.method != "HEAD" else None
        headers = await self._tell(told, fields.get("token_auth", ""), asking, DROPPED)
        if fields.get("send_image") == "0":
            await reply(send, 204, headers=headers)
        else:
            await reply(send, 200, GIF, GIF_TYPE, headers=headers)

    async def _answer_bulk(self, bulk: Bulk, asking: Asking, send: Send) -> None:
        """What cannot be taken is counted and named by its place; all else is taken, or nothing is."""
        if len(bulk.requests) > BULK_REQUESTS:
            raise BadRequest(413, "too_large", f"at most {BULK_REQUESTS} requests are wanted at once")
        lines = [read_fields(line) for line in bulk.requests]
        shown = bulk.token_auth or next((line["token_auth"] for line in lines if line.get("token_auth")), "")
        key = await self._servers.admit(asking.request, shown, asking.now)
        if key is None:
            _refuse_foreign(asking.request)
        told: list[ClientEvent | None] = []
        hits: list[ToldHit] = []
        invalid: list[int] = []
        for number, line in enumerate(lines):
            try:
                one = decode_matomo(line)
                told.append(one)
                if key is not None and one is not None:
                    hits.append(self._servers.judge(one, key, asking.request, asking.now))
            except BadRequest as error:
                self._parts.counters.add(asking.now, asking.site.id, "refused_request", error.reason)
                invalid.append(number)
        if key is not None:
            await self._servers.take(hits, key)
            headers: Headers = []
        else:
            headers = await self._take(told, asking, DROPPED)
        counts = {"status": "success", "tracked": len(lines) - len(invalid), "invalid": len(invalid)}
        more = {"invalid_indices": invalid} if key is not None else {}
        await reply(send, 200, msgspec.json.encode(counts | more), JSON, headers=headers)

    async def _tell(self, told: ClientEvent | None, shown: str, asking: Asking, dropped: bytes) -> Headers:
        """Take one event by whichever way it comes; `dropped` names the header that says that nothing was recorded."""
        key = await self._servers.admit(asking.request, shown, asking.now)
        if key is None:
            return await self._take([told], asking, dropped)
        hits = [self._servers.judge(told, key, asking.request, asking.now)] if told else []
        return [] if any(await self._servers.take(hits, key)) else [(dropped, b"1")]

    async def _take(self, told: Sequence[ClientEvent | None], asking: Asking, dropped: bytes) -> Headers:
        """Take what a browser tells, with its visitor's consent; the answer's headers."""
        request, site, decision, now = asking
        _refuse_foreign(request)
        headers: Headers = [(dropped, b"1")]
        if not decision.counts:
            self._parts.counters.add(now, site.id, "dropped", DropReason.NO_CONSENT.value)
            return headers
        visit = before = self._collecting.read_visit(request, site)
        for report in (one.report for one in told if one is not None and not _is_counted(one.report)):
            stored, found = self._collecting.take(report, visit, request, site, decision, now)
            fault = await stored if stored is not None else None
            if stored is not None:
                headers = self._collecting.headers(dropped, stored, fault, found, before, request, site)
                visit = found
        return headers


def _is_counted(report: Report) -> bool:
    """Whether the gateway counts the same by itself."""
    return report.k == PAGE_VIEW or report.name == NOT_FOUND


def _refuse_foreign(request: VisitorRequest) -> None:
    if not request.same_origin:
        raise BadRequest(403, "cross_site", "events are taken from the site's own pages, or with a key")


def client_paths(clients: ClientsConfig) -> frozenset[str]:
    """The paths that are switched on, and so no longer the site's own."""
    found = set(clients.plausible_scripts)
    found |= {PLAUSIBLE_PATH} if clients.plausible else set()
    found |= {UMAMI_PATH} if clients.umami else set()
    return frozenset(found | set(MATOMO_PATHS) if clients.matomo else found)
