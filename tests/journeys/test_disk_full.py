"""A disk that is really full: events are refused, pages are served, and a withdrawal is still taken."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from gateway import ledger
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import JOURNAL_FOLDER
from gateway.database import open_database
from gateway.errors import KeeperUnreachable
from gateway.flows.choose import RESERVE_FILE
from gateway.flows.drain import drain_once
from gateway.keeper import STORE_FILE
from gateway.keeper_process import LOCK_NAME
from gateway.process_lock import is_held
from gateway.socket_client import call_keeper
from tests.journeys.fronts import (
    Front,
    Guest,
    Layout,
    accept_and_report,
    assert_refused,
    assert_served,
    lay_out,
    letters,
    run_front,
    wait_until,
)
from tests.journeys.small_disk import Disk, small_disk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MEGABYTES = 24


@contextmanager
def data_disk(folder: Path) -> Iterator[Disk]:
    """A configuration whose data folder is a small disk of its own; the keeper has ended when the disk goes."""
    with small_disk(folder / "data", MEGABYTES) as disk:
        lay_out(folder, Layout(autostart=True))
        try:
            yield disk
        finally:
            end_keeper(disk)


def test_a_full_disk_costs_events_and_nothing_else(tmp_path: Path) -> None:
    """On a full disk collecting answers 503 with Retry-After and pages are served; a withdrawal is taken from the
    reserve and holds at once; with room again events are taken without a restart, and nothing acknowledged is lost."""
    with data_disk(tmp_path) as disk:
        with run_front(tmp_path, workers=2, before=disk.before) as front:
            keeper = wait_for_keeper(disk)
            stays, leaves, newcomer = front.visitor(), front.visitor(), front.visitor()
            marks = accept_and_report(stays) | accept_and_report(leaves)
            before = dict(leaves.cookies)
            disk.fill()
            for _ in range(4):
                assert_refused(anew(stays).report("/lost"))
                assert_served(anew(stays), newcomer)
            assert leaves.choose("reject_all").status == 200
            assert_withdrawn(front, before)
            disk.fill()  # now the reserve's room is gone as well
            refused = stays.choose("reject_all", script=False)
            assert_refused(refused)
            assert b"<h1" in refused.body
            assert_served(anew(stays), newcomer)
            assert_withdrawn(front, before)
            disk.free()
            marks |= {wait_until_taken(anew(stays)) for _ in range(4)}
            assert (disk.outside / RESERVE_FILE).exists()
            assert stays.choose("reject_all").status == 200
            assert wait_for_keeper(disk) == keeper, "the keeper did not live through it"
        end_keeper(disk)
        assert_kept(disk, tmp_path / "copy", marks, withdrawals=2)


def test_a_start_on_a_full_disk_serves_pages(tmp_path: Path) -> None:
    """Workers that start when the disk is full serve pages, refuse events, take a withdrawal, and are whole again soon
    after there is room."""
    with data_disk(tmp_path) as disk:
        with run_front(tmp_path, before=disk.before) as front:
            wait_for_keeper(disk)
            stays, leaves = front.visitor(), front.visitor()
            marks = accept_and_report(stays) | accept_and_report(leaves)
        end_keeper(disk)
        disk.fill()
        with run_front(tmp_path, before=disk.before) as front:
            stays.port = leaves.port = front.port
            before = dict(leaves.cookies)
            assert_served(stays, front.visitor())
            assert stays.report("/lost").status in (403, 503)
            assert leaves.choose("reject_all").status == 200
            assert_withdrawn(front, before)
            disk.free()
            marks.add(wait_until_taken(stays))
            assert_withdrawn(front, before)
            stays.close()
            leaves.close()
        end_keeper(disk)
        assert_kept(disk, tmp_path / "copy", marks, withdrawals=1)


def test_a_first_start_on_a_full_disk_serves_pages(tmp_path: Path) -> None:
    """Where not even a key can be written pages are served with the question, choices are refused, and all is well
    once there is room."""
    with data_disk(tmp_path) as disk:
        disk.fill()
        with run_front(tmp_path, before=disk.before) as front:
            visitor = front.visitor()
            assert_served(visitor)
            assert_refused(visitor.choose("accept_all"))
            disk.free()
            wait_until(lambda: visitor.choose("accept_all").status == 200)
            wait_until_taken(visitor)


STORE = """
import sys
from pathlib import Path
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.store import Batch
from gateway.errors import StoreError
from gateway.event import Event, Recorded

