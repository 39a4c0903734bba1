"""The gate every request passes: decide on the way in, hold back and insert on the way out.

Pure ASGI and read straight from the scope, since each page of the site goes through here. Our own addresses (under the
prefix) are answered by `web/public`; everything else goes to the inner app with a gated `send`.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.config import Config, Site
from gateway.consent.consent_cookie import NAME as CONSENT
from gateway.consent.decision import UNDECIDED, Decision
from gateway.flows.decide import Decider
from gateway.web.encoding import readable_encodings
from gateway.web.public import Public
from gateway.web.request import Headers, RequestReader, VisitorRequest
from gateway.web.response import Desk, GatedResponse

log = logging.getLogger("gateway.middleware")

Scope = Any
Message = Any
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# A page that we are going to change must come whole and readable: no "you have it already", no part of it.
CONDITIONAL = frozenset((b"if-none-match", b"if-modified-since", b"if-range", b"range"))
# Ways by which an app has the server send a file that we never see.
SHORT_CUTS = frozenset(("http.response.pathsend", "http.response.zerocopysend"))


class ConsentGate:
    """ASGI middleware around the inner app of a front worker. Opened and closed by the composition root."""

    def __init__(self, app: App, desk: Desk, decider: Decider, reader: RequestReader, public: Public) -> None:
        self._app, self._desk, self._decider = app, desk, decider
        self._reader, self._public = reader, public
        self._config: Config = desk.parts.config
        self._prefix = self._config.settings.prefix
        self._enforce = desk.enforce

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        request = self._reader.read(scope)
        scope["gateway.client"] = request.client
        scope["gateway.scheme"] = request.scheme
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        site = self._config.find_site(request.host) or self._config.sites[0]
        now = self._desk.parts.clock()
        decision = self._decide(request, site, now)
        if request.path.startswith(self._prefix):
            await self._public.answer(request, site, decision, now, receive, send)
            return
        scope["gateway.consent"] = decision
        if self._enforce and _hinders(request.headers):
            scope = _for_page(scope)
        if not SHORT_CUTS.isdisjoint(scope.get("extensions") or ()):
            scope = _without_short_cuts(scope)
        gated = GatedResponse(self._desk, request, site, decision, now, send)
        try:
            await self._app(scope, receive, gated.send)
        finally:
            gated.close()

    def _decide(self, request: VisitorRequest, site: Site, now: float) -> Decision:
        """The decision for this request. When it cannot be made, nothing optional happens and the page is served."""
        name = self._desk.cookie_name(CONSENT, request, site)
        try:
            return self._decider.decide(request.cookie(name), site, now)
        except Exception:  # the edge: whatever fails here must not take the site down
            log.exception("no decision could be made; serving without anything optional")
            return UNDECIDED


def _hinders(headers: Headers) -> bool:
    """Whether a page is asked for in a way that would make it come in parts, unreadable, or not at all."""
    if b"text/html" not in headers.get(b"accept", b"text/html"):
        return False
    encodings = headers.get(b"accept-encoding")
    if encodings is not None and readable_encodings(encodings) != encodings:
        return True
    return not CONDITIONAL.isdisjoint(headers)


def _for_page(scope: Scope) -> Scope:
    """The scope with those request headers taken out or reduced to what can be read."""
    headers = [
        (name, readable_encodings(value) if name == b"accept-encoding" else value)
        for name, value in scope["headers"]
        if name not in CONDITIONAL
    ]
    return {**scope, "headers": headers}


def _without_short_cuts(scope: Scope) -> Scope:
    kept = {name: value for name, value in scope["extensions"].items() if name not in SHORT_CUTS}
    return {**scope, "extensions": kept}
