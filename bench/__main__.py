"""Run the benchmarks and print one table: what was measured, the baseline, the ratio, the bound, met or not."""

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import collecting, deliveries, footprint, growth, importing, pages, proxying, reports, rewriting
from bench.table import Line, show

RUNS: dict[str, Callable[[Path], list[Line]]] = {
    "page": pages.run,
    "collect": collecting.run,
    "deliveries": deliveries.run,
    "proxy": proxying.run,
    "reports": reports.run,
    "import": importing.run,
    "size": footprint.run,
    "rewrite": rewriting.run,
    "growth": growth.run,
}
BY_NAME_ALONE = {"growth"}  # takes more than an hour


def main() -> int:
    """All of them but the longest, or those named on the command line; 1 when a bound is missed."""
    missing = [tool for tool in ("wrk", "taskset", "nginx") if shutil.which(tool) is None]
    if missing:
        print(f"needed and not found: {', '.join(missing)} (Debian packages wrk, util-linux, nginx-light)")
        return 2
    lines: list[Line] = []
    for name in sys.argv[1:] or [name for name in RUNS if name not in BY_NAME_ALONE]:
        with tempfile.TemporaryDirectory() as folder:
            print(f"measuring: {name} ...", file=sys.stderr)
            lines += RUNS[name](Path(folder))
    show(lines)
    return 1 if any(not line.met for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
