"""A lock is held exactly as long as its holder lives, whatever ends it."""

import subprocess
import sys
from pathlib import Path

from gateway.process_lock import is_held, try_hold

HOLD = "import sys; from pathlib import Path; from gateway.process_lock import try_hold\n"
HOLD += "lock = try_hold(Path(sys.argv[1])); print(lock is not None, flush=True); sys.stdin.read()"


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    """A second one is turned away until the first lets go."""
    path = tmp_path / "a.lock"
    assert not is_held(path)
    first = try_hold(path)
    assert first is not None
    assert is_held(path)
    assert try_hold(path) is None
    assert is_held(path)  # asking has not taken it away
    first.close()
    assert not is_held(path)
    second = try_hold(path)
    assert second is not None
    second.close()


def test_a_killed_holder_holds_no_more(tmp_path: Path) -> None:
    """A process that holds the lock is seen from here, and no longer once it was killed."""
    path = tmp_path / "a.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        assert is_held(path)
        assert try_hold(path) is None
        holder.kill()
        holder.wait()
    assert not is_held(path)
