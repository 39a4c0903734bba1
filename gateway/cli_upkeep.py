"""`gateway prune`, `gateway backup` and `gateway restore`: through the keeper where one runs, else on the files themselves."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from gateway import __version__
from gateway.cli_groups import CommandGroup, command_group
from gateway.config import Config, load_config
from gateway.database import open_database, sqlite_path
from gateway.errors import BackupBroken, ConfigError, KeeperUnreachable
from gateway.flows.backup import KEY_FILES, partial_of
from gateway.flows.backup_proof import Manifest, read_manifest, seal_backup, verify_backup
from gateway.flows.open_store import name_store, open_store
from gateway.flows.restore import check_place, restore_data
from gateway.flows.retention import Old
from gateway.keeper_process import LOCK_NAME
from gateway.keeper_upkeep import Progress as Copied
from gateway.keeper_upkeep import Upkeep
from gateway.process_lock import is_held, try_hold
from gateway.socket_client import call_keeper

LONGEST_SECONDS = 6 * 3600.0
LOOK_SECONDS = 0.2
out = Console(emoji=False, highlight=False, soft_wrap=True)
ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="gateway.toml, or the folder that holds it.")]
Tell = Callable[[int], None]


class BackupGroup(CommandGroup):
    """`gateway backup TO` is short for `gateway backup make TO`."""

    meant = "make"

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """The arguments, with the command that is meant where none is named."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            args = [self.meant, *args]
        return super().parse_args(ctx, args)


backup_app = command_group("A verified copy of the data folder, made while everything runs.")
backup_app.info.cls = BackupGroup


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    config: ConfigOption = None,
) -> None:
    """Delete what is older than [retention] says; the keeper does so once a day."""
    loaded = load_config(config)
    if is_held(loaded.data_folder / LOCK_NAME):
        asked = urlencode({"dry_run": int(dry_run)})
        old = msgspec.json.decode(call_keeper(loaded.data_folder, "POST", f"/prune?{asked}", LONGEST_SECONDS), type=Old)
    else:
        with _own_upkeep(loaded) as upkeep:
            old = upkeep.find_old(time.time()) if dry_run else upkeep.prune(time.time())
    verb = "would go" if dry_run else "gone"
    out.print(
        f"{verb}: {old.events} events, {old.inventory} rows of the inventory and {old.mailings} mails that were sent, "
        f"from before {_day(old.events_before)}"
    )
    out.print(f"{verb}: {old.visits} visits and {old.counters} counters from before {_day(old.visits_before)}")


