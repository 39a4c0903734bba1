"""`gateway share`: links by which others read a site's report."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli_groups import command_group
from gateway.config import load_config
from gateway.database import open_database
from gateway.errors import ConfigError
from gateway.shares import Share, add_share, describe_share, list_shares, revoke_share

share_app = command_group("Links by which others read a site's report.")
out = Console(emoji=False, highlight=False, soft_wrap=True)

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="gateway.toml, or the folder that holds it.")]
OPERATOR = "command line"  # in the ledger


@share_app.command("add")
def share_add(
    name: Annotated[str, typer.Argument(help="For whom it is; any words.")],
    site: Annotated[str, typer.Option(help="Site id; none: the first.")] = "",
    ends: Annotated[str, typer.Option(help="Its last day, 2026-12-31; none: until it is revoked.")] = "",
    protected: Annotated[
        bool, typer.Option("--protected", help="Ask for a password, which is read from here.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Make a link and print it. It is shown this once."""
    loaded, now = load_config(config), time.time()
    found = next((one for one in loaded.sites if one.id == (site or loaded.sites[0].id)), None)
    if found is None:
        known = ", ".join(one.id for one in loaded.sites)
        raise ConfigError("command line", "--site", site, f"is not configured; known: {known}")
    share = describe_share(name, found.id, found.config.timezone, ends, now)
    password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True) if protected else ""
    path = add_share(open_database(loaded.database_url), share, password, OPERATOR, now)
    out.print(loaded.console_url + path, markup=False)
    typer.echo(f"Keep it: it cannot be shown again. Its id is {share.id}.", err=True)


@share_app.command("list")
def share_list(config: ConfigOption = None) -> None:
    """Every link with its id, its site and how it stands; no secrets."""
    table = Table(box=None, pad_edge=False)
    for title in ("id", "name", "site", "password", "made", "last day", "state"):
        table.add_column(title, no_wrap=title == "id")
    loaded, now = load_config(config), time.time()
    zones = {site.id: site.config.timezone for site in loaded.sites}
    for share in list_shares(open_database(loaded.database_url)):
        made = datetime.fromtimestamp(share.created_at, UTC).strftime("%Y-%m-%d")
        password, last = "yes" if share.protected else "no", share.last_day(zones.get(share.site, "UTC"))
        table.add_row(share.id, share.name, share.site, password, made, last, _state(share, now))
    out.print(table)


@share_app.command("revoke")
def share_revoke(share_id: Annotated[str, typer.Argument(metavar="ID")], config: ConfigOption = None) -> None:
    """Make a link worthless, from its next use on."""
    revoke_share(open_database(load_config(config).database_url), share_id, OPERATOR, time.time())
    out.print("revoked")


def _state(share: Share, now: float) -> str:
    if share.is_open(now):
        return "in force"
    return "revoked" if share.revoked_at else "over"
