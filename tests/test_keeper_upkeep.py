"""The chores of each minute reach every part of the outbox that must not grow."""

import time
from contextlib import closing
from pathlib import Path

from sqlalchemy import update

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.database import OUTBOX, transaction
from gateway.keeper_upkeep import Upkeep
from tests.destinations.rows import look, make_delivery, queue
from tests.example_site import write_site
from tests.migrated import open_migrated

DESTINATIONS = """
[[destinations]]
name = "hook"
kind = "webhook"
url = "https://crm.example.org/"
secret = "env:X"
purposes = ["marketing"]
queue_limit = 2
"""


def test_dead_letters_are_bounded_and_what_ended_long_ago_goes(tmp_path: Path) -> None:
    """Of five dead letters the newest two could be sent again (`queue_limit`); 31 days later no row is left."""
    (tmp_path / "destinations.toml").write_text(DESTINATIONS)
    config, now = write_site(tmp_path), time.time()
    engine = open_migrated(config.data_folder / "gateway.db")
    queue(engine, *(make_delivery(f"e{n}") for n in range(5)))
    with transaction(engine) as connection:
        connection.execute(update(OUTBOX).values(state="dead", reason="http_400", settled_at=now))
    with closing(DuckDBStore(tmp_path / "events.duckdb")) as store:
        upkeep = Upkeep(config, engine, store)
        upkeep.do_chores(now)
        assert [row.event_id for row in look(engine) if row.payload is not None] == ["e3", "e4"]
        upkeep.do_chores(now + 31 * 86_400)
    assert look(engine) == []
