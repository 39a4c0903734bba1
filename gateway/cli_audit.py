"""`gateway audit`: what a regulator's browser would see of a website, before, after refusing, accepting, withdrawing."""

import os
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli_init import ResolveOption, check_resolve, show_progress
from gateway.consent.audit_evidence import Evidence
from gateway.consent.audit_knowledge import Knowledge, load_knowledge
from gateway.consent.audit_rules import judge
from gateway.consent.findings_language import Speaker, choose_findings_language
from gateway.errors import ConfigError
from gateway.resources import config_file
from gateway.survey.audit_report import Report, build_report, write_json, write_page
from gateway.survey.eyes import load_browser, require_chromium
from gateway.survey.first_look import check_url
from gateway.survey.outside import load_outside

out = Console(emoji=False)
COLOURS = {"error": "bold red", "warning": "yellow", "notice": "cyan"}
VISITS = 6  # about so many times are the pages opened


class Lang(StrEnum):
    """The languages of findings."""

    EN = "en"
    NL = "nl"


LangOption = Annotated[Lang | None, typer.Option(help="Language of the findings; none: the machine's, else English.")]


class FailOn(StrEnum):
    """From which level on the exit status is 1."""

    ERROR = "error"
    WARNING = "warning"


def audit(
    url: Annotated[str, typer.Argument(help="The website, this gateway's or any other.")],
    output: Annotated[Path | None, typer.Option(help="Folder for audit.html and audit.json.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    pages: Annotated[int, typer.Option(min=1, max=20, help="How many pages each visit opens.")] = 3,
    fail_on: Annotated[FailOn, typer.Option(help="The level of finding that makes the exit status 1.")] = FailOn.ERROR,
    lang: LangOption = None,
    resolve: ResolveOption = None,
) -> None:
    """Visit a website four times as a fresh visitor and hold it against the rules of the regulators.

    Before any choice, after refusing, after accepting, and after withdrawing; only this site's own pages are opened. Needs
    Chromium and the extra [browser]. Status: 0 clean, 1 findings, 2 wrong usage or the site could not be visited.
    """
    knowledge = load_knowledge(config_file("audit.toml"))
    evidence = _visit(check_url(url), pages, knowledge, check_resolve(resolve))
    catalogue = load_outside()
    findings = judge(evidence, catalogue, knowledge.patterns)
    report = build_report(evidence, findings, catalogue, datetime.now().astimezone().isoformat(" ", "minutes"))
    speaker = Speaker(choose_findings_language(lang and lang.value, os.environ))
    if output is not None:
        _save(output, report, write_page(report, evidence, knowledge, speaker))
    if as_json:
        sys.stdout.write(write_json(report).decode())
    else:
        _print(report, knowledge, speaker)
        if output is not None:
            said = speaker.say("The whole report")
            out.print(f"\n{said}: {output / 'audit.html'}", highlight=False, soft_wrap=True)
    raise typer.Exit(1 if report.fails(fail_on.value) else 0)


def _visit(url: str, pages: int, knowledge: Knowledge, resolve: list[str]) -> Evidence:
    program = require_chromium()
    with show_progress(pages * VISITS) as tell:
        seen = load_browser("chromium_audit").audit_site(program, url, pages, knowledge, tell, resolve)
    assert isinstance(seen, Evidence)
    return seen


def _save(folder: Path, report: Report, page: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "audit.html").write_text(page, "utf-8")
        (folder / "audit.json").write_bytes(write_json(report))
    except OSError as error:
        raise ConfigError("command line", "--output", str(folder), f"cannot be written ({error.strerror})") from error


def _print(report: Report, knowledge: Knowledge, speaker: Speaker) -> None:
    say = speaker.say
    visits = Table(box=None, pad_edge=False)
    for heading in ("visit", "pages", "clicks", "cookies", "storage", "other hosts", "not necessary or unknown"):
        visits.add_column(say(heading), justify="left" if heading == "visit" else "right")
    for phase in report.phases:
        numbers = (len(phase.pages), phase.clicks, len(phase.cookies), len(phase.storage), len(phase.requests))
        if phase.done:
            visits.add_row(say(phase.title), *map(str, numbers), str(phase.optional))
        else:
            visits.add_row(say(phase.title), say("could not be done"))
    out.print(visits)
    out.print()
    if report.findings:
        findings = Table(box=None, pad_edge=False)
        for heading in ("level", "rule", "what", "seen"):
            findings.add_column(say(heading), overflow="fold", no_wrap=heading in ("level", "rule"))
        for one in report.findings:
            more = f" (+{len(one.proof) - 1})" if len(one.proof) > 1 else ""
            seen = Text((say(one.proof[0])[:110] + more) if one.proof else say(knowledge.rules[one.rule][0]))
            findings.add_row(Text(say(one.level), COLOURS[one.level]), one.rule, say(one.what), seen)
        out.print(findings)
        out.print()
    said = ", ".join(speaker.count(count, level) for level, count in report.counts.items())
    out.print(f"{report.url}: {said if report.findings else say('clean')}", highlight=False, soft_wrap=True)
