"""Record a visitor's choice: ledger, consent, withdrawal and cancelled deliveries in one transaction; then the cookie.

What was granted before is read from the database, not from the cookie. The order of commits decides between two tabs: a
revision counts up, and a cookie below a consent's last withdrawal grants nothing.
"""

import logging
import os
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from hashlib import blake2b
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DBAPIError

from gateway import ledger
from gateway.config import Config, Site
from gateway.consent.decision import NONE, UNDECIDED, Choice, Decision
from gateway.consent.shown_text import ShownText, is_kept, keep_text
from gateway.consent.tombstones import add_tombstone, ring
from gateway.consent.wanted import Wanted, build_wanted, name_grants, read_grants, read_switches
from gateway.database import CONSENTS, is_sqlite, transaction
from gateway.destinations import outbox
from gateway.destinations.base import Notice
from gateway.destinations.behaviour import forget_behaviour
from gateway.destinations.known_people import find_addresses, forget_person
from gateway.policy import ANALYTICS, OWN_STATISTICS, Policy
from gateway.process_lock import try_hold
from gateway.settings import DestinationConfig

log = logging.getLogger("gateway.choose")

ACCEPT_ALL, REJECT_ALL, SAVE, ALLOW = "accept_all", "reject_all", "save", "allow"
CHOICES = (ACCEPT_ALL, REJECT_ALL, SAVE, ALLOW)
RESERVE_FILE = "reserve.bin"
DISK_FULL = "53100"  # PostgreSQL's word for it

Grants = dict[str, tuple[str, int]]
Concerned = tuple[DestinationConfig, tuple[str, ...]]  # and the purposes taken back there
_grants = msgspec.json.Decoder(Grants)


class Said(msgspec.Struct, frozen=True):
    """What a visitor said in one post: the button, the purposes switched on, under which words, and whether the browser
    sent a signal with it that speaks against some (`gpc`, by the name of the usual one); `signals` are those that were
    looked for, each with whether it came.

    `services` are those switched on, None when the form has no switches for them; of ALLOW it is the one to add to what is
    `held`. `literal` is how the switches are read, see consent/wanted.py. `shown` is the text on the page, or only the hash
    of one that is not today's.
    """

    choice: str
    purposes: frozenset[str]
    language: str
    channel: str
    gpc: bool = False
    services: frozenset[str] | None = None
    literal: bool = True
    held: Decision = UNDECIDED
    signals: Mapping[str, bool] = {}
    shown: ShownText | str = ""


class Chosen(msgspec.Struct, frozen=True):
    """The recorded outcome: the choice for the cookie, and which purposes and services were taken back by it."""

    choice: Choice
    wanted: Wanted
    outcome: str
    withdrawn: tuple[str, ...]
    withdrawn_services: frozenset[str] = NONE

    @property
    def granted(self) -> frozenset[str]:
        """The purposes granted."""
        return self.wanted.purposes


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


def find_wanted(said: Said, policy: Policy) -> Wanted:
    """What a visitor said yes to."""
    if said.choice == ACCEPT_ALL:
        return Wanted(frozenset(policy.scopes))
    if said.choice == ALLOW:
        return build_wanted(said.held.granted, said.held.find_services() | (said.services or NONE), policy)
    if said.choice == SAVE and said.services is not None:
        return read_switches(said.purposes, said.services, said.held, policy, literal=said.literal)
    return Wanted(said.purposes & frozenset(policy.scopes)) if said.choice == SAVE else Wanted(NONE)


