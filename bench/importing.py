"""Import of an access log against a plain loop that parses the same lines with the same expressions and throws them away."""

import random
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench.table import Line, at_least
from gateway.analytics.access_log import PLAIN, PLAIN_TIME
from gateway.config import build_config
from gateway.flows.import_log import Views, import_log
from gateway.front import build_checks
from gateway.geo import Countries
from gateway.resources import country_database

LINES, TIMES, BOUND = 50_000, 3, 0.4
AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36"
LINE = (
    '203.0.{}.{} - - [{}] "GET /pagina-{}?utm_source=brief HTTP/1.1" 200 512 "https://www.example.net/zoek?q={}" "{}"\n'
)


def run(folder: Path) -> list[Line]:
    """Both in turns; the quickest of each."""
    config = build_config({"data": str(folder / "data"), "keys": [secrets.token_urlsafe(32)]}, folder)
    imported, parsed = [], []
    for number in range(TIMES):
        log = folder / f"{number}.log"
        _write(log, number)
        parsed.append(_seconds(partial(_parse, log)))
        views = Views(config, config.sites[0], Countries(country_database()), build_checks(config))
        imported.append(_seconds(partial(import_log, log, folder / "data", views, _ignore)))
    ours, plain = LINES / min(imported), LINES / min(parsed)
    return [at_least("lines of an access log imported", ours, plain, BOUND, f"{ours:,.0f}/s", f"{plain:,.0f}/s parsed")]


def _ignore(_read: int) -> None:
    """Nobody watches."""


def _write(log: Path, seed: int) -> None:
    chance, at = random.Random(seed), 1_790_000_000.0
    with log.open("w") as file:
        for _ in range(LINES):
            at += chance.random() * 3
            moment = datetime.fromtimestamp(at, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
            numbers = (chance.randrange(most) for most in (200, 250, 500, 300))
            first, second, page, words = numbers
            file.write(LINE.format(first, second, moment, page, words, AGENT.format(100 + chance.randrange(40))))


def _parse(log: Path) -> None:
    with log.open("rb") as lines:
        for line in lines:
            found = PLAIN.match(line.decode("utf-8", "replace"))
            if found is not None:
                datetime.strptime(found[2], PLAIN_TIME).timestamp()


def _seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun
