"""What the gateway weighs: scripts, memory at rest, time to the first answer, installed size."""

import gzip
import os
import subprocess
import time
import venv
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from bench.measure import free_port, resident_mb
from bench.table import Line, at_most
from gateway.process_lock import is_held
from gateway.resources import load_assets
from gateway.socket_client import call_keeper

ROOT = Path(__file__).resolve().parent.parent


def run(folder: Path) -> list[Line]:
    """Scripts, processes, installation."""
    packages, python = _install(folder)
    size = sum(file.stat().st_size for file in packages.rglob("*") if file.is_file()) / 1e6
    return [_scripts(), *_processes(folder, python), at_most("installed size", size, 300, f"{size:.0f} MB", "MB")]


def _scripts() -> Line:
    assets = load_assets()
    size = sum(len(gzip.compress(assets[name].body, 9)) for name in ("consent.js", "collect.js"))
    return at_most("collect.js and consent.js together, gzip -9", size / 1024, 5, f"{size} bytes", "KB")


def _processes(folder: Path, python: Path) -> list[Line]:
    """`gateway serve` as it is started by hand, its keeper with it, beside nothing but what it needs itself."""
    port, console = free_port(), free_port()
    env = {**os.environ, "GATEWAY_DATA": str(folder / "data"), "GATEWAY_KEEPER_PORT": str(console)}
    begun = time.monotonic()
    command = [str(python), "-m", "gateway", "serve", "--port", str(port), "--upstream", "http://127.0.0.1:9"]
    process = subprocess.Popen(command, env=env, cwd=folder)
    try:
        first = _first_answer(f"http://127.0.0.1:{port}/_gw/state", begun)
        keeper = _keeper(folder / "data")
        time.sleep(3)
        front_mb, keeper_mb = resident_mb(process.pid), resident_mb(keeper)
    finally:
        process.terminate()
        process.wait(20)
    while is_held(folder / "data" / "keeper.lock"):
        time.sleep(0.2)
    return [
        at_most("first answered request after the start", first, 3, f"{first:.2f} s", "s"),
        at_most("front worker at rest", front_mb, 90, f"{front_mb:.1f} MB", "MB"),
        at_most("keeper at rest", keeper_mb, 180, f"{keeper_mb:.0f} MB", "MB"),
    ]


def _first_answer(url: str, begun: float) -> float:
    while time.monotonic() - begun < 30:
        try:
            with urlopen(url, timeout=5):
                return time.monotonic() - begun
        except (URLError, OSError):
            time.sleep(0.02)
    raise SystemExit(f"no answer from {url}")


def _keeper(data: Path) -> int:
    begun = time.monotonic()
    while time.monotonic() - begun < 30:
        try:
            status = call_keeper(data, "GET", "/status")
            return int(status.partition(b'"process":')[2].partition(b",")[0])
        except Exception:
            time.sleep(0.1)
    raise SystemExit("no keeper came up")


def _install(folder: Path) -> tuple[Path, Path]:
    """Everything that `pip install consent-gateway` puts on a machine, pip itself left out: packages and interpreter."""
    target = folder / "fresh"
    venv.create(target, with_pip=True)
    subprocess.run([target / "bin/pip", "install", "--quiet", str(ROOT)], check=True)
    subprocess.run([target / "bin/pip", "uninstall", "--quiet", "--yes", "setuptools"], check=True)
    return next((target / "lib").glob("python*/site-packages")), target / "bin/python"
