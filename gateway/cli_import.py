"""`gateway import`: what was counted before. Page views out of access logs, handed to the keeper as a journal; days out of
Plausible's export, as sums in the database."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.analytics.masking import Masker
from gateway.analytics.plausible_export import is_export, open_export
from gateway.analytics.plausible_names import Names
from gateway.analytics.source import Channels
from gateway.config import Config, Site, load_config
from gateway.database import open_database
from gateway.errors import ConfigError
from gateway.flows.import_log import IMPORTS_FOLDER, Outcome, Views, import_log
from gateway.flows.import_plausible import Taken, import_plausible, undo_plausible
from gateway.front import build_checks
from gateway.geo import Countries
from gateway.process_lock import try_hold
from gateway.resources import country_database

NAMED_FILES = 5
out = Console(emoji=False, highlight=False, soft_wrap=True)
Tell = Callable[[int], None]


def import_figures(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Access logs, oldest first, .gz too; Plausible's export, zip or folder."
        ),
    ],
    site: Annotated[str, typer.Option("--site", help="Whose they are, where there are several sites.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Take back what Plausible's export brought.")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="gateway.toml, or the folder that holds it.")
    ] = None,
) -> None:
    """Count what was counted before: access logs, or days of Plausible's export; each once, addresses and agents dropped."""
    loaded = load_config(config)
    chosen = _find_site(loaded, site)
    try:
        with _only_import(loaded.data_folder):
            logs = [file for file in files if not is_export(file)]
            if undo and logs:
                raise ConfigError(
                    "command line", "--undo", str(logs[0]), "is no export of Plausible's; views of logs stay"
                )
            for export in (file for file in files if file not in logs):
                _import_export(export, loaded, chosen, undo)
            if logs:
                _import_logs(logs, loaded, chosen)
    except OSError as error:
        raise ConfigError("command line", "FILE", None, str(error)) from error


@contextmanager
def _only_import(data_folder: Path) -> Iterator[None]:
    folder = data_folder / IMPORTS_FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = try_hold(folder / "import.lock")
    if lock is None:
        raise ConfigError("command line", "FILE", None, "another import is at work")
    with lock:
        yield


def _import_logs(logs: list[Path], config: Config, site: Site) -> None:
    geo = config.settings.geo.database
    countries = Countries(Path(config.folder) / geo if geo else country_database())
    views = Views(config, site, countries, build_checks(config))
    unreadable = False
    for log in logs:
        with _progress(log, log.stat().st_size) as tell:
            outcome = import_log(log, config.data_folder, views, tell)
        out.print(f"{log}: {describe(outcome)}", markup=False)
        unreadable |= 0 < outcome.lines == outcome.unread
    if unreadable:  # no access log at all
        raise typer.Exit(1)


def _import_export(export: Path, config: Config, site: Site, undo: bool) -> None:
    analytics, engine = config.settings.analytics, open_database(config.database_url)
    with open_export(export) as opened:
        size = sum(file.size for file in opened.files)
    with _progress(export, size if undo else 2 * size) as tell:
        if undo:
            told = "taken back" if undo_plausible(export, site.id, engine, tell) else "was not imported"
        else:
            masker, own = Masker(analytics.mask_patterns), frozenset(site.config.hosts)
            names = Names(masker, Channels(config.channels), own, analytics.excluded_paths)
            told = _describe_days(import_plausible(export, site.id, names, engine, time.time(), tell))
    out.print(f"{export}: {told}", markup=False)


@contextmanager
def _progress(file: Path, size: int) -> Iterator[Tell]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(file.name, total=size)
        yield lambda at: bar.update(task, completed=at)


def describe(outcome: Outcome) -> str:
    """What came of one log, in words."""
    if outcome.known:
        return "was imported before"
    if not outcome.lines:
        return "holds no whole line (a last one without its end waits for the next time)"
    said = [f"{outcome.views} page views of {outcome.lines} lines"]
    said += [f"{count} left out: {reason}" for reason, count in sorted(outcome.left_out.items())]
    if outcome.unread:
        said.append(f"{outcome.unread} could not be read, first: line {', '.join(map(str, outcome.unread_lines))}")
    return "; ".join(said)


def _describe_days(taken: Taken) -> str:
    if taken.known:
        return "was imported before"
    said = [f"{taken.days} days" + (f", {taken.first} to {taken.last}" if taken.days else "")]
    if taken.told_before:
        said.append(f"{taken.told_before} left out: an earlier export told them")
    if taken.left_out:
        more = " ..." if len(taken.left_out) > NAMED_FILES else ""
        said.append(f"not read: {', '.join(taken.left_out[:NAMED_FILES])}{more}")
    return "; ".join(said)


def _find_site(config: Config, name: str) -> Site:
    found = [site for site in config.sites if name in ("", site.id)]
    if len(found) != 1:
        known = ", ".join(site.id for site in config.sites)
        raise ConfigError("command line", "--site", name or None, f"has to be one of: {known}")
    return found[0]
