"""`gateway destinations`: how deliveries stand, and what an operator can do about them.

All of it works on the database; a keeper at work sees a change within seconds.
"""

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from gateway.cli_groups import command_group
from gateway.config import Config, load_config
from gateway.database import open_database
from gateway.destinations.base import Dead, Delivered, Misconfigured, Split, Throttled, Verdict
from gateway.destinations.dead_letters import Foreseen, Trace, Which, count_dead, trace
from gateway.destinations.figures import QueueFigures, count_delivered, find_paused, find_untold, queue_figures
from gateway.destinations.outbox import EVENT
from gateway.errors import ConfigError, KeeperUnreachable
from gateway.flows import operate_destination as operate
from gateway.flows.erase import erase as erase_person
from gateway.flows.page_numbers import find_wrong_numbers
from gateway.socket_client import call_keeper

destinations_app = command_group("Who is told of events: state, pause, resume, dead letters.")
out = Console(emoji=False, highlight=False, soft_wrap=True)

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="gateway.toml, or the folder that holds it.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="As in destinations.toml.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Only those that are dead for this reason.")]
SinceOption = Annotated[str, typer.Option("--since", help="Only those given up from this day or time (UTC) on.")]
UntilOption = Annotated[str, typer.Option("--until", help="Only those given up up to this day, or before this time.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent again, and what not.")]

OPERATOR = "command line"  # in the ledger
HOUR = 3600.0
FIGURES = ("received", "delivered", "dead", "cancelled", "expired", "queued", "on the wire", "oldest", "last error")
SENT = {
    "delivered": "sent: the receiver accepted it",
    "queued": "not sent yet: it waits",
    "leased": "not sent yet: it is next",
    "started": "on the wire",
    "dead": "not sent: given up",
    "cancelled": "not sent: the consent does not cover it",
    "expired": "not sent: too old",
}
# A notice asks for no consent: there is none any more.
TOLD = {
    "delivered": "done",
    "queued": "not done yet: it waits",
    "leased": "not done yet: it is next",
    "started": "on the wire",
    "dead": "given up",
    "expired": "given up: too old",
}


@destinations_app.command("list")
def show(config: ConfigOption = None) -> None:
    """State and counts of each destination; received = delivered + dead + cancelled + expired + queued + on the wire.

    The last row is what was accepted in the last hour.
    """
    loaded = load_config(config)
    if not loaded.destinations:
        out.print(f"{loaded.settings.destinations_file} names no destination: nobody is told of events")
        return
    engine = open_database(loaded.database_url)
    found, told = queue_figures(engine, loaded.destinations), _ask_keeper(loaded)
    status = told or _Status({})
    hour = count_delivered(engine, time.time() - HOUR)
    # A destination a column: eleven figures side by side fit no terminal.
    table = Table("", *(figures.destination for figures in found))
    states = dict.fromkeys(status.resting, "resting") | dict.fromkeys(find_paused(engine), "paused")
    states |= {name: f"stopped: {reason}" for name, reason in status.disabled.items()}
    table.add_row("state", *(states.get(figures.destination, "on") for figures in found))
    for name, *cells in zip(FIGURES, *map(_cells, found), strict=True):
        table.add_row(name, *cells)
    table.add_row("in the last hour", *(str(hour.get(figures.destination, 0)) for figures in found))
    out.print(table)
    if told is None:
        out.print("No keeper answers here: whether one rests or has stopped by itself is not known.")
    for name, rest in status.resting.items():
        if states[name] == "resting":
            out.print(_say_rest(name, rest), markup=False)
    for wrong in find_wrong_numbers(engine, loaded.destinations):
        out.print(wrong.say(), markup=False)
    for untold in find_untold(engine):
        waits = f"withdrawals and erasures still to be passed on: {untold.count}"
        out.print(f"{untold.destination}: {waits}, the oldest of {_moment(untold.oldest_at)}", markup=False)
    for letters in count_dead(engine):
        again = f"{letters.again} can be sent again" if letters.again else "none can be sent again"
        out.print(f"{letters.destination}: {letters.count} dead: {letters.reason}; {again}", markup=False)


