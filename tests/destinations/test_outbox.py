"""The outbox on SQLite and PostgreSQL: lease, start, settle, withdraw, and what each leaves in the row."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from gateway.database import transaction
from gateway.destinations.attempts import find_gap
from gateway.destinations.base import Dead, Delivered, Retry
from gateway.destinations.dead_letters import Which, count_dead, redrive, trace
from gateway.destinations.outbox import (
    LOST,
    NotStarted,
    Started,
    State,
    find_next_due,
    forget_offset,
    get_offset,
    lease,
    release,
    set_offset,
    withdraw,
)
from gateway.destinations.upkeep import strip_dead
from tests.destinations.rows import NOW, SCOPES, grant, look, make_delivery, put_consent, queue, settle, start

LEASE = 60.0
COVERED = '{"marketing": ["bbbbbbbbbbbb", 2]}'


def take(engine: Engine, owner: str = "a", now: float = NOW, limit: int = 10) -> list[int]:
    """Lease rows of `hook`; returns their ids."""
    with transaction(engine) as connection:
        return [row.id for row in lease(connection, "hook", owner, limit, now, LEASE)]


def begin(engine: Engine, row_id: int, now: float = NOW, **changes: Any) -> Started | NotStarted:
    """Start a row for owner `a`, purpose marketing, ten attempts."""
    values: dict[str, Any] = {"owner": "a", "purposes": ("marketing",), "scopes": SCOPES, "max_attempts": 10}
    with transaction(engine) as connection:
        return start(connection, row_id, now=now, **(values | changes))


def end(
    engine: Engine, row_id: int, verdict: Delivered | Retry | Dead, retry_in: float | None = None, now: float = NOW
) -> bool:
    """Settle a row for owner `a`."""
    with transaction(engine) as connection:
        return settle(connection, row_id, "a", verdict, retry_in, now)


def take_back(engine: Engine, consent_id: str = "c1", now: float = NOW) -> int:
    """A withdrawal as the choice flow makes it: the consent's row, then the outbox, in one transaction."""
    with transaction(engine) as connection:
        put_consent(connection, consent_id, {}, revision=2)
        return withdraw(connection, consent_id, ["hook"], now)


def test_a_covered_delivery_goes_all_the_way(engine: Engine) -> None:
    """Queued, leased, started with its payload, delivered; then neither consent id nor payload remain."""
    grant(engine)
    queue(engine, make_delivery("e1"))
    [row_id] = take(engine)
    started = begin(engine, row_id)
    assert isinstance(started, Started)
    assert (started.event_id, started.attempts) == ("e1", 1)
    assert started.payload == make_delivery("e1").payload
    assert end(engine, row_id, Delivered(), now=NOW + 1)
    [row] = look(engine)
    assert (row.state, row.reason, row.started_at, row.settled_at) == ("delivered", "", NOW, NOW + 1)
    assert (row.consent_id, row.payload, row.lease_owner, row.lease_until) == (None, None, None, None)


def test_the_same_event_is_queued_once(engine: Engine) -> None:
    """F11: Adding a delivery again changes nothing, whether it waits or is settled."""
    grant(engine)
    queue(engine, make_delivery("e1"), make_delivery("e1", destination="other"))
    queue(engine, make_delivery("e1"), make_delivery("e2"))
    [first, _] = take(engine)
    begin(engine, first)
    end(engine, first, Delivered())
    queue(engine, make_delivery("e1"))
    assert [(row.event_id, row.destination, row.state) for row in look(engine)] == [
        ("e1", "hook", "delivered"),
        ("e1", "other", "queued"),
        ("e2", "hook", "leased"),
    ]


def test_a_leased_row_is_nobody_elses(engine: Engine) -> None:
    """Within the lease another owner gets other rows; what it does with mine is refused."""
    grant(engine)
    grant(engine, "c2")
    queue(engine, make_delivery("e1"), make_delivery("e2", "c2"))
    [mine] = take(engine, "a", limit=1)
    [other] = take(engine, "b")
    assert mine != other
    assert begin(engine, mine, owner="b") == LOST
    assert begin(engine, other) == LOST
    assert isinstance(begin(engine, mine), Started)
    assert begin(engine, mine) == LOST
    assert not end(engine, other, Delivered())


def test_an_ended_lease_returns_to_the_queue_and_its_late_owner_is_refused(engine: Engine) -> None:
    """After the lease, a leased or started row is another's; the first owner's word counts for nothing."""
    grant(engine)
    queue(engine, make_delivery("e1"), make_delivery("e2"))
    started, leased = take(engine)
    begin(engine, started)
    late = NOW + LEASE
    assert begin(engine, leased, now=late) == LOST
    assert sorted(take(engine, "b", late)) == sorted([started, leased])
    assert not end(engine, started, Delivered(), now=late)
    again = begin(engine, started, late, owner="b")
    assert isinstance(again, Started)
    assert again.attempts == 2
    assert not end(engine, started, Delivered(), now=late)
    assert [row.lease_owner for row in look(engine) if row.id == started] == ["b"]


