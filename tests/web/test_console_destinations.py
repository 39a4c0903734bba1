"""Destinations in the console: how each stands, why a delivery was made or not, and buttons that leave a record."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from gateway import ledger
from gateway.analytics.query import Query
from gateway.analytics.results import QueueState, Report
from gateway.database import OUTBOX, PEOPLE, reading, transaction
from gateway.demo.loopback import LoopbackServer
from gateway.destinations.base import Notice
from gateway.destinations.figures import get_standing
from gateway.destinations.health import Rest
from gateway.destinations.outbox import pass_on
from gateway.flows.erase import count_known
from gateway.receivers.rehearsal import SECRETS, Rehearsal
from gateway.web.console import ConsoleParts
from tests.destinations.rows import OTHER_SECRET, SITE, grant, look, make_config, make_delivery, queue
from tests.web.console_browser import OWN_PAGE, open_operator, sign_in
from tests.web.console_example import NAME, NOW, build_example, build_parts


@pytest.fixture
def rehearsal() -> Iterator[tuple[Rehearsal, str]]:
    """The strict receivers, and where they listen."""
    receivers = Rehearsal({})
    server = LoopbackServer(receivers.app(), 0)
    server.start()
    yield receivers, f"http://127.0.0.1:{server.port}"
    server.stop()


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rehearsal: tuple[Rehearsal, str]) -> Iterator[ConsoleParts]:
    """A console over a webhook at the stand-in, with one delivery that waits, one that was made and one dead."""
    monkeypatch.setenv("HOOK_SECRET", SECRETS["CRM_WEBHOOK_SECRET"])
    parts = build_parts(tmp_path)
    hook = make_config("hook", url=f"{rehearsal[1]}/hooks/crm", allow_private=True)
    parts = with_hook(parts, hook)
    grant(parts.engine, "c1")
    times: dict[str, Any] = {"recorded_at": NOW, "expires_at": NOW + 86_400}
    queue(parts.engine, *(make_delivery(one, **times) for one in ("waits", "made", "dead")), now=NOW)
    with transaction(parts.engine) as connection:
        for event_id, state, reason in (("made", "delivered", ""), ("dead", "dead", "http_400")):
            changes = {"state": state, "reason": reason, "settled_at": NOW, "started_at": NOW, "attempts": 1}
            connection.execute(update(OUTBOX).where(OUTBOX.c.event_id == event_id).values(**changes))
        gone = {"consent_id": None, "payload": None}
        connection.execute(update(OUTBOX).where(OUTBOX.c.event_id == "made").values(**gone))
    yield parts
    parts.engine.dispose()


def with_hook(parts: ConsoleParts, hook: object) -> ConsoleParts:
    """The same console with this destination."""
    config = msgspec.structs.replace(parts.config, destinations=(hook,))
    return ConsoleParts(**{**vars(parts), "config": config})


@pytest.fixture
def operator(parts: ConsoleParts) -> TestClient:
    """A browser that is signed in."""
    return open_operator(parts)


def records(parts: ConsoleParts) -> list[dict[str, object]]:
    """What operators have done, by the ledger."""
    return [msgspec.json.decode(entry.body) for entry in ledger.entries(parts.engine) if entry.kind == "destination"]


def press(operator: TestClient, action: str, **fields: str) -> str:
    """Press a button; the page that follows."""
    answer = operator.post("/destinations", data={"name": "hook", "action": action, **fields}, headers=OWN_PAGE)
    assert answer.status_code == 303
    return operator.get(answer.headers["location"]).text


@pytest.mark.parametrize(("language", "word"), [("en", "Destinations"), ("nl", "Bestemmingen")])
def test_each_destination_is_shown_with_its_counts(operator: TestClient, language: str, word: str) -> None:
    """Three received: one made, one dead for its reason, one that waits."""
    page = operator.get(f"/destinations?lang={language}").text
    assert word in page
    row = page.partition("<tbody>")[2].partition("</tbody>")[0]
    assert (row.count('">3</th>'), row.count('">1</td>')) == (
        1,
        4,
    )  # received; delivered, dead, queued, and in the last hour
    assert "<code>http_400</code>" in page
    assert operator.get("/destinations?site=nowhere").status_code == 404


def test_buttons_pause_resume_and_send_again_with_a_record(parts: ConsoleParts, operator: TestClient) -> None:
    """Each does what it says, says so, and stands in the ledger with who pressed it."""
    assert "hook is paused." in press(operator, "pause")
    with reading(parts.engine) as connection:
        assert get_standing(connection, "hook").paused
    parts.clock.now += 1  # type: ignore[attr-defined]
    assert "hook goes on." in press(operator, "resume")
    with reading(parts.engine) as connection:
        assert not get_standing(connection, "hook").paused
    assert "hook: 1 queued again." in press(operator, "redrive", reason="http_400")
    assert sorted(row.state for row in look(parts.engine)) == ["delivered", "queued", "queued"]
    assert [(record["action"], record["operator"], record.get("count")) for record in records(parts)] == [
        ("pause", NAME, None),
        ("resume", NAME, None),
        ("redrive", NAME, 1),
    ]


def test_a_destination_that_has_stopped_says_what_to_do(parts: ConsoleParts) -> None:
    """In both languages: why it stopped by itself, and that it goes on once it is resumed, by the button beside it."""
    operator = open_operator(parts, status=lambda: {"disabled": {"hook": "http_410"}})
    for language, words in (("en", "until it is resumed"), ("nl", "tot het wordt hervat")):
        page = operator.get(f"/destinations?lang={language}").text
        assert "(http_410)" in page and words in page
        assert 'value="resume"' in page and 'value="pause"' not in page


def test_a_destination_at_rest_says_until_when_and_why(parts: ConsoleParts) -> None:
    """In both languages: after so many failures in a row, or as the receiver has asked; it can be paused meanwhile."""
    failing, asked = Rest(NOW + 120, 6, "http_503"), Rest(NOW + 120, 0, "http_429")
    for rest, in_english, in_dutch in (
        (
            failing,
            "after 6 failures in a row (the last: http_503): from",
            "na 6 mislukkingen op rij (de laatste: http_503)",
        ),
        (asked, "as the receiver has asked (http_429)", "zoals de ontvanger heeft gevraagd (http_429)"),
    ):
        status = {"resting": {"hook": rest._asdict()}}
        operator = open_operator(parts, status=lambda status=status: status)
        for language, words in (("en", in_english), ("nl", in_dutch)):
            page = operator.get(f"/destinations?lang={language}").text
            assert words in page and "14:22" in page
            assert 'value="pause"' in page and "At work" not in page


def test_the_overview_says_who_is_not_at_work(parts: ConsoleParts) -> None:
    """In both languages, beside the name and leading to the page where it is mended: at rest until when and why, paused, and
    stopped whatever else was said; nothing beside a destination that is at work."""

    def report(query: Query) -> Report:
        return msgspec.structs.replace(build_example(query), destinations=[QueueState("hook", "webhook", queued=3)])

    status: dict[str, Any] = {}
    operator = open_operator(parts, report=report, status=lambda: status)

    def look(language: str) -> list[str]:
        table = operator.get(f"/?lang={language}").text.partition('id="queues-title"')[2].partition("</tbody>")[0]
        assert '<span class="host">hook</span>' in table
        return re.findall(r'href="/destinations[?]site=main">([^<]*)</a>', table)

    assert look("en") == look("nl") == []
    status["resting"] = {"hook": Rest(NOW + 120, 6, "http_503")._asdict()}
    assert look("en") == ["at rest until 23 Nov 2026 14:22: http_503"]
    assert look("nl") == ["in rust tot 23 nov 2026 14:22: http_503"]
    press(operator, "pause")
    assert look("en") + look("nl") == ["paused", "gepauzeerd"]
    status["disabled"] = {"hook": "http_410"}
    assert look("en") + look("nl") == ["stopped: http_410", "gestopt: http_410"]


def test_a_test_event_is_sent_and_its_answer_shown(
    parts: ConsoleParts, operator: TestClient, rehearsal: tuple[Rehearsal, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The strict receiver has it; with another secret the page and the ledger say why not."""
    parts.clock.now = time.time()  # type: ignore[attr-defined]
    sign_in(operator)  # the receiver's clock is the real one
    assert "hook answered the test event: accepted" in press(operator, "test")
    assert [arrival.fault for arrival in rehearsal[0].log] == [False]
    monkeypatch.setenv("HOOK_SECRET", OTHER_SECRET)
    assert "hook answered the test event: http_401" in press(operator, "test")
    assert [record["answer"] for record in records(parts)] == ["accepted", "http_401"]


