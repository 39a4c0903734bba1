"""`gateway check`: would it start, are the regulators' rules kept, what would be held; and what keeps it from serving."""

import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from gateway.cli_ledger import ConfigOption
from gateway.cli_policy import print_would_hold
from gateway.config import Config, load_config
from gateway.consent.rule_findings import LINT_LEVELS, RuleFinding
from gateway.consent.wording import check_languages
from gateway.destinations import build_destinations
from gateway.keys import load_keys
from gateway.web.lint import lint

out = Console(emoji=False)  # paths hold ":id"


def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    config: ConfigOption = None,
) -> None:
    """Read the whole configuration and the banner that it makes: would the gateway start, and are the rules kept?"""
    loaded = load_config(config)
    check_config(loaded)
    found = lint(loaded, render=True)
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        _print(loaded, found)
    if any(one.stops for one in found):
        raise typer.Exit(1)


def check_config(config: Config) -> None:
    """What can be known before anything is started: secrets, keys, destinations. Raises ConfigError."""
    build_destinations(config.destinations, os.environ, Path(config.folder))
    check_languages(config)
    config.data_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    load_keys(config)


def refuse_to_serve(config: Config) -> None:
    """Exit with 2 and a line for each error that the configuration does not accept."""
    stopping = [one for one in lint(config, render=False) if one.stops]
    for one in stopping:
        sys.stderr.write(f"gateway: {one.say()}\n")
    if stopping:
        sys.stderr.write("gateway: not started. Mend it, or say why it stays in [[accepted_findings]] (gateway.toml)\n")
        raise typer.Exit(2)


def _print(config: Config, found: tuple[RuleFinding, ...]) -> None:
    for site in config.sites:
        hosts = ", ".join(site.config.hosts) or "every host"
        out.print(f"site {site.id}: {hosts}; policy {site.policy.file.version}", highlight=False)
    out.print(f"data folder: {config.data_folder}", highlight=False)
    print_would_hold(config)
    if found:
        _print_findings(found)
    counts = [f"{sum(one.level == level for one in found)} {level}s" for level in LINT_LEVELS]
    out.print(f"rules: {', '.join(counts)}", highlight=False)
    if any(one.stops for one in found):
        out.print("an error keeps the gateway from serving", highlight=False)
    else:
        out.print("configuration is whole")


def _print_findings(found: tuple[RuleFinding, ...]) -> None:
    table = Table()
    for head in ("rule", "level", "where", "what is wrong", "what is wanted"):
        table.add_column(head, overflow="fold")
    for one in found:
        level = f"{one.level}, accepted: {one.accepted}" if one.accepted else one.level
        table.add_row(one.rule, level, f"{one.site}: {one.file}\n{one.where}", one.what, one.wanted)
    out.print(table, markup=False)
