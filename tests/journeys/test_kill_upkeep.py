"""`kill -9` of the keeper while it drains, prunes and copies: nothing is lost, nothing counted twice, no half backup."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from gateway import ledger
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import JOURNAL_FOLDER, Journal
from gateway.config import Config, load_config
from gateway.database import open_database, transaction
from gateway.event import PAGE_VIEW, Event, Recorded
from gateway.flows.backup import partial_of
from gateway.flows.backup_proof import verify_backup
from gateway.flows.drain import drain_once
from gateway.flows.open_store import STORE_FILE
from gateway.socket_client import call_keeper
from tests.journeys.cluster import end_keeper
from tests.keeper_at_work import start_keeper, wait_for_keeper
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

FRESH, OLD = 4000, 3000
MONTHS = 15 * 31 * 86_400.0


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A data folder whose journals hold many views of now and of fifteen months ago, and a ledger of a few hundred."""
    (tmp_path / "gateway.toml").write_text(f'data = "data"\n[keeper]\nport = {free_port()}\n')
    config = load_config(tmp_path, {})
    with transaction(open_database(config.database_url)) as connection:
        for _ in range(300):
            ledger.append(
                connection, at=1.0, site="main", kind="choice", consent_id=None, body={"choice": "reject_all"}
            )
    journal = Journal(config.data_folder / JOURNAL_FOLDER)
    for number in range(FRESH + OLD):
        at = time.time() - (MONTHS if number >= FRESH else 0)
        event = Event(at, "main", PAGE_VIEW, f"/{number}", number, f"visit-{number}", at, f"view-{number}")
        journal.append(Recorded(event, "a-consent", 1, ("analytics",)))
    journal.close()
    return config


def kill(keeper: subprocess.Popen[bytes]) -> None:
    """Without a word."""
    os.kill(keeper.pid, signal.SIGKILL)
    keeper.wait(10)


def gateway(config: Config, *words: str) -> subprocess.CompletedProcess[str]:
    """The command, to its end."""
    command = [sys.executable, "-m", "gateway", *words]
    return subprocess.run(command, cwd=config.folder, capture_output=True, text=True, timeout=60, check=False)


def stored(config: Config) -> tuple[int, int, int]:
    """Events, different pages among them, and visits, once all that the journals hold is stored."""
    engine = open_database(config.database_url)
    with closing(DuckDBStore(config.data_folder / STORE_FILE)) as store:
        while drain_once(config.data_folder / JOURNAL_FOLDER, store, engine, config.destinations, time.time()).more:
            pass
        query = "SELECT count(*), count(DISTINCT path), (SELECT count(*) FROM visits) FROM events"
        events, pages, visits = store.fetch(query, {})[0]
    return int(str(events)), int(str(pages)), int(str(visits))


def test_a_keeper_killed_while_it_drains_and_prunes_loses_nothing(config: Config) -> None:
    """Killed from its start on, amid batches and amid deletions, it stores each event once; what is young enough
    is all there, and what is older goes, though its visits stay."""
    for number in range(2):
        keeper = start_keeper(config)
        wait_for_keeper(config)
        time.sleep(0.1 * number)
        if number % 2:
            asking = subprocess.Popen(
                [sys.executable, "-m", "gateway", "prune"], cwd=config.folder, stderr=subprocess.DEVNULL
            )
            time.sleep(0.4 + 0.1 * number)
            kill(keeper)
            asking.wait(20)
        else:
            kill(keeper)
    assert stored(config)[1] >= FRESH
    found = gateway(config, "prune")
    assert found.returncode == 0, found.stderr
    assert stored(config) == (FRESH, FRESH, FRESH + OLD)
    assert gateway(config, "prune", "--dry-run").stdout.startswith("would go: 0 events")


def test_a_keeper_killed_while_it_copies_leaves_no_half_backup(config: Config, tmp_path: Path) -> None:
    """Killed in the midst of a copy, the command says so and no backup has its name; the next one is whole, and holds all."""
    target = tmp_path / "backup"
    keeper = start_keeper(config)
    wait_for_keeper(config)
    call_keeper(config.data_folder, "POST", "/drain")
    asking = subprocess.Popen(
        [sys.executable, "-m", "gateway", "backup", str(target)], cwd=config.folder, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 120
    while not partial_of(target).exists() and time.monotonic() < until:
        time.sleep(0.001)
    kill(keeper)
    assert "no keeper answers" in asking.communicate(timeout=120)[1]
    assert asking.returncode == 1
    assert not target.exists()

    keeper = start_keeper(config)
    wait_for_keeper(config)
    assert gateway(config, "prune").returncode == 0
    made = gateway(config, "backup", str(target))
    assert made.returncode == 0, made.stdout + made.stderr
    assert "ledger: 300 entries" in made.stdout
    assert "keys are not in it" in made.stdout
    end_keeper(config)
    keeper.wait(20)

    shutil.rmtree(config.data_folder)
    restored = gateway(config, "restore", str(target))
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert stored(config) == (FRESH, FRESH, FRESH + OLD)
    assert ledger.verify(open_database(config.database_url)) == 300
    refused = gateway(config, "restore", str(target))
    assert refused.returncode == 2
    assert "not empty" in refused.stderr


def test_a_backup_under_load_is_one_moment(config: Config, tmp_path: Path) -> None:
    """While a writer goes on and the keeper drains, the backup holds a beginning of it without gaps, each entry once."""
    keeper = start_keeper(config)
    wait_for_keeper(config)
    journal = Journal(config.data_folder / JOURNAL_FOLDER)
    asking = subprocess.Popen([sys.executable, "-m", "gateway", "backup", str(tmp_path / "backup")], cwd=config.folder)
    number = FRESH + OLD
    while asking.poll() is None:
        now = time.time()
        event = Event(now, "main", PAGE_VIEW, f"/{number}", number, f"visit-{number}", now, f"view-{number}")
        journal.append(Recorded(event, "a-consent", 1, ("analytics",)))
        number += 1
        time.sleep(0.0005)
    journal.close()
    end_keeper(config)
    keeper.wait(20)
    assert asking.returncode == 0
    assert stored(config)[1:] == (stored(config)[0], number)
    made = verify_backup(tmp_path / "backup", lambda _more: None)
    shutil.rmtree(config.data_folder)
    assert gateway(config, "restore", str(tmp_path / "backup")).returncode == 0
    events, pages, visits = stored(config)
    assert events == pages
    assert FRESH + OLD < visits < number, msgspec.json.encode(made)
    with closing(DuckDBStore(config.data_folder / STORE_FILE)) as store:
        [(last,)] = store.fetch("SELECT max(visitor) FROM visits", {})
    assert visits == int(str(last)) + 1, "there is a gap"
