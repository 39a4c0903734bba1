"""Real sockets for the proxy's tests: an upstream that records each byte, and a server for the app."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from gateway.web.proxy import ReverseProxy

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nHost: site.example\r\n\r\n"
Script = Callable[[socket.socket, bytes], None]


class Upstream:
    """A site of raw sockets: reads one request after the other as it was sent, and lets `script` answer."""

    def __init__(self, script: bytes | Script) -> None:
        self.script = script
        self.requests: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with closing(connection):
            connection.settimeout(10)
            try:
                while request := read_head(connection):
                    if callable(self.script):
                        self.requests.append(request)
                        self.script(connection, request)
                    else:
                        self.requests.append(request + read_body(connection, request))
                        connection.sendall(self.script)
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # a thread waits in accept, and would answer one more
        self._listener.close()


def read_until(connection: socket.socket, end: bytes, at_once: int = 1) -> bytes:
    got = bytearray()
    while not got.endswith(end) and (some := connection.recv(at_once)):
        got += some
    return bytes(got)


def read_head(connection: socket.socket) -> bytes:
    return read_until(connection, b"\r\n\r\n")


def read_body(connection: socket.socket, head: bytes) -> bytes:
    if b"Transfer-Encoding: chunked" in head:
        return read_until(connection, b"0\r\n\r\n", 65_536)
    fields = [line.split(b": ") for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
    missing, got = int(fields[0][1]) if fields else 0, b""
    while len(got) < missing and (chunk := connection.recv(missing - len(got))):
        got += chunk
    return got


@contextmanager
def run_server(app: ASGIApp, **settings: Any) -> Iterator[int]:
    """Serve an ASGI app on a free loopback port, which is yielded; `settings` are uvicorn's."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            app, log_level="critical", proxy_headers=False, server_header=False, date_header=False, **settings
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@contextmanager
def behind_proxy(script: bytes | Script, **settings: Any) -> Iterator[tuple[Upstream, int]]:
    """An upstream and the port of a proxy before it."""
    with closing(Upstream(script)) as upstream, run_server(ReverseProxy(upstream.url, **settings)) as port:
        yield upstream, port


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def ask(port: int, request: bytes) -> bytes:
    """Send bytes, and return all that comes until the server has nothing more to say."""
    with connect(port) as visitor:
        visitor.sendall(request.replace(b"\r\nHost:", b"\r\nConnection: close\r\nHost:", 1))
        got = b""
        while chunk := visitor.recv(65536):
            got += chunk
        return got


def fields_of(message: bytes) -> list[bytes]:
    return message.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]


def stay_silent_until(end: threading.Event) -> Script:
    """A script that reads and answers nothing."""

    def script(connection: socket.socket, request: bytes) -> None:
        end.wait(10)

    return script


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)
