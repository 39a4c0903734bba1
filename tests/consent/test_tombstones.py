"""A withdrawal is known to every worker: cookies from before it grant nothing any more."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from gateway.consent.tombstones import (
    DEAF,
    PostgresTombstones,
    Tombstones,
    add_tombstone,
    open_tombstones,
    ring,
)
from gateway.database import is_sqlite, transaction
from tests.example_site import CONSENT_ID, NOW
from tests.migrated import open_migrated


def withdraw(engine: Engine, consent_id: str = CONSENT_ID, revision: int = 2) -> None:
    """As the choice flow does: a tombstone in the transaction, the bell after the commit."""
    with transaction(engine) as connection:
        add_tombstone(connection, consent_id, revision, NOW)
    ring(engine)


def wait_until(holds: Callable[[], bool], seconds: float = 5) -> bool:
    """Whether it comes true in time; PostgreSQL's notifications take a moment."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    return holds()


def knows(tombstones: Tombstones, engine: Engine, consent_id: str, revision: int) -> bool:
    """With SQLite at the very next question, with PostgreSQL within a moment."""
    return wait_until(lambda: tombstones.floor(consent_id) == revision, 0 if is_sqlite(engine) else 5)


@pytest.fixture
def workers(engine: Engine) -> Iterator[tuple[Tombstones, Tombstones]]:
    """Two workers that look at the same database."""
    pair = open_tombstones(engine), open_tombstones(engine)
    yield pair
    close(engine, *pair)


def close(engine: Engine, *workers: Tombstones) -> None:
    """Close them at once, and wake those that listen, who would notice within a second anyway."""
    threads = [threading.Thread(target=worker.close) for worker in workers]
    for thread in threads:
        thread.start()
    time.sleep(0.01)
    withdraw(engine, "the end")
    for thread in threads:
        thread.join()


def test_every_worker_knows_of_a_withdrawal(engine: Engine, workers: tuple[Tombstones, Tombstones]) -> None:
    """Before it nobody is withdrawn; after it every worker gives the revision, and that of others stays."""
    assert [worker.floor(CONSENT_ID) for worker in workers] == [0, 0]
    withdraw(engine)
    assert all(knows(worker, engine, CONSENT_ID, 2) for worker in workers)
    assert [worker.floor("somebody else") for worker in workers] == [0, 0]


def test_the_last_withdrawal_counts(engine: Engine, workers: tuple[Tombstones, Tombstones]) -> None:
    """Of several withdrawals of one consent the highest revision holds, in whatever order they are read."""
    for revision in (2, 7, 4):
        withdraw(engine, revision=revision)
    assert all(knows(worker, engine, CONSENT_ID, 7) for worker in workers)


def test_a_worker_that_starts_later_knows_too(engine: Engine) -> None:
    """Withdrawals from before a worker's start are known to it."""
    withdraw(engine)
    late = open_tombstones(engine)
    assert late.floor(CONSENT_ID) == 2
    close(engine, late)


def test_a_rolled_back_withdrawal_is_none(engine: Engine, workers: tuple[Tombstones, Tombstones]) -> None:
    """A withdrawal whose transaction failed leaves no tombstone."""
    with pytest.raises(KeyError), transaction(engine) as connection:
        add_tombstone(connection, CONSENT_ID, 9, NOW)
        raise KeyError
    withdraw(engine, "another")
    assert all(knows(worker, engine, "another", 2) for worker in workers)
    assert [worker.floor(CONSENT_ID) for worker in workers] == [0, 0]


def test_many_withdrawals_at_once_are_all_known(engine: Engine, workers: tuple[Tombstones, Tombstones]) -> None:
    """None of fifty withdrawals in a row hides another."""
    for number in range(50):
        withdraw(engine, f"consent {number}", number + 1)
    assert all(knows(worker, engine, f"consent {n}", n + 1) for n in range(50) for worker in workers)


WITHDRAW = """
import sys
from gateway.consent.tombstones import add_tombstone, ring
from gateway.database import open_database, transaction
engine = open_database(sys.argv[1])
with transaction(engine) as connection:
    add_tombstone(connection, sys.argv[2], 5, 0.0)
if sys.argv[3] == "ring":
    ring(engine)
"""


def test_another_process_is_heard(tmp_path: Path) -> None:
    """With SQLite a withdrawal by another process is known at the next question; one whose process was killed before
    it could ring is known once the worker looks on its own."""
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    engine = open_migrated(tmp_path / "gateway.db")
    here = open_tombstones(engine)
    assert here.floor(CONSENT_ID) == 0
    subprocess.run([sys.executable, "-c", WITHDRAW, url, CONSENT_ID, "ring"], check=True)
    assert here.floor(CONSENT_ID) == 5
    with transaction(engine) as connection:  # as a killed process leaves it: committed, no bell
        add_tombstone(connection, "silent", 3, NOW)
    here.refresh()
    assert here.floor("silent") == 3
    here.close()
    engine.dispose()


def test_a_deaf_worker_says_no(postgres_engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """With PostgreSQL a worker whose listening connection is cut grants nothing until it hears again, and then knows
    what was withdrawn meanwhile."""
    worker = open_tombstones(postgres_engine)
    assert isinstance(worker, PostgresTombstones)
    assert worker.floor(CONSENT_ID) == 0
    cut = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid()"
    )
    with caplog.at_level(logging.CRITICAL), postgres_engine.connect() as connection:
        connection.execute(cut)
        assert wait_until(lambda: worker.floor(CONSENT_ID) == DEAF)
        withdraw(postgres_engine, "meanwhile", 3)
        assert wait_until(lambda: worker.floor("meanwhile") == 3)
    assert worker.floor(CONSENT_ID) == 0
    close(postgres_engine, worker)
