"""`gateway destinations`: what an operator reads and does, on a configuration that runs against the receivers."""

import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine, update
from starlette.responses import Response
from typer.testing import CliRunner

from gateway import ledger
from gateway.cli import app
from gateway.config import load_config
from gateway.database import OUTBOX, open_database, transaction
from gateway.demo.loopback import LoopbackServer
from gateway.destinations.base import (
    Dead,
    Delivered,
    Misconfigured,
    Notice,
    OutgoingRequest,
    Renew,
    Retry,
    Split,
    Telling,
    Throttled,
    Verdict,
)
from gateway.destinations.figures import get_standing
from gateway.destinations.health import OPEN_AFTER
from gateway.destinations.outbox import lease, pass_on
from gateway.destinations.webhook import Webhook
from gateway.errors import ConfigError, DestinationError
from gateway.flows.send_test import send_test
from gateway.receivers.rehearsal import SECRETS, Rehearsal
from tests.destinations.rows import (
    SCOPES,
    SECRET,
    grant,
    look,
    make_config,
    make_delivery,
    put_consent,
    queue,
    settle,
    start,
)
from tests.example_site import POLICY_TOML
from tests.flows.test_withdrawal_races import until
from tests.keeper_at_work import keeper_at_work
from tests.migrated import put_migrated

TABLE = """
[[destinations]]
name = "hook"
kind = "webhook"
url = "{url}"
secret = "env:CRM_WEBHOOK_SECRET"
purposes = ["marketing"]
allow_private = true
"""


@pytest.fixture
def rehearsal() -> Iterator[tuple[Rehearsal, str]]:
    """The strict receivers, and the address at which webhooks are taken."""
    receivers = Rehearsal({})
    server = LoopbackServer(receivers.app(), 0)
    server.start()
    yield receivers, f"http://127.0.0.1:{server.port}{receivers.hooks.prefix}/in"
    server.stop()


