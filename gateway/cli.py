"""Asks visitors of a website for consent, holds back what has none, and counts what may be counted.

Exit status: 0 done, 1 the answer is bad news (a broken ledger, a failed demo), 2 there is no answer: wrong usage or
configuration, or a website that cannot be looked at.
"""

import io
import logging
import os
import socket
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from gateway import __version__
from gateway.analytics.consent_results import ConsentReport
from gateway.analytics.funnels import Funnel
from gateway.analytics.page_flows import PageFlow
from gateway.analytics.results import Report
from gateway.cli_audit import audit
from gateway.cli_check import check, check_config, refuse_to_serve
from gateway.cli_csp import csp
from gateway.cli_destinations import destinations_app, erase
from gateway.cli_export import export
from gateway.cli_groups import ACCESS, BEGIN, FIGURES, KEPT, PROOF, RULES, RUN, TOLD, command_group
from gateway.cli_import import import_figures
from gateway.cli_init import init
from gateway.cli_key import key_app
from gateway.cli_ledger import ledger_app, receipt_app
from gateway.cli_mail import send_test_mail
from gateway.cli_policy import mode, policy_app
from gateway.cli_receivers import receivers
from gateway.cli_share import share_app
from gateway.cli_upkeep import backup_app, prune, restore
from gateway.config import Config, load_config
from gateway.database import open_database
from gateway.demo.loopback import PortTaken
from gateway.demo.run import DemoOptions, run_demo
from gateway.errors import ConfigError, DatabaseUnusable, GatewayError, LookFailed, QueryError
from gateway.keeper import run_keeper
from gateway.keys import new_key, rotate_keys
from gateway.operators import add_operator, list_operators, remove_operator, set_password
from gateway.report_client import fetch_consent, fetch_flow, fetch_funnel, fetch_report, print_report
from gateway.resources import config_file
from gateway.socket_client import call_keeper
from gateway.web.report_api import build_consent_csv, build_csv, build_flow_csv, build_funnel_csv, encode_report

app = command_group(add_completion=False, pretty_exceptions_enable=False)
operator_app = command_group("Who may sign in to the console.")
keys_app = command_group("The keys that sign cookies.")
app.command(rich_help_panel=BEGIN)(init)
app.command(rich_help_panel=RULES)(check)
app.command(rich_help_panel=RULES)(mode)
app.add_typer(policy_app, name="policy", rich_help_panel=RULES)
app.command(rich_help_panel=RULES)(audit)
app.command(rich_help_panel=RULES)(csp)
app.add_typer(destinations_app, name="destinations", rich_help_panel=TOLD)
app.command(rich_help_panel=TOLD)(receivers)
app.command(rich_help_panel=TOLD)(erase)
app.add_typer(ledger_app, name="ledger", rich_help_panel=PROOF)
app.add_typer(receipt_app, name="receipt", rich_help_panel=PROOF)
app.command(rich_help_panel=KEPT)(prune)
app.command(rich_help_panel=FIGURES)(export)
app.command("import", rich_help_panel=FIGURES)(import_figures)
app.add_typer(share_app, name="share", rich_help_panel=FIGURES)
app.add_typer(backup_app, name="backup", rich_help_panel=KEPT)
app.command(rich_help_panel=KEPT)(restore)
app.add_typer(operator_app, name="operator", rich_help_panel=ACCESS)
app.add_typer(key_app, name="key", rich_help_panel=ACCESS)
app.add_typer(keys_app, name="keys", rich_help_panel=ACCESS)

out = Console(emoji=False)  # paths hold ":id"
NO_ANSWER = (ConfigError, DatabaseUnusable, LookFailed, QueryError, PortTaken)
MOST_PORT = 65_535
# What has no bearing on a kind of report: asked for together, other figures would stand there than were meant.
_MAILED = ("--where", "--filters", "--compare", "--timezone", "--interval", "--limit", "--consent", "--json", "--csv")
UNUSED = {
    "--from": ("--period",),
    "--to": ("--period",),
    "--mail-test": (*_MAILED, "--funnel", "--flow"),
    "--consent": ("--where", "--filters", "--compare", "--interval", "--limit", "--funnel", "--flow"),
    "--funnel": ("--compare", "--interval", "--limit", "--flow"),
    "--flow": ("--compare", "--interval"),
    "--json": ("--csv",),
}
ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="gateway.toml, or the folder that holds it.")]


