"""`gateway import`: page views out of access logs, handed to the keeper as a journal."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.config import Config, Site, load_config
from gateway.errors import ConfigError
from gateway.flows.import_log import IMPORTS_FOLDER, Outcome, Views, import_log
from gateway.front import build_checks
from gateway.geo import Countries
from gateway.process_lock import try_hold
from gateway.resources import country_database

out = Console(emoji=False, highlight=False, soft_wrap=True)


def import_logs(
    logs: Annotated[list[Path], typer.Argument(metavar="LOG...", help="Access logs, oldest first; .gz too.")],
    site: Annotated[str, typer.Option("--site", help="Whose views they are, where there are several sites.")] = "",
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="gateway.toml, or the folder that holds it.")
    ] = None,
) -> None:
    """Count the page views of access logs, each log once; addresses and agents are dropped."""
    loaded = load_config(config)
    geo = loaded.settings.geo.database
    countries = Countries(Path(loaded.folder) / geo if geo else country_database())
    views = Views(loaded, _find_site(loaded, site), countries, build_checks(loaded.settings.analytics))
    folder = loaded.data_folder / IMPORTS_FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = try_hold(folder / "import.lock")
        if lock is None:
            raise ConfigError("command line", "LOG", None, "another import is at work")
        with lock:
            for log in logs:
                _import(log, loaded.data_folder, views)
    except (OSError, EOFError) as error:
        raise ConfigError("command line", "LOG", None, str(error)) from error


def _import(log: Path, data_folder: Path, views: Views) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(log.name, total=log.stat().st_size)
        outcome = import_log(log, data_folder, views, lambda at: bar.update(task, completed=at))
    out.print(f"{log}: {_describe(outcome)}", markup=False)


def _describe(outcome: Outcome) -> str:
    if outcome.known:
        return "was imported before"
    said = [f"{outcome.views} page views of {outcome.lines} lines"]
    said += [f"{count} left out: {reason}" for reason, count in sorted(outcome.left_out.items())]
    if outcome.unread:
        said.append(f"{outcome.unread} could not be read, first: line {', '.join(map(str, outcome.unread_lines))}")
    return "; ".join(said)


def _find_site(config: Config, name: str) -> Site:
    found = [site for site in config.sites if name in ("", site.id)]
    if len(found) != 1:
        known = ", ".join(site.id for site in config.sites)
        raise ConfigError("command line", "--site", name or None, f"has to be one of: {known}")
    return found[0]
