"""What a lane makes of a destination's verdicts: batches, order, throttling, credentials, configuration, notices."""

import asyncio
import time

import msgspec
from aiohttp import web
from sqlalchemy import Engine

from gateway import ledger
from gateway.database import transaction
from gateway.destinations.base import Notice, Retry, Telling
from gateway.destinations.dead_letters import redrive
from gateway.destinations.figures import queue_figures, set_paused
from gateway.destinations.health import OPEN_AFTER
from gateway.destinations.outbox import ERASURE, WITHDRAWAL, Started, pass_on, withdraw
from gateway.flows.lane import Lane, decide_ending, note_health
from tests.destinations.rows import SECRET, SITE, grant, look, make_config, make_event, put_consent, queue
from tests.flows.scripted import Desk, Scripted, at_desk
from tests.flows.test_deliver import delivering, fresh, hook, run, settled, short_rests, states, until
from tests.receiver import Received, Receiver, receiving

__all__ = ["short_rests"]


def fill_one(engine: Engine, count: int, consent_id: str = "c1") -> list[str]:
    """Queue events of one visitor; returns their ids in order."""
    grant(engine, consent_id)
    ids = [f"{consent_id}-{number}" for number in range(count)]
    queue(engine, *(fresh(event_id, consent_id) for event_id in ids), now=time.time())
    return ids


def test_batches_hold_one_subject_in_order(engine: Engine) -> None:
    """At most four events go together, never of two people, in the order in which they were queued."""

    async def test() -> None:
        ids = fill_one(engine, 10) + fill_one(engine, 3, "c2")
        async with at_desk(Desk()) as desk, delivering(engine, Scripted(desk.url)):
            await until(lambda: settled(engine))
        told = sorted(desk.told)
        assert told == [ids[0:4], ids[4:8], ids[8:10], ids[10:13]]

    run(test())


def test_a_failed_batch_holds_back_what_came_later(engine: Engine) -> None:
    """F12: while the first of a subject's events has to be tried again, none behind it is sent."""

    async def test() -> None:
        ids = fill_one(engine, 10)
        desk = Desk(lambda desk: 503 if len(desk.bodies) < 3 else 200)
        async with at_desk(desk), delivering(engine, Scripted(desk.url)):
            await until(lambda: settled(engine))
        assert [batch[0] for batch in desk.told[:3]] == [ids[0]] * 3
        assert [event for batch in desk.told[2:] for event in batch] == ids

    run(test())


def test_one_bad_event_is_found_in_its_batch(engine: Engine) -> None:
    """F7, F19: a batch refused as a whole is tried one by one; judged one by one, each has its own end."""

    async def test() -> None:
        ids = fill_one(engine, 4)
        desk = Desk(lambda desk: 413 if ids[1] in desk.bodies[-1]["events"] else 200)
        async with at_desk(desk), delivering(engine, Scripted(desk.url)):
            await until(lambda: settled(engine))
        assert desk.told == [ids, *[[event] for event in ids]]
        assert states(engine) == {
            event: ("dead", "http_413") if event == ids[1] else ("delivered", "") for event in ids
        }
        others = fill_one(engine, 4, "c2")
        async with at_desk(Desk(lambda desk: 207)) as partly, delivering(engine, Scripted(partly.url)):
            await until(lambda: settled(engine))
        assert [states(engine)[event][0] for event in others] == ["delivered", "dead"] * 2

    run(test())


def test_a_throttled_destination_rests_and_loses_no_attempt(engine: Engine) -> None:
    """F18: `Throttled` rests the whole destination until then; attempts are not used up by it."""

    async def test() -> None:
        for number in range(6):
            fill_one(engine, 1, f"c{number}")
        desk = Desk(lambda desk: 429 if len(desk.bodies) <= 8 else 200)
        began = time.monotonic()
        async with at_desk(desk), delivering(engine, Scripted(desk.url), concurrency=6):
            await until(lambda: settled(engine))
        assert time.monotonic() - began > 0.35
        assert {row.state for row in look(engine)} == {"delivered"}
        assert {row.attempts for row in look(engine)} == {1}

    run(test())


