"""The visitor key: right for one day, and nobody's after it.

Key = HMAC-SHA256(salt of the site's day, consent id), cut to 64 bit. It is never made from address or agent, but where a
server tells of somebody with a key for programs, has no better name for them and asserts their consent (flows/collect_told).
Salts live in the database, turn at the site's midnight and are destroyed soon after, so that stored keys can no longer be
linked to a consent id, nor one day's key to the next one's.
"""

import hmac
import secrets
import threading
from contextlib import closing
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from gateway.database import SALTS, is_sqlite, reading, transaction
from gateway.errors import JournalFull

SALT_BYTES = 32
REMEMBERED = 4096
GRACE_SECONDS = 30 * 60


def local_day(at: float, timezone: str) -> str:
    """The site's calendar day at a moment (epoch seconds), as `2026-11-23`."""
    return datetime.fromtimestamp(at, ZoneInfo(timezone)).date().isoformat()


class Visitors:
    """Makes visitor keys; keeps the salts of the present day in memory."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._salts: dict[tuple[str, str], bytes] = {}
        self._keys: dict[tuple[str, str, str], int] = {}
        self._days: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def key(self, site: str, timezone: str, consent_id: str, at: float) -> int:
        """The visitor's 64-bit key of the day, unsigned. Raises JournalFull when the day has no salt and can have none."""
        day = self._day(at, timezone)
        known = self._keys.get((site, day, consent_id))
        if known is None:
            known = self._make(site, day, consent_id)
            self._remember((site, day, consent_id), known)
        return known

    def key_of_told(self, site: str, timezone: str, who: str, at: float) -> int:
        """The same for whom a server tells of, by what it calls them: `who` is used and not even remembered. Raises
        JournalFull."""
        return self._make(site, self._day(at, timezone), who)

    def _make(self, site: str, day: str, who: str) -> int:
        digest = hmac.digest(self._salt(site, day), who.encode("utf-8", "replace"), "sha256")
        return int.from_bytes(digest[:8])

    def prepare(self, site: str, timezone: str, at: float) -> None:
        """Have the salt of that moment's day at hand, so that no page has to wait for it. Raises JournalFull."""
        self._salt(site, self._day(at, timezone))

    def _remember(self, names: tuple[str, str, str], key: int) -> None:
        if len(self._keys) >= REMEMBERED:
            self._keys.clear()
        self._keys[names] = key

    def _day(self, at: float, timezone: str) -> str:
        """Local day, worked out once per quarter of an hour (all zones turn on quarters)."""
        quarter = at // 900
        known = self._days.get(timezone)
        if known is None or known[0] != quarter:
            known = (quarter, local_day(at, timezone))
            self._days[timezone] = known
        return known[1]

    def _salt(self, site: str, day: str) -> bytes:
        salt = self._salts.get((site, day))
        if salt is None:
            with self._lock:
                try:
                    salt = _find_or_make_salt(self._engine, site, day)
                except DBAPIError as error:
                    raise JournalFull("no salt can be had for the day") from error
                self._salts = {key: kept for key, kept in self._salts.items() if key[1] >= _before(day)}
                self._salts[(site, day)] = salt
        return salt


def destroy_salts(engine: Engine, site: str, timezone: str, now: float) -> int:
    """Delete the salts of days that ended more than half an hour ago; returns how many went.

    SQLite overwrites deleted rows (secure_delete), and the log that still holds them is emptied.
    """
    day = local_day(now - GRACE_SECONDS, timezone)
    with transaction(engine) as connection:
        gone = connection.execute(SALTS.delete().where(SALTS.c.site == site, SALTS.c.day < day)).rowcount
    if gone and is_sqlite(engine):
        with closing(engine.raw_connection()) as connection:  # outside any transaction, where ours would begin one
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return gone


def _find_or_make_salt(engine: Engine, site: str, day: str) -> bytes:
    query = select(SALTS.c.salt).where(SALTS.c.site == site, SALTS.c.day == day)
    with reading(engine) as connection:
        found = connection.execute(query).scalar()
    if found is None:
        try:
            with transaction(engine) as connection:
                row = {"site": site, "day": day, "salt": secrets.token_bytes(SALT_BYTES)}
                connection.execute(insert(SALTS).values(**row))
        except IntegrityError:
            pass  # another worker was first; its salt is the salt
        with reading(engine) as connection:
            found = connection.execute(query).scalar_one()
    return bytes(found)


def _before(day: str) -> str:
    return (datetime.fromisoformat(day) - timedelta(days=1)).date().isoformat()
