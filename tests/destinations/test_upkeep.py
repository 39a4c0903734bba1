"""Figures that add up before and after pruning, and expiry of what nobody came for."""

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from sqlalchemy import Engine, event, update

from gateway import ledger
from gateway.database import OUTBOX, reading, transaction
from gateway.destinations.attempts import Rules
from gateway.destinations.base import Dead, Delivered, Notice, Retry
from gateway.destinations.figures import SETTLED, QueueFigures, queue_figures
from gateway.destinations.outbox import lease, pass_on
from gateway.destinations.upkeep import (
    CLOCKS_APART_SECONDS,
    Longest,
    bound_dead,
    bring_back,
    cancel_uncovered,
    expire_overdue,
    prune_settled,
)
from tests.destinations.rows import (
    NOW,
    SCOPES,
    SITE,
    grant,
    look,
    make_config,
    make_delivery,
    put_consent,
    queue,
    settle,
    start,
)
from tests.migrated import open_migrated


def attempt(engine: Engine, verdict: Delivered | Retry | Dead, retry_in: float | None, now: float = NOW) -> None:
    """Lease, start and settle the first row that is due."""
    with transaction(engine) as connection:
        [row] = lease(connection, "hook", "a", 1, now, 60)
        start(connection, row.id, "a", ("marketing",), SCOPES, 10, now)
        settle(connection, row.id, "a", verdict, retry_in, now)


def test_a_notice_that_nobody_took_ends_with_a_receipt(engine: Engine) -> None:
    """After 90 days the ledger says that this destination was never told, and no row keeps the consent."""
    with transaction(engine) as connection:
        pass_on(connection, Notice("n1", "erasure", SITE, "", ("marketing",), NOW), "c1", "gone", NOW)
    assert expire_overdue(engine, NOW + 89 * 86_400) == 0
    assert expire_overdue(engine, NOW + 91 * 86_400) == 1
    [receipt] = (msgspec.json.decode(entry.body) for entry in ledger.find_by_consent(engine, "c1"))
    assert (receipt["destination"], receipt["about"]) == ("gone", "erasure")
    assert (receipt["asked"], receipt["answer"], receipt["attempts"]) == ("nothing", "expired", 0)
    [row] = look(engine)
    assert (row.state, row.consent_id, row.payload) == ("expired", None, None)


def fill(engine: Engine) -> None:
    """Two delivered, one dead, one cancelled, one to be tried again, one on the wire, one waiting."""
    ids = ("e0", "e1", "e2", "e3", "e4", "e5")
    for name in ids:
        grant(engine, f"of-{name}")
    queue(engine, *(make_delivery(name, f"of-{name}", recorded_at=NOW + n) for n, name in enumerate(ids)))
    attempt(engine, Delivered(), None)
    attempt(engine, Delivered(), None)
    attempt(engine, Dead("unbuildable"), None, NOW + 1)
    attempt(engine, Retry("http_503"), 100.0, NOW + 2)
    with transaction(engine) as connection:
        [row] = lease(connection, "hook", "a", 1, NOW, 60)
        start(connection, row.id, "a", ("marketing",), SCOPES, 10, NOW)
    queue(engine, make_delivery("x", "nobody"), now=NOW - 1)
    with transaction(engine) as connection:
        [row] = lease(connection, "hook", "a", 1, NOW, 60)
        start(connection, row.id, "a", ("marketing",), SCOPES, 10, NOW)
    with transaction(engine) as connection:
        lease(connection, "hook", "b", 1, NOW, 60)


FIGURES = QueueFigures(
    destination="hook",
    kind="webhook",
    queued=2,
    started=1,
    delivered=2,
    dead=1,
    cancelled=1,
    oldest_at=NOW + 3,
    last_error="http_503",
    last_error_at=NOW + 2,
)


def test_notices_are_in_no_figure(engine: Engine) -> None:
    """The counts are of events: a withdrawal passed on is in none of them, before and after pruning."""
    notice = Notice("n1", "withdrawal", "main", "", ("marketing",), NOW)
    with transaction(engine) as connection:
        pass_on(connection, notice, "c1", "hook", NOW)
    attempt(engine, Delivered(), None)
    assert prune_settled(engine, NOW + 1) == 1
    [figures] = queue_figures(engine, [make_config()])
    assert (figures.received, figures.delivered) == (0, 0)


def test_figures_of_a_queue_in_all_states(engine: Engine) -> None:
    """Every state is counted, leased rows as queued; the oldest waiting event and the last failure are told."""
    fill(engine)
    figures = queue_figures(engine, [make_config("other"), make_config()])
    assert figures == [QueueFigures(destination="other", kind="webhook"), FIGURES]
    assert figures[1].received == 7