class _Rest(msgspec.Struct):
    until: float
    failures: int
    reason: str


class _Status(msgspec.Struct):
    """Destinations that have stopped by themselves, and why; and those that rest for a while."""

    disabled: dict[str, str]
    resting: dict[str, _Rest] = msgspec.field(default_factory=dict)


def _ask_keeper(config: Config) -> _Status | None:
    """What this node's keeper alone knows; None where there is none."""
    try:
        return msgspec.json.decode(call_keeper(config.data_folder, "GET", "/status"), type=_Status)
    except KeeperUnreachable:
        return None


def _say_rest(name: str, rest: _Rest) -> str:
    asked = f"as its receiver has asked ({rest.reason})"
    why = f"after {rest.failures} failures in a row, the last: {rest.reason}" if rest.failures else asked
    return f"{name}: rests until {_moment(rest.until)}, {why}"


def _cells(figures: QueueFigures) -> list[str]:
    counts = (figures.received, figures.delivered, figures.dead, figures.cancelled, figures.expired)
    error = f"{figures.last_error} {_moment(figures.last_error_at)}".strip()
    return [*map(str, counts), str(figures.queued), str(figures.started), _moment(figures.oldest_at), error]


def _moment(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


@destinations_app.command("pause")
def pause(name: Name, config: ConfigOption = None) -> None:
    """Send nothing there until it is resumed; what is queued stays, and a withdrawal cancels it as ever."""
    loaded = load_config(config)
    _check_name(loaded, name)
    operate.pause(loaded, open_database(loaded.database_url), name, OPERATOR, time.time())
    out.print(f"{name} is paused.", markup=False)


@destinations_app.command("resume")
def resume(name: Name, config: ConfigOption = None) -> None:
    """Go on, after a pause or after it has stopped by itself."""
    loaded = load_config(config)
    _check_name(loaded, name)
    operate.resume(loaded, open_database(loaded.database_url), name, OPERATOR, time.time())
    out.print(f"{name} goes on.", markup=False)


def _check_name(config: Config, name: str) -> None:
    known = [destination.name for destination in config.destinations]
    if name not in known:
        wanted = f"is no destination of this configuration; known: {', '.join(known) or 'none'}"
        raise ConfigError("command line", "NAME", name, wanted)


@destinations_app.command("redrive")
def send_again(
    name: Name,
    reason: ReasonOption = "",
    since: SinceOption = "",
    until: UntilOption = "",
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
) -> None:
    """Queue dead letters again; consent is asked anew before each is sent. 2026-11-01 and 2026-11-01T14:30 are times."""
    which = Which(reason, _parse_time(since, "--since", days=0), _parse_time(until, "--until", days=1))
    if which.since is not None and which.until is not None and which.since >= which.until:
        raise ConfigError("command line", "--until", until, f"is not after --since {since}: nothing lies between them")
    loaded, now = load_config(config), time.time()
    _check_name(loaded, name)
    engine = open_database(loaded.database_url)
    if not dry_run:
        out.print(f"{operate.send_again(loaded, engine, name, OPERATOR, now, which)} queued again.", markup=False)
        return
    found = operate.foresee_again(loaded, engine, name, now, which)
    for one in found:
        out.print(f"{name}: {one.reason}: {_foretell(one)}", markup=False)
    if not found:
        out.print(f"{name}: no dead letters of that kind", markup=False)


def _parse_time(text: str, option: str, days: int) -> float | None:
    """A moment, in UTC unless it says otherwise; a day stands for its beginning, so many days later."""
    try:
        if not text:
            return None
        if len(text) == len("2026-11-01"):
            return datetime.combine(date.fromisoformat(text) + timedelta(days), datetime.min.time(), UTC).timestamp()
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        wanted = "wanted a day, such as 2026-11-01, or a time in UTC, such as 2026-11-01T14:30"
        raise ConfigError("command line", option, text, wanted) from error


def _foretell(one: Foreseen) -> str:
    parts = [f"{one.queued} would be queued again"]
    parts += [f"{count} of them cancelled at the start: {reason}" for reason, count in sorted(one.refused.items())]
    return "; ".join([*parts, f"{one.old} too old or no longer kept"] if one.old else parts)


@destinations_app.command("test")
def test(name: Name, config: ConfigOption = None) -> None:
    """Send an invented event of nobody, and say what came back; exit 1 when it was not accepted."""
    loaded = load_config(config)
    _check_name(loaded, name)
    verdict = operate.try_out(loaded, open_database(loaded.database_url), name, OPERATOR, time.time())
    if isinstance(verdict, Delivered):
        out.print(f"{name} accepted a test event.", markup=False)
        return
    out.print(f"{name} did not accept a test event: {verdict.reason}; {_foretell_end(verdict)}.", markup=False)
    raise typer.Exit(1)


def _foretell_end(verdict: Verdict) -> str:
    """What would become of an event, or of the destination, after such an answer."""
    match verdict:
        case Misconfigured() | Dead(disable=True):
            return "an event so answered stops the destination"
        case Dead() | Split():
            return "an event so answered is given up"
        case Throttled():
            return "an event so answered lets the destination rest"
    return "an event so answered is tried again"


def erase(
    who: Annotated[
        str, typer.Argument(metavar="WHO", help="The e-mail address that somebody gave, or a consent's id.")
    ],
    config: ConfigOption = None,
) -> None:
    """Forget somebody here, cancel what is queued, and ask each destination to erase; exit 1 when nobody is known."""
    loaded = load_config(config)
    ids = erase_person(loaded, open_database(loaded.database_url), who, OPERATOR, time.time())
    for consent_id in ids:
        out.print(
            f"Erased: consent {consent_id}. The ledger has what each destination answers (`gateway ledger export`).",
            markup=False,
        )
    if not ids:
        out.print("Nobody here is known by this address or consent.", markup=False)
        raise typer.Exit(1)


@destinations_app.command("why")
def why(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="An event's id: `webhook-id` and its like.")],
    config: ConfigOption = None,
) -> None:
    """Why an event was sent or not, to each destination, and under which consent while the row still names it."""
    found = trace(open_database(load_config(config).database_url), event_id)
    for row in found:
        out.print(explain(row), markup=False)
    if not found:
        out.print("No delivery has this id; rows of what has ended are kept for 30 days.", markup=False)
        raise typer.Exit(1)


