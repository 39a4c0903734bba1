"""The visit: a run of events at most 30 minutes apart, carried in a signed cookie of the visitor's own.

Kept in the browser rather than in a worker's memory, a visit is right across workers, nodes and restarts, and is never
split by the clock. The cookie exists only with analytics consent. It is written anew when a thirtieth of the time-out has
passed (with half an hour: a minute), not with each event, so silence is measured to that.
"""

import os
import re
from base64 import urlsafe_b64encode
from hashlib import blake2b
from typing import Final

from gateway.frozen import Frozen
from gateway.signing import TokenSigner

NAME = "gw_visit"
LIFETIME_SECONDS = 86_400
ID_LETTERS, IDS_AT_ONCE = 22, 64
CLOCKS_APART_SECONDS: Final = 120  # at most: so long before its visit's start an event can seem to lie
RENEWALS: Final = 30  # of the cookie, within one time-out
_FORM = re.compile(
    r"1~([a-z0-9_-]{1,32})~([A-Za-z0-9_-]{22})~([0-9]{1,12})~([0-9]{1,12})~([A-Za-z0-9_-]{0,22})"
    r"(?:~([A-Za-z0-9_-]{11}))?\Z"
)


class Visit(Frozen, frozen=True):
    """A visit's id, start and last activity (epoch seconds, whole).

    `pending` is the id of a view that was already counted from the form post by which the visitor accepted; the page
    that follows the redirect is that same view, and `page` (a mark of its address) tells it from one in another tab.
    """

    site: str
    id: str
    started_at: int
    last_at: int
    pending: str = ""
    page: str = ""


class _Ids:
    """Random ids, made from random bytes that are asked of the system for many at once; a forked process asks anew."""

    def __init__(self) -> None:
        self._ready: list[str] = []
        os.register_at_fork(after_in_child=self._ready.clear)

    def take(self) -> str:
        """22 letters of base64url, 132 random bits; none is given twice, in whatever thread."""
        try:
            return self._ready.pop()
        except IndexError:
            letters = urlsafe_b64encode(os.urandom(ID_LETTERS * IDS_AT_ONCE * 6 // 8)).decode("ascii")
            first, *others = (letters[at : at + ID_LETTERS] for at in range(0, len(letters), ID_LETTERS))
            self._ready += others
            return first


new_id = _Ids().take


def continue_visit(visit: Visit | None, site: str, now: float, timeout_seconds: float) -> Visit:
    """The visit that an event at `now` belongs to: the given one, or a new one after the time-out."""
    if visit is None or visit.site != site or not -CLOCKS_APART_SECONDS <= now - visit.last_at <= timeout_seconds:
        return Visit(site, new_id(), int(now), int(now))
    return Visit(site, visit.id, visit.started_at, max(int(now), visit.last_at))


def is_due(visit: Visit, before: Visit | None, timeout_seconds: float) -> bool:
    """Whether the browser has to be given this visit, having the one before."""
    if before is None or before.id != visit.id or before.pending or visit.pending:
        return True
    return visit.last_at - before.last_at >= timeout_seconds / RENEWALS


def encode_visit(visit: Visit, signer: TokenSigner) -> str:
    """The cookie's value."""
    text = f"1~{visit.site}~{visit.id}~{visit.started_at}~{visit.last_at}~{visit.pending}"
    if visit.page:
        text += f"~{visit.page}"
    return signer.sign(text.encode())


def read_visit(value: str, signer: TokenSigner) -> Visit | None:
    """The visit in a cookie that we signed, or None for anything else."""
    payload = signer.read(value) if value and len(value) < 300 else None
    match = _FORM.match(payload.decode()) if payload else None
    if match is None:
        return None
    site, visit_id, started, last, pending, page = match.groups()
    return Visit(site, visit_id, int(started), int(last), pending, page or "")


def mark_page(url: str) -> str:
    """A page's address (path and query) in eleven letters: enough to tell the tabs of one browser apart."""
    return urlsafe_b64encode(blake2b(url.encode(), digest_size=8).digest())[:11].decode("ascii")
