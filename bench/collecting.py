"""Durable collect against an endpoint that only decodes: rate, tail, and every acknowledged event accounted for."""

from pathlib import Path

import msgspec

from bench.measure import Load, choose, count_recorded, load, middle, server
from bench.table import Line, at_least

ROUNDS = 5
CONNECTIONS = 64


def run(folder: Path) -> list[Line]:
    """Both endpoints in turns with the same body."""
    report = {"v": 1, "k": "event", "view": "bench-view-0123456789", "url": "http://localhost/page", "name": "click"}
    body = msgspec.json.encode({**report, "props": {"label": "x" * 200}})
    plain, durable = [], []
    with server("bare_collect", folder) as bare, server("gated", folder) as gated:
        cookie = choose(gated[0], "accept_all")
        for _ in range(ROUNDS):
            for (port, process), found in ((bare, plain), (gated, durable)):
                found.append(
                    load(
                        port, "/_gw/collect", process, cookie=cookie, body=body,
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