def test_why_a_delivery_was_made_or_not(operator: TestClient) -> None:
    """The state, the reason, and the consent for as long as the row has one."""
    dead = operator.get("/destinations?id=dead").text
    assert "given up" in dead and "c1</code>" in dead
    assert "Its consent id was dropped" in operator.get("/destinations?id=made").text
    assert "No delivery has this id" in operator.get("/destinations?id=%3Cb%3E").text


@pytest.mark.parametrize(
    ("language", "left", "notice", "granted"),
    [
        ("en", "still to be passed on: 1, the oldest of", "notice of an erasure, not done yet", "granted"),
        (
            "nl",
            "nog moeten worden doorgegeven: 1, de oudste van",
            "bericht van een verwijdering, nog niet gedaan",
            "gegeven 2",
        ),
    ],
)
def test_a_notice_that_waits_is_shown_and_claims_no_consent(
    parts: ConsoleParts, operator: TestClient, language: str, left: str, notice: str, granted: str
) -> None:
    """What is still to be passed on stands with its destination, none of it without; a notice's id tells what became of it,
    and never that a consent was granted for it."""
    assert left not in operator.get(f"/destinations?lang={language}").text
    with transaction(parts.engine) as connection:
        pass_on(connection, Notice("n1", "erasure", SITE, "", (), NOW), "c1", "hook", NOW)
        connection.execute(update(OUTBOX).where(OUTBOX.c.event_id == "n1").values(started_at=NOW, attempts=1))
    page = operator.get(f"/destinations?lang={language}&id=n1").text
    assert left in page and notice in page
    assert granted not in page.partition('id="why-title"')[2].partition('id="erase"')[0]


