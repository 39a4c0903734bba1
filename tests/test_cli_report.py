"""`gateway report` with filters and funnels, as an operator types it, on what stands in the store."""

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.filters import parse_filters
from gateway.analytics.query import Query
from gateway.analytics.store import Batch
from gateway.cli import app
from gateway.config import load_config
from gateway.database import open_database
from gateway.errors import QueryError
from gateway.flows.open_store import STORE_FILE
from gateway.flows.save_question import save_segment
from tests.analytics.entries import NOON, view
from tests.example_site import POLICY_TOML

DAY_QUERY = Query("main", date(2026, 11, 23), date(2026, 11, 23), "Europe/Amsterdam")
DAY = ("--from", "2026-11-23", "--to", "2026-11-23", "--timezone", "Europe/Amsterdam")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve visits at /, six of which go on to /contact."""
    (tmp_path / "policy.toml").write_text(POLICY_TOML)
    (tmp_path / "gateway.toml").write_text('[[sites]]\nid = "main"\nhosts = ["www.example.org"]\n')
    store = DuckDBStore(load_config(tmp_path).data_folder / STORE_FILE)
    rows = [view(NOON, f"v{n}", visitor=n, path="/") for n in range(12)]
    rows += [view(NOON + 9, f"v{n}", visitor=n, path="/contact", started=NOON) for n in range(6)]
    store.add(Batch("a", 1, rows))
    store.close()
    return tmp_path


def run(folder: Path, *words: str) -> str:
    """What the command prints."""
    got = CliRunner().invoke(app, ["report", *DAY, *words, "--config", str(folder)])
    if isinstance(got.exception, QueryError):
        raise got.exception
    assert got.exit_code == 0, got.output
    return got.output


def test_filters_are_those_of_the_interface_for_programs(folder: Path) -> None:
    """In words and as JSON, joined by and, or, not; what is wrong with them is told at once."""

    def visits(*words: str) -> Any:
        return json.loads(run(folder, "--json", *words))["totals"]["visits"]

    assert visits() == 12
    assert visits("--where", "page is /contact") == 6
    assert visits("--where", "page contains /", "--where", "page matches ^/con") == 6
    assert visits("--filters", '["or", [["is", "page", ["/contact"]], ["not", ["is", "page", ["/none"]]]]]') == 12
    assert visits("--filters", '["has_not_done", ["is", "page", ["/contact"]]]') == 6
    with pytest.raises(QueryError) as caught:
        run(folder, "--where", "mood is good", "--compare", "tomorrow", "--timezone", "Mars/Olympus")
    assert len(caught.value.faults) == 3


def test_a_question_that_no_address_can_carry_is_refused(folder: Path) -> None:
    """Whether a keeper runs or not, and in words: letters that an address writes with twelve signs add up."""
    with pytest.raises(QueryError, match="characters long as an address; at most 60000"):
        run(folder, *(word for _ in range(15) for word in ("--where", "page contains " + "\U0001f511" * 900)))


@pytest.mark.parametrize("option", ["--where", "--filters", "--flow", "--site", "--timezone"])
def test_what_is_not_typed_in_utf8_is_a_fault(folder: Path, option: str) -> None:
    """Bytes of another encoding are told with their option, whatever it is."""
    with pytest.raises(QueryError, match=f"^{option} .*is not in UTF-8$"):
        run(folder, option, "page is /caf\udce9")


def test_data_is_utf8_and_tables_are_shown_on_any_terminal(folder: Path) -> None:
    """JSON and CSV are the same bytes in every encoding; a table has ? for signs that the terminal lacks."""
    store = DuckDBStore(load_config(folder).data_folder / STORE_FILE)
    store.add(Batch("b", 1, [view(NOON, f"w{n}", visitor=50 + n, path="/één-\U0001f511") for n in range(6)]))
    store.close()
    words = [sys.executable, "-m", "gateway", "report", *DAY, "--config", str(folder)]
    for face, shown in (("--json", "/één-\U0001f511".encode()), ("--csv", "/één-\U0001f511".encode()), ("", b"/??n-?")):
        told = subprocess.run(
            [*words, *filter(None, [face])],
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert shown in told.stdout


def test_a_funnel_has_the_three_faces(folder: Path) -> None:
    """JSON, CSV and a table, for the same steps."""
    steps = ("--funnel", "page is /", "--funnel", "page is /contact")
    found = json.loads(run(folder, *steps, "--json"))
    assert [(step["visits"], step["of_before"]) for step in found["steps"]] == [(12, 1.0), (6, 0.5)]
    assert "step 2,page is /contact,,visits,6" in run(folder, *steps, "--csv").splitlines()
    assert "50.0 %" in run(folder, *steps)
    with pytest.raises(QueryError, match="2 to 10 steps"):
        run(folder, "--funnel", "page is /")


def test_a_report_for_a_terminal_compares_and_cuts_no_name(folder: Path) -> None:
    """A year before is asked in the interface's word too, the table has its column, and a long page is told whole."""
    for word in ("year", "year_over_year"):
        assert "2025-11-23 – 2025-11-23" in run(folder, "--compare", word)
    long = "/" + "artikelen-" * 12
    store = DuckDBStore(load_config(folder).data_folder / STORE_FILE)
    store.add(Batch("b", 1, [view(NOON, f"w{n}", visitor=50 + n, path=long) for n in range(6)]))
    store.close()
    pages = run(folder, "--compare", "year").split("\nPages")[1].split("\nEntry pages")[0].splitlines()
    assert long in "".join(line.split("│")[1].strip() for line in pages if line.startswith("│"))
    with pytest.raises(QueryError, match="'contact' does not begin with /"):
        run(folder, "--flow", "contact")