def _commit(
    said: Said,
    wanted: Wanted,
    before: Choice | None,
    site: Site,
    config: Config,
    engine: Engine,
    now: float,
) -> Chosen:
    policy = site.policy
    with transaction(engine) as connection:
        old_id = before.consent_id if before and before.site == site.id else ""
        revision, old = _find_grants(connection, old_id)
        had = read_grants(old)
        wanted = _still(wanted, said, had) if said.choice == ALLOW else wanted
        live = bool(old)
        consent_id = old_id if live else (secrets.token_urlsafe(16) if wanted else "")
        revision = revision + 1 if live else 1
        lost = had.find_services(policy) - wanted.find_services(policy)
        grants = _new_grants(wanted, old, lost, policy, revision)
        # Taken back, or asked anew under another scope.
        ended = tuple(purpose for purpose in old if purpose in had.purposes and grants.get(purpose) != old[purpose])
        withdrawn = tuple(sorted(set(ended) - wanted.purposes))
        uncounted = OWN_STATISTICS in lost or ANALYTICS in withdrawn
        # What was counted is told to nobody any more, whatever it was told under; nor what came before a receiver was refused.
        over = {policy.services.get(one.service, "") for one in config.destinations if one.service in lost}
        grants = {
            name: (scope, revision if uncounted or name in over else since) for name, (scope, since) in grants.items()
        }
        if consent_id:
            _store_grants(connection, consent_id, site.id, revision, grants, now, is_new=not live)
        if ended or lost:
            add_tombstone(connection, consent_id, revision, now)
            if uncounted:
                outbox.withdraw(connection, consent_id, None, now)
            concerned = _find_concerned(config, policy, ended, lost)
            _tell_destinations(connection, concerned, site.id, consent_id, revision, now)
            left = grants.keys() - set(ended)
            may_know = [d for d in config.destinations if d.include_email and f"-{d.service}" not in left]
            if not any(set(d.purposes) <= left for d in may_know):
                forget_person(connection, consent_id)
            if ended:
                forget_behaviour(connection, consent_id)
        choice = _choice(said, wanted, before, consent_id, revision, site, now)
        chosen = Chosen(choice, wanted, _outcome(wanted, old, policy), withdrawn, lost)
        _append(connection, said, chosen, consent_id, revision, site, now)
        if isinstance(said.shown, ShownText):
            keep_text(connection, said.shown, site.id, now)
    return chosen


def _still(wanted: Wanted, said: Said, had: Wanted) -> Wanted:
    """Without what was taken back in another tab since the cookie was written: one service more brings nothing back."""
    return Wanted(
        wanted.purposes & had.purposes,
        wanted.allowed & (had.allowed | (said.services or NONE)),
        wanted.refused,
    )


def _find_grants(connection: Connection, consent_id: str) -> tuple[int, Grants]:
    if not consent_id:
        return 0, {}
    query = select(CONSENTS.c.revision, CONSENTS.c.grants).where(CONSENTS.c.consent_id == consent_id)
    row = connection.execute(query.with_for_update()).first()
    return (row.revision, _grants.decode(row.grants)) if row else (0, {})


def _new_grants(wanted: Wanted, old: Grants, lost: frozenset[str], policy: Policy, revision: int) -> Grants:
    """What was granted before under the same scope keeps the revision since which it holds; not the counting's purpose
    when the counting itself was taken back: what was counted before is not delivered any more."""
    grants: Grants = {}
    for name, scope in name_grants(wanted, policy).items():
        kept = None if name == ANALYTICS and OWN_STATISTICS in lost else old.get(name)
        grants[name] = kept if kept and kept[0] == scope else (scope, revision)
    return grants


def _store_grants(
    connection: Connection, consent_id: str, site: str, revision: int, grants: Grants, now: float, *, is_new: bool
) -> None:
    values = {"revision": revision, "grants": msgspec.json.encode(grants).decode(), "changed_at": now}
    if is_new:
        connection.execute(CONSENTS.insert().values(consent_id=consent_id, site=site, **values))
    else:
        connection.execute(CONSENTS.update().where(CONSENTS.c.consent_id == consent_id).values(**values))


def _outcome(wanted: Wanted, old: Mapping[str, object], policy: Policy) -> str:
    """`withdrawn` is a no after a yes; a smaller yes after a larger one is `partly` (and its record says what went)."""
    if not wanted:
        return "withdrawn" if old else "refused"
    return "accepted" if wanted.purposes == frozenset(policy.scopes) and not wanted.refused else "partly"


