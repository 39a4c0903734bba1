"""One response on its way to the browser: cookies judged, tags held back, our snippet put in.

What kind of response it is shows when its head arrives. Not HTML: only Set-Cookie is judged, the rest passes untouched.
HTML that comes whole or is small: rewritten once and remembered by its content. HTML that streams: rewritten as it comes.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from gateway.analytics.visit import NAME as VISIT
from gateway.analytics.visit import new_id
from gateway.config import Site
from gateway.consent.banner import choose_language, offered_languages
from gateway.consent.consent_cookie import NAME as CONSENT
from gateway.consent.consent_cookie import cookie_name
from gateway.consent.decision import UNDECIDED, Decision
from gateway.consent.links import LEADING, hold_links
from gateway.consent.tag_gate import Held, TagGate
from gateway.consent.tags import PageRewriter
from gateway.consent.whole_page import Rewritten, rewrite_page
from gateway.flows.count_held import count_held
from gateway.flows.parts import Parts
from gateway.flows.view import LOST, PageView, find_view, open_view
from gateway.web.caching import keep_from_others, make_private
from gateway.web.carried import VisitReader
from gateway.web.content_policy import WORKERS, ContentPolicies, add_nonce, add_nonce_to_head, enforces
from gateway.web.encoding import UNTOUCHED, open_packer, open_undo
from gateway.web.head_gate import judge_cookies, stop_ahead
from gateway.web.kinds import CLOSED, Kind, find_kind, hides_tags, name_html, peek, read_head, sniff
from gateway.web.page_cache import PageCache
from gateway.web.reply import send_nothing
from gateway.web.request import VisitorRequest
from gateway.web.rules_file import RulesFile
from gateway.web.seen_page import count_seen
from gateway.web.snippet import Snippets, View

log = logging.getLogger("gateway.response")

Message = Any
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

NO_BODY: Final = (204, 304)
MAX_GATES: Final = 256
MAX_CHUNKS: Final = 64  # of a page that streams by, kept for the inventory
NO_VIEW: Final = PageView("")
WHOLE_BYTES: Final = 262_144  # up to this announced length a streamed page is gathered, so that it can be remembered


class Desk:
    """What all responses of a worker share."""

    def __init__(self, parts: Parts, snippets: Snippets) -> None:
        limits = parts.config.settings.limits
        self.parts = parts
        self.snippets = snippets
        self.cache = PageCache(limits.cached_pages, limits.cached_bytes)
        self.page_bytes = limits.page_bytes
        self.languages = {site.id: offered_languages(site.policy, snippets.texts) for site in parts.config.sites}
        self.visits = VisitReader(parts.signers.visit)
        self.policies = ContentPolicies(f"{parts.config.settings.prefix}violations")
        self._gates: dict[tuple[str, str, str], TagGate] = {}
        self._names = {
            (base, site.id, secure): cookie_name(base, secure=secure, domain=site.config.cookie_domain)
            for base in (CONSENT, VISIT)
            for site in parts.config.sites
            for secure in (True, False)
        }

    def cookie_name(self, base: str, request: VisitorRequest, site: Site) -> str:
        """The full name of one of our cookies for this request's scheme and the site's cookie domain."""
        return self._names[base, site.id, request.secure]

    def tag_gate(self, site: Site, host: str, decision: Decision) -> TagGate:
        """The gate for pages of a site seen under a host with these grants."""
        key = (site.id, host, decision.key)
        gate = self._gates.get(key)
        if gate is None:
            if len(self._gates) >= MAX_GATES:
                self._gates.clear()
            head = self.snippets.head(site, decision)
            gate = TagGate(site.policy, decision, frozenset((host, *site.config.hosts)), head)
            self._gates[key] = gate
        return gate


class GatedResponse:
    """Wraps `send` for one request. Create one, hand `gated.send` to the app."""

    __slots__ = (
        "_decision", "_desk", "_gathered", "_kept", "_mode", "_now", "_packer", "_request", "_rewriter", "_send", "_site",
        "_start", "_undo", "_view", "expired",
    )  # fmt: skip

    def __init__(
        self, desk: Desk, request: VisitorRequest, site: Site, decision: Decision, now: float, send: Send
    ) -> None:
        self._desk, self._request, self._site, self._decision = desk, request, site, decision
        self._send, self._now, self.expired = send, now, Headers()
        self._mode: Callable[[Message], Awaitable[None]] = self._on_start
        self._gathered: list[bytes] = []
        self._rewriter: PageRewriter | None = None

    def send(self, message: Message) -> Awaitable[None]:
        """An ASGI `send` that lets through what may pass."""
        return self._mode(message)

    def close(self) -> None:
        """The exchange is over, however it ended. What would refer to itself is let go, so that no collector has to."""
        self._mode = self._send
        if self._rewriter is not None:
            self._rewriter.close()
            self._rewriter = None

    def _on_start(self, message: Message) -> Awaitable[None]:
        if message["type"] != "http.response.start":
            return self._send(message)
        # Apps may write names in any case, leave headers out, and send the very same message to everybody.
        headers = [(name.lower(), value) for name, value in message.get("headers", ())]
        message = {**message, "headers": headers}
        values = read_head(headers)
        if granted := b"set-cookie" in values:
            self._judge_cookies(message)
        if b"location" in values and self._request.prefetch:
            self._count_held(stop_ahead(message, self._tag_gate(), enforce=self._site.enforce))
        if not LEADING.isdisjoint(values):
            granted |= self._judge_links(message)
        kind = find_kind(values)
        if kind is Kind.PAGE or kind is Kind.RULES:
            return self._start_page(message, values) if kind is Kind.PAGE else self._start_rules(message, values)
        if granted and self._decision.key and self._site.enforce:
            message["headers"] = keep_from_others(message["headers"])
        content_type = values.get(b"content-type", b"").lower()
        is_script = content_type.find(b"script") >= 0  # ecmascript, livescript and their like
        if is_script or self._request.headers.get(b"sec-fetch-dest") in WORKERS:
            self._desk.policies.put_on_script(message, self._request, self._site, self._policy())
        elif kind is Kind.OTHER and enforces(self._site):
            kind = Kind.CLOSED  # a document too, once a script of the page puts it into a frame and reaches into that
        if kind is Kind.UNSURE and self._request.method != "HEAD" and message["status"] not in NO_BODY:
            self._start, self._mode = message, self._on_first_bytes
            return send_nothing()
        return self._pass(self._closed(message) if kind is Kind.CLOSED else message)

    async def _on_first_bytes(self, message: Message) -> None:
        """An answer without a type: what it begins with says what browsers make of it, and what we do."""
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        headers, more = read_head(self._start["headers"]), message.get("more_body", False)
        self._gathered.append(message.get("body", b""))
        start = b"".join(self._gathered)
        kind = sniff(start, headers.get(b"content-encoding", b""), more=more)
        if kind is None:
            return
        self._gathered = []
        if kind is Kind.PAGE:
            if self._site.enforce:  # so that every browser agrees with what was read
                self._start["headers"] = name_html(self._start["headers"])
            await self._start_page(self._start, headers)
        else:
            await self._pass(self._closed(self._start) if kind is Kind.CLOSED or enforces(self._site) else self._start)
        await self._mode({"type": "http.response.body", "body": start, "more_body": more})

    def _judge_cookies(self, message: Message) -> None:
        request, parts = self._request, self._desk.parts
        message["headers"] = judge_cookies(message["headers"], request, self._site, self._decision, self._now, parts)

    def _judge_links(self, message: Message) -> bool:
        """Take out of the head what leads the browser to a refused host. Gives whether others would get less of it."""
        site, headers = self._site, message["headers"]
        kept, held = hold_links(headers, self._tag_gate())
        self._count_held(held)
        if held and site.enforce:
            message["headers"] = kept
        others = self._desk.tag_gate(site, self._request.host, UNDECIDED) if self._decision.key else None
        return others is not None and len(hold_links(headers, others)[1]) > len(held)

    def _start_page(self, message: Message, headers: dict[bytes, bytes]) -> Awaitable[None]:
        status = message["status"]
        if self._request.method == "HEAD" or status in NO_BODY:
            if self._site.enforce:
                message["headers"] = self._cached(message["headers"])
            return self._pass(message)
        encoding = headers.get(b"content-encoding", b"")
        undo = open_undo(encoding, self._desk.page_bytes * 4) if encoding else UNTOUCHED
        if undo is None or status == 206:
            return self._pass(self._closed(message))
        self._start, self._undo = message, undo
        accepted = self._request.headers.get(b"accept-encoding", b"")
        self._packer = open_packer(encoding, accepted) if undo is not UNTOUCHED else None
        length = headers.get(b"content-length", b"")
        announced = int(length) if length.isdigit() else self._desk.page_bytes
        self._mode = self._on_first_body if announced > WHOLE_BYTES else self._gather
        return send_nothing()

    def _start_rules(self, message: Message, headers: dict[bytes, bytes]) -> Awaitable[None]:
        enforce, bare = self._site.enforce, self._request.method == "HEAD" or message["status"] in NO_BODY
        undo = open_undo(headers.get(b"content-encoding", b""), self._desk.page_bytes)
        gate, tell = self._tag_gate(), self._count_held
        if enforce:
            message["headers"] = self._cached(message["headers"])
        self._mode = self._send if bare else RulesFile(message, gate, undo, tell, self._send, enforce=enforce).send
        return self._send(message) if bare else send_nothing()

    def _on_first_body(self, message: Message) -> Awaitable[None]:
        if message["type"] != "http.response.body":
            return self._send(message)
        if not message.get("more_body", False):
            return self._gather(message)
        self._gathered.append(message.get("body", b""))
        start = b"".join(self._gathered)
        hidden = peek(start, read_head(self._start["headers"]).get(b"content-encoding", b""))
        if hidden is None:
            return send_nothing()
        self._gathered = []
        return self._begin_stream({**message, "body": start}, closed=hidden)

    def _gather(self, message: Message) -> Awaitable[None]:
        if message["type"] != "http.response.body":
            return self._send(message)
        body = message.get("body", b"")
        if message.get("more_body", False):
            self._gathered.append(body)
            return send_nothing()
        self._mode = self._send
        return self._send_whole(b"".join((*self._gathered, body)) if self._gathered else body)

    async def _send_whole(self, sent: bytes) -> None:
        """A page of which every byte is here. What goes wrong on our side costs what is optional, never the page."""
        head: Message = self._start  # our own copy, see _on_start
        try:
            page = self._rewrite(sent if self._undo is UNTOUCHED else self._undo.feed(sent))
            if page is None:
                head = self._closed(head)
            elif not self._site.enforce:
                self._count_held(page.held)
                head["headers"] += self._policy()
            else:
                if page.counted:
                    self._desk.parts.counters.add_group(self._now, self._site.id, "held", page.counted)
                sent, head["headers"] = self._compose(page)
        except Exception:  # the edge: whatever fails here must not take the site down
            log.exception("a page could not be rewritten; it is served with nothing foreign")
            head = self._closed(head)
        await self._send(head)
        await self._send({"type": "http.response.body", "body": sent})

    def _compose(self, page: Rewritten) -> tuple[bytes, Headers]:
        """The page with our snippet in it, and its head."""
        self._view = self._open_view() if page.document else NO_VIEW
        snippet = self._snippet(page.language, page.topic) if page.document else b""
        snippet = self._desk.snippets.lead_home(snippet, self._request) if page.based else snippet
        page = add_nonce_to_head(page, self._tag_gate().head, sent_with := self._start["headers"])
        content = b"".join((page.before, snippet, page.after))
        if page.places:
            content = self._desk.snippets.placeholders.fill(page, snippet, self._site, self._request, sent_with)
        if self._packer:
            content = self._packer.feed(content, last=True)
        return content, [*self._page_headers(), (b"content-length", b"%d" % len(content))]

    def _rewrite(self, body: bytes) -> Rewritten | None:
        """The page as it may leave; None when it cannot be read."""
        desk = self._desk
        key = desk.cache.key(body, self._site.id, self._request.host, self._decision.key)
        page = desk.cache.find(key)
        if page is None:
            if hides_tags(body):
                return None
            gate = self._tag_gate()
            page = rewrite_page(body, gate, enforce=self._site.enforce)
            desk.cache.add(key, page)
            desk.parts.sightings.note_page(self._now, self._site, self._request.path, gate, page.held, body)
        return page

    async def _begin_stream(self, message: Message, *, closed: bool) -> None:
        """Head first, then each chunk as it comes. The view's cookie has to be decided before the page is known."""
        if closed:
            await self._pass(self._closed(self._start))
            await self._send(message)
            return
        self._kept = self._desk.parts.sightings.wants(self._site, self._request.path, self._now)
        sent_with, enforce = self._start["headers"], self._site.enforce
        place = self._desk.snippets.placeholders.writer(self._site, self._request, sent_with)
        self._rewriter = PageRewriter(self._tag_gate(), self._stream_snippet, enforce=enforce, place=place)
        self._rewriter.head = add_nonce(self._rewriter.head.encode(), sent_with).decode()
        self._view = self._open_view() if enforce else NO_VIEW
        await self._send({**self._start, "headers": self._page_headers() if enforce else sent_with + self._policy()})
        self._mode = self._stream
        await self._stream(message)

    async def _stream(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        sent, more = message.get("body", b""), message.get("more_body", False)
        out = self._rewrite_next(sent, more) if self._site.enforce else self._look_at(sent, more)
        if out or not more:
            await self._send({"type": "http.response.body", "body": out, "more_body": more})

    def _rewrite_next(self, sent: bytes, more: bool) -> bytes:
        assert self._rewriter is not None
        plain = self._undo.feed(sent)
        out = self._rewriter.feed(plain)
        self._keep(plain)
        if not more:
            out += self._rewriter.finish()
            self._end_stream(self._rewriter.held)
        return self._packer.feed(out, last=not more) if self._packer else out

    def _look_at(self, sent: bytes, more: bool) -> bytes:
        """Observing: the bytes go on as they came, whatever we make of them."""
        assert self._rewriter is not None
        try:
            plain = self._undo.feed(sent)
            self._rewriter.feed(plain)
            self._keep(plain)
            if not more:
                self._rewriter.finish()
                self._end_stream(self._rewriter.held)
        except Exception:  # the edge: whatever fails here must not take the site down
            log.exception("a page cannot be read and is not looked at any further")
            self._mode = self._send
        return sent

    def _keep(self, plain: bytes) -> None:
        """Gather a page that streams by while nobody has read its inline scripts yet and it is not too long."""
        if self._kept and len(self._gathered) < MAX_CHUNKS:
            self._gathered.append(plain)

    def _end_stream(self, held: Sequence[Held]) -> None:
        self._count_held(held)
        body, path = b"".join(self._gathered) if self._kept else b"", self._request.path
        self._desk.parts.sightings.note_page(self._now, self._site, path, self._tag_gate(), held, body)

    def _stream_snippet(self, rewriter: PageRewriter) -> bytes:
        if not self._site.enforce:
            return b""
        try:
            snippet = self._snippet(rewriter.language, rewriter.topic)
            snippet += self._desk.snippets.placeholders.end(rewriter, self._site, self._request)
            return self._desk.snippets.lead_home(snippet, self._request) if rewriter.based else snippet
        except Exception:  # the edge: the page is on its way, with everything held back; it goes on without our part
            log.exception("a page is served without the banner")
            return b""

    def _pass(self, head: Message) -> Awaitable[None]:
        self._mode = self._send
        return self._send(head)

    def _closed(self, head: Message) -> Message:
        return {**head, "headers": [*head["headers"], CLOSED]} if self._site.enforce else head

    def _open_view(self) -> PageView:
        """The view of this page. What is none (a frame, a fragment) has an id and is not counted. Before a choice the id is
        for the choice to count it by; a refusal needs none."""
        request, desk, site, status = self._request, self._desk, self._site, self._start["status"]
        if not self._decision.counts:
            asks = not self._decision.chosen and request.is_document and status not in LOST
            return PageView(new_id()) if asks else NO_VIEW
        seen = request.hit(site.id, self._now, new_id())
        hit = find_view(seen, status, site, desk.parts) if request.is_document else None
        if hit is None or request.method != "GET":
            return PageView(seen.view_id)
        name = desk.cookie_name(VISIT, request, site)
        before = desk.visits.read(request, name)
        return open_view(hit, self._decision, before, name, site, desk.parts, secure=request.secure)

    def _snippet(self, language: str, topic: str) -> bytes:
        """Our part of the page; with it the view is counted, and so is a banner that is shown."""
        desk, request = self._desk, self._request
        language = choose_language(language, request.languages, desk.languages[self._site.id])
        status, decision = self._start["status"], self._decision
        count_seen(request, status, self._view, topic, language, decision, self._site, self._now, desk.parts)
        view = View(self._view.id, request.url, request.header(b"referer"), topic)
        snippet = desk.snippets.build(self._site, language, decision, view)
        return add_nonce(snippet, self._start["headers"])

    def _policy(self) -> Headers:
        return self._desk.policies.find(self._request, self._site, self._decision)

    def _page_headers(self) -> Headers:
        headers = self._cached(self._start["headers"]) + self._policy() + self.expired
        if self._packer:
            headers.append((b"content-encoding", self._packer.name))
        if self._view.set_cookie:
            headers.append((b"set-cookie", self._view.set_cookie.encode("latin-1")))
        return headers

    def _cached(self, headers: Headers) -> Headers:
        # What holds granted tags must not come back from the browser's cache after a withdrawal.
        return make_private(headers, store=not self._decision.key)

    def _tag_gate(self) -> TagGate:
        return self._desk.tag_gate(self._site, self._request.host, self._decision)

    def _count_held(self, held: Sequence[Held]) -> None:
        count_held(self._desk.parts, self._site, self._request.path, self._now, held)
