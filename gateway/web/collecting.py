"""POST <prefix>collect: what the script reports. Answered 202 once it is on disk, and not before."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from gateway.analytics.visit import NAME as VISIT
from gateway.analytics.visit import Visit, continue_visit, is_due
from gateway.config import Site
from gateway.consent.decision import Decision
from gateway.errors import BadRequest, JournalFull
from gateway.event import ENGAGEMENT, DropReason, Event, Person, value_text
from gateway.flows.collect import collect
from gateway.flows.find_person import find_person
from gateway.flows.view import keep_pending, visit_cookie
from gateway.hit import Hit
from gateway.web.body import media_type, read_body
from gateway.web.reply import JSON, reply
from gateway.web.report_body import Report, decode_report
from gateway.web.request import VisitorRequest
from gateway.web.response import Desk
from gateway.web.server_events import ServerEvents, decode_told

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
DROPPED = b"x-gateway-dropped"
Stored = asyncio.Future[JournalFull | None]


class Collecting:
    """Answers collect posts for one worker."""

    def __init__(self, desk: Desk, servers: ServerEvents) -> None:
        self._desk, self._parts, self._servers = desk, desk.parts, servers
        settings = desk.parts.config.settings
        self._limit, self._timeout = settings.limits.body_bytes, settings.analytics.visit_minutes * 60
        self._destinations = desk.parts.config.destinations

    async def answer(
        self, request: VisitorRequest, site: Site, decision: Decision, now: float, receive: Receive, send: Send
    ) -> None:
        """One post: 202, with the visit's cookie where it is due; 403 without consent, 503 when the disk takes nothing."""
        body = await read_body(request, receive, self._limit)
        if b"authorization" in request.headers and await self._answer_server(body, request, now, send):
            return
        if not request.same_origin:
            raise BadRequest(403, "cross_site", "events are taken from the site's own pages only")
        if request.headers.get(b"content-type") != JSON and media_type(request) != "application/json":
            raise BadRequest(415, "media_type", "application/json is wanted")
        if not decision.counts:
            self._parts.counters.add(now, site.id, "dropped", DropReason.NO_CONSENT.value)
            await reply(send, 403, b"no consent for analytics")
            return
        before = self.read_visit(request, site)
        stored, visit = self.take(decode_report(body), before, request, site, decision, now)
        fault = await stored if stored is not None else None
        await _accept(send, self.headers(DROPPED, stored, fault, visit, before, request, site))

    async def _answer_server(self, body: bytes, request: VisitorRequest, now: float, send: Send) -> bool:
        """The same for the holder of a key; False where none is shown."""
        key = await self._servers.admit(request, "", now)
        if key is None:
            return False
        told = [self._servers.judge(one, key, request, now) for one in decode_told(body)]
        dropped = (await self._servers.take(told, key)).count(False)
        await _accept(send, [(DROPPED, b"%d" % dropped)] if dropped else [])
        return True

    def read_visit(self, request: VisitorRequest, site: Site) -> Visit | None:
        """The visit that the browser carries."""
        return self._desk.visits.read(request, self._desk.cookie_name(VISIT, request, site))

    def take(
        self, report: Report, before: Visit | None, request: VisitorRequest, site: Site, decision: Decision, now: float
    ) -> tuple[Stored | None, Visit | None]:
        """Hand a report's event over: what comes once it is on disk (None when it was dropped), and its visit."""
        visit = self._visit(report, before, site, now)
        person = find_person(report.email, request.cookie, decision, self._destinations) if report.email else None
        return self._record(_hit(report, request, site, now), decision, visit, site, person), visit

    def headers(
        self,
        dropped: bytes,
        stored: Stored | None,
        fault: JournalFull | None,
        visit: Visit | None,
        before: Visit | None,
        request: VisitorRequest,
        site: Site,
    ) -> list[tuple[bytes, bytes]]:
        """What an answer says of its event; raises BadRequest 503 where that could not be written."""
        if fault is not None:
            _refuse(fault)
        if stored is None:
            return [(dropped, b"1")]
        if visit is None or not is_due(visit, before, self._timeout):
            return []
        name = self._desk.cookie_name(VISIT, request, site)
        cookie = visit_cookie(visit, name, site, self._parts, secure=request.secure)
        return [(b"set-cookie", cookie.encode("latin-1"))]

    def _visit(self, report: Report, before: Visit | None, site: Site, now: float) -> Visit | None:
        """Views and events open or continue a visit; engagement only ever continues one."""
        if report.k == ENGAGEMENT and before is None:
            return None
        visit = continue_visit(before, site.id, now, self._timeout)
        if report.k == ENGAGEMENT and before is not None and visit.id != before.id:
            return None
        # A view that tells of itself waits no longer.
        return keep_pending(visit, before, now) if before is None or report.view != before.pending else visit

    def _record(
        self, hit: Hit, decision: Decision, visit: Visit | None, site: Site, person: Person | None
    ) -> Stored | None:
        """Hand the event over; what comes once it is on disk, or could not be written. None when it was dropped."""
        stored: Stored = asyncio.get_running_loop().create_future()
        try:
            event = collect(hit, decision, visit, site, self._parts, stored.set_result, person)
        except JournalFull as error:
            _refuse(error)
        return stored if isinstance(event, Event) else None


async def _accept(send: Send, headers: list[tuple[bytes, bytes]]) -> None:
    """A bare 202: nothing in it could be cached, sniffed or framed."""
    headers.append((b"content-length", b"0"))
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body"})


def _refuse(fault: JournalFull) -> NoReturn:
    raise BadRequest(503, "journal_full", "events cannot be stored at the moment") from fault


def _hit(report: Report, request: VisitorRequest, site: Site, now: float) -> Hit:
    """The fields in their order, as in `build_event`."""
    return Hit(
        now,
        site.id,
        request.host,
        report.url,
        request.client,
        request.user_agent,
        report.referrer,
        request.languages,
        report.name if report.k == "event" else report.k,
        report.view,
        report.topic,
        report.seq,
        report.engaged,
        {name: value_text(value) for name, value in report.props.items()},
        request.prefetch,
        report.told,
        request.hints,
    )
