"""F9: eleven ways in which a withdrawal and a delivery can meet, with the workers in processes of their own.

What counts is what the receiver got, and when: nothing whose start came after the withdrawal was acknowledged.
(f), two tabs at once, is test_choose's; the others are here.
"""

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine

from gateway.config import load_config
from gateway.database import transaction
from gateway.destinations.base import Notice
from gateway.destinations.dead_letters import redrive
from gateway.destinations.outbox import NotStarted, lease, pass_on, withdraw
from gateway.keys import load_keys, load_subject_key, rotate_keys
from tests.destinations.rows import SCOPES, SITE, grant, look, make_delivery, put_consent, queue, start
from tests.example_site import POLICY_TOML

pytestmark = pytest.mark.slow
WORKERS = 2


class Watcher:
    """A receiver in threads: which event came when; events whose name begins with `slow`, `busy` or `bad` are treated so."""

    def __init__(self) -> None:
        self.came: dict[str, list[float]] = {}
        self.steps: list[str] = []
        watcher = self

        class Handler(BaseHTTPRequestHandler):
            """Answers one request."""

            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """Note and answer."""
                body = msgspec.json.decode(self.rfile.read(int(self.headers["content-length"])))
                watcher.steps.append(body["step"])
                for event in body["events"]:
                    watcher.came.setdefault(event, []).append(time.time())
                kinds = {event.partition("-")[0] for event in body["events"]}
                time.sleep(0.6 if "slow" in kinds else 0.002)
                self.send_response(503 if "busy" in kinds else 413 if "bad" in kinds else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is printed."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    """A receiver for as long as the test lasts."""
    made = Watcher()
    yield made
    made.server.shutdown()
    made.server.server_close()


@contextmanager
def workers(engine: Engine, watcher: Watcher) -> Iterator[list[subprocess.Popen[str]]]:
    """Two deliverers at work, ended by SIGTERM; none may fail."""
    url = engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.flows.race_worker", url, watcher.url]
    started = [
        subprocess.Popen([*command, f"node-{number}"], stdout=subprocess.PIPE, text=True) for number in range(WORKERS)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "at work\n"
        yield started
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        for process in started:
            assert process.wait(30) == 0
            assert process.stdout is not None
            process.stdout.close()


def take_back(engine: Engine, consent_id: str, destination: str = "hook") -> float:
    """A withdrawal as the choice makes it; returns when it was acknowledged."""
    now = time.time()
    notice = Notice(f"n-{consent_id}-{destination}", "withdrawal", SITE, "", ("marketing",), now)
    with transaction(engine) as connection:
        put_consent(connection, consent_id, {}, 2)
        withdraw(connection, consent_id, [destination], now)
        pass_on(connection, notice, consent_id, destination, now)
    return time.time()


def put(engine: Engine, event_id: str, consent_id: str, destination: str = "hook", revision: int = 1) -> None:
    """Queue an event of now."""
    now = time.time()
    times = {"recorded_at": now, "expires_at": now + 3600}
    queue(engine, make_delivery(event_id, consent_id, destination=destination, revision=revision, **times), now=now)


def until(condition: Callable[[], bool]) -> None:
    """Wait for something to become true."""
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.02)


def state_of(engine: Engine, event_id: str) -> tuple[str, str]:
    """State and reason of an event's row."""
    [row] = [row for row in look(engine) if row.event_id == event_id]
    return row.state, row.reason


def test_eleven_withdrawal_races(engine: Engine, watcher: Watcher) -> None:
    """F9 (a) to (e), (g), (i), (k): whatever the moment, nothing starts after the withdrawal was acknowledged."""
    # (a) leased and not started: the start finds it gone
    grant(engine, "a")
    put(engine, "ev-a", "a")
    with transaction(engine) as connection:
        [row] = lease(connection, "hook", "elsewhere", 1, time.time(), 60)
    take_back(engine, "a")
    with transaction(engine) as connection:
        outcome = start(connection, row.id, "elsewhere", ("marketing",), SCOPES, 9, time.time())
    assert isinstance(outcome, NotStarted)
    with workers(engine, watcher):
        # (b) on the wire: finished, marked, told of afterwards
        grant(engine, "b")
        put(engine, "slow-b", "b")
        until(lambda: "slow-b" in watcher.came)
        take_back(engine, "b")
        until(lambda: state_of(engine, "slow-b") == ("delivered", "withdrawn_on_the_wire"))
        until(lambda: state_of(engine, "n-b-hook") == ("delivered", ""))
        # (c) between two attempts: none follows
        grant(engine, "c")
        put(engine, "busy-c", "c")
        until(lambda: "busy-c" in watcher.came)
        acknowledged = take_back(engine, "c")
        # (d) given up, withdrawn, and the operator presses redrive
        grant(engine, "d")
        put(engine, "bad-d", "d")
        until(lambda: state_of(engine, "bad-d")[0] == "dead")
        take_back(engine, "d")
        with transaction(engine) as connection:
            assert redrive(connection, "hook", time.time()) == 0
        # (e) withdrawn and granted anew: what is drained late from before the yes is not sent
        grant(engine, "e")
        take_back(engine, "e")
        grant(engine, "e", 3)
        put(engine, "ev-e", "e", revision=1)
        # (g) withdrawn here, while the workers are elsewhere and the journal is late
        grant(engine, "g")
        take_back(engine, "g")
        put(engine, "ev-g", "g")
        # (i) one withdrawn subject in a batch: it is built without her
        for name in ("i1", "i2", "i3"):
            grant(engine, name)
        take_back(engine, "i2", "mixed")
        for name in ("i1", "i2", "i3"):
            put(engine, f"ev-{name}", name, "mixed")
        # (k) a policy whose scope has changed since the yes
        with transaction(engine) as connection:
            put_consent(connection, "k", {"marketing": ("an older scope", 1)})
        put(engine, "ev-k", "k")
        settled = {"delivered", "dead", "cancelled", "expired"}
        until(lambda: all(row.state in settled for row in look(engine)))
    reasons = {name: state_of(engine, name) for name in ("bad-d", "ev-e", "ev-g", "ev-i2", "ev-k")}
    assert reasons == {
        "bad-d": ("cancelled", "withdrawn"),
        "ev-e": ("cancelled", "granted_later"),
        "ev-g": ("cancelled", "withdrawn"),
        "ev-i2": ("cancelled", "withdrawn"),
        "ev-k": ("cancelled", "scope_changed"),
    }
    assert sorted(watcher.came) == ["bad-d", "busy-c", "ev-i1", "ev-i3", "slow-b"]
    assert [row.started_at <= acknowledged for row in look(engine) if row.event_id == "busy-c"] == [True]
    assert len(watcher.came["bad-d"]) == 1


def test_withdrawals_in_a_storm_and_at_a_shutdown(engine: Engine, watcher: Watcher) -> None:
    """F9 (g), (h), F13, F14: withdrawals at random moments while two processes deliver, stop and begin again: each event that
    came was started before its withdrawal was acknowledged, and none came twice."""
    acknowledged: dict[str, float] = {}
    names = [f"s{number}" for number in range(40)]
    for name in names:
        grant(engine, name)
        for number in range(3):
            put(engine, f"ev-{name}-{number}", name)
    chosen = random.sample(names, 25)
    for _ in range(2):
        with workers(engine, watcher):
            for _ in range(12):
                if chosen:
                    name = chosen.pop()
                    acknowledged[name] = take_back(engine, name)
                    put(engine, f"ev-{name}-late", name)
    with workers(engine, watcher):
        until(lambda: all(row.state in {"delivered", "cancelled"} for row in look(engine)))
    started = {row.event_id: row.started_at for row in look(engine)}
    late = [
        event
        for event in watcher.came
        if (name := event.split("-")[1]) in acknowledged and started[event] > acknowledged[name]
    ]
    assert late == []
    assert not [event for event in watcher.came if event.endswith("-late")]
    assert [event for event, times in watcher.came.items() if len(times) > 1] == []
    kept = [name for name in names if name not in acknowledged]
    assert {f"ev-{name}-{number}" for name in kept for number in range(3)} <= set(watcher.came)


def test_new_signing_keys_change_no_subject(tmp_path: Path) -> None:
    """F9 (j): after a rotation a destination knows the same person by the same name, so that a withdrawal still fits."""
    (tmp_path / "policy.toml").write_text(POLICY_TOML)
    (tmp_path / "gateway.toml").write_text('[[sites]]\nid = "main"\nhosts = ["www.example.org"]\n')
    config = load_config(tmp_path)
    before, keys = load_subject_key(config), load_keys(config)
    rotate_keys(config, keep=1)
    assert load_keys(config) != keys
    assert load_subject_key(config) == before
