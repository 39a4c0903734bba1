"""Read a small request body, with a cap that holds with or without Content-Length."""

from collections.abc import Awaitable, Callable
from typing import Any

from gateway.errors import BadRequest
from gateway.web.request import VisitorRequest

Receive = Callable[[], Awaitable[Any]]


def find_whole(message: Any, limit: int) -> bytes | None:
    """The body in a request's first message, where that is all of it and not too long: of small posts it nearly always is,
    and a coroutine the less."""
    if message["type"] != "http.request" or message.get("more_body", False):
        return None
    body: bytes = message.get("body", b"")
    return body if len(body) <= limit else None


async def read_body(request: VisitorRequest, receive: Receive, limit: int, first: Any = None) -> bytes:
    """The whole body, from its `first` message on where there has been one; raises BadRequest 413 beyond `limit` bytes,
    400 when the client went away half-way."""
    length = request.headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > limit:
        raise BadRequest(413, "too_large", f"a body of at most {limit} bytes is wanted")
    message = first or await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False) and len(body) <= limit:
        message = await receive()
        body += message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise BadRequest(400, "cut_off", "the connection ended before the body did")
    if len(body) > limit:
        raise BadRequest(413, "too_large", f"a body of at most {limit} bytes is wanted")
    return body


def media_type(request: VisitorRequest) -> str:
    """The Content-Type without parameters, lower case."""
    return request.header(b"content-type").partition(";")[0].strip().lower()
