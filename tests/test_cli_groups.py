"""The `gateway` command as a whole: its groups, and its exit status."""

import socket
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import app, main
from gateway.cli_groups import PANELS
from gateway.errors import ConfigError
from tests.ports import free_port

GROUPS = [
    ("policy", "show, export"),
    ("ledger", "verify, export, wording, key"),
    ("receipt", "verify"),
    ("destinations", "list, pause, resume, redrive, test, why"),
    ("operator", "add, passwd, remove, list"),
    ("keys", "new, rotate"),
]


@pytest.mark.parametrize(("group", "commands"), GROUPS)
def test_an_option_before_its_command_is_told_where_it_belongs(group: str, commands: str) -> None:
    """`gateway policy -c FILE` names the option, shows a call that is right, and lists the group's commands."""
    for option in ("-c", "--config=x"):
        done = CliRunner().invoke(app, [group, option, "gateway.toml"])
        assert isinstance(done.exception, ConfigError)
        told, name = str(done.exception), option.partition("=")[0]
        assert told.startswith(f"command line: {name}: is no option here")
        assert f"{group} {commands.partition(',')[0]} {name} ...`" in told
        assert told.endswith(f"commands: {commands}")


def test_a_groups_own_options_are_its_own() -> None:
    """Help and version still stand before any command."""
    for words, said in ((["policy", "--help"], "export"), (["--version"], "gateway "), (["--help"], "policy")):
        done = CliRunner().invoke(app, words)
        assert (done.exit_code, said in done.output) == (0, True)


def test_help_shows_its_panels_in_their_order_and_each_word_of_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one begins with comes first; a word in brackets is no markup; a paragraph is as wide as the terminal."""
    monkeypatch.setenv("COLUMNS", "80")
    help_text = CliRunner().invoke(app, ["--help"]).output
    assert [help_text.index(f" {panel} ") for panel in PANELS] == sorted(
        help_text.index(f" {panel} ") for panel in PANELS
    )
    assert "older than [retention] says" in help_text
    assert "wrong usage or configuration, or a website that" in help_text
    assert "the extra [browser]" in CliRunner().invoke(app, ["audit", "--help"]).output


def status(monkeypatch: pytest.MonkeyPatch, *words: str) -> int | str | None:
    """The exit status of a command."""
    monkeypatch.setattr(sys, "argv", ["gateway", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.slow
def test_what_gives_no_answer_is_status_2(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A site that cannot be looked at is the same to `init` and `audit`, and as wrong usage: no answer, in one line; bad news
    is status 1."""
    folder = ["--config", str(tmp_path)]
    gone = "http://127.0.0.1:9/"
    assert status(monkeypatch, "init", str(tmp_path), "--from", gone, "--plain") == 2
    assert status(monkeypatch, "audit", gone) == 2
    assert status(monkeypatch, "policy", "show", *folder) == 2
    (tmp_path / "gateway.toml").touch()
    assert status(monkeypatch, "status", *folder) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("gateway: ")]
    assert len(lines) == 4
    assert sum(gone in line and "cannot be opened" in line for line in lines) == 2


def spoil(folder: Path, *, data: str) -> list[str]:
    """The option for a configuration whose data folder is a file, or whose database is none."""
    folder.mkdir()
    (folder / "gateway.toml").touch()
    if data == "file":
        (folder / "data").touch()
    else:
        (folder / "data").mkdir()
        (folder / "data" / "gateway.db").write_text("no database, whatever its name says " * 30)
    return ["--config", str(folder)]


def test_what_an_operator_can_mend_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is a file, a database that is none, a port that is taken, a question with faults: one line that names it,
    status 2, and never a traceback."""
    blocked, damaged = spoil(tmp_path / "blocked", data="file"), spoil(tmp_path / "damaged", data="text")
    data = f"{tmp_path / 'blocked' / 'data'}: cannot be used (File exists)"
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        calls = [
            (["init", str(tmp_path / "blocked" / "gateway.toml")], "gateway.toml': cannot be made (File exists)"),
            (["check", "--no-browser", *blocked], data),
            (["operator", "list", *blocked], data),
            (["operator", "list", *damaged], "the database cannot be used: file is not a database"),
            (["report", "--period", "yore", *damaged], "period 'yore' is unknown"),
            (["serve", "--port", str(port), *damaged], f"--port = {port}: cannot be used on 127.0.0.1 (Address"),
            (["receivers", "--port", str(port)], f"port {port} on 127.0.0.1 cannot be used (Address"),
        ]
        for words, told in calls:
            assert status(monkeypatch, *words) == 2, words
            (line,) = capsys.readouterr().err.splitlines()
            assert line.startswith("gateway: "), words
            assert told in line


@pytest.mark.parametrize("command", ["serve", "demo", "receivers"])
def test_a_port_is_one_that_there_is(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """65536 is refused as wrong usage, instead of another port being opened."""
    assert status(monkeypatch, command, "--port", "65536") == 2


def test_a_file_that_is_no_access_log_is_bad_news(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no line of it can be read, the import says so and ends with 1."""
    (tmp_path / "gateway.toml").touch()
    (tmp_path / "letter.txt").write_text("Dear sir,\nnothing here was counted.\n")
    assert status(monkeypatch, "import", str(tmp_path / "letter.txt"), "--config", str(tmp_path)) == 1
    assert "2 could not be read" in " ".join(capsys.readouterr().out.split())
