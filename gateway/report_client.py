"""A report for the command line: asked of the keeper, or made from the files themselves when none runs."""

import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
from rich.console import Console
from rich.table import Table

from gateway.analytics.consent_results import ConsentReport, consent_lines
from gateway.analytics.funnels import Funnel, funnel_lines
from gateway.analytics.journal import JOURNAL_FOLDER
from gateway.analytics.page_flows import PageFlow, flow_lines
from gateway.analytics.query import Query, parse_query
from gateway.analytics.report_text import report_lines
from gateway.analytics.results import Report
from gateway.config import Config
from gateway.database import open_database
from gateway.errors import QueryError
from gateway.flows.consent_report import consent_report
from gateway.flows.drain import drain_once
from gateway.flows.follow_funnel import follow_funnel
from gateway.flows.follow_pages import follow_pages
from gateway.flows.open_store import open_store
from gateway.flows.report import ReportParts, report
from gateway.keeper_process import LOCK_NAME
from gateway.process_lock import is_held, try_hold
from gateway.socket_client import call_keeper

# A server reads 64 KB of a request's head. The same holds where no keeper runs: a question is refused in both cases or in none.
MAX_ADDRESS = 60_000
Found = TypeVar("Found", Report, ConsentReport, Funnel, PageFlow)


def fetch_report(config: Config, fields: dict[str, str]) -> Report:
    """The report for fields as in a console address, of all that is on disk at this moment.

    Raises QueryError, KeeperUnreachable, StoreError.
    """
    return _fetch(config, fields, "/report", Report, report)


def fetch_consent(config: Config, fields: dict[str, str]) -> ConsentReport:
    """The report on consent, likewise."""
    return _fetch(config, fields, "/consent", ConsentReport, consent_report)


def fetch_funnel(config: Config, fields: dict[str, str], steps: list[str]) -> Funnel:
    """How many visits took these steps, likewise."""
    fields = fields | {"steps": "\n".join(steps)}
    return _fetch(config, fields, "/funnel", Funnel, lambda query, parts: follow_funnel(query, steps, parts))


def fetch_flow(config: Config, fields: dict[str, str], pages: list[str]) -> PageFlow:
    """Where visits that passed these pages had come from and went next, likewise."""
    fields = fields | {"pages": "\n".join(pages)}
    return _fetch(config, fields, "/flow", PageFlow, lambda query, parts: follow_pages(query, pages, parts))


def _fetch(
    config: Config,
    fields: dict[str, str],
    path: str,
    kind: type[Found],
    make: Callable[[Query, ReportParts], Found],
) -> Found:
    query = parse_query(fields, {site.id: site.config.timezone for site in config.sites}, datetime.now(UTC))
    address = f"{path}?{urlencode(fields)}"
    if len(address) > MAX_ADDRESS:
        raise QueryError([f"the question is {len(address)} characters long as an address; at most {MAX_ADDRESS}"])
    if is_held(config.data_folder / LOCK_NAME):
        call_keeper(config.data_folder, "POST", "/drain")
        text = call_keeper(config.data_folder, "GET", address)
        return msgspec.json.decode(text, type=kind)
    config.data_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with try_hold(config.data_folder / LOCK_NAME) or closing(_Nothing()):
        engine = open_database(config.database_url)
        with closing(open_store(config)) as store:
            journals = config.data_folder / JOURNAL_FOLDER
            while drain_once(journals, store, engine, config.destinations, time.time(), config.signals).more:
                pass
            return make(query, ReportParts(store, engine, config.destinations, config.settings.analytics))


class _Nothing:
    def close(self) -> None:
        """Another keeper came up meanwhile; the store's own lock then speaks."""


def print_report(found: Report | ConsentReport | Funnel | PageFlow, out: Console) -> None:
    """The report as tables, for people."""
    if isinstance(found, Funnel):
        lines = funnel_lines(found)
    elif isinstance(found, PageFlow):
        lines = flow_lines(found)
    else:
        lines = consent_lines(found) if isinstance(found, ConsentReport) else report_lines(found)
    for title, header, rows in lines:
        table = Table(title=title, title_justify="left", title_style="bold")
        for index, name in enumerate(header):
            first = index == 0  # a name is told whole, on as many lines as it takes
            table.add_column(name, justify="left" if first else "right", overflow="fold" if first else "ellipsis")
        for row in rows:
            table.add_row(*row)
        out.print(table)
        out.print()
