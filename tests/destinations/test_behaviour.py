"""Rules turn what a consenting visitor does into one signal, of nothing that the consent did not cover."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, select

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import Journal
from gateway.config import Config
from gateway.config_checks import check_signals
from gateway.database import BEHAVIOUR, OUTBOX, PEOPLE, SIGNALLED, reading, transaction
from gateway.destinations.base import PersonalEvent
from gateway.destinations.behaviour import matches, prune_behaviour
from gateway.errors import ConfigError
from gateway.event import SIGNAL, Person, Recorded
from gateway.flows.choose import Said, choose
from gateway.flows.drain import drain_once
from gateway.settings import DestinationConfig, SignalConfig
from tests.destinations.pardot_parts import EMAIL, make_pardot_config
from tests.destinations.rows import NOW, grant, make_config, make_event
from tests.example_site import write_site

DAY = 86_400.0
BOTH = ("analytics", "marketing")
READS = SignalConfig("reads", ("marketing",), topic="regelingen", pages=3)
LOADS = SignalConfig("loads", ("marketing",), event="download")
HOOK = make_config("hook", events=(SIGNAL,))
PERSONAL = make_pardot_config(events=(SIGNAL,), options={"activities": {SIGNAL: "Signal"}})


def view(path: str, day: float = 0, granted: tuple[str, ...] = BOTH, email: str = "", **changes: Any) -> Recorded:
    """Something that c1 does on a page."""
    person = Person(email) if email else None
    return Recorded(make_event(NOW + day * DAY, path=path, **changes), "c1", 1, granted, person)


def signals(
    folder: Path,
    engine: Engine,
    *entries: Recorded,
    consent: bool = True,
    destinations: Sequence[DestinationConfig] = (HOOK, PERSONAL),
) -> list[tuple[str, PersonalEvent]]:
    """Who is told of which signals after these entries, each drained by itself."""
    if consent:
        grant(engine, "c1")
    store = DuckDBStore(folder / "events.duckdb")
    for number, entry in enumerate(entries):
        journal = Journal(folder / str(number))
        journal.append(entry)
        journal.close()
        drain_once(folder / str(number), store, engine, destinations, NOW, [READS, LOADS])
    store.close()
    with reading(engine) as connection:
        rows = connection.execute(select(OUTBOX.c.destination, OUTBOX.c.payload).order_by(OUTBOX.c.id)).all()
    return [(row.destination, msgspec.json.decode(row.payload, type=PersonalEvent)) for row in rows]


def test_three_pages_make_one_signal(tmp_path: Path, engine: Engine) -> None:
    """The third different page of the topic makes it full; the same page twice, other topics and a fourth page do not count."""
    made = signals(tmp_path, engine, view("/a"), view("/a", 1), view("/x", 1, topic="anders"), view("/b", 2))
    assert made == []
    [(told, signal)] = signals(tmp_path / "2", engine, view("/c", 3), view("/d", 4))
    assert told == "hook"
    assert (signal.kind, signal.props, signal.path) == (SIGNAL, {"rule": "reads", "pages": "3"}, "/c")


def test_pages_that_never_leave_do_not_count_for_whom_they_are_kept_from(tmp_path: Path, engine: Engine) -> None:
    """A destination hears of no signal that such pages make full; another one does."""
    kept = msgspec.structs.replace(HOOK, name="kept", never_forward=("/dossier/",))
    pages = (view("/dossier/a"), view("/dossier/b", 1), view("/c", 2))
    made = signals(tmp_path, engine, *pages, destinations=(HOOK, kept))
    assert [told for told, _ in made] == ["hook"]
    made = signals(tmp_path / "2", engine, view("/d", 3), view("/e", 3.5), destinations=(HOOK, kept))
    assert [(told, signal.props["pages"]) for told, signal in made[1:]] == [("kept", "3")]


def test_a_path_that_masking_hid_counts_for_nobody(tmp_path: Path, engine: Engine) -> None:
    """It cannot be told from others any more, so it is not noted; nor is an address kept that is given there."""
    kept = msgspec.structs.replace(PERSONAL, name="kept", never_forward=("/dossier-",))
    pages = [view(f"/{number}/:id", number, email=EMAIL) for number in range(3)]
    hidden = [msgspec.structs.replace(one, kept_from=("kept",)) for one in pages]
    assert signals(tmp_path, engine, *hidden, destinations=(HOOK, kept)) == []
    with reading(engine) as connection:
        assert [connection.execute(select(table)).all() for table in (BEHAVIOUR, PEOPLE)] == [[], []]


def test_pages_of_longer_ago_do_not_count(tmp_path: Path, engine: Engine) -> None:
    """A week is a week; and after it, a destination hears of it again."""
    assert signals(tmp_path, engine, view("/a"), view("/b", 1), view("/c", 7.5)) == []
    again = [view(path, day) for day in (20, 28) for path in ("/a", "/b", "/c")]
    assert len(signals(tmp_path / "2", engine, *again)) == 2


def test_a_person_hears_nothing_of_before_the_consent(tmp_path: Path, engine: Engine) -> None:
    """What was read under analytics alone never counts; nor what is drained when the consent has gone."""
    early = [view(path, granted=("analytics",)) for path in ("/a", "/b")]
    assert signals(tmp_path, engine, *early, view("/c")) == []
    assert signals(tmp_path / "2", engine, consent=False) == []


def test_nothing_is_noted_without_a_consent(tmp_path: Path, engine: Engine) -> None:
    """Events that are drained after their consent has gone leave no trace."""
    assert signals(tmp_path, engine, *(view(path) for path in ("/a", "/b", "/c")), consent=False) == []
    assert left(engine) == (0, 0)


def test_a_person_is_told_of_once_the_address_is_known(tmp_path: Path, engine: Engine) -> None:
    """Three pages read before the address came are one signal then, with the address for Pardot and without it for others."""
    pages = [view(path) for path in ("/a", "/b", "/c")]
    made = signals(tmp_path, engine, *pages, view("/doc", 1, kind="download", topic="", email=EMAIL), view("/d", 2))
    told = [(name, signal.props["rule"], signal.person) for name, signal in made]
    assert sorted(told, key=str) == sorted(
        [
            ("hook", "reads", None),
            ("hook", "loads", None),
            ("pardot", "reads", Person(EMAIL)),
            ("pardot", "loads", Person(EMAIL)),
        ],
        key=str,
    )


def test_a_withdrawal_deletes_what_was_noted(tmp_path: Path, engine: Engine) -> None:
    """In its own transaction; and what is old goes by itself."""
    config = make_site(tmp_path)
    site = config.sites[0]
    agreed = choose(Said("accept_all", frozenset(), "nl", "banner"), None, site, config, engine, NOW).choice
    store = DuckDBStore(tmp_path / "events.duckdb")
    for folder in ("1", "2"):
        journal = Journal(tmp_path / folder)
        journal.append(msgspec.structs.replace(view("/a", kind="download"), consent_id=agreed.consent_id))
        journal.close()
        drain_once(tmp_path / folder, store, engine, config.destinations, NOW, config.signals)
    store.close()
    assert left(engine) == (2, 1)
    with transaction(engine) as connection:
        prune_behaviour(connection, NOW + 30 * DAY)
    assert left(engine) == (2, 1)
    choose(Said("reject_all", frozenset(), "nl", "banner"), agreed, site, config, engine, NOW)
    assert left(engine) == (0, 0)


def test_old_behaviour_goes(tmp_path: Path, engine: Engine) -> None:
    """No rule looks back further than 31 days."""
    signals(tmp_path, engine, view("/a", kind="download"))
    assert left(engine) == (1, 1)
    with transaction(engine) as connection:
        prune_behaviour(connection, NOW + 32 * DAY)
    assert left(engine) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "asked"),
    [({}, True), ({"topic": "anders"}, False), ({"kind": "download"}, False), ({"path": "/nieuws/a"}, False)],
)
def test_a_rule_asks_for_event_topic_and_path(changes: dict[str, Any], asked: bool) -> None:
    """All that it names must be so."""
    rule = SignalConfig("r", ("marketing",), topic="regelingen", path="/artikelen/")
    assert matches(rule, Recorded(make_event(**changes), "c1", 1, BOTH)) == asked
    assert not matches(rule, Recorded(make_event(), "c1", 1, ("analytics",)))
    elsewhere = SignalConfig("r", ("marketing",), site="elders")
    assert not matches(elsewhere, Recorded(make_event(), "c1", 1, BOTH))


def test_a_rule_that_nobody_could_hear_of_does_not_start() -> None:
    """A destination must ask for signals, and need no purpose that the rule does not."""
    deaf, wide = make_config(), make_config(events=(SIGNAL,), purposes=BOTH)
    check_signals((READS,), (deaf, HOOK), ["main"], "f")
    for rules, destinations in (((READS,), (deaf,)), ((READS,), (wide,)), ((READS, READS), (HOOK,))):
        with pytest.raises(ConfigError):
            check_signals(rules, destinations, ["main"], "f")


def test_a_rule_of_a_site_that_does_not_exist_does_not_start() -> None:
    """It would never come true, and nobody would know why: the sites that there are stand in the message."""
    rule = SignalConfig("r", ("marketing",), site="winkel")
    check_signals((rule,), (HOOK,), ["main", "winkel"], "f")
    with pytest.raises(ConfigError, match="is no site; known: main, elders"):
        check_signals((rule,), (HOOK,), ["main", "elders"], "f")


def left(engine: Engine) -> tuple[int, int]:
    """How many rows are noted, and how many signals told."""
    with reading(engine) as connection:
        return len(connection.execute(select(BEHAVIOUR)).all()), len(connection.execute(select(SIGNALLED)).all())


def make_site(folder: Path) -> Config:
    """The example site with a rule."""
    (folder / "destinations.toml").write_text(
        '[[destinations]]\nname = "hook"\nkind = "webhook"\nurl = "https://crm.example.org/"\nsecret = "env:X"\n'
        'purposes = ["marketing"]\nevents = ["marketing.signal"]\n'
        '[[signals]]\nname = "loads"\npurposes = ["marketing"]\nevent = "download"\n'
    )
    return write_site(folder)
