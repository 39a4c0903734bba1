"""Who somebody under a consent has said to be: e-mail addresses, kept for destinations that may know them and for nobody else.

Events are of whoever was named last; a withdrawal and an erasure are told of every name.

They stand apart from the events, which never hold them, and go when the consent no longer covers any such destination.
Every function works within the caller's transaction.
"""

from collections.abc import Collection, Iterable, Sequence

import msgspec
from sqlalchemy import Connection, delete, select

from gateway.database import CONSENTS, PEOPLE, insert_into
from gateway.event import Recorded
from gateway.settings import DestinationConfig

Grants = dict[str, tuple[str, int]]
_grants = msgspec.json.Decoder(Grants)
P = PEOPLE.c


def find_people(connection: Connection, consent_ids: Collection[str]) -> dict[str, str]:
    """Who these consents' people are: of several addresses the one that was given last."""
    if not consent_ids:
        return {}
    query = select(P.consent_id, P.email).where(P.consent_id.in_(list(consent_ids)))
    return {row.consent_id: row.email for row in connection.execute(query.order_by(P.at, P.email))}


def find_addresses(connection: Connection, consent_id: str) -> list[str]:
    """Every address that was given under this consent, since each was told to somebody."""
    query = select(P.email).where(P.consent_id == consent_id)
    return list(connection.execute(query.order_by(P.at, P.email)).scalars())


def learn(connection: Connection, entries: Iterable[Recorded], destinations: Sequence[DestinationConfig]) -> None:
    """Keep the addresses that came with these events; not where the consent has been taken back or given anew since.

    A withdrawal that comes meanwhile waits for this transaction, and then finds the address.
    """
    for entry in sorted((entry for entry in entries if entry.person is not None), key=lambda entry: entry.consent_id):
        theirs = [(one.purposes, entry.revision, one.service) for one in destinations if one.include_email]
        holds = any(hold_grants(connection, entry.consent_id, *asked) for asked in theirs)
        if entry.person is None or not holds:
            continue
        who, at = {"consent_id": entry.consent_id, "email": entry.person.email}, entry.event.at
        statement = insert_into(connection, PEOPLE).values(**who, site=entry.event.site, at=at)
        connection.execute(statement.on_conflict_do_update(index_elements=list(who), set_={"at": at}))


def forget_person(connection: Connection, consent_id: str) -> None:
    """Drop what was known."""
    connection.execute(delete(PEOPLE).where(P.consent_id == consent_id))


def prune_people(connection: Connection, before: float) -> int:
    """Drop addresses of whom nothing has been heard since; returns how many."""
    return connection.execute(delete(PEOPLE).where(P.at < before)).rowcount


def hold_grants(
    connection: Connection, consent_id: str, purposes: Collection[str], revision: int, service: str = ""
) -> bool:
    """Whether this consent grants all of these, since that revision or before, and does not refuse the service; a withdrawal
    waits for our transaction."""
    query = select(CONSENTS.c.grants).where(CONSENTS.c.consent_id == consent_id).with_for_update(read=True)
    grants = connection.execute(query).scalar()
    granted = _grants.decode(grants) if grants is not None else {}
    if f"-{service}" in granted:
        return False
    return all(purpose in granted and granted[purpose][1] <= revision for purpose in purposes)
