"""`gateway export`: a site's events, visits and counters as files, day by day, beside a keeper that goes on working."""

import csv
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, TypeVar
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.analytics.duckdb_store_file import write_parquet
from gateway.analytics.journal import JOURNAL_FOLDER
from gateway.analytics.period import midnight
from gateway.analytics.store import Store
from gateway.config import Config, Site, load_config
from gateway.database import open_database
from gateway.errors import ConfigError, KeeperUnreachable
from gateway.flows.drain import drain_once
from gateway.flows.export import DAYS, MOMENTS, Rows, Span, find_span, read_imported, read_rows
from gateway.flows.open_store import open_store
from gateway.keeper_process import LOCK_NAME
from gateway.process_lock import is_held, try_hold
from gateway.socket_client import call_keeper
from gateway.web.report_api import plain_cell

LONGEST_SECONDS = 600  # that one day may take
out = Console(emoji=False, highlight=False, soft_wrap=True)
ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="gateway.toml, or the folder that holds it.")]
Ask = Callable[[str, dict[str, str]], bytes]
Answer = TypeVar("Answer", Rows, Span)


class Form(StrEnum):
    """What the files are."""

    CSV = "csv"
    PARQUET = "parquet"


def export(
    to: Annotated[Path, typer.Argument(metavar="TO", help="A folder that is not there yet.")],
    site: Annotated[str, typer.Option(help="Site id; none: the first.")] = "",
    first: Annotated[str, typer.Option("--from", help="First day, 2026-11-01; none: the first of all.")] = "",
    last: Annotated[str, typer.Option("--to", help="Last day.")] = "",
    form: Annotated[Form, typer.Option("--format", help="csv (safe to open in a spreadsheet) or parquet.")] = Form.CSV,
    config: ConfigOption = None,
) -> None:
    """Write all that is stored of a site into files: events, visits, counters, imported days. The keeper goes on meanwhile."""
    loaded = load_config(config)
    chosen = _find_site(loaded, site)
    wanted = _parse_day(first, "--from"), _parse_day(last, "--to")
    if wanted[0] and wanted[1] and wanted[0] > wanted[1]:
        raise ConfigError("command line", "--from", first, f"is after --to ({last})")
    with _store(loaded) as ask, _new_folder(to) as folder:
        days = list(_days(chosen, *wanted, _get(ask, "/export/span", {"site": chosen.id}, Span)))
        counts = {}
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            for table in MOMENTS:
                task = bar.add_task(f"{table}, days", total=len(days))
                pieces = _read(ask, table, chosen.id, days, lambda task=task: bar.advance(task))  # type: ignore[misc]
                counts[table] = _WRITERS[form](pieces, folder / f"{table}.{form.value}")
        imported = read_imported(open_database(loaded.database_url), chosen.id, first, last)
        if (piece := next(imported, None)) is not None:
            counts[DAYS] = _WRITERS[form](chain([piece], imported), folder / f"{DAYS}.{form.value}")
    for table, count in counts.items():
        out.print(f"{to / table}.{form.value}: {count} rows", markup=False)


def _find_site(config: Config, name: str) -> Site:
    for site in config.sites:
        if not name or site.id == name:
            return site
    raise ConfigError("command line", "--site", name, f"wanted: {', '.join(site.id for site in config.sites)}")


def _days(site: Site, first: date | None, last: date | None, span: Span) -> Iterator[tuple[float, float]]:
    """Each local day of the period: when it starts and ends."""
    zone = site.config.timezone
    if not span.last:
        return
    stored = [datetime.fromtimestamp(at, ZoneInfo(zone)).date() for at in (span.first, span.last)]
    day = max(first or stored[0], stored[0])
    end = min(last or stored[1], stored[1])
    while day <= end:
        yield midnight(day, zone), midnight(day + timedelta(days=1), zone)
        day += timedelta(days=1)


def _parse_day(text: str, option: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise ConfigError("command line", option, text, "wanted a day, such as 2026-11-01") from error


def _read(
    ask: Ask, table: str, site: str, days: Sequence[tuple[float, float]], advance: Callable[[], None]
) -> Iterator[Rows]:
    """Day by day, so that neither side holds more than one; at least one answer, for the columns."""
    for start, end in days or [(0.0, 0.0)]:
        fields = {"table": table, "site": site, "start": repr(start), "end": repr(end)}
        yield _get(ask, "/export", fields, Rows)
        advance()


def _get(ask: Ask, path: str, fields: dict[str, str], kind: type[Answer]) -> Answer:
    return msgspec.json.decode(ask(path, fields), type=kind)


def _write_csv(pieces: Iterator[Rows], target: Path) -> int:
    count = 0
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for piece in pieces:
            if not file.tell():
                writer.writerow(name for name, _ in piece.columns)
            writer.writerows([plain_cell(value) for value in row] for row in piece.rows)
            count += len(piece.rows)
    return count


def _write_parquet(pieces: Iterator[Rows], target: Path) -> int:
    count, columns = 0, list[tuple[str, str]]()
    with TemporaryDirectory(dir=target.parent) as folder:
        lines = Path(folder) / "rows.jsonl"
        with lines.open("wb") as file:
            for piece in pieces:
                columns, count = piece.columns, count + len(piece.rows)
                names = [name for name, _ in columns]
                file.write(
                    msgspec.json.Encoder().encode_lines([dict(zip(names, row, strict=True)) for row in piece.rows])
                )
        write_parquet(lines, columns, target)
    return count


_WRITERS: dict[Form, Callable[[Iterator[Rows], Path], int]] = {Form.CSV: _write_csv, Form.PARQUET: _write_parquet}


@contextmanager
def _new_folder(to: Path) -> Iterator[Path]:
    """A folder that gets its name when all is in it; nothing that is there is written over."""
    if to.exists():
        raise ConfigError("command line", "TO", str(to), "is there already; a new folder is wanted")
    try:
        with TemporaryDirectory(prefix=f".{to.name}-", dir=to.absolute().parent) as folder:
            inside = Path(folder) / "export"
            inside.mkdir(mode=0o700)
            yield inside
            inside.rename(to)
    except OSError as error:
        raise ConfigError("command line", "TO", str(to), str(error)) from error


@contextmanager
def _store(config: Config) -> Iterator[Ask]:
    """Whoever answers for the store: the keeper, or this process while none runs. What is in the journals is stored first."""
    if is_held(config.data_folder / LOCK_NAME):
        call_keeper(config.data_folder, "POST", "/drain")
        yield lambda path, fields: call_keeper(
            config.data_folder, "GET", f"{path}?{urlencode(fields)}", LONGEST_SECONDS
        )
        return
    config.data_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = try_hold(config.data_folder / LOCK_NAME)
    if lock is None:
        raise KeeperUnreachable("a keeper is starting; try again")
    with lock, closing(open_store(config)) as store:
        engine, journals = open_database(config.database_url), config.data_folder / JOURNAL_FOLDER
        while drain_once(journals, store, engine, config.destinations, time.time(), config.signals).more:
            pass
        yield lambda path, fields: msgspec.json.encode(_answer(store, path, fields))


def _answer(store: Store, path: str, fields: dict[str, str]) -> Rows | Span:
    if path == "/export/span":
        return find_span(store, fields["site"])
    return read_rows(store, fields["table"], fields["site"], float(fields["start"]), float(fields["end"]))
