"""The console's page on the last half hour: it looks again every ten seconds, without scripts whenever it is loaded."""

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from anyio.to_thread import run_sync
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.analytics.dimensions import get_dimension
from gateway.analytics.live import Live
from gateway.analytics.metrics import get_metric
from gateway.config import Config
from gateway.web.cards import Card, Head, Line
from gateway.web.chart import LINES, Geometry, build_geometry, choose_top
from gateway.web.filter_words import name_dimension
from gateway.web.frame import Frame
from gateway.web.labels import Labels
from gateway.web.overview import Tile
from gateway.web.row_names import name_row

LABEL_EVERY = 5  # minutes
Look = Callable[[str], Live]


class LivePage:
    """The page /live."""

    def __init__(self, config: Config, frame: Frame, look: Look) -> None:
        self._frame, self._look = frame, look
        self._sites = {site.id: site.config for site in config.sites}

    async def show(self, request: Request) -> Response:
        """GET /live?site=&lang=."""
        site = self._sites.get(request.query_params.get("site") or next(iter(self._sites)))
        if site is None:
            raise HTTPException(404)
        live = await run_sync(self._look, site.id)
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
    return Card(key, *words, heads, lines)
