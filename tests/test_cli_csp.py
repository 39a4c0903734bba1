"""`gateway csp` prints a policy that a web server takes as it stands."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.errors import ConfigError
from tests.example_site import POLICY_TOML

STRICT = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob: mediastream: www.example.org:* wss://www.example.org:*"
WHOLE = (
    f"{STRICT} cdn.example.org:* wss://cdn.example.org:* https://more.example.org;"
    " base-uri 'self' www.example.org:* cdn.example.org:* https://more.example.org"
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration of one site."""
    (tmp_path / "policy.toml").write_text(POLICY_TOML)
    file = tmp_path / "gateway.toml"
    file.write_text('[[sites]]\nid = "main"\nhosts = ["www.example.org"]\ncsp_extra = ["https://more.example.org"]\n')
    return file


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("header", f"Content-Security-Policy: {WHOLE}"),
        ("nginx", f'add_header Content-Security-Policy "{WHOLE}" always;'),
        ("caddy", f'header Content-Security-Policy "{WHOLE}"'),
        ("apache", f'Header always set Content-Security-Policy "{WHOLE}"'),
    ],
)
def test_the_strictest_policy_is_printed(config: Path, form: str, line: str) -> None:
    """Own hosts, necessary services and the operator's extra sources; no optional host."""
    found = CliRunner().invoke(app, ["csp", "--config", str(config), "--format", form])
    assert (found.exit_code, found.output) == (0, line + "\n")


def test_an_unknown_site_is_named(config: Path) -> None:
    """What was asked for and what there is."""
    found = CliRunner().invoke(app, ["csp", "--config", str(config), "--site", "shop"])
    assert isinstance(found.exception, ConfigError)
    assert "shop" in str(found.exception)
    assert "main" in str(found.exception)


@pytest.mark.parametrize("source", ["*", "https:", "a.example; script-src x", "'unsafe-eval'", "a"])
def test_an_extra_source_that_opens_everything_never_starts(config: Path, source: str) -> None:
    """Neither a wildcard for all, nor a scheme alone, nor anything that ends the directive."""
    config.write_text(f'[[sites]]\ncsp_extra = ["{source}"]\n')
    found = CliRunner().invoke(app, ["csp", "--config", str(config)])
    assert isinstance(found.exception, ConfigError)
    assert "csp_extra" in str(found.exception)
