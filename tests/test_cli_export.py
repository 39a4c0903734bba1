"""`gateway export`, as an operator types it: everything that is stored, with a keeper and without, and nothing written over."""

import csv
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from typer.testing import CliRunner

from gateway.analytics.journal import JOURNAL_FOLDER, Journal
from gateway.cli import app
from gateway.config import Config
from gateway.errors import ConfigError
from gateway.event import Counted, Event, Recorded
from tests.analytics.plausible_example import write_zip
from tests.example_site import CONSENT_ID, write_site
from tests.keeper_at_work import keeper_at_work
from tests.migrated import put_migrated

DAY = 86_400
NOW = float(int(time.time()))  # a keeper prunes what is old
DAYS = (0, 1, 40)
FORMULA = '=HYPERLINK("https://evil.example")'


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A site of which three days' events, and another's, are in a journal."""
    (tmp_path / "gateway.toml").write_text(
        '[keeper]\nautostart = false\nport = 0\n[[sites]]\nid = "main"\n[[sites]]\nid = "shop"\n'
    )
    made = write_site(tmp_path, {"sites": [{"id": "main"}, {"id": "shop"}], "keeper": {"port": 0}})
    put_migrated(made.data_folder / "gateway.db")
    journal = Journal(made.data_folder / JOURNAL_FOLDER)
    for site, days in (("main", DAYS), ("shop", (0,))):
        for day in days:
            at = NOW - day * DAY
            event = Event(at, site, "page_view", "/a", 2**64 - 1, f"visit-{day}", at, f"view-{day}", topic=FORMULA)
            journal.append(Recorded(event, CONSENT_ID, 1, ("analytics",)))
    journal.append(Counted("main", int(NOW // 3600 * 3600), [("shown", "nl", "", 3)]))
    journal.close()
    return made


@contextmanager
def nobody(_config: Config) -> Iterator[None]:
    """No keeper runs."""
    yield


def export(config: Config, *words: str) -> str:
    got = CliRunner().invoke(app, ["export", *words, "--config", str(config.folder)])
    if got.exception is not None and not isinstance(got.exception, SystemExit):
        raise got.exception
    assert got.exit_code == 0, got.output
    return got.output


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("running", [nobody, keeper_at_work], ids=["no keeper", "beside the keeper"])
def test_all_that_is_stored_of_a_site_is_in_the_files(config: Config, tmp_path: Path, running: object) -> None:
    """Every event, visit and counter of every day, in CSV that no spreadsheet runs and in Parquet with its types."""
    assert callable(running)
    with running(config):
        said = export(config, str(tmp_path / "uit"))
        export(config, str(tmp_path / "uit2"), "--format", "parquet", "--site", "main")
    assert "events.csv: 3 rows" in said and "visits.csv: 3 rows" in said and "counts.csv: 1 rows" in said
    events = read_csv(tmp_path / "uit" / "events.csv")
    moments = [
        f"{datetime.fromtimestamp(NOW - day * DAY, UTC):%Y-%m-%d %H:%M:%S.%f}" for day in sorted(DAYS, reverse=True)
    ]
    assert [row["happened_at"] for row in events] == moments
    assert {(row["site"], row["visitor"], row["topic"]) for row in events} == {("main", str(2**64 - 1), f"'{FORMULA}")}
    assert [row["n"] for row in read_csv(tmp_path / "uit" / "counts.csv")] == ["3"]
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT visitor, topic, typeof(happened_at) FROM '{tmp_path}/uit2/events.parquet'")
        assert found.fetchall() == [(2**64 - 1, FORMULA, "TIMESTAMP")] * 3


@pytest.mark.parametrize("running", [nobody, keeper_at_work], ids=["no keeper", "beside the keeper"])
def test_days_of_another_tool_are_in_a_file_of_their_own(config: Config, tmp_path: Path, running: object) -> None:
    """What was imported as sums of days goes out too, of the site and the days that are asked for, each number under its
    dimension and name; what was never told is empty."""
    assert callable(running)
    zipped = write_zip(tmp_path / "export.zip", date(2026, 3, 1), 3)
    words = ["import", str(zipped), "--site", "main", "--config", str(config.folder)]
    assert CliRunner().invoke(app, words).exit_code == 0
    with running(config):
        said = export(config, str(tmp_path / "uit"), "--from", "2026-03-02")
        export(config, str(tmp_path / "uit2"), "--format", "parquet", "--to", "2026-03-01")
        assert "imported_days" not in export(config, str(tmp_path / "uit3"), "--site", "shop")
    rows = read_csv(tmp_path / "uit" / "imported_days.csv")
    assert f"imported_days.csv: {len(rows)} rows" in said
    whole = [(row["day"], row["visitors"], row["views"], row["events"]) for row in rows if not row["dimension"]]
    assert whole == [("2026-03-02", "10", "30", ""), ("2026-03-03", "10", "30", "")]
    assert {row["source"] for row in rows} == {"plausible"}
    with duckdb.connect() as connection:
        file = tmp_path / "uit2" / "imported_days.parquet"
        asked = f"SELECT day, visits, typeof(visits) FROM '{file}' WHERE dimension = 'page' AND name = '/contact'"
        assert connection.execute(asked).fetchall() == [(date(2026, 3, 1), 5, "BIGINT")]


def test_days_of_ones_own(config: Config, tmp_path: Path) -> None:
    """Days are the site's own, the first and the last included; a period of which nothing is stored gives empty files."""
    last = datetime.fromtimestamp(NOW, ZoneInfo(config.sites[0].config.timezone)).date().isoformat()
    assert "events.csv: 1 rows" in export(config, str(tmp_path / "een"), "--from", last, "--to", last)
    export(config, str(tmp_path / "geen"), "--to", "2001-01-01")
    assert read_csv(tmp_path / "geen" / "events.csv") == []
    assert (tmp_path / "geen" / "events.csv").read_text().startswith("happened_at,site,")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--site", "anders"], "--site"),
        (["--from", "gisteren"], "--from"),
        (["--from", "2026-11-20", "--to", "2026-11-01"], "is after --to"),
    ],
)
def test_what_is_asked_wrongly_is_told(config: Config, tmp_path: Path, words: list[str], named: str) -> None:
    """A site or day that is none, and a first day after the last, are named, and nothing is left behind."""
    with pytest.raises(ConfigError, match=named):
        export(config, str(tmp_path / "uit"), *words)
    assert [path.name for path in tmp_path.iterdir() if "uit" in path.name] == []


def test_nothing_is_written_over(config: Config, tmp_path: Path) -> None:
    """A folder that is there stays as it is."""
    (tmp_path / "uit").mkdir()
    with pytest.raises(ConfigError, match="is there already"):
        export(config, str(tmp_path / "uit"))
    assert list((tmp_path / "uit").iterdir()) == []