def test_page_flows_have_the_three_faces(folder: Path) -> None:
    """JSON, CSV and a table of what came before and after; several pages are pages in a row."""
    found = json.loads(run(folder, "--flow", "/", "--json"))
    assert (found["passes"], found["visits"]) == (12, 12)
    assert [(row["page"], row["passes"]) for row in found["after"]] == [("", 6), ("/contact", 6)]
    assert "after,/contact,,passes,6" in run(folder, "--flow", "/", "--csv").splitlines()
    assert "(the visit ended here)" in run(folder, "--flow", "/", "--flow", "/contact")
    with pytest.raises(QueryError, match="1 to 8 pages"):
        run(folder, *(word for _ in range(9) for word in ("--flow", "/a")))


def test_segments_are_asked_by_name(folder: Path) -> None:
    """A report, a funnel and a flow know what operators keep; a name that nobody kept is a fault."""
    engine = open_database(load_config(folder).database_url)
    contact = DAY_QUERY.only(parse_filters(["is", "page", ["/contact"]], []))
    save_segment(engine, contact, "Contact", "anke", 1.0)
    engine.dispose()
    assert json.loads(run(folder, "--json", "--where", "segment is Contact"))["totals"]["visits"] == 6
    assert json.loads(run(folder, "--json", "--where", "segment is_not Contact", "--flow", "/"))["visits"] == 12
    steps = ("--funnel", "page is /", "--funnel", "page is /contact")
    assert json.loads(run(folder, *steps, "--json", "--where", "segment is Contact"))["visits"] == 6
    with pytest.raises(QueryError, match="'Niemand' is unknown"):
        run(folder, "--where", "segment is Niemand")


@pytest.mark.parametrize(
    ("words", "faults"),
    [
        (
            "--mail-test a@example.org --where page?is?/ --json",
            ["--where with --mail-test", "--timezone with --mail-test", "--json with --mail-test"],
        ),
        ("--consent --where page?is?/ --compare year", ["--where with --consent", "--compare with --consent"]),
        ("--funnel page?is?/ --funnel page?is?/b --flow /", ["--flow with --funnel"]),
        ("--flow / --compare year", ["--compare with --flow"]),
        ("--json --csv", ["--csv with --json"]),
        ("--period 30d", ["--period with --from", "--period with --to"]),
    ],
)
def test_options_that_have_no_bearing_on_each_other_are_refused(folder: Path, words: str, faults: list[str]) -> None:
    """Nothing that was asked is passed over in silence; all that cannot be used together is told at once."""
    with pytest.raises(QueryError) as caught:
        run(folder, *(word.replace("?", " ") for word in words.split()))
    assert caught.value.faults == [fault.replace(" with ", " cannot be used with ") for fault in faults]
