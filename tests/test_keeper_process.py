"""The keeper is started once, by whichever process notices first."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from gateway import keeper_process
from gateway.keeper_process import LOCK_NAME, KeeperProcess
from gateway.process_lock import try_hold
from tests.example_site import write_site

# A keeper that never comes to its lock: says who it is, and waits.
SLOW = "import os, sys, time; sys.stdin.read(); print(os.getpid(), file=open(sys.argv[1], 'a')); time.sleep(600)"
WITHIN_SECONDS = 60.0


def ensure_until(keeper: KeeperProcess, pids: Path, count: int) -> list[int]:
    """Ask for a keeper again and again until so many have been started."""
    begun = time.monotonic()
    while len(found := pids.read_text("utf-8").split() if pids.exists() else []) < count:
        assert time.monotonic() - begun < WITHIN_SECONDS, found
        keeper.ensure()
        time.sleep(0.02)
    return [int(pid) for pid in found]


def kill(pid: int) -> None:
    """End a keeper; when this returns it has ended, and is still to be reaped."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_a_keeper_that_is_still_starting_gets_no_second_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a keeper takes to its lock, no other is started beside it; in the place of one that ended another is."""
    monkeypatch.setattr(keeper_process, "START_SECONDS", 0.0)
    config, pids = write_site(tmp_path), tmp_path / "pids"
    config.data_folder.mkdir(parents=True, exist_ok=True)
    keeper = KeeperProcess(config, (sys.executable, "-c", SLOW, str(pids)))
    (first,) = ensure_until(keeper, pids, 1)
    kill(first)
    first_again, second = ensure_until(keeper, pids, 2)
    assert first_again == first
    kill(second)
    lock = try_hold(config.data_folder / LOCK_NAME)
    assert lock is not None
    with lock:
        keeper.ensure()  # one runs: the watch is over
