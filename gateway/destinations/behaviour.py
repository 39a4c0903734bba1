"""What people with a consent have done of late, as far as a signal's rule asks for it, and which signals follow.

Kept by consent, apart from the events of the store, and only where the rule's purposes are granted: it is about one
person, and goes in the transaction in which any of them is taken back. Every function works within the caller's transaction.
"""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, delete, insert, select

from gateway.database import BEHAVIOUR, SIGNALLED, insert_into
from gateway.destinations.known_people import hold_grants
from gateway.destinations.withheld import is_private
from gateway.event import NOTHING, SIGNAL, Event, Recorded
from gateway.settings import DestinationConfig, SignalConfig

DAY = 86_400.0
LONGEST_DAYS = 31
B, S = BEHAVIOUR.c, SIGNALLED.c


def note_behaviour(connection: Connection, entry: Recorded, rules: Sequence[SignalConfig]) -> list[SignalConfig]:
    """Write down what a rule asks for; returns the rules that ask for this event, none where its consent has gone since."""
    mine = [rule for rule in rules if matches(rule, entry)]
    mine = [rule for rule in mine if hold_grants(connection, entry.consent_id, rule.purposes, entry.revision)]
    for rule in mine:
        values = {"consent_id": entry.consent_id, "rule": rule.name, "at": entry.event.at, "path": entry.event.path}
        connection.execute(insert(BEHAVIOUR).values(**values))
    return mine


def matches(rule: SignalConfig, entry: Recorded) -> bool:
    """Whether the rule asks for this event, of a visitor who has granted all that it needs."""
    event = entry.event
    return (
        event.kind == rule.event
        and set(rule.purposes) <= set(entry.granted)
        and (not rule.topic or event.topic == rule.topic)
        and event.path.startswith(rule.path)
        and rule.site in ("", event.site)
    )


def find_due(connection: Connection, entry: Recorded, rule: SignalConfig, destination: DestinationConfig) -> int:
    """On how many pages it has happened, where that is enough and this destination has not heard of it within the days.

    Pages of which the destination is never told do not count for it.
    """
    since = entry.event.at - rule.days * DAY
    theirs = (B.consent_id == entry.consent_id, B.rule == rule.name, B.at > since, B.at <= entry.event.at)
    paths = connection.execute(select(B.path).where(*theirs).distinct()).scalars()
    count = sum(not is_private(path, destination.never_forward) for path in paths)
    if count < rule.pages:
        return 0
    heard = (S.consent_id == entry.consent_id, S.rule == rule.name, S.destination == destination.name, S.at > since)
    return 0 if connection.execute(select(S.at).where(*heard)).first() else count


def mark_told(connection: Connection, entry: Recorded, rule: SignalConfig, destination: DestinationConfig) -> None:
    """This destination hears of it now, and not again within the days."""
    key = {"consent_id": entry.consent_id, "rule": rule.name, "destination": destination.name}
    statement = insert_into(connection, SIGNALLED).values(**key, at=entry.event.at)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_={"at": entry.event.at}))


def make_signal(event: Event, rule: SignalConfig, count: int) -> Event:
    """One signal in the place of all that led to it."""
    props = {"rule": rule.name, "pages": str(count)}
    return msgspec.structs.replace(event, kind=SIGNAL, props=props, told=NOTHING, engaged_ms=0)


def forget_behaviour(connection: Connection, consent_id: str) -> None:
    """Drop all of it."""
    connection.execute(delete(BEHAVIOUR).where(B.consent_id == consent_id))
    connection.execute(delete(SIGNALLED).where(S.consent_id == consent_id))


def prune_behaviour(connection: Connection, now: float) -> None:
    """Drop what no rule can ask for any more."""
    connection.execute(delete(BEHAVIOUR).where(B.at < now - LONGEST_DAYS * DAY))
    connection.execute(delete(SIGNALLED).where(S.at < now - LONGEST_DAYS * DAY))
