"""What the journal has acknowledged is on disk, in order, once, whatever happens to its writer."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.analytics import journal as journal_module
from gateway.analytics.journal import (
    Journal,
    Segment,
    find_segments,
    make_frame,
    read_segment,
    remove_segment,
    writers_alive,
)
from gateway.errors import JournalDamaged, JournalFull
from gateway.event import Counted, Entry, Event, Recorded
from tests.example_site import CONSENT_ID, NOW


def make_entry(number: int, text: str = "") -> Recorded:
    event = Event(
        at=NOW + number,
        site="main",
        kind="page_view",
        path=f"/{text}",
        visitor=2**64 - 1 - number,
        visit_id="V" * 22,
        visit_started_at=NOW,
        view_id=str(number),
        props={"a\nb": text},
    )
    return Recorded(event, CONSENT_ID, 1, ("analytics",))


class Writer:
    """A journal, and what it has said of each entry."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.journal = Journal(folder, **options)
        self.answers: list[JournalFull | None] = []
        self._answered = threading.Condition()

    def _done(self, fault: JournalFull | None) -> None:
        with self._answered:
            self.answers.append(fault)
            self._answered.notify_all()

    def append(self, *entries: Entry) -> None:
        """Append and wait until all have been answered."""
        wanted = len(self.answers) + len(entries)
        for entry in entries:
            self.journal.append(entry, self._done)
        with self._answered:
            assert self._answered.wait_for(lambda: len(self.answers) >= wanted, 10)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """A writer in a folder that is not there yet."""
    one = Writer(tmp_path / "journal")
    yield one
    one.journal.close()


def read_all(folder: Path) -> list[Entry]:
    return [entry for segment in find_segments(folder) for _, entry in read_segment(segment, 0, 10**9)]


def test_entries_come_back_as_they_were(writer: Writer, tmp_path: Path) -> None:
    """Events and counters are read back exactly, numbered from one, as soon as they are acknowledged."""
    entries: list[Entry] = [
        make_entry(1, "é€\U0001f600\n\t\"'\\ :id"),
        Counted("main", 3600, [("held", "evil.example", "img unknown", 2), ("shown", "nl", "", 1)]),
        make_entry(3),
    ]
    writer.append(*entries)
    assert writer.answers == [None] * 3
    (segment,) = find_segments(tmp_path / "journal")
    assert read_segment(segment, 0, 100) == list(enumerate(entries, 1))
    assert not segment.closed


def test_reading_goes_on_where_it_stopped(writer: Writer, tmp_path: Path) -> None:
    """A reader asks for what comes after a number and gets that, in order, also in the middle of a commit."""
    writer.append(*(make_entry(number) for number in range(1, 8)))
    writer.append(make_entry(8))
    (segment,) = find_segments(tmp_path / "journal")
    for after in range(9):
        assert [number for number, _ in read_segment(segment, after, 100)] == list(range(after + 1, 9))
    seen: list[int] = []
    while more := read_segment(segment, seen[-1] if seen else 0, 3):
        seen += [number for number, _ in more]
    assert seen == list(range(1, 9))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.text(max_size=30), max_size=6), max_size=6), st.integers(1, 7))
def test_random_batches_are_all_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, batches: list[list[str]], rows: int
) -> None:
    """However entries are gathered, with waiters and without, over however many segments: all are there, in order."""
    monkeypatch.setattr(journal_module, "SEGMENT_ROWS", rows)
    folder = tmp_path / "journal"
    shutil.rmtree(folder, ignore_errors=True)
    sent: list[Entry] = []
    for half in (batches[::2], batches[1::2]):  # the second half by a worker that starts when the first has ended
        writer = Writer(folder)
        for number, batch in enumerate(half):
            entries = [make_entry(len(sent) + nr, text) for nr, text in enumerate(batch)]
            sent += entries
            if number % 2:
                writer.append(*entries)
            else:
                for entry in entries:
                    writer.journal.append(entry)
        writer.journal.close()
    assert read_all(folder) == sent
    assert all(segment.closed for segment in find_segments(folder))


