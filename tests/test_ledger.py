"""The ledger is append-only in fact: whatever is changed, taken out, put in or moved afterwards shows."""

import math
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, update

from gateway import ledger
from gateway.database import LEDGER, reading, transaction
from gateway.errors import LedgerBroken
from gateway.ledger import GENESIS, LedgerEntry
from tests.example_site import NOW
from tests.migrated import open_migrated

COUNT = 12
Rows = list[dict[str, Any]]
Attack = Callable[[list[LedgerEntry], random.Random], list[LedgerEntry]]


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


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


# ------------------------------------------------- against signed heads: the end counts too, and forgers may hash anew

LENGTH, ATTACKS = 40, 10_000
HEADS_AT = (1, 9, 26, LENGTH)
FIELDS = ("sequence", "at", "site", "kind", "consent_id", "body", "previous", "hash")


def chained(chain: list[LedgerEntry], start: int = 1) -> list[LedgerEntry]:
    """The chain with numbers and hashes made anew, as a forger does who knows how: whole in itself."""
    previous, fresh = GENESIS, []
    for number, entry in enumerate(chain, start):
        entry = msgspec.structs.replace(entry, sequence=number, previous=previous)
        entry = msgspec.structs.replace(entry, hash=ledger._digest_of(entry))
        previous = entry.hash
        fresh.append(entry)
    return fresh


def make_chain() -> list[LedgerEntry]:
    entries = []
    for number in range(1, LENGTH + 1):
        consent_id = None if number % 3 == 0 else f"consent{number % 5}"
        body = f'{{"choice":"save","nr":{number},"taal":"é€"}}'
        entries.append(LedgerEntry(number, NOW + number / 7, "main", "choice", consent_id, body, "", ""))
    return chained(entries)


CHAIN = make_chain()
HEADS = {number: CHAIN[number - 1].hash for number in HEADS_AT}


def changed(value: Any, dice: random.Random) -> Any:
    """Another value of the same kind, as little different as can be."""
    if value is None:
        return ""
    if isinstance(value, int):
        return value + dice.choice((-1, 1))
    if isinstance(value, float):
        return math.nextafter(value, dice.choice((-math.inf, math.inf)))
    at = dice.randrange(len(value))
    other = chr((ord(value[at]) + dice.randrange(1, 90)) % 127)
    return dice.choice(
        (value[:at] + other + value[at + 1 :], value[:at] + value[at + 1 :], value[:at] + other + value[at:])
    )


def edit(chain: list[LedgerEntry], dice: random.Random) -> list[LedgerEntry]:
    at, field = dice.randrange(LENGTH), dice.choice(FIELDS)
    chain[at] = msgspec.structs.replace(chain[at], **{field: changed(getattr(chain[at], field), dice)})
    if dice.random() < 0.3:
        chain[at] = msgspec.structs.replace(chain[at], hash=ledger._digest_of(chain[at]))
    return chain


def cut(chain: list[LedgerEntry], dice: random.Random) -> list[LedgerEntry]:
    """Out of the middle, off the beginning, off the end, or everything."""
    first, last = sorted(dice.choices(range(LENGTH + 1), k=2))
    return chain[:first] + chain[max(last, first + 1) :]


def cut_end(chain: list[LedgerEntry], dice: random.Random) -> list[LedgerEntry]:
    return chain[: dice.randrange(LENGTH)]


def swap(chain: list[LedgerEntry], dice: random.Random) -> list[LedgerEntry]:
    one, other = dice.sample(range(LENGTH), 2)
    chain[one], chain[other] = chain[other], chain[one]
    return chain