def test_who_asks_for_time_is_asked_nothing_else_meanwhile(engine: Engine) -> None:
    """F4: after an answer with Retry-After no delivery begins until then, whoever it is about; then all of them arrive."""

    def answer(received: Received) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "1"}) if len(receiver.ids) == 1 else web.Response()

    receiver = Receiver(SECRET, answer)

    async def test() -> None:
        for number in range(4):
            fill_one(engine, 1, f"c{number}")
        async with receiving(receiver), delivering(engine, hook(receiver.url), concurrency=1):
            await until(lambda: settled(engine))
        first, *others = receiver.accepted
        assert len(others) == 4
        assert min(received.at for received in others) >= first.at + 0.9

    run(test())


def test_refused_credentials_are_renewed_once_for_all(engine: Engine) -> None:
    """F17: one request for a new token, whatever waits; a token that is refused again and again stops the destination."""

    async def test() -> None:
        for number in range(6):
            fill_one(engine, 1, f"c{number}")
        desk = Desk(lambda desk: 401 if desk.bodies[-1]["token"] == "t1" else 200)
        async with at_desk(desk):
            destination = Scripted(desk.url)
            destination.wants_token = True
            async with delivering(engine, destination, concurrency=1):
                await until(lambda: settled(engine))
            assert [body["step"] for body in desk.bodies].count("token") == 2
            fill_one(engine, 1, "late")
            desk.answer = lambda desk: 401 if desk.bodies[-1]["step"] == "events" else 200
            async with delivering(engine, destination) as deliverer:
                await until(lambda: deliverer.disabled == {"hook": "http_401"})
        [late] = [row for row in look(engine) if row.event_id == "late-0"]
        assert (late.state, late.attempts) == ("queued", 0)

    run(test())


def test_a_misconfigured_destination_waits_for_the_operator(engine: Engine) -> None:
    """Nothing is lost by it: what is queued stays, and is sent when an operator resumes."""

    async def test() -> None:
        fill_one(engine, 3)
        desk = Desk(lambda desk: 403)
        async with at_desk(desk), delivering(engine, Scripted(desk.url)) as deliverer:
            await until(lambda: deliverer.disabled == {"hook": "http_403"})
            desk.answer = lambda desk: 200
            with transaction(engine) as connection:
                set_paused(connection, "hook", time.time(), paused=False)
            deliverer.wake()
            await until(lambda: settled(engine))
        assert len(desk.told) == 2

    run(test())


def test_a_paused_destination_sends_nothing(engine: Engine) -> None:
    """An operator's pause holds over a restart, until it is resumed; another destination goes on."""

    async def test() -> None:
        with transaction(engine) as connection:
            set_paused(connection, "hook", time.time(), paused=True)
        ids = fill_one(engine, 3)
        queue(engine, fresh("elsewhere", "c1", destination="other"), now=time.time())
        async with at_desk(Desk()) as desk, at_desk(Desk()) as second:
            async with delivering(engine, Scripted(desk.url), Scripted(second.url, "other")):
                await until(lambda: second.told == [["elsewhere"]])
                await asyncio.sleep(0.2)
            assert desk.bodies == []
            with transaction(engine) as connection:
                set_paused(connection, "hook", time.time(), paused=False)
            async with delivering(engine, Scripted(desk.url)):
                await until(lambda: settled(engine))
        assert desk.told == [ids]

    run(test())


def test_a_conversation_of_several_requests_is_one_attempt(engine: Engine) -> None:
    """An answer may ask for the next request; the last one's verdict counts."""

    async def test() -> None:
        fill_one(engine, 1)
        desk = Desk(lambda desk: 300 if len(desk.bodies) == 1 else 200)
        async with at_desk(desk), delivering(engine, Scripted(desk.url)):
            await until(lambda: settled(engine))
        assert [body["step"] for body in desk.bodies] == ["events", "second"]

    run(test())


