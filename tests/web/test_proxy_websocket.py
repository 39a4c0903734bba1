"""WebSockets through the reverse proxy, between two independent implementations."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_websocket
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from gateway.web.proxy import ReverseProxy
from tests.web.proxy_servers import OK, Upstream, behind_proxy, run_server


@contextmanager
def websocket_site(handler: Callable[[ServerConnection], None]) -> Iterator[int]:
    """The port of a proxy before a site that speaks websocket."""

    def choose(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return Subprotocol("superchat") if "superchat" in offered else None

    with serve(handler, "127.0.0.1", 0, select_subprotocol=choose, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with run_server(ReverseProxy(f"http://127.0.0.1:{server.socket.getsockname()[1]}")) as port:
                yield port
        finally:
            server.shutdown()
            thread.join(5)


def visit(port: int, **settings: Any) -> ClientConnection:
    visitor: ClientConnection = connect_websocket(f"ws://127.0.0.1:{port}/live?a=%20b", proxy=None, **settings)
    return visitor


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


def test_text_and_binary_messages_pass_both_ways() -> None:
    """Text stays text and bytes stay bytes, of any size up to 16 MB, in order."""
    messages: list[str | bytes] = ["één", b"\x00\xff", "", "x" * 300_000, bytes(2_000_000)]
    with websocket_site(echo) as port, visit(port, max_size=None) as visitor:
        for message in messages:
            visitor.send(message)
        assert [visitor.recv() for _ in messages] == messages


def test_the_handshake_carries_what_the_visitor_sent() -> None:
    """Path, query, Host, Origin and Cookie reach the upstream, the subprotocol is the one it chose."""
    seen: list[Request] = []

    def note(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append(connection.request)

    settings = {
        "origin": "https://a.example",
        "subprotocols": [Subprotocol("superchat"), Subprotocol("other")],
        "additional_headers": {"Cookie": "a=1; b=2", "X-Forwarded-For": "6.6.6.6"},
    }
    with websocket_site(note) as port, visit(port, **settings) as visitor:
        assert visitor.subprotocol == "superchat"
    fields = seen[0].headers
    assert seen[0].path == "/live?a=%20b"
    assert (fields["Host"], fields["Origin"]) == (f"127.0.0.1:{port}", "https://a.example")
    assert fields.get_all("Cookie") == ["a=1; b=2"]
    assert (fields["X-Forwarded-For"], fields["X-Forwarded-Proto"]) == ("127.0.0.1", "http")
    assert "Sec-WebSocket-Extensions" not in fields


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "moved on"), (3000, "één"), (4999, "own")])
def test_the_upstreams_close_reaches_the_visitor(code: int, reason: str) -> None:
    """When the upstream closes, the visitor gets its code and reason."""
    with websocket_site(lambda connection: connection.close(code, reason)) as port, visit(port) as visitor:
        with pytest.raises(ConnectionClosed) as closed:
            visitor.recv(5)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, reason)


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "tab closed"), (4001, "één")])
def test_the_visitors_close_reaches_the_upstream(code: int, reason: str) -> None:
    """When the visitor closes, the upstream gets its code and reason."""
    got: list[tuple[int, str]] = []
    done = threading.Event()

    def note(connection: ServerConnection) -> None:
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(5)
        if closed.value.rcvd is not None:
            got.append((closed.value.rcvd.code, closed.value.rcvd.reason))
        done.set()

    with websocket_site(note) as port:
        with visit(port) as visitor:
            visitor.close(code, reason)
        assert done.wait(5)
    assert got == [(code, reason)]


def test_an_upstream_that_breaks_off_is_an_error_to_the_visitor() -> None:
    """An upstream gone without a word closes the visitor's websocket with 1011."""

    def break_off(connection: ServerConnection) -> None:
        connection.socket.shutdown(socket.SHUT_RDWR)

    with websocket_site(break_off) as port, visit(port) as visitor:
        with pytest.raises(ConnectionClosed) as closed:
            visitor.recv(5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 401),
        (b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n", 502),
        (OK, 502),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 502),
        (b"nonsense\r\n\r\n", 502),
    ],
)
def test_a_refused_handshake_is_refused_once(answer: bytes, status: int) -> None:
    """The upstream's refusal reaches the visitor with its status, and redirects are not followed."""
    with behind_proxy(answer) as (upstream, port):
        with pytest.raises(InvalidStatus) as refused:
            visit(port)
        assert refused.value.response.status_code == status
    assert len(upstream.requests) == 1


def test_a_websocket_to_a_site_that_is_down() -> None:
    """No connection to the upstream is a handshake refused with 502."""
    with closing(Upstream(OK)) as upstream:
        pass
    with run_server(ReverseProxy(upstream.url)) as port, pytest.raises(InvalidStatus) as refused:
        visit(port)
    assert refused.value.response.status_code == 502