@backup_app.command("make")
def make(
    to: Annotated[Path, typer.Argument(metavar="TO", help="A folder that is not there yet, on another disk at best.")],
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="The keys too: whoever has the backup can then sign as you.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Copy the data folder while keeper and front run, and verify the copy. Status 1: it is none."""
    loaded, target = load_config(config), to.absolute()
    with _disk():
        with _bar("copying") as (bar, task):
            partial = _copy(loaded, target, with_keys, bar, task)
        total = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
        with _bar("verifying", total) as (bar, task):
            manifest = seal_backup(partial, __version__, time.time(), lambda more: bar.advance(task, more))
        partial.rename(target)
    for line in describe(manifest):
        out.print(line)
    if sqlite_path(loaded.database_url) is None:
        out.print("ledger and deliveries are in a database of their own: dump it now, after this (docs/operating.md)")
    if loaded.settings.store.url:
        out.print(f"events and visits are not in it, but in {name_store(loaded.settings.store)}: back them up there")
    if not with_keys:
        out.print(f"keys are not in it: keep {', '.join(KEY_FILES)} apart, or make it with --with-keys")


@backup_app.command("verify")
def verify(folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A backup.")]) -> None:
    """Read every file of a backup, count its rows, follow its ledger. Status 1: it is not as it was made."""
    try:
        manifest = _verify(folder)
    except BackupBroken as error:
        for fault in error.faults:
            out.print(f"broken: {fault}", markup=False)
        raise typer.Exit(1) from error
    for line in describe(manifest):
        out.print(line)


def restore(
    folder: Annotated[Path, typer.Argument(metavar="FROM", help="A backup.")], config: ConfigOption = None
) -> None:
    """Fill the data folder, which has to be empty, from a backup that is verified first; destinations are paused then."""
    loaded = load_config(config)
    check_place(loaded.data_folder)
    names = [destination.name for destination in loaded.destinations]
    with _disk():
        manifest = _verify(folder)
        with _bar("restoring", sum(file.bytes for file in manifest.files.values())) as (bar, task):
            restore_data(folder, loaded.data_folder, manifest, names, time.time(), lambda more: bar.advance(task, more))
    for line in describe(manifest):
        out.print(line)
    missing = [name for name in KEY_FILES if name not in manifest.keys]
    if missing:
        out.print(f"put the keys into {loaded.data_folder} before anything is started: {', '.join(missing)}")
    if names:
        out.print(f"paused: {', '.join(names)}; who has withdrawn since then is not known here (destinations resume)")


def describe(manifest: Manifest) -> Iterator[str]:
    """What a verified backup holds, for people."""
    yield f"whole: made {datetime.fromtimestamp(manifest.made_at, UTC):%Y-%m-%d %H:%M:%SZ} by version {manifest.version}"
    if manifest.ledger:
        yield f"ledger: {manifest.ledger[0]} entries, each follows from the one before it"
    if manifest.rows:
        yield f"store: {manifest.rows['events']} events, {manifest.rows['visits']} visits"
    yield f"journals: {len(manifest.journals)}; files: {len(manifest.files)}; keys: {', '.join(manifest.keys) or 'none'}"


def _verify(folder: Path) -> Manifest:
    with _bar("verifying", sum(file.bytes for file in read_manifest(folder).files.values())) as (bar, task):
        return verify_backup(folder, lambda more: bar.advance(task, more))


def _copy(config: Config, target: Path, with_keys: bool, bar: Progress, task: TaskID) -> Path:
    if not is_held(config.data_folder / LOCK_NAME):
        with _own_upkeep(config) as upkeep, _watched(lambda: upkeep.progress, bar, task):
            return upkeep.copy_data(target, with_keys=with_keys)
    with _watched(lambda: _ask_progress(config), bar, task):
        asked = urlencode({"to": str(target), "keys": int(with_keys)})
        call_keeper(config.data_folder, "POST", f"/backup?{asked}", LONGEST_SECONDS)
    return partial_of(target)


def _ask_progress(config: Config) -> Copied:
    try:
        return msgspec.json.decode(call_keeper(config.data_folder, "GET", "/backup", 5), type=Copied)
    except KeeperUnreachable:
        return Copied()  # the copy's own call says what is wrong


@contextmanager
def _watched(look: Callable[[], Copied], bar: Progress, task: TaskID) -> Iterator[None]:
    """Move the bar while the block works."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(LOOK_SECONDS):
            found = look()
            bar.update(task, completed=min(found.done, found.total), total=found.total or None)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()


@contextmanager
def _bar(name: str, total: int | None = None) -> Iterator[tuple[Progress, TaskID]]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield bar, bar.add_task(name, total=total)


@contextmanager
def _own_upkeep(config: Config) -> Iterator[Upkeep]:
    """Be the keeper for as long as it takes."""
    config.data_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = try_hold(config.data_folder / LOCK_NAME)
    if lock is None:
        raise KeeperUnreachable("a keeper is starting; try again")
    with lock, closing(open_store(config)) as store:
        yield Upkeep(config, open_database(config.database_url), store)


@contextmanager
def _disk() -> Iterator[None]:
    """What the disk refuses is one line."""
    try:
        yield
    except OSError as error:
        raise ConfigError("command line", "folder", None, str(error)) from error


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()
