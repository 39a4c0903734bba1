"""Ports for servers that are told on which port to listen, where tests run side by side."""

import os
import random
import socket
from contextlib import suppress

FIRST_PORT, PORTS_EACH, RANGES = 12_000, 2_500, 8  # all below those that Linux hands out by itself
_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on, and that nobody else is given before its server has opened it.

    The system never hands it out by itself, and tests in another process draw from a range of their own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % RANGES
    start = FIRST_PORT + worker * PORTS_EACH
    while True:
        port = random.choice([port for port in range(start, start + PORTS_EACH) if port not in _given])
        _given.add(port)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
