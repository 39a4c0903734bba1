"""Withdrawn consents, known to every worker at once.

A signed cookie cannot be called back, so a withdrawal leaves a tombstone: cookies of that consent id below the given
revision grant nothing. All tombstones are held in memory. With SQLite, `PRAGMA data_version` (a read of shared memory,
about a microsecond) tells whether another process has written since; with PostgreSQL a listener is notified.
"""

import logging
import sqlite3
import sys
import threading
from typing import Any

from sqlalchemy import Connection, Engine, select, text

from gateway.database import TOMBSTONES, is_sqlite, reading, sqlite_path

log = logging.getLogger("gateway.tombstones")
CHANNEL = "gateway_tombstones"
DEAF = sys.maxsize
NEWER = "SELECT sequence, consent_id, revision FROM tombstones WHERE sequence > ? ORDER BY sequence"


def add_tombstone(connection: Connection, consent_id: str, revision: int, at: float) -> None:
    """Within a withdrawal's transaction: cookies of this consent below `revision` grant nothing any more."""
    connection.execute(TOMBSTONES.insert().values(consent_id=consent_id, revision=revision, at=at))
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"NOTIFY {CHANNEL}"))


class SQLiteTombstones:
    """Tombstones in a SQLite file; seen by every process on the machine with the next request."""

    def __init__(self, path: str) -> None:
        # A connection of its own: data_version tells of the writes of all *other* connections.
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5)
        self._lock = threading.Lock()
        self._version = -1
        self._last = 0
        self._floors: dict[str, int] = {}

    def floor(self, consent_id: str) -> int:
        """The lowest revision of this consent that still counts; 0 when nothing was withdrawn."""
        with self._lock:
            version = self._connection.execute("PRAGMA data_version").fetchone()[0]
            if version != self._version:
                self._load()
                self._version = version
        return self._floors.get(consent_id, 0)

    def _load(self) -> None:
        for sequence, consent_id, revision in self._connection.execute(NEWER, (self._last,)):
            self._floors[consent_id] = max(revision, self._floors.get(consent_id, 0))
            self._last = sequence

    def close(self) -> None:
        """Release the file."""
        self._connection.close()


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
                    self._load()
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
        connection: Any = self._engine.raw_connection().driver_connection
        connection.autocommit = True
        connection.execute(f"LISTEN {CHANNEL}")
        return connection

    def close(self) -> None:
        """Stop listening."""
        self._stopping.set()
        self._thread.join(3)
        self._connection.close()


Tombstones = SQLiteTombstones | PostgresTombstones


def open_tombstones(engine: Engine) -> Tombstones:
    """The tombstones of this database."""
    path = sqlite_path(str(engine.url))
    if is_sqlite(engine) and path is not None:
        return SQLiteTombstones(str(path))
    return PostgresTombstones(engine)
