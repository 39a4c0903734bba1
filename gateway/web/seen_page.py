"""What is counted of a page that goes out: its view with consent, that its banner was shown, and what the exempt page counter
may count."""

from gateway.config import Site
from gateway.consent.consent_cookie import NAME
from gateway.consent.decision import Decision
from gateway.flows.count_consent import count_shown
from gateway.flows.count_page import count_page
from gateway.flows.parts import Parts
from gateway.flows.view import PageView, record_view
from gateway.web.request import VisitorRequest

CONSENT_COOKIE = f"{NAME}=".encode()  # under whichever prefix


def count_seen(
    request: VisitorRequest,
    status: int,
    view: PageView,
    topic: str,
    language: str,
    decision: Decision,
    site: Site,
    now: float,
    parts: Parts,
) -> None:
    """Count a page of this status, with its opened view, as its snippet is put into it."""
    document = request.is_document
    if document:
        count_shown(parts, now, site.id, language, decision, request.user_agent)
    record_view(view, topic, decision, site, parts)
    there = 200 <= status < 300 and document and request.method == "GET"
    if site.policy.page_counter and there and not request.gpc:
        said = CONSENT_COOKIE in request.headers.get(b"cookie", b"") or request.objects(site.config.signals)
        count_page(view.hit or request.hit(site.id, now), view, decision, site, parts, said=said)
