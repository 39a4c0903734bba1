"""An address is told only to those that may know it, only under a consent that covers it, and goes with that consent."""

from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine, select

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import Journal
from gateway.config import Config
from gateway.database import OUTBOX, PEOPLE, reading, transaction
from gateway.destinations.attempts import Rules, start
from gateway.destinations.base import PersonalEvent
from gateway.destinations.known_people import find_people, learn, prune_people
from gateway.destinations.outbox import Started, lease
from gateway.event import Person, Recorded
from gateway.flows.build_deliveries import build_personal
from gateway.flows.choose import Said, choose
from gateway.flows.drain import drain_once
from tests.destinations.pardot_parts import EMAIL, make_pardot_config
from tests.destinations.rows import NOW, grant, look, make_config, make_delivery, make_event, put_consent, queue
from tests.example_site import write_site

PERSONAL = make_pardot_config(events=("page_view", "download"), cookies=("visitor_id1",), options={"account": 1})
HOOK = make_config("hook", events=("page_view", "download"))
BOTH = ("analytics", "marketing")


def record(
    kind: str = "download", email: str = "", consent_id: str = "c1", granted: tuple[str, ...] = BOTH, revision: int = 1
) -> Recorded:
    """An event, with an address or without."""
    person = Person(email, {"visitor_id1": "7", "other": "8"}) if email else None
    return Recorded(make_event(kind=kind), consent_id, revision, granted, person)


def people(engine: Engine) -> dict[str, str]:
    """Everybody who is known."""
    with reading(engine) as connection:
        return {row.consent_id: row.email for row in connection.execute(select(PEOPLE))}


def test_an_address_goes_only_where_it_may_be_known(tmp_path: Path, engine: Engine) -> None:
    """In the outbox of a destination that tells of people, with the cookies that it names; in no other's, nor in the store."""
    grant(engine, "c1")
    journal = Journal(tmp_path)
    for entry in (record("page_view"), record(email=EMAIL), record("page_view")):
        journal.append(entry)
    journal.close()
    store = DuckDBStore(tmp_path / "events.duckdb")
    drain_once(tmp_path, store, engine, [HOOK, PERSONAL], NOW)
    store.close()
    with reading(engine) as connection:
        rows = connection.execute(select(OUTBOX.c.destination, OUTBOX.c.payload).order_by(OUTBOX.c.id)).all()
    told = [msgspec.json.decode(row.payload, type=PersonalEvent).person for row in rows if row.destination == "pardot"]
    assert told == [Person(EMAIL, {"visitor_id1": "7"}), Person(EMAIL)]
    others = [row.payload for row in rows if row.destination == "hook"]
    assert len(others) == 3
    assert not any(EMAIL.encode() in payload for payload in others)
    assert EMAIL.encode() not in (tmp_path / "events.duckdb").read_bytes()
    assert people(engine) == {"c1": EMAIL}


def test_events_of_nobody_known_and_of_no_consent_are_not_told() -> None:
    """Before the address, under analytics alone, of another consent: none of it is joined to a person."""
    entries = [record("page_view"), record(email=EMAIL, granted=("analytics",)), record(consent_id="c2")]
    assert build_personal("s", list(enumerate(entries)), [PERSONAL], {}) == []
    [(number, made)] = build_personal("s", [(5, record("page_view"))], [PERSONAL], {"c1": EMAIL})
    assert (number, made.destination, made.consent_id) == (5, "pardot", "c1")


@pytest.mark.parametrize(
    ("grants", "known"),
    [
        ({"marketing": ("bbbbbbbbbbbb", 1)}, {"c1": EMAIL}),
        ({"marketing": ("bbbbbbbbbbbb", 2)}, {}),
        ({"analytics": ("aaaaaaaaaaaa", 1)}, {}),
        ({}, {}),
    ],
)
def test_what_was_taken_back_meanwhile_is_not_learnt(
    engine: Engine, grants: dict[str, tuple[str, int]], known: dict[str, str]
) -> None:
    """An address that waits in a journal when its consent goes, or is given anew later, is not kept."""
    with transaction(engine) as connection:
        put_consent(connection, "c1", grants)
        learn(connection, [record(email=EMAIL), record(email=EMAIL, consent_id="unknown")], [PERSONAL, HOOK])
    assert people(engine) == known


def test_an_address_that_is_given_on_a_withheld_path_is_not_learnt(tmp_path: Path, engine: Engine) -> None:
    """Who gives it on a page of which a destination is never told is nobody there, then and later."""
    grant(engine, "c1")
    kept = msgspec.structs.replace(PERSONAL, never_forward=("/dossier/",))
    given = Recorded(make_event(kind="download", path="/dossier/:id"), "c1", 1, BOTH, Person(EMAIL))
    journal = Journal(tmp_path)
    for entry in (given, record("page_view")):
        journal.append(entry)
    journal.close()
    store = DuckDBStore(tmp_path / "events.duckdb")
    drain_once(tmp_path, store, engine, [kept], NOW)
    store.close()
    with reading(engine) as connection:
        assert connection.execute(select(OUTBOX)).all() == []
    assert people(engine) == {}


