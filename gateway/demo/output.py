"""What the demo prints beside the report: addresses, what visitors did, deliveries, and the checks."""

from collections import Counter
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.demo.people import Answer
from gateway.demo.receiver import LOG_PATH, Receiver
from gateway.demo.stage import OPERATOR, Stage
from gateway.demo.tally import Check
from gateway.demo.visitors import NECESSARY_COOKIES, Experience
from gateway.receivers.rehearsal import Rehearsal

SHOWN_DIFFERENCES = 12
SAID = {
    Answer.ACCEPT: "accepted everything",
    Answer.REFUSE: "refused everything",
    Answer.ANALYTICS_ONLY: "allowed statistics only",
    Answer.NONE: "said nothing",
}


def print_fault(out: Console, text: str) -> None:
    """Why the demo could not start."""
    out.print(f"[bold red]demo:[/] {escape(text)}", highlight=False, soft_wrap=True)


def print_addresses(out: Console, stage: Stage) -> None:
    """Where to look, and how to sign in."""
    origins = stage.foreign.origins
    table = Table(title="Where to look", title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("The site, behind the gateway", f"{stage.site_url}/")
    table.add_row("The operator's console", f"{stage.console_url}/")
    table.add_row("  sign in as", f"{OPERATOR}, password {escape(stage.password)}")
    table.add_row("What the receiver was told", stage.receiver_url + LOG_PATH)
    table.add_row("What Account Engagement was told", stage.pardot_url + LOG_PATH)
    for name, origin in (
        ("statistics", origins.analytics),
        ("pixel", origins.pixel),
        ("video", origins.video),
    ):
        table.add_row(f"What the {name} host saw", origin + LOG_PATH)
    out.print(table, "", highlight=False)


def print_visitors(out: Console, experiences: Sequence[Experience]) -> None:
    """What the simulated visitors did, by their own account."""
    table = Table(title="The visitors' own account", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("Answer")
    for heading in ("Visitors", "Views", "Withdrew", "Foreign hosts"):
        table.add_column(heading, justify="right")
    table.add_column("Optional cookies")
    people = [experience for experience in experiences if not experience.plan.robot]
    groups = [(said, [e for e in people if e.plan.answer is answer]) for answer, said in SAID.items()]
    groups.append(("(robots)", [e for e in experiences if e.plan.robot]))
    for said, group in groups:
        table.add_row(said, *_cells(group))
    out.print(table, "")


def _cells(group: Sequence[Experience]) -> list[str]:
    traces = Counter(trace.kind for experience in group for trace in experience.traces)
    figures = (
        len(group),
        sum(len(experience.views) for experience in group),
        sum(1 for experience in group if experience.withdrawn_at is not None),
    )
    names = {t.name for e in group for t in e.traces if t.kind == "cookie"} - NECESSARY_COOKIES
    return [*map(str, figures), str(traces["host"]), ", ".join(sorted(names)) or "none"]


def print_deliveries(out: Console, receiver: Receiver) -> None:
    """What the webhook receiver accepted, by type."""
    table = Table(title="The webhook receiver", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("Type")
    table.add_column("Deliveries", justify="right")
    table.add_column("Different ids", justify="right")
    for kind in sorted({delivery.type for delivery in receiver.log}):
        ids = [delivery.id for delivery in receiver.log if delivery.type == kind]
        table.add_row(escape(kind), str(len(ids)), str(len(set(ids))))
    table.add_row("refused: signature or body", str(len(receiver.refused)), "")
    out.print(table, "")


def print_people(out: Console, pardot: Rehearsal) -> None:
    """Whom Account Engagement knows, and what it was told of them."""
    table = Table(title="Account Engagement", title_justify="left", box=SIMPLE_HEAD)
    for heading in ("Prospects", "Opted out", "Downloads", "Signals"):
        table.add_column(heading, justify="right")
    people, types = pardot.pardot.prospects, Counter(one["type"] for one in pardot.pardot.activities)
    out_of_it = sum(1 for one in people if one.fields.get("optedOut"))
    table.add_row(*map(str, (len(people), out_of_it, types["Download"], types["Signal"])))
    out.print(table, "")


def print_checks(out: Console, checks: Sequence[Check]) -> None:
    """A line for each check, and under it what differs."""
    for check in checks:
        mark = "[bold red]FAIL[/]" if check.differences else "[bold green]PASS[/]"
        out.print(f"{mark}  {escape(check.name)}", highlight=False)
        for difference in check.differences[:SHOWN_DIFFERENCES]:
            out.print(f"        {escape(difference)}", highlight=False)
        more = len(check.differences) - SHOWN_DIFFERENCES
        if more > 0:
            out.print(f"        and {more} more")
    failed = sum(1 for check in checks if check.differences)
    out.print(f"\n{failed} of {len(checks)} checks failed." if failed else f"\nAll {len(checks)} checks passed.")