def take_back(engine: Engine) -> int:
    """A withdrawal that is acknowledged while a request is on the wire; the status by which that one asks for another."""
    with transaction(engine) as connection:
        put_consent(connection, "c1", {}, 2)
        withdraw(connection, "c1", ["hook"], time.time())
    return 300


def test_a_conversation_ends_with_the_consent(engine: Engine) -> None:
    """I3: a withdrawal between two requests of one attempt lets the first be finished, and the second never begin."""

    async def test() -> None:
        [event_id] = fill_one(engine, 1)
        desk = Desk(lambda desk: take_back(engine))
        async with at_desk(desk), delivering(engine, Scripted(desk.url)):
            await until(lambda: settled(engine))
        assert [body["step"] for body in desk.bodies] == ["events"]
        assert states(engine) == {event_id: ("cancelled", "withdrawn")}
        assert [row.consent_id for row in look(engine)] == [None]

    run(test())


class EachAlone(Scripted):
    """Takes several events at once, and makes a request of each."""

    def key_of(self, telling: Telling) -> str:
        """Nothing in common."""
        return telling.event_id


def test_what_shares_a_start_and_no_request_ends_with_the_consent(engine: Engine) -> None:
    """I3: events started together and sent one after the other; a withdrawal in between is the last that is heard."""

    async def test() -> None:
        first, *others = fill_one(engine, 3)
        desk = Desk(lambda desk: 200 if take_back(engine) else 500)
        async with at_desk(desk), delivering(engine, EachAlone(desk.url)):
            await until(lambda: settled(engine))
        assert desk.told == [[first]]
        cancelled = dict.fromkeys(others, ("cancelled", "withdrawn"))
        assert states(engine) == {first: ("delivered", "withdrawn_on_the_wire"), **cancelled}

    run(test())


def test_what_was_queued_before_a_path_was_named_is_withheld(engine: Engine) -> None:
    """A path that is added to `never_forward` holds for what waits, dead letters that are sent again included."""

    async def test() -> None:
        grant(engine)
        pages = {"e1": "/dossier/:id", "e2": "/artikelen"}
        for event_id, path in pages.items():
            event = make_event(path=path, referrer="www.example.org/dossier/betalen", network="203.0.113.0/24")
            queue(engine, fresh(event_id, payload=msgspec.json.encode(event)), now=time.time())
        never = ("/dossier/",)
        async with (
            receiving(Receiver(SECRET)) as receiver,
            delivering(engine, hook(receiver.url, never_forward=never)),
        ):
            await until(lambda: settled(engine))
        assert states(engine) == {"e1": ("dead", "withheld"), "e2": ("delivered", "")}
        [told] = receiver.accepted
        assert (told.id, "referrer" in told.body["data"], "network" in told.body["data"]) == ("e2", False, False)

    run(test())


def notice(kind: str, notice_id: str) -> Notice:
    """Of marketing, at the site."""
    return Notice(notice_id, "withdrawal" if kind == WITHDRAWAL else "erasure", SITE, "", ("marketing",), time.time())


