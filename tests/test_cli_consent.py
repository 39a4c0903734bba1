"""`gateway report --consent`, as an operator types it, on what a worker has left in the data folder."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from tests.web.gated_site import visiting


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A site that asked three times, where one visitor accepted and then changed her mind."""
    (tmp_path / "gateway.toml").write_text("[keeper]\nautostart = false\n")
    with visiting(tmp_path) as browser:
        for _ in range(3):
            browser.get("/")
        browser.choose("accept_all")
        browser.choose("save", "analytics")
    return tmp_path


def run(folder: Path, *words: str) -> str:
    """What the command prints."""
    got = CliRunner().invoke(app, ["report", "--consent", *words, "--config", str(folder)])
    assert got.exit_code == 0, got.output
    return got.output


def test_the_three_faces_say_what_happened(folder: Path) -> None:
    """JSON, CSV and the table: three pages asked, one answer, one change of mind that took back marketing."""
    report = json.loads(run(folder, "--json"))
    assert (report["total"]["shown"], report["answered"], report["changed"]) == (3, 1, 1)
    assert report["total"] | {"shown": 3, "accepted": 1, "partly": 1, "refused": 0, "withdrawn": 1} == report["total"]
    assert [(row["name"], row["granted"], row["withdrawn"]) for row in report["purposes"]] == [
        ("analytics", 2, 0),
        ("marketing", 1, 1),
    ]
    assert [(row["name"], row["shown"], row["chose"]) for row in report["devices"]] == [("desktop", 3, 2)]
    assert "purpose,marketing,,rate,0.5" in run(folder, "--csv").splitlines()
    table = run(folder)
    assert "Answers to the banner" in table and "50.0 %" in table


def test_what_is_asked_wrongly_is_told(folder: Path) -> None:
    """A period that there is not is a fault, as in the report on visits."""
    got = CliRunner().invoke(app, ["report", "--consent", "--period", "ooit", "--config", str(folder)])
    assert got.exit_code != 0
    assert "ooit" in str(got.exception)
