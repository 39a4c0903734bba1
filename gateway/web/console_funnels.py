"""The console's page of funnels: ordered steps within a visit, where visits stop, and funnels that are kept."""

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.errors import QueryError
from gateway.flows.save_question import Saved, list_saved, save_funnel
from gateway.web.asking import Asking, go_back, is_form
from gateway.web.console_guard import check_same_site
from gateway.web.follow_api import Follow, read_lines
from gateway.web.frame import Frame
from gateway.web.funnel_view import STEP_KINDS, STEP_OPERATORS, build_fields, build_funnel_view
from gateway.web.question import Question
from gateway.web.signin import SignIn, read_form
from gateway.web.suggestions import Suggest

PATH = "/funnels"


class FunnelsPage:
    """The page /funnels. `follow` blocks."""

    def __init__(self, asking: Asking, frame: Frame, follow: Follow, suggest: Suggest) -> None:
        self._asking, self._frame, self._follow, self._suggest = asking, frame, follow, suggest

    def routes(self, signin: SignIn) -> list[Route]:
        """GET the page, POST a funnel to be kept."""
        return [
            Route(PATH, signin.page(self.show), methods=["GET"]),
            Route(PATH, signin.page(self.save), methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """GET /funnels?site=&period=&steps= (one a line); a form gives each step as `kind`, `operator` and `value`."""
        steps = [*read_lines(request.query_params.get("steps", "")), *_chosen(request)]
        question = self._asking.read(request, PATH, steps="\n".join(steps))
        if is_form(request) or "kind" in request.query_params:
            return RedirectResponse(question.url(more="1" if "another" in request.query_params else ""), 303)
        labels, faults, view = self._frame.labels(request), list[str](), {}
        if steps:
            try:
                view = build_funnel_view(await run_sync(self._follow, question.query, steps), labels)
            except QueryError as error:
                faults = error.faults
        kept = await run_sync(list_saved, self._asking.engine, question.query.site, "funnel")
        return self._frame.page(
            request,
            "funnels.html",
            400 if faults and "more" not in request.query_params else 200,
            period=labels.days(question.query.first.isoformat(), question.query.last.isoformat()),
            faults=faults if "more" not in request.query_params else [],
            funnel=view,
            steps="\n".join(steps),
            fields=build_fields(steps, "more" in request.query_params),
            step_kinds=STEP_KINDS,
            step_operators=STEP_OPERATORS,
            kept=[_link(one, question) for one in kept],
            suggested=await run_sync(self._suggest, question.query),
            **await self._asking.head(question, labels),
        )

    async def save(self, request: Request) -> Response:
        """POST /funnels: site, name, steps, to."""
        check_same_site(request)
        fields = await read_form(request)
        site = self._asking.known_site(fields.get("site", ""))
        what = (site, fields.get("name", ""), read_lines(fields.get("steps", "")))
        await run_sync(save_funnel, self._asking.engine, *what, request.state.operator, self._asking.clock())
        return go_back(fields)


def _chosen(request: Request) -> list[str]:
    """The steps of the form; a row without a value is none."""
    columns = [request.query_params.getlist(name) for name in ("kind", "operator", "value")]
    rows = zip(*columns, strict=False)
    return [f"{kind} {operator} {' '.join(value.split())}" for kind, operator, value in rows if value.strip()]


def _link(one: Saved, question: Question) -> tuple[str, str, bool]:
    steps = "\n".join(one.content)
    return one.name, question.url(steps=steps), dict(question.more).get("steps") == steps
