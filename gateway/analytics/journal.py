"""The journal: what a front worker has seen, on disk before it is acknowledged.

Each worker appends to files of its own (segments): SQLite in WAL mode with synchronous=FULL, so that a commit that
returned survives `kill -9` and a power cut. One thread commits whatever has gathered since the last commit ("group
commit"): under load one fdatasync covers hundreds of events, and none waits for a clock. The keeper reads segments and
removes those that are closed and drained. A segment is closed when its writer has begun another or is gone; a writer
holds a file lock for as long as it lives.
"""

import asyncio
import logging
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import IO

import msgspec

from gateway.errors import JournalFull
from gateway.event import Entry
from gateway.frozen import Frozen
from gateway.process_lock import is_held, try_hold

log = logging.getLogger("gateway.journal")

JOURNAL_FOLDER = "journal"  # within the data folder
SEGMENT_ROWS = 50_000
SEGMENT_SECONDS = 30.0
LINGER_SECONDS = 0.1  # how long entries that nobody waits for may gather
MAX_WAITING = 20_000
SUFFIX = ".journal"
# One row for each commit: its entries as lines of JSON, and the number of the last of them (counted from 1). A row a
# commit is one statement, and so one release of the interpreter's lock, however many entries there are.
CREATE = "CREATE TABLE IF NOT EXISTS batches (last INTEGER PRIMARY KEY, body BLOB NOT NULL)"
APPEND = "INSERT INTO batches (last, body) VALUES (?, ?)"
READ = "SELECT last, body FROM batches WHERE last > ? ORDER BY last"

Done = Callable[[JournalFull | None], object]
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Entry)


class Segment(Frozen, frozen=True):
    """One journal file. `closed`: its writer will append no more."""

    name: str
    path: Path
    closed: bool


class Journal:
    """The writer's side, one per process. `append` may be called from any thread and never blocks on disk."""

    def __init__(self, folder: Path, *, reserve: Path | None = None) -> None:
        # Set to a running loop's `call_soon_threadsafe` to have a whole batch acknowledged there in one call.
        self.call_in_loop: Callable[..., object] | None = None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder, self._reserve = folder, reserve
        # The name is part of each event's id, so it must be nobody else's, on any node.
        self._writer = f"{time.time_ns():020d}-{secrets.token_hex(6)}"
        self._lock_path = folder / f"{self._writer}.lock"
        self._lock_file = _hold_own(self._lock_path)
        self._path = folder  # of the segment in hand
        self._number = 0
        self._opened_at = 0.0
        self._rows = 0
        self._lost = 0  # since when writing began to fail
        self._connection: sqlite3.Connection | None = None
        self._lines: list[bytes] = []  # what is to be written next, and whoever waits for it
        self._waiting: list[Done] = []
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._stopping = False
        self._writing = threading.Thread(target=self._run, name="journal", daemon=True)
        self._writing.start()

    def append(self, entry: Entry, done: Done | None = None) -> None:
        """Hand an entry over; one without `done` is on disk within a tenth of a second.

        `done(None)` is called once it is on disk, `done(JournalFull)` when it could not be written: in the loop when
        `call_in_loop` is set, else in the journal's thread. A future's `set_result` will do, also when nobody waits for
        it any more. Raises JournalFull when too much is waiting.
        """
        line = _encoder.encode(entry)
        with self._lock:
            if len(self._lines) >= MAX_WAITING or self._stopping:
                raise JournalFull("the journal cannot keep up")
            self._lines.append(line)
            if done is not None:
                self._waiting.append(done)
            if len(self._lines) == 1 or (done is not None and len(self._waiting) == 1):
                self._wake.notify()

    def close(self) -> None:
        """Write down all that waits, then release the files."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._writing.join()
        self._lock_file.close()
        if not any(self._folder.glob(f"{self._writer}-*{SUFFIX}")):
            self._lock_path.unlink(missing_ok=True)  # else whoever removes the last segment does it

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._lines and not self._stopping:
                    self._wake.wait(SEGMENT_SECONDS)
                if self._lines and not self._waiting and not self._stopping:
                    self._wake.wait(LINGER_SECONDS)  # nobody waits for these: let some more gather
                lines, self._lines = self._lines, []
                waiting, self._waiting = self._waiting, []
            if lines:
                self._commit(lines, waiting)
            elif self._stopping:
                break
            self._rotate_if_due()
        self._close_segment()

    def _commit(self, lines: list[bytes], waiting: list[Done]) -> None:
        fault: JournalFull | None = None
        try:
            self._write(lines)
        except Exception as error:  # a worker loop: it has to go on, and whoever waits has to hear of it
            fault = JournalFull(str(error))
        self._log_change(fault, len(lines))
        if self.call_in_loop is None:
            _acknowledge(waiting, fault)
        elif waiting:
            self._acknowledge_in_loop(waiting, fault)

    def _log_change(self, fault: JournalFull | None, count: int) -> None:
        """Once when writing begins to fail, once when it works again."""
        if fault is not None:
            if not self._lost:
                log.error("journal: nothing can be written, events are refused: %s", fault)
            self._lost += count
        elif self._lost:
            log.warning("journal: can be written again; %d entries were refused or lost meanwhile", self._lost)
            self._lost = 0

    def _acknowledge_in_loop(self, waiting: list[Done], fault: JournalFull | None) -> None:
        assert self.call_in_loop is not None
        try:
            self.call_in_loop(_acknowledge, waiting, fault)
        except RuntimeError:  # the loop has ended; nobody waits for an answer any more
            log.info("journal: %d entries were written after the server had stopped", len(waiting))

    def _write(self, lines: list[bytes]) -> None:
        if self._reserve and not os.access(self._reserve, os.F_OK):
            raise OSError("the disk is full; its reserve is kept for consent choices")
        if self._connection is not None and not os.access(self._path, os.F_OK):
            self._close_segment()  # somebody deleted the file: what is written to it would be lost
        connection = self._connection or self._open_segment()
        try:
            connection.execute(APPEND, (self._rows + len(lines), b"\n".join(lines)))
        except sqlite3.Error:
            # Whatever state the file is in, a fresh segment starts clean; this one keeps what it acknowledged.
            self._close_segment()
            raise
        self._rows += len(lines)

    def _open_segment(self) -> sqlite3.Connection:
        if not self._lock_path.exists():  # deleted: without it the keeper would take our segments for closed
            before, self._lock_file = self._lock_file, _hold_own(self._lock_path)
            before.close()
        self._number += 1
        self._path = self._folder / f"{self._writer}-{self._number:06d}{SUFFIX}"
        self._connection = _create_segment(self._path)
        self._rows, self._opened_at = 0, time.monotonic()
        return self._connection

    def _rotate_if_due(self) -> None:
        age = time.monotonic() - self._opened_at
        if self._rows >= SEGMENT_ROWS or (self._rows and age >= SEGMENT_SECONDS):
            self._close_segment()

    def _close_segment(self) -> None:
        if self._connection is not None:
            connection, self._connection, self._rows = self._connection, None, 0
            try:
                connection.close()
            except sqlite3.Error as error:
                log.error("journal: a segment could not be closed: %s", error)


class ClosedJournal(Journal):
    """Stands in while no journal can be opened: takes nothing."""

    def __init__(self) -> None:
        self.call_in_loop = None

    def append(self, entry: Entry, done: Done | None = None) -> None:
        """Raises JournalFull."""
        raise JournalFull("the journal is not open")

    def close(self) -> None:
        """Nothing to do."""


def _create_segment(path: Path) -> sqlite3.Connection:
    """A new file, ready to be appended to and durable by name too; when it cannot be made, nothing of it is left."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        # Every thousand pages, as by default, there would be a pause for each hundredth event.
        connection.execute("PRAGMA wal_autocheckpoint=4000")
        connection.execute(CREATE)
        _sync_folder(path.parent)
    except BaseException:
        connection.close()
        _delete_files(path)
        raise
    return connection


