"""No secret, and nobody's address, in logs, errors, ledger, console or figures, whatever a receiver answers."""

import asyncio
import base64
import logging
import random
import time
from pathlib import Path

import msgspec
import pytest

from gateway import ledger
from gateway.database import transaction
from gateway.destinations import build_destinations
from gateway.destinations.base import PersonalEvent, Telling
from gateway.destinations.figures import queue_figures
from gateway.event import Person
from gateway.flows.deliver import Deliverer
from gateway.flows.erase import erase
from gateway.flows.operate_destination import try_out
from gateway.settings import DestinationConfig
from gateway.web.console import ConsoleParts
from tests.destinations.rows import SITE, look, make_event, put_consent, queue
from tests.flows.rehearsed import open_rehearsal
from tests.flows.test_deliver import fresh, short_rests
from tests.google_account import make_account
from tests.test_destination_examples import EXAMPLES, move
from tests.web.console_browser import open_operator
from tests.web.console_example import build_parts

__all__ = ["short_rests"]

EMAIL = "kanarie.jansen@example.org"
HOOK = base64.b64encode(bytes(range(40, 72))).decode()
CANARIES = {
    "CRM_WEBHOOK_SECRET": f"whsec_{HOOK}",
    "GA4_API_SECRET": "kanarie-api-secret",
    "MATOMO_TOKEN": "c0ffee" * 5 + "ab",
    "PARDOT_CLIENT_SECRET": "kanarie-client-secret",
}
SCOPES = {SITE: {"analytics": "aaaaaaaaaaaa", "marketing": "bbbbbbbbbbbb"}}


def test_canaries_are_found_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each kind is refused by its receiver, for every secret is wrong: what is said of it holds neither secret nor address."""
    caplog.set_level(logging.DEBUG)
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    with open_rehearsal("") as (receivers, origin):
        (tmp_path / "google-service-account.json").write_text(make_account(f"{origin}/google/token"))
        configs = tuple(msgspec.convert(move(one, origin), DestinationConfig) for one in EXAMPLES)
        parts = build_parts(tmp_path)
        config = msgspec.structs.replace(parts.config, destinations=configs)
        parts = ConsoleParts(**{**vars(parts), "config": config})
        said = [asyncio.run(deliver(parts, tmp_path))]
        for one in configs:
            verdict = try_out(config, parts.engine, one.name, "anke", time.time())
            said.append(f"{one.name} {verdict}")
        erase(config, parts.engine, "c1", "anke", time.time())
        assert len({arrival.path for arrival in receivers.log}) > len(configs) - 2  # all of them were really asked
    browser = open_operator(parts)
    said += [browser.get(path).text for path in ("/", "/destinations", "/destinations?id=e-crm", "/api/status")]
    said += [entry.body for entry in ledger.entries(parts.engine)]
    said += [str(queue_figures(parts.engine, configs)), caplog.text]
    said += [f"{row.state} {row.reason}" for row in look(parts.engine)]
    parts.engine.dispose()
    for canary in (*CANARIES.values(), HOOK, EMAIL):
        assert [text[:200] for text in said if canary in text] == []


async def deliver(parts: ConsoleParts, folder: Path) -> str:
    """An event to each destination, for a while; what its objects say of themselves."""
    now, said = time.time(), []
    ready = build_destinations(parts.config.destinations, CANARIES, folder)
    event = make_event(now, kind="download", props={"document": "a.pdf"})
    cookies = {"visitor_id519011": "7", "visitor_id519011-hash": "ab"}
    with transaction(parts.engine) as connection:
        put_consent(connection, "c1", {name: (scope, 1) for name, scope in SCOPES[SITE].items()})
    for one in ready:
        person = Person(EMAIL, cookies) if one.knows_people else None
        payload = msgspec.json.encode(PersonalEvent(**msgspec.structs.asdict(event), person=person))
        queue(parts.engine, fresh(f"e-{one.config.name}", "c1", destination=one.config.name, payload=payload), now=now)
        request = one.build([Telling("e1", event, "s" * 32, person)], now)
        said += [repr(one), str(one.config), repr(request)]
    deliverer = Deliverer(
        parts.engine, ready, SCOPES, owner="n", clock=time.time, chance=random.random, subject_key=b"k" * 32
    )
    await deliverer.start()
    await asyncio.sleep(1.5)
    said.append(str(deliverer.disabled))
    await deliverer.stop(1)
    return " ".join(said)
