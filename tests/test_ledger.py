"""The ledger is append-only in fact: whatever is changed, taken out, put in or moved afterwards shows."""

import random
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, update

from gateway import ledger
from gateway.database import LEDGER, reading, transaction
from gateway.errors import LedgerBroken
from gateway.ledger import GENESIS
from tests.example_site import NOW
from tests.migrated import open_migrated

COUNT = 12
Rows = list[dict[str, Any]]


def fill(engine: Engine, count: int = COUNT) -> None:
    with transaction(engine) as connection:
        for number in range(count):
            body: dict[str, object] = {"choice": "accept_all", "nr": number, "taal": "é€"}
            consent_id = None if number % 3 == 0 else f"consent{number % 2}"
            ledger.append(connection, at=NOW + number / 7, site="main", kind="choice", consent_id=consent_id, body=body)


def read_rows(engine: Engine) -> Rows:
    with reading(engine) as connection:
        return [dict(row._mapping) for row in connection.execute(select(LEDGER).order_by(LEDGER.c.sequence))]


def write_rows(engine: Engine, rows: Rows) -> None:
    with transaction(engine) as connection:
        connection.execute(LEDGER.delete())
        connection.execute(LEDGER.insert(), rows)


def test_a_chain_verifies_and_is_read_back(engine: Engine) -> None:
    """Entries come back as they were appended, each with the hash of the one before it, and the chain verifies."""
    assert ledger.verify(engine) == 0
    fill(engine)
    found = list(ledger.entries(engine))
    assert [entry.sequence for entry in found] == list(range(1, COUNT + 1))
    assert [entry.previous for entry in found] == [GENESIS, *(entry.hash for entry in found[:-1])]
    assert found[3].body == '{"choice":"accept_all","nr":3,"taal":"é€"}'
    assert (found[3].consent_id, found[4].consent_id) == (None, "consent0")
    assert ledger.verify(engine) == COUNT


def test_times_without_a_fraction_verify(engine: Engine) -> None:
    """An entry made at a whole second, given as an integer, verifies after it was stored as a float."""
    with transaction(engine) as connection:
        ledger.append(connection, at=int(NOW), site="main", kind="choice", consent_id=None, body={})
    assert ledger.verify(engine) == 1


def test_entries_of_a_consent_are_found(engine: Engine) -> None:
    """All that one consent id ever said is found, oldest first, and nothing of others."""
    fill(engine)
    assert [entry.sequence for entry in ledger.find_by_consent(engine, "consent1")] == [2, 6, 8, 12]
    assert ledger.find_by_consent(engine, "nobody") == []


def test_an_entry_is_there_with_its_transaction_or_not_at_all(engine: Engine) -> None:
    """What fails after an append takes the entry with it, and leaves no gap."""
    fill(engine, 2)
    with pytest.raises(KeyError), transaction(engine) as connection:
        ledger.append(connection, at=NOW, site="main", kind="choice", consent_id="gone", body={})
        raise KeyError
    fill(engine, 1)
    assert ledger.verify(engine) == 3


def test_appenders_side_by_side_make_one_chain(engine: Engine) -> None:
    """Threads that append at the same time take turns: no fork, no gap, nothing lost."""

    def append() -> None:
        for _ in range(5):
            fill(engine, 2)

    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.verify(engine) == 40


EDITS: list[dict[str, Any]] = [
    {"at": NOW + 1000},
    {"site": "other"},
    {"kind": "withdrawal"},
    {"consent_id": "somebody"},
    {"body": '{"choice":"reject_all"}'},
    {"body": '{"choice": "accept_all","nr":5,"taal":"é€"}'},
    {"previous": "f" * 64},
    {"hash": "f" * 64},
    {"sequence": 100},
]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_any_column_shows(engine: Engine, edit: dict[str, Any]) -> None:
    """Whichever column of an entry is changed, the chain is broken, and at that entry at the latest at the next."""
    fill(engine)
    with transaction(engine) as connection:
        connection.execute(update(LEDGER).where(LEDGER.c.sequence == 6).values(**edit))
    with pytest.raises(LedgerBroken) as caught:
        ledger.verify(engine)
    assert caught.value.sequence in (6, 7)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, Rows]:
    """One SQLite ledger for all random attacks, and its rows before them."""
    engine = open_migrated(tmp_path_factory.mktemp("ledger") / "gateway.db")
    fill(engine)
    return engine, read_rows(engine)


def tamper(rows: Rows, dice: random.Random) -> Rows:
    """One random attack: edit, cut out, put in twice, exchange two, or write an entry's hash anew after an edit."""
    rows = [dict(row) for row in rows]
    at = dice.randrange(len(rows))
    attack = dice.choice(("edit", "cut", "twice", "exchange", "rehash"))
    if attack == "cut":
        gone = rows.pop(min(at, COUNT - 2))  # the last one alone leaves a whole chain, if a shorter one
        if dice.random() < 0.5:  # ... and close the gap in the numbers
            for row in rows[gone["sequence"] - 1 :]:
                row["sequence"] -= 1
    elif attack == "twice":
        copy = {**rows[at], "sequence": len(rows) + 1}
        rows.append(copy)
    elif attack == "exchange":
        other = (at + 1 + dice.randrange(COUNT - 1)) % COUNT
        rows[at]["sequence"], rows[other]["sequence"] = rows[other]["sequence"], rows[at]["sequence"]
    else:
        at = min(at, COUNT - 2) if attack == "rehash" else at
        row, column = rows[at], dice.choice(("body", "site", "kind", "consent_id"))
        row[column] = f"{row[column] or ''}x"
        if attack == "rehash":
            fields = (row["sequence"], row["at"], row["site"], row["kind"], row["consent_id"], row["body"])
            row["hash"] = ledger._digest(*fields, row["previous"])
    return rows


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(min_value=0))
def test_every_random_attack_shows(chain: tuple[Engine, Rows], seed: int) -> None:
    """Edits, cuts, doubles, exchanges and forged hashes inside the chain are all found."""
    engine, rows = chain
    write_rows(engine, tamper(rows, random.Random(seed)))
    with pytest.raises(LedgerBroken):
        ledger.verify(engine)


def test_a_cut_tail_shows_in_the_count(chain: tuple[Engine, Rows]) -> None:
    """The chain alone cannot tell that its end is missing; the number that `verify` gives can."""
    engine, rows = chain
    write_rows(engine, rows[:-2])
    assert ledger.verify(engine) == COUNT - 2
