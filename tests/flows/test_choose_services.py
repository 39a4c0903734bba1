"""Choices about single services: recorded, kept, added to, and taken back with all that hangs on them."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, func, select

from gateway import ledger
from gateway.config import Config
from gateway.consent.decision import UNDECIDED, Choice, Decision, decide
from gateway.database import CONSENTS, LEDGER, OUTBOX, TOMBSTONES, reading, transaction
from gateway.destinations.attempts import Rules, start
from gateway.destinations.base import Notice
from gateway.destinations.known_people import find_people, learn
from gateway.destinations.outbox import Delivery, add_deliveries, lease
from gateway.event import Person, Recorded
from gateway.flows.build_deliveries import is_wanted
from gateway.flows.choose import Chosen, Said, choose
from tests.destinations.rows import make_event
from tests.example_site import NOW, POLICY_TOML, write_site

DESTINATION = """
[[destinations]]
name = "cijfers"
kind = "webhook"
url = "https://cijfers.example.org/"
secret = "env:CRM"
purposes = ["analytics"]
"""
POLICY = (
    POLICY_TOML
    + """
[[services]]
id = "own_statistics"
purpose = "analytics"
name = "Eigen statistiek"
[[services]]
id = "kaart"
purpose = "marketing"
name = "Kaart"
hosts = ["kaart.example.net"]
"""
)
SERVICES = {"counter", "own_statistics", "video", "kaart"}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The example site with a second service under each purpose, and one receiver."""
    (tmp_path / "destinations.toml").write_text(DESTINATION)
    return write_site(tmp_path, policy=POLICY)


class Visitor:
    """Somebody with one browser who makes choices one after the other."""

    def __init__(self, config: Config, engine: Engine) -> None:
        self._config, self._engine, self._site = config, engine, config.sites[0]
        self.choice: Choice | None = None

    def decide(self, now: float = NOW) -> Decision:
        """What the cookie grants, tombstones asked."""
        decision = decide(self.choice, "main", self._site.policy, now)
        floor = select(func.max(TOMBSTONES.c.revision)).where(TOMBSTONES.c.consent_id == decision.consent_id)
        with reading(self._engine) as connection:
            withdrawn = connection.execute(floor).scalar() or 0
        return UNDECIDED if decision.key and withdrawn > decision.revision else decision

    def say(self, choice: str, purposes: str = "", services: str | None = None, now: float = NOW) -> Chosen:
        """Press a button."""
        switched = None if services is None else frozenset(services.split())
        said = Said(choice, frozenset(purposes.split()), "nl", "banner", services=switched, held=self.decide(now))
        chosen = choose(said, self.choice, self._site, self._config, self._engine, now)
        self.choice = chosen.choice
        return chosen

    def record(self) -> dict[str, Any]:
        """The last entry of the ledger."""
        with reading(self._engine) as connection:
            body = connection.execute(select(LEDGER.c.body).order_by(LEDGER.c.sequence.desc()).limit(1)).scalar_one()
        return dict(msgspec.json.decode(body))


@pytest.fixture
def visitor(config: Config, engine: Engine) -> Visitor:
    """A visitor who comes for the first time."""
    return Visitor(config, engine)


def test_a_record_names_the_services_that_differ(visitor: Visitor, config: Config, engine: Engine) -> None:
    """The ledger says which services were granted and refused against their purpose, with their scopes; a choice without
    such services is recorded as ever."""
    chosen = visitor.say("save", "analytics", "counter own_statistics video")
    policy = config.sites[0].policy
    assert (chosen.outcome, visitor.decide().key) == ("partly", "analytics,+video")
    body = visitor.record()
    assert body["services"] == {"granted": ["video"], "refused": [], "withdrawn": []}
    assert body["service_scopes"] == {"video": policy.service_scopes["video"]}
    assert (body["granted"], body["refused"]) == (["analytics"], ["marketing"])
    visitor.say("save", "analytics marketing", "counter own_statistics kaart")
    assert visitor.record()["services"] == {"granted": [], "refused": ["video"], "withdrawn": ["video"]}
    assert visitor.decide().key == "analytics,marketing,-video"
    visitor.say("accept_all")
    assert not {"services", "service_scopes"} & visitor.record().keys()
    assert visitor.decide().find_services() == SERVICES
    assert ledger.verify(engine) == 3