def test_an_address_goes_with_its_consent(tmp_path: Path, engine: Engine) -> None:
    """A withdrawal drops it in its own transaction, after it has put it into the notice for those who were told, and them
    alone; taking back another purpose keeps it."""
    config = make_site(tmp_path)
    site = config.sites[0]
    agreed = choose(Said("accept_all", frozenset(), "nl", "banner"), None, site, config, engine, NOW).choice
    with transaction(engine) as connection:
        learn(connection, [record(email=EMAIL, consent_id=agreed.consent_id)], config.destinations)
    part = choose(Said("save", frozenset({"marketing"}), "nl", "banner"), agreed, site, config, engine, NOW).choice
    assert people(engine) == {agreed.consent_id: EMAIL}
    choose(Said("reject_all", frozenset(), "nl", "banner"), part, site, config, engine, NOW)
    assert people(engine) == {}
    with reading(engine) as connection:
        query = select(OUTBOX.c.destination, OUTBOX.c.payload).where(OUTBOX.c.kind == "withdrawal")
        emails = {
            row.destination: msgspec.json.decode(row.payload).get("email", "") for row in connection.execute(query)
        }
    assert emails == {"pardot": EMAIL, "crm": ""}


def test_who_gave_several_addresses_takes_all_of_them_back(tmp_path: Path, engine: Engine) -> None:
    """Events are of the address that was given last; each destination that was told of any hears of every one's end."""
    config = make_site(tmp_path)
    site = config.sites[0]
    agreed = choose(Said("accept_all", frozenset(), "nl", "banner"), None, site, config, engine, NOW).choice
    first, second = record(email=EMAIL), record(email="work@example.org")
    later = msgspec.structs.replace(second, event=msgspec.structs.replace(second.event, at=NOW + 5))
    entries = [msgspec.structs.replace(one, consent_id=agreed.consent_id) for one in (later, first, later)]
    with transaction(engine) as connection:
        learn(connection, entries, config.destinations)
        assert find_people(connection, [agreed.consent_id]) == {agreed.consent_id: "work@example.org"}
    choose(Said("reject_all", frozenset(), "nl", "banner"), agreed, site, config, engine, NOW)
    assert people(engine) == {}
    with reading(engine) as connection:
        query = select(OUTBOX.c.destination, OUTBOX.c.payload).where(OUTBOX.c.kind == "withdrawal")
        told = [
            (row.destination, msgspec.json.decode(row.payload).get("email", "")) for row in connection.execute(query)
        ]
    assert sorted(told) == [("crm", ""), ("pardot", EMAIL), ("pardot", "work@example.org")]


def test_what_was_counted_is_told_to_nobody_once_the_counting_is_taken_back(tmp_path: Path, engine: Engine) -> None:
    """Marketing alone is no ground for telling what was recorded under statistics: what waits is cancelled, what comes late out
    of a journal never starts, and nobody is told of a withdrawal of marketing, which holds for what comes after."""
    config = make_site(tmp_path)
    site = config.sites[0]
    agreed = choose(Said("accept_all", frozenset(), "nl", "banner"), None, site, config, engine, NOW).choice
    names = {"site": site.id, "destination": "crm"}
    queue(engine, make_delivery("waits", agreed.consent_id, **names), now=NOW)
    part = choose(Said("save", frozenset({"marketing"}), "nl", "banner"), agreed, site, config, engine, NOW).choice
    late = make_delivery("late", agreed.consent_id, revision=agreed.revision, **names)
    queue(engine, late, make_delivery("after", part.consent_id, revision=part.revision, **names), now=NOW)
    rules = Rules(("marketing",), {site.id: site.policy.scopes}, 9)
    with transaction(engine) as connection:
        leased = [row.id for row in lease(connection, "crm", "a", 9, NOW, 60)]
        outcomes = start(connection, leased, "a", rules, NOW)
    reasons = {row.event_id: (row.state, row.reason) for row in look(engine)}
    assert reasons == {
        "waits": ("cancelled", "withdrawn"),
        "late": ("cancelled", "granted_later"),
        "after": ("started", ""),
    }
    assert [isinstance(one, Started) for one in outcomes] == [False, True]


def test_who_is_not_heard_of_is_forgotten(engine: Engine) -> None:
    """Addresses go in the end by themselves."""
    grant(engine, "c1")
    with transaction(engine) as connection:
        learn(connection, [record(email=EMAIL)], [PERSONAL])
        assert prune_people(connection, NOW) == 0
        assert prune_people(connection, NOW + 1) == 1
        assert find_people(connection, ["c1"]) == {}


def make_site(folder: Path) -> Config:
    """The example site with a destination that tells of people, and one that does not."""
    (folder / "destinations.toml").write_text(
        '[[destinations]]\nname = "pardot"\nkind = "pardot"\nurl = "https://pi.pardot.com/api/v5"\nsecret = "env:X"\n'
        'purposes = ["marketing"]\ninclude_email = true\n'
        '[[destinations]]\nname = "crm"\nkind = "webhook"\nurl = "https://crm.example.org/"\nsecret = "env:X"\n'
        'purposes = ["marketing"]\n'
    )
    return write_site(folder)
