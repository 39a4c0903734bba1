"""The commands around policy and mode: `gateway policy ...`, `gateway mode`, and what `gateway check` says of observing."""

import getpass
import sys
import time
from enum import StrEnum
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, inspect
from sqlalchemy.exc import DBAPIError

from gateway.cli_groups import command_group
from gateway.cli_ledger import ConfigOption
from gateway.config import Config, Site, load_config
from gateway.consent.catalogue import load_catalogue
from gateway.database import SIGHTINGS, open_database, prepare_database, reading, sqlite_path
from gateway.errors import ConfigError
from gateway.flows.declare_seen import switch_mode
from gateway.flows.undeclared import Listed, list_inventory, name_needed
from gateway.overlay import NO_OVERLAY, overlay_path, read_overlay
from gateway.policy import first_said
from gateway.resources import config_file
from gateway.toml_text import build_toml

policy_app = command_group("The policy in force, with what operators added in the console.")
out = Console(emoji=False)  # paths hold ":id"
SiteOption = Annotated[str, typer.Option(help="Site id; none: the first.")]
MOST_LINES = 40
UNBROKEN = 36  # a name up to this length stays whole where the terminal has 80 columns
UNBROKEN_BESIDE = 26  # the same beside two columns of words
MOST_PAGES = 3  # of one thing
EXPORT_HEAD = """\
# policy.toml as it is in force: the file with what operators added in the console ({overlay}).
# To take it over: put it in the place of the policy file and delete that overlay; nobody is asked again for it.
"""


class ModeName(StrEnum):
    """The two modes."""

    ENFORCE = "enforce"
    OBSERVE = "observe"


@policy_app.command("show")
def policy_show(site: SiteOption = "", config: ConfigOption = None) -> None:
    """The policy in force: its version, each service with what it has, and what came from the console."""
    loaded = load_config(config)
    found = find_site(loaded, site)
    overlay = read_overlay(overlay_path(loaded.data_folder, found.id))
    mode = "enforce" if found.enforce else "observe"
    out.print(
        f"site {found.id}: policy {found.policy.file.version}, mode {mode}; {say_why(found, loaded)}", soft_wrap=True
    )
    table = Table()
    for head in ("purpose", "service", "provider"):
        table.add_column(head, overflow="fold")
    table.add_column("hosts, cookies, signatures", overflow="fold", width=UNBROKEN_BESIDE)
    for service in found.policy.file.services:
        names = (*service.hosts, *(cookie.name for cookie in service.cookies), *service.inline)
        table.add_row(
            service.purpose, f"{service.id}\n{first_said(service.name)}", first_said(service.provider), "\n".join(names)
        )
    out.print(table, markup=False)
    for change in overlay.changes:
        reason = f" ({change.reason})" if change.reason else ""
        line = (
            f"+{change.revision} {change.at} {change.operator}: {change.kind} {change.name} -> {change.service}{reason}"
        )
        out.print(line, markup=False, highlight=False, soft_wrap=True)


@policy_app.command("export")
def policy_export(site: SiteOption = "", config: ConfigOption = None) -> None:
    """The policy in force as one policy.toml, to take over by hand."""
    loaded = load_config(config)
    found = find_site(loaded, site)
    path = overlay_path(loaded.data_folder, found.id)
    head = EXPORT_HEAD.format(overlay=path.name) if read_overlay(path) != NO_OVERLAY else ""
    sys.stdout.write(head + build_toml(msgspec.to_builtins(found.policy.file)))


def mode(
    mode: Annotated[ModeName, typer.Argument(help="What is to hold from now on.")],
    site: Annotated[str, typer.Option(help="Site id; none: every site.")] = "",
    config: ConfigOption = None,
) -> None:
    """Switch holding back on (enforce) or off (observe), at once and without a restart."""
    loaded = load_config(config)
    sites = [find_site(loaded, site)] if site else loaded.sites
    loaded.data_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = open_database(loaded.database_url)
    for one in sites:
        switch_mode(loaded, engine, one, f"{getpass.getuser()} (command line)", time.time(), mode.value)
        before = "enforce" if one.enforce else "observe"
        out.print(f"site {one.id}: {mode.value} (before: {before}); workers follow within seconds", highlight=False)
        if mode is ModeName.ENFORCE and _has_inventory(loaded, engine):
            _warn_of_needed(one, list_inventory(engine, one, load_catalogue(config_file("catalogue")), pages=False))
    engine.dispose()


