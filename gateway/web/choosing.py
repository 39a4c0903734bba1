"""POST <prefix>consent: a visitor's choice. Committed first, then said in a cookie; answered by a 303 or by JSON."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
from sqlalchemy.exc import DBAPIError

from gateway.analytics.visit import NAME as VISIT
from gateway.analytics.visit import continue_visit, mark_page
from gateway.config import Site
from gateway.consent.asked import narrow, read_asked
from gateway.consent.banner import choose_language
from gateway.consent.consent_cookie import NAME as CONSENT
from gateway.consent.consent_cookie import encode_choice
from gateway.consent.cookies import build_set_cookie, cut_to, expire_cookies, paths_above
from gateway.consent.decision import Choice, Decision, decide
from gateway.consent.foreign_text import ForeignText
from gateway.consent.shown_text import ShownText
from gateway.consent.wanted import PLAIN, takes_back
from gateway.errors import BadRequest, JournalFull
from gateway.event import Event
from gateway.flows.choose import ACCEPT_ALL, ALLOW, CHOICES, SAVE, Chosen, Said, choose, find_wanted
from gateway.flows.collect import collect
from gateway.flows.count_consent import count_choice
from gateway.flows.decide import Decider
from gateway.flows.load_once import ONCE, record_once
from gateway.flows.view import visit_cookie
from gateway.hit import Hit
from gateway.policy import OWN_STATISTICS, UNKNOWN, Policy
from gateway.web.body import media_type, read_body
from gateway.web.once_frame import sign_frame
from gateway.web.rate_limit import RateLimit
from gateway.web.reply import JSON, reply
from gateway.web.request import VisitorRequest
from gateway.web.response import Desk

log = logging.getLogger("gateway.consent")

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
MAX_HASH = 64
FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 1000  # a switch for each service
EXPIRING_BYTES = 3000  # proxies take heads of 4 KB; what does not fit is left to the page's script
NOT_KEPT = "#gw-not-kept"  # the words in the banner for a browser without cookies
CHANNELS = {SAVE: "preferences", ALLOW: "placeholder"}
VIEW_ID = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


class Post(msgspec.Struct, frozen=True):
    """The fields of a posted choice, checked. `services` is None for a form that has no switches for them; `again` is whether
    the script will load the page anew, as a form does; `address` is that of the frame to be loaded once."""

    choice: str
    purposes: frozenset[str]
    return_to: str
    view: str
    referrer: str
    topic: str
    services: frozenset[str] | None = None
    literal: bool = True
    by_script: bool = False
    shown: str = ""
    asked: dict[str, str] | None = None
    again: bool = False
    address: str = ""


class Choosing:
    """Answers choice posts for one worker."""

    def __init__(self, desk: Desk, decider: Decider) -> None:
        self._desk, self._parts, self._decider = desk, desk.parts, decider
        self._limit = desk.parts.config.settings.limits.body_bytes
        self._limit_rate = RateLimit(desk.parts.config.settings.limits.posts_per_minute)
        self._warned = False

    async def answer(
        self, request: VisitorRequest, site: Site, decision: Decision, now: float, receive: Receive, send: Send
    ) -> None:
        """One post. Refused: other sites' pages, foreign return addresses, unknown choices and purposes."""
        body = await read_body(request, receive, self._limit)
        if not request.same_origin:
            raise BadRequest(403, "cross_site", "a choice is taken from the site's own pages only")
        if media_type(request) != FORM:
            raise BadRequest(415, "media_type", f"{FORM} is wanted")
        self._warn_of_plain_http(request)
        post = parse_post(body, request, site)
        if post.choice == ONCE:
            await reply(send, 200, await self._load_once(post, request, site, now), JSON)
            return
        name = self._desk.cookie_name(CONSENT, request, site)
        before = self._decider.read(request.cookie(name))
        said = self._said(post, decision, request, site)
        by_script = b"application/json" in request.headers.get(b"accept", b"")
        asked = _find_asked(post, site)
        if site.policy.scopes and not asked.policy.scopes:
            if by_script:  # which sends the form itself then
                raise BadRequest(409, "outdated", "what this page asks for has changed; load it again")
            await _send_back(send, post, request)
            return
        if not self._takes_back(said, before, asked) and not self._limit_rate.allow(request.client, now):
            raise BadRequest(429, "too_many", "too many choices from this network; wait a minute")
        chosen = await self._commit(said, before, asked, now)
        count_choice(self._parts, now, site.id, chosen, request.user_agent)
        cookies = [self._cookie(name, chosen.choice, request, site)]
        cookies += self._expired(post, chosen, request, site, now)
        seen = self._count_view(post, chosen, decision, request, site, now, pending=post.again or not by_script)
        cookies += seen
        if by_script:
            counted = post.view if seen else ""
            await reply(send, 200, self._summary(chosen, counted, request, site, now), JSON, cookies=cookies)
        else:
            await _send_back(send, post, request, cookies, asked_at=f"{self._parts.config.settings.prefix}kept")

    def _warn_of_plain_http(self, request: VisitorRequest) -> None:
        """Say once to the operator why visitors are asked again on every page: a browser keeps no Secure cookie there."""
        if not self._warned and request.secure and request.header(b"origin").startswith("http://"):
            self._warned = True
            log.warning("a choice came by plain http from %s: browsers do not keep it; put TLS before it", request.host)

    async def _load_once(self, post: Post, request: VisitorRequest, site: Site, now: float) -> bytes:
        """Note that one element is loaded once; it changes nothing in what holds, and the cookie stays as it is. Returns the
        answer, with the address of a document for the frame that was asked for, if any."""
        if not self._limit_rate.allow(request.client, now):
            raise BadRequest(429, "too_many", "too many choices from this network; wait a minute")
        service = next(iter(post.services or ()), "")
        signals = {signal: bool(getattr(request, signal)) for signal in site.config.signals}
        note = partial(record_once, service, self._language(request, site), site, self._parts.engine, now)
        try:
            await asyncio.to_thread(note, signals=signals)
        except DBAPIError as error:
            log.error("loading once could not be recorded: %s", error.orig)
            raise BadRequest(503, "ledger", "this cannot be recorded at the moment") from error
        signed = sign_frame(service, post.address, site, self._parts.signers.once, now)
        frame = f"{self._parts.config.settings.prefix}once?of={signed}" if signed else ""
        return msgspec.json.encode({"ok": True, "frame": frame})

    def _said(self, post: Post, decision: Decision, request: VisitorRequest, site: Site) -> Said:
        """What was said, under which words: those that the form names, or in the browser's language where it names none."""
        shown = self._find_shown(post, request, site)
        return Said(
            post.choice,
            post.purposes,
            shown.language if shown else self._language(request, site),
            "script" if post.by_script else CHANNELS.get(post.choice, "banner"),
            request.objects(site.config.signals),
            post.services,
            post.literal,
            decision,
            {signal: bool(getattr(request, signal)) for signal in site.config.signals},
            shown or post.shown,
        )

    def _find_shown(self, post: Post, request: VisitorRequest, site: Site) -> ShownText | None:
        snippets = self._desk.snippets
        if not post.shown:  # said by a site's own script, or by a form of its own
            return snippets.shown_text(site, self._language(request, site))
        return snippets.find_shown(site, post.shown, self._desk.languages[site.id])

    def _takes_back(self, said: Said, before: Choice | None, site: Site) -> bool:
        """Whether something that still holds is taken back. That is never kept waiting, and nobody can do it over and
        over: with it the cookie that it was said with is worth nothing any more."""
        if before is None or self._parts.tombstones.floor(before.consent_id) > before.revision:
            return False
        return takes_back(before, find_wanted(said, site.policy), site.policy)

    async def _commit(self, said: Said, before: Choice | None, site: Site, now: float) -> Chosen:
        parts = self._parts
        try:
            return await asyncio.to_thread(choose, said, before, site, parts.config, parts.engine, now)
        except DBAPIError as error:
            log.error("a choice could not be recorded: %s", error.orig)
            raise BadRequest(503, "ledger", "the choice cannot be recorded at the moment") from error

    def _cookie(self, name: str, choice: Choice, request: VisitorRequest, site: Site) -> str:
        value = encode_choice(choice, self._parts.signers.consent)
        return build_set_cookie(name, value, secure=request.secure, domain=site.config.cookie_domain)

    def _expired(self, post: Post, chosen: Chosen, request: VisitorRequest, site: Site, now: float) -> list[str]:
        """Delete the optional cookies that the browser sent or may hold and that are not allowed (any more)."""
        policy = site.policy
        granted = decide(chosen.choice, site.id, policy, now)
        own = {self._desk.cookie_name(base, request, site) for base in (CONSENT, VISIT)}
        sent = {name for name in request.cookie_names() if name not in own and not _may_stay(name, policy, granted)}
        declared = {
            name
            for name, (purpose, service) in policy.cookies.items()
            if (service in chosen.withdrawn_services or purpose in chosen.withdrawn)
            and not name.endswith((CONSENT, VISIT))  # ours are set anew below
        }
        expired = self._expire(sorted(sent), sorted(declared - sent), post.return_to, request)
        visit = self._desk.cookie_name(VISIT, request, site)
        if not granted.counts and request.cookie(visit):
            domain = site.config.cookie_domain
            expired.append(build_set_cookie(visit, "", max_age=0, secure=request.secure, domain=domain))
        return expired if site.enforce else []

    def _expire(self, sent: list[str], declared: list[str], page: str, request: VisitorRequest) -> list[str]:
        """What was sent first. A cookie that was not sent can only have a path of its own, such as the page's."""
        host, secure = request.host, request.secure
        lines = expire_cookies(sent, host, secure=secure) + expire_cookies(declared, host, secure=secure)
        lines += expire_cookies([*sent, *declared], host, secure=secure, paths=paths_above(page))
        return cut_to(lines, EXPIRING_BYTES)

    def _count_view(
        self,
        post: Post,
        chosen: Chosen,
        decision: Decision,
        request: VisitorRequest,
        site: Site,
        now: float,
        *,
        pending: bool,
    ) -> list[str]:
        """Count the page on which analytics was accepted, with its true source; returns the visit's cookie."""
        granted = decide(chosen.choice, site.id, site.policy, now, gpc=request.objects(site.config.signals))
        if not post.view or not granted.counts or decision.counts:
            return []
        visit = continue_visit(None, site.id, now, 1)
        hit = _accepting_hit(post, request, site, now)
        try:
            if not isinstance(collect(hit, granted, visit, site, self._parts), Event):
                return []
        except (JournalFull, DBAPIError) as error:  # the choice stands and its cookie has to go out
            log.error("the accepting view could not be counted: %s", error)
            return []
        name = self._desk.cookie_name(VISIT, request, site)
        if pending:
            visit = msgspec.structs.replace(visit, pending=post.view, page=mark_page(hit.url))
        return [visit_cookie(visit, name, site, self._parts, secure=request.secure)]

    def _language(self, request: VisitorRequest, site: Site) -> str:
        return choose_language("", request.languages, self._desk.languages[site.id])

    def _summary(self, chosen: Chosen, counted: str, request: VisitorRequest, site: Site, now: float) -> bytes:
        """What a script is told of a choice; `counted` is the view that was counted with it, if any."""
        granted = decide(chosen.choice, site.id, site.policy, now, gpc=request.objects(site.config.signals))
        language = self._language(request, site)
        words = self._desk.snippets.texts[language]
        key = "saved" if chosen.outcome == "partly" else chosen.outcome
        message = words["reply"][key].format(settings=words["settings"]["label"])
        return msgspec.json.encode(
            {
                "ok": True,
                "chosen": granted.chosen,
                "granted": sorted(chosen.granted),
                "services": sorted(granted.find_services()),
                "counted": counted,
                "withdrawn": bool(chosen.withdrawn or chosen.withdrawn_services),
                "message": str(message),
                "language": message.language if isinstance(message, ForeignText) else language,
            }
        )


