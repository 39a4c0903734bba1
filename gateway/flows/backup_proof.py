"""What makes a backup one that can be trusted: a list of its files with their sums, its rows counted, its ledger followed.

It is sealed from the copy itself, never from what it was copied from, and verified in the same way wherever it lies.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from gateway import ledger
from gateway.analytics.duckdb_store_file import count_rows
from gateway.analytics.journal import JOURNAL_FOLDER, SUFFIX, measure_segment
from gateway.analytics.store import Tell
from gateway.database import open_copy
from gateway.errors import BackupBroken, GatewayError, HeadsBroken, LedgerBroken, StoreError
from gateway.flows.backup import DATABASE_COPY, KEY_FILES, MANIFEST, STORE_COPY, UNFINISHED
from gateway.heads import HEADS_FILE, PUBLIC_FILE, check_heads, parse_heads, read_public_keys
from gateway.keys import write_whole

FORMAT = 1
AT_ONCE = 8 << 20


class Sum(msgspec.Struct, frozen=True):
    """A file of a backup: its size in bytes and the SHA-256 of its content."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup holds. `rows` counts each table of the store, and is empty where that is a server of its own;
    `journals` the entries of each segment; `ledger` is the number of entries and the hash of the last, None where the ledger
    is in another database. `made_at` is epoch seconds."""

    format: int
    version: str
    made_at: float
    keys: tuple[str, ...]
    rows: Mapping[str, int]
    journals: Mapping[str, int]
    ledger: tuple[int, str] | None
    files: Mapping[str, Sum]


def seal_backup(folder: Path, version: str, now: float, tell: Tell) -> Manifest:
    """Write the manifest of a fresh copy, once its ledger has been followed. Raises BackupBroken: then it is no backup."""
    try:
        rows = _count_rows(folder, settle=True)
    except StoreError as error:
        raise BackupBroken([str(error)]) from error
    names = _names(folder)
    manifest = Manifest(
        format=FORMAT,
        version=version,
        made_at=now,
        keys=tuple(name for name in KEY_FILES if name in names),
        rows=rows,
        journals=_count_journals(folder),
        ledger=_follow_ledger(folder),
        files={name: _sum(folder / name, tell) for name in names},
    )
    write_whole(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    (folder / UNFINISHED).unlink(missing_ok=True)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """What a backup says of itself. Raises BackupBroken."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise BackupBroken([f"{folder} is no backup: {MANIFEST} cannot be read ({error})"]) from error
    if manifest.format != FORMAT:
        raise BackupBroken([f"{folder} has format {manifest.format}; this gateway reads {FORMAT}"])
    return manifest


def verify_backup(folder: Path, tell: Tell) -> Manifest:
    """Hold a backup against its manifest: every file, every count, the whole ledger. Raises BackupBroken with all faults."""
    manifest = read_manifest(folder)
    faults = list(_compare_files(folder, manifest, tell))
    if not faults:  # else they would only say the same again
        faults = list(_compare_content(folder, manifest))
    if faults:
        raise BackupBroken(faults)
    return manifest


def _compare_files(folder: Path, manifest: Manifest, tell: Tell) -> Iterator[str]:
    there = set(_names(folder))
    yield from (f"{name} is missing" for name in sorted(set(manifest.files) - there))
    yield from (f"{name} does not belong to it" for name in sorted(there - set(manifest.files)))
    for name in sorted(there & set(manifest.files)):
        if _sum(folder / name, tell) != manifest.files[name]:
            yield f"{name} is not as it was written"


def _compare_content(folder: Path, manifest: Manifest) -> Iterator[str]:
    try:
        if _count_rows(folder) != manifest.rows:
            yield f"{STORE_COPY} has other rows than were counted"
        if _count_journals(folder) != manifest.journals:
            yield "the journals have other entries than were counted"
        if _follow_ledger(folder) != manifest.ledger:
            yield "the ledger is another than was followed"
    except GatewayError as error:
        yield str(error)


def _count_rows(folder: Path, *, settle: bool = False) -> dict[str, int]:
    """Nothing where events are on a server of their own."""
    path = folder / STORE_COPY
    return count_rows(path, settle=settle) if path.exists() else {}


def _follow_ledger(folder: Path) -> tuple[int, str] | None:
    """Number of entries and hash of the last, once the chain holds and agrees with its signed heads."""
    path = folder / DATABASE_COPY
    if not path.exists():
        return None
    engine = open_copy(path)
    try:
        count = ledger.verify(engine, _heads(folder))
        newest = ledger.find_newest(engine)
    except (LedgerBroken, HeadsBroken) as error:
        raise BackupBroken([str(error)]) from error
    finally:
        engine.dispose()
    return count, newest.hash if newest else ledger.GENESIS


def _heads(folder: Path) -> Mapping[int, str]:
    if not (folder / HEADS_FILE).exists():
        return {}
    return check_heads(parse_heads((folder / HEADS_FILE).read_bytes()), read_public_keys(folder / PUBLIC_FILE))


def _count_journals(folder: Path) -> dict[str, int]:
    """The number of the last entry of each segment that can be read."""
    segments = sorted((folder / JOURNAL_FOLDER).glob(f"*{SUFFIX}"))
    return {path.name: measure_segment(path)[1] for path in segments}


def _names(folder: Path) -> list[str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [name for path in files if (name := path.relative_to(folder).as_posix()) not in (MANIFEST, UNFINISHED)]


def _sum(path: Path, tell: Tell) -> Sum:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(AT_ONCE):
            digest.update(block)
            size += len(block)
            tell(len(block))
    return Sum(size, digest.hexdigest())