def main() -> None:
    """Entry point: what an operator can mend is one clear line, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no sign for something shows ? for it
    try:
        app()
    except GatewayError as error:
        _end(str(error), 2 if isinstance(error, NO_ANSWER) else 1)
    except OSError as error:
        _end(f"{error.filename}: cannot be used ({error.strerror})" if error.filename else str(error), 2)


def _end(why: str, status: int) -> None:
    Console(stderr=True).print(f"gateway: {why}", markup=False, highlight=False, soft_wrap=True)
    sys.exit(status)


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"gateway {__version__}", highlight=False)
        raise typer.Exit


@app.callback(help=__doc__)
def options(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """What holds for every command."""


@app.command(rich_help_panel=RUN)
def serve(
    upstream: Annotated[str, typer.Option(help="The site to stand in front of; none: the service alone.")] = "",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=MOST_PORT, help="Port to listen on.")] = 8787,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    config: ConfigOption = None,
) -> None:
    """Run the gateway before a site, or as a service beside it."""
    # Workers read the same configuration: file and overrides travel in the environment.
    if config is not None:
        os.environ["GATEWAY_CONFIG"] = str(config.resolve())
    if upstream:
        os.environ["GATEWAY_PROXY_UPSTREAM"] = upstream
    loaded = load_config()
    check_config(loaded)
    refuse_to_serve(loaded)
    refuse_taken(host, port)
    set_up_logging(loaded)
    run_server(loaded, host, port, workers)


@app.command(rich_help_panel=RUN)
def keeper(
    config: ConfigOption = None,
    from_stdin: Annotated[bool, typer.Option("--from-stdin", hidden=True)] = False,
) -> None:
    """Run the keeper: store, deliveries, console. Front workers start one themselves unless told not to."""
    loaded = msgspec.json.decode(sys.stdin.buffer.read(), type=Config) if from_stdin else load_config(config)
    set_up_logging(loaded)
    raise typer.Exit(run_keeper(loaded, stay=not from_stdin))


@app.command(rich_help_panel=BEGIN)
def demo(
    port: Annotated[int, typer.Option(min=0, max=MOST_PORT, help="Port of the gateway; 0: any free one.")] = 8787,
    console_port: Annotated[
        int, typer.Option(min=0, max=MOST_PORT, help="Port of the console; 0: any free one.")
    ] = 8788,
    data: Annotated[Path | None, typer.Option(help="Data folder; none: a temporary one.")] = None,
    visitors: Annotated[int, typer.Option(min=1, max=5000, help="How many visitors come by.")] = 40,
    once: Annotated[bool, typer.Option("--once", help="Run the visitors, check every figure, end.")] = False,
) -> None:
    """Try it all out: an invented firm's careless site, the gateway before it, visitors, report and webhook."""
    options = DemoOptions(port=port, console_port=console_port, data=data, visitors=visitors, once=once)
    raise typer.Exit(run_demo(options))


@app.command(rich_help_panel=RUN)
def status(config: ConfigOption = None) -> None:
    """What the keeper is doing."""
    answer: dict[str, Any] = msgspec.json.decode(call_keeper(load_config(config).data_folder, "GET", "/status"))
    table = Table(show_header=False, box=None)
    answer["started_at"] = datetime.fromtimestamp(answer["started_at"]).astimezone().isoformat(" ", "seconds")
    for name, value in answer.items():
        table.add_row(name, str(value))
    out.print(table)


