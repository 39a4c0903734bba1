"""Read a small request body, with a cap that holds with or without Content-Length."""

from collections.abc import Awaitable, Callable
from typing import Any

from gateway.errors import BadRequest
from gateway.web.request import VisitorRequest

Receive = Callable[[], Awaitable[Any]]


async def read_body(request: VisitorRequest, receive: Receive, limit: int) -> bytes:
    """The whole body; raises BadRequest 413 beyond `limit` bytes, 400 when the client went away half-way."""
    length = request.headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > limit:
        raise BadRequest(413, "too_large", f"a body of at most {limit} bytes is wanted")
    message = await receive()
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
