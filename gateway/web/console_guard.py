"""What every answer of the console carries, and from where the console may be opened at all."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import BadRequest

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-robots-tag": "noindex",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
NOT_HERE = (
    "Open the console over https, or on this machine as http://localhost:PORT, "
    "for example through: ssh -L PORT:localhost:PORT SERVER\n"
)


class ConsoleGuard:
    """Pure ASGI: adds the headers, and refuses plain http under any name but this machine's own.

    The refusal keeps passwords off the wire, and keeps a foreign site whose name is made to point at
    127.0.0.1 (DNS rebinding) from talking to the console.
    """

    def __init__(self, app: ASGIApp, trusted_proxies: Sequence[str] = ()) -> None:
        self._app = app
        self._trusted = [ip_network(network) for network in trusted_proxies]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if self._came_by_https(scope, headers):
            scope = {**scope, "scheme": "https"}
        app = self._app
        if scope["scheme"] != "https" and not is_loopback(headers.get("host", "")):
            app = PlainTextResponse(NOT_HERE, 421)
        await app(scope, receive, _with_headers(send))

    def _came_by_https(self, scope: Scope, headers: Headers) -> bool:
        if scope["scheme"] == "https":
            return True
        if headers.get("x-forwarded-proto") != "https":
            return False
        peer = _address(scope["client"][0]) if scope.get("client") else None
        return peer is not None and any(peer in network for network in self._trusted)


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine itself: localhost, 127.x.x.x or [::1], with or without port."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    return address is not None and address.is_loopback


def check_same_site(request: Request) -> None:
    """Raise BadRequest (403) unless the browser says that a page of this very origin sent the request.

    Under `Referrer-Policy: no-referrer` browsers send `Origin: null` with our own forms, so the word of
    `Sec-Fetch-Site`, which no page can forge, counts first.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    own = f"{request.url.scheme}://{request.headers.get('host', '')}"
    foreign = origin not in (None, "null", own)
    if foreign or (site != "same-origin" if site is not None else origin != own):
        raise BadRequest(403, "cross_site", "The request did not come from the console's own pages.")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return send_with_headers
