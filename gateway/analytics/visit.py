"""The visit: a run of events at most 30 minutes apart, carried in a signed cookie of the visitor's own.

Kept in the browser rather than in a worker's memory, a visit is right across workers, nodes and restarts, and is never
split by the clock. The cookie exists only with analytics consent.
"""

import re
import secrets

import msgspec

from gateway.signing import TokenSigner

NAME = "gw_visit"
LIFETIME_SECONDS = 86_400
_FORM = re.compile(r"1~([a-z0-9_-]{1,32})~([A-Za-z0-9_-]{22})~([0-9]{1,12})~([0-9]{1,12})~([A-Za-z0-9_-]{0,22})\Z")


class Visit(msgspec.Struct, frozen=True):
    """A visit's id, start and last activity (epoch seconds, whole).

    `pending` is the id of a view that was already counted from the form post by which the visitor accepted; the page
    that follows the redirect is that same view.
    """

    site: str
    id: str
    started_at: int
    last_at: int
    pending: str = ""


def new_id() -> str:
    """128 random bits, 22 characters."""
    return secrets.token_urlsafe(16)


def continue_visit(visit: Visit | None, site: str, now: float, timeout_seconds: float) -> Visit:
    """The visit that an event at `now` belongs to: the given one, or a new one after the time-out."""
    if visit is None or visit.site != site or not -120 <= now - visit.last_at <= timeout_seconds:
        return Visit(site, new_id(), int(now), int(now))
    return Visit(site, visit.id, visit.started_at, max(int(now), visit.last_at))


def encode_visit(visit: Visit, signer: TokenSigner) -> str:
    """The cookie's value."""
    text = f"1~{visit.site}~{visit.id}~{visit.started_at}~{visit.last_at}~{visit.pending}"
    return signer.sign(text.encode())


def read_visit(value: str, signer: TokenSigner) -> Visit | None:
    """The visit in a cookie that we signed, or None for anything else."""
    payload = signer.read(value) if value and len(value) < 300 else None
    match = _FORM.match(payload.decode()) if payload else None
    if match is None:
        return None
    site, visit_id, started, last, pending = match.groups()
    return Visit(site, visit_id, int(started), int(last), pending)
