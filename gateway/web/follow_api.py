"""Funnels and page flows as data: JSON and CSV, in the console's API and behind the local socket."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from gateway.analytics.funnels import Funnel
from gateway.analytics.page_flows import PageFlow
from gateway.analytics.query import Query
from gateway.errors import QueryError, StoreError
from gateway.web.report_api import CSV_TYPE, JSON_TYPE, ReportApi, answer_errors, as_file, encode_report

MOST_TEXT = 16_000
Found = TypeVar("Found", Funnel, PageFlow)
Follow = Callable[[Query, Sequence[str]], Funnel]
Walk = Callable[[Query, Sequence[str]], PageFlow]


class FollowApi(Generic[Found]):
    """The question is that of a report, with what is to be followed in `field`, one step or page a line."""

    def __init__(
        self,
        api: ReportApi,
        follow: Callable[[Query, Sequence[str]], Found],
        field: str,
        build_csv: Callable[[Found], bytes],
    ) -> None:
        self._api, self._field = api, field
        self._follow: Callable[[Query, Sequence[str]], Found] = follow
        self._build_csv: Callable[[Found], bytes] = build_csv

    async def json(self, request: Request) -> Response:
        """GET funnel, flow: the Funnel or PageFlow as JSON; 400 or 503 with {"errors": [...]}."""
        return await self._answer(request, encode_report, JSON_TYPE)

    async def csv(self, request: Request) -> Response:
        """GET funnel.csv, flow.csv: lines of section, name, detail, measure, value."""
        answered = await self._answer(request, self._build_csv, CSV_TYPE)
        return as_file(answered, request.url.path.rpartition("/")[2])

    async def _answer(self, request: Request, build: Callable[[Found], bytes], media_type: str) -> Response:
        text = request.query_params.get(self._field, "")
        if len(text) > MOST_TEXT:
            return answer_errors(400, [f"{self._field} is {len(text)} characters long; at most {MOST_TEXT}"])
        try:
            query = self._api.parse(request.query_params)
            found = await run_sync(self._follow, query, read_lines(text))
        except QueryError as error:
            return answer_errors(400, error.faults)
        except StoreError as error:
            return answer_errors(503, [str(error)])
        return Response(build(found), media_type=media_type)


def read_lines(text: str) -> list[str]:
    """The steps or pages of a field, one a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]
