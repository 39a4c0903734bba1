"""What is stored, for `gateway export`, over the keeper's local socket: one table, one day at a time."""

from collections.abc import Callable

import msgspec
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.analytics.store import Store
from gateway.errors import StoreError
from gateway.flows.export import MOMENTS, find_span, read_rows
from gateway.web.report_api import answer_errors


def export_routes(store: Store) -> list[Route]:
    """GET /export/span?site=, GET /export?table=&site=&start=&end= (epoch seconds)."""

    async def span(request: Request) -> Response:
        return await _answer(lambda: find_span(store, request.query_params.get("site", "")))

    async def rows(request: Request) -> Response:
        asked = request.query_params
        try:
            start, end = float(asked.get("start", "")), float(asked.get("end", ""))
        except ValueError:
            return answer_errors(400, ["start and end are wanted, in seconds since 1970"])
        if (table := asked.get("table", "")) not in MOMENTS:
            return answer_errors(400, [f"table: wanted one of {', '.join(MOMENTS)}"])
        return await _answer(lambda: read_rows(store, table, asked.get("site", ""), start, end))

    return [Route("/export/span", span, methods=["GET"]), Route("/export", rows, methods=["GET"])]


async def _answer(work: Callable[[], msgspec.Struct]) -> Response:
    try:
        return Response(msgspec.json.encode(await run_sync(work)), media_type="application/json")
    except StoreError as error:
        return answer_errors(503, [str(error)])
