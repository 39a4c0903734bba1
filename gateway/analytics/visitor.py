"""The visitor key: right for one day, and nobody's after it. And a key of the month, which only ever touches a sketch.

Key = HMAC-SHA256(salt of the site's day, consent id), cut to 64 bit. It is never made from address or agent, but where a
server tells of somebody with a key for programs, has no better name for them and asserts their consent (flows/collect_told).
Salts live in the database, turn at the site's midnight and are destroyed soon after, so that stored keys can no longer be
linked to a consent id, nor one day's key to the next one's.

The key of the month is made alike, of a salt of the month: it feeds the estimate of the month's different visitors
(month_sketch.py) whenever a worker makes a key of the day, and is kept nowhere, so no day leads through it to another.
"""

import hmac
import secrets
import threading
from contextlib import closing
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, func, insert, literal, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from gateway.analytics.month_sketch import MonthSketches
from gateway.database import SALTS, is_sqlite, reading, transaction
from gateway.errors import JournalFull

SALT_BYTES = 32
REMEMBERED: Final = 4096
GRACE_SECONDS = 30 * 60
MONTH = len("2026-11")  # so much of a day is its month


def local_day(at: float, timezone: str) -> str:
    """The site's calendar day at a moment (epoch seconds), as `2026-11-23`."""
    return datetime.fromtimestamp(at, ZoneInfo(timezone)).date().isoformat()


class Visitors:
    """Makes visitor keys; keeps the salts of the present day and month in memory. `months` has whom they were made for."""

    def __init__(self, engine: Engine) -> None:
        self.months = MonthSketches()
        self._engine = engine
        self._salts: dict[tuple[str, str], tuple[bytes, bytes]] = {}  # of a site's day: the day's own, and its month's
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
        of_day, of_month = self._find_salts(site, day)
        self.months.add(site, day[:MONTH], _cut(of_month, who))
        return _cut(of_day, who)

    def prepare(self, site: str, timezone: str, at: float) -> None:
        """Have the salts of that moment's day at hand, so that no page has to wait for them. Raises JournalFull."""
        self._find_salts(site, self._day(at, timezone))

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

    def _find_salts(self, site: str, day: str) -> tuple[bytes, bytes]:
        salts = self._salts.get((site, day))
        if salts is None:
            with self._lock:
                try:
                    of_day, of_month = (_find_or_make_salt(self._engine, site, of) for of in (day, day[:MONTH]))
                except DBAPIError as error:
                    raise JournalFull("no salt can be had for the day") from error
                self._salts = {key: kept for key, kept in self._salts.items() if key[1] >= _before(day)}
                salts = self._salts[(site, day)] = of_day, of_month
        return salts


def _cut(salt: bytes, who: str) -> int:
    return int.from_bytes(hmac.digest(salt, who.encode("utf-8", "replace"), "sha256")[:8])


def destroy_salts(engine: Engine, site: str, timezone: str, now: float) -> int:
    """Delete the salts of days and months that ended more than half an hour ago; returns how many went.

    SQLite overwrites deleted rows (secure_delete), and the log that still holds them is emptied.
    """
    today = literal(local_day(now - GRACE_SECONDS, timezone))
    is_over = SALTS.c.day < func.substr(today, 1, func.length(SALTS.c.day))  # a month is compared with today's
    with transaction(engine) as connection:
        gone = connection.execute(SALTS.delete().where(SALTS.c.site == site, is_over)).rowcount
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