def test_a_withdrawal_is_passed_on_with_a_receipt(engine: Engine) -> None:
    """Told although nothing is granted, also after failures; the ledger says what was asked, when, what came back and
    what cannot be undone."""

    async def test() -> None:
        fill_one(engine, 3)
        with transaction(engine) as connection:
            put_consent(connection, "c1", {}, 2)
            withdraw(connection, "c1", ["hook"], time.time())
            pass_on(connection, notice(WITHDRAWAL, "n1"), "c1", "hook", time.time())
            pass_on(connection, notice(ERASURE, "n2"), "c1", "hook", time.time())
        desk = Desk(lambda desk: 503 if len(desk.bodies) < 3 else 200)
        async with at_desk(desk), delivering(engine, Scripted(desk.url)):
            await until(lambda: settled(engine))
        assert [body["step"] for body in desk.bodies] == ["withdrawal"] * 3
        assert len({body["about"] for body in desk.bodies}) == 1
        assert "c1" not in str(desk.bodies)
        assert desk.told == []
        first, second = (msgspec.json.decode(entry.body) for entry in ledger.find_by_consent(engine, "c1"))
        assert (first["about"], first["asked"]) == ("withdrawal", "withdrawal")
        assert (first["answer"], first["attempts"]) == ("accepted", 3)
        assert (second["about"], second["asked"], second["cannot_undo"]) == (
            "erasure",
            "nothing",
            "reports that were printed",
        )
        assert ledger.verify(engine) >= 2
        assert {row.consent_id for row in look(engine)} == {None}

    run(test())


def test_a_notice_that_is_refused_says_so_and_can_be_sent_again(engine: Engine) -> None:
    """A dead notice has its receipt with the reason, and another one when it was sent again."""

    async def test() -> None:
        with transaction(engine) as connection:
            pass_on(connection, notice(WITHDRAWAL, "n1"), "c1", "hook", time.time())
        desk = Desk(lambda desk: 413)
        async with at_desk(desk), delivering(engine, Scripted(desk.url)) as deliverer:
            await until(lambda: states(engine) == {"n1": ("dead", "http_413")})
            desk.answer = lambda desk: 200
            with transaction(engine) as connection:
                assert redrive(connection, "hook", time.time()) == 1
            deliverer.wake()
            await until(lambda: states(engine) == {"n1": ("delivered", "")})
        answers = [msgspec.json.decode(entry.body)["answer"] for entry in ledger.find_by_consent(engine, "c1")]
        assert answers == ["http_413", "accepted"]

    run(test())


def test_telling_of_a_withdrawal_outlasts_the_schedule() -> None:
    """An event's attempts end with the schedule; a notice is tried again once a day after it."""
    lane = Lane(Scripted("http://127.0.0.1:1/"), None)  # type: ignore[arg-type]
    spent = len(lane.destination.schedule)
    for kind, chance, wait in (("event", 0.5, None), ("withdrawal", 0.0, 43_200.0), ("erasure", 1.0, 86_400.0)):
        row = Started(1, kind, "c1", "e1", b"", spent)
        assert decide_ending(lane, row, Retry("http_503"), 1, 0.0, chance).retry_in == wait


def test_what_is_merely_waited_for_says_nothing_against_the_receiver(engine: Engine) -> None:
    """Notices that have to be asked about once more neither open the breaker, nor rest the lane, nor are told as errors."""
    lane = Lane(Scripted("http://127.0.0.1:1/"), None)  # type: ignore[arg-type]
    for _ in range(OPEN_AFTER + 1):
        note_health(lane, Retry("not_seen_yet", 75, well=True), 100.0, 0.5)
    assert (lane.health.is_open, lane.health.may_begin(100.0)) == (False, 0)
    for _ in range(OPEN_AFTER):
        note_health(lane, Retry("http_503"), 100.0, 0.5)
    assert lane.health.is_open

    async def test() -> None:
        with transaction(engine) as connection:
            for number in range(OPEN_AFTER + 1):
                pass_on(connection, notice(WITHDRAWAL, f"n{number}"), f"c{number}", "hook", time.time())
        desk = Desk(lambda desk: 202 if len(desk.bodies) <= OPEN_AFTER + 1 else 200)
        async with at_desk(desk), delivering(engine, Scripted(desk.url), concurrency=1):
            await until(lambda: settled(engine))
        assert len(desk.bodies) == 2 * (OPEN_AFTER + 1)
        assert {row.state for row in look(engine)} == {"delivered"}
        [figures] = queue_figures(engine, [make_config()])
        assert figures.last_error == ""

    run(test())