def test_threads_append_side_by_side(writer: Writer, tmp_path: Path) -> None:
    """Entries of many threads are all there, those of each thread in its own order."""

    def append(thread: int) -> None:
        for number in range(200):
            writer.journal.append(make_entry(thread * 1000 + number))

    threads = [threading.Thread(target=append, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.append(make_entry(9999))
    found = [int(entry.event.view_id) for entry in read_all(tmp_path / "journal") if isinstance(entry, Recorded)]
    assert len(found) == 801
    for thread_number in range(4):
        mine = [number for number in found if number // 1000 == thread_number]
        assert mine == sorted(mine)


def test_entries_nobody_waits_for_are_written_soon(writer: Writer, tmp_path: Path) -> None:
    """An entry without a waiter is on disk within a moment, and one with a waiter takes those before it along."""
    writer.journal.append(make_entry(1))
    writer.append(make_entry(2))
    assert len(read_all(tmp_path / "journal")) == 2
    writer.journal.append(make_entry(3))
    end = time.monotonic() + 2
    while len(read_all(tmp_path / "journal")) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    assert len(read_all(tmp_path / "journal")) == 3


def test_whoever_waits_waits_for_no_gathering(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """However long entries may gather that nobody waits for, the first with a waiter ends it, and so does closing."""
    monkeypatch.setattr(journal_module, "LINGER_SECONDS", 600.0)
    writer = Writer(tmp_path / "journal")
    for number in range(0, 6, 2):
        writer.journal.append(make_entry(number))
        writer.append(make_entry(number + 1))
        assert len(read_all(tmp_path / "journal")) == number + 2
    writer.journal.append(make_entry(6))
    writer.journal.close()
    assert len(read_all(tmp_path / "journal")) == 7


def test_a_segment_is_closed_when_its_writer_goes_on_or_is_gone(
    monkeypatch: pytest.MonkeyPatch, writer: Writer, tmp_path: Path
) -> None:
    """The newest segment of a living writer is open; its older ones, and all of one that is gone, are closed."""
    monkeypatch.setattr(journal_module, "SEGMENT_ROWS", 2)
    folder = tmp_path / "journal"
    for number in range(5):
        writer.append(make_entry(number))
    assert [segment.closed for segment in find_segments(folder)] == [True, True, False]
    assert writers_alive(folder) == 1
    writer.journal.close()
    assert [segment.closed for segment in find_segments(folder)] == [True, True, True]
    assert writers_alive(folder) == 0


def test_a_drained_segment_leaves_nothing_behind(writer: Writer, tmp_path: Path) -> None:
    """Removing the last closed segment of a writer that is gone takes log, index and lock along; a living one keeps
    its lock."""
    folder = tmp_path / "journal"
    writer.append(make_entry(1))
    other = Writer(folder)
    other.append(make_entry(2))
    writer.journal.close()
    first, second = find_segments(folder)
    assert (first.closed, second.closed) == (True, False)
    remove_segment(first)
    assert [segment.name for segment in find_segments(folder)] == [second.name]
    assert writers_alive(folder) == 1
    other.append(make_entry(3))
    other.journal.close()
    remove_segment(find_segments(folder)[0])
    assert list(folder.iterdir()) == []


def test_files_are_for_their_owner_alone(writer: Writer, tmp_path: Path) -> None:
    """The journal's folder has mode 0700, its files 0600."""
    writer.append(make_entry(1))
    folder = tmp_path / "journal"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in folder.glob("*.journal*")} == {0}


def test_a_journal_that_cannot_write_says_so_and_recovers(writer: Writer, tmp_path: Path) -> None:
    """When its folder is gone every waiter is told; when it is back, entries are taken again."""
    folder = tmp_path / "journal"
    shutil.rmtree(folder)
    writer.append(make_entry(1), make_entry(2))
    assert all(isinstance(answer, JournalFull) for answer in writer.answers)
    folder.mkdir()
    writer.append(make_entry(3))
    assert writer.answers[-1] is None
    assert [entry.event.view_id for entry in read_all(folder) if isinstance(entry, Recorded)] == ["3"]


def test_without_its_reserve_the_journal_takes_nothing(tmp_path: Path) -> None:
    """Once the reserve was given up for a consent choice, events no longer take what room is left."""
    reserve = tmp_path / "reserve.bin"
    reserve.write_bytes(b"\0" * 10)
    writer = Writer(tmp_path / "journal", reserve=reserve)
    writer.append(make_entry(1))
    reserve.unlink()
    writer.append(make_entry(2))
    reserve.write_bytes(b"\0" * 10)
    writer.append(make_entry(3))
    writer.journal.close()
    assert [answer is None for answer in writer.answers] == [True, False, True]
    assert len(read_all(tmp_path / "journal")) == 2


def test_too_much_waiting_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, writer: Writer) -> None:
    """F10: A journal that cannot keep up, or is closed, refuses an entry before it is taken."""
    monkeypatch.setattr(journal_module, "MAX_WAITING", 0)
    with pytest.raises(JournalFull):
        writer.journal.append(make_entry(1))
    monkeypatch.undo()
    writer.journal.close()
    with pytest.raises(JournalFull):
        writer.journal.append(make_entry(1))


def test_what_a_slow_disk_cannot_take_is_refused(
    monkeypatch: pytest.MonkeyPatch, writer: Writer, tmp_path: Path
) -> None:
    """F10: while a sync takes its time the newest are refused at once, so that no more than the limit ever waits; what was
    taken is there and nothing else, and with less to do all is taken again."""
    monkeypatch.setattr(journal_module, "MAX_WAITING", 50)
    sync, goes_on = os.fdatasync, threading.Event()

    def slow(file: int) -> None:
        assert goes_on.wait(30)
        sync(file)

    monkeypatch.setattr(os, "fdatasync", slow)
    taken, most = [], 0
    for number in range(1000):
        with suppress(JournalFull):
            writer.journal.append(make_entry(number), writer._done)
            taken.append(number)
        most = max(most, writer.journal._queue.qsize())
    assert (most, 50 <= len(taken) <= 100) == (50, True)
    goes_on.set()
    with writer._answered:
        assert writer._answered.wait_for(lambda: len(writer.answers) == len(taken), 10)
    writer.append(make_entry(1000))
    found = [int(entry.event.view_id) for entry in read_all(tmp_path / "journal") if isinstance(entry, Recorded)]
    assert (found, set(writer.answers)) == ([*taken, 1000], {None})


def test_an_empty_segment_is_empty(tmp_path: Path) -> None:
    """A writer killed before its first commit leaves a file that reads as empty."""
    path = tmp_path / "00000000000000000001-1-000001.journal"
    path.touch()
    assert find_segments(tmp_path) == [Segment(path.name, path, closed=True)]
    assert read_segment(find_segments(tmp_path)[0], 0, 10) == []


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Segment:
    """A closed segment of three commits, of two, one and three entries."""
    folder = tmp_path_factory.mktemp("written")
    for number, count in ((1, 2), (2, 1), (3, 3)):
        frame = make_frame(sum((2, 1, 3)[:number]), b"\n".join([msgspec.json.encode(make_entry(number))] * count))
        with (folder / "1-1-000001.journal").open("ab") as file:
            file.write(frame)
    [segment] = find_segments(folder)
    return segment


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_happens_to_a_file_what_is_read_was_written(
    written: Segment, tmp_path: Path, data: st.DataObject
) -> None:
    """Cut anywhere, changed anywhere or with rubbish behind it: whole commits from the beginning are read, then comes
    JournalDamaged; nothing that was not written is ever read, and only a cut between two commits goes unnoticed."""
    whole, all_entries = written.path.read_bytes(), read_segment(written, 0, 100)
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = data.draw(
        st.sampled_from(
            [
                whole[:at],
                whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :],
                whole + whole[:at],
            ]
        )
    )
    path = tmp_path / "1-1-000001.journal"
    path.write_bytes(changed)
    found = read_segment(Segment(path.name, path, closed=False), 0, 100)  # by a living writer: its end is yet to come
    assert found == all_entries[: len(found)] or changed.startswith(whole)
    assert len(found) in (0, 2, 3, 6) or changed.startswith(whole)
    closed = Segment(path.name, path, closed=True)
    assert (read_segment(closed, 0, 100) if found else []) == found
    if len(changed) == len(whole) and changed != whole:
        with pytest.raises(JournalDamaged):
            read_segment(closed, found[-1][0] if found else 0, 100)


CHILD = """
import sys, threading
from pathlib import Path
from gateway.analytics import journal as module
from tests.analytics.test_journal import make_entry
module.SEGMENT_ROWS = 300
journal = module.Journal(Path(sys.argv[1]))
room = threading.Semaphore(64)
def acknowledge(number):
    def done(fault):
        room.release()
        if fault is None:
            sys.stdout.write(f"{number}\\n")
            sys.stdout.flush()
    return done
number = int(sys.argv[2])
while True:
    room.acquire()
    number += 1
    journal.append(make_entry(number, "x" * (number % 500)), acknowledge(number))
"""


@pytest.mark.slow
def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Of writers killed at a random moment every acknowledged entry is readable, in order, none twice."""
    dice = random.Random()
    folder = tmp_path / "journal"
    starts = [0, 1_000_000]
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, str(folder), str(start)], stdout=subprocess.PIPE, text=True)
        for start in starts
    ]
    acknowledged = []
    for child in children:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(dice.randrange(200, 1500))]
        child.kill()
        rest = child.stdout.read().split("\n")[:-1]
        assert child.wait() == -signal.SIGKILL
        child.stdout.close()
        acknowledged.append(int((rest or lines)[-1]))
    assert all(segment.closed for segment in find_segments(folder))
    found = [int(entry.event.view_id) for entry in read_all(folder) if isinstance(entry, Recorded)]
    for start, last in zip(starts, acknowledged, strict=True):
        numbers = [number for number in found if start < number <= start + 1_000_000]
        assert numbers == list(range(start + 1, start + 1 + len(numbers)))
        assert start + len(numbers) >= last


FULL = """
import resource, signal, sys
from pathlib import Path
from tests.analytics.test_journal import Writer, make_entry, read_all
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
writer = Writer(folder)
writer.append(make_entry(0))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
number = 0
while writer.answers[-1] is None:
    number += 1
    writer.append(make_entry(number, "x" * 2000))
for _ in range(5):
    writer.append(make_entry(10_000, "x" * 400_000))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.append(make_entry(20_000))
writer.journal.close()
taken = [None if fault else nr for nr, fault in enumerate(writer.answers)]
found = {int(entry.event.view_id) for entry in read_all(folder)}
numbers = [*range(number + 1), *[10_000] * 5, 20_000]
assert len(list(folder.glob("*.journal"))) == 2, "files of nothing are left"
kept = {nr for nr, fault in zip(numbers, writer.answers, strict=True) if fault is None}
assert kept <= found, kept - found
assert number in numbers and number not in kept and 10_000 not in kept and 20_000 in kept
print("whole")
"""


@pytest.mark.slow
def test_a_full_disk_refuses_and_keeps_what_it_took(tmp_path: Path) -> None:
    """When a file cannot grow any more the waiter is told, and all that was acknowledged before and after is there."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "journal")], check=False, capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("whole\n", 0), done.stderr


def test_a_journal_that_wrote_nothing_leaves_nothing(tmp_path: Path) -> None:
    """A worker that saw nothing leaves no file behind; one that did leaves its segment and the lock that goes with it."""
    folder = tmp_path / "idle"
    Journal(folder).close()
    assert list(folder.iterdir()) == []
    busy = Writer(folder)
    busy.append(make_entry(1))
    busy.journal.close()
    assert sorted(path.suffix for path in folder.iterdir() if path.suffix in (".journal", ".lock")) == [
        ".journal",
        ".lock",
    ]
