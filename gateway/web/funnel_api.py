"""A funnel as data: JSON and CSV, in the console's API and behind the local socket."""

from collections.abc import Callable, Sequence

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from gateway.analytics.funnels import Funnel
from gateway.analytics.query import Query
from gateway.errors import QueryError, StoreError
from gateway.web.report_api import JSON_TYPE, ReportApi, answer_errors, encode_report

Follow = Callable[[Query, Sequence[str]], Funnel]
MOST_TEXT = 16_000


class FunnelApi:
    """The question is that of a report, with `steps`: one filter in words a line."""

    def __init__(self, api: ReportApi, follow: Follow) -> None:
        self._api, self._follow = api, follow

    async def json(self, request: Request) -> Response:
        """GET funnel: the Funnel as JSON; 400 or 503 with {"errors": [...]}."""
        steps = request.query_params.get("steps", "")
        if len(steps) > MOST_TEXT:
            return answer_errors(400, [f"steps is {len(steps)} characters long; at most {MOST_TEXT}"])
        try:
            query = self._api.parse(request.query_params)
            found = await run_sync(self._follow, query, [line for line in steps.splitlines() if line.strip()])
        except QueryError as error:
            return answer_errors(400, error.faults)
        except StoreError as error:
            return answer_errors(503, [f"the event store cannot answer: {error}"])
        return Response(encode_report(found), media_type=JSON_TYPE)
