"""A keeper of a test's folder as a process of its own."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.config import Config
from gateway.errors import KeeperUnreachable
from gateway.socket_client import call_keeper


def start_keeper(config: Config) -> subprocess.Popen[bytes]:
    """A keeper of this folder, as a service manager starts it."""
    with (Path(config.folder) / "log.txt").open("ab") as log:
        command = [sys.executable, "-m", "gateway", "keeper", "--config", config.folder]
        return subprocess.Popen(command, stdout=log, stderr=log)


def wait_for_keeper(config: Config) -> None:
    """Returns when it answers."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            call_keeper(config.data_folder, "GET", "/status", 5)
            return
        except KeeperUnreachable:
            time.sleep(0.02)
    raise TimeoutError("the keeper did not come up")


@contextmanager
def keeper_at_work(config: Config) -> Iterator[None]:
    """One that answers, and ends with the block."""
    with start_keeper(config) as keeper:
        try:
            wait_for_keeper(config)
            yield
        finally:
            keeper.terminate()
