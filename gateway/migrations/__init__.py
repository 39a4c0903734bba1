"""The schema's versions (Alembic): each file in `versions/` is one step, applied in order by `upgrade.py`."""

from pathlib import Path

FOLDER = Path(__file__).parent
SCRIPT = FOLDER / "upgrade.py"


def newest_version() -> str:
    """The id of the last step: `0001` of `versions/0001_first_tables.py`."""
    return max(path.name for path in (FOLDER / "versions").glob("[0-9]*.py")).partition("_")[0]
