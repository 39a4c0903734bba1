"""A changed policy or mode is followed by itself, at the same moment everywhere, and never asks a visitor twice."""

import os
from pathlib import Path

import pytest

from gateway.config import Config
from gateway.consent.decision import Choice, decide
from gateway.consent.wording import check_languages
from gateway.overlay import MODES_FILE, Change, Overlay, Switched, add_change, overlay_path, write_modes, write_overlay
from gateway.rollout import NOTICE_SECONDS, OVERLAP_SECONDS, Rollout
from tests.example_site import POLICY_TOML, make_choice, write_site


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return write_site(tmp_path)


def declare(config: Config, host: str) -> float:
    """An operator adds a host to the marketing service; returns when."""
    path = overlay_path(config.data_folder, "main")
    write_overlay(path, add_change(Overlay(), Change(1, "2026-11-26", "anke", "host", host, "video")))
    return path.stat().st_ctime


def chosen(rollout: Rollout, choice: Choice) -> tuple[bool, list[str]]:
    """Whether a worker takes a choice as made, and what it grants."""
    site = rollout.config.sites[0]
    decision = decide(choice, "main", site.policy, choice.decided_at)
    return decision.chosen, list(decision.purposes)


def test_a_change_is_known_first_and_in_force_later(config: Config) -> None:
    """Two workers that look at different moments are never both in force without the other knowing; nothing happens while
    nothing changes."""
    rollout = Rollout(config, check_languages)
    assert not rollout.look(0.0)
    at = declare(config, "x.example")
    assert rollout.look(at + 0.1)
    assert rollout.config.sites[0].policy.purpose_of_host("x.example") == "unknown"
    assert not rollout.look(at + NOTICE_SECONDS - 0.1)
    assert rollout.look(at + NOTICE_SECONDS)
    assert rollout.config.sites[0].policy.purpose_of_host("x.example") == "marketing"
    assert rollout.config.sites[0].policy.file.version == "7+1"
    assert not rollout.look(at + NOTICE_SECONDS + 1)


def test_nobody_is_asked_twice_and_no_grant_grows(config: Config) -> None:
    """During a roll-out an answer to the old or the new policy counts as an answer, on workers before and after; a yes
    counts under its own scope alone. Afterwards only an answer to the new one does."""
    early, late = Rollout(config, check_languages), Rollout(config, check_languages)
    old = make_choice(config.sites[0].policy, "analytics", "marketing")
    refused = make_choice(config.sites[0].policy)
    at = declare(config, "x.example")
    early.look(at + NOTICE_SECONDS)
    late.look(at + 0.5)
    new = make_choice(early.config.sites[0].policy, "analytics", "marketing")
    assert chosen(early, old) == (True, ["analytics"])
    assert chosen(early, new) == (True, ["analytics", "marketing"])
    assert chosen(late, old) == (True, ["analytics", "marketing"])
    assert chosen(late, new) == (True, ["analytics"])
    assert chosen(early, refused) == chosen(late, refused) == (True, [])
    assert not chosen(early, make_choice(early.config.sites[0].policy, answers={}))[0]
    early.look(at + NOTICE_SECONDS + OVERLAP_SECONDS)
    assert chosen(early, old) == (False, ["analytics"])
    assert chosen(early, refused) == (False, [])
    assert chosen(early, new) == (True, ["analytics", "marketing"])


def test_a_switched_mode_is_in_force_at_once(config: Config) -> None:
    """With the scopes as they are there is nothing to wait for."""
    rollout = Rollout(config, check_languages)
    write_modes(config.data_folder / MODES_FILE, {"main": Switched("observe", "2026-11-26", "anke")})
    assert rollout.look(0.0)
    assert not rollout.config.sites[0].enforce


WRONG = ["version = 3", POLICY_TOML.replace('["nl", "en"]', '["xx"]').replace("nl =", "xx ="), "[["]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_not_followed(config: Config, text: str, caplog: pytest.LogCaptureFixture) -> None:
    """The policy before holds, the fault is logged once and can be shown; with the mistake mended all is well."""
    rollout = Rollout(config, check_languages)
    policy = Path(config.folder) / "policy.toml"
    policy.write_text(text)
    assert not rollout.look(1e12)
    assert not rollout.look(1e12)
    assert rollout.config == config
    assert "policy.toml" in rollout.fault
    assert len([line for line in caplog.messages if "not followed" in line]) == 1
    policy.write_text(POLICY_TOML.replace('name = "Teller"', 'name = "De teller"'))
    assert rollout.look(1e12)
    assert rollout.fault == ""


def test_a_file_that_only_looks_older_is_noticed(config: Config) -> None:
    """A policy put back from a backup with its old date is a changed one too."""
    rollout = Rollout(config, check_languages)
    draft = Path(config.folder) / "draft.toml"
    draft.write_text(POLICY_TOML.replace('"7"', '"6"'))
    os.utime(draft, (1, 1))
    draft.replace(Path(config.folder) / "policy.toml")
    assert rollout.look(1e12)
    assert rollout.config.sites[0].policy.file.version == "6"
