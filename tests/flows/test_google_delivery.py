"""Google Analytics 4 from the outbox to the strict stand-in over HTTP: batches, order, deletion, and no secret in a log."""

import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, update

from gateway import ledger
from gateway.database import OUTBOX, transaction
from gateway.destinations.base import Judgement, Notice, OutgoingRequest, Reply, make_subject
from gateway.destinations.dead_letters import redrive
from gateway.destinations.figures import queue_figures
from gateway.destinations.ga4 import OLDEST_SECONDS, GoogleAnalytics, make_client
from gateway.destinations.outbox import pass_on, withdraw
from gateway.flows.deliver import Deliverer
from gateway.receivers.rehearsal import SECRETS, Rehearsal
from tests.destinations.rows import SCOPES, SITE, look, make_config, make_event, put_consent, queue
from tests.flows import rehearsed
from tests.flows.rehearsed import open_rehearsal
from tests.flows.test_deliver import delivering, fresh, run, settled, short_rests, states, until
from tests.google_account import make_account

__all__ = ["short_rests"]
KEY = b"k" * 32


@pytest.fixture
def rehearsal() -> Iterator[tuple[Rehearsal, str]]:
    """The strict receivers, and Google's address among them."""
    with open_rehearsal("/google") as opened:
        yield opened


def make_google(
    address: str, secret: str = SECRETS["GA4_API_SECRET"], kind: type[GoogleAnalytics] = GoogleAnalytics
) -> GoogleAnalytics:
    """A destination at the stand-in, with an account that may delete."""
    options: dict[str, str | int | bool] = {"measurement_id": "G-REHEARSAL1", "property_id": "4711"}
    options |= {"service_account": "env:ACCOUNT", "deletion_url": address}
    url = f"{address}/mp/collect"
    config = make_config("ga4", kind="ga4", url=url, allow_private=True, timeout_seconds=5, options=options)
    made = kind(config, secret, {"service_account": make_account(f"{address}/token")})
    made.schedule = (0.0, *[0.05] * 7)
    return made


def fill(engine: Engine, consent_id: str, count: int) -> list[str]:
    """Queue page views of one visitor, in order."""
    events = [make_event(time.time(), path=f"/{number}", visit_id=consent_id) for number in range(count)]
    return rehearsed.fill(engine, "ga4", consent_id, events)


def test_batches_of_one_client_arrive_in_order(engine: Engine, rehearsal: tuple[Rehearsal, str]) -> None:
    """At most 25 events of one client go in a request, nothing is dropped, and the order is kept."""
    google = rehearsal[0].google

    async def test() -> None:
        fill(engine, "c1", 60)
        fill(engine, "c2", 3)
        async with delivering(engine, make_google(rehearsal[1])):
            await until(lambda: settled(engine))
        assert google.dropped == []
        sizes = [len(msgspec.convert(body["events"], list[object])) for body in google.bodies]
        assert sorted(sizes) == [3, 10, 25, 25]
        for consent_id, count in (("c1", 60), ("c2", 3)):
            client = make_client(make_subject(KEY, "ga4", consent_id))
            told = [event for whose, event in google.events if whose == client]
            paths = [str(msgspec.convert(event["params"], dict[str, object])["page_location"]) for event in told]
            assert [path.rpartition("/")[2] for path in paths] == [str(number) for number in range(count)]
        assert {row.state for row in look(engine)} == {"delivered"}

    run(test())


def test_an_event_that_google_would_drop_spoils_no_other(engine: Engine, rehearsal: tuple[Rehearsal, str]) -> None:
    """Refused here, in a batch: it alone is dead, and Google never sees it."""

    async def test() -> None:
        ids = fill(engine, "c1", 2)
        bad = msgspec.json.encode(make_event(time.time(), props={"session_id": "1"}))
        queue(engine, fresh("bad", "c1", destination="ga4", payload=bad), now=time.time())
        async with delivering(engine, make_google(rehearsal[1])):
            await until(lambda: settled(engine))
        assert states(engine) == {**dict.fromkeys(ids, ("delivered", "")), "bad": ("dead", "unbuildable")}
        assert (len(rehearsal[0].google.events), rehearsal[0].google.dropped) == (2, [])

    run(test())


