"""WebSockets through the reverse proxy: two handshakes, messages copied both ways, the same close code.

Each side speaks its own framing, so extensions such as compression are agreed with each of them apart.
Header fields of the upstream's handshake answer are not passed on: cookies among them would reach the
visitor without anybody having been asked.
"""

import asyncio

from aiohttp import ClientError, ClientWebSocketResponse, ClientWSTimeout, WSMsgType, WSServerHandshakeError
from starlette.types import Receive, Scope, Send
from yarl import URL

from gateway.errors import BadRequest
from gateway.web.proxy_headers import build_request_head
from gateway.web.proxy_upstream import Upstream, judge_failure

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
CLOSE_SECONDS = 5
NO_CODE = 1005  # what both libraries report (aiohttp as 0) for a close frame without a code
GOING_AWAY = 1001
BROKEN = 1011
SENDABLE = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})

Closing = tuple[int, str]  # close code and reason
Copier = asyncio.Task[Closing | None]


async def relay_websocket(
    upstream: Upstream, scope: Scope, receive: Receive, send: Send, *, preserve_host: bool
) -> None:
    """Answer an ASGI `websocket` scope with a websocket of the upstream, until either side closes.

    A refused handshake is passed on with its status; where the server cannot do that, it says 403.
    """
    if (await receive())["type"] != "websocket.connect":
        return
    connected = await _connect(upstream, scope, preserve_host)
    if isinstance(connected, int):
        await _refuse(scope, send, connected)
        return
    try:
        await send({"type": "websocket.accept", "subprotocol": connected.protocol})
        await _relay(connected, receive, send)
    finally:
        await connected.close()


async def _connect(upstream: Upstream, scope: Scope, preserve_host: bool) -> ClientWebSocketResponse | int:
    """The upstream's websocket, or the HTTP status that says why there is none."""
    try:
        head = build_request_head(scope, preserve_host)
        return await upstream.open_for_websockets().ws_connect(
            URL(upstream.origin + head.target, encoded=True),
            protocols=tuple(scope.get("subprotocols") or ()),
            headers=head.fields,
            timeout=ClientWSTimeout(ws_close=CLOSE_SECONDS),
            max_msg_size=MAX_MESSAGE_BYTES,
        )
    except BadRequest as bad:
        return bad.status
    except WSServerHandshakeError as refused:
        # A redirect leads nowhere for a websocket, and 101 with a bad handshake is no handshake.
        return refused.status if 400 <= refused.status <= 599 else 502
    except (ClientError, OSError, ValueError) as error:
        return judge_failure(error)


async def _refuse(scope: Scope, send: Send, status: int) -> None:
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close"})
        return
    fields = [(b"content-length", b"0"), (b"cache-control", b"no-store")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": fields})
    await send({"type": "websocket.http.response.body", "body": b""})


async def _relay(upstream: ClientWebSocketResponse, receive: Receive, send: Send) -> None:
    up = asyncio.create_task(_copy_up(receive, upstream))
    down = asyncio.create_task(_copy_down(upstream, send))
    try:
        await _wait_for_closing(up, down)
        if up.done() and (left := up.result()):
            code, reason = left
            await upstream.close(code=_sendable(code, GOING_AWAY), message=reason.encode())
        elif down.done() and (ended := down.result()):
            code, reason = ended
            await send({"type": "websocket.close", "code": _sendable(code, BROKEN), "reason": reason})
    finally:
        up.cancel()
        down.cancel()
        await asyncio.wait((up, down))


async def _wait_for_closing(up: Copier, down: Copier) -> None:
    """Until a side has closed. A copier that can no longer write leaves the last word to the other one."""
    await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
    if up.done() and up.result() is None:
        await asyncio.wait((down,))
    elif down.done() and down.result() is None:
        await asyncio.wait((up,))


async def _copy_up(receive: Receive, upstream: ClientWebSocketResponse) -> Closing | None:
    while (message := await receive())["type"] != "websocket.disconnect":
        text = message.get("text")
        try:
            if text is not None:
                await upstream.send_str(text)
            else:
                await upstream.send_bytes(message["bytes"])
        except (ClientError, OSError):
            return None
    return message.get("code", NO_CODE), message.get("reason") or ""


async def _copy_down(upstream: ClientWebSocketResponse, send: Send) -> Closing | None:
    while (message := await upstream.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
        key = "text" if message.type is WSMsgType.TEXT else "bytes"
        try:
            await send({"type": "websocket.send", key: message.data})
        except OSError:  # what ASGI servers raise once the visitor has gone
            return None
    if message.type is WSMsgType.CLOSE:
        return message.data, message.extra or ""
    return upstream.close_code or BROKEN, ""


def _sendable(code: int, instead: int) -> int:
    """A code that a close frame may carry: no code at all is a normal end, a broken line is `instead`."""
    if code in (0, NO_CODE):
        return 1000
    return code if code in SENDABLE or 3000 <= code <= 4999 else instead
