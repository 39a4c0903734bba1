"""Record a visitor's choice: ledger, consent, withdrawal and cancelled deliveries in one transaction; then the cookie.

What was granted before is read from the database, not from the cookie. The order of commits decides between two tabs: a
revision counts up, and a cookie below a consent's last withdrawal grants nothing.
"""

import logging
import os
import secrets
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DBAPIError

from gateway import ledger
from gateway.config import Config, Site
from gateway.consent.decision import Choice
from gateway.consent.tombstones import add_tombstone, ring
from gateway.database import CONSENTS, is_sqlite, transaction
from gateway.destinations import outbox
from gateway.policy import Policy
from gateway.process_lock import try_hold

log = logging.getLogger("gateway.choose")

ACCEPT_ALL, REJECT_ALL, SAVE = "accept_all", "reject_all", "save"
CHOICES = (ACCEPT_ALL, REJECT_ALL, SAVE)
RESERVE_FILE = "reserve.bin"
DISK_FULL = "53100"  # PostgreSQL's word for it

Grants = dict[str, tuple[str, int]]
_grants = msgspec.json.Decoder(Grants)


class Said(msgspec.Struct, frozen=True):
    """What a visitor said in one post: the button, the purposes switched on, under which words, and whether the browser
    sent Global Privacy Control with it."""

    choice: str
    purposes: frozenset[str]
    language: str
    channel: str
    gpc: bool = False


class Chosen(msgspec.Struct, frozen=True):
    """The recorded outcome: the choice for the cookie, and which purposes were taken back by it."""

    choice: Choice
    granted: frozenset[str]
    outcome: str
    withdrawn: tuple[str, ...]


def choose(said: Said, before: Choice | None, site: Site, config: Config, engine: Engine, now: float) -> Chosen:
    """Commit a choice and all that follows from it; returns what the cookie is to say.

    `before` is the choice in the visitor's verified cookie, if any. When the disk is full, the reserve is given up for
    it. Raises sqlalchemy's DBAPIError when the database cannot be written: then nothing has changed.
    """
    wanted = find_wanted(said, site.policy)
    try:
        chosen = _commit(said, wanted, before, site, config, engine, now)
    except DBAPIError as error:
        if not _is_full(error):
            raise
        _give_up_reserve(config.data_folder)  # it may be another choice that has just done so: there is room then
        chosen = _commit(said, wanted, before, site, config, engine, now)
    ring(engine)
    if config.settings.limits.reserve_bytes and not (config.data_folder / RESERVE_FILE).exists():
        _save_room(engine)
    return chosen


def find_wanted(said: Said, policy: Policy) -> frozenset[str]:
    """The purposes that a visitor said yes to."""
    if said.choice == ACCEPT_ALL:
        return frozenset(policy.scopes)
    return said.purposes & frozenset(policy.scopes) if said.choice == SAVE else frozenset()


def _commit(
    said: Said,
    wanted: frozenset[str],
    before: Choice | None,
    site: Site,
    config: Config,
    engine: Engine,
    now: float,
) -> Chosen:
    with transaction(engine) as connection:
        old_id = before.consent_id if before and before.site == site.id else ""
        revision, old = _find_grants(connection, old_id)
        live = bool(old)
        consent_id = old_id if live else (secrets.token_urlsafe(16) if wanted else "")
        revision = revision + 1 if live else 1
        grants = _new_grants(wanted, old, site.policy, revision)
        ended = tuple(p for p in old if grants.get(p) != old[p])  # taken back, or asked anew under another scope
        withdrawn = tuple(sorted(set(ended) - wanted))
        if consent_id:
            _store_grants(connection, consent_id, site.id, revision, grants, now, is_new=not live)
        if ended:
            add_tombstone(connection, consent_id, revision, now)
            outbox.withdraw(connection, consent_id, _destinations_of(config, ended), now)
        outcome = _outcome(wanted, old, site.policy)
        _append(connection, said, wanted, withdrawn, outcome, consent_id, revision, site, now)
    choice = _choice(wanted, consent_id, revision, site, now, gpc=said.gpc)
    return Chosen(choice, wanted, outcome, withdrawn)


def _find_grants(connection: Connection, consent_id: str) -> tuple[int, Grants]:
    if not consent_id:
        return 0, {}
    query = select(CONSENTS.c.revision, CONSENTS.c.grants).where(CONSENTS.c.consent_id == consent_id)
    row = connection.execute(query.with_for_update()).first()
    return (row.revision, _grants.decode(row.grants)) if row else (0, {})


