"""The console's page on destinations: how each one stands, why a delivery was made or not, and what an operator can do."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from anyio.to_thread import run_sync
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.config import Config
from gateway.destinations.base import Delivered
from gateway.destinations.dead_letters import Which, count_dead, trace
from gateway.destinations.figures import count_delivered, find_paused, find_untold, queue_figures
from gateway.errors import BadRequest
from gateway.flows.erase import count_known, erase
from gateway.flows.operate_destination import ACCEPTED, pause, resume, send_again, try_out
from gateway.flows.page_numbers import find_wrong_numbers
from gateway.web.console_guard import check_same_site
from gateway.web.frame import Frame
from gateway.web.signin import SignIn, read_form

ID_LETTERS, WHO_LETTERS = 64, 254
ERASE = "erase"  # an action that concerns all destinations
HOUR = 3600.0
WORD = re.compile(r"[a-z0-9_]{0,64}\Z")
PATH = "/destinations"


class DestinationsPage:
    """The page /destinations and its forms. `status` is the keeper's (see `ConsoleParts`)."""

    def __init__(
        self,
        config: Config,
        engine: Engine,
        frame: Frame,
        status: Callable[[], Mapping[str, Any]],
        clock: Callable[[], float],
    ) -> None:
        self._config, self._engine, self._frame, self._status, self._clock = config, engine, frame, status, clock

    def routes(self, signin: SignIn) -> list[Route]:
        """GET the page, POST what is to be done."""
        return [
            Route(PATH, signin.page(self.show), methods=["GET"]),
            Route(PATH, signin.page(self.act), methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """GET /destinations?site=&id=&done=&name=&answer=."""
        return await self._page(request, request.query_params)

    async def _page(
        self, request: Request, fields: Mapping[str, str], *, erasing: str = "", known: int = 0
    ) -> Response:
        names = {site.id: site.config.name or site.id for site in self._config.sites}
        site = fields.get("site") or self._config.sites[0].id
        if site not in names:
            raise BadRequest(404, "site", f"There is no site {site[:40]!r}.")
        asked = fields.get("id", "").strip()[:ID_LETTERS]
        return self._frame.page(
            request,
            "destinations.html",
            site=site,
            sites=[(name, id_, id_ == site) for id_, name in names.items()],
            site_name=names[site],
            timezone=self._config.sites[0].config.timezone,
            destinations=await run_sync(self._look),
            done=fields.get("done", "") if fields.get("name") in (*self._names, ERASE) else "",
            name=fields.get("name", ""),
            answer=fields.get("answer", "") if WORD.match(fields.get("answer", "")) else "",
            asked=asked,
            traces=await run_sync(trace, self._engine, asked) if asked else [],
            erasing=erasing,
            known=known,
        )

    @property
    def _names(self) -> list[str]:
        return [destination.name for destination in self._config.destinations]

    def _look(self) -> list[dict[str, Any]]:
        """Figures, state, dead letters and the last hour's deliveries of each. Blocks."""
        found = queue_figures(self._engine, self._config.destinations)
        letters, status = count_dead(self._engine), self._status()
        stopped, resting = status.get("disabled", {}), status.get("resting", {})
        rates = count_delivered(self._engine, self._clock() - HOUR)
        numbers = find_wrong_numbers(self._engine, self._config.destinations)
        paused = find_paused(self._engine)
        untold = {one.destination: one for one in find_untold(self._engine)}
        return [
            {
                "figures": one,
                "paused": one.destination in paused,
                "stopped": stopped.get(one.destination, ""),
                "rest": resting.get(one.destination),
                "untold": untold.get(one.destination),
                "letters": [letter for letter in letters if letter.destination == one.destination],
                "hour": rates.get(one.destination, 0),
                "numbers": [wrong for wrong in numbers if wrong.destination == one.destination],
            }
            for one in found
        ]

    async def act(self, request: Request) -> Response:
        """POST /destinations: name, action (test, pause, resume, redrive), reason, site; or action=erase, who, sure."""
        check_same_site(request)
        fields = await read_form(request)
        name, action = fields.get("name", ""), fields.get("action", "")
        if action == ERASE:
            return await self._erase(request, fields)
        if name not in self._names:
            raise BadRequest(404, "name", "There is no destination of that name.")
        answer = await run_sync(self._do, action, name, request.state.operator, fields.get("reason", ""))
        return _lead_back(fields, action, name, answer)

    async def _erase(self, request: Request, fields: Mapping[str, str]) -> Response:
        """Say who is known by this, and ask once more; then forget them. The address stands in no URL and no log."""
        who = fields.get("who", "").strip()[:WHO_LETTERS]
        if fields.get("sure") != "yes" or not who:
            known = await run_sync(count_known, self._engine, who) if who else 0
            return await self._page(request, {"site": fields.get("site", "")}, erasing=who, known=known)
        ids = await run_sync(erase, self._config, self._engine, who, request.state.operator, self._clock())
        return _lead_back(fields, ERASE, ERASE, str(len(ids)))

    def _do(self, action: str, name: str, operator: str, reason: str) -> str:
        """Do it; what is to be said of it. Blocks. Raises BadRequest."""
        what = (self._config, self._engine, name, operator, self._clock())
        if action == "redrive":
            return str(send_again(*what, Which(reason)))
        if action == "test":
            verdict = try_out(*what)
            return ACCEPTED if isinstance(verdict, Delivered) else verdict.reason
        if action not in ("pause", "resume"):
            raise BadRequest(400, "action", "Choose what is to be done.")
        (pause if action == "pause" else resume)(*what)
        return ""


def _lead_back(fields: Mapping[str, str], done: str, name: str, answer: str) -> RedirectResponse:
    told = {"site": fields.get("site", ""), "done": done, "name": name, "answer": answer}
    return RedirectResponse(f"{PATH}?{urlencode({key: text for key, text in told.items() if text})}", 303)
