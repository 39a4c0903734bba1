"""The consent ledger: an append-only, hash-chained record of every choice, withdrawal and disclosure.

Each entry's hash covers its own content and the hash of the entry before it, so an edited, removed, inserted or
reordered entry breaks the chain from there on; that its end was cut off, or all of it written anew, shows against its
signed heads (see heads.py). Entries are appended inside the caller's transaction: the record and what follows from it are
committed together or not at all.
"""

import hashlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from types import MappingProxyType
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row, func, select, text
from sqlalchemy.exc import DBAPIError

from gateway.database import LEDGER, reading
from gateway.errors import LedgerBroken

GENESIS = "0" * 64
AT_ONCE = 1000  # entries fetched at a time
NO_HEADS: Mapping[int, str] = MappingProxyType({})
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


def lock_end(connection: Connection) -> None:
    """Be the only one to append until the transaction ends: for who locks rows that another appender may want, before those."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": CHAIN_LOCK})


def append(
    connection: Connection, *, at: float, site: str, kind: str, consent_id: str | None, body: dict[str, object]
) -> LedgerEntry:
    """Append one entry to the chain within the caller's write transaction."""
    at = float(at)  # as the database gives it back: the hash covers it
    lock_end(connection)
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


def find_entry(engine: Engine, sequence: int) -> LedgerEntry | None:
    """One entry by its number."""
    with reading(engine) as connection:
        row = connection.execute(select(LEDGER).where(LEDGER.c.sequence == sequence)).first()
    return _entry(row) if row else None


def find_newest(engine: Engine) -> LedgerEntry | None:
    """The chain's end; None while nobody has chosen yet."""
    with reading(engine) as connection:
        row = connection.execute(select(LEDGER).order_by(LEDGER.c.sequence.desc()).limit(1)).first()
    return _entry(row) if row else None


def count_entries(engine: Engine) -> int:
    """How many entries there are, whether they hold together or not."""
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(LEDGER)).scalar_one()


def entries(engine: Engine) -> Generator[LedgerEntry, None, None]:
    """Every entry in order, streamed. Raises LedgerBroken where a row holds what no entry can hold."""
    read = 0
    with reading(engine) as connection:
        query = select(LEDGER).order_by(LEDGER.c.sequence)
        try:
            with connection.execute(query.execution_options(yield_per=AT_ONCE)) as rows:
                for row in rows:
                    yield _entry(row)
                    read += 1
        except DBAPIError as error:
            raise LedgerBroken(read + 1, f"or one soon after it cannot be read ({error.orig})") from error


def read_export(lines: Iterable[bytes]) -> Iterator[LedgerEntry]:
    """The entries of an export in JSON Lines. Raises LedgerBroken at the first line that is none."""
    for number, line in enumerate(lines, 1):
        try:
            yield msgspec.json.decode(line, type=LedgerEntry)
        except (msgspec.DecodeError, ValueError) as error:
            raise LedgerBroken(number, "is no entry in this file") from error


def verify(engine: Engine, heads: Mapping[int, str] = NO_HEADS) -> int:
    """Follow the whole chain; returns the number of entries or raises LedgerBroken with the first bad one."""
    with closing(entries(engine)) as chain:
        return verify_chain(chain, heads)


def verify_chain(chain: Iterable[LedgerEntry], heads: Mapping[int, str] = NO_HEADS) -> int:
    """Follow a chain of entries, wherever they come from; returns their number.

    `heads` are hashes known from outside, by the entry's number (see heads.check_heads): the chain has to reach the last
    of them and agree with each. Raises LedgerBroken with the first bad entry.
    """
    previous, sequence = GENESIS, 0
    for entry in chain:
        sequence += 1
        if entry.sequence != sequence:
            raise LedgerBroken(sequence, f"is missing; the next one found is {entry.sequence}")
        if entry.previous != previous:
            raise LedgerBroken(sequence, "does not follow from the entry before it")
        if _digest_of(entry) != entry.hash:
            raise LedgerBroken(sequence, "was changed after it was written")
        if heads.get(sequence, entry.hash) != entry.hash:
            raise LedgerBroken(
                sequence, "is not the one whose hash was signed: the chain was written anew up to it or before"
            )
        previous = entry.hash
    known = max(heads, default=0)
    if known > sequence:
        raise LedgerBroken(sequence + 1, f"is missing: the end was cut off; a signed head knows {known} entries")
    return sequence


def _digest_of(entry: LedgerEntry) -> str:
    return _digest(entry.sequence, entry.at, entry.site, entry.kind, entry.consent_id, entry.body, entry.previous)


def _digest(sequence: int, at: float, site: str, kind: str, consent_id: str | None, body: str, previous: str) -> str:
    content = msgspec.json.encode([sequence, at, site, kind, consent_id, body, previous])
    return hashlib.sha256(content).hexdigest()


def _entry(row: Row[Any]) -> LedgerEntry:
    try:
        return msgspec.convert(row, LedgerEntry, from_attributes=True)
    except msgspec.ValidationError as error:
        raise LedgerBroken(row.sequence, f"holds what no entry holds ({error})") from error
