"""What the operators' documents say in detail is true: tables as in the code, examples that run, links that lead on."""

import json
import re
import shlex
import time
import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.main
from starlette.testclient import TestClient

from gateway.analytics.dimensions import DIMENSIONS, Defined
from gateway.analytics.metrics import METRICS
from gateway.cli import app
from gateway.destinations import DESTINATIONS, ga4, matomo, pardot, pardot_codes, pardot_form, sender
from gateway.destinations.base import Telling
from gateway.destinations.outbox import Reason, State
from gateway.destinations.webhook import Webhook
from gateway.event import Event
from gateway.flows import lane
from gateway.policy import parse_policy
from gateway.settings import DestinationConfig, Settings, SignalConfig
from tests.test_documented import fields_of

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MIN_WORDS, MAX_PICTURE = 8, 300_000  # bytes
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
TABLES = (
    "sites",
    "analytics.topics",
    "analytics.automatic",
    "analytics.clients",
    "analytics.goals",
    "mail.reports",
    "notices",
    "accepted_findings",
)  # tables in tables and arrays of them: not from the environment


def read(name: str) -> str:
    """A page of docs/."""
    return (ROOT / "docs" / name).read_text("utf-8")


def rows(page: str, first: str) -> list[list[str]]:
    """The rows of the one table of a page whose first heading is `first`, without quotes."""
    _, _, rest = page.partition(f"\n| {first} |")
    lines = rest.split("\n\n", 1)[0].splitlines()[2:]
    return [[part.strip() for part in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def quoted(cell: str) -> list[str]:
    """What stands in code quotes in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def default_of(struct: Any, key: str) -> str:
    """A key's default as TOML; empty when there is none."""
    name, _, rest = key.partition(".")
    field = next(field for field in msgspec.structs.fields(struct) if field.name == name)
    if rest:
        kinds = [field.type, *getattr(field.type, "__args__", ())]
        inner = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, msgspec.Struct))
        return default_of(inner, rest)
    if field.default is msgspec.NODEFAULT:
        return ""
    return json.dumps(list(field.default) if isinstance(field.default, tuple) else field.default)


def leaves(struct: type) -> list[str]:
    """Every key that has a value of its own, by its path."""
    keys = list(fields_of(struct))
    return [key for key in keys if not any(other.startswith(f"{key}.") for other in keys)]


def test_the_table_of_settings_is_the_configuration() -> None:
    """docs/operating.md lists each key of gateway.toml with its default and its variable, and no other."""
    table = rows(read("operating.md"), "key")
    written = [(quoted(row[0])[0], *(next(iter(quoted(cell)), "") for cell in row[1:3])) for row in table]
    wanted = []
    for key in leaves(Settings):
        from_file_only = key.startswith(TABLES)
        variable = "" if from_file_only else f"GATEWAY_{key.replace('.', '_').upper()}"
        wanted.append((key, default_of(Settings, key), variable))
    assert sorted(written) == sorted(wanted)


def test_the_table_of_destinations_is_their_configuration() -> None:
    """docs/destinations.md lists each key of a destination with its default, and no other."""
    written = [(quoted(row[0])[0], next(iter(quoted(row[1])), "")) for row in rows(read("destinations.md"), "key")]
    assert written == [(key, default_of(DestinationConfig, key)) for key in leaves(DestinationConfig)]


def test_the_table_of_signals_is_their_configuration() -> None:
    """docs/destinations.md lists each key of a signal's rule with its default, and no other."""
    table = rows(read("destinations.md"), "signal key")
    written = [(quoted(row[0])[0], next(iter(quoted(row[1])), "")) for row in table]
    assert written == [(key, default_of(SignalConfig, key)) for key in leaves(SignalConfig)]


def test_metrics_and_dimensions_are_defined() -> None:
    """docs/analytics.md defines each metric and dimension, and no other, by the name and label that the report has, in the
    words that the console says on a question mark."""
    page = read("analytics.md")
    written = [(quoted(row[0])[0], *row[1:]) for first in ("metric", "dimension") for row in rows(page, first)]
    defined: list[Defined] = [*METRICS, *DIMENSIONS]
    assert written == [(one.name, one.label["en"], one.help["en"]) for one in defined]


def test_states_and_reasons_of_deliveries_are_explained() -> None:
    """docs/destinations.md explains each state and each word that can stand as a reason."""
    page = read("destinations.md")
    assert {quoted(row[0])[0] for row in rows(page, "state")} == {state.value for state in State}
    words = {word for row in rows(page, "reason") for word in quoted(row[0])}
    unsent = {sender.TIMEOUT, sender.DNS, sender.TLS, sender.ADDRESS_REFUSED, sender.NOT_CONNECTED, sender.NO_ANSWER}
    own = {lane.UNREADABLE, lane.UNBUILDABLE, lane.FAULT, lane.WITHHELD}
    kinds = {ga4.REFUSED, ga4.NO_TOKEN, matomo.INVALID, matomo.INCOMPLETE, matomo.ODD_ANSWER}
    kinds |= {matomo.UNKNOWN_SITE, matomo.NO_ACCESS, pardot.MORE_LEFT, "pardot_62"}
    kinds |= {pardot.NOT_SEEN_YET, pardot_codes.RECYCLED}
    kinds |= {pardot_form.REFUSED, pardot_form.NO_LOCATION, pardot_form.ODD_LOCATION}
    assert words == {reason.value for reason in Reason} | unsent | own | kinds | {"http_503"}