def test_one_service_taken_back_ends_the_cookies_from_before(visitor: Visitor) -> None:
    """Taking back a single service leaves a tombstone, so that the former cookie grants it no more, and says what went."""
    visitor.say("accept_all")
    before = visitor.choice
    chosen = visitor.say("save", "analytics marketing", "counter own_statistics kaart")
    assert (chosen.withdrawn, sorted(chosen.withdrawn_services), chosen.outcome) == ((), ["video"], "partly")
    assert visitor.decide().key == "analytics,marketing,-video"
    visitor.choice = before
    assert visitor.decide() is UNDECIDED


def test_with_its_last_service_a_purpose_is_taken_back(visitor: Visitor) -> None:
    """A purpose of which every service is switched off is refused, and withdrawn when it was granted."""
    visitor.say("accept_all")
    chosen = visitor.say("save", "analytics marketing", "counter own_statistics")
    assert (sorted(chosen.granted), chosen.withdrawn) == (["analytics"], ("marketing",))
    assert visitor.record()["refused"] == ["marketing"]
    assert "services" not in visitor.record()


def test_allowing_one_service_answers_nothing_else(visitor: Visitor) -> None:
    """Always allow, before anything was answered: that service may act, all purposes are still asked, and an id is there
    to take it back with; taken back, nothing is left of it."""
    chosen = visitor.say("allow", services="video")
    decision = visitor.decide()
    assert (decision.key, decision.chosen, chosen.choice.answers) == ("+video", False, {})
    body = visitor.record()
    assert (body["choice"], body["granted"], body["refused"]) == ("allow", [], [])
    assert body["services"]["granted"] == ["video"]
    again = visitor.say("allow", services="kaart")
    assert (visitor.decide().key, again.choice.revision) == ("+kaart,+video", 2)
    gone = visitor.say("reject_all")
    assert (gone.outcome, sorted(gone.withdrawn_services)) == ("withdrawn", ["kaart", "video"])
    assert (visitor.decide().key, visitor.decide().chosen) == ("", True)


def test_allowing_one_service_keeps_what_was_answered(visitor: Visitor) -> None:
    """Always allow, after a choice: the answers stand, and last no longer than they would have; what is refused inside a
    granted purpose comes back."""
    visitor.say("save", "analytics marketing", "counter kaart")
    chosen = visitor.say("allow", services="video", now=NOW + 86_400)
    assert visitor.decide(NOW + 86_400).key == "analytics,marketing,-own_statistics"
    assert (chosen.choice.decided_at, chosen.withdrawn, chosen.withdrawn_services) == (int(NOW), (), frozenset())
    visitor.say("reject_all")
    visitor.say("allow", services="video")
    assert (visitor.decide().key, visitor.decide().chosen) == ("+video", True)


def test_allowing_brings_nothing_back_that_another_tab_took(visitor: Visitor, config: Config, engine: Engine) -> None:
    """One service more, posted while everything is withdrawn in another tab, grants that service and nothing else."""
    first = visitor.say("accept_all").choice
    held = visitor.decide()
    visitor.say("save", "analytics", "counter own_statistics")
    late = Said("allow", frozenset(), "nl", "placeholder", services=frozenset({"video"}), held=held)
    chosen = choose(late, first, config.sites[0], config, engine, NOW)
    assert chosen.granted == {"analytics"}


def test_without_counting_nothing_counted_is_delivered(visitor: Visitor, engine: Engine) -> None:
    """Switching off the gateway's own counting cancels what it counted before, and what is recorded under a former
    revision is never delivered under the purpose that is still granted."""
    choice = visitor.say("accept_all").choice
    row = Delivery("e" * 32, "cijfers", "main", choice.consent_id, 1, b"{}", NOW, NOW + 3600)
    with transaction(engine) as connection:
        add_deliveries(connection, [row], NOW)
    visitor.say("save", "analytics marketing", "counter video kaart")
    assert not visitor.decide().counts
    with reading(engine) as connection:
        assert connection.execute(select(OUTBOX.c.state, OUTBOX.c.reason).where(OUTBOX.c.kind == "event")).one() == (
            "cancelled",
            "withdrawn",
        )
        grants = msgspec.json.decode(connection.execute(select(CONSENTS.c.grants)).scalar_one())
    assert {name: revision for name, (_, revision) in grants.items()} == {
        "analytics": 2,
        "marketing": 2,
        "-own_statistics": 2,
    }