@app.command(rich_help_panel=FIGURES)
def report(
    context: typer.Context,
    site: Annotated[str, typer.Option(help="Site id; none: the first.")] = "",
    period: Annotated[
        str, typer.Option(help="today, yesterday, 7d, 28d, 30d, 91d, month, 6mo, 12mo, year, all.")
    ] = "7d",
    first: Annotated[str, typer.Option("--from", help="First day, 2026-11-01.")] = "",
    last: Annotated[str, typer.Option("--to", help="Last day.")] = "",
    limit: Annotated[int, typer.Option(help="Rows in each breakdown.")] = 10,
    where: Annotated[
        list[str] | None, typer.Option(help="A filter: 'page contains /blog/|/news/'; again: and.")
    ] = None,
    filters: Annotated[str, typer.Option(help="Filters as JSON, with and, or, not, as in the API.")] = "",
    compare: Annotated[str, typer.Option(help="previous_period or year_over_year (year).")] = "",
    timezone: Annotated[str, typer.Option(help="Days and hours of this zone; none: the site's.")] = "",
    interval: Annotated[str, typer.Option(help="hour, day, week or month.")] = "",
    funnel: Annotated[list[str] | None, typer.Option(help="A step, 'page is /contact'; again for each.")] = None,
    flow: Annotated[
        list[str] | None, typer.Option(help="A page, '/contact': what came before and after; again for the next.")
    ] = None,
    consent: Annotated[bool, typer.Option("--consent", help="Who was asked, and what they chose.")] = False,
    mail_test: Annotated[str, typer.Option(help="Mail it to this address instead.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    config: ConfigOption = None,
) -> None:
    """The figures of a period, or with --consent those on consent: the same as in the console."""
    _check_options(context)
    fields = {"site": site, "period": period, "from": first, "to": last, "limit": str(limit)}
    fields |= {"where": "\n".join(where or ()), "filters": filters}
    fields |= {"compare": compare, "timezone": timezone, "interval": interval}
    loaded = load_config(config)
    if mail_test:
        send_test_mail(loaded, fields, mail_test)
        out.print("sent", highlight=False)
        return
    found: Report | ConsentReport | Funnel | PageFlow
    if funnel:
        found = fetch_funnel(loaded, fields, funnel)
    elif flow:
        found = fetch_flow(loaded, fields, flow)
    else:
        found = fetch_consent(loaded, fields) if consent else fetch_report(loaded, fields)
    if as_json:
        sys.stdout.buffer.write(encode_report(found) + b"\n")
    elif as_csv:
        sys.stdout.buffer.write(_build_csv(found))
    else:
        print_report(found, out)


def _check_options(context: typer.Context) -> None:
    asked = {one.opts[0]: (context.params[str(one.name)], one.default) for one in context.command.params}
    given = [option for option, (value, default) in asked.items() if value and value != default]
    faults = [f"{one} cannot be used with {kind}" for kind in given for one in UNUSED.get(kind, ()) if one in given]
    texts = [(option, str(text)) for option in given for text in _each(asked[option][0])]
    faults += [f"{option} {text!r} is not in UTF-8" for option, text in texts if not _is_unicode(text)]
    if faults:
        raise QueryError(faults)


def _each(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _is_unicode(text: str) -> bool:
    """Not so what was typed in another encoding: that is lone surrogates."""
    return text.encode("utf-8", "ignore").decode() == text


def _build_csv(found: Report | ConsentReport | Funnel | PageFlow) -> bytes:
    if isinstance(found, Funnel):
        return build_funnel_csv(found)
    if isinstance(found, PageFlow):
        return build_flow_csv(found)
    return build_consent_csv(found) if isinstance(found, ConsentReport) else build_csv(found)


@operator_app.command("add")
def operator_add(
    name: str,
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
    config: ConfigOption = None,
) -> None:
    """Let somebody sign in to the console."""
    add_operator(open_database(load_config(config).database_url), name, password, time.time())
    out.print(f"{name} can sign in now", highlight=False)


@operator_app.command("passwd")
def operator_passwd(
    name: str,
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
    config: ConfigOption = None,
) -> None:
    """Give an operator a new password; all of their sessions end."""
    set_password(open_database(load_config(config).database_url), name, password)
    out.print("changed; every session of theirs has ended")


@operator_app.command("remove")
def operator_remove(name: str, config: ConfigOption = None) -> None:
    """Take an operator out; all of their sessions end."""
    remove_operator(open_database(load_config(config).database_url), name)
    out.print("removed")


@operator_app.command("list")
def operator_list(config: ConfigOption = None) -> None:
    """Who may sign in."""
    for operator in list_operators(open_database(load_config(config).database_url)):
        out.print(operator.name, highlight=False)


@keys_app.command("new")
def keys_new() -> None:
    """Print a fresh key for `keys` in gateway.toml."""
    sys.stdout.write(new_key() + "\n")


@keys_app.command("rotate")
def keys_rotate(config: ConfigOption = None) -> None:
    """Put a new key before the present one; cookies signed with the old one stay good. Restart the workers then."""
    rotate_keys(load_config(config))
    out.print("a new key signs from the next start; the one before it still verifies")


def set_up_logging(config: Config) -> None:
    """Plain lines on standard error; visitors' addresses and agents are in none of them."""
    level = config.settings.log_level.upper()
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("alembic", "uvicorn", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING if level == "INFO" else level)


def refuse_taken(host: str, port: int) -> None:
    """Raise ConfigError for an address on which nobody can listen, before it is said that somebody does."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            raise ConfigError("command line", "--port", port, f"cannot be used on {host} ({error.strerror})") from error


def run_server(config: Config, host: str, port: int, workers: int) -> None:
    """Become the server: a process without what only the command line needs, and so without its memory."""
    options = ["--factory", "gateway.serving:build_app", "--host", host, "--port", str(port)]
    options += ["--workers", str(workers), "--timeout-graceful-shutdown", "10"]
    options += ["--log-config", str(config_file("logging.json"))]
    options += ["--no-access-log"]  # access logs hold visitors' addresses
    options += ["--no-proxy-headers"]  # whom to believe is the configuration's to say
    options += ["--no-server-header"]
    if config.settings.proxy.upstream:
        options.append("--no-date-header")  # the site's own passes
    console = config.settings.keeper
    before = config.settings.proxy.upstream or "nothing (the service alone)"
    out.print(f"gateway: http://{host}:{port} before {before}", highlight=False)
    out.print(f"console: http://{console.host}:{console.port}", highlight=False)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "uvicorn", *options])
