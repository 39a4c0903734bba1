"""A program reads figures from a keeper at work, with a key that an operator makes and ends by command."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from gateway.analytics.journal import JOURNAL_FOLDER, Journal
from gateway.config import Config, load_config
from gateway.errors import KeeperUnreachable
from gateway.event import PAGE_VIEW, Event, Recorded
from gateway.socket_client import call_keeper
from tests.journeys.cluster import end_keeper
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SITES = '[[sites]]\nid = "main"\nhosts = ["www.example.org"]\n[[sites]]\nid = "jobs"\nhosts = ["jobs.example.org"]\n'
VISITORS = {"main": 9, "jobs": 7}
QUESTION = {"site_id": "main", "metrics": ["visitors", "visits", "pageviews"], "date_range": "7d"}


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Config]:
    """A keeper at work on two sites, with two pages seen by each of their visitors."""
    (tmp_path / "gateway.toml").write_text(f'data = "data"\n[keeper]\nport = {free_port()}\n{SITES}')
    config = load_config(tmp_path, {})
    journal, now = Journal(config.data_folder / JOURNAL_FOLDER), time.time()
    for site, visitors in VISITORS.items():
        for visitor in range(visitors):
            for page in ("/", "/contact"):
                name = f"{site}{visitor}"
                event = Event(now, site, PAGE_VIEW, page, visitor, name, now, f"{name}{page}")
                journal.append(Recorded(event, "a-consent", 1, ("analytics",)))
    journal.close()
    with (tmp_path / "log.txt").open("ab") as log:
        command = [sys.executable, "-m", "gateway", "keeper", "--config", config.folder]
        keeper = subprocess.Popen(command, stdout=log, stderr=log)
    wait_for_figures(config)
    yield config
    end_keeper(config)
    keeper.wait(30)


def wait_for_figures(config: Config) -> None:
    """Returns when the keeper has stored what the journals held."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if json.loads(call_keeper(config.data_folder, "GET", "/status", 5))["drained"] >= 2 * sum(
                VISITORS.values()
            ):
                return
        except KeeperUnreachable:
            pass
        time.sleep(0.1)
    raise TimeoutError("the keeper stored nothing")


def gateway(config: Config, *words: str) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "gateway", *words]
    found = subprocess.run(command, cwd=config.folder, capture_output=True, text=True, timeout=60, check=True)
    return found.stdout


def ask(config: Config, key: str, **question: object) -> tuple[int, Any]:
    """Status and answer of a question."""
    keeper = config.settings.keeper
    connection = HTTPConnection(keeper.host, keeper.port, timeout=20)
    body = json.dumps(QUESTION | question)
    connection.request("POST", "/api/v2/query", body, {"Authorization": f"Bearer {key}"})
    answer = connection.getresponse()
    found = json.loads(answer.read())
    connection.close()
    return answer.status, found


def make_key(config: Config, *options: str) -> str:
    """A key as the command shows it."""
    [key] = [word for word in gateway(config, "key", "add", "Dashboard", *options).split() if word.startswith("gwk_")]
    return key


def test_a_key_opens_the_figures_of_its_sites_until_it_is_revoked(config: Config) -> None:
    """The figures are those of `gateway report`; another site's stay shut; what is revoked or too often asked is refused with
    the next request; the secret stands in no file."""
    key = make_key(config, "--scope", "read", "--site", "main")
    status, found = ask(config, key)
    totals = json.loads(gateway(config, "report", "--json"))["totals"]
    assert (status, found["results"]) == (200, [{"metrics": [9, 9, 18], "dimensions": []}])
    assert [totals[name] for name in ("daily_visitors", "visits", "page_views")] == [9, 9, 18]
    assert ask(config, key, site_id="jobs")[0] == 400
    assert ask(config, make_key(config, "--scope", "read", "--site", "jobs"), site_id="jobs")[0] == 200
    assert ask(config, make_key(config, "--scope", "collect"))[0] == 403
    slow = make_key(config, "--scope", "read", "--per-minute", "1")
    assert 429 in {ask(config, slow)[0] for _ in range(3)}  # two of the three fall into one minute
    gateway(config, "key", "revoke", key.split("_")[1])
    assert ask(config, key)[0] == 401
    files = [path for path in Path(config.folder).rglob("*") if path.is_file()]
    assert not [path for path in files if key.split("_", 2)[2].encode() in path.read_bytes()]
