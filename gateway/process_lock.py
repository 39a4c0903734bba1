"""File locks by which processes know of one another: held for as long as the holder lives, whatever ends it."""

import fcntl
from pathlib import Path
from typing import IO


def try_hold(path: Path) -> IO[bytes] | None:
    """Hold the lock until the returned file is closed; None when another process holds it."""
    lock = path.open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def is_held(path: Path) -> bool:
    """Whether some process holds the lock now."""
    try:
        with path.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
