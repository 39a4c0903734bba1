"""Start the keeper when none runs, from whichever process notices first; the keeper's own lock decides who stays."""

import logging
import subprocess
import sys
import time

import msgspec

from gateway.config import Config
from gateway.process_lock import is_held

log = logging.getLogger("gateway.front")

LOCK_NAME = "keeper.lock"
MAX_WAIT_SECONDS = 30.0


class KeeperProcess:
    """Watches over the keeper of a data folder. The configuration goes to it by a pipe, never by arguments."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = config.data_folder / LOCK_NAME
        self._child: subprocess.Popen[bytes] | None = None
        self._wait = 1.0
        self._next_at = 0.0

    def ensure(self) -> None:
        """Start a keeper unless one runs; one that keeps dying is started ever more slowly."""
        if self._child is not None:
            self._child.poll()  # reaps a keeper that has ended
        if is_held(self._lock):
            self._wait = 1.0
            return
        if time.monotonic() >= self._next_at:
            self._start()
            self._next_at = time.monotonic() + self._wait
            self._wait = min(self._wait * 2, MAX_WAIT_SECONDS)

    def _start(self) -> None:
        command = [sys.executable, "-m", "gateway", "keeper", "--from-stdin"]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        assert self._child.stdin is not None
        with self._child.stdin as pipe:
            pipe.write(msgspec.json.encode(self._config))
        log.info("started a keeper, process %d", self._child.pid)
