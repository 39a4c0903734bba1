"""The reverse proxy: an ASGI app that hands every request to the site behind it, the upstream.

Bodies stream both ways as they arrive and are never collected: a slow reader slows the writer down. What
comes out of the upstream's body goes to the visitor byte for byte, compressed or not.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from aiohttp import AsyncIterablePayload, ClientError, ClientResponse
from aiohttp.abc import AbstractStreamWriter
from starlette.types import Receive, Scope, Send
from yarl import URL

from gateway.errors import BadRequest
from gateway.web.proxy_headers import RequestHead, build_answer_fields, build_request_head
from gateway.web.proxy_upstream import Upstream, judge_failure
from gateway.web.proxy_websocket import relay_websocket

log = logging.getLogger("gateway.proxy")

# Most answers are there sooner; only for the others is it worth a task to notice that the visitor left.
WATCH_AFTER_SECONDS = 0.05


def _page(dutch: tuple[str, str], english: tuple[str, str]) -> bytes:
    style = "body{font:1.125rem/1.5 sans-serif;max-width:38rem;margin:4rem auto;padding:0 1rem}"
    return (
        f'<!doctype html><html lang="nl"><head><meta charset="utf-8"><title>{dutch[0]}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{style}</style></head>'
        f"<body><main><h1>{dutch[0]}</h1><p>{dutch[1]}</p>"
        f'<section lang="en"><h2>{english[0]}</h2><p>{english[1]}</p></section></main></body></html>\n'
    ).encode()


@dataclass(frozen=True, slots=True)
class ErrorPages:
    """The proxy's own pages as whole HTML documents (UTF-8): site down, site silent, request refused."""

    unreachable: bytes = _page(
        ("De website is even niet bereikbaar", "Probeer het over een paar minuten opnieuw."),
        ("The website cannot be reached right now", "Please try again in a few minutes."),
    )
    silent: bytes = _page(
        ("De website geeft geen antwoord", "Het duurt te lang. Probeer het over een paar minuten opnieuw."),
        ("The website does not answer", "It is taking too long. Please try again in a few minutes."),
    )
    refused: bytes = _page(
        ("Dit verzoek is niet geldig", "De website kan er niets mee."),
        ("This request is not valid", "The website cannot work with it."),
    )

    def show(self, status: int) -> bytes:
        """The page that goes with a status."""
        return {502: self.unreachable, 504: self.silent}.get(status, self.refused)


