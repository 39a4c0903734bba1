"""A machine's clock that ran ahead and was set back: nothing waits for days because of it."""

import time
from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from gateway.database import transaction
from gateway.destinations.figures import set_paused
from gateway.destinations.outbox import lease
from gateway.flows.deliver import Deliverer
from tests.destinations.rows import NOW, SCOPES, SECRET, SITE, grant, look, make_delivery, put_consent, queue
from tests.flows.test_deliver import fresh, hook, run, settled, until
from tests.receiver import Receiver, receiving

DAYS = 5 * 86_400.0


@pytest.fixture(autouse=True)
def quick_upkeep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upkeep comes round at once."""
    monkeypatch.setattr("gateway.flows.deliver.EXPIRE_SECONDS", 0.05)


def make_deliverer(engine: Engine, url: str, clock: Callable[[], float]) -> Deliverer:
    """One destination, under this clock."""
    options = {"owner": "node", "chance": lambda: 0.5, "subject_key": b"k" * 32}
    return Deliverer(engine, [hook(url)], {SITE: SCOPES}, clock=clock, **options)  # type: ignore[arg-type]


def test_what_a_wrong_clock_wrote_is_delivered(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """Rows queued, and rows leased by another node, while the clock was days ahead are delivered once it is right."""

    async def test() -> None:
        grant(engine)
        ahead = time.time() + DAYS
        queue(engine, fresh("e1", expires_at=ahead + DAYS), now=ahead)
        with transaction(engine) as connection:
            assert lease(connection, "hook", "other", 1, ahead, 60)
        queue(engine, fresh("e2", expires_at=ahead + DAYS), now=ahead)
        async with receiving(Receiver(SECRET)) as receiver:
            deliverer = make_deliverer(engine, receiver.url, time.time)
            await deliverer.start()
            await until(lambda: settled(engine))
            await deliverer.stop(1)
        assert receiver.ids == ["e1", "e2"]

    run(test())
    assert "due again: the clock was set back" in caplog.text


def test_consents_are_swept_by_the_right_clock_too(engine: Engine) -> None:
    """What a consent covers no more goes with the next round, not days later."""
    now = [NOW + DAYS]

    async def test() -> None:
        grant(engine)
        with transaction(engine) as connection:
            set_paused(connection, "hook", NOW, paused=True)
        queue(engine, make_delivery("e1", expires_at=NOW + 2 * DAYS))
        deliverer = make_deliverer(engine, "http://127.0.0.1:1/", lambda: now[0])
        await deliverer.start()
        await until(lambda: deliverer._swept[0] == NOW + DAYS)
        with transaction(engine) as connection:
            put_consent(connection, "c1", {}, 2)
        now[0] = NOW
        await until(lambda: settled(engine))
        await deliverer.stop(1)
        assert [(row.state, row.reason) for row in look(engine)] == [("cancelled", "withdrawn")]

    run(test())
