"""A site's report for whoever has a link to it: the overview, read-only, without anything that is the operator's.

A link that does not hold is a page that does not exist. Behind a password, tries are limited for each link, and a browser that
gave the right one is asked again after twelve hours. A shared report is of days that are over, in the site's own time
zone: whoever watched a day that still runs would see what a single visitor adds to it.
"""

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import msgspec
from anyio.to_thread import run_sync
from sqlalchemy import Engine
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.analytics.period import midnight
from gateway.analytics.query import Query
from gateway.analytics.rate import Rate
from gateway.config import Config
from gateway.shares import OPEN_SECONDS, PATH, Share, find_share, is_opened, open_share
from gateway.web.console_guard import check_same_site
from gateway.web.frame import Frame
from gateway.web.overview import build_overview
from gateway.web.question import build_question
from gateway.web.report_api import ReportApi
from gateway.web.signin import read_form
from gateway.web.throttle import Throttle

PER_MINUTE = 120  # reports of one link
COOKIE_WAIT = 60


class SharedReports:
    """The pages under /share/."""

    def __init__(
        self, config: Config, engine: Engine, frame: Frame, api: ReportApi, clock: Callable[[], float]
    ) -> None:
        self._config, self._engine, self._frame, self._api, self._clock = config, engine, frame, api, clock
        self._names = {site.id: site.config.name or site.id for site in config.sites}
        self._tries, self._rate = Throttle(), Rate(PER_MINUTE)
        self._one_check = anyio.CapacityLimiter(1)  # of a password, as in SignIn

    def routes(self) -> list[Route]:
        """GET the report or its door, POST a password."""
        return [
            Route(PATH + "{token}", self.show, methods=["GET"]),
            Route(PATH + "{token}", self.enter, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """GET /share/TOKEN?period=&from=&to=&interval=&limit=&chart=&compare=&filters=&lang=."""
        share = await self._find(request)
        if share.protected:
            token = request.cookies.get(_cookie_name(request, share), "")
            if not await run_sync(is_opened, self._engine, share, token, self._clock()):
                return self._door(request, share, 200)
        if not self._rate.allow(share.id, self._clock()):
            response = self._door(request, share, 429, "busy", COOKIE_WAIT)
            response.headers["retry-after"] = str(COOKIE_WAIT)
            return response
        return await self._report(request, share)

    async def enter(self, request: Request) -> Response:
        """Check the password: 303 to the report, 401 when wrong, 429 when too many were wrong."""
        share = await self._find(request)
        check_same_site(request)
        fields = await read_form(request)
        wait = self._tries.start(share.id, self._clock())
        if wait > 0:
            seconds = max(1, math.ceil(wait))
            response = self._door(request, share, 429, "too_many", seconds)
            response.headers["retry-after"] = str(seconds)
            return response
        given, now = fields.get("password", ""), self._clock()
        token = await run_sync(open_share, self._engine, share, given, now, limiter=self._one_check)
        if not token:
            return self._door(request, share, 401, "wrong")
        self._tries.succeeded(share.id)
        response = RedirectResponse(request.url.path, 303)
        secure = request.url.scheme == "https"
        # Lax: the link comes from a mail or another site, and a reader who was let in is not asked again.
        response.set_cookie(
            _cookie_name(request, share), token, OPEN_SECONDS, path="/", secure=secure, httponly=True, samesite="lax"
        )
        return response

    async def _find(self, request: Request) -> Share:
        share = await run_sync(find_share, self._engine, request.path_params["token"], self._clock())
        if share is None or share.site not in self._names:
            raise HTTPException(404)
        return share

    async def _report(self, request: Request, share: Share) -> Response:
        fields = {**request.query_params, "site": share.site, "timezone": ""}
        if fields.get("period") == "today":
            fields["period"] = "yesterday"
        query = self._parse(fields, share.site)
        report = msgspec.structs.replace(await self._api.ask(query), notes=[])
        labels, question = self._frame.labels(request), build_question(query, fields, request.url.path)
        analytics = self._config.settings.analytics
        shown: dict[str, Any] = build_overview(report, question, labels, self._clock(), analytics)
        return self._frame.page(request, "share.html", site_name=self._names[share.site], **shown)

    def _parse(self, fields: Mapping[str, str], site: str) -> Query:
        """The question as it would have been asked when yesterday ended."""
        zone = self._api.sites[site]
        today = datetime.fromtimestamp(self._clock(), ZoneInfo(zone)).date()
        named = {"period": "today"} if fields.get("period") == "yesterday" else {}
        query = self._api.parse({**fields, **named}, midnight(today, zone) - 1)
        return _until(query, today - timedelta(days=1))

    def _door(self, request: Request, share: Share, status: int, fault: str = "", wait: int = 0) -> Response:
        return self._frame.page(
            request, "share_door.html", status, fault=fault, wait=wait, asks=share.protected and fault != "busy"
        )


def _until(query: Query, last: date) -> Query:
    return query.asking(first=min(query.first, last), last=min(query.last, last))


def _cookie_name(request: Request, share: Share) -> str:
    return f"{'__Host-' if request.url.scheme == 'https' else ''}gw_share_{share.id}"