class Visitor:
    """The visitor's end of one exchange: iterates over the request's body, and calls the exchange off
    (`left` is then true, and the task that made the Visitor cancelled) when the visitor goes away."""

    __slots__ = ("_ended", "_receive", "_task", "_timer", "_watcher", "left")

    def __init__(self, receive: Receive, task: asyncio.Task[Any]) -> None:
        self.left = False
        self._receive, self._task = receive, task
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Look out for the visitor's leaving from now on; nobody else may receive meanwhile."""
        self._timer = self._task.get_loop().call_later(WATCH_AFTER_SECONDS, self._start_watching)

    def stop(self) -> None:
        """The exchange is over, or so nearly that leaving changes nothing."""
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def __aiter__(self) -> "Visitor":
        return self

    async def __anext__(self) -> bytes:
        while not self._ended:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._leave()
                raise EOFError("the visitor left while sending")  # the upstream must not take it for the end
            self._ended = not message.get("more_body", False)
            if chunk := message.get("body", b""):
                return bytes(chunk)
        self.watch()
        raise StopAsyncIteration

    def _start_watching(self) -> None:
        self._watcher = self._task.get_loop().create_task(self._wait_for_leaving())

    async def _wait_for_leaving(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        self.left = True
        self._task.cancel()


class RequestBody(AsyncIterablePayload):
    """A visitor's body on its way to the upstream, which has `seconds` to take each piece of it."""

    def __init__(self, visitor: Visitor, seconds: float) -> None:
        super().__init__(visitor)
        self._visitor, self._seconds = visitor, seconds
        self._transport: asyncio.WriteTransport | None = None

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write the pieces as they come. Raises EOFError when they are not `content_length` bytes (if known):
        bytes too many would be taken for another request."""
        self._consumed = True  # aiohttp must not try again with what is left
        self._transport = writer.transport
        total = 0
        async for chunk in self._visitor:
            total += len(chunk)
            if content_length is not None and total > content_length:
                break
            async with asyncio.timeout(self._seconds):
                await writer.write(chunk)
        if content_length is not None and total != content_length:
            raise EOFError("the body is not as long as announced")

    def abort(self) -> None:
        """Drop what was written and not yet taken; closing alone would wait for the upstream to take it."""
        if self._transport is not None:
            self._transport.abort()


class ReverseProxy:
    """ASGI app (`http`, `websocket`, `lifespan`) before the site at `upstream`, such as http://127.0.0.1:8080.

    A path in `upstream` is put before every request's path. `connect_seconds` bounds making a connection,
    `read_seconds` every wait for the upstream: to take the next bytes of a request, to give those of an
    answer. A site that cannot be reached is answered with 502, one that stays silent with 504. An answer
    that breaks off raises ConnectionAbortedError, so that the server closes the visitor's connection
    instead of passing half a page off as a whole one.
    Raises ValueError when `upstream` is not such a URL.
    """

    def __init__(
        self,
        upstream: str,
        *,
        connect_seconds: float = 5,
        read_seconds: float = 60,
        pages: ErrorPages | None = None,
        preserve_host: bool = True,
    ) -> None:
        self._upstream = Upstream(upstream, connect_seconds, read_seconds)
        self._read_seconds = read_seconds
        self._pages = pages or ErrorPages()
        self._preserve_host = preserve_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "websocket":
            await relay_websocket(self._upstream, scope, receive, send, preserve_host=self._preserve_host)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def close(self) -> None:
        """Close all connections to the upstream."""
        await self._upstream.close()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._upstream.open()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            head = build_request_head(scope, self._preserve_host)
        except BadRequest as bad:
            await _send_page(send, bad.status, self._pages.show(bad.status), (b"connection", b"close"))
            return
        task = asyncio.current_task()
        assert task is not None
        visitor = Visitor(receive, task)
        try:
            await self._exchange(head, visitor, send)
        except asyncio.CancelledError:
            if not visitor.left:
                raise
            task.uncancel()
        finally:
            visitor.stop()

    async def _exchange(self, head: RequestHead, visitor: Visitor, send: Send) -> None:
        try:
            response = await self._ask(head, visitor)
        except (ClientError, OSError, ValueError) as error:
            visitor.stop()
            status = judge_failure(error)
            await _send_page(send, status, self._pages.show(status))
            return
        try:
            await _relay(response, visitor, send)
        except BaseException:
            response.close()  # one that was read to its end has let go of its connection by itself
            raise

    async def _ask(self, head: RequestHead, visitor: Visitor) -> ClientResponse:
        if head.length == 0:
            visitor.watch()
            return await self._request(head, None)
        body = RequestBody(visitor, self._read_seconds)
        try:
            return await self._request(head, body)
        except (asyncio.CancelledError, OSError):
            body.abort()
            raise

    async def _request(self, head: RequestHead, body: RequestBody | None) -> ClientResponse:
        url = URL(self._upstream.origin + head.target, encoded=True)
        session = self._upstream.open()
        response = await session.request(head.method, url, headers=head.fields, data=body, allow_redirects=False)
        if not 200 <= response.status <= 599:
            response.close()
            raise ClientError("a switch of protocol nobody asked for, or a status HTTP does not know")
        return response


async def _relay(response: ClientResponse, visitor: Visitor, send: Send) -> None:
    fields = build_answer_fields(response.status, response.raw_headers)
    await send({"type": "http.response.start", "status": response.status, "headers": fields})
    content = response.content
    more = True
    while more:
        try:
            chunk = await content.readany()
        except (ClientError, OSError) as error:
            log.warning("upstream answer broken off: %s", type(error).__name__)
            raise ConnectionAbortedError("the upstream stopped in the middle of its answer") from None
        more = not content.at_eof()
        if not more:
            visitor.stop()
        await send({"type": "http.response.body", "body": chunk, "more_body": more})


async def _send_page(send: Send, status: int, page: bytes, *more: tuple[bytes, bytes]) -> None:
    fields = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", str(len(page)).encode()),
        (b"cache-control", b"no-store"),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": page})
