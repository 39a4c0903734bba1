"""A data folder out of a backup: all of it or nothing.

Who has withdrawn since the backup was made is not known to it. So all destinations are paused in what is restored: nothing
is lost, and nothing is sent before somebody has looked.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from gateway.analytics.duckdb_store_file import copy_bytes
from gateway.analytics.store import Tell
from gateway.database import open_database, transaction
from gateway.destinations.figures import set_paused
from gateway.errors import ConfigError
from gateway.flows.backup import DATABASE_COPY
from gateway.flows.backup_proof import Manifest

RESTORING = ".restoring"


def check_place(folder: Path) -> None:
    """A restore never writes over anything. Raises ConfigError unless the data folder is empty or not there."""
    if folder.exists() and any(folder.iterdir()):
        wanted = "is not empty, and nothing is restored over what is there; move it away first"
        raise ConfigError("gateway.toml", "data", str(folder), wanted)


def restore_data(
    backup: Path, folder: Path, manifest: Manifest, destinations: Sequence[str], now: float, tell: Tell
) -> None:
    """Fill a data folder from a verified backup; it has its name only when it is whole. Raises ConfigError, OSError."""
    check_place(folder)
    draft = folder.with_name(f"{folder.name}{RESTORING}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    for name in manifest.files:
        target = draft / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        copy_bytes(backup / name, target, tell)
    if manifest.ledger is not None:
        _pause(draft / DATABASE_COPY, destinations, now)
    if folder.exists():
        folder.rmdir()
    draft.replace(folder)


def _pause(database: Path, destinations: Sequence[str], now: float) -> None:
    engine = open_database(f"sqlite:///{database}")
    try:
        with transaction(engine) as connection:
            for name in destinations:
                set_paused(connection, name, now, paused=True)
    finally:
        engine.dispose()
