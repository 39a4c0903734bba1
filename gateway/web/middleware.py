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
from gateway.web.onward import pass_on
from gateway.web.public import GPC_PATH, Public
from gateway.web.request import RequestReader, VisitorRequest
from gateway.web.response import Desk, GatedResponse

log = logging.getLogger("gateway.middleware")

Scope = Any
Message = Any
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Ways by which an app has the server send what we never see: files, hints before the head, pushed responses.
SHORT_CUTS = frozenset(f"http.response.{way}" for way in ("pathsend", "zerocopysend", "early_hint", "push"))


class ConsentGate:
    """ASGI middleware around the inner app of a front worker. Opened and closed by the composition root."""

    def __init__(self, app: App, desk: Desk, decider: Decider, reader: RequestReader, public: Public) -> None:
        self._app, self._desk, self._decider = app, desk, decider
        self._reader, self._public = reader, public
        self._config: Config = desk.parts.config
        self._prefix = self._config.settings.prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        request = self._reader.read(scope)
        scope["gateway.client"] = request.client
        scope["gateway.scheme"] = request.scheme
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        site = self._config.find_site(request.host) or self._config.sites[0]
        now = self._desk.parts.clock()
        decision = self._decide(request, site, now)
        scope["gateway.consent"] = decision
        if scope["type"] == "websocket":
            await self._app(self._onward(scope, request, site, decision, now), receive, send)
            return
        if request.path.startswith(self._prefix) or request.path == GPC_PATH:
            await self._public.answer(request, site, decision, now, receive, send)
            return
        scope = self._onward(scope, request, site, decision, now)
        if not SHORT_CUTS.isdisjoint(scope.get("extensions") or ()):
            scope = _without_short_cuts(scope)
        gated = GatedResponse(self._desk, request, site, decision, now, send)
        try:
            await self._app(scope, receive, gated.send)
        finally:
            gated.close()

    def _onward(self, scope: Scope, request: VisitorRequest, site: Site, decision: Decision, now: float) -> Scope:
        """The scope for the inner app. Cookies without consent are listed while observing: later they do not arrive."""
        policy = site.policy
        headers, refused = pass_on(scope["headers"], request.headers, policy, decision, enforce=site.enforce)
        if refused:
            self._desk.parts.sightings.note_sent(now, site, request.path, refused)
        if refused and not site.enforce:
            names = [(name, f"cookie {purpose}") for name, purpose in refused]
            self._desk.parts.counters.add_each(now, site.id, "would_hold", names)
        return {**scope, "headers": headers}

    def _decide(self, request: VisitorRequest, site: Site, now: float) -> Decision:
        """The decision for this request. When it cannot be made, nothing optional happens and the page is served."""
        name = self._desk.cookie_name(CONSENT, request, site)
        try:
            return self._decider.decide(request.cookie(name), site, now, gpc=request.gpc)
        except Exception:  # the edge: whatever fails here must not take the site down
            log.exception("no decision could be made; serving without anything optional")
            return UNDECIDED


def _without_short_cuts(scope: Scope) -> Scope:
    kept = {name: value for name, value in scope["extensions"].items() if name not in SHORT_CUTS}
    return {**scope, "extensions": kept}