def _may_stay(name: str, policy: Policy, granted: Decision) -> bool:
    """Whether a cookie that the browser holds may stay there; what no service names is not ours to delete."""
    purpose, service = policy.owner_of_cookie(name)
    return purpose == UNKNOWN or granted.allows_service(service, purpose)


def _find_asked(post: Post, site: Site) -> Site:
    """The site as far as the page with the form asked for it. A no, and what does not say what was asked, is to all of it."""
    says_yes = post.choice in (ACCEPT_ALL, ALLOW) or (post.choice == SAVE and (post.purposes or post.services))
    if post.asked is None or not says_yes:
        return site
    policy = narrow(site.policy, post.asked)
    return site if policy is site.policy else msgspec.structs.replace(site, policy=policy)


async def _send_back(
    send: Send, post: Post, request: VisitorRequest, cookies: Sequence[str] = (), asked_at: str = ""
) -> None:
    """To the page on which the form stood. Where that page asks again, because the browser keeps no cookies, the banner says
    why: a browser that has sent no cookie at all comes by the path `asked_at` first, where it shows whether it keeps one."""
    location = post.return_to or "/"
    may_ask = asked_at and post.choice != ALLOW  # after which the page asks in any case
    if may_ask and b"cookie" not in request.headers and request.headers.get(b"sec-fetch-mode") == b"navigate":
        location = f"{asked_at}?return_to={quote(location, safe='')}"
    await reply(send, 303, headers=[(b"location", location.encode("latin-1"))], cookies=cookies)