def test_consent_is_asked_again_when_a_crashed_delivery_starts_again(engine: Engine) -> None:
    """A row left started by a dead worker is cancelled at its next start when the consent has gone."""
    grant(engine)
    queue(engine, make_delivery("e1"))
    [row_id] = take(engine)
    begin(engine, row_id)
    assert take_back(engine) == 0  # it is on the wire, as far as anybody knows
    late = NOW + LEASE
    assert take(engine, "b", late) == [row_id]
    assert begin(engine, row_id, late, owner="b") == NotStarted("withdrawn")
    assert [(row.state, row.consent_id, row.payload) for row in look(engine)] == [("cancelled", None, None)]


@pytest.mark.parametrize(
    ("grants", "revision", "reason"),
    [
        ({"marketing": (SCOPES["marketing"], 1)}, 1, None),
        ({"marketing": (SCOPES["marketing"], 1)}, 5, None),
        ({}, 1, "withdrawn"),
        ({"analytics": (SCOPES["analytics"], 1)}, 1, "withdrawn"),
        ({"marketing": ("000000000000", 1)}, 1, "scope_changed"),
        ({"marketing": (SCOPES["marketing"], 3)}, 2, "granted_later"),
    ],
)
def test_only_a_covering_consent_starts(
    engine: Engine, grants: dict[str, tuple[str, int]], revision: int, reason: str | None
) -> None:
    """A start needs each purpose granted, under its present scope, since the event's revision or before."""
    with transaction(engine) as connection:
        put_consent(connection, "c1", grants)
    queue(engine, make_delivery("e1", revision=revision))
    [row_id] = take(engine)
    outcome = begin(engine, row_id)
    assert isinstance(outcome, Started) if reason is None else outcome == NotStarted(reason)
    assert look(engine)[0].state == (State.STARTED if reason is None else State.CANCELLED)


def test_no_consent_row_and_a_row_of_another_site_start_nothing(engine: Engine) -> None:
    """An event whose consent is not on record for its own site is cancelled."""
    grant(engine, "c1")
    queue(engine, make_delivery("e1", "unheard-of"), make_delivery("e2", site="elsewhere"))
    assert [begin(engine, row_id) for row_id in take(engine)] == [NotStarted("no_consent")] * 2


@pytest.mark.parametrize(
    "grants",
    [
        None,
        "",
        "null",
        "[]",
        '"marketing"',
        '{"marketing": true}',
        '{"marketing": ["bbbbbbbbbbbb"]}',
        '{"marketing": ["bbbbbbbbbbbb", "1"]}',
        '{"marketing": ["bbbbbbbbbbbb", true]}',
        '{"marketing": ["bbbbbbbbbbbb", null]}',
        '{"Marketing": ["bbbbbbbbbbbb", 1]}',
        '{"marketing": ["bbbbbbbbbbbb", 1]',
    ],
)
def test_malformed_grants_cover_nothing(grants: str | None) -> None:
    """Whatever is not exactly a map of purposes to scope and revision means no."""
    assert find_gap(grants, ("marketing",), SCOPES, 9) is not None


def test_every_purpose_must_be_covered() -> None:
    """Purposes are joined by AND; none at all, and one that the site does not have, are not covered."""
    assert find_gap(COVERED, ("marketing",), SCOPES, 2) is None
    assert find_gap(COVERED, ("marketing", "analytics"), SCOPES, 2) == "withdrawn"
    assert find_gap(COVERED, (), SCOPES, 2) == "no_consent"
    assert find_gap(COVERED, ("marketing",), {}, 2) == "scope_changed"


def test_withdrawal_cancels_all_that_has_not_started(engine: Engine) -> None:
    """Queued, leased and waiting deliveries are cancelled and emptied; others' and what is started stay."""
    grant(engine, "c1")
    grant(engine, "c2")
    rows = [make_delivery(f"e{n}") for n in range(4)]
    queue(engine, *rows, make_delivery("x", "c2"), make_delivery("y", destination="other"))
    started, waiting, _leased = take(engine, limit=3)
    begin(engine, started)
    begin(engine, waiting)
    end(engine, waiting, Retry("http_503"), retry_in=5)
    assert take_back(engine, now=NOW + 2) == 3
    states = [(row.event_id, row.state, row.reason, row.consent_id) for row in look(engine)]
    assert states == [
        ("e0", "started", "withdrawn", "c1"),
        ("e1", "cancelled", "withdrawn", None),
        ("e2", "cancelled", "withdrawn", None),
        ("e3", "cancelled", "withdrawn", None),
        ("x", "queued", "", "c2"),
        ("y", "queued", "", "c1"),
    ]
    assert take_back(engine) == 0


