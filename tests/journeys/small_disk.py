"""A disk of a few megabytes that can really be full: a tmpfs in a mount namespace for this test's processes alone."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BALLAST = "ballast.bin"


@dataclass(frozen=True)
class Disk:
    """`folder` is where the processes of `before` see it; `outside` is where the test does."""

    folder: Path
    outside: Path
    before: list[str]

    def fill(self) -> None:
        """Take every byte that is left."""
        with (self.outside / BALLAST).open("ab", buffering=0) as ballast:
            for size in (65_536, 4096, 1):
                _write_until_full(ballast.fileno(), size)

    def free(self) -> None:
        """Give all of it back."""
        (self.outside / BALLAST).unlink()

    def copy(self, folder: Path) -> Path:
        """A copy of its files outside: DuckDB follows no path into another namespace."""
        return Path(shutil.copytree(self.outside, folder, ignore=shutil.ignore_patterns("*.sock", "*.bin")))


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Disk]:
    """An empty disk mounted at `folder`; it is gone afterwards. Works as root, and as anybody who may make a user
    namespace."""
    folder.mkdir(parents=True, exist_ok=True)
    as_root = os.geteuid() == 0
    words = ["unshare", "-m"] if as_root else ["unshare", "-U", "-r", "-m"]
    mount = 'mount -t tmpfs -o "size=$1,mode=0700" tmpfs "$0" && echo mounted && exec cat'
    command = [*words, "sh", "-c", mount, str(folder), f"{megabytes}m"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        assert holder.stdout.readline() == b"mounted\n", "no disk could be mounted in a namespace"
        enter = ["nsenter", "-t", str(holder.pid), "-m", f"--wd={Path.cwd()}"]
        enter += [] if as_root else ["-U", "--preserve-credentials"]
        yield Disk(folder, Path(f"/proc/{holder.pid}/root{folder}"), enter)
        holder.stdin.close()


def _write_until_full(file: int, size: int) -> None:
    try:
        while os.write(file, b"x" * size):
            pass
    except OSError:
        return
