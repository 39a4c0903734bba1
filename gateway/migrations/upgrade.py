"""Bring a database's schema to the newest version: run as a script, with the database's URL on standard input.

A process of its own, since Alembic would otherwise stay in the memory of every worker (ten megabytes) for a task that
is done once per release. It is run by its path, so that nothing else of the package is loaded.
"""

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

FOLDER = Path(__file__).parent


def upgrade(url: str) -> None:
    """Apply what is missing, all of it or (where the database can) none."""
    engine = create_engine(url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(FOLDER))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    engine.dispose()


if __name__ == "__main__":
    upgrade(sys.stdin.read())