def parse_post(body: bytes, request: VisitorRequest, site: Site) -> Post:
    """The form's fields; raises BadRequest that names what was wrong and what is wanted."""
    try:
        fields = parse_qs(body.decode("utf-8"), max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise BadRequest(400, "malformed", f"the form cannot be read: {error}") from error
    choice = fields.get("choice", [""])[-1]
    if choice not in (*CHOICES, ONCE):
        raise BadRequest(400, "choice", f"choice is {choice[:40]!r}; wanted one of {', '.join((*CHOICES, ONCE))}")
    purposes = frozenset(fields.get("purpose", ())) - {"necessary"}
    unknown = sorted(purposes - set(site.policy.scopes))
    if unknown:
        raise BadRequest(400, "purpose", f"purpose {unknown[0][:40]!r} is not one of this site's")
    services = frozenset(fields.get("service", ())) - ({OWN_STATISTICS} - site.policy.services.keys())
    strange = sorted(services - site.policy.services.keys())
    if strange:
        raise BadRequest(400, "service", f"service {strange[0][:40]!r} is not one that this site asks for")
    single = choice in (ALLOW, ONCE)
    if single and len(services) != 1:
        raise BadRequest(400, "service", f"{choice} wants one service")
    switches = fields.get("services", [""])[-1]
    view = fields.get("view", [""])[0]
    return Post(
        choice,
        purposes,
        parse_return_to(fields.get("return_to", [""])[0]),
        view if 16 <= len(view) <= 32 and VIEW_ID.issuperset(view) else "",
        fields.get("referrer", [""])[0][:4096],
        fields.get("topic", [""])[0][:4096],  # cut to size once it is masked
        services if switches or single else None,
        switches != PLAIN,
        fields.get("by") == ["script"],
        fields.get("shown", [""])[0][:MAX_HASH],
        read_asked(fields["asked"][0]) if "asked" in fields else None,
        fields.get("again") == ["1"],
        fields.get("address", [""])[0],
    )


def parse_return_to(text: str) -> str:
    """A path on this site, or "" for none; anything that a browser could read as another host is refused."""
    if not text:
        return ""
    plain = text.isascii() and text.isprintable() and "\\" not in text and " " not in text
    if not plain or not text.startswith("/") or text.startswith("//") or len(text) > 4096:
        raise BadRequest(400, "return_to", "return_to has to be a path on this site, such as /contact")
    if urlsplit(text).netloc:
        raise BadRequest(400, "return_to", "return_to has to be a path on this site, such as /contact")
    return text


def came_from(request: VisitorRequest) -> str:
    """The page of this site on which the visitor was, as the browser says; "" when it does not, or what it says is none."""
    host, referrer = request.header(b"host"), request.header(b"referer")
    start = f"{request.scheme}://{host}"
    try:
        return parse_return_to(referrer.removeprefix(start)) if referrer.startswith(f"{start}/") else ""
    except BadRequest:
        return ""


def _accepting_hit(post: Post, request: VisitorRequest, site: Site, now: float) -> Hit:
    """The hit of the page that carried the form, not of the post."""
    return Hit(
        now,
        site.id,
        request.host,
        post.return_to or "/",
        request.client,
        request.user_agent,
        post.referrer,
        request.languages,
        view_id=post.view,
        topic=post.topic,
        prefetch=request.prefetch,
        hints=request.hints,
    )
