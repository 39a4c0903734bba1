"""Who asks to be forgotten is: here at once, and at every destination with a receipt."""

from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine, select, update

from gateway import ledger
from gateway.config import Config
from gateway.consent.decision import Choice
from gateway.consent.tombstones import open_tombstones
from gateway.database import BEHAVIOUR, OUTBOX, PEOPLE, reading, transaction
from gateway.destinations.base import Notice
from gateway.destinations.behaviour import note_behaviour
from gateway.destinations.known_people import learn
from gateway.destinations.outbox import add_deliveries, pass_on
from gateway.event import Person, Recorded
from gateway.flows.choose import Said, choose
from gateway.flows.erase import count_known, erase
from tests.destinations.pardot_parts import EMAIL
from tests.destinations.rows import make_delivery, make_event
from tests.example_site import NOW, write_site

DESTINATIONS = """
[[destinations]]
name = "pardot"
kind = "pardot"
url = "https://pi.pardot.com/api/v5"
secret = "env:X"
purposes = ["marketing"]
events = ["download", "marketing.signal"]
include_email = true
[[destinations]]
name = "hook"
kind = "webhook"
url = "https://crm.example.org/"
secret = "env:X"
purposes = ["analytics"]
[[signals]]
name = "loads"
purposes = ["marketing"]
event = "download"
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The example site with a destination that tells of people, and one that does not."""
    (tmp_path / "destinations.toml").write_text(DESTINATIONS)
    return write_site(tmp_path)


def agree(config: Config, engine: Engine, email: str, event_id: str) -> Choice:
    """Somebody agrees, gives an address, does something, and has a delivery waiting."""
    said = Said("accept_all", frozenset(), "nl", "banner")
    choice = choose(said, None, config.sites[0], config, engine, NOW).choice
    entry = Recorded(make_event(kind="download"), choice.consent_id, 1, ("analytics", "marketing"), Person(email))
    with transaction(engine) as connection:
        learn(connection, [entry], config.destinations)
        note_behaviour(connection, entry, config.signals)
        add_deliveries(connection, [make_delivery(event_id, choice.consent_id)], NOW)
    return choice


@pytest.mark.parametrize("by", ["email", "id"])
def test_everything_of_a_person_goes_and_everybody_is_told(engine: Engine, config: Config, by: str) -> None:
    """By address or consent: queue, address and behaviour are gone, the cookie grants nothing, each destination gets a notice,
    with the address only where it was told; somebody else's things stay."""
    mine, other = agree(config, engine, EMAIL, "e1"), agree(config, engine, "other@example.org", "e2")
    who = EMAIL.upper() if by == "email" else mine.consent_id
    assert erase(config, engine, who, "anke", NOW + 1) == [mine.consent_id]
    with reading(engine) as connection:
        rows = {(row.kind, row.destination, row.consent_id): row for row in connection.execute(select(OUTBOX))}
        left = [set(connection.execute(select(table.c.consent_id)).scalars()) for table in (PEOPLE, BEHAVIOUR)]
    assert left == [{other.consent_id}] * 2
    assert rows["event", "hook", None].state == "cancelled"
    assert rows["event", "hook", None].reason == "erased"
    assert rows["event", "hook", other.consent_id].state == "queued"
    notices = {
        name: msgspec.json.decode(rows["erasure", name, mine.consent_id].payload, type=Notice)
        for name in ("pardot", "hook")
    }
    assert {name: (one.kind, one.email) for name, one in notices.items()} == {
        "pardot": ("erasure", EMAIL),
        "hook": ("erasure", ""),
    }
    tombstones = open_tombstones(engine)
    assert tombstones.floor(mine.consent_id) > mine.revision
    assert tombstones.floor(other.consent_id) <= other.revision
    tombstones.close()
    [record] = [entry for entry in ledger.find_by_consent(engine, mine.consent_id) if entry.kind == "erasure"]
    assert msgspec.json.decode(record.body)["operator"] == "anke"
    assert EMAIL not in record.body


def test_every_address_of_a_person_is_erased(engine: Engine, config: Config) -> None:
    """By any of those that were given under a consent, one that only a notice has still among them: all are named."""
    mine = agree(config, engine, EMAIL, "e1")
    entry = Recorded(
        make_event(kind="download"), mine.consent_id, 1, ("analytics", "marketing"), Person("b@example.org")
    )
    choose(Said("save", frozenset({"analytics"}), "nl", "banner"), mine, config.sites[0], config, engine, NOW)
    again = choose(Said("accept_all", frozenset(), "nl", "banner"), mine, config.sites[0], config, engine, NOW).choice
    with transaction(engine) as connection:
        learn(connection, [msgspec.structs.replace(entry, revision=again.revision)], config.destinations)
    assert again.consent_id == mine.consent_id
    assert erase(config, engine, EMAIL, "anke", NOW + 1) == [mine.consent_id]
    with reading(engine) as connection:
        query = select(OUTBOX.c.destination, OUTBOX.c.payload).where(OUTBOX.c.kind == "erasure")
        told = [
            (row.destination, msgspec.json.decode(row.payload, type=Notice).email) for row in connection.execute(query)
        ]
    assert sorted(told) == [("hook", ""), ("pardot", EMAIL), ("pardot", "b@example.org")]


