"""A keeper that is told to stop while it waits for hundreds of answers."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web

from gateway.config import load_config
from gateway.database import open_database, transaction
from tests.destinations.rows import SECRET, look, put_consent, queue
from tests.example_site import POLICY_TOML
from tests.flows.test_deliver import fresh, run, until
from tests.migrated import put_migrated
from tests.receiver import Received, Receiver, receiving

pytestmark = pytest.mark.slow

SITE = '[[sites]]\nid = "main"\nhosts = ["www.example.org"]\n[keeper]\nport = 0\n'
HOOK = """
[[destinations]]
name = "{}"
kind = "webhook"
url = "{}"
secret = "env:HOOK"
allow_private = true
purposes = ["marketing"]
timeout_seconds = 30
"""
NAMES = ("one", "two", "three", "four")
WAITING = 300
FILES = 150  # what a service manager allows at first; usually 1024


def test_a_keeper_finishes_what_is_on_the_wire(tmp_path: Path) -> None:
    """F20: with more requests on the wire than it might have files open at its start, a keeper that gets SIGTERM waits for
    their answers, writes them down and ends; nothing is told twice."""
    answering = asyncio.Event()

    async def answer(received: Received) -> web.StreamResponse:
        await answering.wait()
        return web.Response(status=204)

    async def test() -> None:
        async with receiving(Receiver(SECRET, answer)) as receiver:
            ids = lay_out(tmp_path, receiver.url)
            keeper = start_keeper(tmp_path)
            try:
                await until(lambda: len(receiver.ids) == WAITING, 40)
                keeper.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.2)
                answering.set()
                assert await asyncio.to_thread(keeper.wait, 30) == 0
            finally:
                keeper.kill()
                keeper.wait()
        assert Counter(receiver.ids) == Counter(ids)
        engine = open_database(load_config(tmp_path).database_url)
        assert {(row.state, row.attempts, row.lease_owner) for row in look(engine)} == {("delivered", 1, None)}
        engine.dispose()

    run(test())


def lay_out(folder: Path, url: str) -> list[str]:
    """A site with four receivers and what waits for them; the ids of that."""
    (folder / "policy.toml").write_text(POLICY_TOML)
    (folder / "gateway.toml").write_text(SITE)
    (folder / "destinations.toml").write_text("".join(HOOK.format(name, url) for name in NAMES))
    config = load_config(folder)
    put_migrated(config.data_folder / "gateway.db")
    engine = open_database(config.database_url)
    ids = [f"e{number}" for number in range(WAITING)]
    grants = {"marketing": (config.sites[0].policy.scopes["marketing"], 1)}
    with transaction(engine) as connection:
        for event_id in ids:
            put_consent(connection, f"of-{event_id}", grants)
    rows = [fresh(one, f"of-{one}", destination=NAMES[number % len(NAMES)]) for number, one in enumerate(ids)]
    queue(engine, *rows, now=time.time())
    engine.dispose()
    return ids


def start_keeper(folder: Path) -> subprocess.Popen[bytes]:
    """With few files at first, and leave to have more."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    command = [sys.executable, "-m", "gateway", "keeper", "--config", str(folder)]
    with (folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            ["prlimit", f"--nofile={FILES}:{most}", *command],
            env={**os.environ, "HOOK": SECRET},
            stdout=log,
            stderr=log,
        )