def test_figures_read_no_row_of_what_is_settled(tmp_path: Path) -> None:
    """Millions of settled rows are counted in an index, without the table; what waits is looked up in it by its state."""
    engine = open_migrated(tmp_path / "gateway.db")
    asked: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", lambda *said: asked.append((said[2], said[3])))
    queue_figures(engine, [make_config(), make_config("other")])
    plans: list[str] = []
    with reading(engine) as connection:
        for statement, parameters in [one for one in asked if "FROM outbox " in one[0].replace("\n", " ")]:
            plans += [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    read = [plan for plan in plans if " outbox" in plan]
    assert "SEARCH outbox USING COVERING INDEX outbox_due (destination=? AND state=?)" in read
    assert "SCAN outbox USING COVERING INDEX outbox_due" in read
    assert all("USING COVERING INDEX outbox_due" in plan or "USING INDEX outbox_notices" in plan for plan in read)


def test_figures_are_those_of_each_row_counted_by_itself(engine: Engine) -> None:
    """Whatever the states of events and notices, for each destination, also where a notice waits longer than any event."""
    states = ("queued", "leased", "started", "delivered", "dead", "cancelled", "expired")
    random = Random(7)
    with transaction(engine) as connection:
        for number in range(40):
            for kind in ("withdrawal", "erasure"):
                notice = Notice(f"{kind}{number}", kind, SITE, "", (), NOW)
                pass_on(connection, notice, "c1", random.choice(("hook", "other")), NOW - random.randrange(9))
    for number in range(120):
        name = random.choice(("hook", "other"))
        queue(engine, make_delivery(f"e{number}", destination=name, recorded_at=NOW + random.randrange(9)))
    with transaction(engine) as connection:
        for row in look(engine):
            connection.execute(update(OUTBOX).where(OUTBOX.c.id == row.id).values(state=random.choice(states)))
    for figures in queue_figures(engine, [make_config(name) for name in ("new", "hook", "other")]):
        rows = [row for row in look(engine) if row.destination == figures.destination and row.kind == "event"]
        counts = Counter(row.state for row in rows)
        waiting = [row.recorded_at for row in rows if row.state in ("queued", "leased")]
        assert (figures.queued, figures.started) == (counts["queued"] + counts["leased"], counts["started"])
        assert (figures.received, figures.oldest_at) == (len(rows), min(waiting, default=None))
        assert {state: getattr(figures, state) for state in SETTLED} == {state: counts[state] for state in SETTLED}


def test_pruning_changes_no_figure(engine: Engine) -> None:
    """Settled rows go once they are old enough, and are counted on."""
    fill(engine)
    assert prune_settled(engine, NOW) == 0
    assert prune_settled(engine, NOW + 0.5) == 3
    assert queue_figures(engine, [make_config()]) == [FIGURES]
    assert prune_settled(engine, NOW + 100) == 1
    assert queue_figures(engine, [make_config()]) == [FIGURES]
    assert {row.state for row in look(engine)} == {"queued", "started", "leased"}


def test_many_rows_are_pruned_in_pieces(engine: Engine) -> None:
    """More rows than one piece holds are all expired, pruned and counted."""
    queue(engine, *(make_delivery(f"e{n}", expires_at=NOW + 5) for n in range(2300)))
    assert expire_overdue(engine, NOW + 5) == 2300
    assert prune_settled(engine, NOW + 6) == 2300
    [figures] = queue_figures(engine, [make_config()])
    assert (figures.expired, figures.received, look(engine)) == (2300, 2300, [])


def test_expiry_settles_what_waits_too_long(engine: Engine) -> None:
    """A row past its time that nobody holds any more is expired, also of a destination long gone."""
    fill(engine)
    queue(engine, make_delivery("y", destination="removed", expires_at=NOW + 10))
    assert expire_overdue(engine, NOW + 9) == 0
    assert expire_overdue(engine, NOW + 10) == 1
    assert expire_overdue(engine, NOW + 86_400) == 3
    ended = [(row.event_id, row.reason, row.consent_id) for row in look(engine) if row.state == "expired"]
    assert ended == [
        ("e3", "http_503", None),
        ("e4", "expired", None),
        ("e5", "expired", None),
        ("y", "expired", None),
    ]


def test_only_what_no_wait_explains_is_brought_back(engine: Engine) -> None:
    """After a clock was set back, rows and leases further away than any wait or lease are due; all others keep their times."""
    longest, far = {"hook": Longest(1000, 100)}, 1.0 + CLOCKS_APART_SECONDS
    queue(engine, make_delivery("e0"), now=NOW + 1000)
    queue(engine, make_delivery("e1", "c2"), now=NOW + 1000 + far)
    queue(engine, make_delivery("e2", "c3", destination="other"), now=NOW + 9000)
    for number, seconds in enumerate((100.0, 100.0 + far, 100.0 + far)):
        grant(engine, f"of-{number}")
        queue(engine, make_delivery(f"held{number}", f"of-{number}"))
        with transaction(engine) as connection:
            [row] = lease(connection, "hook", "a", 1, NOW, seconds)
            if number == 2:
                start(connection, row.id, "a", ("marketing",), SCOPES, 10, NOW)
    kept = {row.event_id: (row.next_at, row.lease_until) for row in look(engine)}
    assert bring_back(engine, longest, NOW) == 3
    brought = {row.event_id: (row.next_at, row.lease_until) for row in look(engine)}
    assert brought == kept | dict.fromkeys(("e1", "held1", "held2"), (NOW, None))
    assert [row.state for row in look(engine)] == ["queued", "queued", "queued", "leased", "queued", "queued"]
    assert bring_back(engine, longest, NOW) == 0


def test_what_no_consent_covers_goes_before_its_turn(engine: Engine) -> None:
    """Scopes that have changed, consents that have ended or are gone cancel what waits and dead letters, and nothing else."""
    with transaction(engine) as connection:
        put_consent(connection, "good", {"marketing": (SCOPES["marketing"], 1)}, changed_at=NOW)
        put_consent(connection, "stale", {"marketing": ("an-older-one", 1)}, changed_at=NOW)
        put_consent(connection, "ended", {"marketing": (SCOPES["marketing"], 1)}, changed_at=NOW - 1000)
    for consent_id in ("good", "stale", "ended", "gone"):
        for place in range(3):
            queue(engine, make_delivery(f"{consent_id}-{place}", consent_id))
    queue(engine, make_delivery("other", "stale", destination="gone-too"))
    with transaction(engine) as connection:
        for place, state in enumerate(("leased", "dead", "started")):
            held = {"state": state, "lease_owner": "n", "lease_until": NOW + 60}
            connection.execute(update(OUTBOX).where(OUTBOX.c.event_id.like(f"%-{place}")).values(**held))
    rules = Rules(("marketing",), {SITE: SCOPES}, 10, 500.0)
    assert cancel_uncovered(engine, {"hook": rules}, NOW + 1) == 6
    found = {row.event_id: (row.state, row.reason) for row in look(engine)}
    reasons = {"stale": "scope_changed", "ended": "consent_expired", "gone": "no_consent"}
    for consent_id, reason in reasons.items():
        assert [found[f"{consent_id}-{place}"] for place in range(2)] == [("cancelled", reason)] * 2
        assert found[f"{consent_id}-2"][0] == "started"
    assert [found[f"good-{place}"][0] for place in range(3)] == ["leased", "dead", "started"]
    assert found["other"][0] == "queued"
    assert all(row.payload is None and row.consent_id is None for row in look(engine) if row.state == "cancelled")
    assert cancel_uncovered(engine, {"hook": rules}, NOW + 1) == 0


def test_the_oldest_dead_letters_beyond_the_limit_cannot_be_sent_again(engine: Engine) -> None:
    """I8: a receiver that refuses everything fills no disk: the newest stay, the counts too, other destinations have limits of
    their own, and a notice that nobody has taken is never stripped."""
    grant(engine)
    for name in ("hook", "other"):
        queue(engine, *(make_delivery(f"e{n}", destination=name) for n in range(5)))
    with transaction(engine) as connection:
        pass_on(connection, Notice("n1", "erasure", SITE, "", ("marketing",), NOW), "c1", "hook", NOW)
        connection.execute(update(OUTBOX).values(state="dead", reason="http_400", settled_at=NOW))
    assert bound_dead(engine, {"hook": 2, "other": 5}) == 3
    kept = [(row.destination, row.event_id) for row in look(engine) if row.payload is not None]
    assert kept == [("hook", "e3"), ("hook", "e4"), *(("other", f"e{n}") for n in range(5)), ("hook", "n1")]
    assert all((row.consent_id is None) == (row.payload is None) for row in look(engine))
    assert bound_dead(engine, {"hook": 2, "other": 5}) == 0
    assert [figures.dead for figures in queue_figures(engine, [make_config()])] == [5]