@pytest.fixture
def folder(tmp_path: Path, rehearsal: tuple[Rehearsal, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose only destination is the receiver."""
    monkeypatch.setenv("CRM_WEBHOOK_SECRET", SECRETS["CRM_WEBHOOK_SECRET"])
    (tmp_path / "policy.toml").write_text(POLICY_TOML)
    (tmp_path / "destinations.toml").write_text(TABLE.format(url=rehearsal[1]))
    (tmp_path / "gateway.toml").write_text('[[sites]]\nid = "main"\nhosts = ["www.example.org"]\n')
    put_migrated(tmp_path / "data" / "gateway.db")
    return tmp_path


def say(folder: Path, *words: str) -> tuple[int, str]:
    """Exit status and output of `gateway destinations ...`."""
    found = CliRunner().invoke(app, ["destinations", *words, "--config", str(folder)])
    if isinstance(found.exception, ConfigError):
        raise found.exception
    return found.exit_code, found.output


def _cells(line: str) -> list[str]:
    """The cells of a line of the list; four empty ones for a line that is none."""
    cells = [cell.strip() for cell in line.split("│")]
    return cells if len(cells) == 4 else [""] * 4


def outbox_of(folder: Path) -> Engine:
    """The database that the commands use."""
    return open_database(f"sqlite:///{folder / 'data' / 'gateway.db'}")


def test_an_operator_follows_a_delivery_from_refused_to_sent_again(folder: Path) -> None:
    """The list reconciles and names reasons, `why` names the consent while the row has one, and redrive queues again."""
    engine, now = outbox_of(folder), time.time()
    for name in ("c1", "c2"):
        grant(engine, name)
    times = {"recorded_at": now, "expires_at": now + 3600}
    queue(engine, *(make_delivery(f"e{n}", f"c{n}", **times) for n in (1, 2, 3)), now=now)
    with transaction(engine) as connection:
        rows = lease(connection, "hook", "a", 9, now, 60)
        verdicts: list[Delivered | Dead] = [Delivered(), Dead("http_400"), Delivered()]
        for row, verdict in zip(rows, verdicts, strict=True):
            start(connection, row.id, "a", ("marketing",), SCOPES, 9, now)
            settle(connection, row.id, "a", verdict, None, now)
    _, listed = say(folder, "list")
    figures = {name: value for line in listed.splitlines() for _, name, value, _ in [_cells(line)] if name}
    assert figures.pop("last error").startswith("http_400 ")
    assert figures == {
        "state": "on", "received": "3", "delivered": "1", "dead": "1", "cancelled": "1", "expired": "0", "queued": "0",
        "on the wire": "0", "oldest": "", "in the last hour": "1",
    }  # fmt: skip
    assert "hook: 1 dead: http_400; 1 can be sent again" in listed
    assert "given up (http_400)" in say(folder, "why", "e2")[1]
    assert "consent c2" in say(folder, "why", "e2")[1]
    assert "its consent id was dropped" in say(folder, "why", "e1")[1]
    assert "the consent does not cover it (no_consent)" in say(folder, "why", "e3")[1]
    assert say(folder, "why", "nothing")[0] == 1
    assert "0 queued again" in say(folder, "redrive", "hook", "--reason", "other")[1]
    assert "1 queued again" in say(folder, "redrive", "hook")[1]
    assert "it waits" in say(folder, "why", "e2")[1]


def test_a_withdrawal_that_waits_is_shown_and_its_notice_claims_no_consent(folder: Path) -> None:
    """The list says how many are still to be passed on, beside the events' counts; `why` of a notice tells what became of
    telling, and never that a consent was granted for it."""
    engine, now = outbox_of(folder), time.time()
    notice = Notice("n1", "withdrawal", "main", "", ("marketing",), now)
    with transaction(engine) as connection:
        pass_on(connection, notice, "c1", "hook", now)
    listed = say(folder, "list")[1]
    assert "hook: withdrawals and erasures still to be passed on: 1, the oldest of 20" in listed
    assert "hook: notice of withdrawal: not done yet: it waits; recorded 20" in say(folder, "why", "n1")[1]
    with transaction(engine) as connection:
        [row] = lease(connection, "hook", "a", 9, now, 60)
        start(connection, row.id, "a", ("marketing",), SCOPES, 9, now)
        settle(connection, row.id, "a", Delivered(), None, now)
    told = say(folder, "why", "n1")[1]
    assert "hook: notice of withdrawal: done" in told and "its receipt is in the ledger" in told
    assert "granted" not in told and "revision" not in told
    assert "still to be passed on" not in say(folder, "list")[1]


def test_dead_letters_of_a_time_are_foretold_and_sent_again(folder: Path) -> None:
    """A day stands for all of it and a time for itself, in UTC; a dry run says what consent and age would not let go, and
    changes nothing; the record has the times."""
    engine, config = outbox_of(folder), load_config(folder)
    given_up = datetime(2026, 11, 1, 14, 30, tzinfo=UTC).timestamp()
    with transaction(engine) as connection:
        put_consent(connection, "c1", {"marketing": (config.sites[0].policy.scopes["marketing"], 1)})
        put_consent(connection, "c2", {})
    late = time.time() + 3600
    queue(
        engine, *(make_delivery(f"e{n}", f"c{n}", expires_at=late) for n in (1, 2)), make_delivery("e3", expires_at=0.0)
    )
    with transaction(engine) as connection:
        connection.execute(update(OUTBOX).values(state="dead", reason="http_400", settled_at=given_up))
    asked = ("redrive", "hook", "--dry-run")
    again = "2 would be queued again; 1 of them cancelled at the start: withdrawn; 1 too old or no longer kept"
    for times in (
        (),
        ("--since", "2026-11-01"),
        ("--until", "2026-11-01"),
        ("--since", "2026-11-01T14:30", "--until", "2026-11-01T14:31"),
        ("--since", "2026-11-01T15:30+01:00", "--until", "2026-11-02"),
    ):
        assert say(folder, *asked, *times) == (0, f"hook: http_400: {again}\n")
    for nothing in (("--since", "2026-11-02"), ("--until", "2026-10-31"), ("--until", "2026-11-01T14:30")):
        assert say(folder, *asked, *nothing) == (0, "hook: no dead letters of that kind\n")
    with pytest.raises(ConfigError, match=r"--since = 'yesterday': wanted a day, such as 2026-11-01, or a time in UTC"):
        say(folder, *asked, "--since", "yesterday")
    with pytest.raises(ConfigError, match=r"--until = '2026-11-01': is not after --since 2026-11-02"):
        say(folder, *asked, "--since", "2026-11-02", "--until", "2026-11-01")
    assert {row.state for row in look(engine)} == {"dead"}
    assert ledger.count_entries(engine) == 0
    assert "2 queued again" in say(folder, "redrive", "hook", "--since", "2026-11-01")[1]
    [record] = (msgspec.json.decode(entry.body) for entry in ledger.entries(engine))
    assert (record["count"], record["since"]) == (2, datetime(2026, 11, 1, tzinfo=UTC).timestamp())
    assert "until" not in record


def test_pause_and_resume_are_kept(folder: Path) -> None:
    """A pause stands in the database until it is resumed; an unknown name is answered with the known ones."""
    say(folder, "pause", "hook")
    assert "paused" in say(folder, "list")[1]
    say(folder, "resume", "hook")
    assert "paused" not in say(folder, "list")[1]
    with transaction(outbox_of(folder)) as connection:
        assert not get_standing(connection, "hook").paused
    with pytest.raises(ConfigError, match="known: hook"):
        say(folder, "pause", "hok")


@pytest.mark.slow
def test_a_destination_that_has_stopped_by_itself_says_so(folder: Path) -> None:
    """What a keeper at work has stopped for the receiver's answer is not "on", with the reason; nor "paused" beside it."""
    gone = LoopbackServer(Response(status_code=410), 0)
    gone.start()
    (folder / "destinations.toml").write_text(TABLE.format(url=f"http://127.0.0.1:{gone.port}/in"))
    (folder / "gateway.toml").write_text('[keeper]\nport = 0\n[[sites]]\nid = "main"\nhosts = ["www.example.org"]\n')
    config, engine, now = load_config(folder), outbox_of(folder), time.time()
    with transaction(engine) as connection:
        scopes = config.sites[0].policy.scopes
        put_consent(connection, "c1", {"marketing": (scopes["marketing"], 1)})
    queue(engine, make_delivery("e1", recorded_at=now, expires_at=now + 3600), now=now)
    with keeper_at_work(config):
        until(lambda: "stopped: http_410" in say(folder, "list")[1])
        say(folder, "pause", "hook")
        assert "paused" not in say(folder, "list")[1]
    assert "paused" in say(folder, "list")[1]
    gone.stop()


@pytest.mark.slow
def test_a_destination_at_rest_says_until_when_and_why(folder: Path) -> None:
    """A keeper at work tells who rests after failures in a row, and who was asked to wait; without one it is said that nobody
    knows."""
    answers = {"busy": Response(status_code=429, headers={"retry-after": "3600"}), "ill": Response(status_code=500)}
    servers = {name: LoopbackServer(answer, 0) for name, answer in answers.items()}
    for server in servers.values():
        server.start()
    tables = [
        TABLE.replace('"hook"', f'"{name}"').format(url=f"http://127.0.0.1:{server.port}/in")
        for name, server in servers.items()
    ]
    (folder / "destinations.toml").write_text("".join(tables))
    (folder / "gateway.toml").write_text('[keeper]\nport = 0\n[[sites]]\nid = "main"\nhosts = ["www.example.org"]\n')
    config, engine, now = load_config(folder), outbox_of(folder), time.time()
    granted = {"marketing": (config.sites[0].policy.scopes["marketing"], 1)}
    times = {"recorded_at": now, "expires_at": now + 3600}
    for number in range(OPEN_AFTER):
        with transaction(engine) as connection:
            put_consent(connection, f"c{number}", granted)
        queue(engine, make_delivery(f"ill{number}", f"c{number}", destination="ill", **times), now=now)
    queue(engine, make_delivery("busy", "c0", destination="busy", **times), now=now)
    assert "No keeper answers here" in say(folder, "list")[1]
    with keeper_at_work(config):
        asked = re.compile(r"^busy: rests until 20.{17}Z, as its receiver has asked \(http_429\)$", re.MULTILINE)
        until(lambda: asked.search(say(folder, "list")[1]) is not None)
        failed = re.compile(
            r"^ill: rests until 20.{17}Z, after \d+ failures in a row, the last: http_500$", re.MULTILINE
        )
        until(lambda: failed.search(say(folder, "list")[1]) is not None)
        say(folder, "pause", "ill")
        states = next(line for line in say(folder, "list")[1].splitlines() if " state " in line)
        assert [cell.strip() for cell in states.split("│")[2:4]] == ["resting", "paused"]
        assert "No keeper answers here" not in say(folder, "list")[1]
    for server in servers.values():
        server.stop()


def test_a_test_event_is_judged_by_the_strict_receiver(
    folder: Path, rehearsal: tuple[Rehearsal, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accepted with the right secret; with another the receiver's refusal is shown, and the secret is not."""
    assert say(folder, "test", "hook") == (0, "hook accepted a test event.\n")
    assert [arrival.fault for arrival in rehearsal[0].log] == [False]
    wrong = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
    monkeypatch.setenv("CRM_WEBHOOK_SECRET", wrong)
    status, said = say(folder, "test", "hook")
    assert status == 1
    assert "http_401" in said
    assert wrong[6:] not in said


def test_somebody_is_erased_by_command(folder: Path) -> None:
    """`gateway erase` names the consent that is gone and cancels what waits; who is not known is said, with exit 1."""
    engine = outbox_of(folder)
    grant(engine, "c1")
    queue(engine, make_delivery("e1", "c1"))
    found = CliRunner().invoke(app, ["erase", "c1", "--config", str(folder)])
    assert (found.exit_code, "consent c1" in found.output) == (0, True)
    assert [(row.kind, row.state) for row in look(engine)] == [("event", "cancelled"), ("erasure", "queued")]
    found = CliRunner().invoke(app, ["erase", "a.jansen@example.org", "--config", str(folder)])
    assert (found.exit_code, "Nobody here" in found.output) == (1, True)


def test_where_there_is_none_it_says_so(folder: Path) -> None:
    """A configuration without destinations is told in words, instead of a table of nothing."""
    (folder / "destinations.toml").unlink()
    assert say(folder, "list") == (0, "destinations.toml names no destination: nobody is told of events\n")


@pytest.mark.parametrize(
    ("verdict", "follows"),
    [
        (Retry("http_503"), "http_503; an event so answered is tried again."),
        (Renew("http_401"), "http_401; an event so answered is tried again."),
        (Throttled("pardot_122", 9.0), "pardot_122; an event so answered lets the destination rest."),
        (Split("http_400"), "http_400; an event so answered is given up."),
        (Dead("unbuildable"), "unbuildable; an event so answered is given up."),
        (Dead("http_410", disable=True), "http_410; an event so answered stops the destination."),
        (Misconfigured("no_token"), "no_token; an event so answered stops the destination."),
    ],
)
def test_a_test_event_says_what_would_become_of_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch, verdict: Verdict, follows: str
) -> None:
    """Not a class of failure, but what follows from it: tried again, rests, stops, or given up; exit 1."""
    monkeypatch.setattr("gateway.cli_destinations.operate.try_out", lambda *_: verdict)
    status, said = say(folder, "test", "hook")
    assert (status, said) == (1, f"hook did not accept a test event: {follows}\n")


def test_a_test_event_that_the_format_cannot_tell_is_given_up() -> None:
    """As any event is that can never be told: nothing would try it again."""

    class Mute(Webhook):
        def build(self, batch: Sequence[Telling], now: float) -> OutgoingRequest:
            raise DestinationError("no words for it")

    mute = Mute(make_config(), SECRET)
    assert send_test(mute, "main", "test-1", time.time()) == Dead("unbuildable")