def test_what_google_takes_no_more_is_not_sent_again(engine: Engine, rehearsal: tuple[Rehearsal, str]) -> None:
    """F16: dead letters older than 72 hours stay dead at a redrive; one that gets as old on its way is not sent
    either; what has arrived is never sent again."""

    async def test() -> None:
        arrived = fill(engine, "c1", 2)
        async with delivering(engine, make_google(rehearsal[1])):
            await until(lambda: settled(engine))
        for event_id, age, left in (("young", 71, 1), ("old", 73, -1), ("late", 73, 1)):
            at, now = time.time() - age * 3600, time.time()
            times: dict[str, Any] = {
                "recorded_at": at,
                "expires_at": now + left * 3600,
                "payload": msgspec.json.encode(make_event(at)),
            }
            queue(engine, fresh(event_id, destination="ga4", **times), now=now)
        with transaction(engine) as connection:
            connection.execute(update(OUTBOX).where(OUTBOX.c.state == "queued").values(state="dead"))
            assert redrive(connection, "ga4", time.time()) == 2
        async with delivering(engine, make_google(rehearsal[1])):
            await until(lambda: settled(engine))
        assert (len(rehearsal[0].google.events), rehearsal[0].google.dropped) == (3, [])
        ended = {"young": ("delivered", ""), "old": ("dead", ""), "late": ("dead", "unbuildable")}
        assert states(engine) == {**dict.fromkeys(arrived, ("delivered", "")), **ended}

    run(test())


def test_what_grows_too_old_while_others_go_first_is_not_sent(engine: Engine) -> None:
    """Events started together that need a request each: the age of each is looked at when its own request goes. What Google
    would drop for it is not told as delivered."""
    ahead = [0.0]

    def clock() -> float:
        return time.time() + ahead[0]

    class Slow(GoogleAnalytics):
        """Each answer takes two minutes."""

        def judge(self, request: OutgoingRequest, reply: Reply, now: float) -> Judgement:
            """As ever, later."""
            ahead[0] += 120
            return super().judge(request, reply, now)

    async def test() -> None:
        almost = time.time() - OLDEST_SECONDS + 60
        devices = ("desktop", "mobile", "tablet")
        rehearsed.fill(engine, "ga4", "c1", [make_event(almost, device=device) for device in devices])
        options: dict[str, Any] = {"owner": "node", "clock": clock, "chance": lambda: 0.5, "subject_key": KEY}
        deliverer = Deliverer(engine, [slow], {SITE: SCOPES}, **options)
        await deliverer.start()
        await until(lambda: settled(engine))
        await deliverer.stop(1)
        assert (len(rehearsal.google.events), rehearsal.google.dropped) == (1, [])
        assert [(row.state, row.reason) for row in look(engine)] == [("delivered", ""), *[("dead", "unbuildable")] * 2]

    with open_rehearsal("/google", clock) as (rehearsal, address):
        slow = make_google(address, kind=Slow)
        run(test())


def test_a_withdrawal_deletes_the_client_with_a_receipt(engine: Engine, rehearsal: tuple[Rehearsal, str]) -> None:
    """What is queued is cancelled, the very client that was told of is deleted, and the ledger says what stays."""

    async def test() -> None:
        fill(engine, "c1", 2)
        async with delivering(engine, make_google(rehearsal[1])) as deliverer:
            await until(lambda: settled(engine))
            with transaction(engine) as connection:
                put_consent(connection, "c1", {}, 2)
                withdraw(connection, "c1", ["ga4"], time.time())
                notice = Notice("n1", "withdrawal", SITE, "", ("marketing",), time.time())
                pass_on(connection, notice, "c1", "ga4", time.time())
            deliverer.wake()
            await until(lambda: settled(engine))
        [(kind, client)] = rehearsal[0].google.deleted
        assert (kind, client) == ("clientId", rehearsal[0].google.events[0][0])
        assert [arrival.fault for arrival in rehearsal[0].log] == [False] * 3
        [receipt] = (msgspec.json.decode(entry.body) for entry in ledger.find_by_consent(engine, "c1"))
        assert (receipt["asked"], receipt["answer"]) == ("withdrawal", "accepted")
        assert "BigQuery" in receipt["cannot_undo"]

    run(test())


def test_no_secret_gets_into_logs_or_errors(
    engine: Engine, rehearsal: tuple[Rehearsal, str], caplog: pytest.LogCaptureFixture
) -> None:
    """With everything logged, with failures and with a stopped receiver: neither the API secret nor the address with it."""
    address = rehearsal[1]
    caplog.set_level(logging.DEBUG)

    async def test() -> None:
        fill(engine, "c1", 3)
        gone = make_google(address.replace(address.rpartition(":")[2], "9/google"), "hidden-api-secret")
        async with delivering(engine, gone):
            await until(lambda: all(row.attempts >= 2 for row in look(engine)))
            [figures] = queue_figures(engine, [gone.config])
        async with delivering(engine, make_google(address, "hidden-api-secret")):
            await until(lambda: settled(engine))
        told = json.dumps(msgspec.to_builtins(figures)) + str([tuple(row) for row in look(engine)])
        for text in (caplog.text, told, str(rehearsal[0].log)):
            assert "hidden" not in text
        assert rehearsal[0].google.dropped

    run(test())
