"""Withdrawn consents, known to every worker at once.

A signed cookie cannot be called back, so a withdrawal leaves a tombstone: cookies of that consent id below the given
revision grant nothing. All tombstones are held in memory. With SQLite, a withdrawal rings a bell after its commit: eight
random bytes in a file that every worker has mapped into its memory, so that looking for news costs a comparison (asking
SQLite's `PRAGMA data_version` costs ten microseconds, and it answers yes after every delivery too). With PostgreSQL a
listener is notified.
"""

import logging
import mmap
import os
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, Engine, select, text

from gateway.database import TOMBSTONES, is_sqlite, reading, sqlite_path

log = logging.getLogger("gateway.tombstones")
CHANNEL = "gateway_tombstones"
DEAF = sys.maxsize
BELL_BYTES = 8


def add_tombstone(connection: Connection, consent_id: str, revision: int, at: float) -> None:
    """Within a withdrawal's transaction: cookies of this consent below `revision` grant nothing any more."""
    connection.execute(TOMBSTONES.insert().values(consent_id=consent_id, revision=revision, at=at))
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"NOTIFY {CHANNEL}"))


def ring(engine: Engine) -> None:
    """After a withdrawal's commit and before it is acknowledged: every worker on this machine looks again."""
    bell = _bell_path(engine)
    if bell is None:
        return
    try:
        with _writable(bell) as file:
            os.pwrite(file.fileno(), os.urandom(BELL_BYTES), 0)  # never the same twice: no ringing hides another
    except OSError as error:  # the withdrawal stands all the same, and workers look by themselves every second
        log.error("a withdrawal could not be announced to the other workers: %s", error)


class SQLiteTombstones:
    """Tombstones in a SQLite file; seen by every process on the machine with the next request."""

    def __init__(self, engine: Engine, bell: Path) -> None:
        self._engine = engine
        self._last = 0
        self._floors: dict[str, int] = {}
        self._lock = threading.Lock()
        self._bell = _open_bell(bell)
        self._heard = b""

    def floor(self, consent_id: str) -> int:
        """The lowest revision of this consent that still counts; 0 when nothing was withdrawn."""
        if self._bell[:BELL_BYTES] != self._heard:
            self.refresh()
        return self._floors.get(consent_id, 0)

    def refresh(self) -> None:
        """Read what is new; also called now and then, for a worker killed between its commit and its ringing."""
        with self._lock:
            rung = self._bell[:BELL_BYTES]
            query = select(TOMBSTONES).where(TOMBSTONES.c.sequence > self._last).order_by(TOMBSTONES.c.sequence)
            with reading(self._engine) as connection:
                for row in connection.execute(query):
                    self._floors[row.consent_id] = max(row.revision, self._floors.get(row.consent_id, 0))
                    self._last = row.sequence
            self._heard = rung

    def close(self) -> None:
        """Release the bell."""
        self._bell.close()


def _bell_path(engine: Engine) -> Path | None:
    path = sqlite_path(str(engine.url)) if is_sqlite(engine) else None
    return path.with_suffix(".bell") if path else None


def _open_bell(path: Path) -> mmap.mmap:
    with _writable(path) as file:
        if os.fstat(file.fileno()).st_size < BELL_BYTES:
            os.pwrite(file.fileno(), bytes(BELL_BYTES), 0)  # really written: ringing must need no room on the disk
        return mmap.mmap(file.fileno(), BELL_BYTES, access=mmap.ACCESS_READ)


def _writable(path: Path) -> BinaryIO:
    """Open for writing in place, made when it is not there. Never cut: others have it mapped."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)


class PostgresTombstones:
    """Tombstones in PostgreSQL; a listening thread adds new ones as they are committed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._floors: dict[str, int] = {}
        self._last = 0
        self._hears = True
        self._stopping = threading.Event()
        self._connection = self._open_listener()
        self._load()
        self._thread = threading.Thread(target=self._listen, name="tombstones", daemon=True)
        self._thread.start()

    def floor(self, consent_id: str) -> int:
        """The lowest revision of this consent that still counts; 0 when nothing was withdrawn."""
        if not self._hears:
            return DEAF  # what may have been withdrawn meanwhile is not known: nothing counts
        return self._floors.get(consent_id, 0)

    def refresh(self) -> None:
        """Nothing to do: the listener hears of everything."""

    def _load(self) -> None:
        # Sequences may commit out of order, so look a little back each time.
        query = select(TOMBSTONES).where(TOMBSTONES.c.sequence > self._last - 1000)
        with reading(self._engine) as connection:
            for row in connection.execute(query):
                self._floors[row.consent_id] = max(row.revision, self._floors.get(row.consent_id, 0))
                self._last = max(self._last, row.sequence)

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                for _ in self._connection.notifies(timeout=1, stop_after=1):
                    pass
                self._load()  # after a silent second too: a connection that died quietly brings no news
            except Exception:  # a worker loop: it has to go on, and says no until it hears again
                self._hears = False
                log.exception("withdrawals cannot be heard; nothing optional happens until they can")
                self._stopping.wait(1)
                self._reconnect()

    def _reconnect(self) -> None:
        try:
            self._connection = self._open_listener()
            self._load()
            self._hears = True
        except Exception as error:  # still away; the next round tries again
            log.warning("the database is still away: %s", error)

    def _open_listener(self) -> Any:
        pooled = self._engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()  # ours from now on: the pool would hand it to others
        connection.autocommit = True
        connection.execute(f"LISTEN {CHANNEL}")
        return connection

    def close(self) -> None:
        """Stop listening."""
        self._stopping.set()
        self._thread.join(3)
        self._connection.close()


class UnknownTombstones:
    """Stands in while the database cannot be opened: what may have been withdrawn is not known, so nothing counts."""

    def floor(self, _consent_id: str) -> int:
        """Above every revision."""
        return DEAF

    def refresh(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


Tombstones = SQLiteTombstones | PostgresTombstones | UnknownTombstones


def open_tombstones(engine: Engine) -> Tombstones:
    """The tombstones of this database."""
    bell = _bell_path(engine)
    return SQLiteTombstones(engine, bell) if bell else PostgresTombstones(engine)
