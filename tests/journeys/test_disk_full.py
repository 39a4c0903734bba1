"""A disk that is really full: events are refused, pages are served, and a withdrawal is still taken."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gateway.flows.choose import RESERVE_FILE
from tests.journeys.aftermath import assert_kept, end_keeper, wait_for_keeper
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
    wait_until_taken,
)
from tests.journeys.small_disk import Disk, small_disk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MEGABYTES = 24
WITHDRAWALS = 500


@contextmanager
def data_disk(folder: Path) -> Iterator[Disk]:
    """A configuration whose data folder is a small disk of its own; the keeper has ended when the disk goes."""
    with small_disk(folder / "data", MEGABYTES) as disk:
        lay_out(folder, Layout(autostart=True))
        try:
            yield disk
        finally:
            end_keeper(disk.outside)


def test_a_full_disk_costs_events_and_nothing_else(tmp_path: Path) -> None:
    """F2: On a full disk collecting answers 503 with Retry-After and pages are served; a withdrawal is taken from the
    reserve and holds at once; with room again events are taken without a restart, and nothing acknowledged is lost."""
    with data_disk(tmp_path) as disk:
        with run_front(tmp_path, workers=2, before=disk.before) as front:
            keeper = wait_for_keeper(disk.outside)
            stays, leaves, newcomer = front.visitor(), front.visitor(), front.visitor()
            marks = accept_and_report(stays) | accept_and_report(leaves)
            before = dict(leaves.cookies)
            disk.fill()
            for _ in range(4):
                marks |= report_until_refused(stays)
                assert_served(anew(stays), newcomer)
            assert leaves.choose("reject_all").status == 200
            assert_withdrawn(front, before)
            assert_refused(anew(stays).report("/lost"))
            disk.free()
            marks |= {wait_until_taken(anew(stays)) for _ in range(4)}
            assert (disk.outside / RESERVE_FILE).exists()
            assert wait_for_keeper(disk.outside) == keeper, "the keeper did not live through it"
        end_keeper(disk.outside)
        assert_kept(disk.copy(tmp_path / "copy"), marks, withdrawals=1)


def test_a_start_on_a_full_disk_serves_pages(tmp_path: Path) -> None:
    """Workers that start when the disk is full serve pages, refuse events, take a withdrawal, and are whole again soon
    after there is room."""
    with data_disk(tmp_path) as disk:
        with run_front(tmp_path, before=disk.before) as front:
            wait_for_keeper(disk.outside)
            stays, leaves = front.visitor(), front.visitor()
            marks = accept_and_report(stays) | accept_and_report(leaves)
        end_keeper(disk.outside)
        disk.fill()
        with run_front(tmp_path, before=disk.before) as front:
            before = dict(leaves.cookies)
            assert_served(front.welcome(stays), front.welcome(leaves), front.visitor())
            assert stays.report("/lost").status in (403, 503)
            assert leaves.choose("reject_all").status == 200
            assert_withdrawn(front, before)
            disk.free()
            marks.add(wait_until_taken(stays))
            assert_withdrawn(front, before)
        end_keeper(disk.outside)
        assert_kept(disk.copy(tmp_path / "copy"), marks, withdrawals=1)


def test_the_reserve_lasts(tmp_path: Path) -> None:
    """Many withdrawals are taken from the reserve, though the database's log began empty; when there is no room at all
    a plain page says to come again, pages are served, and what was refused is taken later."""
    with data_disk(tmp_path) as disk:
        with run_front(tmp_path, before=disk.before) as front:
            visitors = [front.visitor() for _ in range(WITHDRAWALS)]
            assert {hang_up_after(visitor, "accept_all") for visitor in visitors} == {200}
            crowd, late = visitors[: WITHDRAWALS // 2], visitors[WITHDRAWALS // 2 :]
        end_keeper(disk.outside)
        with run_front(tmp_path, before=disk.before) as front:
            wait_for_keeper(disk.outside)
            disk.fill()
            for visitor in visitors:
                front.welcome(visitor)
            assert {hang_up_after(visitor, "reject_all") for visitor in crowd} == {200}
            disk.fill()  # now the reserve's room is gone as well
            taken = leave_until_refused(late)
            assert_served(late[taken], late[taken + 1], front.visitor())
            disk.free()
            wait_until(lambda: (disk.outside / RESERVE_FILE).exists())
            assert hang_up_after(late[taken], "reject_all") == 200
        end_keeper(disk.outside)
        assert_kept(disk.copy(tmp_path / "copy"), set(), withdrawals=len(crowd) + taken + 1)


def hang_up_after(visitor: Guest, choice: str) -> int:
    """The status of a choice made on a connection of its own."""
    with closing(visitor):
        return visitor.choose(choice).status


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

store = DuckDBStore(Path(sys.argv[1]) / "events.duckdb", at_once=False)
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


@contextmanager
def store_on(disk: Disk) -> Iterator[Callable[[str], str]]:
    """A process with a store on the disk: what it answers to a step, and last of all how many events it has."""
    command = [*disk.before, sys.executable, "-c", STORE, str(disk.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        writing, reading = process.stdin, process.stdout
        assert writing is not None and reading is not None

        def ask(step: str) -> str:
            if step == "end":
                writing.close()
            else:
                writing.write(step + "\n")
            return reading.readline().strip()

        yield ask


def test_the_store_is_opened_anew_after_a_full_disk(tmp_path: Path) -> None:
    """DuckDB answers nothing any more once it could not write its file; with room again the store is back by itself."""
    with small_disk(tmp_path / "data", 16) as disk, store_on(disk) as ask:
        assert ask("add") == "taken"
        disk.fill()
        assert [ask("add"), ask("prune"), ask("add")] == ["refused"] * 3
        disk.free()
        assert [ask("add"), ask("add")] == ["taken"] * 2
        assert ask("end") == "3"


@pytest.mark.parametrize("left", [0, 4096, 8192, 12_288])
def test_a_store_first_made_on_a_full_disk(left: int, tmp_path: Path) -> None:
    """However many bytes of a new store's file still fit, it is there once there is room: DuckDB would leave a stump that
    it never opens again."""
    with small_disk(tmp_path / "data", 16) as disk, store_on(disk) as ask:
        (disk.outside / "room").write_bytes(b"x" * left)
        disk.fill()
        (disk.outside / "room").unlink()
        assert [ask("add"), ask("add")] == ["refused"] * 2
        disk.free()
        assert [ask("add"), ask("add")] == ["taken"] * 2
        assert ask("end") == "2"


# ---------------------------------------------------------------------------------------------- steps and checks


def leave_until_refused(crowd: list[Guest]) -> int:
    """How many withdrawals were taken without any room left, in what the database had; then a plain page says no."""
    for number, visitor in enumerate(crowd):
        with closing(visitor):
            answer = visitor.choose("reject_all", script=False)
        if answer.status != 303:
            assert_refused(answer)
            assert b"<h1" in answer.body and answer.cookies == []
            return number
    raise AssertionError("the disk was not full")


def anew(visitor: Guest) -> Guest:
    """The same browser on a new connection: likely at another worker."""
    visitor.close()
    return visitor


def report_until_refused(visitor: Guest) -> set[str]:
    """The paths of events that were still taken: some fit in a last block, or in what a drained journal leaves."""
    taken: set[str] = set()
    while (answer := anew(visitor).report(mark := f"/mark/{letters(10)}")).status == 202:
        taken.add(mark)
        assert len(taken) < 100, "events are taken on a full disk"
    assert_refused(answer)
    return taken


def assert_withdrawn(front: Front, before: dict[str, str]) -> None:
    """With the cookies from before the withdrawal nothing is granted, at any worker, on the very next request."""
    for _ in range(6):
        with closing(Guest(front.port, cookies=dict(before))) as thief:
            assert b'id="gw-banner"' in thief.get("/").body
            assert thief.report("/never").status == 403
