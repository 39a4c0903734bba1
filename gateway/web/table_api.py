"""One table of figures as data: any metrics by any dimensions, as the console's panels hold them, whole and by itself."""

from collections.abc import Callable, Iterator

from anyio.to_thread import run_sync
from msgspec import json
from starlette.requests import Request
from starlette.responses import Response

from gateway.analytics.answers import Answer, AnswerRow
from gateway.analytics.query import Query
from gateway.errors import QueryError, StoreError
from gateway.web.report_api import CSV_TYPE, JSON_TYPE, WITHHELD, ReportApi, answer_errors, as_file, write_csv

OTHERS = "others"


class TableApi:
    """The question is that of a report, with `metrics`, `dimensions` and `order_by`. `answer` blocks."""

    def __init__(self, api: ReportApi, answer: Callable[[Query], Answer]) -> None:
        self._api, self._answer = api, answer

    async def json(self, request: Request) -> Response:
        """GET table: the Answer as JSON; 400 or 503 with {"errors": [...]}."""
        return await self._respond(request, lambda _query, found: json.encode(found), JSON_TYPE)

    async def csv(self, request: Request) -> Response:
        """GET table.csv: a column for each dimension and metric, with a comparison one more for each metric."""
        name = request.query_params.get("dimensions", "").replace(",", "-").replace(":", "-") or "figures"
        plain = "".join(letter for letter in name if letter.isalnum() or letter in "-_")[:60]
        return as_file(await self._respond(request, build_table, CSV_TYPE), f"{plain or 'table'}.csv")

    async def _respond(self, request: Request, build: Callable[[Query, Answer], bytes], media_type: str) -> Response:
        try:
            query = self._api.parse(request.query_params)
            found = await run_sync(self._answer, query)
        except QueryError as error:
            return answer_errors(400, error.faults)
        except StoreError as error:
            return answer_errors(503, [str(error)])
        return Response(build(query, found), media_type=media_type)


def build_table(query: Query, found: Answer) -> bytes:
    """The rows as CSV; `note` says what a row is besides: withheld, or those of too few visitors
    together; rows without figures say what is to be known of all."""
    before = [f"{name}_before" for name in query.metrics] if query.compare else []
    return write_csv([*query.dimensions, *query.metrics, *before, "note"], _lines(query, found))


def _lines(query: Query, found: Answer) -> Iterator[list[object]]:
    rows = [*((row, "") for row in found.rows), *((row, OTHERS) for row in found.others)]
    for row, note in rows:
        yield [*row.keys, *row.figures, *_before(query, row), WITHHELD if row.few else note]
    if found.withheld:
        yield _remark(query, found.withheld)
    if (imported := found.imported) is not None:
        told = f"left out ({imported.left_out})" if imported.left_out else "in the figures"
        without = f", but for {' '.join(imported.lacking)}" if imported.lacking else ""
        days = f"{imported.first} to {imported.last}, counted by {imported.source}"
        yield _remark(query, f"imported days {days}: {told}{without}")


def _remark(query: Query, note: str) -> list[object]:
    return [*("" for _ in query.dimensions), *("" for _ in query.metrics), *_before(query, None), note]


def _before(query: Query, row: AnswerRow | None) -> list[object]:
    if not query.compare:
        return []
    return list(row.compared) if row and row.compared else [""] * len(query.metrics)
