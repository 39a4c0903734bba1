"""Seal the ledger: sign a head over its present end and keep it outside the database.

Each sealing first compares the chain with the head before. A ledger that has become shorter, or whose signed entry has
become another, is not sealed: that would be signing what somebody has done to it.
"""

from pathlib import Path

from sqlalchemy import Engine

from gateway import ledger
from gateway.errors import LedgerBroken
from gateway.heads import HEADS_FILE, Head, append_head, build_head, find_last_head, load_signing_key


def seal(engine: Engine, folder: Path, now: float) -> Head | None:
    """Append a signed head when the chain has grown since the last one; returns it, or None when there was no need.

    Raises LedgerBroken when the chain contradicts the last head, HeadsBroken when that one cannot be read, OSError.
    """
    last = find_last_head(folder / HEADS_FILE)
    newest = ledger.find_newest(engine)
    if last is not None:
        _compare(engine, last, newest)
    if newest is None or (last is not None and newest.sequence == last.sequence):
        return None
    head = build_head(newest.sequence, newest.hash, now, load_signing_key(folder))
    append_head(folder / HEADS_FILE, head)
    return head


def _compare(engine: Engine, last: Head, newest: ledger.LedgerEntry | None) -> None:
    if newest is None or newest.sequence < last.sequence:
        gone = newest.sequence + 1 if newest else 1
        raise LedgerBroken(gone, f"is missing: the end was cut off; a signed head knows {last.sequence} entries")
    there = ledger.find_entry(engine, last.sequence)
    if there is None or there.hash != last.hash:
        raise LedgerBroken(last.sequence, "is not the one whose hash was signed")