def test_who_is_not_known_is_nobody(engine: Engine, config: Config) -> None:
    """Nothing happens; and who is erased twice is told of twice."""
    mine = agree(config, engine, EMAIL, "e1")
    assert erase(config, engine, "nobody@example.org", "anke", NOW) == []
    assert erase(config, engine, mine.consent_id, "anke", NOW) == [mine.consent_id]
    assert erase(config, engine, EMAIL, "anke", NOW) == []
    assert erase(config, engine, mine.consent_id, "anke", NOW) == [mine.consent_id]


@pytest.mark.parametrize("state", ["queued", "dead"])
def test_who_withdrew_is_found_by_what_could_not_be_told_yet(engine: Engine, config: Config, state: str) -> None:
    """A notice of the withdrawal has the address still: so the erasure finds its consent and reaches the destination with it,
    and a notice that was given up keeps neither address nor consent; one that waits is told first."""
    mine = agree(config, engine, EMAIL, "e1")
    choose(Said("reject_all", frozenset(), "nl", "banner"), mine, config.sites[0], config, engine, NOW + 1)
    pardots = OUTBOX.c.destination == "pardot"
    with transaction(engine) as connection:
        connection.execute(update(OUTBOX).where(pardots).values(state=state))
    assert count_known(engine, EMAIL) == 1
    assert erase(config, engine, EMAIL, "anke", NOW + 2) == [mine.consent_id]
    with reading(engine) as connection:
        told = connection.execute(select(OUTBOX).where(pardots).order_by(OUTBOX.c.id)).all()
    withdrawal, erasure = told
    assert (erasure.kind, msgspec.json.decode(erasure.payload, type=Notice).email) == ("erasure", EMAIL)
    if state == "queued":
        assert (withdrawal.state, withdrawal.consent_id) == ("queued", mine.consent_id)
    else:
        assert (withdrawal.state, withdrawal.reason) == ("cancelled", "erased")
        assert (withdrawal.payload, withdrawal.consent_id) == (None, None)


def test_nothing_is_left_at_a_destination_that_is_no_longer_configured(
    engine: Engine, tmp_path: Path, config: Config
) -> None:
    """I9: its queue and dead letters are emptied too, and a notice of the withdrawal that nobody there can be told of; the
    ledger says that it was never told."""
    mine = agree(config, engine, EMAIL, "e1")
    with transaction(engine) as connection:
        more = [make_delivery(event_id, mine.consent_id, destination="pardot") for event_id in ("e2", "e3")]
        add_deliveries(connection, more, NOW)
        connection.execute(update(OUTBOX).where(OUTBOX.c.event_id == "e3").values(state="dead", settled_at=NOW))
        notice = Notice("n1", "withdrawal", "main", "", ("marketing",), NOW, EMAIL)
        pass_on(connection, notice, mine.consent_id, "pardot", NOW)
    (tmp_path / "destinations.toml").write_text(
        DESTINATIONS[DESTINATIONS.index("[[destinations]]", 30) :].split("[[signals]]")[0]
    )
    without = write_site(tmp_path)
    assert [one.name for one in without.destinations] == ["hook"]
    assert erase(without, engine, EMAIL, "anke", NOW + 1) == [mine.consent_id]
    with reading(engine) as connection:
        rows = connection.execute(select(OUTBOX).where(OUTBOX.c.destination == "pardot")).all()
    assert {row.event_id: (row.state, row.reason) for row in rows} == dict.fromkeys(
        ("e2", "e3", "n1"), ("cancelled", "erased")
    )
    assert all(row.payload is None and row.consent_id is None for row in rows)
    entries = ledger.find_by_consent(engine, mine.consent_id)
    [receipt] = [msgspec.json.decode(entry.body) for entry in entries if entry.kind == "passed_on"]
    assert (receipt["destination"], receipt["asked"], receipt["answer"]) == ("pardot", "nothing", "erased")


def test_who_takes_statistics_back_leaves_nothing_waiting_anywhere(engine: Engine, config: Config) -> None:
    """What waits for a destination that is no longer configured is cancelled with the rest."""
    mine = agree(config, engine, EMAIL, "e1")
    with transaction(engine) as connection:
        add_deliveries(connection, [make_delivery("e2", mine.consent_id, destination="gone")], NOW)
    choose(Said("reject_all", frozenset(), "nl", "banner"), mine, config.sites[0], config, engine, NOW + 1)
    with reading(engine) as connection:
        rows = connection.execute(select(OUTBOX).where(OUTBOX.c.kind == "event")).all()
    assert {(row.event_id, row.state, row.reason) for row in rows} == {
        (e, "cancelled", "withdrawn") for e in ("e1", "e2")
    }
