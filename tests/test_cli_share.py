"""`gateway share`: what an operator makes, sees and ends."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.config import load_config
from gateway.database import open_database
from gateway.errors import ConfigError
from gateway.shares import find_share
from tests.example_site import POLICY_TOML

NOW = 1_795_000_000.0


@pytest.mark.slow
def test_a_link_is_made_listed_and_revoked(tmp_path: Path) -> None:
    """The link alone is printed, under the console's public address; the list shows no secret; revoked, it opens nothing."""
    (tmp_path / "policy.toml").write_text(POLICY_TOML)
    (tmp_path / "gateway.toml").write_text('[keeper]\npublic_url = "https://statistiek.example.org"\n')
    config = load_config(tmp_path)

    def say(*words: str, typed: str = "") -> str:
        found = CliRunner().invoke(app, ["share", *words, "--config", str(tmp_path)], input=typed, terminal_width=200)
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found.stdout

    link = say("add", "Board", "--ends", "2099-12-31").strip()
    assert link.startswith("https://statistiek.example.org/share/")
    engine = open_database(config.database_url)
    share = find_share(engine, link.rpartition("/")[2], NOW)
    assert share is not None and not share.protected
    say("add", "Client", "--protected", typed="stapel kaas met bieslook\nstapel kaas met bieslook\n")
    listed = say("list")
    assert "2099-12-31" in listed and "Client" in listed and link[-43:] not in listed
    say("revoke", share.id)
    assert find_share(engine, link.rpartition("/")[2], NOW) is None and "revoked" in say("list")
    with pytest.raises(ConfigError, match="is not configured"):
        say("add", "Other", "--site", "nowhere")
    engine.dispose()
