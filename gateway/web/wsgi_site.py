"""A WSGI site behind the gate: the gate calls it as an ASGI app, the site is called as PEP 3333 says."""

from typing import Any
from wsgiref.types import WSGIApplication, WSGIEnvironment

from gateway.errors import GatewayError
from gateway.web.middleware import Message, Receive, Scope, Send

ENVIRON = "wsgi.environ"  # where a scope carries the environ that it was made from
HEADERS = "wsgi.headers"  # and the headers that stood in it
STATUS = "status_line"  # where a message carries the site's own words for its status
OWN = "gateway."  # what the gate tells the site, in scope and environ alike
PLAIN_HEADERS = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}


class BrokenSite(GatewayError):
    """The inner app broke the rules of WSGI."""


def encode(text: str) -> bytes:
    """The bytes that WSGI writes as text; never raises."""
    return text.encode("latin-1", "replace")


def build_environ(scope: Scope) -> WSGIEnvironment:
    """The environ for the site: the server's own, with what the gate says; a copy when the gate changed a header."""
    environ: WSGIEnvironment = scope[ENVIRON]
    environ.update((name, value) for name, value in scope.items() if name.startswith(OWN))
    before, after = dict(scope[HEADERS]), dict(scope["headers"])
    if before == after:
        return environ
    environ = environ.copy()
    for name in before.keys() - after.keys():
        environ.pop(_environ_key(name), None)
    for name, value in after.items() - before.items():
        environ[_environ_key(name)] = value.decode("latin-1")
    return environ


def _environ_key(name: bytes) -> str:
    return PLAIN_HEADERS.get(name) or "HTTP_" + name.decode("latin-1").upper().replace("-", "_")


class WSGISite:
    """An ASGI app around a WSGI app, for the gate to stand before. It never waits for anything but `send`."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the worker's start and end."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        answer = _SiteAnswer(send)
        pieces = self._app(build_environ(scope), answer.start_response)
        try:
            last = len(pieces) if isinstance(pieces, list | tuple) else -1
            for number, piece in enumerate(pieces, 1):
                await answer.send(piece, more=number != last)
            await answer.finish()
        finally:
            if hasattr(pieces, "close"):
                pieces.close()


class _SiteAnswer:
    """The server's side of WSGI as the site sees it: head held back until there is a byte, as servers do."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._head: tuple[str, list[tuple[str, str]]] | None = None
        self._begun = self._ended = False
        self._written: list[bytes] = []  # by the old callable: goes out with the first piece

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
        """The callable handed to the site; returns `write`. With `exc_info` a head that is still here is replaced."""
        if exc_info is not None and (self._begun or self._written):
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self._head is not None:
            raise BrokenSite("start_response was called twice")
        self._head = (status, list(headers))
        return self._written.append

    async def send(self, piece: bytes, *, more: bool) -> None:
        """The next piece; the head goes before the first that is not empty."""
        if self._written:
            piece = b"".join((*self._written, piece))
            self._written.clear()
        if not self._begun:
            if more and not piece:
                return
            self._begun = True
            await self._send(self._start())
        self._ended = not more
        await self._send({"type": "http.response.body", "body": piece, "more_body": more})

    async def finish(self) -> None:
        """The end, unless a piece was known to be the last."""
        if not self._ended:
            await self.send(b"", more=False)

    def _start(self) -> Message:
        if self._head is None:
            raise BrokenSite("start_response was not called before the first byte")
        status, headers = self._head
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return {"type": "http.response.start", "status": int(status[:3]), "headers": pairs, STATUS: status}


async def _live(receive: Receive, send: Send) -> None:
    """A WSGI app knows neither start nor end."""
    for _ in range(2):
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
