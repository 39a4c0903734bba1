"""Start the keeper when none runs, from whichever process notices first; the keeper's own lock decides who stays."""

import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import IO

import msgspec

from gateway.config import Config
from gateway.process_lock import is_held, try_hold

log = logging.getLogger("gateway.front")

COMMAND = (sys.executable, "-m", "gateway", "keeper", "--from-stdin")
LOCK_NAME = "keeper.lock"
STARTING_NAME = "keeper.starting"
START_SECONDS = 5.0  # before another is started in the place of one that ended
MAX_WAIT_SECONDS = 60.0


class KeeperProcess:
    """Watches over the keeper of a data folder. The configuration goes to it by a pipe, never by arguments."""

    def __init__(self, config: Config, command: Sequence[str] = COMMAND) -> None:
        self._config, self._command = config, command
        self._lock = config.data_folder / LOCK_NAME
        self._starting = config.data_folder / STARTING_NAME
        self._turn: IO[bytes] | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._wait = START_SECONDS
        self._next_at = 0.0

    def ensure(self) -> None:
        """Start a keeper unless one runs; one that keeps dying is started ever more slowly. One that lives and has no lock
        yet is starting, which takes long where the machine is busy."""
        starting = self._child is not None and self._child.poll() is None  # which reaps a keeper that has ended
        if is_held(self._lock):
            self._wait = START_SECONDS
            self._give_up_turn()
        elif not starting and time.monotonic() >= self._next_at and self._take_turn():
            self._start()
            self._next_at = time.monotonic() + self._wait
            self._wait = min(self._wait * 2, MAX_WAIT_SECONDS)

    def _take_turn(self) -> bool:
        """One worker at a time starts a keeper, so that four workers do not start four."""
        if self._turn is None:
            self._turn = try_hold(self._starting)
        return self._turn is not None

    def _give_up_turn(self) -> None:
        if self._turn is not None:
            self._turn.close()
            self._turn = None

    def _start(self) -> None:
        self._child = subprocess.Popen(self._command, stdin=subprocess.PIPE, start_new_session=True)
        assert self._child.stdin is not None
        with self._child.stdin as pipe:
            pipe.write(msgspec.json.encode(self._config))
        log.info("started a keeper, process %d", self._child.pid)