def test_somebody_is_erased_after_a_second_yes(parts: ConsoleParts, operator: TestClient) -> None:
    """Whom it concerns is said first, and nothing is done; then the consent ends, with the operator's name in the ledger. The
    address stands in no URL."""
    grant(parts.engine, "c9")
    with transaction(parts.engine) as connection:
        person = {"consent_id": "c9", "site": SITE, "email": "a.jansen@example.org", "at": parts.clock()}
        connection.execute(PEOPLE.insert().values(**person))
    asked = {"action": "erase", "who": " A.Jansen@example.org"}
    nobody = operator.post("/destinations", data={**asked, "who": "b@example.org"}, headers=OWN_PAGE).text
    assert "Nobody is known by this" in nobody and "Erase for good" not in nobody
    shown = operator.post("/destinations", data=asked, headers=OWN_PAGE)
    assert "1 consent." in shown.text and "Erase for good" in shown.text
    foreign = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    assert operator.post("/destinations", data={**asked, "sure": "yes"}, headers=foreign).status_code == 403
    assert [entry.kind for entry in ledger.find_by_consent(parts.engine, "c9")] == []
    done = operator.post("/destinations", data={**asked, "sure": "yes"}, headers=OWN_PAGE)
    where = done.headers["location"]
    assert "Consents that ended: 1" in operator.get(where).text and "example.org" not in where
    [entry] = [one for one in ledger.find_by_consent(parts.engine, "c9") if one.kind == "erasure"]
    assert msgspec.json.decode(entry.body)["operator"] == NAME
    assert count_known(parts.engine, "a.jansen@example.org") == 0


def test_only_the_console_s_own_pages_act(parts: ConsoleParts, operator: TestClient) -> None:
    """A foreign form, a stranger, an unknown destination or action: nothing is done."""
    body = {"name": "hook", "action": "pause"}
    foreign = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    assert operator.post("/destinations", data=body, headers=foreign).status_code == 403
    assert operator.post("/destinations", data={**body, "name": "x"}, headers=OWN_PAGE).status_code == 404
    assert operator.post("/destinations", data={**body, "action": "x"}, headers=OWN_PAGE).status_code == 400
    operator.cookies.clear()
    assert operator.post("/destinations", data=body, headers=OWN_PAGE).headers["location"] == "/signin"
    assert records(parts) == []