def _delete_files(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _acknowledge(waiting: list[Done], fault: JournalFull | None) -> None:
    for done in waiting:
        try:  # noqa: SIM105 - a context manager would take as long as the rest
            done(fault)
        except asyncio.InvalidStateError:  # the client went away, and its future with it
            pass


def find_segments(folder: Path) -> list[Segment]:
    """Every segment, oldest first within its writer."""
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    newest = {path.name.rpartition("-")[0]: path for path in paths}
    alive = {writer for writer in newest if is_held(folder / f"{writer}.lock")}
    return [
        Segment(path.name, path, closed=newest[writer] != path or writer not in alive)
        for path in paths
        for writer in [path.name.rpartition("-")[0]]
    ]


def read_segment(segment: Segment, after: int, limit: int) -> list[tuple[int, Entry]]:
    """About `limit` entries numbered above `after`, in order (whole commits; one may hold more than the limit)."""
    found: list[tuple[int, Entry]] = []
    with closing(sqlite3.connect(segment.path, isolation_level=None, timeout=5)) as connection:
        try:
            rows = connection.execute(READ, (after,))
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []  # the writer died before its first commit
            raise
        for last, body in rows:
            entries = _decoder.decode_lines(body)
            first = last - len(entries) + 1
            found += [(number, entry) for number, entry in enumerate(entries, first) if number > after]
            if len(found) >= limit:
                break
    return found


def remove_segment(segment: Segment) -> None:
    """Delete a drained segment, and its writer's lock file when the writer is gone."""
    _delete_files(segment.path)
    writer = segment.name.rpartition("-")[0]
    lock = segment.path.parent / f"{writer}.lock"
    if not is_held(lock) and not list(segment.path.parent.glob(f"{writer}-*{SUFFIX}")):
        lock.unlink(missing_ok=True)


def writers_alive(folder: Path) -> int:
    """How many front workers hold a journal open."""
    return sum(is_held(lock) for lock in folder.glob("*.lock"))


def _hold_own(path: Path) -> IO[bytes]:
    lock = try_hold(path)
    if lock is None:
        raise JournalFull(f"{path.name} is held by another process")
    return lock


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