@pytest.mark.parametrize(
    ("verdict", "state", "reason"),
    [
        (Delivered(), "delivered", "withdrawn_on_the_wire"),
        (Retry("timeout"), "cancelled", "withdrawn"),
        (Dead("http_410"), "dead", "http_410"),
    ],
)
def test_what_was_on_the_wire_is_finished_and_never_tried_again(
    engine: Engine, verdict: Delivered | Retry | Dead, state: str, reason: str
) -> None:
    """A request begun before the withdrawal ends as it ends, is marked as such, and has no second attempt."""
    grant(engine)
    queue(engine, make_delivery("e1"))
    [row_id] = take(engine)
    begin(engine, row_id)
    take_back(engine)
    assert end(engine, row_id, verdict, retry_in=5)
    [row] = look(engine)
    assert (row.state, row.reason, row.consent_id) == (state, reason, None)


def test_granting_again_revives_nothing(engine: Engine) -> None:
    """Events from before a withdrawal stay cancelled after a new grant, also those that come in late."""
    grant(engine)
    queue(engine, make_delivery("e1"))
    take_back(engine)
    grant(engine, "c1", 3)
    queue(engine, make_delivery("late", revision=1), make_delivery("new", revision=3))
    late, new = take(engine)
    assert begin(engine, late) == NotStarted("granted_later")
    assert isinstance(begin(engine, new), Started)
    assert look(engine)[0].state == "cancelled"


def test_a_failed_attempt_waits_and_the_last_one_is_dead(engine: Engine) -> None:
    """A retry is queued with its time and reason; without a next time it is dead with the last reason."""
    grant(engine)
    queue(engine, make_delivery("e1"))
    [row_id] = take(engine)
    begin(engine, row_id)
    end(engine, row_id, Retry("http_503"), retry_in=30)
    assert take(engine, now=NOW + 29) == []
    [row] = look(engine)
    assert (row.state, row.reason, row.next_at, row.attempts) == ("queued", "http_503", NOW + 30, 1)
    assert take(engine, now=NOW + 30) == [row_id]
    begin(engine, row_id, NOW + 30)
    end(engine, row_id, Retry("timeout"), retry_in=None, now=NOW + 31)
    [row] = look(engine)
    assert (row.state, row.reason, row.consent_id, row.lease_owner) == ("dead", "timeout", "c1", None)


def test_a_row_that_takes_its_worker_down_does_not_do_so_for_ever(engine: Engine) -> None:
    """Starts count as attempts, so that a row whose worker dies each time is dead in the end."""
    grant(engine)
    queue(engine, make_delivery("e1"))
    now = NOW
    for _ in range(3):
        [row_id] = take(engine, now=now)
        assert isinstance(begin(engine, row_id, now, max_attempts=3), Started)
        now += LEASE
    [row_id] = take(engine, now=now)
    assert begin(engine, row_id, now, max_attempts=3) == NotStarted("attempts_spent")
    assert look(engine)[0].state == "dead"


def test_nothing_is_sent_or_tried_again_after_its_time(engine: Engine) -> None:
    """A row past its time does not start; a retry that would come too late ends as expired at once."""
    grant(engine)
    queue(engine, make_delivery("e1", expires_at=NOW + 10), make_delivery("e2", "c2", expires_at=NOW + 10))
    first, second = take(engine)
    begin(engine, first)
    end(engine, first, Retry("http_500"), retry_in=11)
    assert begin(engine, second, NOW + 10) == NotStarted("expired")
    assert [(row.state, row.reason) for row in look(engine)] == [
        ("expired", "http_500"),
        ("expired", "expired"),
    ]


def test_release_gives_back_what_one_owner_holds(engine: Engine) -> None:
    """An owner that ends or begins again returns its leased and started rows, and nobody else's."""
    grant(engine)
    queue(engine, *(make_delivery(f"e{n}", f"c{max(1, n)}") for n in range(3)))
    [started, _leased] = take(engine, limit=2)
    begin(engine, started)
    take(engine, "b")
    with transaction(engine) as connection:
        assert release(connection, "a", NOW + 1) == 2
    assert [(row.state, row.lease_owner) for row in look(engine)] == [
        ("queued", None),
        ("queued", None),
        ("leased", "b"),
    ]