@pytest.mark.parametrize("kind", sorted(name for name, kind in DESTINATIONS.items() if leaves(kind.options)))
def test_the_tables_of_options_are_what_each_kind_takes(kind: str) -> None:
    """docs/destinations.md lists each option of each kind with its default, and no other."""
    options = DESTINATIONS[kind].options
    table = rows(read("destinations.md"), f"{kind} option")
    written = [(quoted(row[0])[0], next(iter(quoted(row[1])), "")) for row in table]
    assert written == [(key, default_of(options, key)) for key in leaves(options)]


def test_the_schedule_is_the_one_that_is_kept() -> None:
    """The waits in docs/destinations.md are those of the webhook."""
    units = {"s": 1, "min": 60, "h": 3600}
    (waits,) = rows(read("destinations.md"), "attempt")
    assert waits[1] == "at once"
    seconds = [int(number) * units[unit] for number, unit in (wait.split() for wait in waits[2:])]
    assert (0.0, *seconds) == tuple(Webhook.schedule)


def test_refusals_are_explained() -> None:
    """docs/analytics.md explains each word under which a visitor's refused request is counted."""
    sources = [ROOT / "gateway" / "web" / f"{name}.py" for name in ("public", "choosing", "collecting", "body")]
    raised = {found for source in sources for found in re.findall(r'BadRequest\(\s*\d+, "(\w+)"', source.read_text())}
    assert raised <= {word for row in rows(read("analytics.md"), "status") for word in quoted(row[1])}


def test_the_example_of_a_webhook_is_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The body in docs/destinations.md is what an event becomes, and the Python beside it takes it if it is signed."""
    page = read("destinations.md")
    (body,) = blocks(page, "json")
    event = json.loads(body)["data"]
    times = {name: datetime.fromisoformat(event[name]).timestamp() for name in ("at", "visit_started_at")}
    sent = msgspec.convert({**event, **times, "visitor": int(event["visitor"], 16)}, Event)
    monkeypatch.setenv("CRM_WEBHOOK_SECRET", SECRET)
    receiver: dict[str, Any] = {}
    source = blocks(page, "python")[0]
    exec(compile(source, "docs/destinations.md", "exec"), receiver)
    purposes, url = ("marketing",), "https://crm.example.org/hooks/gateway"
    config = DestinationConfig(name="crm", kind="webhook", url=url, secret="env:X", purposes=purposes)
    request = Webhook(config, SECRET).build([Telling("5d1f0c9a7be34426a08e1b7c93f2d650", sent, "")], time.time())
    assert json.loads(request.body) == json.loads(body)
    with TestClient(receiver["app"]) as client:
        assert client.post("/hooks/gateway", content=request.body, headers=request.headers).status_code == 204
        assert client.post("/hooks/gateway", content=b"{}", headers=request.headers).status_code == 401


def test_the_examples_of_configuration_are_accepted() -> None:
    """Each TOML example in the pages is taken by the parser of its file."""
    policy, form = blocks(read("policy.md"), "toml")
    whole = parse_policy(tomllib.loads(policy + form))
    assert whole.owner_of_host("banner.ads.example.net") == ("marketing", "voorbeeld_pixel")
    assert whole.owner_of_host("forms.crm.example.net") == ("necessary", "crm_form")
    assert whole.owner_of_cookie("visitor_id7") == ("marketing", "crm_tracking")
    for block in blocks(read("operating.md"), "toml"):
        msgspec.convert(tomllib.loads(block), Settings)


def lines_of_shell() -> Iterator[str]:
    """Every `gateway ...` line in the pages' shell blocks and command table."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for block in blocks(text, "sh"):
            yield from re.findall(r"^(?:/\S+/)?gateway [^#\n&>]+", block, re.MULTILINE)
    yield from (quoted(row[0])[0].partition(">")[0] for row in rows(read("operating.md"), "command"))


def test_every_command_line_in_the_pages_is_understood() -> None:
    """Commands and options in the pages exist: each line is parsed by the program's own parser, and not run."""
    program = typer.main.get_command(app)
    seen = set()
    for line in lines_of_shell():
        words = shlex.split(re.sub(r"\[\w+\]", "folder", line))[1:]
        seen.add(words[0])
        assert parses(program, words), line
    assert len(seen) == len(program.commands)  # type: ignore[attr-defined]


def parses(command: Any, words: list[str]) -> bool:
    """Whether a command takes these words."""
    inner = getattr(command, "commands", None)
    if inner is not None:
        if (meant := getattr(command, "meant", "")) and words and words[0] not in inner:
            words = [meant, *words]
        return bool(words) and words[0] in inner and parses(inner[words[0]], words[1:])
    with command.make_context("x", [*words, *prompted(command)], resilient_parsing=False):
        return True


def prompted(command: Any) -> list[str]:
    """Options that the program would ask for."""
    return ["--password", "x"] if any(parameter.name == "password" for parameter in command.params) else []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each link to a file, a picture or a heading in the pages has something at its end."""
    for target in LINK.findall(page.read_text("utf-8")):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            file = (page.parent / name).resolve() if name else page
            assert file.is_file(), target
            assert not anchor or anchor in anchors(file), target


def anchors(file: Path) -> set[str]:
    """The anchors that headings of a page get: small letters, hyphens for spaces, no other signs."""
    headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pictures_are_told_to_who_does_not_see_them(page: Path) -> None:
    """Each picture of a page has words in its place that say what there is to see, and is no burden to load."""
    for words, target in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", page.read_text("utf-8")):
        assert len(words.split()) >= MIN_WORDS, target
        assert (page.parent / target).stat().st_size <= MAX_PICTURE, target


def test_every_picture_stands_in_a_page() -> None:
    """None lies about of which no page makes use."""
    told = "".join(page.read_text("utf-8") for page in PAGES)
    assert [one.name for one in (ROOT / "docs/pictures").iterdir() if f"pictures/{one.name})" not in told] == []
