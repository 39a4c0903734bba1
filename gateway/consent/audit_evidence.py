"""What an audit saw: four phases of a visit, each in a fresh browser, and the banner. And what it concludes from that."""

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from gateway.consent.catalogue import Catalogue, CatalogueService, Storage
from gateway.consent.lifetimes import say_days
from gateway.consent.seen import SeenCookie, SeenKey, SeenRequest, is_own, without_query
from gateway.consent.seen_banner import SeenBanner
from gateway.policy import NECESSARY, UNKNOWN

Level = Literal["error", "warning", "notice"]
LEVELS: tuple[Level, ...] = ("error", "warning", "notice")
PhaseId = Literal["before", "refused", "accepted", "withdrawn"]


class Shot(msgspec.Struct, frozen=True):
    """A picture of a page, as JPEG."""

    title: str
    image: bytes


class Phase(msgspec.Struct, frozen=True):
    """One visit. `done` is whether its choice could be made, `trouble` why not, `clicks` how many that took; `again` are the
    banners that still showed on a later page; `statuses` how each page answered."""

    id: PhaseId
    done: bool
    pages: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    clicks: int = 0
    trouble: str = ""
    requests: tuple[SeenRequest, ...] = ()
    cookies: tuple[SeenCookie, ...] = ()
    keys: tuple[SeenKey, ...] = ()
    again: tuple[SeenBanner, ...] = ()
    shots: tuple[Shot, ...] = ()


class Evidence(msgspec.Struct, frozen=True):
    """A whole audit. `banners` are those of the first page, `layer` the one behind its settings button; `bare` is the
    banner with JavaScript off; `before_withdrawal` the cookies that were there when consent was taken back."""

    url: str
    host: str
    controller: str
    phases: tuple[Phase, ...]
    banners: tuple[SeenBanner, ...] = ()
    layer: SeenBanner | None = None
    bare: SeenBanner | None = None
    ways_back: tuple[str, ...] = ()
    before_withdrawal: tuple[SeenCookie, ...] = ()

    def phase(self, phase_id: PhaseId) -> Phase:
        """One of the four."""
        return next(phase for phase in self.phases if phase.id == phase_id)


class Finding(msgspec.Struct, frozen=True):
    """A rule that a site does not keep, how much that weighs, what is wrong, and the proof."""

    rule: str
    level: Level
    what: str
    proof: tuple[str, ...] = ()


class Trace(msgspec.Struct, frozen=True):
    """Something kept or sent, named: `purpose` is the catalogue's, or `unknown`. `days` is 0 for a session."""

    sort: str
    name: str
    owner: str
    purpose: str
    own: bool
    days: float
    detail: str
    page: str

    @property
    def optional(self) -> bool:
        """Whether somebody known put it there for a purpose that needs consent."""
        return self.purpose not in (NECESSARY, UNKNOWN)

    def say(self) -> str:
        """One line of proof."""
        owner = f" ({self.owner}, {self.purpose})" if self.owner else ""
        return f"{self.sort.replace('_', ' ')} {self.name}{owner}: {self.detail}; on {self.page}"


def name_traces(phase: Phase, site: str, catalogue: Catalogue) -> tuple[Trace, ...]:
    """Everything that a phase kept or sent to others, each thing once, in the catalogue's words."""
    found: dict[tuple[str, str, str], Trace] = {}
    for trace in (
        *_cookie_traces(phase.cookies, site, catalogue),
        *_key_traces(phase.keys, site, catalogue),
        *_request_traces(phase.requests, site, catalogue),
    ):
        found.setdefault((trace.sort, trace.name, trace.owner), trace)
    return tuple(found.values())


def name_cookies(cookies: Iterable[SeenCookie], site: str, catalogue: Catalogue) -> tuple[Trace, ...]:
    """Cookies alone."""
    return tuple(_cookie_traces(cookies, site, catalogue))


def _cookie_traces(cookies: Iterable[SeenCookie], site: str, catalogue: Catalogue) -> Iterator[Trace]:
    for cookie in cookies:
        own = is_own(cookie.domain, site)
        owner, purpose = _owner_of(cookie.name, "cookie", catalogue)
        if purpose == UNKNOWN and not own and (service := catalogue.find_by_url(cookie.domain)):
            owner, purpose = service.name, service.purpose
        kept = f"{say_days(cookie.days, 'en')}{', HttpOnly' if cookie.http_only else ''}"
        detail = f"{cookie.domain}, {kept}, set by {cookie.setter}"
        yield Trace("cookie", cookie.name, owner, purpose, own, cookie.days, detail, cookie.page)


def _key_traces(keys: Iterable[SeenKey], site: str, catalogue: Catalogue) -> Iterator[Trace]:
    for key in keys:
        kind: Storage = "local_storage" if key.kind == "local_storage" else "session_storage"
        owner, purpose = _owner_of(key.name, kind, catalogue)
        yield Trace(kind, key.name, owner, purpose, is_own(key.host, site), 0, key.host, key.page)


def _request_traces(requests: Iterable[SeenRequest], site: str, catalogue: Catalogue) -> Iterator[Trace]:
    for request in requests:
        service = catalogue.find_by_url(request.host, request.place)
        own = is_own(request.host, site)
        if own and service is None:
            continue
        owner, purpose = (service.name, service.purpose) if service else ("", UNKNOWN)
        yield Trace(
            "request",
            request.host,
            owner,
            purpose,
            own,
            0,
            f"{request.kind} {without_query(request.url)}",
            request.page,
        )


def _owner_of(name: str, kind: Storage, catalogue: Catalogue) -> tuple[str, str]:
    claim = catalogue.find_stored(name, kind)
    if claim is None:
        return "", UNKNOWN
    purpose = claim.owner.purpose if isinstance(claim.owner, CatalogueService) else NECESSARY
    return claim.owner.name, purpose
