"""The content policy as a header: worked out once for a site, host, decision and scheme, and remembered as it goes out."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.config import Site
from gateway.consent.csp import SCRIPTS, STYLES, build_csp, find_nonce
from gateway.consent.decision import UNDECIDED, Decision
from gateway.consent.whole_page import Rewritten
from gateway.web.caching import CONTROL, SHARED
from gateway.web.request import VisitorRequest

MAX_REMEMBERED: Final = 512
ENFORCE: Final = b"content-security-policy"
REPORT: Final = b"content-security-policy-report-only"
# Scripts that have a policy of their own, from their own answer, whatever page they are started by.
OUTLASTS: Final = (
    b"serviceworker"  # lives on after the page and after a withdrawal, with the policy that it was installed under
)
WORKERS: Final = frozenset((b"worker", b"sharedworker", OUTLASTS))

Header = tuple[bytes, bytes]
Key = tuple[str, str, str, str]


class ContentPolicies:
    """The headers of one worker's sites. `reports` is the path that browsers tell violations to."""

    def __init__(self, reports: str) -> None:
        self._reports = reports
        self._remembered: dict[Key, list[Header]] = {}

    def find(self, request: VisitorRequest, site: Site, decision: Decision) -> list[Header]:
        """The header of a page or worker, in a list that is empty where the site wants none. Not to be changed."""
        if request.headers.get(b"sec-fetch-dest") == OUTLASTS:
            decision = UNDECIDED
        key = (site.id, request.host, decision.key, request.scheme)
        found = self._remembered.get(key)
        if found is None:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[key] = self._build(request, site, decision)
        return found

    def put_on_script(self, message: dict[str, Any], request: VisitorRequest, site: Site, own: list[Header]) -> None:
        """Complete the head of a script. One that is started as a worker has the visitor's policy, `own`, and nobody keeps it
        for longer than the choice holds; any other the strictest, since a browser may start a worker from a copy that it has
        kept of a script that was none. On a cache-safe site all have that of its pages."""
        headers, worker = message["headers"], request.headers.get(b"sec-fetch-dest") in WORKERS
        if site.config.cache_safe or not enforces(site):
            message["headers"] = [*headers, *own] if worker or site.config.cache_safe else headers
        elif not worker:
            message["headers"] = [*headers, *self.find(request, site, UNDECIDED)]
        else:
            kept = [header for header in headers if not (header[0] in SHARED or header[0].endswith(CONTROL))]
            message["headers"] = [*kept, *own, (CONTROL, b"private, no-store")]

    def _build(self, request: VisitorRequest, site: Site, decision: Decision) -> list[Header]:
        if site.config.csp == "off":
            return []
        value = build_csp(
            site.policy,
            decision,
            (request.host, *site.config.hosts),
            secure=request.scheme == "https",
            extra=site.config.csp_extra,
            report=self._reports,
        )
        return [(ENFORCE if enforces(site) else REPORT, value.encode("latin-1"))]


def enforces(site: Site) -> bool:
    """Whether browsers are told to refuse, and not only to report. A site that only observes refuses nothing."""
    return site.enforce and site.config.csp == "enforce"


def everything(site: Site) -> Decision:
    """All that the policy names: for pages that are the same for everybody, whoever has granted what."""
    purposes = tuple(sorted(site.policy.scopes))
    return Decision(frozenset(purposes), True, "", 0, purposes, ",".join(purposes), services=site.policy.services)


def add_nonce_to_head(page: Rewritten, head: str, headers: Sequence[Header]) -> Rewritten:
    """A remembered page whose first script (`head`, where it has one) carries such a nonce."""
    if not head or not any(name == ENFORCE and b"'nonce-" in value for name, value in headers):
        return page
    script = head.encode()
    return msgspec.structs.replace(page, before=page.before.replace(script, add_nonce(script, headers), 1))


def add_nonce(snippet: bytes, headers: Sequence[Header]) -> bytes:
    """Our scripts and style with the nonces by which the site's own policy knows what it wrote, where it uses any."""
    policies = [value for name, value in headers if name == ENFORCE]
    if not policies:
        return snippet
    for tag, kinds in ((b"<script ", SCRIPTS), (b"<link ", STYLES)):
        nonce = next(filter(None, (find_nonce(policy, kinds) for policy in policies)), b"")
        if nonce:
            snippet = snippet.replace(tag, b'%bnonce="%b" ' % (tag, nonce))
    return snippet
