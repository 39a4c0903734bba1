"""Who is told of which event: deliveries out of journal entries, and signals out of what somebody has done of late.

A destination is told of what it asks for, of visitors who have granted all of its purposes, and never of a path that must not
leave. Those that tell of people hear only of people, and nobody else hears of an address.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import msgspec
from sqlalchemy import Connection

from gateway.destinations.base import PersonalEvent
from gateway.destinations.behaviour import find_due, make_signal, mark_told, note_behaviour
from gateway.destinations.outbox import Delivery
from gateway.destinations.withheld import is_withheld, trim
from gateway.event import Entry, Event, Person, Recorded
from gateway.settings import DestinationConfig, SignalConfig

HOUR = 3600.0

Numbered = Sequence[tuple[int, Entry]]


def build_deliveries(
    segment: str, batch: Numbered, destinations: Sequence[DestinationConfig]
) -> list[tuple[int, Delivery]]:
    """The deliveries that these journal entries give rise to, each with its entry's number. Pure."""
    return [
        (number, _delivery(f"{segment}:{number}", entry, destination))
        for number, entry in batch
        if isinstance(entry, Recorded)
        for destination in destinations
        if is_wanted(entry, destination)
    ]


def build_personal(
    segment: str,
    entries: Sequence[tuple[int, Recorded]],
    destinations: Sequence[DestinationConfig],
    known: dict[str, str],
) -> list[tuple[int, Delivery]]:
    """The deliveries to destinations that tell of people: those alone whose address is `known` by then, or comes along."""
    deliveries: list[tuple[int, Delivery]] = []
    for number, entry in entries:
        person = entry.person
        if person is not None:
            known = {**known, entry.consent_id: person.email}
        person = _who(entry, known)
        wanted = [one for one in destinations if person is not None and is_wanted(entry, one)]
        deliveries += [(number, _delivery(f"{segment}:{number}", entry, one, person)) for one in wanted]
    return deliveries


def build_signals(
    connection: Connection,
    segment: str,
    entries: Sequence[tuple[int, Recorded]],
    destinations: Sequence[DestinationConfig],
    rules: Sequence[SignalConfig],
    known: dict[str, str],
) -> list[tuple[int, Delivery]]:
    """The signals that follow from these events; for those who tell of people, also once somebody has given an address."""
    told: list[tuple[int, Delivery]] = []
    for number, entry in entries:
        # A path that masking hid cannot be told from others any more once it is noted: it counts for nobody.
        hidden = any(one.name in entry.kept_from and not is_withheld(entry.event, one) for one in destinations)
        asked = [] if hidden else note_behaviour(connection, entry, rules)
        if entry.person is not None:
            known = {**known, entry.consent_id: entry.person.email}
            asked = [rule for rule in rules if set(rule.purposes) <= set(entry.granted)]
        key, person = f"{segment}:{number}", _who(entry, known)
        pairs = [(rule, one) for rule in asked for one in destinations]
        signals = [_signal(connection, key, entry, person, rule, one) for rule, one in pairs]
        told += [(number, signal) for signal in signals if signal is not None]
    return told


def _signal(
    connection: Connection,
    key: str,
    entry: Recorded,
    person: Person | None,
    rule: SignalConfig,
    destination: DestinationConfig,
) -> Delivery | None:
    """The signal of a rule to one destination, whose purposes must have covered all that it is made of."""
    signal = msgspec.structs.replace(entry, event=make_signal(entry.event, rule, 0))
    may_hear = set(destination.purposes) <= set(rule.purposes) and is_wanted(signal, destination)
    if not may_hear or (destination.include_email and person is None):
        return None
    pages = find_due(connection, entry, rule, destination)
    if not pages:
        return None
    mark_told(connection, entry, rule, destination)
    signal = msgspec.structs.replace(entry, event=make_signal(entry.event, rule, pages))
    return _delivery(f"{key}:{rule.name}", signal, destination, person if destination.include_email else None)


def _who(entry: Recorded, known: Mapping[str, str]) -> Person | None:
    """Whose an event is, by what came with it or is known already."""
    if entry.person is not None or entry.consent_id not in known:
        return entry.person
    return Person(known[entry.consent_id])


def is_wanted(recorded: Recorded, destination: DestinationConfig) -> bool:
    """Whether a destination is told: its purposes granted, its service not refused, a kind that it asks for, a path that may
    leave."""
    return (
        bool(destination.purposes)
        and set(destination.purposes) <= set(recorded.granted)
        and f"-{destination.service}" not in recorded.granted
        and destination.name not in recorded.kept_from
        and recorded.event.kind in destination.events
        and not is_withheld(recorded.event, destination)
    )


def _is_kept(entry: Recorded, destination: DestinationConfig) -> bool:
    return destination.name in entry.kept_from or is_withheld(entry.event, destination)


def forget_private(entry: Recorded, destinations: Sequence[DestinationConfig]) -> Recorded:
    """Without the address that was given on a path of which one of these is never told: it is not theirs to know."""
    if entry.person is None or not any(_is_kept(entry, one) for one in destinations):
        return entry
    return msgspec.structs.replace(entry, person=None)


def _delivery(key: str, recorded: Recorded, destination: DestinationConfig, person: Person | None = None) -> Delivery:
    event = recorded.event
    return Delivery(
        event_id=blake2b(key.encode(), digest_size=16).hexdigest(),
        destination=destination.name,
        site=event.site,
        consent_id=recorded.consent_id,
        revision=recorded.revision,
        payload=_encode(trim(event, destination), person, destination),
        recorded_at=event.at,
        expires_at=event.at + destination.expire_hours * HOUR,
    )


def _encode(event: Event, person: Person | None, destination: DestinationConfig) -> bytes:
    """What waits; beside the person those cookies alone that this destination asked for."""
    if person is None:
        return msgspec.json.encode(event)
    cookies = {name: value for name, value in person.cookies.items() if name in destination.cookies}
    whole = {**msgspec.structs.asdict(event), "person": Person(person.email, cookies)}
    return msgspec.json.encode(PersonalEvent(**whole))
