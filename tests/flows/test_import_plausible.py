"""Import of Plausible's export: each day once, whatever is killed, and faults told by file, line and column."""

import os
import signal
import subprocess
import sys
import time
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, text

from gateway.analytics.masking import Masker
from gateway.analytics.plausible_names import Names
from gateway.analytics.source import Channels
from gateway.config import load_config
from gateway.database import open_database, reading, transaction
from gateway.errors import ExportBroken
from gateway.flows import import_plausible as module
from gateway.flows.import_plausible import Taken, import_plausible, undo_plausible
from gateway.imported_tables import IMPORTED_DAYS, IMPORTS
from tests.analytics.plausible_example import export_texts, write_folder, write_zip

FIRST = date(2026, 3, 1)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Names:
    """Names as the shipped channels have them, on a site whose help pages are left out."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "gateway.toml").write_text("")
    config = load_config(folder, {})
    return Names(Masker(()), Channels(config.channels), frozenset({"example.org"}), ("/hulp",))


def take(engine: Engine, path: Path, names: Names, site: str = "main") -> Taken:
    """One import."""
    return import_plausible(path, site, names, engine, 1.0, lambda _: None)


def sums(engine: Engine, dimension: str, *more: Any) -> dict[str, tuple[Any, ...]]:
    """What is kept of a dimension, all days and whole imports together, by name."""
    columns = [
        func.sum(IMPORTED_DAYS.c[name]) for name in ("visitors", "visits", "views", "bounces", "seconds", "events")
    ]
    asked = select(IMPORTED_DAYS.c.name, *columns).join(IMPORTS, IMPORTS.c.id == IMPORTED_DAYS.c.import_id)
    asked = asked.where(IMPORTED_DAYS.c.dimension == dimension, IMPORTS.c.state == "whole", *more)
    with reading(engine) as connection:
        return {row[0]: tuple(row[1:]) for row in connection.execute(asked.group_by(IMPORTED_DAYS.c.name))}


def test_every_file_is_kept_under_our_own_names(engine: Engine, tmp_path: Path, names: Names) -> None:
    """Paths are masked, sources and channels are those of our tables, devices, browsers, systems and events have our names."""
    taken = take(engine, write_zip(tmp_path / "export.zip", FIRST, 2), names)
    assert (taken.days, taken.first, taken.last, taken.left_out) == (2, "2026-03-01", "2026-03-02", [])
    assert sums(engine, "") == {"": (20, 24, 60, 8, 1200, None)}
    assert sums(engine, "page") == {
        "/": (18, 20, 36, None, None, None),
        "/contact": (10, 10, 14, None, None, None),
        "/dossier/:id": (4, 4, 10, None, None, None),
    }
    assert sums(engine, "entry_page")["/"] == (18, 18, 50, 6, 1000, None)
    assert sums(engine, "exit_page")["/"] == (14, 16, 40, 4, 600, None)
    assert {name: row[0] for name, row in sums(engine, "source").items()} == {
        "Google": 12,
        "direct": 6,
        "nieuwsbrief": 4,
    }
    assert {name: row[0] for name, row in sums(engine, "channel").items()} == {"search": 12, "direct": 6, "email": 4}
    assert {name: row[0] for name, row in sums(engine, "campaign").items()} == {"": 18, "najaar": 4}
    assert {name: row[0] for name, row in sums(engine, "country").items()} == {"NL": 16, "BE": 4}
    assert {name: row[0] for name, row in sums(engine, "device").items()} == {"desktop": 14, "mobile": 6}
    assert {name: row[0] for name, row in sums(engine, "browser").items()} == {"Chrome": 12, "Edge": 8}
    assert {name: row[0] for name, row in sums(engine, "os").items()} == {"Windows": 12, "Mac OS X": 8}
    assert sums(engine, "event") == {"download": (4, None, None, None, None, 6)}


def test_a_second_time_adds_nothing(engine: Engine, tmp_path: Path, names: Names) -> None:
    """The same export, packed or not, is known; one that tells more days brings those; another site has its own."""
    take(engine, write_zip(tmp_path / "export.zip", FIRST, 3), names)
    assert take(engine, tmp_path / "export.zip", names).known
    taken = take(engine, write_folder(tmp_path / "export", FIRST, 5), names)
    assert (taken.days, taken.told_before, taken.first) == (2, 3, "2026-03-04")
    assert sums(engine, "")[""][0] == 50
    assert sums(engine, "page")["/"][0] == 45
    assert take(engine, tmp_path / "export", names, "other").days == 5


def test_what_an_export_brought_is_taken_back(engine: Engine, tmp_path: Path, names: Names) -> None:
    """All of it and nothing else; what was never imported is said to be none of it."""
    first, second = (write_folder(tmp_path / str(month), date(2026, month, 1), 2) for month in (3, 4))
    take(engine, first, names)
    take(engine, second, names)
    assert undo_plausible(first, "main", engine, lambda _: None)
    assert not undo_plausible(first, "main", engine, lambda _: None)
    assert sums(engine, "")[""][0] == 20
    assert take(engine, first, names).days == 2
    assert sums(engine, "")[""][0] == 40


def test_an_interrupted_import_goes_on(
    engine: Engine, tmp_path: Path, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after whichever transaction, nothing of it is reported; the next time does the rest, each line once."""
    export, store, done = write_folder(tmp_path / "export", FIRST, 4), module._store, 0
    monkeypatch.setattr(module, "CHUNK_LINES", 7)

    def stop(*told: Any) -> None:
        nonlocal done
        store(*told)
        done += 1
        if done % 3 == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "_store", stop)
    stopped, taken = 0, None
    while taken is None:
        try:
            taken = take(engine, export, names)
        except KeyboardInterrupt:
            stopped += 1
            assert sums(engine, "") == {}
    assert stopped > 3
    assert taken.days == 4
    assert sums(engine, "")[""] == (40, 48, 120, 16, 2400, None)
    assert sums(engine, "page")["/"] == (36, 40, 72, None, None, None)


