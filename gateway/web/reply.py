"""Answers under the prefix: status, headers and body sent in one go, with the headers every answer of ours has."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

Send = Callable[[Any], Awaitable[None]]

HTML = b"text/html; charset=utf-8"
JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"

# What is no page is shown as a document all the same when a script frames it: it lets that script reach nobody.
NO_PAGE = (b"content-security-policy", b"default-src 'none'")
ALWAYS = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]
PAGE = [
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
        b"form-action 'self'; frame-ancestors 'self'; base-uri 'none'",
    ),
    (b"x-robots-tag", b"noindex"),
]


async def reply(
    send: Send,
    status: int,
    body: bytes = b"",
    content_type: bytes = TEXT,
    *,
    headers: Sequence[tuple[bytes, bytes]] = (),
    cookies: Sequence[str] = (),
) -> None:
    """Send one whole answer."""
    head = [(b"content-length", b"%d" % len(body)), *ALWAYS, *headers]
    if body:
        head.append((b"content-type", content_type))
    if content_type is HTML:
        head += PAGE
    elif not content_type.startswith(b"text/html"):
        head.append(NO_PAGE)
    for cookie in cookies:
        head.append((b"set-cookie", cookie.encode("latin-1")))
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def send_nothing() -> None:
    """For what goes out later, with what comes next."""
