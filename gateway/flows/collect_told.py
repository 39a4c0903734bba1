"""What a server tells of its visitors with a key: recorded under the consent that the key's holder asserts for each event.

There is no cookie, so no consent of ours could be asked or withdrawn: such events are counted and go to no destination. Each
says, in a property, by which key it was told. Only where a server calls its visitor by a consent of ours, and that was taken
back here, we know better than its holder.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import select

from gateway.analytics.told_visits import continue_told_visits
from gateway.analytics.visit import Visit
from gateway.api_keys import ApiKey
from gateway.config import Site
from gateway.consent.wanted import read_grants
from gateway.database import CONSENTS, reading
from gateway.event import PAGE_VIEW, DropReason, Event, Recorded
from gateway.flows.collect import Done, build_event, check_hit, find_search
from gateway.flows.count_dropped import count_dropped
from gateway.flows.counters import ASSERTED
from gateway.flows.parts import Parts
from gateway.hit import Hit
from gateway.policy import ANALYTICS, OWN_STATISTICS


class ToldHit(NamedTuple):
    """A hit that a server tells of, and its name for the visitor: used for the key of the day, kept nowhere."""

    hit: Hit
    site: Site
    who: str


class Placed(NamedTuple):
    """A hit that is to be recorded, with its visitor and visit."""

    hit: Hit
    site: Site
    visitor: int
    visit: Visit


def place_told(told: Sequence[ToldHit], parts: Parts) -> list[Placed | DropReason]:
    """Each hit with its visit, or a counted reason. Blocks: it writes to the database. Raises JournalFull."""
    reasons = [_find_withdrawal(one, parts) or check_hit(one.hit, parts) for one in told]
    for one, reason in zip(told, reasons, strict=True):
        if reason is not None:
            count_dropped(one.hit, reason, parts)
    kept = [(one, _visitor(one, parts)) for one, reason in zip(told, reasons, strict=True) if reason is None]
    timeout = parts.config.settings.analytics.visit_minutes * 60
    seen = [(one.site.id, visitor, one.hit.at) for one, visitor in kept]
    visits = iter(continue_told_visits(parts.engine, seen, timeout) if seen else ())
    placed = (Placed(one.hit, one.site, visitor, next(visits)) for one, visitor in kept)
    return [reason or next(placed) for reason in reasons]


def record_told(placed: Placed, key: ApiKey, parts: Parts, done: Done) -> None:
    """Write down one of them; `done` as with `collect`. Raises JournalFull."""
    search = find_search(placed.hit, parts) if placed.hit.kind == PAGE_VIEW else None
    if search is not None:
        parts.journal.append(_entry(placed._replace(hit=search), key, parts))
    parts.journal.append(_entry(placed, key, parts), done)
    parts.counters.add(placed.hit.at, placed.site.id, ASSERTED, key.id, key.name)


def _find_withdrawal(told: ToldHit, parts: Parts) -> DropReason | None:
    """That somebody is told of by a consent which allows no counting any more."""
    if not parts.tombstones.floor(told.who):
        return None
    with reading(parts.engine) as connection:
        grants = connection.execute(select(CONSENTS.c.grants).where(CONSENTS.c.consent_id == told.who)).scalar()
    left = read_grants(msgspec.json.decode(grants or "{}", type=dict[str, tuple[str, int]]))
    counts = OWN_STATISTICS in left.allowed or (ANALYTICS in left.purposes and OWN_STATISTICS not in left.refused)
    return None if counts else DropReason.NO_CONSENT


def _visitor(told: ToldHit, parts: Parts) -> int:
    return parts.visitors.key_of_told(told.site.id, told.site.config.timezone, told.who, told.hit.at)


def _entry(placed: Placed, key: ApiKey, parts: Parts) -> Recorded:
    event: Event = build_event(placed.hit, placed.visitor, placed.visit, placed.site, parts)
    event = msgspec.structs.replace(event, props={**event.props, ASSERTED: key.id}, network="")
    return Recorded(event, "", 0, ())
