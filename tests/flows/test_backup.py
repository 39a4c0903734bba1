"""Backups: whole, verified, without secrets of the day, and refused where they would destroy something."""

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert

from gateway import ledger
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import JOURNAL_FOLDER, Journal
from gateway.config import Config, load_config
from gateway.database import SALTS, open_database, reading, transaction
from gateway.destinations.figures import get_standing
from gateway.errors import BackupBroken, ConfigError, StoreError
from gateway.event import PAGE_VIEW, Event, Recorded
from gateway.flows.backup import MANIFEST, UNFINISHED, copy_tables, partial_of
from gateway.flows.backup_proof import Manifest, seal_backup, verify_backup
from gateway.flows.drain import drain_once
from gateway.flows.open_store import STORE_FILE
from gateway.flows.restore import restore_data
from gateway.flows.seal import seal
from gateway.keeper_upkeep import Upkeep
from gateway.keys import load_keys, load_subject_key
from tests.migrated import open_migrated

SALT = b"a salt that no backup may hold!!"


def ignore(_more: int) -> None:
    """Nobody watches."""


def record(journal: Journal, number: int) -> None:
    """One view of a visitor of its own."""
    now = time.time()
    event = Event(now, "main", PAGE_VIEW, f"/{number}", number, f"visit-{number}", now, f"view-{number}")
    journal.append(Recorded(event, "a-consent", 1, ("analytics",)))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A data folder with three views stored, two journalled and not stored, four choices, a salt and keys."""
    (tmp_path / "gateway.toml").write_text('data = "data"\n')
    config = load_config(tmp_path, {})
    folder = config.data_folder
    engine = open_migrated(folder / "gateway.db")
    load_keys(config), load_subject_key(config)
    with transaction(engine) as connection:
        connection.execute(insert(SALTS).values(site="main", day="2026-11-27", salt=SALT))
        for _ in range(4):
            ledger.append(
                connection, at=1.5, site="main", kind="choice", consent_id=None, body={"choice": "reject_all"}
            )
    seal(engine, folder, time.time())
    (folder / "editions").mkdir()
    (folder / "editions" / "main-1").write_text("since")
    for numbers, drained in ((range(3), True), (range(3, 5), False)):
        journal = Journal(folder / JOURNAL_FOLDER)
        for number in numbers:
            record(journal, number)
        journal.close()
        if drained:
            drain(config)
    return config


def drain(config: Config) -> int:
    """Store what the journals hold; returns how many events there are then."""
    engine = open_database(config.database_url)
    with closing(DuckDBStore(config.data_folder / STORE_FILE)) as store:
        while drain_once(config.data_folder / JOURNAL_FOLDER, store, engine, config.destinations, time.time()).more:
            pass
        return int(str(store.fetch("SELECT count(*) FROM events", {})[0][0]))


def back_up(config: Config, target: Path, *, with_keys: bool = False) -> Manifest:
    """Copy, seal and name it, as the command does."""
    with closing(DuckDBStore(config.data_folder / STORE_FILE)) as store:
        upkeep = Upkeep(config, open_database(config.database_url), store)
        partial = upkeep.copy_data(target, with_keys=with_keys)
    manifest = seal_backup(partial, "1", time.time(), ignore)
    partial.rename(target)
    return manifest


def test_a_restored_folder_goes_on_where_the_backup_was_made(config: Config, tmp_path: Path) -> None:
    """Stored and journalled events, ledger, heads and editions come back, each once; destinations are paused."""
    made = back_up(config, tmp_path / "backup")
    # The first journal is there still: its three are in both, and are not taken twice.
    assert (made.rows["events"], sum(made.journals.values()), made.ledger and made.ledger[0]) == (3, 5, 4)
    drain(config)  # what happens after it changes nothing in it
    assert verify_backup(tmp_path / "backup", ignore) == made
    shutil.rmtree(config.data_folder)
    restore_data(tmp_path / "backup", config.data_folder, made, ["crm"], time.time(), ignore)
    engine = open_database(config.database_url)
    assert ledger.verify(engine) == 4
    assert (config.data_folder / "editions" / "main-1").read_text() == "since"
    assert drain(config) == 5
    assert drain(config) == 5
    with reading(engine) as connection:
        assert get_standing(connection, "crm").paused
    assert seal(engine, config.data_folder, time.time()) is None


@pytest.mark.parametrize("with_keys", [False, True])
def test_keys_are_in_a_backup_only_when_asked_for(config: Config, tmp_path: Path, with_keys: bool) -> None:
    """No key's bytes lie in it unless asked for; the day's salt never does."""
    made = back_up(config, tmp_path / "backup", with_keys=with_keys)
    written = b"".join(path.read_bytes() for path in (tmp_path / "backup").rglob("*") if path.is_file())
    secrets = [load_keys(config)[0], load_subject_key(config), (config.data_folder / "ledger.key").read_bytes()]
    assert [secret in written for secret in secrets] == [with_keys] * 3
    assert bool(made.keys) == with_keys
    assert (
        SALT in (config.data_folder / "gateway.db").read_bytes() + (config.data_folder / "gateway.db-wal").read_bytes()
    )
    assert SALT not in written


FILES = ["gateway.db", "events.duckdb", "ledger-heads.jsonl", "editions/main-1"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", ["changed", "missing"])
def test_any_harm_to_a_backup_is_found(config: Config, tmp_path: Path, name: str, harm: str) -> None:
    """A byte changed or a file gone is named, and nothing is restored from it."""
    back_up(config, tmp_path / "backup")
    path = tmp_path / "backup" / name
    content = path.read_bytes()
    path.unlink()
    if harm == "changed":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BackupBroken, match=name):
        verify_backup(tmp_path / "backup", ignore)


def test_a_ledger_cut_off_is_no_backup(config: Config, tmp_path: Path) -> None:
    """What is copied from a ledger that contradicts its signed heads is not sealed."""
    with closing(sqlite3.connect(config.data_folder / "gateway.db")) as database:
        database.execute("DELETE FROM ledger WHERE sequence = 4")
        database.commit()
    with pytest.raises(BackupBroken, match="cut off"):
        back_up(config, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_nothing_is_written_over(config: Config, tmp_path: Path) -> None:
    """A target that exists, one in the data folder, and a data folder with something in it are refused."""
    made = back_up(config, tmp_path / "backup")
    for target in (tmp_path / "backup", config.data_folder / "backup", tmp_path / "none" / "backup"):
        with pytest.raises(ConfigError):
            back_up(config, target)
    with pytest.raises(ConfigError, match="not empty"):
        restore_data(tmp_path / "backup", config.data_folder, made, [], time.time(), ignore)
    assert drain(config) == 5


def test_an_unfinished_backup_makes_room_for_the_next(config: Config, tmp_path: Path) -> None:
    """What a killed backup left is replaced, whether it was just begun, half done or only had to get its name; a folder of
    somebody's that is called so is not."""
    partial_of(tmp_path / "first").mkdir()
    assert back_up(config, tmp_path / "first").rows["events"] == 3
    (tmp_path / "first").rename(partial_of(tmp_path / "second"))
    assert back_up(config, tmp_path / "second").rows["events"] == 3
    assert not (tmp_path / "second" / UNFINISHED).exists()
    partial = partial_of(tmp_path / "backup")
    partial.mkdir()
    (partial / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="in the way"):
        back_up(config, tmp_path / "backup")
    (partial / UNFINISHED).touch()
    assert back_up(config, tmp_path / "backup").rows["events"] == 3
    assert not (tmp_path / "backup" / "thesis.txt").exists()
    assert (tmp_path / "backup" / MANIFEST).exists()


