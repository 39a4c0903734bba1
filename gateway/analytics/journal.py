"""The journal: what a front worker has seen, on disk before it is acknowledged.

Each worker appends to files of its own (segments), and each commit is one frame and one fdatasync: what was acknowledged
survives `kill -9` and a power cut. One thread commits whatever has gathered since the last commit ("group commit"): under
load one sync covers dozens of events, and none waits for a clock. The keeper reads segments and removes those that are
closed and drained. A segment is closed when its writer has begun another or is gone; a writer holds a file lock for as
long as it lives.

A frame is a head (length of the body, CRC-32 of number and body, number of its last entry, counted from 1) and a body:
its entries as lines of JSON. What is at the end of a closed file and is no frame was damaged, or was never acknowledged:
nobody can tell, so it is reported and never thrown away. (Through SQLite a commit takes three times as long: it writes by
the page and sums each up.)
"""

import asyncio
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from queue import Empty, SimpleQueue
from struct import Struct
from typing import IO
from zlib import crc32

import msgspec

from gateway.errors import JournalDamaged, JournalFull
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
HEAD = Struct("<IIQ")
NUMBER = Struct("<Q")

Done = Callable[[JournalFull | None], object]
Line = tuple[bytes, Done | None]  # an entry as it is written, and whoever waits for it; no bytes: look up
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
        self._file = -1  # descriptor of the segment in hand; below 0: none
        self._queue: SimpleQueue[Line] = SimpleQueue()
        self._hurry = threading.Event()  # somebody waits: entries are gathered no longer
        self._stopping = self._ended = False
        self._writing = threading.Thread(target=self._run, name="journal", daemon=True)
        self._writing.start()

    def append(self, entry: Entry, done: Done | None = None) -> None:
        """Hand an entry over; one without `done` is on disk within a tenth of a second.

        `done(None)` is called once it is on disk, `done(JournalFull)` when it could not be written: in the loop when
        `call_in_loop` is set, else in the journal's thread. A future's `set_result` will do, also when nobody waits for
        it any more. Raises JournalFull when too much is waiting.
        """
        line = _encoder.encode(entry)
        if self._stopping or self._queue.qsize() >= MAX_WAITING:
            raise JournalFull("the journal cannot keep up")
        self._queue.put((line, done))
        if done is not None and not self._hurry.is_set():
            self._hurry.set()
        if self._ended:  # meanwhile: what the thread has not taken along by now it never will
            self._refuse_rest()

    def close(self) -> None:
        """Write down all that waits, then release the files."""
        self._stopping = True
        self._queue.put((b"", None))
        self._hurry.set()
        self._writing.join()
        self._lock_file.close()
        if not any(self._folder.glob(f"{self._writer}-*{SUFFIX}")):
            self._lock_path.unlink(missing_ok=True)  # else whoever removes the last segment does it

    def _run(self) -> None:
        while not self._ended:
            self._ended = self._stopping  # before the last look, see `append`
            lines, waiting = self._gather()
            if lines:
                self._commit(lines, waiting)
            self._rotate_if_due()
        self._close_segment()

    def _gather(self) -> tuple[list[bytes], list[Done]]:
        """What is to be written next, and whoever waits for it. Waits for something to come, and for some more to gather
        while nobody waits for any of it: without looking, since each look would be a change of threads."""
        lines: list[bytes] = []
        waiting: list[Done] = []
        with suppress(Empty):
            line, done = self._queue.get(timeout=0 if self._stopping else SEGMENT_SECONDS)
            if done is None and not self._stopping:
                self._hurry.wait(LINGER_SECONDS)
            self._hurry.clear()
            while True:
                if line:
                    lines.append(line)
                if done is not None:
                    waiting.append(done)
                line, done = self._queue.get_nowait()
        return lines, waiting

    def _refuse_rest(self) -> None:
        while not self._queue.empty():
            try:
                _, done = self._queue.get_nowait()
            except Empty:
                return
            if done is not None:
                done(JournalFull("the journal has ended"))

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
        if self._file >= 0 and not os.fstat(self._file).st_nlink:
            self._close_segment()  # somebody deleted the file: what is written to it would be lost
        if self._file < 0:
            self._open_segment()
        last = self._rows + len(lines)
        try:
            _append(self._file, make_frame(last, b"\n".join(lines)))
        except OSError:
            # Whatever state the file is in, a fresh segment starts clean; this one keeps what it acknowledged.
            nothing = not self._rows
            self._close_segment()
            if nothing:
                self._path.unlink(missing_ok=True)  # a disk that stays full would be littered with them
            raise
        self._rows = last

    def _open_segment(self) -> None:
        if not self._lock_path.exists():  # deleted: without it the keeper would take our segments for closed
            before, self._lock_file = self._lock_file, _hold_own(self._lock_path)
            before.close()
        self._number += 1
        self._path = self._folder / f"{self._writer}-{self._number:06d}{SUFFIX}"
        self._file = _create_segment(self._path)
        self._rows, self._opened_at = 0, time.monotonic()

    def _rotate_if_due(self) -> None:
        age = time.monotonic() - self._opened_at
        if self._rows >= SEGMENT_ROWS or (self._rows and age >= SEGMENT_SECONDS):
            self._close_segment()

    def _close_segment(self) -> None:
        if self._file >= 0:
            file, self._file, self._rows = self._file, -1, 0
            os.close(file)


