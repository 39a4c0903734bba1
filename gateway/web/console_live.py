"""The console's page on the last half hour: it looks again every ten seconds, without scripts whenever it is loaded."""

from collections.abc import Callable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from anyio.to_thread import run_sync
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.analytics.dimensions import get_dimension
from gateway.analytics.live import Live
from gateway.analytics.metrics import get_metric
from gateway.config import Config
from gateway.errors import StoreError
from gateway.settings import SiteConfig
from gateway.web.cards import Card, Head, Line, explain_nameless
from gateway.web.chart import LINES, Geometry, build_geometry, choose_top
from gateway.web.filter_words import name_dimension
from gateway.web.frame import Frame
from gateway.web.labels import Labels
from gateway.web.overview import Tile
from gateway.web.report_api import CSV_HEADER, CSV_TYPE, JSON_TYPE, answer_errors, as_file, write_csv
from gateway.web.row_names import name_row
from gateway.web.signin import SignIn

LABEL_EVERY = 5  # minutes
Look = Callable[[str], Live]


class LivePage:
    """The page /live."""

    def __init__(self, config: Config, frame: Frame, look: Look) -> None:
        self._frame, self._look = frame, look
        self._sites = {site.id: site.config for site in config.sites}

    def routes(self, signin: SignIn) -> list[Route]:
        """The page, and the same as files."""
        faces = {"/api/live": self.json, "/api/live.csv": self.csv}
        files = [Route(path, signin.api(face), methods=["GET"]) for path, face in faces.items()]
        return [Route("/live", signin.page(self.show), methods=["GET"]), *files]

    async def show(self, request: Request) -> Response:
        """GET /live?site=&lang=."""
        site, live = await self._find(request)
        labels = self._frame.labels(request)
        names = {one.id: one.name or one.id for one in self._sites.values()}
        return self._frame.page(
            request,
            "live.html",
            site=site.id,
            site_name=names[site.id],
            timezone=site.timezone,
            sites=[(name, id_, id_ == site.id) for id_, name in names.items()],
            again=f"/live?site={site.id}",
            tiles=build_tiles(live, labels),
            geometry=build_minutes(live, site.timezone, labels),
            summary=labels.texts["live"]["summary"].format(
                visitors=labels.number(live.visitors),
                views=labels.number(live.views),
                now=labels.number(live.minutes[-1]),
            ),
            cards=[build_card(key, live, labels) for key in live.rows],
        )

    async def json(self, request: Request) -> Response:
        """GET /api/live?site=: the Live as JSON; 503 with {"errors": [...]}."""
        return await self._answer(request, lambda live, _site: msgspec.json.encode(live), JSON_TYPE)

    async def csv(self, request: Request) -> Response:
        """GET /api/live.csv?site=: lines of section, name, detail, measure, value; minutes as local times."""
        return as_file(await self._answer(request, build_csv, CSV_TYPE), "live.csv")

    async def _find(self, request: Request) -> tuple[SiteConfig, Live]:
        site = self._sites.get(request.query_params.get("site") or next(iter(self._sites)))
        if site is None:
            raise HTTPException(404)
        return site, await run_sync(self._look, site.id)

    async def _answer(self, request: Request, build: Callable[[Live, SiteConfig], bytes], media_type: str) -> Response:
        try:
            site, live = await self._find(request)
        except StoreError as error:
            return answer_errors(503, [str(error)])
        return Response(build(live, site), media_type=media_type)


def build_csv(live: Live, site: SiteConfig) -> bytes:
    """The half hour as one long table, in the form of the report's."""
    zone = ZoneInfo(site.timezone)
    lines: list[Sequence[object]] = [("report", "site", "", "", site.id)]
    lines += [("totals", "", "", measure, getattr(live, measure)) for measure in ("visitors", "views", "events")]
    for number, count in enumerate(live.minutes):
        at = datetime.fromtimestamp(live.since + 60 * number, zone).isoformat(timespec="minutes")
        lines.append(("minute", at, "", "views", count))
    for dimension, rows in live.rows.items():
        for row in rows:
            lines += [(dimension, row.name, "", measure, getattr(row, measure)) for measure in ("visitors", "views")]
    return write_csv(CSV_HEADER, lines)


def build_tiles(live: Live, labels: Labels) -> list[Tile]:
    """Visitors, page views and events, each with what it means."""
    words = labels.texts["live"]
    values = {"visitors": live.visitors, "views": live.views, "events": live.events}
    return [
        Tile(words[key], labels.number(value), words["within"], words[f"{key}_help"], "", current=False)
        for key, value in values.items()
    ]


def build_minutes(live: Live, timezone: str, labels: Labels) -> Geometry:
    """A bar for each minute; every fifth has its time under it."""
    zone = ZoneInfo(timezone)
    times = [
        datetime.fromtimestamp(live.since + 60 * index, zone).strftime("%H:%M") for index in range(len(live.minutes))
    ]
    titles = [f"{time}: {labels.number(count)}" for time, count in zip(times, live.minutes, strict=True)]
    top = choose_top(max(live.minutes, default=0))
    lines = [labels.number(top * index // LINES) for index in range(LINES + 1)]
    under = [time if int(time[3:]) % LABEL_EVERY == 0 else "" for time in times]
    return build_geometry(live.minutes, titles, under, lines, len(live.minutes) - 1)


def build_card(key: str, live: Live, labels: Labels) -> Card:
    """One breakdown; the row of what has too few visitors each has no numbers."""
    longest = max((row.visitors for row in live.rows[key]), default=0) or 1
    lines = [
        Line(
            name=name_row(key, row.name, labels),
            url="",
            visitors=labels.number(row.visitors),
            share="",
            width=f"{100 * row.visitors / longest:.2f}%",
            extras=(labels.number(row.views),),
        )
        for row in live.rows[key]
    ]
    if key in live.folded:
        words = labels.texts["compared"]
        lines.append(Line(str(words["others"]), "", str(words["withheld"]), "", "0%", ("",)))
    dimension, views = get_dimension(key), get_metric("page_views")
    heads = (Head(str(labels.texts["cards"]["page_views"]), views.help[labels.language]),)
    words = (dimension.label[labels.language], name_dimension(key, labels), dimension.help[labels.language])
    return Card(key, *words, heads, lines, nameless=explain_nameless(key, [row.name for row in live.rows[key]], labels))
