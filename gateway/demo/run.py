"""`gateway demo`: the whole product in one command, and with `--once` a check of every figure it shows."""

import random
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from gateway.analytics.results import Report
from gateway.analytics.visitor import local_day
from gateway.config import Config
from gateway.demo.loopback import PortTaken
from gateway.demo.output import (
    print_addresses,
    print_checks,
    print_deliveries,
    print_fault,
    print_people,
    print_visitors,
)
from gateway.demo.people import Plan, plan_visits
from gateway.demo.stage import DemoFailed, Stage, open_stage
from gateway.demo.tally import Check, Evidence, Tally, check_people, run_checks
from gateway.demo.visitors import Experience, run_visits, trickle
from gateway.errors import ConfigError
from gateway.report_client import fetch_report, print_report
from gateway.socket_client import call_keeper

QUIET_SECONDS = 1.5  # longer than a front worker keeps its counters to itself
SETTLE_SECONDS = 90.0
NOTICE_SECONDS = 15.0
ALL_ROWS = "1000"


class DemoOptions(msgspec.Struct, frozen=True):
    """What `gateway demo` was told. Ports of 0 are chosen freely; `seed` repeats the same visitors."""

    port: int = 8787
    console_port: int = 8788
    data: Path | None = None
    visitors: int = 40
    once: bool = False
    seed: int | None = None


def run_demo(options: DemoOptions, out: Console | None = None) -> int:
    """Run the demo. The exit status: 0 all figures were right, 1 one was not, 2 it could not start.

    Without `once` it stays until it is interrupted. Raises ConfigError for `once` on a used folder.
    """
    out = out or Console(emoji=False)  # paths hold `:id`, which is also the name of an emoji
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops everything, as Ctrl-C does
    try:
        return _run(options, out)
    except PortTaken as error:
        print_fault(out, f"{error}: choose another with --port or --console-port; 0 takes a free one")
    except DemoFailed as error:
        print_fault(out, str(error))
    except KeyboardInterrupt:
        out.print("\nStopped.")
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)
    return 2


def _run(options: DemoOptions, out: Console) -> int:
    chance = random.Random(options.seed)
    with _open_folder(options) as folder:
        out.print("Starting the site, its third parties, a webhook receiver, Account Engagement and the gateway ...")
        with open_stage(folder, options.port, options.console_port) as stage:
            if not options.once:
                print_addresses(out, stage)
            started = time.time()
            experiences = walk_all(plan_visits(options.visitors, chance), stage.site_url, chance, out)
            stage.check_alive()
            status = show_results(stage, experiences, started, out)
            if not options.once:
                print_addresses(out, stage)
                _stay(stage, chance, out)
            return status


@contextmanager
def _open_folder(options: DemoOptions) -> Iterator[Path]:
    """The demo's folder: the given one, or one that is gone afterwards."""
    if options.data is None:
        with tempfile.TemporaryDirectory(prefix="gateway-demo-") as name:
            yield Path(name)
        return
    if options.once and (options.data / "data").exists():
        wanted = "holds data already; --once compares every figure, so it wants a folder of its own"
        raise ConfigError("demo", "--data", str(options.data), wanted)
    yield options.data


def walk_all(plans: list[Plan], origin: str, chance: random.Random, out: Console) -> list[Experience]:
    """Let all visitors walk, with a bar that shows how far they are."""
    columns = (
        SpinnerColumn(),
        TextColumn("Visitors"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out) as progress:
        return list(progress.track(run_visits(plans, origin, chance), total=len(plans)))


def show_results(stage: Stage, experiences: list[Experience], started: float, out: Console) -> int:
    """Report, deliveries and checks on the screen; 0 when nothing differs, else 1."""
    timezone = stage.config.sites[0].config.timezone
    report = settle(stage.config, local_day(started, timezone))
    print_report(report, out)
    print_visitors(out, experiences)
    print_deliveries(out, stage.receiver)
    print_people(out, stage.pardot)
    if not stage.fresh:
        out.print("The folder held data of an earlier run, so its figures cannot be compared with this run's.")
        return 0
    checks = _check(Tally(experiences, timezone), stage, report)
    print_checks(out, checks)
    return 1 if any(check.differences for check in checks) else 0


def _check(tally: Tally, stage: Stage, report: Report) -> list[Check]:
    """Every check, once those who withdrew are opted out: notices stand in no figure of the queue."""
    until = time.monotonic() + NOTICE_SECONDS
    while True:
        pardot = stage.pardot.pardot
        faults = [f"{arrival.path}: {arrival.note}" for arrival in stage.pardot.log if arrival.fault]
        seen = (stage.receiver.log, stage.receiver.refused, stage.foreign.log)
        evidence = Evidence(report, *seen, pardot.prospects, pardot.activities, faults)
        if not check_people(tally, evidence) or time.monotonic() > until:
            return run_checks(tally, evidence)
        time.sleep(QUIET_SECONDS)


def settle(config: Config, first_day: str) -> Report:
    """The report once everything has come to rest: two equal ones in a row, and nothing left in the queue."""
    fields = {"from": first_day, "limit": ALL_ROWS}
    until = time.monotonic() + SETTLE_SECONDS
    before: Report | None = None
    while True:
        call_keeper(config.data_folder, "POST", "/drain")
        report = fetch_report(config, fields)
        busy = any(state.queued + state.started for state in report.destinations)
        if (report == before and not busy) or time.monotonic() > until:
            return report
        before = report
        time.sleep(QUIET_SECONDS)


def _stay(stage: Stage, chance: random.Random, out: Console) -> None:
    """Let a visitor come by now and then until somebody stops us."""
    stop = threading.Event()
    walker = threading.Thread(target=trickle, args=(stage.site_url, chance, stop), name="trickle", daemon=True)
    walker.start()
    out.print("Visitors keep coming by. Ctrl-C ends everything.")
    try:
        while walker.is_alive():
            walker.join(1)
    finally:
        stop.set()
        walker.join(10)
