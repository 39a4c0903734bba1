"""`gateway check`: would it start, are the regulators' rules kept, what would be held; and what keeps it from serving."""

import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli_audit import LangOption
from gateway.cli_init import ResolveOption, check_resolve, show_progress
from gateway.cli_ledger import ConfigOption
from gateway.cli_policy import print_would_hold
from gateway.config import Config, Site, load_config
from gateway.consent.findings_language import Speaker, choose_findings_language, translate
from gateway.consent.measured_rules import judge_measured
from gateway.consent.rule_findings import LINT_LEVELS, MEASURED, RuleFinding, find
from gateway.consent.seen import host_of_url
from gateway.consent.wording import check_languages
from gateway.destinations import build_destinations
from gateway.errors import BrowserMissing, ConfigError
from gateway.flows.page_numbers import find_seen_numbers
from gateway.keeper_notices import open_rules
from gateway.keys import load_keys
from gateway.mail import open_mailer
from gateway.survey.eyes import load_browser, require_chromium
from gateway.survey.first_look import check_url
from gateway.web.lint import lint
from gateway.web.measured_before import keep_measured

MEASURED_STEPS = 7  # about so many are told of one site
out = Console(emoji=False)  # paths hold ":id"


def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    url: Annotated[
        str, typer.Option(help="Measure on this page, where the gateway runs, and not on one of ours.")
    ] = "",
    browser: Annotated[bool, typer.Option(help="Measure in Chromium too, where there is one.")] = True,
    lang: LangOption = None,
    resolve: ResolveOption = None,
    config: ConfigOption = None,
) -> None:
    """Read the whole configuration and the banner that it makes: would the gateway start, and are the rules kept?

    Where there is a Chromium, banner and settings are measured in it, and each answer is given once: on a page of ours that
    leaves no record, or at --url, where each is recorded as a visitor's.
    """
    loaded = load_config(config)
    check_config(loaded)
    measured = measure(loaded, url, check_resolve(resolve)) if browser or url else None
    found = lint(loaded, render=True, measured=measured)
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        speaker = Speaker(choose_findings_language(lang and lang.value, os.environ))
        _print(loaded, translate(found, speaker), speaker)
        if measured is None:
            out.print(speaker.say("not measured in a browser (--no-browser)"), highlight=False)
    wrong = find_seen_numbers(loaded.database_url, loaded.destinations)
    for numbers in wrong:
        typer.echo(numbers.say(), err=as_json)
    if wrong or any(one.stops for one in found):
        raise typer.Exit(1)


def find_live_site(config: Config, url: str) -> Site:
    """The site that an address belongs to. Raises ConfigError where there is none, or it asks nobody."""
    site = config.find_site(host_of_url(check_url(url)))
    if site is None:
        raise ConfigError("command line", "--url", url, "is a host of no site")
    if not site.enforce:
        raise ConfigError("command line", "--url", url, f"the site {site.id} is only observed: there is no banner yet")
    if not site.policy.optional:
        raise ConfigError("command line", "--url", url, f"the site {site.id} asks for nothing: there is no banner")
    return site


def measure(config: Config, url: str, resolve: list[str]) -> tuple[RuleFinding, ...]:
    """What a browser finds, at an address or on pages of ours; a note where there is none. Raises GatewayError."""
    sites = config.sites
    try:
        program = require_chromium()
        with show_progress(MEASURED_STEPS * len(sites)) as tell:
            driver = load_browser("chromium_check")
            if url:
                site = find_live_site(config, url)
                pairs = [(site, driver.measure_live(program, config, site, url, resolve, tell))]
            else:
                pairs = list(driver.measure_own(program, config, tell))
    except BrowserMissing as error:
        return tuple(find("not_measured", site.id, "banner", MEASURED, str(error)) for site in sites)
    found = tuple(one for site, measured in pairs for one in judge_measured(site, measured))
    if not url:  # a live page has more to it than the configuration
        keep_measured(config, found)
    return found


def check_config(config: Config) -> None:
    """What can be known before anything is started: secrets, keys, destinations. Raises ConfigError."""
    build_destinations(config.destinations, os.environ, Path(config.folder))
    open_mailer(config, os.environ)
    open_rules(config)
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


def _print(config: Config, found: tuple[RuleFinding, ...], speaker: Speaker) -> None:
    for site in config.sites:
        hosts = ", ".join(site.config.hosts) or "every host"
        out.print(f"site {site.id}: {hosts}; policy {site.policy.file.version}", highlight=False)
    out.print(f"data folder: {config.data_folder}", highlight=False)
    print_would_hold(config)
    if found:
        _print_findings(found, speaker)
    counts = [speaker.count(sum(one.level == level for one in found), level) for level in LINT_LEVELS]
    out.print(f"{speaker.say('rules')}: {', '.join(counts)}", highlight=False)
    if any(one.stops for one in found):
        out.print(speaker.say("an error keeps the gateway from serving"), highlight=False)
    else:
        out.print(speaker.say("configuration is whole"), highlight=False)


def _print_findings(found: tuple[RuleFinding, ...], speaker: Speaker) -> None:
    """Each thing that is wrong once, with all the places where it is."""
    places: dict[tuple[str, ...], list[str]] = {}
    for one in found:
        level = speaker.say(one.level)
        if one.accepted:
            level += f", {speaker.say('accepted')}: {one.accepted}"
        said = (one.rule, level, one.what, one.wanted, f"{one.site}: {one.file}")
        places.setdefault(said, []).append(one.where)
    table = Table(box=SIMPLE_HEAD, show_lines=True)
    for head in (("rule",), ("level",), ("what is wrong", "what is wanted", "where")):
        table.add_column(", ".join(speaker.say(word) for word in head), overflow="fold")
    for (rule, level, what, wanted, file), where in places.items():
        table.add_row(
            rule, level, Text.assemble((what, "bold"), f"\n{wanted}\n", (f"{file} {', '.join(where)}", "dim"))
        )
    out.print(table)
