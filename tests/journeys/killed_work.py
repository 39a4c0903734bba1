"""What the keeper does to its files, as a process of its own that can be killed:
`python -m tests.journeys.killed_work WORK CONFIG`."""

import sys
import time
from contextlib import closing
from pathlib import Path

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import JOURNAL_FOLDER
from gateway.config import Config, load_config
from gateway.database import open_database
from gateway.flows.drain import drain_once
from gateway.flows.open_store import STORE_FILE
from gateway.flows.retention import prune


def work(name: str, config: Config) -> None:
    """Drain all journals, delete what is too old, or write the store's file anew."""
    engine = open_database(config.database_url)
    with closing(DuckDBStore(config.data_folder / STORE_FILE)) as store:
        if name == "drain":
            while drain_once(config.data_folder / JOURNAL_FOLDER, store, engine, config.destinations, time.time()).more:
                pass
        elif name == "prune":
            prune(store, engine, config.settings.retention, time.time())
        else:
            store.compact(at_any_rate=True)
    engine.dispose()


if __name__ == "__main__":
    work(sys.argv[1], load_config(Path(sys.argv[2]), {}))
