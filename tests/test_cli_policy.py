"""What the terminal says of policy and mode, and that it takes effect."""

import os
import tomllib
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import Engine
from typer.testing import CliRunner

from gateway.cli import app
from gateway.config import load_config
from gateway.database import open_database
from gateway.flows.declare_seen import declare, read_history
from gateway.overlay import MODES_FILE
from gateway.policy import Service, parse_policy
from tests.example_site import NOW, POLICY_TOML
from tests.migrated import put_migrated
from tests.web.inventory_example import KNOWN, STRANGER, put_inventory


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with two sites and wide output."""
    monkeypatch.setattr("gateway.cli_policy.out", Console(emoji=False, width=200))
    (tmp_path / "policy.toml").write_text(POLICY_TOML)
    (tmp_path / "gateway.toml").write_text(
        '[[sites]]\nid = "main"\n[[sites]]\nid = "shop"\nhosts = ["shop.example.org"]\n'
    )
    put_migrated(tmp_path / "data" / "gateway.db")
    return tmp_path


def run(folder: Path, *words: str) -> str:
    """What a command prints; it has to be content."""
    answer = CliRunner().invoke(app, [*words, "--config", str(folder)], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def engine_of(folder: Path) -> Engine:
    return open_database(load_config(folder, {}).database_url)


def declare_host(folder: Path, name: str) -> None:
    config, engine = load_config(folder, {}), engine_of(folder)
    fonts = Service("fonts", "marketing", "[Letters]", "Letters B.V.")
    declare(config, engine, config.sites[0], "anke", NOW, kind="host", name=name, service=fonts, reason="omdat")
    engine.dispose()


def test_the_mode_is_switched_for_one_site_or_all(folder: Path) -> None:
    """It holds from then on, is on record, and the file belongs to whoever owns the folder."""
    run(folder, "mode", "observe", "--site", "shop")
    assert [site.enforce for site in load_config(folder, {}).sites] == [True, False]
    assert "enforce" in run(folder, "mode", "enforce")
    assert [site.enforce for site in load_config(folder, {}).sites] == [True, True]
    engine = engine_of(folder)
    assert [one.mode for one in read_history(engine, "shop")] == ["enforce", "observe"]
    engine.dispose()
    assert (folder / "data" / MODES_FILE).stat().st_uid == (folder / "data").stat().st_uid == os.geteuid()


def test_a_site_that_is_not_there_is_named(folder: Path) -> None:
    """The error says which sites there are, and nothing is written."""
    answer = CliRunner().invoke(app, ["mode", "observe", "--site", "nope", "-c", str(folder)])
    assert "known: main, shop" in str(answer.exception)
    assert not (folder / "data" / MODES_FILE).exists()


def test_the_policy_in_force_is_shown_and_written_out(folder: Path) -> None:
    """With what came from the console; what is written out is the same policy, whoever reads it."""
    declare_host(folder, "letters.example")
    shown = run(folder, "policy", "show")
    for words in ("policy 7+1", "mode enforce; the configuration says so", "[Letters]", "letters.example", "omdat"):
        assert words in shown
    assert "letters.example" not in run(folder, "policy", "show", "--site", "shop")
    exported = run(folder, "policy", "export")
    assert "policy-overlay-main.toml" in exported
    policy = load_config(folder, {}).sites[0].policy
    assert parse_policy(tomllib.loads(exported)) == policy
    assert tomllib.loads(run(folder, "policy", "export", "--site", "shop"))["version"] == "7"


def test_check_says_what_would_be_held(folder: Path) -> None:
    """By name, service, page and how often; what the catalogue knows is said; no database is made for it."""
    engine = engine_of(folder)
    put_inventory(engine)
    engine.dispose()
    said = " ".join(run(folder, "check", "--no-browser").split())
    for words in (STRANGER, "400", "/zaken/:id", KNOWN, "unknown (Google Analytics 4?)", "seen and undeclared"):
        assert words in said
    (folder / "data" / "gateway.db").unlink()
    assert "nothing was seen yet" in run(folder, "check", "--no-browser")
    assert not (folder / "data" / "gateway.db").exists()


def test_names_stay_whole_on_a_narrow_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns words are what is wrapped: a host's name can be copied as it stands."""
    monkeypatch.setattr("gateway.cli_policy.out", Console(emoji=False, width=80))
    engine = engine_of(folder)
    put_inventory(engine)
    engine.dispose()
    wordy = 'name = "Voorbeeld Video en Bewegend Beeld"\nprovider = "Voorbeeld Video Internationaal B.V."'
    policy = POLICY_TOML.replace('name = "Voorbeeld Video"', wordy).replace('"_ads"', f'"_ads_{"x" * 60}"')
    (folder / "policy.toml").write_text(policy)
    said = run(folder, "check", "--no-browser")
    assert f"{STRANGER} " in said
    assert f"{KNOWN} " in said
    shown = run(folder, "policy", "show")
    assert "*.advert.example.net " in shown
    rows = [line for line in (said + shown).splitlines() if line.startswith("│")]
    assert [line for line in rows if not line.endswith("│")] == []  # cut off at the terminal's edge


def test_whoever_switches_on_is_told_what_is_likely_to_fail(folder: Path) -> None:
    """A cookie held back that is named like a basket's, or a form's token, is named when enforcement is switched on, and by
    `gateway check`; one that the catalogue knows as optional is not."""
    engine = engine_of(folder)
    put_inventory(engine)
    engine.dispose()
    told = "site main: mandje: named like cookies that a form, signing in or a basket needs"
    assert told in run(folder, "mode", "enforce", "--site", "main")
    assert told not in run(folder, "mode", "observe", "--site", "main")
    assert told in run(folder, "check", "--no-browser")