def test_the_next_due_time(engine: Engine) -> None:
    """The earliest of queued rows' times and leases' ends; nothing when all is settled."""
    grant(engine)
    with transaction(engine) as connection:
        assert find_next_due(connection, "hook") is None
    queue(engine, make_delivery("e1"), now=NOW + 100)
    queue(engine, make_delivery("e2", "c2"))
    with transaction(engine) as connection:
        assert find_next_due(connection, "hook") == NOW
    grant(engine, "c2")
    [row_id] = take(engine)
    with transaction(engine) as connection:
        assert find_next_due(connection, "hook") == NOW + LEASE
        assert find_next_due(connection, "other") is None
    begin(engine, row_id)
    end(engine, row_id, Delivered())
    with transaction(engine) as connection:
        assert find_next_due(connection, "hook") == NOW + 100


def test_the_longest_due_row_is_first(engine: Engine) -> None:
    """Rows are leased by the time at which they are due, equal ones in the order in which they came."""
    for name, at in (("late", 3), ("first", 1), ("second", 1), ("not yet", 9)):
        queue(engine, make_delivery(name, f"c-{name}"), now=NOW + at)
    with transaction(engine) as connection:
        rows = lease(connection, "hook", "a", 2, NOW + 5, LEASE)
        rows += lease(connection, "hook", "a", 2, NOW + 5, LEASE)
    names = {row.id: row.event_id for row in look(engine)}
    assert [names[row.id] for row in rows] == ["first", "second", "late"]


def test_what_happened_first_is_told_first(engine: Engine) -> None:
    """I6: a row waits while an earlier one of its subject is under way or waits for its next attempt; others do not."""
    grant(engine)
    grant(engine, "c2")
    queue(engine, make_delivery("e1"), make_delivery("e2"), make_delivery("x1", "c2"))
    first, second, other = take(engine)
    begin(engine, first)
    queue(engine, make_delivery("e3"))
    assert take(engine) == []
    end(engine, first, Retry("http_503"), retry_in=30)
    assert begin(engine, second) == LOST
    assert isinstance(begin(engine, other), Started)
    end(engine, other, Delivered())
    assert take(engine, now=NOW + 29) == []
    again = take(engine, now=NOW + 31)
    assert [row.event_id for row in look(engine) if row.id in again] == ["e1", "e2", "e3"]


def test_a_dead_letter_is_sent_again_only_with_consent(engine: Engine) -> None:
    """F16: Redriven, it asks for consent as any other; taken back meanwhile, it is cancelled and nothing is left to redrive."""
    grant(engine)
    grant(engine, "c2")
    queue(engine, make_delivery("e1"), make_delivery("e2", "c2"))
    for row_id in take(engine):
        begin(engine, row_id)
        end(engine, row_id, Dead("http_400"))
    [counted] = count_dead(engine)
    assert (counted.reason, counted.count, counted.again) == ("http_400", 2, 2)
    assert take_back(engine) == 1
    with transaction(engine) as connection:
        assert redrive(connection, "hook", NOW, Which("other_reason")) == 0
        assert redrive(connection, "hook", NOW) == 1
    [again] = take(engine)
    assert isinstance(begin(engine, again), Started)
    assert [(t.state, t.consent_id) for name in ("e1", "e2") for t in trace(engine, name)] == [
        ("cancelled", None),
        ("started", "c2"),
    ]


def test_a_dead_letter_past_its_time_names_nobody(engine: Engine) -> None:
    """When nothing could send it any more, event and consent go, and it is redriven no more."""
    grant(engine)
    queue(engine, make_delivery("e1", expires_at=NOW + 10))
    [row_id] = take(engine)
    begin(engine, row_id)
    end(engine, row_id, Dead("http_400"))
    assert strip_dead(engine, NOW + 9) == 0
    assert strip_dead(engine, NOW + 10) == 1
    with transaction(engine) as connection:
        assert redrive(connection, "hook", NOW + 5) == 0
    [row] = look(engine)
    assert (row.state, row.reason, row.consent_id, row.payload) == ("dead", "http_400", None, None)


def test_offsets_are_kept_for_each_segment(engine: Engine) -> None:
    """An offset is 0 at first, replaced when set, and gone when forgotten."""
    with transaction(engine) as connection:
        assert get_offset(connection, "s") == 0
        set_offset(connection, "s", 5)
        set_offset(connection, "s", 7)
        assert (get_offset(connection, "s"), get_offset(connection, "t")) == (7, 0)
        forget_offset(connection, "s")
        assert get_offset(connection, "s") == 0


def test_nothing_of_a_settled_delivery_is_left_in_the_file(engine: Engine) -> None:
    """After settling, neither the consent id nor the payload's text is in the table."""
    grant(engine)
    queue(engine, make_delivery("e1"), make_delivery("e2"))
    first, _ = take(engine)
    begin(engine, first)
    end(engine, first, Delivered())
    take_back(engine)
    with transaction(engine) as connection:
        rows = connection.execute(text("SELECT * FROM outbox")).all()
    assert "c1" not in str(rows)
    assert "betalingsregeling" not in str(rows)
