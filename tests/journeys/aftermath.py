"""What is left when the servers have gone: the keeper asked or ended, and the files read without it."""

import os
import signal
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from gateway import ledger
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import JOURNAL_FOLDER
from gateway.database import open_database
from gateway.errors import KeeperUnreachable
from gateway.flows.drain import drain_once
from gateway.flows.open_store import STORE_FILE
from gateway.keeper_process import LOCK_NAME
from gateway.process_lock import is_held
from gateway.socket_client import call_keeper
from tests.journeys.fronts import wait_until


def ask_keeper(data: Path) -> int:
    """Its process id."""
    return int(msgspec.json.decode(call_keeper(data, "GET", "/status", 5))["process"])


def wait_for_keeper(data: Path) -> int:
    """The keeper's process id, once it answers."""
    found: list[int] = []

    def ask() -> bool:
        with suppress(KeeperUnreachable, OSError):
            found.append(ask_keeper(data))
        return bool(found)

    wait_until(ask)
    return found[0]


def end_keeper(data: Path) -> None:
    """So that the files are this test's alone."""

    def ended() -> bool:
        if not is_held(data / LOCK_NAME):
            return True
        with suppress(KeeperUnreachable, OSError):
            os.kill(ask_keeper(data), signal.SIGTERM)
        return False

    wait_until(ended)


def assert_kept(data: Path, marks: set[str], *, withdrawals: int = 0) -> None:
    """Each acknowledged event is stored once, and the ledger is whole and holds the withdrawals."""
    engine = open_database(f"sqlite:///{data / 'gateway.db'}")
    with closing(DuckDBStore(data / STORE_FILE)) as store:
        while drain_once(data / JOURNAL_FOLDER, store, engine, (), time.time()).more:
            pass
        rows = store.fetch("SELECT path, count(*) FROM events WHERE kind = 'probe' GROUP BY path", {})
    assert Counter({str(path): int(str(count)) for path, count in rows}) == Counter(marks)
    outcomes = Counter(str(msgspec.json.decode(entry.body)["outcome"]) for entry in ledger.entries(engine))
    assert ledger.verify(engine) == sum(outcomes.values())
    assert outcomes["withdrawn"] == withdrawals
    engine.dispose()
