"""Read what a small request says: its body, with a cap that holds with or without Content-Length, and its query."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from gateway.errors import BadRequest
from gateway.web.request import VisitorRequest

Receive = Callable[[], Awaitable[Any]]
MOST_FIELDS = 50


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


def read_query(request: VisitorRequest) -> dict[str, list[str]]:
    """The fields of a request's address; raises BadRequest 400 for more than anybody asks with."""
    try:
        return parse_qs(request.query, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise BadRequest(400, "malformed", f"at most {MOST_FIELDS} fields are wanted in an address") from error


def media_type(request: VisitorRequest) -> str:
    """The Content-Type without parameters, lower case."""
    return request.header(b"content-type").partition(";")[0].strip().lower()
