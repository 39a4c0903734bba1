"""The console's first page: all figures of a site and period."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.consent.banner import purpose_titles
from gateway.settings import AnalyticsConfig
from gateway.web.asking import Asking, is_form
from gateway.web.console_inventory import Inventory
from gateway.web.console_live import Look
from gateway.web.frame import Frame
from gateway.web.overview import build_held, build_keeper, build_overview, build_queue
from gateway.web.question import Question


class Overview:
    """The page /. `status` and `look` are the keeper's (see `ConsoleParts`), `find_paused` names the destinations that an
    operator has paused."""

    def __init__(
        self,
        asking: Asking,
        frame: Frame,
        inventory: Inventory,
        status: Callable[[], Mapping[str, Any]],
        find_paused: Callable[[], Collection[str]],
        look: Look,
        analytics: AnalyticsConfig,
    ) -> None:
        self._asking, self._frame, self._inventory = asking, frame, inventory
        self._status, self._find_paused = status, find_paused
        self._look, self._analytics = look, analytics

    async def show(self, request: Request) -> Response:
        """GET /?site=&period=&from=&to=&interval=&limit=&chart=&compare=&filters=&note=&lang=."""
        question = begin_compared(self._asking.read(request), request.query_params)
        if is_form(request):
            return RedirectResponse(question.url(), 303)
        query = question.query
        report = await self._asking.api.ask(query)
        status, paused = await run_sync(self._status), await run_sync(self._find_paused)
        labels, now = self._frame.labels(request), self._asking.clock()
        site, fault = self._inventory.state(query.site)
        shown = build_overview(report, question, labels, now, self._analytics)
        titles, zone = purpose_titles(site.policy, labels.language), report.period.timezone
        return self._frame.page(
            request,
            "overview.html",
            observing=not site.enforce,
            fault=fault,
            held=build_held(report, labels, titles),
            queues=[build_queue(queue, labels, zone, status, paused) for queue in report.destinations],
            undeclared=await run_sync(self._inventory.count_undeclared, query.site),
            keeper=build_keeper(status, labels, now),
            page_counter=site.policy.page_counter,
            here_now=(await run_sync(self._look, query.site)).visitors,
            changing=request.query_params.get("note", ""),
            **await self._asking.head(question, labels) | shown,
        )


def begin_compared(question: Question, asked: Mapping[str, str]) -> Question:
    """Who comes without a question, in the morning, sees whether it is more or less than before; links say what they ask."""
    if asked.keys() - {"site", "lang"}:
        return question
    return replace(question, query=question.query.asking(compare="previous_period"))
