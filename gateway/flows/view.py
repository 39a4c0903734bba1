"""A page view as the server sees it: its id, the visit it belongs to, and whether it is counted.

The visit's cookie has to be known before the page's first byte goes out, the topic only when the page has been read; so
a view is opened first and recorded later.
"""

from typing import Final

import msgspec

from gateway.analytics.visit import LIFETIME_SECONDS, Visit, continue_visit, encode_visit, is_due, mark_page
from gateway.config import Site
from gateway.consent.cookies import build_set_cookie
from gateway.consent.decision import Decision
from gateway.errors import JournalFull
from gateway.event import NOT_FOUND, DropReason, Told
from gateway.flows.collect import find_reason, record
from gateway.flows.count_dropped import count_dropped
from gateway.flows.parts import Parts
from gateway.hit import Hit

PENDING_SECONDS: Final = 60
LOST: Final = (404, 410)


class PageView:
    """An opened view. `visit` is None when nothing is counted; `set_cookie` carries the visit where the browser has to be
    given it anew. Written out, as a hit is."""

    def __init__(self, id: str, hit: Hit | None = None, visit: Visit | None = None, set_cookie: str = "") -> None:
        self.id: Final = id
        self.hit: Final = hit
        self.visit: Final = visit
        self.set_cookie: Final = set_cookie


def open_view(
    hit: Hit, decision: Decision, before: Visit | None, cookie_name: str, site: Site, parts: Parts, *, secure: bool
) -> PageView:
    """Open the view of a page that is about to be shown to a visitor who granted analytics.

    `hit` has an id for the view, `before` is the visit that the browser carries, if any.
    """
    timeout = parts.config.settings.analytics.visit_minutes * 60
    visit = continue_visit(before, site.id, hit.at, timeout)
    reason = find_reason(hit, decision, visit, parts)
    if reason is not None:
        count_dropped(hit, reason, parts)
        # A page fetched ahead may be shown later without our knowing: without an id its script reports it then.
        return PageView("" if reason is DropReason.PREFETCH else hit.view_id)
    waiting = keep_pending(visit, before, hit.at)
    if waiting.pending and waiting.page == mark_page(hit.url):  # counted when the form was posted
        return PageView(waiting.pending, set_cookie=visit_cookie(visit, cookie_name, site, parts, secure=secure))
    visit = waiting
    due = is_due(visit, before, timeout)
    return PageView(
        hit.view_id, hit, visit, visit_cookie(visit, cookie_name, site, parts, secure=secure) if due else ""
    )


def keep_pending(visit: Visit, before: Visit | None, at: float) -> Visit:
    """The visit that goes on, with the view that still waits for its page: for a minute since the acceptance, with which the
    visit began, whatever other tabs do meanwhile."""
    if before is None or not before.pending or before.id != visit.id or at - visit.started_at > PENDING_SECONDS:
        return visit
    return msgspec.structs.replace(visit, pending=before.pending, page=before.page)


def find_view(hit: Hit, status: int, site: Site, parts: Parts) -> Hit | None:
    """What a page counts as by its status: a view, an event where it does not exist (with the page that led there), nothing."""
    if 200 <= status < 300:
        return hit
    if status not in LOST or not parts.config.settings.analytics.automatic.not_found:
        return None
    own = frozenset((hit.host, *site.config.hosts))
    led = parts.masker.referrer(hit.referrer, own)
    host, slash, path = led.partition("/")
    led = slash + path if host in own else led
    return hit.as_event(NOT_FOUND, {"from": led} if led else {}, Told(status=str(status)))


def record_view(view: PageView, topic: str, decision: Decision, site: Site, parts: Parts) -> None:
    """Count an opened view; a journal that takes nothing costs the count, never the page."""
    if view.hit is None or view.visit is None:
        return
    view.hit.topic = topic or view.hit.topic
    try:
        record(view.hit, decision, view.visit, site, parts)
    except JournalFull:
        parts.counters.add(view.hit.at, site.id, "dropped", DropReason.FAULT.value)


def visit_cookie(visit: Visit, name: str, site: Site, parts: Parts, *, secure: bool) -> str:
    """The Set-Cookie value that carries a visit."""
    value = encode_visit(visit, parts.signers.visit)
    domain = site.config.cookie_domain
    return build_set_cookie(name, value, max_age=LIFETIME_SECONDS, secure=secure, domain=domain)
