"""Matomo from the outbox to the strict stand-in over HTTP: bulk requests, counts, and visits deleted."""

import time
from collections.abc import Iterator

import msgspec
import pytest
from sqlalchemy import Engine

from gateway import ledger
from gateway.database import transaction
from gateway.destinations.base import Notice, make_subject
from gateway.destinations.matomo import Matomo, make_visitor
from gateway.destinations.outbox import pass_on, withdraw
from gateway.receivers.rehearsal import SECRETS, Rehearsal
from tests.destinations.rows import SITE, look, make_config, make_event, put_consent
from tests.flows import rehearsed
from tests.flows.rehearsed import open_rehearsal
from tests.flows.test_deliver import delivering, run, settled, short_rests, states, until

__all__ = ["short_rests"]


@pytest.fixture
def rehearsal() -> Iterator[tuple[Rehearsal, str]]:
    """The strict receivers, and Matomo's address among them."""
    with open_rehearsal("/matomo/matomo.php") as opened:
        yield opened


def make_matomo(url: str, site_id: int = 1) -> Matomo:
    """A destination at the stand-in."""
    changes = {"allow_private": True, "timeout_seconds": 5, "options": {"site_id": site_id}}
    made = Matomo(make_config("matomo", kind="matomo", url=url, **changes), SECRETS["MATOMO_TOKEN"])
    made.schedule = (0.0, *[0.05] * 7)
    return made


def fill(engine: Engine, consent_id: str, count: int) -> list[str]:
    """Queue page views of one visitor, in order, the first of them two days ago."""
    events = [make_event(time.time() - 2 * 86_400 + number, path=f"/{number}") for number in range(count)]
    return rehearsed.fill(engine, "matomo", consent_id, events)


def test_several_visitors_go_in_one_request_in_order(engine: Engine, rehearsal: tuple[Rehearsal, str]) -> None:
    """Each visitor's events arrive in the order in which they were recorded, many to a request, and none is invalid."""
    receivers, url = rehearsal

    async def test() -> None:
        for consent_id in ("c1", "c2", "c3"):
            fill(engine, consent_id, 20)
        async with delivering(engine, make_matomo(url)):
            await until(lambda: settled(engine))
        assert [arrival.fault for arrival in receivers.log] == [False]
        for consent_id in ("c1", "c2", "c3"):
            visitor = make_visitor(make_subject(b"k" * 32, "matomo", consent_id))
            paths = [hit.fields["url"] for hit in receivers.matomo.hits if hit.visitor == visitor]
            assert [path.rpartition("/")[2] for path in paths] == [str(number) for number in range(20)]
        assert {row.state for row in look(engine)} == {"delivered"}

    run(test())


def test_what_was_passed_over_in_silence_is_told_again(engine: Engine, rehearsal: tuple[Rehearsal, str]) -> None:
    """F19: a success that counts fewer than were sent is no delivery; afterwards every event is there."""
    receivers, url = rehearsal

    async def test() -> None:
        fill(engine, "c1", 5)
        receivers.matomo.skip_next = 2
        async with delivering(engine, make_matomo(url)):
            await until(lambda: settled(engine))
        paths = {hit.fields["url"].rpartition("/")[2] for hit in receivers.matomo.hits}
        assert paths == {"0", "1", "2", "3", "4"}
        assert {row.state for row in look(engine)} == {"delivered"}
        assert {row.attempts for row in look(engine)} == {1}

    run(test())


def test_an_unknown_website_stops_the_destination(engine: Engine, rehearsal: tuple[Rehearsal, str]) -> None:
    """Nothing is lost by a wrong number: what is queued stays until an operator has looked."""

    async def test() -> None:
        ids = fill(engine, "c1", 3)
        async with delivering(engine, make_matomo(rehearsal[1], 9)) as deliverer:
            await until(lambda: deliverer.disabled == {"matomo": "unknown_site"})
        assert states(engine) == dict.fromkeys(ids, ("queued", "unknown_site"))

    run(test())


def test_a_withdrawal_deletes_the_visits_with_a_receipt(engine: Engine, rehearsal: tuple[Rehearsal, str]) -> None:
    """This visitor's visits are gone, nobody else's, and the ledger says what stays."""
    receivers, url = rehearsal

    async def test() -> None:
        fill(engine, "c1", 4)
        fill(engine, "c2", 2)
        async with delivering(engine, make_matomo(url)) as deliverer:
            await until(lambda: settled(engine))
            with transaction(engine) as connection:
                put_consent(connection, "c1", {}, 2)
                withdraw(connection, "c1", ["matomo"], time.time())
                notice = Notice("n1", "withdrawal", SITE, "", ("marketing",), time.time())
                pass_on(connection, notice, "c1", "matomo", time.time())
            deliverer.wake()
            await until(lambda: settled(engine))
        other = make_visitor(make_subject(b"k" * 32, "matomo", "c2"))
        assert [hit.visitor for hit in receivers.matomo.hits] == [other, other]
        [receipt] = (msgspec.json.decode(entry.body) for entry in ledger.find_by_consent(engine, "c1"))
        assert (receipt["answer"], receipt["asked"]) == ("accepted", "withdrawal")
        assert "totals" in receipt["cannot_undo"]

    run(test())
