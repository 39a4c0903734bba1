"""What heads carry to the browser, whatever answer they begin: cookies of a page, an image, the handshake of a WebSocket, and
redirects that are followed before anybody goes there."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gateway.config import Site
from gateway.consent.cookies import find_refused
from gateway.consent.decision import Decision
from gateway.consent.tag_gate import Held, TagGate
from gateway.flows.count_held import count_held
from gateway.flows.parts import Parts
from gateway.web.request import VisitorRequest

Header = tuple[bytes, bytes]
Send = Callable[[Any], Awaitable[None]]
# What a WebSocket is answered with: yes, or a refusal that is an answer like any other.
HANDSHAKES = frozenset(("websocket.accept", "websocket.http.response.start"))


def judge_cookies(
    headers: Sequence[Header], request: VisitorRequest, site: Site, decision: Decision, now: float, parts: Parts
) -> Sequence[Header]:
    """The headers (names in lower case) without refused cookies, which are noted and counted; while observing all of them."""
    refused = find_refused(headers, site.policy, decision)
    parts.sightings.note_cookies(now, site, request.path, headers, refused)
    held = [Held("cookie", name, purpose) for _, name, purpose in refused]
    count_held(parts, site, request.path, now, held)
    if not refused or not site.enforce:
        return headers
    gone = [header for header, _, _ in refused]
    return [header for header in headers if header not in gone]


def stop_ahead(message: Any, gate: TagGate, *, enforce: bool) -> list[Held]:
    """What was held of the head of an answer to a browser that fetches ahead: a redirect to a refused host, which no page's
    policy stops, becomes a failure that nobody keeps. Whoever goes there really is led on."""
    headers = message["headers"]
    places = [value.decode("latin-1") for name, value in headers if name == b"location"]
    held = [
        Held("redirect", place, purpose, service=service) for (purpose, service), place in gate.refuse(places).items()
    ]
    if held and enforce:
        message["status"] = 503
        kept = [(name, value) for name, value in headers if name not in (b"location", b"cache-control", b"expires")]
        message["headers"] = [*kept, (b"cache-control", b"no-store")]
    return held


def gate_handshake(
    request: VisitorRequest, site: Site, decision: Decision, now: float, parts: Parts, send: Send
) -> Send:
    """An ASGI `send` for a WebSocket, by which no refused cookie passes."""

    def gated(message: Any) -> Awaitable[None]:
        if message["type"] in HANDSHAKES and message.get("headers"):
            headers = [(name.lower(), value) for name, value in message["headers"]]
            message = {**message, "headers": judge_cookies(headers, request, site, decision, now, parts)}
        return send(message)

    return gated
