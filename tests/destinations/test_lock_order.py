"""Nodes that share a PostgreSQL never wait for each other in a circle: one is half-way through, the other comes in between."""

import threading
from collections.abc import Callable

from sqlalchemy import Engine, update

from gateway import ledger
from gateway.database import OUTBOX, reading, transaction
from gateway.destinations.base import Notice
from gateway.destinations.dead_letters import redrive
from gateway.destinations.figures import get_standing, set_paused
from gateway.destinations.outbox import ERASURE, NotStarted, lease, pass_on, withdraw
from gateway.destinations.upkeep import drop_notices, expire_overdue
from tests.conftest import empty_tables
from tests.destinations.rows import NOW, SCOPES, SITE, grant, look, make_delivery, queue, start

LATE = NOW + 100 * 86_400


class Beside:
    """Another node at work meanwhile: made once it has come as far as it can. `end`: it is done, and was not thrown out."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.errors: list[BaseException] = []
        self.thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self.thread.start()
        self.thread.join(0.4)
        self.waits = self.thread.is_alive()

    def _run(self, work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            self.errors.append(error)

    def end(self) -> None:
        """Wait for its end."""
        self.thread.join(60)
        assert not self.thread.is_alive()
        assert not self.errors


def pause(engine: Engine) -> None:
    """An operator's word, in a transaction of its own."""
    with transaction(engine) as connection:
        set_paused(connection, "hook", NOW, paused=True)


def test_expiry_and_an_erasure_of_several_consents(postgres_engine: Engine) -> None:
    """The erasure has written its first record and goes on to the second consent, whose events and notices are overdue: both
    end, and the ledger says once of each notice what became of it."""
    empty_tables(postgres_engine)
    grant(postgres_engine, "c2")
    queue(postgres_engine, make_delivery("e1", "c2"), make_delivery("e2", "c3"))
    with transaction(postgres_engine) as connection:
        for consent_id in ("c2", "c3"):
            notice = Notice(f"n-{consent_id}", "withdrawal", SITE, "", ("marketing",), NOW)
            pass_on(connection, notice, consent_id, "gone", NOW)
    with transaction(postgres_engine) as erasing:
        ledger.append(erasing, at=LATE, site=SITE, kind="erasure", consent_id="c1", body={})
        expiring = Beside(lambda: expire_overdue(postgres_engine, LATE))
        assert expiring.waits
        withdraw(erasing, "c2", None, LATE, ERASURE)
        drop_notices(erasing, "c2", ["hook"], LATE)
    expiring.end()
    states = {row.event_id: (row.state, row.reason) for row in look(postgres_engine)}
    assert states == {
        "e1": ("expired", "expired"),
        "e2": ("expired", "expired"),
        "n-c2": ("cancelled", "erased"),
        "n-c3": ("expired", "expired"),
    }
    told = [entry.consent_id for entry in ledger.entries(postgres_engine) if entry.kind == "passed_on"]
    assert sorted(str(consent_id) for consent_id in told) == ["c2", "c3"]


def test_dead_letters_sent_again_and_an_erasure_of_several_consents(postgres_engine: Engine) -> None:
    """What is being withdrawn is left to that: the rest is queued at once, and the erasure gets what was queued as well."""
    empty_tables(postgres_engine)
    queue(postgres_engine, make_delivery("e1", "c2"), make_delivery("e2", "c1"), make_delivery("e3", "c3"))
    with transaction(postgres_engine) as connection:
        connection.execute(update(OUTBOX).values(state="dead", settled_at=NOW))
    counts: list[int] = []

    def send_again() -> None:
        with transaction(postgres_engine) as connection:
            counts.append(redrive(connection, "hook", NOW))

    with transaction(postgres_engine) as erasing:
        withdraw(erasing, "c1", None, NOW, ERASURE)
        Beside(send_again).end()
        withdraw(erasing, "c2", None, NOW, ERASURE)
    assert counts == [2]
    assert [(row.event_id, row.state) for row in look(postgres_engine)] == [
        ("e1", "cancelled"),
        ("e2", "cancelled"),
        ("e3", "queued"),
    ]


def test_the_first_pause_ever_waits_for_a_lease_that_is_being_committed(postgres_engine: Engine) -> None:
    """F14: also where nothing is written down of the destination yet, what another node is leasing just then is called back."""
    empty_tables(postgres_engine)
    grant(postgres_engine)
    queue(postgres_engine, make_delivery("e1"))
    with transaction(postgres_engine) as leasing:
        [held] = lease(leasing, "hook", "w", 9, NOW, 60)
        pausing = Beside(lambda: pause(postgres_engine))
        assert pausing.waits
    pausing.end()
    with transaction(postgres_engine) as connection:
        begun = start(connection, held.id, "w", ("marketing",), SCOPES, 9, NOW)
    assert begun == NotStarted("lease_lost")


def test_two_nodes_pause_at_once_what_nothing_is_written_of(postgres_engine: Engine) -> None:
    """The second waits for the first, and neither fails for a row that both of them make."""
    empty_tables(postgres_engine)
    with transaction(postgres_engine) as first:
        set_paused(first, "hook", NOW, paused=True)
        second = Beside(lambda: pause(postgres_engine))
        assert second.waits
    second.end()
    with reading(postgres_engine) as connection:
        assert get_standing(connection, "hook").paused