def explain(row: Trace) -> str:
    """One delivery, in a sentence or two."""
    if row.kind != EVENT:
        return _explain_notice(row)
    parts = [f"{row.destination}: {SENT[row.state]}" + (f" ({row.reason})" if row.reason else "")]
    parts.append(f"recorded {_moment(row.recorded_at)} under revision {row.revision}")
    if row.started_at is not None:
        parts.append(f"consent asked and granted {_moment(row.started_at)}, attempt {row.attempts}")
    if row.settled_at is not None:
        parts.append(f"ended {_moment(row.settled_at)}")
    parts.append(f"consent {row.consent_id}" if row.consent_id else "its consent id was dropped when it ended")
    return "; ".join(parts)


def _explain_notice(row: Trace) -> str:
    """What became of telling of a withdrawal or an erasure; what was asked and answered stands in the ledger."""
    parts = [f"{row.destination}: notice of {row.kind}: {TOLD[row.state]}" + (f" ({row.reason})" if row.reason else "")]
    parts.append(f"recorded {_moment(row.recorded_at)}")
    if row.started_at is not None:
        parts.append(f"attempt {row.attempts} begun {_moment(row.started_at)}")
    if row.settled_at is not None:
        parts.append(f"ended {_moment(row.settled_at)}, its receipt is in the ledger")
    if row.consent_id:
        parts.append(f"consent {row.consent_id}")
    return "; ".join(parts)
