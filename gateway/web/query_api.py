"""POST /api/v2/query: figures for programs, in the shape of Plausible's Stats API v2, for holders of a key.

One engine answers it and the console (flows/answer); here are words and units only: rates are in percent, as there.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from anyio.to_thread import run_sync
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.analytics.answers import Answer, AnswerRow, Figure
from gateway.analytics.dimensions import get_dimension
from gateway.analytics.filters import Condition, encode_filters, replace_conditions
from gateway.analytics.local_time import find_buckets, label_bucket
from gateway.analytics.metrics import get_metric
from gateway.analytics.period import MODES
from gateway.analytics.query import Query
from gateway.api_keys import READ
from gateway.errors import BadRequest, QueryError, StoreError
from gateway.web.api_access import ApiAccess
from gateway.web.openapi import OPENAPI_PATH, QUERY_PATH, build_document
from gateway.web.query_body import PERCENTAGE, VISITORS, Asked, parse_body

JSON_TYPE = "application/json"
BODY_BYTES = 65_536
HEADERS = {401: {"www-authenticate": "Bearer"}, 429: {"retry-after": "60"}}


class QueryApi:
    """Answers holders of keys of the scope `read`. `answer` blocks and is called in a thread."""

    def __init__(
        self,
        engine: Engine,
        sites: Mapping[str, str],
        answer: Callable[[Query], Answer],
        clock: Callable[[], float],
    ) -> None:
        self._access, self._sites, self._answer, self._clock = ApiAccess(engine, READ), sites, answer, clock
        self._document = msgspec.json.encode(build_document())

    def routes(self) -> list[Route]:
        """The question, and the description of what may be asked."""
        return [
            Route(QUERY_PATH, self.query, methods=["POST"]),
            Route(OPENAPI_PATH, self.document, methods=["GET"]),
        ]

    async def document(self, _request: Request) -> Response:
        """GET /api/v2/openapi.json; needs no key, since it says nothing of anybody."""
        return Response(self._document, media_type=JSON_TYPE)

    async def query(self, request: Request) -> Response:
        """POST /api/v2/query: rows of figures; faults as {"error": ..., "errors": [...]}."""
        try:
            now = self._clock()
            key = await run_sync(self._access.admit, request.headers.get("authorization", ""), now)
            sites = {site: zone for site, zone in self._sites.items() if key.covers(site)}
            asked = parse_body(await _read(request), sites, datetime.fromtimestamp(now, UTC))
            found = await run_sync(self._answer, asked.query)
            whole = await run_sync(self._answer, _whole(asked.query, found)) if PERCENTAGE in asked.figures else None
        except BadRequest as error:
            return _refuse(error.status, [str(error)])
        except QueryError as error:
            return _refuse(400, error.faults)
        except StoreError as error:
            return _refuse(503, [str(error)])
        return Response(msgspec.json.encode(build_reply(asked, found, whole)), media_type=JSON_TYPE)


def _whole(query: Query, found: Answer) -> Query:
    """All visitors of a question: what percentages are of. Imported days that its rows leave out are left out of these too."""
    imports = found.imported is not None and not found.imported.left_out
    return query.asking(metrics=(VISITORS,), dimensions=(), order_by=(), offset=0, imports=imports)


def build_reply(asked: Asked, found: Answer, whole: Answer | None = None) -> dict[str, Any]:
    """The answer as it is sent: results, what is to be known of them, and the question as it was understood. `whole` holds all
    visitors where a percentage of them is asked for."""
    query, meta = asked.query, dict[str, Any]()
    if asked.total_rows:
        meta["total_rows"] = found.all_rows
    if asked.time_labels:
        meta["time_labels"] = _time_labels(query)
    if query.imports:
        meta |= _imports(found)
    if found.withheld:
        meta["withheld"] = found.withheld
    totals = whole.rows[0] if whole and whole.rows else AnswerRow((), (None,))
    if found.others:
        meta["others"] = [_result(row, asked, totals) for row in found.others]
    return {"results": [_result(row, asked, totals) for row in found.rows], "meta": meta, "query": _echo(asked)}


def _imports(found: Answer) -> dict[str, Any]:
    imported = found.imported
    if imported is None:
        return {"imports_included": False, "imports_skip_reason": "no_imported_data"}
    if imported.left_out:
        reason = "unsupported_interval" if imported.left_out == "hour" else "unsupported_query"
        return {"imports_included": False, "imports_skip_reason": reason}
    if not imported.lacking:
        return {"imports_included": True}
    lacking = ", ".join(_name(name) for name in imported.lacking)
    return {"imports_included": True, "imports_warning": f"imported days tell nothing of: {lacking}"}


def _result(row: AnswerRow, asked: Asked, totals: AnswerRow) -> dict[str, Any]:
    figures = _outside(row.figures, asked, totals.figures)
    result = {"metrics": figures, "dimensions": list(row.keys)}
    if asked.query.compare:
        before: list[Figure] = [None] * len(figures)
        if row.compared is not None:
            before = _outside(row.compared, asked, totals.compared or (None,))
        change = [_change(*pair) for pair in zip(figures, before, strict=True)]
        return result | {"comparison": {"metrics": before, "dimensions": list(row.keys), "change": change}}
    return result


def _outside(figures: tuple[Figure, ...], asked: Asked, totals: tuple[Figure, ...]) -> list[Figure]:
    """The figures asked for: rates in percent, and the percentage of all visitors."""
    found = {
        metric.name: figure * 100 if figure is not None and metric.unit == "rate" else figure
        for figure, metric in zip(figures, asked.query.figures, strict=True)
    }
    visitors, (whole, *_) = found.get(VISITORS), totals
    found[PERCENTAGE] = visitors * 100 / whole if visitors is not None and whole else None
    return [found[name] for name in asked.figures]


def _change(now: Figure, before: Figure) -> Figure:
    """By how many percent a figure has grown; a hundred from nothing, and nothing where one is missing."""
    if now is None or before is None:
        return None
    return (now - before) * 100 / before if before else 100 if now else 0


def _time_labels(query: Query) -> list[str]:
    interval = next((key.name for key in query.keys if key.scope == "time"), "")
    return [label_bucket(one.key, query.timezone) for one in find_buckets(query, interval)] if interval else []


def _echo(asked: Asked) -> dict[str, Any]:
    query = asked.query
    return {
        "site_id": query.site,
        "timezone": query.timezone,
        "date_range": _date_range(query),
        "metrics": [name if name == PERCENTAGE else _name(name) for name in asked.figures],
        "dimensions": [_name(name) for name in query.dimensions],
        "filters": encode_filters(query.filters and replace_conditions(query.filters, _renamed)),
        "order_by": [[_name(order.name), "desc" if order.descending else "asc"] for order in query.order_by],
        "include": {
            "imports": query.imports,
            "time_labels": asked.time_labels,
            "total_rows": asked.total_rows,
            "comparisons": {"mode": next(mode for mode, meant in MODES.items() if meant == query.compare)}
            if query.compare
            else None,
        },
        "pagination": {"limit": query.limit, "offset": query.offset},
    }


def _date_range(query: Query) -> list[str]:
    """The first and the last day, or the first and the last second."""
    if query.times is None:
        return [query.first.isoformat(), query.last.isoformat()]
    zone = ZoneInfo(query.timezone)
    return [datetime.fromtimestamp(at, zone).isoformat() for at in (query.times[0], query.times[1] - 1)]


def _renamed(condition: Condition) -> Condition:
    return msgspec.structs.replace(condition, dimension=_name(condition.dimension))


def _name(name: str) -> str:
    """How Plausible's API calls a metric or a dimension."""
    try:
        return get_metric(name).outside
    except KeyError:
        dimension = get_dimension(name)
        return dimension.outside or dimension.name.replace("prop:", "event:props:", 1)


async def _read(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise BadRequest(413, "body", f"the body is larger than {BODY_BYTES} bytes")
    return body


def _refuse(status: int, errors: list[str]) -> Response:
    body = msgspec.json.encode({"error": "; ".join(errors), "errors": errors})
    return Response(body, status, HEADERS.get(status), JSON_TYPE)
