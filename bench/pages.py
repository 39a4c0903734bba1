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
        refuser, accepter = choose(gated[0], "reject_all"), choose(gated[0], "accept_all")
        plans = {
            "bare page": (bare, "/page", refuser),
            "bare file": (bare, "/file", refuser),
            "file": (gated, "/file", refuser),
            "refused": (gated, "/page", refuser),
            "uncached": (uncached, "/page", refuser),
            "accepted": (gated, "/page", accepter),
        }
        found: dict[str, list[Load]] = {name: [] for name in plans}
        for _ in range(ROUNDS):
            for name, ((port, process), path, cookie) in plans.items():
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