def _new_grants(wanted: frozenset[str], old: Mapping[str, tuple[str, int]], policy: Policy, revision: int) -> Grants:
    """A purpose granted before under the same scope keeps the revision since which it holds."""
    grants: Grants = {}
    for purpose in sorted(wanted):
        scope = policy.scopes[purpose]
        kept = old.get(purpose)
        grants[purpose] = kept if kept and kept[0] == scope else (scope, revision)
    return grants


def _store_grants(
    connection: Connection, consent_id: str, site: str, revision: int, grants: Grants, now: float, *, is_new: bool
) -> None:
    values = {"revision": revision, "grants": msgspec.json.encode(grants).decode(), "changed_at": now}
    if is_new:
        connection.execute(CONSENTS.insert().values(consent_id=consent_id, site=site, **values))
    else:
        connection.execute(CONSENTS.update().where(CONSENTS.c.consent_id == consent_id).values(**values))


def _outcome(wanted: frozenset[str], old: Mapping[str, object], policy: Policy) -> str:
    """`withdrawn` is a no after a yes; a smaller yes after a larger one is `partly` (and its record says what went)."""
    if not wanted:
        return "withdrawn" if old else "refused"
    return "accepted" if wanted == frozenset(policy.scopes) else "partly"


def _append(
    connection: Connection,
    said: Said,
    wanted: frozenset[str],
    withdrawn: tuple[str, ...],
    outcome: str,
    consent_id: str,
    revision: int,
    site: Site,
    now: float,
) -> None:
    body = {
        "choice": said.choice,
        "outcome": outcome,
        "granted": sorted(wanted),
        "refused": sorted(set(site.policy.scopes) - wanted),
        "withdrawn": list(withdrawn),
        "scopes": site.policy.scopes,
        "wording": site.policy.wording,
        "policy": site.policy.file.version,
        "language": said.language,
        "channel": said.channel,
        "signals": {"gpc": said.gpc},
        "revision": revision if consent_id else 0,
    }
    ledger.append(connection, at=now, site=site.id, kind="choice", consent_id=consent_id or None, body=body)


def _choice(wanted: frozenset[str], consent_id: str, revision: int, site: Site, now: float, *, gpc: bool) -> Choice:
    """What the cookie says; a refusal is the same for everybody and names nobody."""
    answers = {purpose: (scope, purpose in wanted) for purpose, scope in site.policy.scopes.items()}
    if not wanted:
        # To the hour: a moment in seconds would tell refusers apart.
        return Choice(site.id, answers, int(now) // 3600 * 3600)
    return Choice(site.id, answers, int(now), consent_id, revision, gpc)


def _destinations_of(config: Config, ended: tuple[str, ...]) -> list[str]:
    return [d.name for d in config.destinations if set(d.purposes) & set(ended)]


def make_reserve(data_folder: Path, size: int) -> bool:
    """Put some disk aside (really written, so that it is really there) for choices made when the disk is full.

    Returns whether it is there. It is not made of the last room that is left: choices need that now. Raises OSError.
    """
    path = data_folder / RESERVE_FILE
    if not size or path.exists():
        return True
    room = os.statvfs(data_folder)
    if room.f_bavail * room.f_frsize < 2 * size:
        return False
    _write_reserve(path, size)
    return path.exists()


def _write_reserve(path: Path, size: int) -> None:
    """Under another name first, by one process at a time: a half-written reserve must not pass for one."""
    draft = path.with_suffix(".new")
    file = try_hold(draft)
    if file is None:
        return
    with file:
        try:
            if not path.exists():
                file.truncate(0)
                file.write(bytes(size))
                file.flush()
                os.fsync(file.fileno())
                draft.rename(path)
        finally:
            draft.unlink(missing_ok=True)


def _save_room(engine: Engine) -> None:
    """Let the write-ahead log begin anew: growing to its usual size it would take the whole reserve for itself."""
    if not is_sqlite(engine):
        return
    try:
        with closing(engine.raw_connection()) as connection:  # outside any transaction, where ours would begin one
            connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)")
    except (sqlite3.Error, DBAPIError) as error:
        log.info("the write-ahead log could not be emptied: %s", error)


def _is_full(error: DBAPIError) -> bool:
    """Whether there is no room on the disk; a database that is busy or away is no reason to give up the reserve."""
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR) or getattr(error.orig, "sqlstate", "") == DISK_FULL


def _give_up_reserve(data_folder: Path) -> None:
    try:
        (data_folder / RESERVE_FILE).unlink()
        log.error("the disk is full: the reserve was given up to record a choice; events are refused until it is back")
    except OSError:
        log.info("the disk is full and its reserve is in use")
