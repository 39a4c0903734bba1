"""What a request's Cookie header means: the decision, and what of the header the site may see. Worked out once for a header."""

import logging
from typing import Final

import msgspec

from gateway.analytics.visit import Visit, read_visit
from gateway.config import Site
from gateway.consent.cookies import cut_to, expire_cookies, find_kept, paths_above
from gateway.consent.decision import UNDECIDED, Decision
from gateway.consent.foreign_choices import find_refusal
from gateway.flows.decide import QUARTER_SECONDS, Decider
from gateway.frozen import Frozen
from gateway.policy import UNKNOWN
from gateway.signing import TokenSigner
from gateway.web.request import VisitorRequest

log = logging.getLogger("gateway.carried")

REMEMBERED: Final = 4096
MAX_REMEMBERED: Final = 4096  # bytes of one header

EXPIRING_BYTES = 2048  # of a page's head

Header = tuple[bytes, bytes]
Key = tuple[str, str, float, bool, bytes]


class Carried(Frozen, frozen=True):
    """A header judged. `left` is what the site gets of it; `refused` are the cookies without consent, by name and purpose."""

    decision: Decision
    left: bytes = b""
    refused: tuple[tuple[str, str], ...] = ()
    known: bool = True  # whether a decision could be made; a fault holds back, but deletes nothing

    def expire(self, request: VisitorRequest) -> list[Header]:
        """Headers that take the refused cookies of known services out of the browser, where scripts or other hosts of the
        domain have put them; what no service names is not ours to delete."""
        if not self.known:
            return []
        known = [
            name for name, purpose in self.refused if purpose != UNKNOWN and name.isprintable() and ";" not in name
        ]
        lines = expire_cookies(known, request.host, secure=request.secure)
        lines += expire_cookies(known, request.host, secure=request.secure, paths=paths_above(request.path))
        return [(b"set-cookie", line.encode("latin-1", "replace")) for line in cut_to(lines, EXPIRING_BYTES)]


NOTHING: Final = Carried(UNDECIDED)


class VisitReader:
    """Reads the visits in one worker's requests; a header in which there is one is remembered by its bytes too."""

    def __init__(self, signer: TokenSigner) -> None:
        self._signer = signer
        self._remembered: dict[tuple[str, bytes], Visit] = {}

    def read(self, request: VisitorRequest, name: str) -> Visit | None:
        """The visit in the cookie of this name; None for anything that we did not sign."""
        header = request.headers.get(b"cookie")
        if not header:
            return None
        key = (name, header)
        visit = self._remembered.get(key)
        if visit is None:
            visit = read_visit(request.cookie(name), self._signer)
            if visit is not None and len(header) <= MAX_REMEMBERED:
                if len(self._remembered) >= REMEMBERED:
                    self._remembered.clear()
                self._remembered[key] = visit
        return visit


class CookieReader:
    """Judges the Cookie headers of one worker's requests. On a site that only observes, refused cookies stay in.

    A browser sends the same header with each request until a cookie changes, so headers are remembered by their bytes: for
    as long as the decision in them is (a quarter of an hour), and only those with a choice that we signed, since whatever
    a visitor invents must not fill the memory. Withdrawal is asked each time.
    """

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._remembered: dict[Key, Carried] = {}

    def read(self, request: VisitorRequest, site: Site, name: str, now: float) -> Carried:
        """What a request carries; `name` is that of the consent cookie. Never raises for anything a visitor sent."""
        header = request.headers.get(b"cookie")
        if not header:
            return NOTHING
        key = (site.id, name, now // QUARTER_SECONDS, request.objects(site.config.signals), header)
        carried = self._remembered.get(key)
        if carried is not None and self._holds(carried.decision):
            return carried
        decision = self._decide(request, site, name, now)
        carried = self._judge(header, decision or UNDECIDED, site)
        if decision is None:
            return msgspec.structs.replace(carried, known=False)
        if carried.decision.chosen and not carried.decision.elsewhere and len(header) <= MAX_REMEMBERED:
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = carried
        return carried

    def read_undecided(self, request: VisitorRequest, site: Site) -> Carried:
        """What a request carries for a site whose pages are the same for everybody: as if nothing had been granted."""
        header = request.headers.get(b"cookie")
        return self._judge(header, UNDECIDED, site) if header else NOTHING

    def _judge(self, header: bytes, decision: Decision, site: Site) -> Carried:
        left, refused = find_kept(header, site.policy, decision, enforce=site.enforce)
        return Carried(decision, left, tuple(refused))

    def _holds(self, decision: Decision) -> bool:
        try:
            return self._decider.holds(decision)
        except Exception:  # the edge, as below, where it is said why
            return False

    def _decide(self, request: VisitorRequest, site: Site, name: str, now: float) -> Decision | None:
        """The decision for this request. None when it cannot be made: nothing optional happens and the page is served."""
        try:
            cookie = request.cookie(name)
            if not cookie and site.config.honour_refusals:
                return find_refusal(request.headers[b"cookie"]) or UNDECIDED
            return self._decider.decide(cookie, site, now, gpc=request.objects(site.config.signals))
        except Exception:  # the edge: whatever fails here must not take the site down
            log.exception("no decision could be made; serving without anything optional")
            return None
