"""A server of its own process on loopback, as long as a test needs it."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE = 20.0


@contextmanager
def run_process(
    command: Sequence[str],
    port: int,
    log: Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[None]:
    """The command, which has opened the port when this begins and has ended when it is over; its words are in `log`."""
    with log.open("ab") as words:
        process = subprocess.Popen(
            command, stdout=words, stderr=words, env={**os.environ, **(environment or {})}, cwd=folder
        )
    try:
        _wait_for(port, process, log)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise TimeoutError(f"{process.args!r} does not listen on {port}: {log.read_text('utf-8')}")
