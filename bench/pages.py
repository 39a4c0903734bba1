"""The middleware on a page of the site and on a file, against the bare application."""

from pathlib import Path

from bench.measure import Load, choose, count_recorded, load, middle, server
from bench.table import Line, at_least
from gateway.event import PAGE_VIEW

ROUNDS = 5


def run(folder: Path) -> list[Line]:
    """Bare and gated in turns, so that both see the same machine."""
    with (
        server("bare", folder) as bare,
        server("gated", folder) as gated,
        server("gated_uncached", folder) as uncached,
    ):
        plans = {
            "bare page": (bare, "/page", "reject_all"),
            "bare file": (bare, "/file", "reject_all"),
            "file": (gated, "/file", "reject_all"),
            "refused": (gated, "/page", "reject_all"),
            "uncached": (uncached, "/page", "reject_all"),
            "accepted": (gated, "/page", "accept_all"),
        }
        found: dict[str, list[Load]] = {name: [] for name in plans}
        for _ in range(ROUNDS):
            for name, ((port, process), path, choice) in plans.items():
                cookie = choose(
                    gated[0], choice
                )  # anew: a browser's visit is never older than a minute, wrk's stays as it is
                found[name].append(load(port, path, process, cookie=cookie, seconds=3, folder=folder))
    best = {name: middle(loads) for name, loads in found.items()}
    seen, recorded = sum(one.requests for one in found["accepted"]), count_recorded(folder, PAGE_VIEW)
    return [
        _line("not HTML, for a refuser", best["file"], best["bare file"], 0.65),
        _line("page for a refuser, from cache", best["refused"], best["bare page"], 0.50),
        _line("page for a refuser, uncached", best["uncached"], best["bare page"], 0.30),
        _line("page for an accepter, view recorded, from cache", best["accepted"], best["bare page"], 0.40),
        Line("its views", f"{recorded:,} recorded", f"{seen:,} answered", "", "all", recorded >= seen),
    ]


def _line(what: str, one: Load, base: Load, bound: float) -> Line:
    return at_least(what, one.rate, base.rate, bound, _text(one), _text(base))


def _text(one: Load) -> str:
    return f"{one.rate:,.0f}/s, {one.cpu_us:.0f} µs CPU"
