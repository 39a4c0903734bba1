"""An installation with its events in ClickHouse, as its operator runs it: killed, cut off, reported, exported, backed up."""

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.analytics.journal import JOURNAL_FOLDER, Journal
from gateway.cli import app
from gateway.config import Config, load_config
from gateway.event import Counted, Event, Recorded
from gateway.flows.open_store import BOOKS_FOLDER
from gateway.socket_client import call_keeper
from tests.clickhouse_server import PASSWORD, Server, clickhouse_server
from tests.example_site import CONSENT_ID, POLICY_TOML
from tests.keeper_at_work import start_keeper, wait_for_keeper

pytestmark = pytest.mark.slow
ROUNDS, AT_ONCE = 4, 600
NOW = float(int(time.time())) - 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The machine on which events are."""
    with clickhouse_server(tmp_path_factory.mktemp("clickhouse")) as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A site whose store is that server; the password is in the environment."""
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", PASSWORD)
    store = f'[store]\nurl = "{server.url}"\npassword = "env:CLICKHOUSE_PASSWORD"\n'
    (tmp_path / "gateway.toml").write_text(f"[keeper]\nautostart = false\nport = 0\ndrain_seconds = 0.05\n{store}")
    (tmp_path / "policy.toml").write_text(POLICY_TOML, "utf-8")
    return load_config(tmp_path)


def write_views(config: Config, first: int, count: int) -> None:
    """As front workers do: views of visits of two pages, and counters."""
    journal = Journal(config.data_folder / JOURNAL_FOLDER)
    for number in range(first, first + count):
        at, visit = NOW + number / 1000, f"visit-{number // 2}"
        event = Event(at, "main", "page_view", f"/p{number % 3}", number // 2, visit, NOW, f"view-{number}")
        journal.append(Recorded(event, CONSENT_ID, 1, ("analytics",)))
    journal.append(Counted("main", int(NOW // 3600 * 3600), [("shown", "nl", "", count)]))
    journal.close()


def gateway(config: Config, *words: str) -> str:
    """What a command says that goes well."""
    got = CliRunner().invoke(app, [*words, "--config", config.folder])
    if got.exception is not None and not isinstance(got.exception, SystemExit):
        raise got.exception
    assert got.exit_code == 0, got.output
    return got.output


def totals(config: Config) -> tuple[int, int, int]:
    """Views, visits, and how often the question was shown, as the report has them."""
    found = json.loads(gateway(config, "report", "--period", "7d", "--json"))
    return found["totals"]["page_views"], found["totals"]["visits"], found["consent"]["shown"]


def test_nothing_is_lost_or_counted_twice(config: Config, server: Server, tmp_path: Path) -> None:
    """The keeper is killed again and again while it drains, and the server once; then reports, export, backup and restore."""
    for turn in range(ROUNDS):
        write_views(config, turn * AT_ONCE, AT_ONCE)
        with start_keeper(config) as keeper:
            wait_for_keeper(config)
            time.sleep(random.random() / 2)
            keeper.send_signal(signal.SIGKILL)
    with start_keeper(config) as keeper:
        wait_for_keeper(config)
        call_keeper(config.data_folder, "POST", "/drain")
        assert totals(config) == (ROUNDS * AT_ONCE, ROUNDS * AT_ONCE // 2, ROUNDS * AT_ONCE)
        server.kill()
        write_views(config, ROUNDS * AT_ONCE, AT_ONCE)
        assert "cannot answer" in str(wait_for_status(config, down=True)["store"])
        server.start()
        assert wait_for_status(config, down=False)["waiting_bytes"] == 0
        whole = (ROUNDS + 1) * AT_ONCE
        assert totals(config) == (whole, whole // 2, whole)
        assert f"events.csv: {whole} rows" in gateway(config, "export", str(tmp_path / "uit"))
        assert "would go: 0 events" in gateway(config, "prune", "--dry-run")
        said = gateway(config, "backup", "make", str(tmp_path / "copy"))
        assert "events and visits are not in it, but in ClickHouse at 127.0.0.1" in said
        keeper.terminate()
    gateway(config, "export", str(tmp_path / "uit-2"))
    assert (tmp_path / "uit-2" / "visits.csv").read_bytes() == (tmp_path / "uit" / "visits.csv").read_bytes()
    config.data_folder.rename(tmp_path / "before")
    gateway(config, "restore", str(tmp_path / "copy"))
    assert totals(config) == (whole, whole // 2, whole)
    assert not (config.data_folder / BOOKS_FOLDER / "batch.msgpack").exists()
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or PASSWORD.encode() not in path.read_bytes(), f"the password stands in {path}"


def wait_for_status(config: Config, *, down: bool) -> dict[str, object]:
    """The keeper's status once its store is down, or answers and nothing waits."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        status: dict[str, object] = json.loads(call_keeper(config.data_folder, "GET", "/status"))
        if bool(status["store_since"]) == down and (down or not status["waiting_bytes"]):
            return status
        time.sleep(0.05)
    raise TimeoutError(os.fspath(config.folder))
