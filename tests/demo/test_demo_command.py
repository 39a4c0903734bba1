"""`gateway demo` as a whole: real processes, every figure checked, and nothing left running."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from gateway.demo.loopback import open_port
from gateway.demo.run import DemoOptions, run_demo
from gateway.errors import ConfigError
from gateway.keeper_process import LOCK_NAME
from gateway.process_lock import is_held

START = "Visitors keep coming by"


def run(options: DemoOptions) -> tuple[int, str]:
    """Exit status and output of a demo."""
    text = io.StringIO()
    return run_demo(options, Console(file=text, width=160)), text.getvalue()


@pytest.mark.slow
def test_every_figure_is_right(tmp_path: Path) -> None:
    """With --once, report and webhook agree with the visitors' own account, and no process stays behind."""
    folder = tmp_path / "demo"
    status, shown = run(DemoOptions(port=0, console_port=0, data=folder, visitors=24, once=True))
    assert (status, shown.count("PASS"), shown.count("FAIL")) == (0, 12, 0), shown
    assert not is_held(folder / "data" / LOCK_NAME)
    with pytest.raises(ConfigError, match="holds data already"):
        run(DemoOptions(port=0, console_port=0, data=folder, once=True))


@pytest.mark.slow
def test_it_stays_until_it_is_stopped(tmp_path: Path) -> None:
    """Without --once it prints where to look and stays; a stop ends the gateway's processes too."""
    command = [sys.executable, "-m", "gateway", "demo", "--port", "0", "--console-port", "0", "--visitors", "4"]
    with subprocess.Popen([*command, "--data", str(tmp_path)], stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        shown = ""
        until = time.monotonic() + 90
        while START not in shown and time.monotonic() < until and demo.poll() is None:
            shown += demo.stdout.readline()
        os.kill(demo.pid, signal.SIGINT)
        shown += demo.communicate(timeout=60)[0]
    assert START in shown, shown
    assert "sign in as" in shown
    assert demo.returncode == 0
    assert not is_held(tmp_path / "data" / LOCK_NAME)


def test_a_taken_port_is_told_at_once() -> None:
    """A port in use is named, with what to do, and nothing is started."""
    with open_port(0) as taken:
        port = int(taken.getsockname()[1])
        status, shown = run(DemoOptions(port=port, console_port=0, once=True))
    assert status == 2
    assert f"port {port}" in shown
    assert "--port" in shown