def test_what_was_begun_and_given_up_goes(engine: Engine, tmp_path: Path, names: Names) -> None:
    """What a killed import of another export left, and what was being taken back, is removed by the next import."""
    for state, name in (("arriving", "a"), ("leaving", "b")):
        with transaction(engine) as connection:
            row = {"id": name, "site": "main", "source": "plausible", "state": state, "written": 5, "at": 0.0}
            connection.execute(IMPORTS.insert(), row)
            row = {"import_id": name, "dimension": "", "day": "2026-03-01", "name": "", "visitors": 77}
            connection.execute(IMPORTED_DAYS.insert(), row)
    assert take(engine, write_folder(tmp_path / "export", FIRST, 1), names).days == 1
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM imports")).scalar() == 1
        assert connection.execute(text("SELECT count(*) FROM imported_days WHERE visitors = 77")).scalar() == 0


def test_older_exports_lack_columns(engine: Engine, tmp_path: Path, names: Names) -> None:
    """What an older export does not tell is not told; pages that the site leaves out, and what is no event, are not kept."""
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "imported_visitors.csv").write_text(
        "date,visitors,pageviews,bounces,visits,visit_duration\n2025-01-01,5,6,1,5,9\n"
    )
    (folder / "imported_pages.csv").write_text(
        "date,hostname,page,visitors,pageviews,exits,time_on_page\n2025-01-01,,/,5,5,5,9\n2025-01-01,,/hulp/a,5,5,5,9\n"
    )
    (folder / "imported_devices.csv").write_text(
        "\ufeffdate,device,visitors,visits,visit_duration,bounces\n\n2025-01-01,(not set),5,5,9,1\n"
    )
    (folder / "readme.txt").write_text("hello")
    assert take(engine, folder, names).left_out == ["readme.txt"]
    assert sums(engine, "page") == {"/": (5, None, 5, None, None, None)}
    assert sums(engine, "device") == {"other": (5, 5, None, 1, 9, None)}


VISITORS, PAGES = "imported_visitors_20260301_20260301.csv", "imported_pages_20260301_20260301.csv"


@pytest.mark.parametrize(
    ("file", "before", "after", "fault"),
    [
        (VISITORS, "10,30", "ten,30", f"{VISITORS}, line 2, column visitors: 'ten' is not a whole number from 0"),
        (VISITORS, "10,30", "10,-3", f"{VISITORS}, line 2, column pageviews: '-3' is not a whole number from 0"),
        (VISITORS, "10,30", "10,99999999999999999", "'99999999999999999' is not a whole number from 0"),
        (VISITORS, "10,30", "10,\u0663", "'\u0663' is not a whole number from 0"),
        (VISITORS, "2026-03-01", "1 March", f"{VISITORS}, line 2, column date: '1 March' is not a date such as 2026-11-23"),
        (VISITORS, "2026-03-01", "1999-03-01", "'1999-03-01' is not a day from 2000 to 2099"),
        (VISITORS, "10,30", "30", f"{VISITORS}, line 2: has 5 cells; its header names 6 columns"),
        (VISITORS, '"bounces"', '"rebounds"', f"{VISITORS}, line 1, column bounces: is missing; there are: date, visitors"),
        (VISITORS, '"bounces"', '"visits"', f"{VISITORS}, line 1, column bounces: is missing"),
        (PAGES, '"hostname"', '"page"', f"{PAGES}, line 1, column page: is there twice"),
        (PAGES, '"/contact"', '"/con"tact"', f"{PAGES}, line 3: is no CSV:"),
        (PAGES, "/contact", "x" * 70_000, f"{PAGES}, line 3: is longer than 65536 bytes"),
    ],
)  # fmt: skip
def test_faults_are_told_where_they_are(
    engine: Engine, tmp_path: Path, names: Names, file: str, before: str, after: str, fault: str
) -> None:
    """File, line, column and what is wanted; nothing of the export is kept."""
    folder = write_folder(tmp_path / "export", FIRST, 1)
    (folder / file).write_text((folder / file).read_text().replace(before, after))
    with pytest.raises(ExportBroken) as told:
        take(engine, folder, names)
    assert fault in str(told.value)
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM imports")).scalar() == 0


