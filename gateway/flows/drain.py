"""Journals into the event store and the outbox: each entry once, whatever fails on the way.

For each batch the outbox comes first, with an offset of its own in the same transaction; then the store
takes the entries and its offset in one transaction. What fails in between is read again: the outbox knows
that it has had it, the store has not. A segment is removed once its writer is done with it and all of it is
stored. While store or outbox are down, journals simply grow.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Engine

from gateway.analytics.journal import Segment, find_segments, read_segment, remove_segment
from gateway.analytics.store import Batch, Store
from gateway.database import transaction
from gateway.destinations.admission import admit_deliveries
from gateway.destinations.known_people import find_people, learn
from gateway.destinations.outbox import forget_offset, get_offset, set_offset
from gateway.errors import JournalDamaged
from gateway.event import Recorded
from gateway.flows.build_deliveries import (
    Numbered,
    build_deliveries,
    build_personal,
    build_signals,
    forget_private,
)
from gateway.flows.inventory import add_sights, read_sights
from gateway.settings import DestinationConfig, SignalConfig

log = logging.getLogger("gateway.drain")

BATCH_ROWS = 5000
LEAST_ROWS = 500
DAMAGED = ".damaged"


class Drained(NamedTuple):
    """How many entries were taken, and whether some that were there may be left."""

    entries: int
    more: bool


def drain_once(
    journal_folder: Path,
    store: Store,
    engine: Engine,
    destinations: Sequence[DestinationConfig],
    now: float,
    signals: Sequence[SignalConfig] = (),
) -> Drained:
    """Take about BATCH_ROWS entries out of the journals, fairly from each.

    One transaction in the store for all segments: its cost lies in the transaction, not in the rows.
    Raises StoreError, or what the database raises; nothing is lost by it.
    """
    offsets = store.offsets()
    segments = find_segments(journal_folder)
    share = max(BATCH_ROWS // max(len(segments), 1), LEAST_ROWS)
    batches = []
    for segment in segments:
        batch = _read(segment, offsets.get(segment.name, 0), share)
        if batch is None:
            _set_aside(segment)
        elif batch:
            _forward(segment.name, batch, engine, destinations, now, signals)
            batches.append(Batch(segment.name, batch[-1][0], [entry for _, entry in batch]))
        elif segment.closed:
            _remove(segment, store, engine)
    if batches:
        store.add(*batches)
    taken = [len(batch.entries) for batch in batches]
    return Drained(sum(taken), more=max(taken, default=0) >= share)


def _read(segment: Segment, after: int, share: int) -> Numbered | None:
    """The next entries; None where the segment goes on with what nobody can read."""
    try:
        return read_segment(segment, after, share)
    except JournalDamaged:
        return None


def _set_aside(segment: Segment) -> None:
    """What is left of a damaged segment stays on disk under another name and holds up nobody."""
    segment.path.rename(f"{segment.path}{DAMAGED}")
    log.error("drain: %s is damaged; what could be read is stored, the rest was set aside", segment.name)


def _remove(segment: Segment, store: Store, engine: Engine) -> None:
    """The store's offset goes last: while the file may still be there, it says that nothing is left in it."""
    with transaction(engine) as connection:
        forget_offset(connection, segment.name)
    remove_segment(segment)
    store.forget(segment.name)


def _forward(
    segment: str,
    batch: Numbered,
    engine: Engine,
    destinations: Sequence[DestinationConfig],
    now: float,
    signals: Sequence[SignalConfig],
) -> None:
    """Queue the deliveries of a batch and add to the inventory, unless an earlier attempt at this batch has done so."""
    deliveries = build_deliveries(segment, batch, [one for one in destinations if not one.include_email])
    personal = [one for one in destinations if one.include_email]
    told: list[tuple[int, Recorded]] = []
    if personal or signals:
        recorded = [(number, entry) for number, entry in batch if isinstance(entry, Recorded)]
        told = [(number, forget_private(entry, personal)) for number, entry in recorded]
    sights = [(number, site, row) for number, entry in batch for site, row in read_sights(entry, now)]
    if not (deliveries or sights or told):
        return
    with transaction(engine) as connection:
        had = get_offset(connection, segment)
        add_sights(connection, [(site, row) for number, site, row in sights if number > had])
        told = [(number, entry) for number, entry in told if number > had]
        known = find_people(connection, {entry.consent_id for _, entry in told}) if personal else {}
        deliveries += build_personal(segment, told, personal, known)
        if signals:
            deliveries += build_signals(connection, segment, told, destinations, signals, known)
        learn(connection, [entry for _, entry in told], personal)
        limits = {destination.name: destination.queue_limit for destination in destinations}
        admit_deliveries(connection, [delivery for number, delivery in deliveries if number > had], limits, now)
        set_offset(connection, segment, max(had, batch[-1][0]))
