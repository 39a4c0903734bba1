"""The site stays up: whatever part of the gateway fails, a page is served every time, and nothing optional with it."""

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gateway import ledger
from gateway.analytics.journal import JOURNAL_FOLDER, find_segments, read_segment
from gateway.config import load_config
from gateway.database import open_database
from gateway.errors import KeeperUnreachable
from gateway.event import Recorded
from gateway.flows.open_store import STORE_FILE
from gateway.report_client import fetch_report
from gateway.resources import country_database
from gateway.socket_client import call_keeper
from tests.journeys.aftermath import ask_keeper, assert_kept, end_keeper, wait_for_keeper
from tests.journeys.fronts import (
    Answer,
    Front,
    Layout,
    accept_and_report,
    assert_refused,
    assert_served,
    lay_out,
    run_front,
    wait_until,
    wait_until_taken,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

RUBBISH = b"this is no database" * 1000


@contextmanager
def standing(folder: Path, layout: Layout | None = None) -> Iterator[Front]:
    """A front on a data folder that may have been prepared; its keeper has ended afterwards."""
    layout = layout or Layout()
    lay_out(folder, layout)
    with run_front(folder) as front:
        yield front
    if layout.autostart:
        end_keeper(folder / "data")


def test_a_store_that_cannot_be_opened(tmp_path: Path) -> None:
    """With a damaged event store pages are served, choices and events are taken, the keeper lives on and says what is
    wrong; once the file is gone it stores all that came in meanwhile."""
    data = tmp_path / "data"
    data.mkdir()
    (data / STORE_FILE).write_bytes(RUBBISH)
    with standing(tmp_path, Layout(autostart=True)) as front:
        visitor = front.visitor()
        marks = accept_and_report(visitor)
        keeper = wait_for_keeper(data)
        wait_until(lambda: b'"store":"ok"' not in call_keeper(data, "GET", "/status"))
        with pytest.raises(KeeperUnreachable) as refused:
            fetch_report(load_config(tmp_path, {}), {"period": "7d"})
        assert "Traceback" not in str(refused.value)
        marks |= accept_and_report(visitor)
        assert_served(visitor, front.visitor())
        assert ask_keeper(data) == keeper
        (data / STORE_FILE).unlink()
        wait_until(lambda: b'"store":"ok"' in call_keeper(data, "GET", "/status"))
        assert ask_keeper(data) == keeper
        assert fetch_report(load_config(tmp_path, {}), {"period": "7d"}).totals.events == len(marks)
    assert front.log().count("the keeper's work failed") <= 3
    assert_kept(data, marks)


def test_a_keeper_that_cannot_start(tmp_path: Path) -> None:
    """When the keeper ends as soon as it starts, pages, choices and events go on, and it is tried ever more slowly."""
    with standing(tmp_path, Layout(autostart=True, hook="http://127.0.0.1:1/hook")) as front:
        (tmp_path / "hook.secret").unlink()
        visitor = front.visitor()
        marks = accept_and_report(visitor)
        until = time.monotonic() + 8
        while time.monotonic() < until:
            assert_served(visitor, front.visitor())
            time.sleep(0.2)
    assert 1 <= front.log().count("hook.secret") <= 3, front.log()
    assert_kept(tmp_path / "data", marks)


def test_a_database_that_is_locked(tmp_path: Path) -> None:
    """While somebody else holds the ledger's database pages and events go on at once; a choice is answered by a plain
    page that says to come again, has changed nothing, and is taken later."""
    with standing(tmp_path) as front:
        visitor, newcomer = front.visitor(), front.visitor()
        marks = accept_and_report(visitor)
        answers: list[Answer] = []
        data = tmp_path / "data"
        with closing(sqlite3.connect(data / "gateway.db", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            thread = threading.Thread(target=lambda: answers.append(newcomer.choose("accept_all", script=False)))
            thread.start()
            meanwhile = 0
            while thread.is_alive():
                assert_served(visitor, front.visitor())
                assert visitor.report("/mark/locked").status == 202
                meanwhile += thread.is_alive()
                time.sleep(0.5)
            holder.execute("ROLLBACK")
            assert meanwhile > 1  # nothing of it waited for what the choice waits for
        thread.join()
        assert_refused(answers[0])
        assert b"<h1" in answers[0].body and answers[0].cookies == []
        engine = open_database(f"sqlite:///{data / 'gateway.db'}")
        assert ledger.verify(engine) == 1
        engine.dispose()
        assert newcomer.choose("accept_all", script=False).status == 303
    assert marks


def test_a_database_that_is_damaged_or_gone_while_running(tmp_path: Path) -> None:
    """When the ledger's files are overwritten, and when they are deleted, pages are served and a choice that cannot be
    recorded is refused."""
    with standing(tmp_path) as front:
        visitor, newcomer = front.visitor(), front.visitor()
        accept_and_report(visitor)
        before = dict(visitor.cookies)
        database = tmp_path / "data" / "gateway.db"
        for suffix in ("", "-wal", "-shm"):
            overwrite(Path(f"{database}{suffix}"))
        assert_served(visitor, newcomer)
        assert_refused(newcomer.choose("accept_all"))
        assert_refused(visitor.choose("reject_all"))
        assert visitor.cookies == before
        for suffix in ("", "-wal", "-shm"):
            Path(f"{database}{suffix}").unlink()
        assert_served(visitor, newcomer)
        assert newcomer.choose("accept_all").status in (200, 503)
        assert_served(visitor, newcomer)


def test_a_database_that_cannot_be_opened_at_the_start(tmp_path: Path) -> None:
    """A worker that starts with a damaged database serves pages with the question and refuses choices; when the file
    has been put right the worker is whole again by itself."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "gateway.db").write_bytes(RUBBISH)
    with standing(tmp_path) as front:
        visitor = front.visitor()
        assert_served(visitor, front.visitor())
        assert b'id="gw-banner"' in visitor.get("/").body
        assert_refused(visitor.choose("accept_all"))
        assert visitor.report("/mark/closed").status == 403
        (data / "gateway.db").unlink()
        wait_until(lambda: visitor.choose("accept_all").status == 200)
        wait_until_taken(visitor)


def test_a_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """Where the data folder should be lies something else: pages are served all the same, choices are refused."""
    (tmp_path / "data").write_text("a file")
    with standing(tmp_path) as front:
        assert_served(front.visitor())
        assert_refused(front.visitor().choose("accept_all"))


def test_files_deleted_while_running(tmp_path: Path) -> None:
    """Whatever is deleted from the data folder, pages are served, and nothing but an answer comes to a choice or event;
    after the next start everything works."""
    data = tmp_path / "data"
    with standing(tmp_path, Layout(autostart=True)) as front:
        visitor = front.visitor()
        accept_and_report(visitor)
        wait_for_keeper(data)
        for name in (
            "gateway.bell",
            "reserve.bin",
            "keys.txt",
            "gateway.lock",
            f"{JOURNAL_FOLDER}/*",
            "events.duckdb*",
        ):
            for path in data.glob(name):
                path.unlink()
            assert_served(visitor, front.visitor())
            wait_until_taken(visitor)
        end_keeper(data)
        shutil.rmtree(data, ignore_errors=True)
        for _ in range(3):
            assert_served(visitor, front.visitor())
            assert visitor.report("/mark/void").status in (202, 503)
            assert front.visitor().choose("accept_all").status in (200, 503)
            time.sleep(1)
    with run_front(tmp_path) as front:
        accept_and_report(front.visitor())
    end_keeper(data)


@pytest.mark.parametrize("half", [True, False], ids=["half of it", "all of it"])
def test_a_country_database_that_is_damaged(half: bool, tmp_path: Path) -> None:
    """Without a country database that works events are counted without a country, and one warning says so."""
    (tmp_path / "countries.mmdb").write_bytes(damaged_countries() if half else RUBBISH)
    layout = Layout(top='trusted_proxies = ["127.0.0.1"]', limits='[geo]\ndatabase = "countries.mmdb"')
    with standing(tmp_path, layout) as front:
        visitor = front.visitor()
        accept_and_report(visitor)
        for number in range(20):
            visitor.extra = {"X-Forwarded-For": f"{number * 11 + 1}.20.30.40"}
            assert_served(visitor)
            assert visitor.report("/mark/abroad").status == 202
    entries = [entry for s in find_segments(tmp_path / "data" / JOURNAL_FOLDER) for _, entry in read_segment(s, 0, 999)]
    countries = {entry.event.country for entry in entries if isinstance(entry, Recorded)}
    assert "" in countries
    assert front.log().count("country database") == 1


def overwrite(path: Path) -> None:
    """Rubbish in place: a file that others have mapped must not get shorter."""
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))


def damaged_countries() -> bytes:
    """The real database with its records overwritten: it opens, and fails when it is asked."""
    whole = country_database()
    assert whole is not None
    content = bytearray(whole.read_bytes())
    content[: len(content) // 2] = os.urandom(len(content) // 2)
    return bytes(content)
