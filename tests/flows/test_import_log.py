"""Import of access logs: page views only, each once, whatever is killed, and nothing of who it was."""

import gzip
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import JOURNAL_FOLDER
from gateway.cli_import import describe
from gateway.config import Config, load_config
from gateway.flows.drain import drain_once
from gateway.flows.import_log import IMPORTS_FOLDER, Outcome, Views, import_log
from gateway.front import build_checks
from gateway.geo import Countries
from tests.migrated import open_migrated

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A site with a data folder of its own."""
    (tmp_path / "gateway.toml").write_text('data = "data"\n')
    return load_config(tmp_path, {})


def line(
    number: int, path: str = "/nieuws", method: str = "GET", status: int = 200, agent: str = AGENT, referrer: str = "-"
) -> str:
    """A line in the combined format, of an address of its own for each number."""
    ip = f"198.51.{number // 250 % 250}.{number % 250}"
    return f'{ip} - - [20/Nov/2026:10:00:00 +0100] "{method} {path} HTTP/1.1" {status} 5 "{referrer}" "{agent}"\n'


def run(config: Config, log: Path) -> Outcome:
    """One import of one log."""
    views = Views(config, config.sites[0], Countries(None), build_checks(config))
    return import_log(log, config.data_folder, views, lambda _: None)


def stored(config: Config, sql: str) -> list[tuple[object, ...]]:
    """What the store answers once the journals are drained."""
    with closing(DuckDBStore(config.data_folder / "events.duckdb")) as store:
        engine = open_migrated(config.data_folder / "gateway.db")
        while drain_once(config.data_folder / JOURNAL_FOLDER, store, engine, [], time.time()).entries:
            pass
        return store.fetch(sql, {})


def test_page_views_only(config: Config, tmp_path: Path) -> None:
    """Files, faults, posts, bots and referrer spam are left out, what cannot be read is named by its number, and views are
    marked."""
    lines = [line(1), line(1, "/over"), line(2), line(3, "/a.css"), line(3, status=404), line(3, method="POST")]
    (tmp_path / "log").write_text("".join([*lines, line(4, agent="Googlebot/2.1"), "nonsense\n"]))
    with (tmp_path / "log").open("a") as log:
        log.write(line(5, referrer="http://www.4webmasters.org/?from=you"))
    outcome = run(config, tmp_path / "log")
    assert (outcome.views, outcome.unread, outcome.unread_lines) == (3, 1, [8])
    assert outcome.left_out == {"no_page": 3, "bot": 1, "spam_referrer": 1}
    assert stored(
        config, "SELECT count(*), count(DISTINCT visitor), count(DISTINCT visit_id), min(props) FROM events"
    ) == [(3, 2, 2, '{"imported":"access_log"}')]


def test_a_log_is_imported_once(config: Config, tmp_path: Path) -> None:
    """Again, packed, or grown: only what is new is counted."""
    (tmp_path / "log").write_text(line(1) + line(2))
    assert run(config, tmp_path / "log").views == 2
    (tmp_path / "log.gz").write_bytes(gzip.compress((line(1) + line(2)).encode()))
    assert run(config, tmp_path / "log.gz").known
    (tmp_path / "log").write_text(line(1) + line(2) + line(3))
    assert run(config, tmp_path / "log").views == 1
    assert stored(config, "SELECT count(*) FROM events") == [(3,)]


def test_a_log_without_a_whole_line_is_not_said_to_be_known(config: Config, tmp_path: Path) -> None:
    """Empty, or one line that has no end yet: nothing of it was ever imported, and once the end is there the line counts."""
    for text in ("", line(1).rstrip("\n")):
        (tmp_path / "log").write_text(text)
        outcome = run(config, tmp_path / "log")
        assert (outcome.known, outcome.views, outcome.lines) == (False, 0, 0)
        assert "no whole line" in describe(outcome)
    (tmp_path / "log").write_text(line(1))
    assert run(config, tmp_path / "log").views == 1
    assert describe(run(config, tmp_path / "log")) == "was imported before"


def test_rubbish_costs_no_other_line(config: Config, tmp_path: Path) -> None:
    """Bytes that are no text, JSON without an end, a line as long as a book, years that nobody has seen: each is named by its
    number, the lines beside it count, and the same log is known again."""
    deep, long = b'{"a":' * 3000 + b"\n", line(1)[:-2].encode() + b"x" * 200_000 + b'"\n'
    odd = [bytes(range(11, 256)) + b"\n", deep, long, line(1).replace("2026", "9999").encode(), b"\0\n"]
    good = line(1).encode()
    (tmp_path / "log").write_bytes(b"".join([good, *odd, good]) + b"y" * 200_000)
    outcome = run(config, tmp_path / "log")
    assert (outcome.views, outcome.lines, outcome.unread_lines) == (2, 7, [2, 3, 4, 5, 6])
    assert run(config, tmp_path / "log").known
    assert stored(config, "SELECT count(*) FROM events") == [(2,)]


@pytest.mark.slow
def test_a_line_without_an_end_fills_no_memory(config: Config, tmp_path: Path) -> None:
    """Of a file that is no log, and has no lines, no more is read at once than a line may have."""
    with (tmp_path / "log").open("wb") as file:
        file.truncate(200_000_000)
    tracemalloc.start()
    try:
        assert run(config, tmp_path / "log").views == 0
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("damage", [slice(-9, None), slice(20, 40)])
def test_a_torn_log_is_named(config: Config, tmp_path: Path, damage: slice) -> None:
    """A packed log that was cut off or changed is told by its name, and nothing of it is counted; whole again it is."""
    packed = bytearray(gzip.compress("".join(line(number) for number in range(500)).encode()))
    whole = bytes(packed)
    packed[damage] = b"\xff" * 20 if damage.stop else b""
    (tmp_path / "log.gz").write_bytes(packed)
    command = [sys.executable, "-m", "gateway", "import", str(tmp_path / "log.gz"), "--config", config.folder]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode != 0 and "log.gz cannot be unpacked" in " ".join(told.stderr.split())
    assert "Traceback" not in told.stderr
    (tmp_path / "log.gz").write_bytes(whole)
    assert run(config, tmp_path / "log.gz").views == 500
    assert stored(config, "SELECT count(*) FROM events") == [(500,)]


def test_addresses_and_agents_are_dropped(config: Config, tmp_path: Path) -> None:
    """No file that an import leaves holds an address or an agent."""
    (tmp_path / "log").write_text(line(7))
    run(config, tmp_path / "log")
    kept = b"".join(path.read_bytes() for path in config.data_folder.rglob("*") if path.is_file())
    assert b"/nieuws" in kept
    assert b"198.51." not in kept
    assert b"Gecko" not in kept


@pytest.mark.slow
def test_killed_imports_lose_nothing(config: Config, tmp_path: Path) -> None:
    """Killed at any moment and begun again until it ends: each view is there once."""
    (tmp_path / "log").write_text("".join(line(number) for number in range(20_000)))
    command = [sys.executable, "-m", "gateway", "import", str(tmp_path / "log"), "--config", config.folder]
    killed = 0
    for wait in (0.05, 0.3, 0.6):
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 30
        while running.poll() is None and not list((config.data_folder / IMPORTS_FOLDER).glob("*.segment")):
            assert time.monotonic() < until
            time.sleep(0.005)
        time.sleep(wait)
        if running.poll() is None:
            os.kill(running.pid, signal.SIGKILL)
            killed += 1
        running.wait()
    assert killed
    subprocess.run(command, check=True, capture_output=True)
    assert stored(config, "SELECT count(*), count(DISTINCT view_id) FROM events") == [(20_000, 20_000)]
