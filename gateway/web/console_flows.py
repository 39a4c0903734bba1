"""The console's page of flows: from a page, where visits went next and where they had come from."""

from dataclasses import replace

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.errors import QueryError
from gateway.web.asking import Asking, is_form
from gateway.web.flow_view import build_flow_view
from gateway.web.follow_api import Walk, read_lines
from gateway.web.frame import Frame
from gateway.web.signin import SignIn
from gateway.web.suggestions import Suggest

PATH = "/flows"


class FlowsPage:
    """The page /flows. `walk` blocks."""

    def __init__(self, asking: Asking, frame: Frame, walk: Walk, suggest: Suggest) -> None:
        self._asking, self._frame, self._walk, self._suggest = asking, frame, walk, suggest

    def routes(self, signin: SignIn) -> list[Route]:
        """GET the page."""
        return [Route(PATH, signin.page(self.show), methods=["GET"])]

    async def show(self, request: Request) -> Response:
        """GET /flows?site=&period=&pages= (one a line); without pages it begins at the one with most visitors."""
        asked = read_lines(request.query_params.get("pages", ""))
        question = self._asking.read(request, PATH, pages="\n".join(asked))
        if is_form(request):
            return RedirectResponse(question.url(), 303)
        labels, faults, view = self._frame.labels(request), list[str](), {}
        suggested = await run_sync(self._suggest, question.query)
        pages = asked or suggested["page"][:1]
        question = replace(question, more=(("pages", "\n".join(pages)),))
        if pages:
            try:
                view = build_flow_view(await run_sync(self._walk, question.query, pages), question, labels)
            except QueryError as error:
                faults = error.faults
        return self._frame.page(
            request,
            "flows.html",
            400 if faults else 200,
            period=labels.days(question.query.first.isoformat(), question.query.last.isoformat()),
            faults=faults,
            flow=view,
            pages="\n".join(pages),
            suggested=suggested,
            **await self._asking.head(question, labels),
        )