def add(number):
    event = Event(float(number), "main", "page_view", "/" + "x" * 20_000, 1, "v", float(number), "w")
    store.add(Batch("a", number, [Recorded(event, "c", 1, ("analytics",))]))

store = DuckDBStore(Path(sys.argv[1]) / "events.duckdb")
number = 0
for step in sys.stdin:
    number += 1
    try:
        add(number)
        if step.strip() == "prune":
            store.prune(number + 0.5)
        print("taken", flush=True)
    except StoreError:
        print("refused", flush=True)
print(store.fetch("SELECT count(*) FROM events", {})[0][0])
"""


def test_the_store_is_opened_anew_after_a_full_disk(tmp_path: Path) -> None:
    """DuckDB answers nothing any more once it could not write its file; with room again the store is back by itself."""
    with small_disk(tmp_path / "data", 16) as disk:
        command = [*disk.before, sys.executable, "-c", STORE, str(disk.folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
            assert process.stdin is not None and process.stdout is not None

            def ask(step: str) -> str:
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write(step + "\n")
                return process.stdout.readline().strip()

            assert ask("add") == "taken"
            disk.fill()
            assert [ask("add"), ask("prune"), ask("add")] == ["refused"] * 3
            disk.free()
            assert [ask("add"), ask("add")] == ["taken"] * 2
            process.stdin.close()
            assert process.stdout.readline() == "3\n"


# ---------------------------------------------------------------------------------------------- steps and checks



def anew(visitor: Guest) -> Guest:
    """The same browser on a new connection: likely at another worker."""
    visitor.close()
    return visitor




def assert_withdrawn(front: Front, before: dict[str, str]) -> None:
    """With the cookies from before the withdrawal nothing is granted, at any worker, on the very next request."""
    for _ in range(6):
        with closing(Guest(front.port, cookies=dict(before))) as thief:
            assert b'id="gw-banner"' in thief.get("/").body
            assert thief.report("/never").status == 403


def wait_until_taken(visitor: Guest) -> str:
    """The path of an event that was acknowledged, with as many attempts as it takes."""
    marks = [f"/mark/{letters(10)}" for _ in range(200)]
    taken: list[str] = []

    def attempt() -> bool:
        mark = marks.pop()
        if visitor.report(mark).status == 202:
            taken.append(mark)
        return bool(taken)

    wait_until(attempt)
    return taken[0]



def wait_for_keeper(disk: Disk) -> int:
    """The keeper's process id, once it answers."""
    found: list[int] = []

    def ask() -> bool:
        with suppress(KeeperUnreachable, OSError):
            found.append(ask_keeper(disk))
        return bool(found)

    wait_until(ask)
    return found[0]


def end_keeper(disk: Disk) -> None:
    """So that the files are this test's alone."""

    def ended() -> bool:
        if not is_held(disk.outside / LOCK_NAME):
            return True
        with suppress(KeeperUnreachable, OSError):
            os.kill(ask_keeper(disk), signal.SIGTERM)
        return False

    wait_until(ended)


def ask_keeper(disk: Disk) -> int:
    """Its process id."""
    return int(msgspec.json.decode(call_keeper(disk.outside, "GET", "/status", 5))["process"])


def assert_kept(disk: Disk, copy: Path, marks: set[str], *, withdrawals: int) -> None:
    """Each acknowledged event is stored once, and the ledger is whole and holds the withdrawals."""
    ignored = shutil.ignore_patterns("*.sock", "*.bin")
    shutil.copytree(disk.outside, copy, ignore=ignored)  # DuckDB follows no path into another namespace
    engine = open_database(f"sqlite:///{copy / 'gateway.db'}")
    with closing(DuckDBStore(copy / STORE_FILE)) as store:
        while drain_once(copy / JOURNAL_FOLDER, store, engine, (), time.time()).more:
            pass
        rows = store.fetch("SELECT path, count(*) FROM events WHERE kind = 'probe' GROUP BY path", {})
    assert Counter({str(path): int(str(count)) for path, count in rows}) == Counter(marks)
    outcomes = Counter(str(msgspec.json.decode(entry.body)["outcome"]) for entry in ledger.entries(engine))
    assert ledger.verify(engine) == sum(outcomes.values())
    assert outcomes["withdrawn"] == withdrawals
    engine.dispose()