def test_a_damaged_journal_is_copied_as_it_lies(config: Config, tmp_path: Path) -> None:
    """A segment that cannot be read comes along byte by byte, for whoever wants to inspect it."""
    damaged = config.data_folder / JOURNAL_FOLDER / "00000000000000000001-abcdefabcdef-000001.journal"
    damaged.write_bytes(b"no database at all" * 100)
    made = back_up(config, tmp_path / "backup")
    assert made.journals[damaged.name] == 0
    assert (tmp_path / "backup" / JOURNAL_FOLDER / damaged.name).read_bytes() == damaged.read_bytes()
    verify_backup(tmp_path / "backup", ignore)


def test_tables_are_copied_while_they_are_written_to(config: Config, tmp_path: Path) -> None:
    """The copy is the state of one moment, and its source was held up by nobody."""
    engine = open_database(config.database_url)
    with transaction(engine) as connection:
        ledger.append(connection, at=2.0, site="main", kind="choice", consent_id=None, body={})
        copy_tables(config.data_folder / "gateway.db", tmp_path / "copy.db")
    copied = open_database(f"sqlite:///{tmp_path / 'copy.db'}")
    assert (ledger.verify(copied), ledger.verify(engine)) == (4, 5)


def test_a_store_that_cannot_be_copied_makes_no_backup(config: Config, tmp_path: Path) -> None:
    """A damaged event store is said, and no backup gets its name."""
    (config.data_folder / STORE_FILE).write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError):
        back_up(config, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