class ClosedJournal(Journal):
    """Stands in while no journal can be opened: takes nothing."""

    def __init__(self) -> None:
        self.call_in_loop = None

    def append(self, entry: Entry, done: Done | None = None) -> None:
        """Raises JournalFull."""
        raise JournalFull("the journal is not open")

    def close(self) -> None:
        """Nothing to do."""


def make_frame(last: int, body: bytes) -> bytes:
    """A commit as it is written; `last` is the number of its last entry."""
    return HEAD.pack(len(body), crc32(body, crc32(NUMBER.pack(last))), last) + body


def _append(file: int, frame: bytes) -> None:
    """All of a frame on disk, or none of it to be read: raises OSError, as what a full disk takes of it is taken back."""
    size = os.lseek(file, 0, os.SEEK_END)
    try:
        written = os.write(file, frame)
        while written < len(frame):
            written += os.write(file, frame[written:])
        os.fdatasync(file)
    except OSError:
        os.ftruncate(file, size)
        raise


def _create_segment(path: Path) -> int:
    """The descriptor of a new file, durable by name too; when it cannot be made, nothing of it is left."""
    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        sync_file(path.parent)
    except BaseException:
        os.close(file)
        path.unlink(missing_ok=True)
        raise
    return file


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


def measure_waiting(folder: Path) -> int:
    """How many bytes of journals there are, stored already or not."""
    waiting = 0
    for path in folder.glob(f"*{SUFFIX}"):
        with suppress(FileNotFoundError):  # stored and removed meanwhile
            waiting += path.stat().st_size
    return waiting


def read_segment(segment: Segment, after: int, limit: int) -> list[tuple[int, Entry]]:
    """About `limit` entries numbered above `after`, in order (whole commits; one may hold more than the limit).

    Raises JournalDamaged when a closed segment goes on with something else right there.
    """
    found: list[tuple[int, Entry]] = []
    with segment.path.open("rb") as file:
        while len(found) < limit:
            frame = _read_frame(file, after)
            if frame is None:
                break
            first, entries = frame
            found += [(number, entry) for number, entry in enumerate(entries, first) if number > after]
        if not found and segment.closed and file.peek(1):
            raise JournalDamaged(f"{segment.name}: unreadable from byte {file.tell()} on")
    return found


def measure_segment(path: Path) -> tuple[int, int]:
    """How far a segment is whole: the bytes of its good frames, and the number of the last entry in them."""
    last = 0
    with path.open("rb") as file:
        while frame := _read_frame(file, last):
            first, entries = frame
            last = first + len(entries) - 1
        return file.tell(), last


def _read_frame(file: BufferedReader, after: int) -> tuple[int, list[Entry]] | None:
    """The next frame that holds an entry above `after`: the number of its first, and all of them. Those before it are passed
    over unread. None, at the place itself, where there is no whole one."""
    size, before = os.fstat(file.fileno()).st_size, 0
    while True:
        start = file.tell()
        head = file.read(HEAD.size)
        length, check, last = HEAD.unpack(head) if len(head) == HEAD.size else (size, 0, 0)
        end = start + HEAD.size + length
        if end > size or last <= before:
            break
        if last <= after:
            file.seek(end)
            before = last
        elif entries := _decode(file.read(length), check, last):
            return last - len(entries) + 1, entries
        else:
            break
    file.seek(start)
    return None


def _decode(body: bytes, check: int, last: int) -> list[Entry]:
    """The entries of a frame's body; none when it is not as it was written."""
    if crc32(body, crc32(NUMBER.pack(last))) != check:
        return []
    try:
        return _decoder.decode_lines(body)
    except msgspec.DecodeError:
        return []


def remove_segment(segment: Segment) -> None:
    """Delete a drained segment, and its writer's lock file when the writer is gone."""
    segment.path.unlink(missing_ok=True)
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


def sync_file(path: Path) -> None:
    """What a file or folder holds by now is on disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
