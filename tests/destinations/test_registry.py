"""Ready destinations from a configuration, or an error that says what is wrong and shows no secret."""

from pathlib import Path
from typing import Any

import pytest

from gateway.destinations import DESTINATIONS, build_destinations
from gateway.destinations.webhook import Webhook
from gateway.errors import ConfigError
from tests.destinations.rows import SECRET, make_config

ENVIRONMENT = {"HOOK_SECRET": SECRET, "EMPTY": "  "}


def test_secrets_come_from_environment_and_files(tmp_path: Path) -> None:
    """`env:NAME` and `file:path` (relative to the configuration's folder) give ready destinations, in order."""
    (tmp_path / "hook.secret").write_text(SECRET + "\n")
    configs = [make_config("one"), make_config("two", secret="file:hook.secret")]
    ready = build_destinations(configs, ENVIRONMENT, tmp_path)
    assert [type(destination) for destination in ready] == [Webhook, Webhook]
    assert [destination.config for destination in ready] == configs


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"kind": "carrier_pigeon"}, "hook.kind"),
        ({"expire_hours": 24 * 31 + 1}, "hook.expire_hours"),
        ({"secret": "env:MISSING"}, "hook.secret"),
        ({"secret": "env:EMPTY"}, "hook.secret"),
        ({"secret": "env:"}, "hook.secret"),
        ({"secret": "file:missing.secret"}, "hook.secret"),
        ({"secret": "file:binary.secret"}, "hook.secret"),
        ({"secret": "file:."}, "hook.secret"),
        ({"secret": SECRET}, "hook.secret"),
        ({"secret": ""}, "hook.secret"),
        ({"url": "https://127.0.0.1/in"}, "hook.url"),
        ({"url": "https://me:hidden@hooks.example.org/in"}, "hook.url"),
    ],
)
def test_a_bad_destination_does_not_start(tmp_path: Path, changes: dict[str, Any], key: str) -> None:
    """Unknown kinds, missing secrets, secrets in the file itself, bad URLs: the key is named, no secret shown."""
    (tmp_path / "binary.secret").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError) as caught:
        build_destinations([make_config(**changes)], ENVIRONMENT, tmp_path)
    assert caught.value.key == key
    assert SECRET not in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_each_kind_in_the_registry_is_a_destination() -> None:
    """What the registry names has a schedule that begins at once."""
    assert all(kind.schedule[0] == 0 for kind in DESTINATIONS.values())


@pytest.mark.parametrize(
    ("options", "key", "wanted"),
    [
        ({"format": "cloudevent"}, "hook.options.format", "wanted cloudevents or standard"),
        ({"withdrawal": True}, "hook.options.withdrawal", "is no option of webhook"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_wanted(options: dict[str, object], key: str, wanted: str) -> None:
    """A word that an option does not know, and an option that a kind does not have."""
    with pytest.raises(ConfigError) as caught:
        build_destinations([make_config(options=options)], {"HOOK_SECRET": SECRET}, Path())
    assert caught.value.key == key
    assert wanted in str(caught.value)


def test_a_secret_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """In words, and never with what stands in the file."""
    (tmp_path / "odd").write_bytes(b"\xff\xfe")
    for where, why in (("nothing", "cannot be read (No such file or directory)"), ("odd", "is no text in UTF-8")):
        with pytest.raises(ConfigError) as caught:
            build_destinations([make_config(secret=f"file:{where}")], {}, tmp_path)
        assert caught.value.key == "hook.secret"
        assert why in str(caught.value)
