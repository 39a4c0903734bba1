"""`gateway init`: configuration files to start from, plain or drafted from a website as it stands."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from gateway.consent.cookies import is_named_as_needed
from gateway.errors import ConfigError
from gateway.resources import config_file
from gateway.survey.crawl import Limits
from gateway.survey.first_look import FirstLook, Tell, check_url, draft_files, look_at

FILES = ("gateway.toml", "policy.toml", "destinations.toml")
out = Console(emoji=False)

FolderArgument = Annotated[Path, typer.Argument(help="Where to write the files.")]
FromOption = Annotated[str, typer.Option("--from", metavar="URL", help="Draft them from this website as it stands.")]
PagesOption = Annotated[int, typer.Option(min=1, max=200, help="How many of its pages are looked at.")]
ResolveOption = Annotated[
    list[str] | None,
    typer.Option(metavar="HOST=ADDRESS", help="Look for a host elsewhere: www.example.org=127.0.0.1:8787"),
]


def init(
    folder: FolderArgument = Path(),
    url: FromOption = "",
    pages: PagesOption = 12,
    plain: Annotated[bool, typer.Option("--plain", help="Look without a browser, also where there is one.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write NAME.new beside files that exist.")] = False,
    resolve: ResolveOption = None,
) -> None:
    """Write commented configuration files to start from; existing ones are left alone.

    With --from it looks at a website first, in a browser where there is one: its cookies, tags, scripts and storage are
    named from the catalogue of known services, and policy.toml is drafted from them. Only that site's own pages are opened.
    """
    if not url:
        _write(folder, {name: config_file(name).read_text("utf-8") for name in FILES}, force)
        out.print(
            "Next: name yourself and your services in policy.toml, then: gateway serve --upstream URL", soft_wrap=True
        )
        return
    address = check_url(url)
    with show_progress(pages) as tell:
        seen = look_at(address, Limits(pages=pages), tell, check_resolve(resolve), plain=plain)
    found = draft_files(seen, date.today().isoformat())
    _write(folder, found.files, force)
    _summarise(found, folder)


def check_resolve(rules: list[str] | None) -> list[str]:
    """The rules as given. Raises ConfigError for one that is none."""
    for rule in rules or ():
        host, _, address = rule.partition("=")
        if not host or not address or "," in rule or " " in rule:
            raise ConfigError(
                "command line", "--resolve", rule, "wanted HOST=ADDRESS, such as www.example.org=127.0.0.1:8787"
            )
    return rules or []


@contextmanager
def show_progress(total: int) -> Iterator[Tell]:
    """A bar on standard error that says which page is being looked at."""
    columns = (TextColumn("looking"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        begun = iter(range(total))

        def tell(address: str) -> None:
            progress.update(task, description=address[:60], completed=next(begun, total))

        yield tell


def _write(folder: Path, files: Mapping[str, str], force: bool) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError("command line", "FOLDER", str(folder), f"cannot be made ({error.strerror})") from error
    for name, text in files.items():
        target = folder / name
        if target.exists() and force:
            target = folder / f"{name}.new"
            target.write_text(text, "utf-8")
            out.print(f"{folder / name} exists and is left as it is; {target} written", highlight=False, soft_wrap=True)
        elif target.exists():
            out.print(f"{target} exists and is left as it is", highlight=False, soft_wrap=True)
        else:
            target.write_text(text, "utf-8")
            out.print(f"{target} written", highlight=False, soft_wrap=True)


def _summarise(found: FirstLook, folder: Path) -> None:
    """What was found, on one screen."""
    seen, inventory = found.sightings, found.inventory
    strangers = [f"{one.sort.replace('_', ' ')} {one.name}" for one in inventory.unknown if one.sort != "script"]
    needed = [one.name for one in inventory.unknown if one.sort == "cookie" and is_named_as_needed(one.name)]
    rows = [
        ("looked at", f"{len(seen.pages)} pages of {seen.start} with {seen.eye}"),
        ("not seen", seen.blind),
        ("controller", f"{found.controller} (a guess: check it)"),
        ("platform", _names(platform.name for platform in inventory.platforms)),
        ("services", _names(one.service.name for one in inventory.services)),
        ("unknown, held back", _names(strangers)),
        *([("may be needed", f"{_names(needed)} (held, a form, signing in or a basket may fail)")] if needed else []),
        ("own scripts in pages", str(inventory.scripts)),
        ("other consent tool", _names(one.service.name for one in inventory.tools)),
    ]
    if found.agreed:
        rows.append(("the site's banner", "was accepted, to see what waits behind it"))
    if found.failed:
        rows.append(("could not be opened", _names(found.failed)))
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value))
    out.print()
    out.print(table)
    config = "" if folder == Path() else f" --config {folder}"
    policy = folder / "policy.toml"
    out.print(f"\nNext: see to the lines of {policy} that say CHECK, then: gateway serve{config}", soft_wrap=True)
    out.print('(mode = "observe": pages stay as they are, the console lists what would be held)', highlight=False)


def _names(names: Iterator[str] | list[str] | tuple[str, ...]) -> str:
    known = list(names)
    shown = f"{len(known)}: {', '.join(known[:12])}" + (" ..." if len(known) > 12 else "")
    return shown if known else "none"
