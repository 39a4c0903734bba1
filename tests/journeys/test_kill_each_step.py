"""`kill -9` in the middle of what is done to the files, at one step after another: strace ends the process as it is about to
sync, rename, delete or write. Whoever does the work again finishes it, and each event is there once."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway import ledger
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import JOURNAL_FOLDER, Journal
from gateway.cli import app
from gateway.config import Config, load_config
from gateway.database import open_copy, open_database, transaction
from gateway.event import PAGE_VIEW, Event, Recorded
from gateway.flows.backup import DATABASE_COPY
from gateway.flows.backup_proof import verify_backup
from gateway.flows.open_store import STORE_FILE
from gateway.flows.retention import months_before
from tests.journeys.killed_work import work
from tests.migrated import put_migrated

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
STORED, OLD, WAITING, LOGGED = 300, 200, 250, 400
STEPS = "fsync,fdatasync,rename,unlink,unlinkat,pwrite64,ftruncate"
PLACES = (
    1,
    2,
    3,
    5,
    8,
    13,
    21,
    34,
    55,
    89,
    144,
    233,
)  # which step of the process it is; each work has been done before the last
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with young and old events in its store, more in its journals, a ledger, and an access log beside it."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "gateway.toml").write_text('data = "data"\n')
    config = load_config(folder, {})
    put_migrated(config.data_folder / "gateway.db")
    engine = open_database(config.database_url)
    with transaction(engine) as connection:
        for _ in range(20):
            ledger.append(
                connection, at=1.0, site="main", kind="choice", consent_id=None, body={"choice": "reject_all"}
            )
    engine.dispose()
    old = months_before(time.time(), 15)
    write_journal(config, range(STORED + OLD), lambda number: time.time() if number < STORED else old)
    work("drain", config)
    work("compact", config)
    write_journal(config, range(STORED + OLD, STORED + OLD + WAITING), lambda _number: time.time())
    (folder / "access.log").write_text("".join(log_line(number) for number in range(LOGGED)))
    return folder


def write_journal(config: Config, numbers: range, when: Callable[[int], float]) -> None:
    """As a front worker does that is gone now: each view is of a visit, a visitor and a page of its own."""
    journal = Journal(config.data_folder / JOURNAL_FOLDER)
    for number in numbers:
        at = when(number)
        event = Event(at, "main", PAGE_VIEW, f"/{number}", number, f"visit-{number}", at, f"view-{number}")
        journal.append(Recorded(event, "a-consent", 1, ("analytics",)))
    journal.close()


def log_line(number: int) -> str:
    """A page view of somebody's own."""
    ip = f"198.51.{number // 250}.{number % 250}"
    return f'{ip} - - [20/Nov/2026:10:00:00 +0100] "GET /nieuws/{number} HTTP/1.1" 200 5 "-" "{AGENT}"\n'


def command(name: str, config: Config) -> list[str]:
    """The words after `python -m` that do a work."""
    if name == "import":
        return ["gateway", "import", f"{config.folder}/access.log", "--config", config.folder]
    if name == "backup":
        return ["gateway", "backup", "make", f"{config.folder}/backup", "--config", config.folder]
    return ["tests.journeys.killed_work", name, config.folder]


def is_killed(words: Sequence[str], place: int) -> bool:
    """Do a work, and end it as it is about to take a step for the given time; False when it ended by itself before that."""
    killing = ["-qq", "-f", "-o", os.devnull, "-e", f"inject={STEPS}:signal=SIGKILL:when={place}"]
    strace = ["strace", *killing, "-e", f"trace={STEPS}", sys.executable, "-m", *words]
    done = subprocess.run(strace, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=240)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def finish(name: str, config: Config) -> None:
    """Do the work again, to its end. A backup that has its name is one."""
    backup = Path(config.folder) / "backup"
    if name == "backup":
        if not backup.exists():
            run_command(command(name, config))
        assert ledger.verify(open_copy(backup / DATABASE_COPY)) == 20
        assert verify_backup(backup, lambda _more: None).rows["events"] == STORED + OLD
    elif name == "import":
        run_command(command(name, config))
    else:
        work(name, config)


def run_command(words: Sequence[str]) -> None:
    """A command of ours, in this process, that goes well."""
    got = CliRunner().invoke(app, words[1:])
    assert got.exit_code == 0, got.output


def count_stored(config: Config) -> tuple[int, int, int]:
    """Events, different pages among them, and visits, once all that the journals hold is stored."""
    work("drain", config)
    with closing(DuckDBStore(config.data_folder / STORE_FILE)) as store:
        query = "SELECT count(*), count(DISTINCT path), (SELECT count(*) FROM visits) FROM events"
        events, pages, visits = store.fetch(query, {})[0]
    return int(str(events)), int(str(pages)), int(str(visits))


ALL = STORED + OLD + WAITING
AFTERWARDS = {
    "drain": (ALL, ALL, ALL),
    "prune": (ALL - OLD, ALL - OLD, ALL),  # visits are kept for longer than their events
    "compact": (ALL, ALL, ALL),
    "import": (ALL + LOGGED, ALL + LOGGED, ALL + LOGGED),
    "backup": (ALL, ALL, ALL),
}


@pytest.mark.parametrize("name", AFTERWARDS)
def test_killed_at_any_step_a_work_is_finished_by_the_next(name: str, prepared: Path, tmp_path: Path) -> None:
    """Draining, deleting what is too old, writing the store's file anew, importing an access log and copying the data folder:
    wherever each is killed, doing it again ends well, with every event there once and nothing else."""
    killed = True
    for place in PLACES:
        folder = tmp_path / str(place)
        shutil.copytree(prepared, folder)
        config = load_config(folder, {})
        killed = is_killed(command(name, config), place)
        finish(name, config)
        assert count_stored(config) == AFTERWARDS[name], f"killed at step {place}"
        if not killed:
            break
    assert not killed and place > PLACES[1], "it was not killed at all, or never ended"
