"""The keeper follows a changed policy before it reads what was recorded under it, and says when it cannot."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.keeper import Keeper
from gateway.overlay import Change, Overlay, add_change, overlay_path, write_overlay
from tests.example_site import write_site
from tests.migrated import put_migrated


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    """A keeper whose changes are in force at once; its loops do not run."""
    monkeypatch.setattr("gateway.rollout.NOTICE_SECONDS", 0.0)
    config = write_site(tmp_path)
    put_migrated(config.data_folder / "gateway.db")
    keeper = Keeper(config, stay=True)
    yield keeper
    keeper.close()


def test_deliveries_are_judged_by_the_policy_in_force(keeper: Keeper, tmp_path: Path) -> None:
    """With the next drain a changed scope is the one that deliveries are started under; a fault is shown in its state."""
    before = dict(keeper.scopes["main"])
    change = Change(1, "2026-11-26T12:00:00Z", "anke", "host", "x.example", "video")
    write_overlay(overlay_path(tmp_path / "data", "main"), add_change(Overlay(), change))
    keeper.drain_once()
    assert keeper.scopes["main"]["marketing"] != before["marketing"]
    assert keeper.scopes["main"]["analytics"] == before["analytics"]
    assert keeper.status()["policy"] == "ok"
    (tmp_path / "policy.toml").write_text("version = 3")
    keeper.drain_once()
    assert "policy.toml" in keeper.status()["policy"]
    assert keeper.scopes["main"]["marketing"] != before["marketing"]