def test_rubbish_is_no_export(engine: Engine, tmp_path: Path, names: Names) -> None:
    """An empty file, bytes that are no text, a folder without figures, a torn zip: each is told by its name."""
    folder = write_folder(tmp_path / "export", FIRST, 1)
    cases = {b"": "is empty", b"date\xff\n": "line 1: is not UTF-8", b"\0\1\2": "column date: is missing"}
    for content, fault in cases.items():
        (folder / VISITORS).write_bytes(content)
        with pytest.raises(ExportBroken, match=f"{VISITORS}.*{fault}"):
            take(engine, folder, names)
    (folder / VISITORS).unlink()
    with pytest.raises(ExportBroken, match=r"holds no imported_visitors\.csv"):
        take(engine, folder, names)
    whole = write_zip(tmp_path / "whole.zip", FIRST, 400).read_bytes()
    (tmp_path / "torn.zip").write_bytes(whole[:5000] + whole[9000:])
    with pytest.raises(ExportBroken, match=r"torn\.zip: cannot be unpacked"):
        take(engine, tmp_path / "torn.zip", names)


def test_a_day_in_two_files_is_refused(engine: Engine, tmp_path: Path, names: Names) -> None:
    """Exports that overlap in one folder would count a day twice; both files are named."""
    folder = write_folder(tmp_path / "export", FIRST, 3)
    write_folder(folder, date(2026, 3, 3), 2)
    with pytest.raises(ExportBroken, match=r"2026-03-03 stands in imported_browsers_20260301_20260303\.csv as well"):
        take(engine, folder, names)


@pytest.mark.slow
def test_a_killed_command_leaves_each_day_once(tmp_path: Path) -> None:
    """Killed while it writes and begun again until it ends; --undo takes it back, and a log cannot be taken back."""
    (tmp_path / "gateway.toml").write_text('data = "data"\n')
    write_zip(tmp_path / "export.zip", date(2024, 1, 1), 700)
    engine = open_database(load_config(tmp_path, {}).database_url)

    def command(*words: str) -> list[str]:
        return [sys.executable, "-m", "gateway", "import", *words, "--config", str(tmp_path)]

    def written() -> int:
        with reading(engine) as connection:
            return connection.execute(select(IMPORTS.c.written)).scalar() or 0

    running = subprocess.Popen(
        command(str(tmp_path / "export.zip")), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 60
    while running.poll() is None and not written():
        assert time.monotonic() < until
        time.sleep(0.002)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    before = written()
    assert sums(engine, "") == {}
    ended = subprocess.run(command(str(tmp_path / "export.zip")), capture_output=True, text=True, check=True)
    assert 0 < before < sum(text.count("\n") - 1 for text in export_texts(date(2024, 1, 1), 700).values())
    assert "700 days, 2024-01-01 to 2025-11-30" in ended.stdout
    assert sums(engine, "")[""] == (7000, 8400, 21000, 2800, 420_000, None)
    again = subprocess.run(command(str(tmp_path / "export.zip")), capture_output=True, text=True, check=True)
    assert "was imported before" in again.stdout
    (tmp_path / "log").write_text("a line\n")
    refused = subprocess.run(command("--undo", str(tmp_path / "log")), capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "is no export of Plausible's" in refused.stderr
    undone = subprocess.run(command("--undo", str(tmp_path / "export.zip")), capture_output=True, text=True, check=True)
    assert "taken back" in undone.stdout
    assert sums(engine, "") == {}
    engine.dispose()


def test_a_packed_secret_is_told(engine: Engine, tmp_path: Path, names: Names) -> None:
    """A zip with a password cannot be unpacked, and says so."""
    path = write_zip(tmp_path / "export.zip", FIRST, 1)
    content = bytearray(path.read_bytes())
    for name in (b"PK\x03\x04", b"PK\x01\x02"):
        at = content.find(name)
        while at >= 0:
            content[at + (6 if name.endswith(b"\x04") else 8)] |= 1
            at = content.find(name, at + 1)
    path.write_bytes(content)
    assert zipfile.is_zipfile(path)
    with pytest.raises(ExportBroken, match="cannot be unpacked"):
        take(engine, path, names)
