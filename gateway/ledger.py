"""The consent ledger: an append-only, hash-chained record of every choice, withdrawal and disclosure.

Each entry's hash covers its own content and the hash of the entry before it, so an edited, removed, inserted or
reordered entry breaks the chain from there on. Entries are appended inside the caller's transaction: the record and
what follows from it are committed together or not at all.
"""

import hashlib
from collections.abc import Iterator

import msgspec
from sqlalchemy import Connection, Engine, select, text

from gateway.database import LEDGER, reading
from gateway.errors import LedgerBroken

GENESIS = "0" * 64
CHAIN_LOCK = 4_711_002  # PostgreSQL advisory lock: one appender at a time; SQLite's BEGIN IMMEDIATE does the same


class LedgerEntry(msgspec.Struct, frozen=True):
    """One record. `at` is epoch seconds; `consent_id` is None for a refusal; `body` is canonical JSON."""

    sequence: int
    at: float
    site: str
    kind: str
    consent_id: str | None
    body: str
    previous: str
    hash: str


def append(
    connection: Connection, *, at: float, site: str, kind: str, consent_id: str | None, body: dict[str, object]
) -> LedgerEntry:
    """Append one entry to the chain within the caller's write transaction."""
    at = float(at)  # as the database gives it back: the hash covers it
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": CHAIN_LOCK})
    last = connection.execute(
        select(LEDGER.c.sequence, LEDGER.c.hash).order_by(LEDGER.c.sequence.desc()).limit(1)
    ).first()
    sequence, previous = (last.sequence + 1, last.hash) if last else (1, GENESIS)
    plain = msgspec.json.encode(body, order="sorted").decode()
    digest = _digest(sequence, at, site, kind, consent_id, plain, previous)
    entry = LedgerEntry(sequence, at, site, kind, consent_id, plain, previous, digest)
    connection.execute(LEDGER.insert().values(**msgspec.structs.asdict(entry)))
    return entry


def find_by_consent(engine: Engine, consent_id: str) -> list[LedgerEntry]:
    """All entries of one consent id, oldest first."""
    query = select(LEDGER).where(LEDGER.c.consent_id == consent_id).order_by(LEDGER.c.sequence)
    with reading(engine) as connection:
        return [_entry(row) for row in connection.execute(query)]


def entries(engine: Engine) -> Iterator[LedgerEntry]:
    """Every entry in order, streamed."""
    with reading(engine) as connection:
        for row in connection.execute(select(LEDGER).order_by(LEDGER.c.sequence)):
            yield _entry(row)


def verify(engine: Engine) -> int:
    """Follow the whole chain; returns the number of entries or raises LedgerBroken with the first bad one."""
    previous, sequence = GENESIS, 0
    for entry in entries(engine):
        sequence += 1
        if entry.sequence != sequence:
            raise LedgerBroken(sequence, f"is missing; the next one found is {entry.sequence}")
        if entry.previous != previous:
            raise LedgerBroken(sequence, "does not follow from the entry before it")
        found = _digest(entry.sequence, entry.at, entry.site, entry.kind, entry.consent_id, entry.body, previous)
        if found != entry.hash:
            raise LedgerBroken(sequence, "was changed after it was written")
        previous = entry.hash
    return sequence


def _digest(sequence: int, at: float, site: str, kind: str, consent_id: str | None, body: str, previous: str) -> str:
    content = msgspec.json.encode([sequence, at, site, kind, consent_id, body, previous])
    return hashlib.sha256(content).hexdigest()


def _entry(row: object) -> LedgerEntry:
    return msgspec.convert(row, LedgerEntry, from_attributes=True)
