"""Durable collect against an endpoint that only decodes: rate, tail, and every acknowledged event accounted for; the same of
many visitors while the keeper's draining goes on beside it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.measure import LOAD_CORE, TICK, Load, choose, count_recorded, cpu_ticks, load, middle, server
from bench.table import Line, at_least, at_most

ROUNDS = 5
CONNECTIONS = 64
VISITORS = 200
BEHIND_SECONDS = 3.0
REPORT = {"v": 1, "k": "event", "view": "bench-view-0123456789", "url": "http://localhost/page", "name": "click"}
BODY = msgspec.json.encode({**REPORT, "props": {"label": "x" * 200}})


def run(folder: Path) -> list[Line]:
    """Up to the journal, then up to the store."""
    return [*_run_durable(folder), *_run_stored(folder / "stored")]


def _run_durable(folder: Path) -> list[Line]:
    """Both endpoints in turns with the same body."""
    plain, durable = list[Load](), list[Load]()
    with server("bare_collect", folder) as bare, server("gated", folder) as gated:
        cookie = choose(gated[0], "accept_all")
        for _ in range(ROUNDS):
            for (port, process), found in ((bare, plain), (gated, durable)):
                found.append(
                    load(
                        port, "/_gw/collect", process, cookie=cookie, body=BODY,
                        connections=CONNECTIONS, seconds=3, folder=folder,
                    )
                )  # fmt: skip
    return _lines(middle(durable), middle(plain), durable, count_recorded(folder, "click"))


def _lines(one: Load, base: Load, durable: list[Load], stored: int) -> list[Line]:
    answered = sum(found.requests for found in durable)
    # At the end of each run as many may be written and not yet answered as there are connections.
    accounted = answered <= stored <= answered + ROUNDS * CONNECTIONS + 1
    tail = one.p99_ms / base.p99_ms
    return [
        at_least(
            "durable collect, 64 connections", one.rate, base.rate, 0.42,
            f"{one.rate:,.0f}/s, {one.cpu_us:.0f} µs CPU", f"{base.rate:,.0f}/s, {base.cpu_us:.0f} µs CPU",
        ),
        Line("its 99th percentile", f"{one.p99_ms:.1f} ms", f"{base.p99_ms:.1f} ms", f"{tail:.2f}", "<= 3", tail <= 3),
        Line("events acknowledged and stored", f"{stored:,} stored", f"{answered:,} answered", "", "all", accounted),
    ]  # fmt: skip


def _run_stored(folder: Path) -> list[Line]:
    """The bare endpoint, then ours while the keeper drains on the core that the load comes from; what that costs is shown."""
    folder.mkdir()
    with server("bare_collect", folder) as bare, server("gated", folder) as gated:
        cookies = [choose(gated[0], "accept_all") for _ in range(VISITORS)]
        plain = [_load_all(*bare, cookies, folder) for _ in range(ROUNDS)]
        with _storing(folder) as keeper:
            stored = [_load_all(*gated, cookies, folder) for _ in range(ROUNDS)]
            spent, begun = cpu_ticks(keeper.pid), time.monotonic()
            count = int(keeper.communicate()[0])
            behind = time.monotonic() - begun
    one, base, answered = middle(stored), middle(plain), sum(found.requests for found in stored)
    # The choices themselves are views, each counted once.
    accounted = answered <= count - VISITORS <= answered + ROUNDS * CONNECTIONS + 1
    return [
        at_least(
            f"collect of {VISITORS} visitors, stored meanwhile", one.rate, base.rate, 0.3,
            f"{one.rate:,.0f}/s, {one.cpu_us:.0f} + {spent / TICK * 1e6 / answered:.0f} µs CPU",
            f"{base.rate:,.0f}/s, {base.cpu_us:.0f} µs CPU",
        ),
        at_most("until the last of them was stored", behind, BEHIND_SECONDS, f"{behind:.1f} s", "s"),
        Line("those events stored", f"{count - VISITORS:,} stored", f"{answered:,} answered", "", "all", accounted),
    ]  # fmt: skip


def _load_all(port: int, process: int, cookies: list[str], folder: Path) -> Load:
    return load(
        port, "/_gw/collect", process, cookies=cookies, body=BODY, connections=CONNECTIONS, seconds=3, folder=folder
    )


@contextmanager
def _storing(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The process that drains; it prints the number of events in the store once its input has ended."""
    command = ["taskset", "-c", LOAD_CORE, sys.executable, "-m", "bench.storing", str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
