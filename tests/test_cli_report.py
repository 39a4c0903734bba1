"""`gateway report` with filters and funnels, as an operator types it, on what stands in the store."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.store import Batch
from gateway.cli import app
from gateway.config import load_config
from gateway.errors import QueryError
from gateway.flows.open_store import STORE_FILE
from tests.analytics.entries import NOON, view
from tests.example_site import POLICY_TOML

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


def test_a_funnel_has_the_three_faces(folder: Path) -> None:
    """JSON, CSV and a table, for the same steps."""
    steps = ("--funnel", "page is /", "--funnel", "page is /contact")
    found = json.loads(run(folder, *steps, "--json"))
    assert [(step["visits"], step["of_before"]) for step in found["steps"]] == [(12, 1.0), (6, 0.5)]
    assert "step 2,page is /contact,,visits,6" in run(folder, *steps, "--csv").splitlines()
    assert "50.0 %" in run(folder, *steps)
    with pytest.raises(QueryError, match="2 to 10 steps"):
        run(folder, "--funnel", "page is /")
