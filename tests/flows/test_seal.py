"""The keeper signs the ledger's end while it grows, and does not sign what somebody has done to it."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from gateway import ledger
from gateway.database import LEDGER, open_database, transaction
from gateway.errors import HeadsBroken, LedgerBroken
from gateway.flows.seal import seal
from gateway.heads import HEADS_FILE, PUBLIC_FILE, check_heads, parse_heads, read_public_keys
from tests.example_site import NOW
from tests.migrated import open_migrated


def add(engine: Engine, count: int = 1) -> None:
    with transaction(engine) as connection:
        for number in range(count):
            body: dict[str, object] = {"nr": number}
            ledger.append(connection, at=NOW, site="main", kind="choice", consent_id=None, body=body)


def signed(folder: Path) -> dict[int, str]:
    return check_heads(parse_heads((folder / HEADS_FILE).read_bytes()), read_public_keys(folder / PUBLIC_FILE))


def test_an_empty_ledger_needs_no_head(engine: Engine, tmp_path: Path) -> None:
    """Before the first choice there is nothing to sign, and no key is made for it."""
    assert seal(engine, tmp_path / "data", NOW) is None
    assert not (tmp_path / "data").exists()


def test_a_head_is_signed_when_the_chain_has_grown(engine: Engine, tmp_path: Path) -> None:
    """One head for each time the chain was found longer, none in between; the chain verifies against them."""
    add(engine, 3)
    assert seal(engine, tmp_path, NOW) is not None
    assert seal(engine, tmp_path, NOW + 60) is None
    add(engine)
    assert seal(engine, tmp_path, NOW + 120) is not None
    heads = signed(tmp_path)
    assert list(heads) == [3, 4]
    assert ledger.verify(engine, heads) == 4


@pytest.mark.parametrize("left", [0, 2])
def test_a_ledger_that_became_shorter_is_not_sealed(engine: Engine, tmp_path: Path, left: int) -> None:
    """What is missing is said, and the heads stay as they were."""
    add(engine, 5)
    seal(engine, tmp_path, NOW)
    before = (tmp_path / HEADS_FILE).read_bytes()
    with transaction(engine) as connection:
        connection.execute(LEDGER.delete().where(LEDGER.c.sequence > left))
    with pytest.raises(LedgerBroken, match=f"entry {left + 1}: is missing: the end was cut off"):
        seal(engine, tmp_path, NOW + 60)
    assert (tmp_path / HEADS_FILE).read_bytes() == before


def test_a_ledger_that_became_another_is_not_sealed(engine: Engine, tmp_path: Path) -> None:
    """A signed entry that has another hash now stops the signing, also when the chain has grown since."""
    add(engine, 3)
    seal(engine, tmp_path, NOW)
    add(engine)
    with transaction(engine) as connection:
        connection.execute(update(LEDGER).where(LEDGER.c.sequence == 3).values(hash="f" * 64))
    with pytest.raises(LedgerBroken, match="entry 3: is not the one whose hash was signed"):
        seal(engine, tmp_path, NOW + 60)


def test_a_damaged_heads_file_is_not_continued(engine: Engine, tmp_path: Path) -> None:
    """A last line that is no head is reported, not written behind."""
    add(engine)
    (tmp_path / HEADS_FILE).write_bytes(b"nothing\n")
    with pytest.raises(HeadsBroken):
        seal(engine, tmp_path, NOW)
    assert (tmp_path / HEADS_FILE).read_bytes() == b"nothing\n"


def test_a_torn_log_of_the_database_is_seen(tmp_path: Path) -> None:
    """F3: where a power cut or a lying disk took the end of SQLite's log, or bits of it, the commits before that are there and
    the chain is whole; what is missing of what was signed is said, and nothing is signed over it."""
    whole = tmp_path / "whole.db"
    engine = open_migrated(whole)
    for _ in range(12):
        add(engine)
    seal(engine, tmp_path, NOW)
    files = {suffix: Path(f"{whole}{suffix}").read_bytes() for suffix in ("", "-wal")}
    engine.dispose()
    log, found = files["-wal"], set[int]()
    damages = [log[: len(log) * part // 12 - 7] for part in range(1, 13)]
    damages += [log[:at] + bytes([log[at] ^ 1]) + log[at + 1 :] for at in range(3000, len(log), len(log) // 12)]
    for number, damaged in enumerate(damages):
        torn = tmp_path / f"{number}.db"
        torn.write_bytes(files[""])
        Path(f"{torn}-wal").write_bytes(damaged)
        opened = open_database(f"sqlite:///{torn}")
        there = ledger.verify(opened)
        found.add(there)
        if there < 12:
            with pytest.raises(LedgerBroken, match=f"entry {there + 1}: is missing"):
                seal(opened, tmp_path, NOW + 60)
        opened.dispose()
    assert len(found) > 5
    assert max(found) < 12
