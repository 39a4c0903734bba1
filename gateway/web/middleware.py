"""The gate every request passes: decide on the way in, hold back and insert on the way out.

Pure ASGI and read straight from the scope, since each page of the site goes through here. Our own addresses (under the
prefix) are answered by `web/public`; everything else goes to the inner app with a gated `send`.
"""

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Final

from gateway.config import Config, Site
from gateway.consent.consent_cookie import NAME as CONSENT
from gateway.consent.decision import Decision
from gateway.consent.tag_addresses import path_of
from gateway.consent.tag_gate import Held
from gateway.flows.count_held import count_held
from gateway.flows.decide import Decider
from gateway.web.carried import Carried, CookieReader
from gateway.web.choosing import came_from
from gateway.web.head_gate import gate_handshake
from gateway.web.identity import find_clean_url
from gateway.web.onward import pass_on
from gateway.web.public import Public, outside_paths
from gateway.web.reply import reply
from gateway.web.request import RequestReader, VisitorRequest
from gateway.web.response import Desk, GatedResponse
from gateway.web.shared_page import METHODS, SharedPages

Scope = Any
Message = Any
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

REMEMBERED = 1024  # hosts
# Ways by which an app has the server send what we never see: files, hints before the head, pushed responses.
SHORT_CUTS: Final = frozenset(f"http.response.{way}" for way in ("pathsend", "zerocopysend", "early_hint", "push"))


class ConsentGate:
    """ASGI middleware around the inner app of a front worker. Opened and closed by the composition root."""

    def __init__(self, app: App, desk: Desk, decider: Decider, reader: RequestReader, public: Public) -> None:
        self._app, self._desk = app, desk
        self._reader, self._public = reader, public
        self._config: Config = desk.parts.config
        self._find_site = lru_cache(maxsize=REMEMBERED)(self._config.find_site)
        self._prefix = self._config.settings.prefix
        self._outside = outside_paths(self._config)
        self._cookies = CookieReader(decider)
        self._shared = SharedPages(desk)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """One request: what is decided here is waited for by none, so it is no coroutine of its own."""
        request = self._reader.read(scope)
        scope["gateway.client"] = request.client
        scope["gateway.scheme"] = request.scheme
        if scope["type"] not in ("http", "websocket"):
            return self._app(scope, receive, send)
        site = self._find_site(request.host) or self._config.sites[0]
        now = self._desk.parts.clock()
        carried = self._cookies.read(request, site, self._desk.cookie_name(CONSENT, request, site), now)
        decision = carried.decision
        scope["gateway.consent"] = decision
        if (request.path.startswith(self._prefix) or request.path in self._outside) and scope["type"] == "http":
            return self._public.answer(request, site, decision, now, receive, send)
        if (request.query or "=" in request.path) and site.enforce and (url := find_clean_url(request)) is not None:
            return reply(send, 302, headers=[(b"location", url.encode("latin-1"))])
        self._list_refused(carried, request, site, now)
        if site.policy.paths and self._withholds(request, site, decision, now):
            return _refuse(scope, receive, send)
        shared = site.config.cache_safe and site.enforce and request.method in METHODS and scope["type"] == "http"
        if shared:
            carried = self._cookies.read_undecided(request, site)
            scope["gateway.consent"] = carried.decision
        onward = scope.copy()
        onward["headers"] = pass_on(scope["headers"], request.headers, carried, enforce=site.enforce)
        if scope["type"] == "websocket":
            return self._app(onward, receive, gate_handshake(request, site, decision, now, self._desk.parts, send))
        if extensions := onward.get("extensions"):
            onward["extensions"] = {name: value for name, value in extensions.items() if name not in SHORT_CUTS}
        if shared:
            gated: GatedResponse = (for_all := self._shared.gate(request, site, now, send))
            onward["headers"] = for_all.ask(onward["headers"])
        else:
            gated = GatedResponse(self._desk, request, site, decision, now, send)
            if carried.refused and site.enforce:
                gated.expired = carried.expire(request)
        return self._pass(onward, receive, gated)

    async def _pass(self, onward: Scope, receive: Receive, gated: GatedResponse) -> None:
        """To the inner app and back."""
        try:
            await self._app(onward, receive, gated.send)
        finally:
            gated.close()

    def _withholds(self, request: VisitorRequest, site: Site, decision: Decision, now: float) -> bool:
        """Whether what is asked for is withheld; while observing it would be, and is listed."""
        held = find_withheld(request, site, decision)
        count_held(self._desk.parts, site, request.path, now, held)
        return site.enforce and bool(held)

    def _list_refused(self, carried: Carried, request: VisitorRequest, site: Site, now: float) -> None:
        """Cookies without consent are noted, with the page of which a picture or a style sheet is a part; while observing they
        are counted too: later they do not arrive."""
        if not carried.refused:
            return
        parts = self._desk.parts
        page = request.path if request.is_document else came_from(request).partition("?")[0] or request.path
        parts.sightings.note_sent(now, site, page, carried.refused)
        if not site.enforce:
            names = [(name, f"cookie {purpose}") for name, purpose in carried.refused]
            parts.counters.add_each(now, site.id, "would_hold", names)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await reply(send, 403, b"not without consent")
        return
    await receive()
    await send({"type": "websocket.close"})  # before it is accepted: servers answer 403


def find_withheld(request: VisitorRequest, site: Site, decision: Decision) -> list[Held]:
    """What is asked for, where it is a part of a tool that the site serves itself and that may not act, whatever asks for it.
    A page that somebody goes to is none."""
    if request.is_document:
        return []
    found = site.policy.owner_of_path(path_of("/" + request.path.lstrip("/")))
    if found is None or decision.allows_service(found[1][1], found[1][0]):
        return []
    written, (purpose, service) = found
    return [Held("request", written, purpose, service=service)]
