"""Pruning and copying for the command line, over the keeper's local socket."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import ConfigError, StoreError
from gateway.flows.retention import Old
from gateway.web.report_api import answer_errors


class Upkeep(Protocol):
    """What the keeper does for it."""

    async def prune(self, *, dry_run: bool) -> Old:
        """Delete what is too old, or only count it."""

    async def back_up(self, target: str, *, with_keys: bool) -> str:
        """Copy the data folder; returns where the copy lies."""

    def progress(self) -> msgspec.Struct:
        """How far the copy is."""


def upkeep_routes(upkeep: Upkeep) -> list[Route]:
    """POST /prune?dry_run=1, POST /backup?to=&keys=1; GET /backup: how far it is."""

    async def prune(request: Request) -> Response:
        return _json(await upkeep.prune(dry_run=request.query_params.get("dry_run") == "1"))

    async def back_up(request: Request) -> Response:
        asked = request.query_params
        return _json({"copy": await upkeep.back_up(asked.get("to", ""), with_keys=asked.get("keys") == "1")})

    async def progress(_request: Request) -> Response:
        return _json(upkeep.progress())

    return [
        Route("/prune", _said(prune), methods=["POST"]),
        Route("/backup", _said(back_up), methods=["POST"]),
        Route("/backup", progress, methods=["GET"]),
    ]


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _said(work: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """What goes wrong is said in the answer."""

    async def answer(request: Request) -> Response:
        try:
            return await work(request)
        except (StoreError, ConfigError, OSError) as error:
            return answer_errors(503, [str(error)])

    return answer
