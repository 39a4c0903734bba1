"""Account Engagement from the outbox to the strict stand-in over HTTP: tokens, order, errors, withdrawals with receipts."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from gateway import ledger
from gateway.database import transaction
from gateway.destinations.base import Notice, PersonalEvent
from gateway.destinations.outbox import pass_on, withdraw
from gateway.destinations.pardot import Pardot
from gateway.event import Person
from gateway.receivers.rehearsal import Rehearsal
from tests.destinations.pardot_parts import EMAIL, make_pardot
from tests.destinations.rows import SITE, grant, look, make_event, put_consent, queue
from tests.flows.rehearsed import open_rehearsal
from tests.flows.test_deliver import delivering, fresh, run, settled, short_rests, states, until

__all__ = ["short_rests"]


@pytest.fixture
def rehearsal() -> Iterator[tuple[Rehearsal, str]]:
    """The strict receivers, and where Pardot's is."""
    with open_rehearsal("/pardot") as opened:
        yield opened


def make(url: str, options: dict[str, Any] | None = None, secret: str = "") -> Pardot:
    """A destination at the stand-in whose retries come at once."""
    chosen = {"login_url": url} | (options or {})
    made = make_pardot(chosen, secret=secret, url=f"{url}/api/v5", allow_private=True, timeout_seconds=5)
    made.schedule = (0.0, *[0.05] * 7)
    return made


def fill(engine: Engine, consent_id: str, count: int, email: str = "", hours: int = 1) -> list[str]:
    """Queue downloads of one person, in order."""
    grant(engine, consent_id)
    ids = [f"{consent_id}-{number}" for number in range(count)]
    person = Person(email or f"{consent_id}@example.org")
    for number, event_id in enumerate(ids):
        event = make_event(time.time() + number, kind="download", props={"document": f"{number}.pdf"})
        whole = PersonalEvent(**msgspec.structs.asdict(event), person=person)
        payload = msgspec.json.encode(whole)
        times = {"expires_at": time.time() + hours * 3600}
        queue(engine, fresh(event_id, consent_id, destination="pardot", payload=payload, **times), now=time.time())
    return ids


def test_many_people_share_one_token(engine: Engine, rehearsal: tuple[Rehearsal, str]) -> None:
    """F17: however many find the token refused at once, one new one is asked for, and everything arrives in order."""
    receivers, url = rehearsal

    async def test() -> None:
        pardot = make(url)
        async with delivering(engine, pardot) as deliverer:
            fill(engine, "c1", 1)
            deliverer.wake()
            await until(lambda: settled(engine))
            receivers.pardot.expire_tokens()
            for number in range(2, 14):
                fill(engine, f"c{number}", 2)
            deliverer.wake()
            await until(lambda: settled(engine))
            assert deliverer.disabled == {}
        assert {row.state for row in look(engine)} == {"delivered"}
        assert receivers.pardot.tokens_given == 2
        assert len(receivers.pardot.prospects) == 13
        for number in range(2, 14):
            mine = [a["value"] for a in receivers.pardot.activities if a["email"] == f"c{number}@example.org"]
            assert mine == ["0.pdf", "1.pdf"]

    run(test())


def test_a_token_that_ends_between_two_steps_doubles_nothing(engine: Engine, rehearsal: tuple[Rehearsal, str]) -> None:
    """F17: refused after the prospect and before its activity; with a new token each activity is there once, in order, and
    it cost no attempt."""
    receivers, url = rehearsal

    async def test() -> None:
        receivers.pardot.upcoming += [0, 0, 0, 184]  # the first event whole, of the second its prospect
        fill(engine, "c1", 3)
        async with delivering(engine, make(url)) as deliverer:
            await until(lambda: settled(engine))
            assert deliverer.disabled == {}
        assert [activity["value"] for activity in receivers.pardot.activities] == ["0.pdf", "1.pdf", "2.pdf"]
        assert (len(receivers.pardot.prospects), receivers.pardot.tokens_given) == (1, 2)
        assert {(row.state, row.attempts) for row in look(engine)} == {("delivered", 1)}

    run(test())


