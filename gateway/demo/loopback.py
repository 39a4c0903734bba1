"""Small servers for the demo: an ASGI app on a loopback port of its own, in a thread of its own."""

import socket
import threading
import time

import uvicorn
from starlette.types import ASGIApp

from gateway.errors import GatewayError

LOOPBACK = "127.0.0.1"
START_SECONDS = 10.0
STOP_SECONDS = 5.0


class PortTaken(GatewayError):
    """Another program listens on the port that was asked for."""


def open_port(port: int) -> socket.socket:
    """A listening-to-be socket on loopback; port 0 takes a free one. Raises PortTaken."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((LOOPBACK, port))
        opened.listen(128)
    except OSError as error:
        opened.close()
        raise PortTaken(f"port {port} on {LOOPBACK} cannot be used ({error.strerror})") from error
    return opened


def choose_port(port: int) -> int:
    """The port itself when it is free, or a free one for 0. Raises PortTaken."""
    with open_port(port) as opened:
        return int(opened.getsockname()[1])


class LoopbackServer:
    """Serves one app from `start` to `stop`; `port` is known from the beginning."""

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        self._socket = open_port(port)
        self.port = int(self._socket.getsockname()[1])
        settings = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._serve, name=f"demo-{self.port}", daemon=True)

    def start(self) -> None:
        """Returns when the server answers. Raises TimeoutError."""
        self._thread.start()
        until = time.monotonic() + START_SECONDS
        while not self._server.started:
            if time.monotonic() > until:
                raise TimeoutError(f"the demo's server on port {self.port} did not start")
            time.sleep(0.01)

    def stop(self) -> None:
        """Ends the server and waits for its thread; safe to call when it never started."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        self._socket.close()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])
