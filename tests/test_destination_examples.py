"""Each example of a destination in the manual runs against the strict stand-ins, as an operator rehearses it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator
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
from tests.example_site import POLICY_TOML
from tests.google_account import make_account
from tests.test_manual import blocks, read

MANUAL, _, WALK = read("destinations.md").partition("## Adding a kind of destination")
EXAMPLES: list[dict[str, Any]] = [
    table for block in blocks(MANUAL, "toml") for table in tomllib.loads(block).get("destinations", [])
]
# Where an example's addresses are in a rehearsal.
MOVED = {
    "https://crm.example.org": "",
    "https://region1.google-analytics.com": "/google",
    "https://matomo.example.org": "/matomo",
    "https://analyticsadmin.googleapis.com": "/google",
    "https://pi.pardot.com": "/pardot",
    "https://voorbeeld.my.salesforce.com": "/pardot",
    "https://go.example.org": "",
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


def test_the_examples_are_rehearsed_as_an_operator_does_it(tmp_path: Path) -> None:
    """`gateway receivers` in a process of its own, the secrets that it prints, and `gateway destinations test` for each."""
    command = [sys.executable, "-m", "gateway", "receivers", "--port", "0"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            head = [process.stdout.readline() for _ in range(len(SECRETS) + 2)]
            [origin] = re.findall(r"http://127\.0\.0\.1:\d+", head[0])
            secrets = dict(re.findall(r"export (\w+)=(\S+)", "".join(head)))
            (tmp_path / "google-service-account.json").write_text(make_account(f"{origin}/google/token"))
            (tmp_path / "policy.toml").write_text(POLICY_TOML)
            (tmp_path / "gateway.toml").write_text('[[sites]]\nid = "main"\nhosts = ["www.example.org"]\n')
            (tmp_path / "destinations.toml").write_text(write_tables(move(one, origin) for one in EXAMPLES))
            for name in (example["name"] for example in EXAMPLES):
                test = [sys.executable, "-m", "gateway", "destinations", "test", name, "--config", str(tmp_path)]
                done = subprocess.run(test, env=environment | secrets, capture_output=True, text=True, check=False)
                assert (done.returncode, done.stdout) == (0, f"{name} accepted a test event.\n"), done.stderr
        finally:
            process.send_signal(signal.SIGTERM)
        said = process.stdout.read()
    assert said.count("taken: ") > len(EXAMPLES)
    assert "refused: " not in said


def write_tables(examples: Iterable[dict[str, Any]]) -> str:
    """The examples as a file."""
    lines = []
    for example in examples:
        options = example.pop("options", {})
        lines += ["[[destinations]]", *(f"{key} = {json.dumps(value)}" for key, value in example.items())]
        tables = {key: value for key, value in options.items() if isinstance(value, dict)}
        lines += ["[destinations.options]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in options.items() if key not in tables]
        for key, table in tables.items():
            lines += [
                f"[destinations.options.{key}]",
                *(f"{name} = {json.dumps(text)}" for name, text in table.items()),
            ]
    return "\n".join(lines) + "\n"
