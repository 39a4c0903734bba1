"""A strict receiver of signed webhooks: a real HTTP server that refuses what a real one refuses."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import standardwebhooks
from aiohttp import web

Answer = Callable[["Received"], "web.StreamResponse | Awaitable[web.StreamResponse]"]


@dataclass
class Received:
    """One request that came in: when (epoch seconds), its id, and its decoded body."""

    at: float
    id: str
    body: Any
    headers: dict[str, str]


@dataclass
class Receiver:
    """Keeps every request whose signature the published library verifies; refuses all others with 400 or 401.

    `answer`, when set, says what to answer to a good request; otherwise it is 204.
    """

    secret: str
    answer: Answer | None = None
    url: str = ""
    accepted: list[Received] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """The ids of the good requests, in the order in which they came, repeats included."""
        return [received.id for received in self.accepted]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Check a request as strictly as the specification allows."""
        body, headers = await request.read(), {name.lower(): value for name, value in request.headers.items()}
        fault = self._find_fault(request, body, headers)
        if fault is not None:
            self.refused.append(fault)
            return web.Response(status=401 if fault == "signature" else 400, text=fault)
        received = Received(time.time(), headers["webhook-id"], json.loads(body), headers)
        self.accepted.append(received)
        if self.answer is None:
            return web.Response(status=204)
        answer = self.answer(received)
        return answer if isinstance(answer, web.StreamResponse) else await answer

    def _find_fault(self, request: web.Request, body: bytes, headers: dict[str, str]) -> str | None:
        if request.method != "POST" or headers.get("content-type") != "application/json":
            return "wanted a POST of application/json"
        if (
            "cookie" in headers
            or "authorization" in headers
            or not headers.get("user-agent", "").startswith("consent-gateway/")
        ):
            return "headers"
        if len(body) > 20_000:
            return "size"
        try:
            told = standardwebhooks.Webhook(self.secret).verify(body, headers)
        except standardwebhooks.WebhookVerificationError:
            return "signature"
        return None if set(told) == {"type", "timestamp", "data"} else "shape"


@asynccontextmanager
async def receiving(receiver: Receiver) -> AsyncIterator[Receiver]:
    """Serve on a free local port for as long as the block lasts; `receiver.url` is set."""
    async with serving(receiver.handle) as url:
        receiver.url = url
        yield receiver


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Any aiohttp handler on a free local port; gives its URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.2, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/in"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def serving_bytes(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A raw server that does whatever `talk` does after the request's head has come; gives its URL."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await reader.readuntil(b"\r\n\r\n")
            await talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/in"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
