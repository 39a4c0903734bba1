"""Which dead letters are sent again, and what is said of them beforehand."""

from collections import Counter

from sqlalchemy import Engine, update

from gateway.database import OUTBOX, transaction
from gateway.destinations.attempts import Rules
from gateway.destinations.base import Notice
from gateway.destinations.dead_letters import Foreseen, Which, foresee, redrive
from gateway.destinations.outbox import pass_on
from tests.destinations.rows import NOW, SCOPES, SITE, look, make_delivery, put_consent, queue

RULES = Rules(("marketing",), {SITE: SCOPES}, 1, 500.0)


def bury(engine: Engine, *names: str, consent_id: str = "c1", reason: str = "http_400", at: float = NOW) -> None:
    """Dead letters of one consent, given up at that time."""
    queue(engine, *(make_delivery(name, consent_id) for name in names))
    dead = {"state": "dead", "reason": reason, "settled_at": at}
    with transaction(engine) as connection:
        connection.execute(update(OUTBOX).where(OUTBOX.c.event_id.in_(names)).values(**dead))


def test_only_what_was_given_up_within_the_time_is_sent_again(engine: Engine) -> None:
    """F16: from `since` on and before `until`, of that reason and that destination; all else stays dead."""
    for hour in range(4):
        bury(engine, f"e{hour}", at=NOW + 3600 * hour)
    bury(engine, "other", reason="http_410", at=NOW + 3600)
    with transaction(engine) as connection:
        assert redrive(connection, "hook", NOW, Which("http_400", NOW + 3600, NOW + 3 * 3600)) == 2
        assert redrive(connection, "else", NOW) == 0
    assert [row.event_id for row in look(engine) if row.state == "queued"] == ["e1", "e2"]
    with transaction(engine) as connection:
        assert redrive(connection, "hook", NOW, Which(since=NOW + 2 * 3600)) == 1
        assert redrive(connection, "hook", NOW, Which(until=NOW + 3600)) == 1
        assert redrive(connection, "hook", NOW) == 1


def test_what_sending_again_would_do_is_said_and_not_done(engine: Engine) -> None:
    """F16: by reason how many would be queued, whom their consent would stop, and what is too old or no longer kept; a notice
    asks for no consent. Nothing changes, and sending them again then queues as many."""
    with transaction(engine) as connection:
        put_consent(connection, "c1", {"marketing": (SCOPES["marketing"], 1)}, changed_at=NOW)
        put_consent(connection, "stale", {"marketing": ("an-older-one", 1)}, changed_at=NOW)
        put_consent(connection, "ended", {"marketing": (SCOPES["marketing"], 1)}, changed_at=NOW - 1000)
        pass_on(connection, Notice("n1", "withdrawal", SITE, "", ("marketing",), NOW), "gone", "hook", NOW)
    bury(engine, "e1", "e2", "old", "stripped")
    for consent_id in ("stale", "ended", "nobody"):
        bury(engine, f"of-{consent_id}", consent_id=consent_id)
    with transaction(engine) as connection:
        rows = update(OUTBOX)
        dead = {"state": "dead", "reason": "timeout", "settled_at": NOW}
        connection.execute(rows.where(OUTBOX.c.event_id == "n1").values(**dead))
        connection.execute(rows.where(OUTBOX.c.event_id == "old").values(expires_at=NOW))
        connection.execute(rows.where(OUTBOX.c.event_id == "stripped").values(payload=None, consent_id=None))
    bury(engine, "later", reason="timeout", at=NOW + 60)
    before, which = look(engine), Which(until=NOW + 60)
    refused = Counter({"scope_changed": 1, "consent_expired": 1, "no_consent": 1})
    assert foresee(engine, "hook", RULES, NOW, which) == [
        Foreseen("http_400", 5, 2, refused),
        Foreseen("timeout", 1, 0, Counter()),
    ]
    assert foresee(engine, "hook", RULES, NOW, Which("http_999")) == foresee(engine, "gone", RULES, NOW) == []
    assert look(engine) == before
    with transaction(engine) as connection:
        assert redrive(connection, "hook", NOW, which) == 6
