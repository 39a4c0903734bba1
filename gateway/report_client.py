"""A report for the command line: asked of the keeper, or made from the files themselves when none runs."""

from datetime import UTC, datetime
from urllib.parse import urlencode

import msgspec
from rich.console import Console
from rich.table import Table

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.query import parse_query
from gateway.analytics.results import Report, report_lines
from gateway.config import Config
from gateway.database import open_database
from gateway.flows.drain import drain_once
from gateway.flows.report import ReportParts, report, report_csv
from gateway.process_lock import is_held
from gateway.socket_client import call_keeper


def fetch_report(config: Config, fields: dict[str, str]) -> Report:
    """The report for fields as in a console address. Raises QueryError, KeeperUnreachable, StoreError."""
    return msgspec.json.decode(fetch_report_text(config, fields, "json"), type=Report)
