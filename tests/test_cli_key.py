"""`gateway key`: what an operator makes, sees and ends."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.api_keys import find_key
from gateway.cli import app
from gateway.config import load_config
from gateway.database import open_database
from gateway.errors import ConfigError
from tests.example_site import POLICY_TOML


@pytest.mark.slow
def test_a_key_is_made_listed_and_revoked(tmp_path: Path) -> None:
    """The key alone is printed where a script catches it; the list shows no secret; revoked, it opens nothing."""
    (tmp_path / "policy.toml").write_text(POLICY_TOML)
    (tmp_path / "gateway.toml").write_text('[[sites]]\nid = "main"\nhosts = ["www.example.org"]\n')
    config = load_config(tmp_path)

    def say(*words: str) -> str:
        found = CliRunner().invoke(app, ["key", *words, "--config", str(tmp_path)], terminal_width=200)
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found.stdout

    token = say("add", "Weekly report", "--scope", "read", "--site", "main").strip()
    engine = open_database(config.database_url)
    key = find_key(engine, token, 1_795_000_000.0)
    assert key is not None and (key.name, key.sites) == ("Weekly report", ("main",))
    assert key.id in say("list") and token[-43:] not in say("list")
    say("revoke", key.id)
    assert find_key(engine, token, 1_795_000_000.0) is None
    with pytest.raises(ConfigError, match="is not configured"):
        say("add", "Other", "--scope", "read", "--site", "nowhere")
