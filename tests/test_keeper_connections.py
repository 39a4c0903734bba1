"""Connections to the keeper's console: few enough, and none for ever."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import anyio.to_thread
import pytest
import uvicorn

from gateway import keeper_connections
from gateway.demo.loopback import LOOPBACK, open_port
from gateway.keeper_connections import BriefConnection

HEAD = b"GET / HTTP/1.1\r\nhost: localhost\r\n"


class Console:
    """An app that counts who asks, and answers nobody before it may."""

    def __init__(self, port: int) -> None:
        self.port, self.asked, self.may_answer = port, 0, threading.Event()

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        self.asked += 1
        await anyio.to_thread.run_sync(self.may_answer.wait)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    def ask(self) -> socket.socket:
        """A connection of which the request has reached the app."""
        until, before = time.monotonic() + 60, self.asked
        while time.monotonic() < until:
            connection = self.connect(HEAD + b"\r\n")
            for _ in range(20):
                if self.asked > before:
                    return connection
                time.sleep(0.02)
            connection.close()
        raise TimeoutError

    def connect(self, said: bytes) -> socket.socket:
        """A connection on which this was said."""
        connection = socket.create_connection((LOOPBACK, self.port), 60)
        connection.sendall(said)
        return connection


@pytest.fixture
def console() -> Iterator[Console]:
    """Behind a server with such connections."""
    with open_port(0) as listening:
        app = Console(listening.getsockname()[1])
        settings = uvicorn.Config(app, http=BriefConnection, log_level="error", lifespan="off")
        server = uvicorn.Server(settings)
        serving = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        serving.start()
        yield app
        app.may_answer.set()
        server.should_exit = True
        serving.join()


def ends(connection: socket.socket) -> bool:
    """Whether the server closes it, without a word."""
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


def test_whoever_asks_nothing_is_not_waited_for(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that tells half a request, or none, is closed; one that waits for its answer is not."""
    monkeypatch.setattr(keeper_connections, "PATIENCE_SECONDS", 0.5)
    with closing(console.ask()) as asking:
        for said in (b"", HEAD):
            with closing(console.connect(said)) as idle:
                assert ends(idle)
        console.may_answer.set()
        assert asking.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_there_are_only_so_many_at_once(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """While some wait for their answers one too many is closed at once; these are answered."""
    monkeypatch.setattr(keeper_connections, "MOST", 3)
    asking = [console.ask() for _ in range(3)]
    with closing(socket.create_connection((LOOPBACK, console.port), 60)) as one_too_many:
        assert ends(one_too_many)
    console.may_answer.set()
    for one in asking:
        assert one.recv(100).startswith(b"HTTP/1.1 200 OK")
        one.close()
