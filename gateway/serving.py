"""What `gateway serve` runs in each worker: the middleware around the reverse proxy, or around nothing."""

import logging
from typing import Any

from gateway.config import load_config
from gateway.front import ConsentMiddleware
from gateway.web.middleware import Receive, Scope, Send
from gateway.web.proxy import ReverseProxy


def build_app() -> ConsentMiddleware:
    """What `gateway serve` runs in each worker: the proxy when an upstream is configured, else the service alone."""
    config = load_config()
    logging.getLogger("gateway").setLevel(config.settings.log_level.upper())
    proxy = config.settings.proxy
    if not proxy.upstream:
        return ConsentMiddleware(not_found, config)
    inner = ReverseProxy(proxy.upstream, connect_seconds=proxy.connect_seconds, read_seconds=proxy.read_seconds)
    return ConsentMiddleware(inner, config)


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """The inner app of the stand-alone service: nothing is served but what lies under the prefix."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
    elif scope["type"] == "http":
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"9")]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": b"not found"})
    else:
        await send({"type": "websocket.close", "code": 1000})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message: Any = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