def find_site(config: Config, site: str) -> Site:
    """A site by its id; the first for none. Raises ConfigError."""
    found = next((one for one in config.sites if one.id == (site or config.sites[0].id)), None)
    if found is None:
        known = ", ".join(one.id for one in config.sites)
        raise ConfigError("gateway.toml", "sites.id", site, f"is no site of this configuration; known: {known}")
    return found


def say_why(site: Site, config: Config) -> str:
    """Which of the two says the mode."""
    if site.switched is None:
        return "the configuration says so"
    return f"switched by {site.switched.operator}, {site.switched.at}; the configuration says {config.settings.mode}"


def print_would_hold(config: Config) -> None:
    """What would be held, on which pages, how often, as far as something was observed; and what is undeclared."""
    engine = prepare_database(config.database_url)
    try:
        if not _has_inventory(config, engine):
            out.print("inventory: nothing was seen yet", highlight=False)
            return
        catalogue = load_catalogue(config_file("catalogue"))
        for site in config.sites:
            _print_site(config, site, list_inventory(engine, site, catalogue))
    except DBAPIError as error:
        out.print(f"inventory: the database does not answer ({error.orig})", highlight=False, markup=False)
    finally:
        engine.dispose()


def _has_inventory(config: Config, engine: Engine) -> bool:
    """Asked without making a database where there is none."""
    path = sqlite_path(config.database_url)
    if path is not None and not path.is_file():
        return False
    with reading(engine) as connection:
        return inspect(connection).has_table(SIGHTINGS.name)


def _name_pages(one: Listed) -> str:
    """Where it would be held, the pages with the most first."""
    paths = [page.path for page in one.item.pages if page.would]
    more = len(paths) - MOST_PAGES
    return ", ".join(paths[:MOST_PAGES]) + (f" and {more} more" if more > 0 else "")


def _print_site(config: Config, site: Site, listed: list[Listed]) -> None:
    mode = "enforce" if site.enforce else "observe"
    out.print(f"site {site.id}: mode {mode}; {say_why(site, config)}", highlight=False, markup=False, soft_wrap=True)
    would = [(sum(page.would for page in one.item.pages), one) for one in listed]
    would = sorted((row for row in would if row[0]), key=lambda row: (-row[0], row[1].item.name))
    if would:
        table = Table(title=f"site {site.id}")
        longest = max(len(one.item.name) for _, one in would[:MOST_LINES])
        table.add_column("would be held", overflow="fold", width=min(longest, UNBROKEN))
        for head in ("kind", "service", "pages", "times"):
            table.add_column(head, overflow="fold", justify="right" if head == "times" else "left")
        for count, one in would[:MOST_LINES]:
            owner = ", ".join(one.services) or (f"unknown ({one.suggestion.name}?)" if one.suggestion else "unknown")
            table.add_row(one.item.name, one.item.kind, owner, _name_pages(one), str(count))
        out.print(table, markup=False)
        if len(would) > MOST_LINES:
            out.print(f"and {len(would) - MOST_LINES} more: see the console's inventory", highlight=False)
    undeclared = sum(one.undeclared for one in listed)
    if undeclared:
        out.print(f"site {site.id}: {undeclared} seen and undeclared: see the console's inventory", highlight=False)
    _warn_of_needed(site, listed)


def _warn_of_needed(site: Site, listed: list[Listed]) -> None:
    """What is likely to break: a site whose forms fail is switched off again, and not looked into."""
    if names := name_needed(listed):
        out.print(
            f"site {site.id}: {', '.join(names)}: named like cookies that a form, signing in or a basket needs; while held, "
            "those fail. Try them, and say in the console's inventory whose they are",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
