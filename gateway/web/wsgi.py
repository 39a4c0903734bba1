"""The gate for a WSGI server: an environ becomes a scope, and what the gate sends an iterable (PEP 3333).

The gate's coroutine is driven step by step in the request's own thread: whatever it sends suspends it until the server
asks for more. So the gate exists once, bytes go out as they come, and no loop runs in the site's thread.
"""

from collections.abc import Coroutine, Generator, Iterable
from functools import lru_cache
from http import HTTPStatus
from types import coroutine
from typing import Any
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIEnvironment

from gateway.web.middleware import Message, Scope
from gateway.web.wsgi_site import ENVIRON, HEADERS, PLAIN_HEADERS, STATUS, BrokenSite, encode

Steps = Coroutine[Message, None, None]
Header = tuple[bytes, bytes]

URL_LETTERS = "/:@!$&'()*+,;=~"  # not encoded in paths by any browser
EMPTY = (204, 304)


def build_scope(environ: WSGIEnvironment) -> Scope:
    """The ASGI scope of a request; never raises for anything a visitor sent.

    `path` is the whole path: where the app is mounted (SCRIPT_NAME), and the rest.
    """
    path = encode(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))
    port = environ.get("REMOTE_PORT", "")
    headers = _read_headers(environ)
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.1").partition("/")[2],
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "path": path.decode("utf-8", "replace"),
        "raw_path": _raw_path(environ) or quote(path, safe=URL_LETTERS).encode(),
        "query_string": encode(environ.get("QUERY_STRING", "")),
        "headers": headers,
        "client": (environ.get("REMOTE_ADDR", ""), int(port) if str(port).isdecimal() else 0),
        ENVIRON: environ,
        HEADERS: headers,
    }


def _raw_path(environ: WSGIEnvironment) -> bytes:
    """The path as it was asked for, where the server says it; else empty."""
    asked: str = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    return encode(asked.partition("?")[0]) if asked.startswith("/") else b""


def _read_headers(environ: WSGIEnvironment) -> list[Header]:
    headers = [(_header_name(key), encode(value)) for key, value in environ.items() if key.startswith("HTTP_")]
    headers += [(name, encode(environ[key])) for name, key in PLAIN_HEADERS.items() if environ.get(key)]
    return headers


@lru_cache(maxsize=1024)
def _header_name(key: str) -> bytes:
    return encode(key[5:].replace("_", "-").lower())


@coroutine
def hand_over(message: Message) -> Generator[Message, None, None]:
    """A `send` that hands the message to whoever drives the coroutine, and goes on when asked to."""
    yield message


async def read_nothing() -> Message:
    """The `receive` of a page: the site reads the environ's own input."""
    raise BrokenSite("a request's body is read from wsgi.input")


def respond(steps: Steps, start_response: StartResponse) -> "Body":
    """Drive an exchange until its head and first piece are there, and start the response; the rest is the body.

    Whatever the site raises passes through.
    """
    try:
        head, piece = _next(steps), _next(steps)
        if head is None or piece is None:
            raise BrokenSite("no answer came")
        start_response(*read_head(head))
    except BaseException:
        steps.close()
        raise
    return Body(steps, piece) if piece.get("more_body", False) else WholeBody(steps, piece)


def read_head(message: Message) -> tuple[str, list[tuple[str, str]]]:
    """Status line and headers of an answer's first message."""
    status = message["status"]
    line = message.get(STATUS) or f"{status} {HTTPStatus(status).phrase}"
    return line, [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]


def _next(steps: Steps) -> Message | None:
    try:
        return steps.send(None)
    except StopIteration:
        return None


class Body(Iterable[bytes]):
    """An answer's pieces, made when they are asked for. `close` ends the exchange wherever it is."""

    def __init__(self, steps: Steps, piece: Message) -> None:
        self._steps = steps
        self._piece: Message | None = piece
        self._over = False

    def __iter__(self) -> "Body":
        return self

    def __next__(self) -> bytes:
        if self._over:
            raise StopIteration
        message, self._piece = self._piece or _next(self._steps), None
        if message is None:
            self._over = True
            raise StopIteration
        body: bytes = message.get("body", b"")
        return body

    def close(self) -> None:
        """The server is done with it, or its client has gone."""
        self._over = True
        self._steps.close()


class WholeBody(Body):
    """One piece, and servers may know it: they announce its length where the site did not."""

    def __len__(self) -> int:
        return 1


def read_input(environ: WSGIEnvironment, most: int) -> list[Message]:
    """The request's body, up to `most` bytes, as the messages that tell of it; one that broke off ends so."""
    wanted, announced = _wanted(environ, most)
    body, broken = _read(environ["wsgi.input"], wanted)
    broken = broken or (announced and len(body) < wanted)
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": broken}]
    return [*messages, {"type": "http.disconnect"}] if broken else messages


def _wanted(environ: WSGIEnvironment, most: int) -> tuple[int, bool]:
    """How many bytes may be read without waiting for more than the client sends, and whether all of them have to come."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isdecimal() and len(length) < 20:
        return min(int(length), most), True
    return (most if environ.get("wsgi.input_terminated") else 0), False


def _read(stream: Any, wanted: int) -> tuple[bytes, bool]:
    body = b""
    try:
        while len(body) < wanted and (piece := stream.read(wanted - len(body))):
            body += piece
    except OSError:  # the client has gone
        return body, True
    return body, False


async def gather(exchange: Any, scope: Scope, messages: list[Message]) -> tuple[Message, bytes]:
    """Let an ASGI app answer a request whose body is here; returns head and body."""
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await exchange(scope, receive, send)
    return sent[0], b"".join(message.get("body", b"") for message in sent[1:])


def respond_whole(head: Message, body: bytes, method: str, start_response: StartResponse) -> list[bytes]:
    """Start the response of an answer that is all here. Each has a type, as WSGI's own validator wants it."""
    line, headers = read_head(head)
    if head["status"] not in EMPTY and not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "text/plain; charset=utf-8"))
    start_response(line, headers)
    return [b"" if method == "HEAD" else body]
