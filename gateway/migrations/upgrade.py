"""Bring a database's schema to the newest version: run as a script, with the database's URL on standard input.

A process of its own, since Alembic would otherwise stay in the memory of every worker (ten megabytes) for a task that
is done once per release. It is run by its path, so that nothing else of the package is loaded.
"""

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, event

FOLDER = Path(__file__).parent


def upgrade(url: str, version: str = "head") -> None:
    """Apply what is missing, all of it or none: also where it is interrupted half-way."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        # The driver opens no transaction for changes of the schema by itself.
        event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(FOLDER))
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    engine.dispose()


if __name__ == "__main__":
    upgrade(sys.stdin.read())