def test_revoked_credentials_stop_the_destination(engine: Engine, rehearsal: tuple[Rehearsal, str]) -> None:
    """F17: the login is asked once, not again and again; what waits keeps its attempts until somebody has mended it."""
    receivers, url = rehearsal

    async def test() -> None:
        ids = fill(engine, "c1", 2) + fill(engine, "c2", 2)
        pardot = make(url, secret="another secret altogether")
        async with delivering(engine, pardot) as deliverer:
            await until(lambda: bool(deliverer.disabled))
            await asyncio.sleep(0.3)
        assert receivers.pardot.tokens_given == 0
        assert len(receivers.log) <= 2  # as many as were begun at once
        assert {(row.state, row.attempts) for row in look(engine)} == {("queued", 0)}
        async with delivering(engine, make(url)):
            await until(lambda: settled(engine))
        assert {states(engine)[event_id] for event_id in ids} == {("delivered", "")}

    run(test())


def test_what_passes_is_tried_again_and_what_does_not_stops(engine: Engine, rehearsal: tuple[Rehearsal, str]) -> None:
    """A conflict and too many at once cost an attempt; a feature that the account lacks stops the destination."""
    receivers, url = rehearsal

    async def test() -> None:
        receivers.pardot.upcoming += [62, 66]
        ids = fill(engine, "c1", 1)
        async with delivering(engine, make(url)):
            await until(lambda: settled(engine))
        assert states(engine) == {ids[0]: ("delivered", "")}
        assert len(receivers.pardot.activities) == 1
        receivers.pardot.upcoming += [49]
        more = fill(engine, "c2", 2)
        async with delivering(engine, make(url)) as deliverer:
            await until(lambda: deliverer.disabled == {"pardot": "pardot_49"})
        assert {states(engine)[event_id][0] for event_id in more} == {"queued"}

    run(test())


def test_a_spent_day_costs_no_attempt(engine: Engine, rehearsal: tuple[Rehearsal, str]) -> None:
    """F18: with 122 the destination rests until midnight; what waits keeps its attempts."""
    receivers, url = rehearsal

    async def test() -> None:
        receivers.pardot.upcoming += [122]
        [event_id] = fill(engine, "c1", 1, hours=48)
        async with delivering(engine, make(url)):
            await until(lambda: states(engine)[event_id] == ("queued", "pardot_122"))
        [row] = look(engine)
        midnight = time.time() // 86_400 * 86_400 + 86_400
        assert (row.attempts, round(row.next_at)) == (0, round(midnight))

    run(test())


def test_a_withdrawal_opts_out_with_a_receipt(engine: Engine, rehearsal: tuple[Rehearsal, str]) -> None:
    """The prospect is opted out, nobody else's, and the ledger says what stays; no row keeps the address."""
    receivers, url = rehearsal

    async def test() -> None:
        fill(engine, "c1", 1, EMAIL)
        fill(engine, "c2", 1)
        async with delivering(engine, make(url)) as deliverer:
            await until(lambda: settled(engine))
            with transaction(engine) as connection:
                put_consent(connection, "c1", {}, 2)
                withdraw(connection, "c1", ["pardot"], time.time())
                notice = Notice("n1", "withdrawal", SITE, "", ("marketing",), time.time(), EMAIL)
                pass_on(connection, notice, "c1", "pardot", time.time())
            deliverer.wake()
            await until(lambda: settled(engine))
        opted = {one.fields["email"]: one.fields.get("optedOut", False) for one in receivers.pardot.prospects}
        assert opted == {EMAIL: True, "c2@example.org": False}
        [receipt] = (msgspec.json.decode(entry.body) for entry in ledger.find_by_consent(engine, "c1"))
        assert (receipt["answer"], receipt["asked"]) == ("accepted", "withdrawal")
        assert "recycle bin" in receipt["cannot_undo"]
        assert EMAIL not in str(receipt)
        assert all(row.payload is None for row in look(engine))

    run(test())
