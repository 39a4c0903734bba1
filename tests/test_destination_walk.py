"""The manual's walk through adding a kind of destination, followed to its end: the kind delivers, and its tests hold."""

import json
import time
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from sqlalchemy import Engine

from gateway.database import transaction
from gateway.destinations import DESTINATIONS, build_destinations
from gateway.destinations.base import Delivered, Misconfigured, Notice, Reply, Retry, Telling, make_subject
from gateway.destinations.outbox import pass_on, withdraw
from gateway.settings import DestinationConfig
from tests.destinations.rows import NOW, SITE, grant, make_config, make_event, put_consent, queue
from tests.flows.test_deliver import delivering, fresh, run, settled, states, until
from tests.test_destination_examples import WALK
from tests.test_manual import blocks

KIND, REGISTRY, TESTS = blocks(WALK, "python")
[EXAMPLE] = tomllib.loads(blocks(WALK, "toml")[0])["destinations"]


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The walk's module, entered in the registry as it says; the registry is as before afterwards."""
    module: dict[str, Any] = {}
    exec(compile(KIND, "docs/destinations.md", "exec"), module)
    line = eval(f"{{{REGISTRY}}}", module)
    monkeypatch.setattr("gateway.destinations.DESTINATIONS", DESTINATIONS | line)
    return module


def test_the_tests_of_the_walk_hold(intake: dict[str, Any]) -> None:
    """They run as they stand, with what tests of destinations usually have at hand."""
    names = {"json": json, "NOW": NOW, "make_config": make_config, "make_event": make_event, "Retry": Retry}
    names |= {"Telling": Telling, "Reply": Reply, "Delivered": Delivered, "Misconfigured": Misconfigured}
    module = {**intake, **names}
    exec(compile(TESTS, "docs/destinations.md", "exec"), module)
    tests = [module[name] for name in module if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()


def test_the_kind_of_the_walk_delivers_and_forgets(intake: dict[str, Any], engine: Engine, tmp_path: Path) -> None:
    """With the walk's example it tells of consented events in order, and of a withdrawal under the same name."""
    assert intake["Intake"].__doc__
    bodies: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.Response(status=202 if request.headers["x-key"] == "key" else 401)

    async def test() -> None:
        app = web.Application()
        app.router.add_post("/pages", take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
        told = {"url": EXAMPLE["url"].replace("https://intake.example.org", origin), "allow_private": True}
        config = msgspec.convert(EXAMPLE | told, DestinationConfig)
        [destination] = build_destinations([config], {"INTAKE_KEY": "key"}, tmp_path)
        grant(engine, "c1", 1, "analytics")
        for number in range(3):
            payload = msgspec.json.encode(make_event(host="www.example.org", path=f"/{number}"))
            queue(engine, fresh(f"e{number}", destination="intake", payload=payload), now=time.time())
        async with delivering(engine, destination) as deliverer:
            await until(lambda: settled(engine))
            with transaction(engine) as connection:
                put_consent(connection, "c1", {}, 2)
                withdraw(connection, "c1", ["intake"], time.time())
                notice = Notice("n1", "withdrawal", SITE, "", ("analytics",), time.time())
                pass_on(connection, notice, "c1", "intake", time.time())
            deliverer.wake()
            await until(lambda: settled(engine))
        await runner.cleanup()
        assert {state for state, _ in states(engine).values()} == {"delivered"}

    run(test())
    who = make_subject(b"k" * 32, "intake", "c1")
    pages = [f"https://www.example.org/{number}" for number in range(3)]
    assert bodies == [{"who": who, "channel": "web", "pages": pages}, {"forget": who}]


def test_the_walk_names_every_place() -> None:
    """Where a kind stands in the sources is what the walk says: file, registry, tests, example."""
    for place in ("gateway/destinations/intake.py", "gateway/destinations/__init__.py", "config/destinations.toml"):
        assert f"`{place}`" in WALK
    assert "`tests/destinations/test_intake.py`" in WALK
