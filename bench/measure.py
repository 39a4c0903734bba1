"""Start servers pinned to one core, load them from the other, and read what it cost them."""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.request import Request, urlopen

from gateway.analytics.journal import find_segments, read_segment
from gateway.event import Recorded

SERVER_CORE, LOAD_CORE = "0", "1"
KEY = secrets.token_urlsafe(32)
AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """One run of the load generator: requests a second, server CPU per request, latency in milliseconds."""

    rate: float
    cpu_us: float
    p99_ms: float
    requests: int
    errors: int


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def server(name: str, folder: Path, **environment: str) -> Iterator[tuple[int, int]]:
    """Run `bench.servers:name` on one core; yields (port, process id)."""
    port = free_port()
    command = ["taskset", "-c", SERVER_CORE, sys.executable, "-m", "uvicorn", f"bench.servers:{name}", "--factory"]
    command += ["--port", str(port), "--no-access-log", "--log-level", "warning", "--no-server-header"]
    env = {**os.environ, "BENCH_FOLDER": str(folder), "BENCH_KEY": KEY, **environment}
    process = subprocess.Popen(command, env=env)
    try:
        wait_for(port)
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def wait_for(port: int, seconds: float = 20) -> float:
    """Wait until a port answers; returns how long it took."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return time.monotonic() - begun
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"nothing answers on port {port}")


def load(
    port: int,
    path: str,
    process: int,
    *,
    cookie: str = "",
    cookies: Sequence[str] = (),
    body: bytes = b"",
    connections: int = 32,
    seconds: int = 4,
    folder: Path = Path("/tmp"),
) -> Load:
    """Load one address with wrk from the other core; `cookies`: those of visitors who take turns."""
    script = folder / "load.lua"
    script.write_text(_script(body, cookies))
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency"]
    headers = {"Host": f"localhost:{port}", "Accept": "text/html", "User-Agent": AGENT, "Cookie": cookie}
    for header, value in headers.items():
        command += ["-H", f"{header}: {value}"] if value else []
    before = cpu_ticks(process)
    found = subprocess.run(
        [*command, "-s", str(script), f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True
    )
    used = cpu_ticks(process) - before
    return _parse(found.stdout + found.stderr, used)


def _script(body: bytes, cookies: Sequence[str]) -> str:
    if not body:
        return ""
    text = json.dumps(body.decode())
    turns = (
        f"local cookies, turn = {{{', '.join(map(json.dumps, cookies))}}}, 0\n"
        "function request()\n  turn = turn % #cookies + 1\n"
        '  wrk.headers["Cookie"] = cookies[turn]\n  return wrk.format()\nend\n'
    )
    return (turns if cookies else "") + (
        f'wrk.method = "POST"\nwrk.body = {text}\nwrk.headers["Content-Type"] = "application/json"\n'
        'wrk.headers["Sec-Fetch-Site"] = "same-origin"\n'
    )


def _parse(output: str, ticks: int) -> Load:
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    total = re.search(r"(\d+) requests in", output)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", output)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    if not (rate and total and p99):
        raise SystemExit(f"the load generator said nothing useful:\n{output}")
    scale = {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99.group(2)]
    requests = int(total.group(1))
    return Load(
        rate=float(rate.group(1)),
        cpu_us=ticks / TICK * 1e6 / max(requests, 1),
        p99_ms=float(p99.group(1)) * scale,
        requests=requests,
        errors=int(bad.group(1)) if bad else 0,
    )


def cpu_ticks(process: int) -> int:
    """CPU time of a process, threads included, in clock ticks."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def resident_mb(process: int) -> float:
    """Resident memory of a process in MB (10^6 bytes)."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def most_mb() -> float:
    """The most resident memory that this process has had, in MB (10^6 bytes). What `getrusage` tells is no less than what
    the process had that started it."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found, "this needs Linux"
    return int(found[1]) * 1024 / 1e6


def middle(loads: Sequence[Load]) -> Load:
    """The run with the median rate."""
    rate = median(sorted(one.rate for one in loads)[: len(loads) // 2 * 2 + 1])
    return min(loads, key=lambda one: abs(one.rate - rate))


def choose(port: int, choice: str) -> str:
    """Post a choice as a browser would; returns the Cookie header that it earned."""
    body = f"choice={choice}&return_to=/page&view=bench-view-0123456789".encode()
    request = Request(f"http://127.0.0.1:{port}/_gw/consent", body, method="POST")
    for name, value in {
        "Host": f"localhost:{port}",
        "Origin": f"http://localhost:{port}",
        "Sec-Fetch-Site": "same-origin",
        "Accept": "application/json",
        "User-Agent": AGENT,
        "Content-Type": "application/x-www-form-urlencoded",
    }.items():
        request.add_header(name, value)
    with urlopen(request, timeout=20) as answer:
        pairs = [value.partition(";")[0] for value in answer.headers.get_all("Set-Cookie") or []]
    return "; ".join(pair for pair in pairs if not pair.endswith("="))


def count_recorded(folder: Path, kind: str) -> int:
    """How many events of a kind stand in the journals of the servers that ran in a folder."""
    count = 0
    for segment in find_segments(folder / "data" / "journal"):
        after = 0
        while rows := read_segment(segment, after, 10_000):
            after = rows[-1][0]
            count += sum(isinstance(entry, Recorded) and entry.event.kind == kind for _, entry in rows)
    return count
