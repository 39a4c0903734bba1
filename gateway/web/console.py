"""The operator's console, and the same figures for the CLI behind the keeper's local socket.

Both are Starlette applications that the keeper serves: the console on a TCP address of its own, with sign-in; the
local API on a unix socket, whose file permissions are its sign-in.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from anyio.to_thread import run_sync
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.analytics.answers import Answer
from gateway.analytics.consent_results import ConsentReport
from gateway.analytics.funnels import Funnel
from gateway.analytics.live import MINUTES, Live
from gateway.analytics.page_flows import PageFlow
from gateway.analytics.query import Query
from gateway.analytics.results import Period, Report
from gateway.config import Config
from gateway.destinations.dead_letters import count_dead
from gateway.destinations.figures import find_paused, find_untold, queue_figures
from gateway.errors import BadRequest, ConfigError, QueryError, StoreError
from gateway.resources import Asset
from gateway.web.asking import Asking
from gateway.web.confirm_mail import Confirming
from gateway.web.console_consent import ConsentPage
from gateway.web.console_destinations import DestinationsPage
from gateway.web.console_flows import FlowsPage
from gateway.web.console_funnels import FunnelsPage
from gateway.web.console_guard import SECURITY_HEADERS, ConsoleGuard
from gateway.web.console_inventory import Inventory
from gateway.web.console_live import LivePage
from gateway.web.console_overview import Overview
from gateway.web.console_rules import RulesPage
from gateway.web.console_segments import SegmentsPage
from gateway.web.console_shares import SharingPage
from gateway.web.delivery_metrics import PAUSED, RESTING, STOPPED, Look, answer_metrics
from gateway.web.follow_api import Follow, FollowApi, Walk
from gateway.web.frame import Frame
from gateway.web.overview import tell_waiting
from gateway.web.pages import Pages
from gateway.web.query_api import QueryApi
from gateway.web.report_api import ReportApi, answer_errors, build_flow_csv, build_funnel_csv
from gateway.web.shared_report import SharedReports
from gateway.web.signin import Handler, SignIn
from gateway.web.suggestions import suggest_from
from gateway.web.table_api import TableApi
from gateway.web.unsubscribe import Unsubscribing

log = logging.getLogger("gateway.console")
NO_PERIOD = Period("", "", "", "")
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class ConsoleParts:
    """What console and local API work with.

    `report`, `consent` and `status` block and are called in threads. Of `status` the console shows "version", "started_at"
    (epoch seconds), "fronts" (front workers at work), "journals" (files), "drained" (entries stored since the start),
    "store" ("ok" or the fault), "store_since" and "waiting_bytes" (while it does not answer: since when, and how much waits),
    "disabled" (destination to why it has stopped) and "resting" (destination to "until", "failures" and "reason", see
    `Rest`); what is missing is not shown.
    `answer` answers one question, `follow` a funnel, `walk` a page flow, `live` tells of a site's last half hour; they
    block too.
    `drain` stores what waits and answers how many entries that were.
    """

    config: Config
    engine: Engine
    pages: Pages
    assets: Mapping[str, Asset]
    report: Callable[[Query], Report]
    consent: Callable[[Query], ConsentReport]
    status: Callable[[], Mapping[str, Any]]
    drain: Callable[[], Awaitable[int]]
    clock: Callable[[], float]
    answer: Callable[[Query], Answer] = lambda _query: Answer([])
    follow: Follow = lambda query, _steps: Funnel(query.site, NO_PERIOD, 0, [])
    walk: Walk = lambda query, pages: PageFlow(query.site, NO_PERIOD, list(pages))
    live: Callable[[str], Live] = lambda _site: Live(0.0, [0] * MINUTES)


def build_console(parts: ConsoleParts) -> Starlette:
    """The console: /, /live, /funnels, /flows, /segments, /consent, /inventory, /destinations, /rules, /mode, /sharing,
    /share/<token>, /signin, /signout, /notes; /api/report, consent, table, funnel, flow and live, each with .csv too,
    /api/status, /api/v2/query, /api/v2/openapi.json, /assets/<name>; /unsubscribe/<token> and /metrics where they are
    asked for."""
    frame = Frame(parts.pages, parts.assets)
    api = ReportApi(parts.config, parts.report, parts.consent, parts.status, parts.clock)
    signin = SignIn(parts.engine, frame, parts.clock)
    faults = Faults(frame, parts.status, parts.clock)
    inventory = Inventory(parts.config, parts.engine, frame, parts.clock)
    asking = Asking(parts.config, parts.engine, api, parts.clock)
    analytics = parts.config.settings.analytics
    suggest = suggest_from(parts.answer, analytics.goals)
    paused = partial(find_paused, parts.engine)
    overview = Overview(asking, frame, inventory, parts.status, paused, parts.live, analytics)
    routes = [
        Route("/", signin.page(overview.show), methods=["GET"]),
        Route("/api/report", signin.api(api.json), methods=["GET"]),
        Route("/api/report.csv", signin.api(api.csv), methods=["GET"]),
        *LivePage(parts.config, frame, parts.live).routes(signin),
        Route("/consent", signin.page(ConsentPage(parts.config, frame, api, parts.clock).show), methods=["GET"]),
        Route("/api/consent", signin.api(api.consent_json), methods=["GET"]),
        Route("/api/consent.csv", signin.api(api.consent_csv), methods=["GET"]),
        *[Route(f"/api{path}", signin.api(handler), methods=["GET"]) for path, handler in _figures(parts, api).items()],
        Route("/api/status", signin.api(api.status), methods=["GET"]),
        Route("/assets/{name}", serve_assets(parts.assets), methods=["GET"]),
        Route("/rules", signin.page(RulesPage(frame, inventory).show), methods=["GET"]),
        *FunnelsPage(asking, frame, parts.follow, suggest).routes(signin),
        *FlowsPage(asking, frame, parts.walk, suggest).routes(signin),
        *SegmentsPage(asking, frame).routes(signin),
        *DestinationsPage(parts.config, parts.engine, frame, parts.status, parts.clock).routes(signin),
        *QueryApi(parts.engine, api.sites, parts.answer, parts.clock).routes(),
        *SharingPage(parts.config, parts.engine, frame, parts.clock).routes(signin),
        *SharedReports(parts.config, parts.engine, frame, api, parts.clock).routes(),
        *_mail_routes(parts, frame),
        *_metrics_routes(parts),
        *inventory.routes(signin),
        *signin.routes(),
    ]
    guard = Middleware(ConsoleGuard, trusted_proxies=parts.config.settings.trusted_proxies)
    return Starlette(routes=routes, middleware=[guard], exception_handlers=faults.handlers())


def _figures(parts: ConsoleParts, api: ReportApi) -> Mapping[str, Handler]:
    """What is followed and tables by themselves, as data."""
    funnel = FollowApi(api, parts.follow, "steps", build_funnel_csv)
    flow, table = FollowApi(api, parts.walk, "pages", build_flow_csv), TableApi(api, parts.answer)
    faces: dict[str, FollowApi[Any] | TableApi] = {"/funnel": funnel, "/flow": flow, "/table": table}
    return {path: face.json for path, face in faces.items()} | {f"{path}.csv": face.csv for path, face in faces.items()}


def _mail_routes(parts: ConsoleParts, frame: Frame) -> list[Route]:
    """Where links in mails lead."""
    if not parts.config.settings.mail.host:
        return []
    pages = [kind(parts.config, parts.engine, frame, parts.clock) for kind in (Unsubscribing, Confirming)]
    return [route for page in pages for route in page.routes()]


def _metrics_routes(parts: ConsoleParts) -> list[Route]:
    """Open to whoever reaches the address, so only where the operator asks for it."""

    async def metrics(_request: Request) -> Response:
        return answer_metrics(await run_sync(_look, parts))

    return [Route("/metrics", metrics, methods=["GET"])] if parts.config.settings.keeper.metrics else []


def _look(parts: ConsoleParts) -> Look:
    """Blocks."""
    status = parts.status()
    rests: Mapping[str, Mapping[str, Any]] = status.get("resting", {})
    paused, stopped = find_paused(parts.engine), status.get("disabled", {})
    return Look(
        queue_figures(parts.engine, parts.config.destinations),
        count_dead(parts.engine),
        dict.fromkeys(rests, RESTING) | dict.fromkeys(paused, PAUSED) | dict.fromkeys(stopped, STOPPED),
        {name: rest["until"] for name, rest in rests.items()},
        parts.clock(),
        find_untold(parts.engine),
    )


def build_local_api(parts: ConsoleParts, more: Sequence[Route] = ()) -> Starlette:
    """For the CLI, over the unix socket: GET /report, /consent, /funnel, /flow, /table, each with .csv too, /status;
    POST /drain; and more."""
    api = ReportApi(parts.config, parts.report, parts.consent, parts.status, parts.clock)

    async def drain(_request: Request) -> Response:
        try:
            return JSONResponse({"drained": await parts.drain()})
        except StoreError as error:
            return answer_errors(503, [str(error)])

    return Starlette(
        routes=[
            Route("/report", api.json, methods=["GET"]),
            Route("/report.csv", api.csv, methods=["GET"]),
            Route("/consent", api.consent_json, methods=["GET"]),
            Route("/consent.csv", api.consent_csv, methods=["GET"]),
            *[Route(path, handler, methods=["GET"]) for path, handler in _figures(parts, api).items()],
            Route("/status", api.status, methods=["GET"]),
            Route("/drain", drain, methods=["POST"]),
            *more,
        ]
    )


def serve_assets(assets: Mapping[str, Asset]) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for scripts and styles by their URL names; their names change with their content."""
    by_url = {asset.url_name: asset for asset in assets.values()}

    async def serve(request: Request) -> Response:
        asset = by_url.get(request.path_params["name"])
        if asset is None:
            raise HTTPException(404)
        headers = {"content-type": asset.content_type, "cache-control": FOREVER, "vary": "accept-encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.gzipped, headers={**headers, "content-encoding": "gzip"})
        return Response(asset.body, headers=headers)

    return serve


class Faults:
    """Turns what goes wrong into a page that says so, under /api/ into JSON; nothing of the inside is shown."""

    def __init__(self, frame: Frame, status: Callable[[], Mapping[str, Any]], clock: Callable[[], float]) -> None:
        self._frame, self._status, self._clock = frame, status, clock

    def handlers(self) -> dict[Any, Any]:
        """Exception class to handler, as Starlette wants it."""
        return {
            QueryError: self.question,
            StoreError: self.store,
            BadRequest: self.refused,
            ConfigError: self.broken,
            HTTPException: self.http,
            Exception: self.unforeseen,
        }

    async def question(self, request: Request, error: QueryError) -> Response:
        """400: the faults of the question."""
        return self._tell(request, 400, "question", error.faults)

    async def store(self, request: Request, error: StoreError) -> Response:
        """503: the event store does not answer."""
        log.warning("the event store does not answer: %s", error)
        waiting = tell_waiting(await run_sync(self._status), self._frame.labels(request), self._clock())
        return self._tell(request, 503, "store", [f"{waiting[0].upper()}{waiting[1:]}."] if waiting else None)

    async def refused(self, request: Request, error: BadRequest) -> Response:
        """The request's own status and words."""
        return self._tell(request, error.status, "refused", [str(error)])

    async def broken(self, request: Request, error: ConfigError) -> Response:
        """409: a file of ours that somebody damaged; what is wrong with it."""
        return self._tell(request, 409, "refused", [str(error)])

    async def http(self, request: Request, error: HTTPException) -> Response:
        """404 and 405."""
        response = self._tell(request, error.status_code, "missing" if error.status_code == 404 else "refused")
        response.headers.update(error.headers or {})
        return response

    async def unforeseen(self, request: Request, _error: Exception) -> Response:
        """500, outside the guard: the security headers are set here. Starlette logs what happened."""
        response = self._tell(request, 500, "fault")
        response.headers.update({**SECURITY_HEADERS, "cache-control": "no-store"})
        return response

    def _tell(self, request: Request, status: int, name: str, faults: list[str] | None = None) -> Response:
        """A page for people; for programs the same in their own form."""
        if request.url.path.startswith("/api/"):
            return answer_errors(status, faults or [HTTPStatus(status).phrase])
        return self._frame.notice(request, status, name, faults)
