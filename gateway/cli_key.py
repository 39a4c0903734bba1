"""`gateway key`: keys with which programs read figures or tell of events."""

import time
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.api_keys import MAX_PER_MINUTE, add_key, describe_key, list_keys, revoke_key
from gateway.cli_groups import command_group
from gateway.config import load_config
from gateway.database import open_database
from gateway.errors import ConfigError

key_app = command_group("Keys of programs: what they may, for which sites.")
out = Console(emoji=False, highlight=False, soft_wrap=True)

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="gateway.toml, or the folder that holds it.")]
OPERATOR = "command line"  # in the ledger


class Scope(StrEnum):
    """What a key is for."""

    READ = "read"
    COLLECT = "collect"


@key_app.command("add")
def key_add(
    name: Annotated[str, typer.Argument(help="For whom or what it is; any words.")],
    scope: Annotated[list[Scope], typer.Option(help="read: figures; collect: tell of events. Again for both.")],
    site: Annotated[list[str] | None, typer.Option(help="Only this site; again for more. None: every site.")] = None,
    per_minute: Annotated[int, typer.Option(min=1, max=MAX_PER_MINUTE, help="Requests a minute.")] = 600,
    config: ConfigOption = None,
) -> None:
    """Make a key and print it. It is shown this once."""
    loaded, now = load_config(config), time.time()
    known = [one.id for one in loaded.sites]
    for unknown in set(site or ()) - set(known):
        raise ConfigError("command line", "--site", unknown, f"is not configured; known: {', '.join(known)}")
    key = describe_key(name, list(dict.fromkeys(one.value for one in scope)), site or (), per_minute, now)
    shown = add_key(open_database(loaded.database_url), key, OPERATOR, known[0], now)
    out.print(shown, markup=False)
    typer.echo(f"Keep it: it cannot be shown again. Its id is {key.id}.", err=True)


@key_app.command("list")
def key_list(config: ConfigOption = None) -> None:
    """Every key with its id, what it may, and when it was last used; no secrets."""
    table = Table(box=None, pad_edge=False)
    for title in ("id", "name", "scopes", "sites", "a minute", "last used", "state"):
        table.add_column(title, no_wrap=title == "id")
    for key in list_keys(open_database(load_config(config).database_url)):
        sites, state = " ".join(key.sites) or "all", "revoked" if key.revoked_at else "in force"
        scopes, used = " ".join(key.scopes), _day(key.used_at)
        table.add_row(key.id, key.name, scopes, sites, str(key.per_minute), used, state)
    out.print(table)


@key_app.command("revoke")
def key_revoke(key_id: Annotated[str, typer.Argument(metavar="ID")], config: ConfigOption = None) -> None:
    """Make a key worthless, from its next use on."""
    loaded = load_config(config)
    revoke_key(open_database(loaded.database_url), key_id, OPERATOR, loaded.sites[0].id, time.time())
    out.print("revoked")


def _day(at: float | None) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M") if at else "never"
