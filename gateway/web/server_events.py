"""Events that a server tells of with a key of the scope `collect`, in our own form or in that of another maker's client.

Its holder says for each event that the visitor has agreed; who has no key, or does not say so, is refused. Address, agent and
time are believed from it alone, and what it calls a visitor is used for the visitor key of the day and kept nowhere.
"""

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address

import msgspec

from gateway.analytics.device import screen_class
from gateway.analytics.screen import NO_AGENT, is_library
from gateway.analytics.visitor import GRACE_SECONDS, local_day
from gateway.api_keys import COLLECT, ApiKey
from gateway.config import Site
from gateway.errors import BadRequest, JournalFull
from gateway.event import PAGE_VIEW, Told, value_text
from gateway.flows.collect_told import Placed, ToldHit, place_told, record_told
from gateway.flows.parts import Parts
from gateway.hit import Hit
from gateway.policy import ANALYTICS
from gateway.web.api_access import ApiAccess, find_token
from gateway.web.client_event import Claim, ClientEvent, host_of, make_event, malformed
from gateway.web.request import VisitorRequest, host_name

AHEAD_SECONDS = 120
DAY = 86_400
CLAIMED = ("consent", "visitor", "ip", "agent", "language", "at")


class ServerEvents:
    """Takes the events of one worker's requests."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._access = parts, ApiAccess(parts.engine, COLLECT)

    async def admit(self, request: VisitorRequest, shown: str, now: float) -> ApiKey | None:
        """The key in a request's header, or else `shown` in its body; None without any. Raises BadRequest 401, 403, 429."""
        token = find_token(request.header(b"authorization")) or shown
        return await asyncio.to_thread(self._access.admit_token, token, now) if token else None

    def judge(self, told: ClientEvent, key: ApiKey, request: VisitorRequest, now: float) -> ToldHit:
        """What can be taken of it. Raises BadRequest for what cannot, and for what the key's holder has not asserted."""
        report, claim = told
        if claim.consent != ANALYTICS:
            wanted = f"wanted consent (gw_consent with other makers' clients) with the value {ANALYTICS!r}"
            raise BadRequest(403, "not_asserted", f"{wanted}: that this visitor has agreed to be counted")
        if not (claim.visitor or (claim.ip and claim.agent)):
            wanted = "wanted visitor (your own name for them), or else the address and the agent of their browser"
            raise BadRequest(400, "visitor", wanted)
        host = host_name(host_of(report.url).encode("ascii", "replace"))
        site = self._find_site(host or request.host, key)
        width = screen_class(report.width) if report.k == PAGE_VIEW else ""
        hit = Hit(
            _believe(claim, site, now),
            site.id,
            host or next(iter(site.config.hosts), request.host),
            report.url,
            _address(claim.ip),
            claim.agent or NO_AGENT,
            report.referrer,
            claim.language,
            PAGE_VIEW if report.k == PAGE_VIEW else report.name,
            report.view,
            report.topic,
            props={name: value_text(value) for name, value in report.props.items()},
            told=Told(screen=width) if width else report.told,
        )
        return ToldHit(hit, site, claim.visitor or f"{claim.ip} {claim.agent}")

    async def take(self, told: Sequence[ToldHit], key: ApiKey) -> list[bool]:
        """Record them; returns of each whether it was, once they are on disk. Raises BadRequest 503 where they cannot be."""
        try:
            return await self._record(told, key)
        except JournalFull as error:
            raise BadRequest(503, "journal_full", "events cannot be stored at the moment") from error

    async def _record(self, told: Sequence[ToldHit], key: ApiKey) -> list[bool]:
        placed = await asyncio.to_thread(place_told, told, self._parts)
        loop, waiting = asyncio.get_running_loop(), []
        for one in placed:
            if isinstance(one, Placed):
                stored: asyncio.Future[JournalFull | None] = loop.create_future()
                record_told(one, key, self._parts, stored.set_result)
                waiting.append(stored)
        for fault in await asyncio.gather(*waiting):
            if fault is not None:
                raise fault
        return [isinstance(one, Placed) for one in placed]

    def _find_site(self, host: str, key: ApiKey) -> Site:
        """The only site that a key is for, else the one whose host the page has. Raises BadRequest 403."""
        sites = self._parts.config.sites
        if len(key.sites) == 1:
            found = next((site for site in sites if site.id == key.sites[0]), None)
        else:
            found = self._parts.config.find_site(host)
        if found is None or not key.covers(found.id):
            raise BadRequest(403, "site", "the key is for no site with this page")
        return found


def decode_told(body: bytes) -> list[ClientEvent]:
    """The event in a body of our own form, or the list of them. Raises BadRequest 400, and then none of them can be taken."""
    try:
        found = msgspec.json.decode(body, type=dict[str, object] | list[dict[str, object]])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(str(error)) from error
    return [_decode(fields) for fields in (found if isinstance(found, list) else [found])]


def _decode(fields: dict[str, object]) -> ClientEvent:
    """A report, without a view's id if need be, with the fields of a claim."""
    if fields.get("k") not in (PAGE_VIEW, "event"):
        raise malformed("wanted page_view or event - at `$.k`")
    claim = {name: fields.pop(name) for name in CLAIMED if name in fields}
    return make_event({"v": None, **fields}, claim)


def claim_headers(told: ClientEvent, request: VisitorRequest) -> ClientEvent:
    """The same with address, agent and language out of the headers, where a client tells them there as Plausible's do: what
    the holder forwards of its visitor. An address that is the holder's own is none, nor is the agent of a library."""
    forwarded = request.header(b"x-forwarded-for").partition(",")[0].strip()
    agent = request.user_agent
    claim = msgspec.structs.replace(
        told.claim,
        ip="" if forwarded == request.client else forwarded,
        agent="" if is_library(agent) else agent,
        language=request.languages,
    )
    return told._replace(claim=claim)


def _believe(claim: Claim, site: Site, now: float) -> float:
    """When it happened: on the site's present day, or on the one before as long as that day's salt is there."""
    if not claim.at:
        return now
    zone = site.config.timezone
    sane = now - 2 * DAY < claim.at <= now + AHEAD_SECONDS
    if not sane or local_day(claim.at, zone) < local_day(now - GRACE_SECONDS, zone):
        raise BadRequest(400, "time", "wanted a time of the site's present day, at most two minutes ahead")
    return claim.at


def _address(text: str) -> str:
    try:
        return str(ip_address(text)) if text else ""
    except ValueError as error:
        raise BadRequest(400, "ip", "wanted an IP address at ip") from error
