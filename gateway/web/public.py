"""The visitor-facing addresses under the prefix, in one table; GET never decides anything."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

import msgspec

from gateway.analytics.visit import NAME as VISIT
from gateway.config import Config, Site
from gateway.consent.banner import choose_language
from gateway.consent.decision import Decision
from gateway.consent.declaration import Declaration, declare, note_edition, write_date
from gateway.errors import BadRequest
from gateway.flows.count_consent import count_shown
from gateway.flows.decide import Decider
from gateway.resources import Asset
from gateway.web.body import read_query
from gateway.web.choosing import NOT_KEPT, Choosing, came_from, parse_return_to
from gateway.web.clients import BULK_BYTES, Clients, client_paths
from gateway.web.collecting import Collecting
from gateway.web.later_places import LaterPlaces
from gateway.web.once_frame import OnceFrames
from gateway.web.pixel import Pixel
from gateway.web.reply import HTML, JSON, NO_PAGE, reply
from gateway.web.request import VisitorRequest
from gateway.web.response import Desk
from gateway.web.server_events import ServerEvents
from gateway.web.snippet import View
from gateway.web.violations import Violations

log = logging.getLogger("gateway.public")

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Handler = Callable[[VisitorRequest, Site, Decision, float, Receive, Send], Awaitable[None]]

FOREVER = (b"cache-control", b"public, max-age=31536000, immutable")
GPC_PATH = "/.well-known/gpc.json"
SEEN = ("view", "referrer", "topic")
DATE = re.compile(r"\d{4}-\d\d-\d\d")
# The texts of an error page by status; the key names a title and a sentence in config/texts.
MESSAGES = {403: "forbidden", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 503: "unavailable"}


def outside_paths(config: Config) -> frozenset[str]:
    """What is answered elsewhere than under the prefix, by whole path."""
    return client_paths(config.settings.analytics.clients) | {GPC_PATH}


def most_bytes(config: Config) -> int:
    """The largest body that any of these addresses takes."""
    return max(config.settings.limits.body_bytes, BULK_BYTES if config.settings.analytics.clients.matomo else 0)


class Public:
    """Answers everything under the prefix."""

    def __init__(self, desk: Desk, decider: Decider, assets: dict[str, Asset]) -> None:
        self._desk, self._parts = desk, desk.parts
        self._prefix = desk.parts.config.settings.prefix
        self._assets = {asset.url_name: asset for asset in assets.values()} | desk.snippets.site_assets()
        self._named = assets
        now, folder = desk.parts.clock(), desk.parts.config.data_folder
        self._since = {site.id: note_edition(folder, site.id, site.policy, now) for site in desk.parts.config.sites}
        self._decider = decider
        self._receipts: Any = None
        servers = ServerEvents(desk.parts)
        collecting, choosing = Collecting(desk, servers), Choosing(desk, decider)
        self._routes: dict[str, dict[str, Handler]] = {
            "collect": {"POST": collecting.answer},
            "pixel.gif": {"GET": Pixel(desk).answer},
            "violations": {"POST": Violations(desk.parts).answer},
            "consent": {"POST": choosing.answer},
            "kept": {"GET": self._kept},
            "preferences": {"GET": self._preferences},
            "cookies": {"GET": self._declaration},
            "receipt": {"GET": self._receipt},
            "banner": {"GET": self._banner},
            "state": {"GET": self._state},
            "once": {"GET": OnceFrames(desk).answer},
            "placeholder": {"GET": LaterPlaces(desk).answer},
            "gateway.js": {"GET": self._script},
            "head.js": {"GET": self._head},
        }

        scripts = self._parts.config.settings.analytics.clients.plausible_scripts
        self._outside: dict[str, dict[str, Handler]] = {
            GPC_PATH: {"GET": self._gpc},
            **Clients(desk, collecting, servers).routes(),
            **{path: {"GET": self._plausible_script} for path in scripts},
        }

    async def answer(
        self, request: VisitorRequest, site: Site, decision: Decision, now: float, receive: Receive, send: Send
    ) -> None:
        """One request under the prefix, or for one of `outside_paths`. Whatever fails here is answered here."""
        try:
            await self._find(request)(request, site, decision, now, receive, send)
        except BadRequest as error:
            self._parts.counters.add(now, site.id, "refused_request", error.reason)
            await self._refuse(error, request, site, decision, send)
        except Exception:  # the edge: no traceback ever reaches a visitor
            log.exception("a request under %s failed", self._prefix)
            await self._refuse(BadRequest(503, "fault"), request, site, decision, send)

    def _find(self, request: VisitorRequest) -> Handler:
        name = request.path[len(self._prefix) :]
        if name.startswith("assets/"):
            return self._asset
        handlers = self._outside.get(request.path) or self._routes.get(name)
        if handlers is None:
            raise BadRequest(404, "not_found", "nothing is found here")
        method = "GET" if request.method == "HEAD" else request.method
        if method not in handlers:
            raise BadRequest(405, "method", f"wanted: {', '.join(handlers)}")
        return handlers[method]

    async def _asset(
        self, request: VisitorRequest, _site: Site, _decision: Decision, _now: float, _r: Receive, send: Send
    ) -> None:
        asset = self._assets.get(request.path[len(self._prefix) + len("assets/") :])
        if asset is None:
            raise BadRequest(404, "not_found", "nothing is found here")
        await _send_asset(asset, request, send, FOREVER)

    async def _script(
        self, request: VisitorRequest, _site: Site, _decision: Decision, _now: float, _r: Receive, send: Send
    ) -> None:
        """The script under a lasting name, for sites that embed it."""
        await self._lasting("gateway.js", request, send)

    async def _plausible_script(
        self, request: VisitorRequest, _site: Site, _decision: Decision, _now: float, _r: Receive, send: Send
    ) -> None:
        """Where pages ask for Plausible's script: ours, which answers to its calls."""
        await self._lasting("plausible.js", request, send)

    async def _lasting(self, name: str, request: VisitorRequest, send: Send) -> None:
        asset = self._named.get(name)
        if asset is None:
            raise BadRequest(404, "not_found", "nothing is found here")
        await _send_asset(asset, request, send, (b"cache-control", b"public, max-age=300"))

    async def _head(
        self, _request: VisitorRequest, site: Site, decision: Decision, _now: float, _r: Receive, send: Send
    ) -> None:
        """What runs before everything else, for pages that embed it themselves: with what is granted here and now."""
        asset = self._desk.snippets.heads[site.id]
        if asset is None:
            raise BadRequest(404, "not_found", "this site has neither guard, Consent Mode nor shims")
        granted = msgspec.json.encode(decision.key)
        body = b"document.currentScript.dataset.gwGranted=%s;" % granted + asset.body
        await reply(send, 200, body, asset.content_type.encode())

    async def _state(
        self, request: VisitorRequest, site: Site, decision: Decision, _now: float, _r: Receive, send: Send
    ) -> None:
        """What holds for this browser: {"chosen", "granted", and where the scripts are}; with the view that was counted with
        the acceptance, as long as it waits for its page."""
        visit = self._desk.visits.read(request, self._desk.cookie_name(VISIT, request, site))
        state = {
            "chosen": decision.chosen,
            "granted": sorted(decision.granted),
            "services": sorted(decision.find_services()),
            **({"counted": visit.pending} if visit and visit.pending else {}),
            "collect_url": self._desk.snippets.asset_url("collect.js"),
            **self._desk.snippets.automatic(),
            "css_url": self._desk.snippets.style_url(site),
            **self._desk.snippets.site_urls(site),
        }
        await reply(send, 200, msgspec.json.encode(state), JSON)

    async def _receipt(
        self, request: VisitorRequest, site: Site, decision: Decision, now: float, receive: Receive, send: Send
    ) -> None:
        """The receipt of a visitor's choice. Loaded with the first one asked for: the library of its signatures takes eight
        megabytes in each worker."""
        if self._receipts is None:
            home = await asyncio.to_thread(import_module, "gateway.web.receipt_page")
            self._receipts = home.ReceiptPage(self._desk, self._decider)
        await self._receipts.answer(request, site, decision, now, receive, send)

    async def _gpc(
        self, _request: VisitorRequest, site: Site, _decision: Decision, _now: float, _r: Receive, send: Send
    ) -> None:
        """That Global Privacy Control is honoured here (its specification, section 4.1), and since when, where the policy's
        version is a date."""
        said: dict[str, object] = {"gpc": "gpc" in site.config.signals}
        if found := DATE.match(site.policy.file.version):
            said["lastUpdate"] = found.group()
        await reply(send, 200, msgspec.json.encode(said), JSON)

    async def _banner(
        self, request: VisitorRequest, site: Site, decision: Decision, now: float, _r: Receive, send: Send
    ) -> None:
        """The banner as a fragment, for the stand-alone script."""
        fields = read_query(request)
        page = fields.get("lang", [""])[0]  # the page's own language, as it says itself
        language = choose_language(page, request.languages, self._desk.languages[site.id])
        return_to = parse_return_to(fields.get("return_to", [""])[0])
        view = View("", return_to, "", "")
        fragment = self._desk.snippets.build_fragment(site, language, decision, view)
        if not decision.chosen:
            count_shown(self._parts, now, site.id, language, decision, request.user_agent)
        await reply(send, 200, fragment.encode(), HTML)

    async def _preferences(
        self, request: VisitorRequest, site: Site, decision: Decision, _now: float, _r: Receive, send: Send
    ) -> None:
        """The page with one switch for each purpose. What the banner's way to it says of the page goes on with the form, so
        that a view agreed to here has its true source too."""
        fields = read_query(request)
        return_to = parse_return_to(fields.get("return_to", [""])[0]) or came_from(request)
        page = fields.get("lang", [""])[0]  # of the page that the visitor comes from
        language = choose_language(page, request.languages, self._desk.languages[site.id])
        parts = self._desk.snippets.banner_parts(site, language, decision)
        about = {
            "return_to": return_to,
            "saved": "saved" in fields and decision.chosen,
            "seen": {name: fields[name][0] for name in SEEN if name in fields},
        }
        page = self._desk.snippets.pages.render("preferences.html", **parts, **about)
        await reply(send, 200, page.encode(), HTML)

    async def _kept(
        self, request: VisitorRequest, _site: Site, _decision: Decision, _now: float, _r: Receive, send: Send
    ) -> None:
        """Back to the page of a form, for a browser that had never sent a cookie: to the words for one that keeps none, when
        it sends none now either."""
        page = parse_return_to(read_query(request).get("return_to", [""])[0]) or "/"
        location = page if b"cookie" in request.headers else page + NOT_KEPT
        await reply(send, 303, headers=[(b"location", location.encode("latin-1"))])

    async def _declaration(
        self, request: VisitorRequest, site: Site, decision: Decision, _now: float, _r: Receive, send: Send
    ) -> None:
        """What the policy says, for everybody: as a page, or with format=json."""
        fields = read_query(request)
        return_to = parse_return_to(fields.get("return_to", [""])[0])
        offered = self._desk.languages[site.id]
        language = choose_language(fields.get("lang", [""])[0], request.languages, offered)
        words, timezone = self._desk.snippets.texts, site.config.timezone
        texts = words[language].get("necessary", {})
        declaration = declare(site.id, site.policy, language, texts, self._since[site.id], timezone)
        if fields.get("format") == ["json"]:
            await reply(send, 200, msgspec.json.encode(declaration, enc_hook=str), JSON)
            return
        page = self._desk.snippets.pages.render(
            "declaration.html",
            **self._desk.snippets.banner_parts(site, language, decision),
            declaration=declaration,
            since=_written_date(declaration, words[language]["declaration"]),
            languages={code: words[code]["language"]["name"] for code in offered},
            return_to=return_to,
        )
        await reply(send, 200, page.encode(), HTML)

    async def _refuse(
        self, error: BadRequest, request: VisitorRequest, site: Site, decision: Decision, send: Send
    ) -> None:
        headers = [(b"retry-after", b"30")] if error.status in (429, 503) else []
        if b"text/html" not in request.headers.get(b"accept", b""):
            await reply(send, error.status, str(error).encode(), headers=headers)
            return
        parts = self._desk.snippets.banner_parts(site, self._language(request, site), decision)
        words = parts["t"]["message"]
        key = MESSAGES.get(error.status, "too_many" if error.status == 429 else "bad_request")
        page = self._desk.snippets.pages.render(
            "plain_message.html", **parts, title=words[f"{key}_title"], message=words[key], return_to="/"
        )
        await reply(send, error.status, page.encode(), HTML, headers=headers)

    def _language(self, request: VisitorRequest, site: Site) -> str:
        return choose_language("", request.languages, self._desk.languages[site.id])


def _written_date(declaration: Declaration, texts: dict[str, Any]) -> str:
    return write_date(declaration.since, texts["months"], texts["date"]) if declaration.since else ""


async def _send_asset(asset: Asset, request: VisitorRequest, send: Send, cache: tuple[bytes, bytes]) -> None:
    """A script or style, compressed for those who take it."""
    packed = b"gzip" in request.headers.get(b"accept-encoding", b"")
    body = asset.gzipped if packed else asset.body
    headers = [
        (b"content-type", asset.content_type.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
        (b"vary", b"Accept-Encoding"),
        cache,
        NO_PAGE,
    ]
    headers += [(b"content-encoding", b"gzip")] if packed else []
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})
