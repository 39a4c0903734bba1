"""SQLite databases that are up to date at once: migrating one takes most of a second, copying it none."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine

from gateway.database import open_database


@cache
def _migrated() -> bytes:
    """The bytes of an empty database with the newest schema, migrated once for all tests."""
    with TemporaryDirectory(prefix="gateway-migrated-") as folder:
        path = Path(folder) / "gateway.db"
        open_database(f"sqlite:///{path}").dispose()
        return path.read_bytes()


def put_migrated(path: Path) -> None:
    """Lay an empty, migrated database there, unless one is there already."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(_migrated())


def open_migrated(path: Path) -> Engine:
    """An open database on such a file."""
    put_migrated(path)
    return open_database(f"sqlite:///{path}")
