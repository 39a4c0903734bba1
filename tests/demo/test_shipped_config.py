"""The shipped configuration files are the manual: whole, true to the defaults, and naming every key."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from gateway.config import load_config
from gateway.demo.stage import write_config
from gateway.destinations import build_destinations
from gateway.policy import Controller, Cookie, PolicyFile, PolicyPart, Purpose, Service, parse_policy
from gateway.resources import config_file
from gateway.settings import DestinationConfig, Settings, TopicRule
from tests.test_documented import fields_of


def read(name: str) -> str:
    """A shipped file."""
    return config_file(name).read_text("utf-8")


def uncommented(text: str) -> str:
    """The file with its commented examples put in force: in each, from a table's head to the next empty line."""
    kept, example = [], False
    for line in text.splitlines():
        example = line.startswith("# [[") or (example and line.startswith("#"))
        kept.append(line[2:] if example else line)
    return "\n".join(kept)


def test_the_shipped_settings_are_the_defaults() -> None:
    """gateway.toml says what would hold without it."""
    assert msgspec.convert(tomllib.loads(read("gateway.toml")), Settings) == Settings()


def test_the_shipped_files_make_a_configuration(tmp_path: Path) -> None:
    """The three files together start a gateway that tells nobody anything."""
    for name in ("gateway.toml", "policy.toml", "destinations.toml"):
        (tmp_path / name).write_text(read(name), "utf-8")
    config = load_config(tmp_path, {})
    assert config.destinations == ()
    assert set(config.sites[0].policy.scopes) == {"analytics", "marketing"}


def test_every_setting_is_in_the_manual() -> None:
    """Each key of each table stands in gateway.toml, in force or as an example."""
    text = read("gateway.toml")
    keys = {key.rpartition(".")[2] for key in fields_of(Settings)}
    assert "excluded_paths" in keys
    missing = [key for key in sorted(keys) if not re.search(rf"^(# )?(\[+(\w+\.)?)?{key}\b", text, re.MULTILINE)]
    assert missing == []


@pytest.mark.parametrize("part", [PolicyFile, Controller, Purpose, Service, Cookie])
def test_every_policy_key_is_in_the_manual(part: type[PolicyPart]) -> None:
    """Each key of a policy stands in policy.toml."""
    text = read("policy.toml")
    assert [key for key in part.__struct_fields__ if not re.search(rf"\b{key}\b", text)] == []


def test_the_examples_are_right() -> None:
    """The commented tables are accepted as they stand, and name every key that a destination has."""
    destinations = tomllib.loads(uncommented(read("destinations.toml")))["destinations"]
    example = msgspec.convert(destinations, list[DestinationConfig])[0]
    assert set().union(*destinations) == set(DestinationConfig.__struct_fields__)
    assert example.purposes == ("marketing",)
    policy = parse_policy(tomllib.loads(uncommented(read("policy.toml"))))
    assert policy.purpose_of_host("video.example.org") == "marketing"
    topics = msgspec.convert(tomllib.loads(uncommented(read("gateway.toml"))), Settings).analytics.topics
    assert topics == (TopicRule("/artikelen/", "Kennisbank"),)


def test_the_demos_own_configuration_is_whole(tmp_path: Path) -> None:
    """The templates, filled in, are read by the gateway's own loader; the secret is for its owner's eyes only."""
    config = write_config(
        tmp_path,
        "whsec_secret",
        upstream="http://127.0.0.1:1",
        receiver="http://127.0.0.1:2/h",
        pardot="http://127.0.0.1:4",
        port=3,
    )
    assert config.settings.proxy.upstream == "http://127.0.0.1:1"
    assert config.settings.keeper.port == 3
    assert config.destinations[0].url == "http://127.0.0.1:2/h"
    for name in ("crm.secret", "pardot.secret"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert config.destinations[1].options["tracker"] == "go.localhost:4"
    assert list(build_destinations(config.destinations[1:], {}, tmp_path))  # as the keeper makes them
    policy = config.sites[0].policy
    assert policy.purpose_of_cookie("tracker_x") == "unknown"
    assert policy.purpose_of_host("chat.localhost") == "unknown"
