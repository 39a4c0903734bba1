"""A dashboard that is asked for while events arrive: how much slower it answers, and how far the store is behind.

One process is the keeper's part: the store, which answers with one thread and drains journals with another, as the keeper
does. A second one is a front worker's: it writes views and engagement into a journal, so many in a second. The same
questions are asked before and meanwhile.
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

from sqlalchemy import Engine

from bench.table import Line, at_most
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import Journal
from gateway.analytics.query import Query
from gateway.database import open_database
from gateway.event import ENGAGEMENT, PAGE_VIEW, Event, Recorded
from gateway.flows.answer import answer
from gateway.flows.drain import drain_once
from gateway.settings import AnalyticsConfig, KeeperConfig

RATE, TICK_SECONDS = 2000, 0.02
LEAST_SECONDS = 20.0
SLOWER, BEHIND_SECONDS, KEPT = 1.5, 3.0, 0.98


class Busy(NamedTuple):
    """What came of asking while draining: seconds for each dashboard, the most that an event waited, how many were stored."""

    dashboards: list[float]
    behind: float
    stored: int


class Keeper:
    """The keeper's part, in a process of its own."""

    def __init__(self, store: Path, folder: Path) -> None:
        self._store = DuckDBStore(store)
        self._engine: Engine = open_database(f"sqlite:///{folder / 'gateway.db'}")
        self._journals = folder / "journal"
        self._behind, self._stored = 0.0, 0

    def ask(self, dashboards: Sequence[Sequence[Query]], until: float) -> list[float]:
        """Seconds for each dashboard, asked for one after another for as long."""
        config, seconds = AnalyticsConfig(), list[float]()
        while time.time() < until:
            begun = time.perf_counter()
            for query in dashboards[len(seconds) % len(dashboards)]:
                answer(query, self._store, config)
            seconds.append(time.perf_counter() - begun)
        return seconds

    def ask_and_drain(self, dashboards: Sequence[Sequence[Query]], begun: float, until: float) -> Busy:
        """The same while what is written from `begun` on is stored."""
        draining = threading.Thread(target=self._drain, args=(begun, until))
        draining.start()
        seconds = self.ask(dashboards, until)
        draining.join()
        return Busy(seconds, self._behind, self._stored)

    def _drain(self, begun: float, until: float) -> None:
        wait, done = KeeperConfig().drain_seconds, False
        while not done:
            done = time.time() > until + 2 * wait  # a last look, when nothing is written any more
            oldest = begun + self._stored / RATE
            drained = drain_once(self._journals, self._store, self._engine, [], time.time())
            self._stored += drained.entries
            if drained.entries:
                self._behind = max(self._behind, time.time() - oldest)
            if not drained.more and not done:
                time.sleep(wait)


_keeper: Keeper


def _open(store: Path, folder: Path) -> None:
    global _keeper
    _keeper = Keeper(store, folder)


def _ask(dashboards: Sequence[Sequence[Query]], seconds: float) -> list[float]:
    return _keeper.ask(dashboards, time.time() + seconds)


def _ask_and_drain(dashboards: Sequence[Sequence[Query]], begun: float, until: float) -> Busy:
    return _keeper.ask_and_drain(dashboards, begun, until)


def _write(journals: Path, site: str, begun: float, until: float) -> int:
    """Write at the rate from `begun` to `until`; returns how many events that were by then."""
    journal, written = Journal(journals), 0
    while (now := time.time()) < until:
        due = max(written, int((now - begun) * RATE))
        for number in range(written, due):
            journal.append(_make(number, site, begun))
        written = due
        time.sleep(TICK_SECONDS)
    journal.close()
    return written


def _make(number: int, site: str, begun: float) -> Recorded:
    """Of each three one is the engagement that is told of the view before it; a visit has four views."""
    told = number % 3 == 2
    view = number - number // 3 - told
    visit = view // 4
    event = Event(
        begun + number / RATE, site, ENGAGEMENT if told else PAGE_VIEW, f"/nieuws/{view % 500}", visit,
        f"arriving-{visit:013}", begun + visit * 6 / RATE, f"arriving-{view:013}", engaged_ms=4000 * told,
    )  # fmt: skip
    return Recorded(event, "a-consent", 1, ("analytics",))


def ask_while_events_arrive(store: Path, folder: Path, site: str, dashboards: Sequence[Sequence[Query]]) -> list[Line]:
    """What it costs, over a store, with journals in the folder: times of whole dashboards, each the sum of its questions."""
    context = get_context("spawn")
    with (
        ProcessPoolExecutor(1, context, _open, (store, folder)) as keeper,
        ProcessPoolExecutor(1, context) as front,
    ):
        front.submit(time.time).result()  # it has started
        keeper.submit(_ask, dashboards, 0.1).result()
        quiet = keeper.submit(_ask, dashboards, LEAST_SECONDS).result()
        begun = time.time() + 1
        until = begun + LEAST_SECONDS
        writing = front.submit(_write, folder / "journal", site, begun, until)
        busy = keeper.submit(_ask_and_drain, dashboards, begun, until).result()
        written = writing.result()
    return _lines(quiet, busy, written, until - begun)


def _lines(quiet: Sequence[float], busy: Busy, written: int, seconds: float) -> list[Line]:
    (mine, base) = (quantiles(times, n=20)[-1] for times in (busy.dashboards, quiet))
    rate = written / seconds
    kept = rate / RATE
    return [
        Line(
            f"a dashboard's 95th percentile while {RATE:,} events a second arrive", f"{mine * 1e3:,.0f} ms",
            f"{base * 1e3:,.0f} ms quiet", f"{mine / base:.2f}", f"< {SLOWER}", mine < SLOWER * base,
        ),
        Line("events written meanwhile", f"{rate:,.0f}/s", f"{RATE:,}/s", f"{kept:.2f}", f">= {KEPT}", kept >= KEPT),
        at_most("longest that one waited to be stored", busy.behind, BEHIND_SECONDS, f"{busy.behind:.2f} s", "s"),
        Line("those events stored", f"{busy.stored:,} stored", f"{written:,} written", "", "all", busy.stored == written),
    ]  # fmt: skip
