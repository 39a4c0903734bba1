"""Somebody is to be forgotten: the consent ends, what is queued is cancelled, and every destination is told, at once.

The store of events needs nothing: a visitor's key there was made with a salt that is destroyed soon after the day. The ledger
keeps that a consent was given and erased, by its random id alone.
"""

from collections.abc import Collection, Mapping
from hashlib import blake2b
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Select, select

from gateway import ledger
from gateway.config import Config
from gateway.consent.tombstones import add_tombstone, ring
from gateway.database import CONSENTS, PEOPLE, reading, transaction
from gateway.destinations import outbox
from gateway.destinations.base import Notice
from gateway.destinations.behaviour import forget_behaviour
from gateway.destinations.known_people import find_addresses, forget_person
from gateway.destinations.upkeep import drop_notices

RECORD = "erasure"
C = CONSENTS.c


def erase(config: Config, engine: Engine, who: str, operator: str, now: float) -> list[str]:
    """Forget a person, by the id of a consent or by the e-mail address; returns the consents that were erased."""
    with reading(engine) as connection:  # looks through the whole outbox, which no visitor's choice has to wait for
        told_off = outbox.find_told_off(connection)
    with transaction(engine) as connection:
        ids = list(connection.execute(_named(who, told_off).with_for_update()).scalars())
        for consent_id in ids:
            _erase(connection, config, consent_id, told_off.get(consent_id, set()), operator, now)
    ring(engine)
    return ids


def count_known(engine: Engine, who: str) -> int:
    """How many consents `erase` would end; those of nobody have ended already."""
    with reading(engine) as connection:
        return len(connection.execute(_named(who, outbox.find_told_off(connection))).all())


def _named(who: str, told_off: Mapping[str, Collection[str]]) -> Select[Any]:
    """The consent of this id; or those under which this address was given, withdrawn ones too whose notice has it still."""
    given, address = who.strip(), who.strip().lower()
    known = select(PEOPLE.c.consent_id).where(PEOPLE.c.email == address)
    noticed = [consent_id for consent_id, emails in told_off.items() if address in map(str.lower, emails)]
    theirs = (C.consent_id == given) | C.consent_id.in_(known) | C.consent_id.in_(noticed)
    return select(C.consent_id).where(theirs).order_by(C.consent_id)


def _erase(
    connection: Connection, config: Config, consent_id: str, told_off: Collection[str], operator: str, now: float
) -> None:
    row = connection.execute(select(C.site, C.revision).where(C.consent_id == consent_id)).one()
    revision = row.revision + 1
    ended = {"grants": msgspec.json.encode({}).decode(), "revision": revision, "changed_at": now}
    connection.execute(CONSENTS.update().where(C.consent_id == consent_id).values(**ended))
    add_tombstone(connection, consent_id, revision, now)
    names = [one.name for one in config.destinations]
    outbox.withdraw(connection, consent_id, None, now, outbox.ERASURE)
    drop_notices(connection, consent_id, names, now)
    emails = sorted({*find_addresses(connection, consent_id), *told_off})
    for one in config.destinations:
        for email in (one.include_email and emails) or [""]:
            key = f"{consent_id}:{revision}:erasure:{one.name}:{email}".encode()
            notice_id = blake2b(key, digest_size=16).hexdigest()
            notice = Notice(notice_id, "erasure", row.site, "", one.purposes, now, email)
            outbox.pass_on(connection, notice, consent_id, one.name, now)
    forget_person(connection, consent_id)
    forget_behaviour(connection, consent_id)
    body = {"operator": operator, "destinations": names, "revision": revision}
    ledger.append(connection, at=now, site=row.site, kind=RECORD, consent_id=consent_id, body=body)
