"""A withdrawal after the signing keys were rotated, from the visitor's old cookie to what the receiver is told."""

import random
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gateway.config import Config
from gateway.database import open_database
from gateway.destinations import build_destinations
from gateway.flows.deliver import Deliverer
from gateway.front import ConsentMiddleware
from gateway.keys import load_subject_key, rotate_keys
from tests.destinations.rows import SECRET, queue
from tests.flows.test_deliver import fresh, run, settled, states, until
from tests.flows.worker_parts import read_recorded
from tests.receiver import Receiver, receiving
from tests.web.gated_site import Browser, Pages, ready_config

HOOK = """
[[destinations]]
name = "hook"
kind = "webhook"
url = "{}"
secret = "env:HOOK"
allow_private = true
purposes = ["marketing"]
options = {{ withdrawals = true }}
"""

pytestmark = pytest.mark.slow


async def deliver(config: Config, engine: Engine) -> None:
    """What waits, as a keeper that has just started does."""
    destinations = build_destinations(config.destinations, {"HOOK": SECRET}, Path(config.folder))
    scopes = {site.id: site.policy.scopes for site in config.sites}
    key = load_subject_key(config)
    clock, chance = time.time, random.random
    deliverer = Deliverer(engine, destinations, scopes, owner="n", clock=clock, chance=chance, subject_key=key)
    await deliverer.start()
    await until(lambda: settled(engine))
    await deliverer.stop()


def test_a_withdrawal_reaches_what_was_told_under_the_key_before(tmp_path: Path) -> None:
    """F9 (j): keys rotated between the yes and the no: the cookie from before withdraws what waits, nothing more is sent, and
    the receiver is told of the withdrawal under the very name that it knows."""

    async def test() -> None:
        async with receiving(Receiver(SECRET)) as receiver:
            (tmp_path / "destinations.toml").write_text(HOOK.format(receiver.url))
            config = ready_config(tmp_path)
            with Browser(ConsentMiddleware(Pages(), config)) as browser:
                browser.choose("accept_all")
                assert browser.report(name="download").status_code == 202
                cookies = dict(browser.cookies)
            [recorded] = read_recorded(config.data_folder)
            engine = open_database(config.database_url)
            asked = {"revision": recorded.revision}
            queue(engine, fresh("before", recorded.consent_id, **asked), now=time.time())
            await deliver(config, engine)
            rotate_keys(config)
            queue(engine, fresh("after", recorded.consent_id, **asked), now=time.time())
            with Browser(ConsentMiddleware(Pages(), config)) as browser:
                browser.carry(cookies)
                browser.choose("reject_all")
            await deliver(config, engine)
            told, withdrawal = receiver.accepted
            assert (told.id, states(engine)["after"]) == ("before", ("cancelled", "withdrawn"))
            assert "withdrawn" in withdrawal.body["type"]
            assert withdrawal.body["data"]["subject"] == told.body["data"]["subject"]
            engine.dispose()

    run(test())
