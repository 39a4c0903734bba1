"""What is mailed once: claimed before it is sent, so that neither a restart nor another machine sends it again.

A mail that is claimed and of which nobody knows how it ended, since the process was killed on the way, is not sent again.
Nobody's address is kept: what was mailed, and who unsubscribed, is known by hashes. Times are epoch seconds.
"""

import hashlib

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.database import MAILINGS, reading, transaction

STARTED, SENT, FAILED, ENDED = "started", "sent", "failed", "ended"
FIRST_WAIT, LONGEST_WAIT = 300.0, 6 * 3600.0


def mailing_key(*parts: str) -> str:
    """By what a mail, or a subscription, is known: site, kind, period, address."""
    return hashlib.sha256("\0".join(parts).lower().encode()).hexdigest()


def claim(engine: Engine, key: str, now: float) -> bool:
    """Whether the caller is to send this now: nobody has, or the last attempt failed long enough ago."""
    row = MAILINGS.c.key == key
    with transaction(engine) as connection:
        known = connection.execute(select(MAILINGS).where(row)).first()
        if known is not None:
            again = (MAILINGS.c.state == FAILED) & (MAILINGS.c.next_at <= now)
            values = {"state": STARTED, "attempts": known.attempts + 1, "at": now}
            return bool(connection.execute(update(MAILINGS).where(row & again).values(values)).rowcount)
    return _insert(engine, key, STARTED, now)


def settle(engine: Engine, key: str, now: float, *, again: bool) -> None:
    """The mail is sent, or refused for good; or `again`: it failed and is tried later, each time after a longer wait."""
    row = MAILINGS.c.key == key
    with transaction(engine) as connection:
        attempts = connection.execute(select(MAILINGS.c.attempts).where(row)).scalar_one()
        wait = min(FIRST_WAIT * 2.0 ** (attempts - 1), LONGEST_WAIT)
        values = {"state": FAILED if again else SENT, "next_at": now + wait}
        connection.execute(update(MAILINGS).where(row).values(values))


def unsubscribe(engine: Engine, key: str, now: float) -> None:
    """No more of these mails; once more changes nothing."""
    if not is_unsubscribed(engine, key):
        _insert(engine, key, ENDED, now)


def is_unsubscribed(engine: Engine, key: str) -> bool:
    """Whether somebody wants no more of these mails."""
    ended = (MAILINGS.c.key == key) & (MAILINGS.c.state == ENDED)
    with reading(engine) as connection:
        return connection.execute(select(MAILINGS.c.at).where(ended)).first() is not None


def count_old(connection: Connection, before: float) -> int:
    """How many mails were last tried before a moment. That somebody unsubscribed is never old."""
    return int(connection.execute(select(func.count()).select_from(MAILINGS).where(*_old(before))).scalar_one())


def prune_mailings(connection: Connection, before: float) -> int:
    """Forget those mails; returns how many."""
    return connection.execute(delete(MAILINGS).where(*_old(before))).rowcount


def _old(before: float) -> tuple[ColumnElement[bool], ...]:
    return MAILINGS.c.at < before, MAILINGS.c.state != ENDED


def _insert(engine: Engine, key: str, state: str, now: float) -> bool:
    """Whether the row is ours; else another machine was quicker."""
    try:
        with transaction(engine) as connection:
            row = {"key": key, "at": now, "state": state, "attempts": 1, "next_at": now}
            connection.execute(insert(MAILINGS).values(row))
    except IntegrityError:
        return False
    return True
