"""Each example of a destination in the manual runs against the strict stand-ins, as an operator rehearses it."""

import json
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.demo.loopback import LoopbackServer
from gateway.destinations import DESTINATIONS, build_destinations
from gateway.destinations.base import Delivered
from gateway.flows.send_test import send_test
from gateway.receivers.rehearsal import SECRETS, Rehearsal
from gateway.settings import DestinationConfig
from tests.google_account import make_account
from tests.test_manual import blocks, read

EXAMPLES: list[dict[str, Any]] = [
    table for block in blocks(read("destinations.md"), "toml") for table in tomllib.loads(block)["destinations"]
]
# Where an example's addresses are in a rehearsal.
MOVED = {
    "https://crm.example.org": "",
    "https://region1.google-analytics.com": "/google",
    "https://matomo.example.org": "/matomo",
    "https://analyticsadmin.googleapis.com": "/google",
}


@pytest.fixture
def rehearsal() -> Iterator[tuple[Rehearsal, str]]:
    """The strict receivers, and where they listen."""
    receivers = Rehearsal({})
    server = LoopbackServer(receivers.app(), 0)
    server.start()
    yield receivers, f"http://127.0.0.1:{server.port}"
    server.stop()


def move(example: dict[str, Any], origin: str) -> dict[str, Any]:
    """The example with the stand-ins' addresses in the place of the real ones."""
    text = json.dumps(example | {"allow_private": True})
    for real, prefix in MOVED.items():
        text = text.replace(real, origin + prefix)
    moved: dict[str, Any] = json.loads(text)
    if moved["kind"] == "ga4":
        moved["options"]["deletion_url"] = f"{origin}/google"
    return moved


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["name"])
def test_an_example_is_taken_by_the_strict_receivers(
    example: dict[str, Any], tmp_path: Path, rehearsal: tuple[Rehearsal, str]
) -> None:
    """With the secrets that `gateway receivers` prints, each kind of event in the example is accepted without a fault."""
    receivers, origin = rehearsal
    (tmp_path / "google-service-account.json").write_text(make_account(f"{origin}/google/token"))
    config = msgspec.convert(move(example, origin), DestinationConfig)
    [destination] = build_destinations([config], SECRETS, tmp_path)
    for number, kind in enumerate(config.events):
        one = msgspec.structs.replace(config, events=(kind,))
        [destination] = build_destinations([one], SECRETS, tmp_path)
        assert send_test(destination, "main", f"test-{number}", time.time()) == Delivered()
    assert receivers.log
    assert [arrival.note for arrival in receivers.log if arrival.fault] == []


def test_each_kind_has_an_example() -> None:
    """No kind of destination is without an example in the manual."""
    assert {example["kind"] for example in EXAMPLES} == DESTINATIONS.keys()
