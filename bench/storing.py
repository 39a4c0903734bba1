"""The keeper's draining, as a process of its own beside a front worker: `python -m bench.storing FOLDER`.

Drains the folder's journals into its event store as the keeper does, until its standard input ends and nothing is left; then
prints how many events are stored.
"""

import sys
import threading
import time
from contextlib import closing
from pathlib import Path

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import JOURNAL_FOLDER
from gateway.database import open_database
from gateway.flows.drain import drain_once
from gateway.flows.open_store import STORE_FILE
from gateway.settings import KeeperConfig


def main(data: Path) -> None:
    """Drain until nothing comes any more."""
    wait, ended = KeeperConfig().drain_seconds, threading.Event()
    threading.Thread(target=_await_end, args=(ended,), daemon=True).start()
    engine = open_database(f"sqlite:///{data / 'gateway.db'}")
    with closing(DuckDBStore(data / STORE_FILE)) as store:
        last = False
        while not last:
            last = ended.is_set()
            while drain_once(data / JOURNAL_FOLDER, store, engine, [], time.time()).more:
                continue
            ended.wait(0 if last else wait)
        print(*store.fetch("SELECT count(*) FROM events", {})[0])


def _await_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


if __name__ == "__main__":
    main(Path(sys.argv[1]) / "data")