def _append(
    connection: Connection, said: Said, chosen: Chosen, consent_id: str, revision: int, site: Site, now: float
) -> None:
    policy, wanted = site.policy, chosen.wanted
    answered = set(chosen.choice.answers)
    body = {
        "choice": said.choice,
        "outcome": chosen.outcome,
        "granted": sorted(wanted.purposes),
        "refused": sorted(answered - wanted.purposes),
        "withdrawn": list(chosen.withdrawn),
        "scopes": policy.scopes,
        "wording": policy.wording,
        "shown": _find_shown(connection, said, site),
        "policy": policy.file.version,
        "language": said.language,
        "channel": said.channel,
        "again": said.held.chosen,
        "signals": dict(said.signals),
        "revision": revision if consent_id else 0,
    }
    # Those alone that differ from their purpose: what a purpose covers is in its scope.
    exceptions = {"granted": wanted.allowed, "refused": wanted.refused, "withdrawn": _lost_alone(chosen, policy)}
    if any(exceptions.values()):
        named = frozenset().union(*exceptions.values())
        body["services"] = {answer: sorted(services) for answer, services in exceptions.items()}
        body["service_scopes"] = {service: policy.service_scopes[service] for service in sorted(named)}
    ledger.append(connection, at=now, site=site.id, kind="choice", consent_id=consent_id or None, body=body)


def _find_shown(connection: Connection, said: Said, site: Site) -> str:
    """The hash of what was shown: today's text, or an earlier one that is kept; what a post invents is nothing."""
    if isinstance(said.shown, ShownText):
        return said.shown.hash
    return said.shown if said.shown and is_kept(connection, said.shown, site.id) else ""


def _lost_alone(chosen: Chosen, policy: Policy) -> frozenset[str]:
    """The services taken back without their purpose."""
    return frozenset(s for s in chosen.withdrawn_services if policy.services[s] not in chosen.withdrawn)


def _choice(
    said: Said, wanted: Wanted, before: Choice | None, consent_id: str, revision: int, site: Site, now: float
) -> Choice:
    """What the cookie says; a refusal is the same for everybody and names nobody.

    One service more answers no other question, and makes no answer last longer.
    """
    policy = site.policy
    asked, at = set(policy.scopes), int(now)
    if said.choice == ALLOW:
        holds = before is not None and (said.held.chosen or said.held.key)
        asked = {p for p in asked if before and holds and before.answers.get(p, ("",))[0] == policy.scopes[p]}
        at = before.decided_at if before and holds else at
    answers = {
        purpose: (scope, purpose in wanted.purposes) for purpose, scope in policy.scopes.items() if purpose in asked
    }
    if not wanted:
        # To the hour: a moment in seconds would tell refusers apart.
        return Choice(site.id, answers, int(now) // 3600 * 3600)
    services = {service: policy.service_scopes[service] for service in sorted(wanted.allowed)}
    services |= dict.fromkeys(sorted(wanted.refused), "")
    return Choice(site.id, answers, at, consent_id, revision, said.gpc, services)


def _find_concerned(config: Config, policy: Policy, ended: tuple[str, ...], lost: frozenset[str]) -> list[Concerned]:
    """Whom it concerns that these purposes ended and these services may act no more, and the purposes taken back there."""
    concerned = []
    for one in config.destinations:
        theirs = tuple(purpose for purpose in one.purposes if purpose in ended)
        if theirs or one.service in lost:
            concerned.append((one, theirs or (policy.services.get(one.service, one.purposes[0]),)))
    return concerned


def _tell_destinations(
    connection: Connection,
    concerned: Sequence[Concerned],
    site: str,
    consent_id: str,
    revision: int,
    now: float,
) -> None:
    """Cancel what is queued for those concerned, and queue the notice of it behind what is on the wire."""
    outbox.withdraw(connection, consent_id, [one.name for one, _ in concerned], now)
    emails = find_addresses(connection, consent_id) if concerned else []
    for one, theirs in concerned:
        for email in (one.include_email and emails) or [""]:
            key = f"{consent_id}:{revision}:{one.name}:{email}".encode()
            notice_id = blake2b(key, digest_size=16).hexdigest()
            notice = Notice(notice_id, "withdrawal", site, "", theirs, now, email)
            outbox.pass_on(connection, notice, consent_id, one.name, now)


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
