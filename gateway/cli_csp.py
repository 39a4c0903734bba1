"""`gateway csp`: the policy that a web server sends while the gateway is bypassed."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.config import load_config
from gateway.consent.csp import build_csp
from gateway.consent.decision import UNDECIDED
from gateway.errors import ConfigError


class Form(StrEnum):
    """How the line is written."""

    HEADER = "header"
    NGINX = "nginx"
    CADDY = "caddy"
    APACHE = "apache"


LINES = {
    Form.HEADER: "Content-Security-Policy: {value}",
    Form.NGINX: 'add_header Content-Security-Policy "{value}" always;',
    Form.CADDY: 'header Content-Security-Policy "{value}"',
    Form.APACHE: 'Header always set Content-Security-Policy "{value}"',
}


def csp(
    site: Annotated[str, typer.Option(help="The site's id; none: the first.")] = "",
    form: Annotated[Form, typer.Option("--format", help="As a header, or as a line for a web server.")] = Form.HEADER,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="gateway.toml, or its folder.")] = None,
) -> None:
    """Print the strictest content policy: the site's own hosts and what is necessary. For a route around the gateway."""
    loaded = load_config(config)
    found = next((one for one in loaded.sites if site in ("", one.id)), None)
    if found is None:
        known = ", ".join(one.id for one in loaded.sites)
        raise ConfigError("command line", "--site", site, f"is no site of this configuration; known: {known}")
    own, extra = found.config.hosts, found.config.csp_extra
    typer.echo(LINES[form].format(value=build_csp(found.policy, UNDECIDED, own, secure=True, extra=extra)))
