"""The content policy of a page, made from what may act now: the browser itself refuses every other host, whatever a script of
the page tries.

One list for everything that can be fetched (`default-src`): the site's own origin and hosts, the hosts of necessary services
and of those that may act, and what leads to no host at all. The same hosts may be where a page's relative addresses lead
(`base-uri`, which has no default). Inline code stays the site's own affair, so it is not restricted.
A site's own policy is another header, and browsers do only what both allow: ours never makes it looser.
"""

import re
from collections.abc import Iterable, Sequence

from gateway.consent.decision import Decision
from gateway.policy import Policy, Service

EVERYWHERE = ("'self'", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:", "mediastream:")
_HOST = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\Z")
SCRIPTS = (b"script-src-elem", b"script-src", b"default-src")  # the first that stands in a policy is what counts
STYLES = (b"style-src-elem", b"style-src", b"default-src")
_NONCE = re.compile(rb"'nonce-([A-Za-z0-9+/_=-]{1,128})'")


def build_csp(
    policy: Policy, decision: Decision, own: Iterable[str], *, secure: bool, extra: Iterable[str] = (), report: str = ""
) -> str:
    """The header's value for pages of these own hosts under a decision.

    `secure` is whether the page itself comes over https; `extra` are sources that the operator adds; violations are told to
    the path `report`, unless it is empty.
    """
    hosts = [host for host in dict.fromkeys([*sorted(set(own)), *_allowed(policy, decision)]) if _HOST.match(host)]
    sockets = ("wss",) if secure else ("ws", "wss")
    sources = list(EVERYWHERE)
    for host in hosts:
        sources += [f"{host}:*", *(f"{socket}://{host}:*" for socket in sockets)]
    bases = ["'self'", *(f"{host}:*" for host in hosts), *extra]
    told = f"; report-uri {report}" if report else ""
    return f"default-src {' '.join([*sources, *extra])}; base-uri {' '.join(bases)}{told}"


def build_frame_csp(service: Service) -> str:
    """The header's value for a document of ours that holds one frame of a service, within a page of the site."""
    hosts = " ".join(f"{host.lower()}:*" for host in service.hosts if _HOST.match(host.lower()))
    return f"default-src 'none'; style-src 'self'; frame-src {hosts}; frame-ancestors 'self'; base-uri 'none'"


def _allowed(policy: Policy, decision: Decision) -> list[str]:
    """Hosts of the services that may act, in the policy's order."""
    return [
        host.lower()
        for service in policy.file.services
        if decision.allows_service(service.id, service.let_go_by)
        for host in service.hosts
    ]


def find_nonce(policy: bytes, kinds: Sequence[bytes] = SCRIPTS) -> bytes:
    """The nonce by which a site's own policy knows the scripts (or styles) that it wrote; empty when it uses none."""
    if b"'nonce-" not in policy:
        return b""
    lists: dict[bytes, bytes] = {}
    for directive in policy.replace(b",", b";").split(b";"):
        name, _, sources = directive.strip().partition(b" ")
        lists.setdefault(name.lower(), sources)
    found = _NONCE.search(next((lists[kind] for kind in kinds if kind in lists), b""))
    return found[1] if found else b""