RECEIVERS = """
[[destinations]]
name = "kaarten"
kind = "webhook"
url = "https://kaart.example.net/"
secret = "env:CRM"
purposes = ["marketing"]
[[destinations]]
name = "mensen"
kind = "pardot"
url = "https://pi.pardot.com/api/v5"
secret = "env:CRM"
purposes = ["marketing"]
service = "kaart"
include_email = true
[[destinations]]
name = "crm"
kind = "webhook"
url = "https://crm.example.org/"
secret = "env:CRM"
purposes = ["marketing"]
"""


def test_a_receiver_that_is_switched_off_is_told_nothing(tmp_path: Path, engine: Engine) -> None:
    """Within a granted purpose too: what waits there is cancelled, the address is in the notice and gone here; nothing is
    queued while it is off; what happened before never starts, also after it is switched on again. Others hear on."""
    (tmp_path / "destinations.toml").write_text(RECEIVERS)
    config = write_site(tmp_path, policy=POLICY)
    site, visitor = config.sites[0], Visitor(config, engine)
    consent_id = visitor.say("accept_all").choice.consent_id

    def row(event_id: str, destination: str, revision: int) -> Delivery:
        return Delivery(event_id, destination, "main", consent_id, revision, b"{}", NOW, NOW + 3600)

    def told() -> set[str]:
        entry = Recorded(make_event(kind="download"), consent_id, 1, visitor.decide().name_grants())
        asking = [msgspec.structs.replace(one, events=("download",)) for one in config.destinations]
        return {one.name for one in asking if is_wanted(entry, one)}

    def states() -> dict[str, str]:
        with reading(engine) as connection:
            rows = connection.execute(select(OUTBOX.c.event_id, OUTBOX.c.state).where(OUTBOX.c.kind == "event")).all()
        return {row.event_id: row.state for row in rows}

    assert told() == {"kaarten", "mensen", "crm"}
    person = Recorded(make_event(kind="download"), consent_id, 1, ("analytics", "marketing"), Person("an@example.org"))
    with transaction(engine) as connection:
        learn(connection, [person], config.destinations)
        add_deliveries(connection, [row("k1", "kaarten", 1), row("m1", "mensen", 1), row("c1", "crm", 1)], NOW)
    visitor.say("save", "analytics marketing", "counter own_statistics video")
    assert visitor.decide().key == "analytics,marketing,-kaart"
    assert states() == {"k1": "cancelled", "m1": "cancelled", "c1": "queued"}
    assert told() == {"crm"}
    with transaction(engine) as connection:
        notices = connection.execute(
            select(OUTBOX.c.destination, OUTBOX.c.payload).where(OUTBOX.c.kind == "withdrawal")
        )
        said = {name: msgspec.json.decode(payload, type=Notice) for name, payload in notices}
        assert find_people(connection, [consent_id]) == {}
        learn(connection, [msgspec.structs.replace(person, revision=2)], config.destinations)
        assert find_people(connection, [consent_id]) == {}
    assert {name: (one.purposes, one.email) for name, one in said.items()} == {
        "kaarten": (("marketing",), ""),
        "mensen": (("marketing",), "an@example.org"),
    }
    visitor.say("accept_all")
    assert told() == {"kaarten", "mensen", "crm"}
    queue = [row("late", "kaarten", 1), row("new", "kaarten", 3)]
    with transaction(engine) as connection:
        add_deliveries(connection, queue, NOW)
        leased = [one.id for one in lease(connection, "kaarten", "a", 9, NOW, 60)]
        start(connection, leased, "a", Rules(("marketing",), {"main": site.policy.scopes}, 9), NOW)
    assert (states()["late"], states()["new"]) == ("cancelled", "started")


def test_with_its_purpose_a_receiver_is_told_of_once(tmp_path: Path, engine: Engine) -> None:
    """Taking back all is one withdrawal for a receiver, whether visitors know it by a service or not."""
    (tmp_path / "destinations.toml").write_text(RECEIVERS)
    visitor = Visitor(write_site(tmp_path, policy=POLICY), engine)
    visitor.say("accept_all")
    visitor.say("reject_all")
    with reading(engine) as connection:
        told = list(connection.execute(select(OUTBOX.c.destination).order_by(OUTBOX.c.destination)).scalars())
    assert told == ["crm", "kaarten", "mensen"]