def insert(chain: list[LedgerEntry], dice: random.Random) -> list[LedgerEntry]:
    """A double, or one that never was, anywhere before the end."""
    new = dice.choice(chain)
    if dice.random() < 0.5:
        new = msgspec.structs.replace(new, body='{"choice":"accept_all"}', at=new.at + 1)
    chain.insert(dice.randrange(LENGTH), new)
    return chain


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("attack", [edit, cut, cut_end, swap, insert])
def test_ten_thousand_attacks_all_show(attack: Attack, anew: bool) -> None:
    """Edits, cuts, exchanges and insertions, left as they are or with every hash after them made anew, are all found."""
    dice = random.Random(f"{attack.__name__}{anew}")
    found = 0
    for _ in range(ATTACKS // 10):
        forged = attack(list(CHAIN), dice)
        if anew:
            forged = chained(forged)
        if forged == CHAIN:  # an edited number or hash, and then made anew: nothing has happened
            found += 1
            continue
        try:
            ledger.verify_chain(forged, HEADS)
        except LedgerBroken:
            found += 1
    assert found == ATTACKS // 10


def test_without_heads_a_forger_who_hashes_anew_goes_unseen() -> None:
    """What the heads are for: a cut end, and a chain written anew, are whole in themselves."""
    forged = chained(CHAIN[:5] + CHAIN[6:])
    assert ledger.verify_chain(forged) == LENGTH - 1
    assert ledger.verify_chain(CHAIN[:-1]) == LENGTH - 1
    assert ledger.verify_chain(CHAIN, HEADS) == LENGTH


def test_what_came_after_the_last_head_may_be_missing() -> None:
    """The limit of it: heads speak of what was there when they were signed, up to a minute ago."""
    early = {number: hash for number, hash in HEADS.items() if number < LENGTH}
    assert ledger.verify_chain(CHAIN[: max(early)], early) == max(early)
    with pytest.raises(LedgerBroken, match="the end was cut off; a signed head knows 26 entries"):
        ledger.verify_chain(CHAIN[: max(early) - 1], early)


def test_heads_hold_in_the_database_too(engine: Engine) -> None:
    """Rows cut off or written anew in the database itself are found against the heads of before."""
    fill(engine)
    rows = read_rows(engine)
    heads = {4: rows[3]["hash"], COUNT: rows[-1]["hash"]}
    assert ledger.verify(engine, heads) == COUNT
    write_rows(engine, rows[:-1])
    with pytest.raises(LedgerBroken, match=f"entry {COUNT}: is missing: the end was cut off"):
        ledger.verify(engine, heads)
    forged = chained([LedgerEntry(**row) for row in rows[:2] + rows[3:]])
    write_rows(engine, [msgspec.structs.asdict(entry) for entry in forged])
    assert ledger.verify(engine) == COUNT - 1
    with pytest.raises(LedgerBroken, match="entry 4: is not the one whose hash was signed"):
        ledger.verify(engine, heads)


@pytest.mark.parametrize("value", [b"\xff\xfe", b"bytes", 7])
def test_what_no_entry_holds_is_a_finding_not_a_crash(tmp_path: Path, value: object) -> None:
    """SQLite stores anything anywhere: bytes or broken text in a column are reported as any other change."""
    engine = open_migrated(tmp_path / "gateway.db")
    fill(engine)
    with transaction(engine) as connection:
        statement = "UPDATE ledger SET body = CAST(? AS TEXT)" if value == b"\xff\xfe" else "UPDATE ledger SET body = ?"
        connection.exec_driver_sql(f"{statement} WHERE sequence = 6", (value,))
    with pytest.raises(LedgerBroken, match="ledger entry"):
        ledger.verify(engine)
    engine.dispose()


def test_an_export_verifies_as_the_database_does(engine: Engine) -> None:
    """The lines of an export are enough to follow the chain; a line that is no entry is named."""
    fill(engine)
    lines = [msgspec.json.encode(entry) for entry in ledger.entries(engine)]
    assert ledger.verify_chain(ledger.read_export(lines)) == COUNT == ledger.count_entries(engine)
    with pytest.raises(LedgerBroken, match="ledger entry 3: is no entry"):
        ledger.verify_chain(ledger.read_export([*lines[:2], b"{}", *lines[3:]]))


def test_single_entries_are_found(engine: Engine) -> None:
    """The chain's end and any entry by its number; nothing where nothing is."""
    assert ledger.find_newest(engine) is None
    fill(engine)
    newest, third = ledger.find_newest(engine), ledger.find_entry(engine, 3)
    assert newest is not None
    assert third is not None
    assert (newest.sequence, third.sequence, ledger.find_entry(engine, 99)) == (COUNT, 3, None)
