"""The exempt page counter beside `kill -9`: no page counts twice, and a killed worker loses only what it had yet to write."""

import os
import random
import signal
from collections import defaultdict
from contextlib import closing
from http.client import HTTPException
from pathlib import Path

import pytest

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.flows.counters import OTHER, PAGE
from gateway.flows.open_store import STORE_FILE
from tests.example_site import POLICY_TOML
from tests.flows.worker_parts import read_counts
from tests.journeys.cluster import Cluster, Crowd, People, run_cluster
from tests.journeys.fronts import Guest, letters, wait_until
from tests.journeys.test_kill import stored_probes

KILLS = 6
PATIENCE_SECONDS = 60
LET_IN = 15  # pages opened between two kills, at least
COUNTER = '[page_counter]\nreason = "Our counsel found it exempt."\n'
APP = """
import os
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from gateway import ConsentMiddleware

async def page(request):
    return HTMLResponse(f"<!doctype html><html lang=nl><title>x</title><body><p id=by>{os.getpid()}</p></body></html>")

app = ConsentMiddleware(Starlette(routes=[Route("/{path:path}", page)]), {folder!r})
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


class Readers(People):
    """People who have said nothing: they open page after page, no page twice."""

    def __init__(self, port: int, threads: int = 3) -> None:
        super().__init__(port, threads)
        self.opened: dict[tuple[int, int], list[str]] = defaultdict(list)  # by reader and worker, in order

    def by(self, worker: int) -> set[str]:
        """The pages that a worker has answered."""
        return {path for (_, by), paths in list(self.opened.items()) if by == worker for path in list(paths)}

    def count(self) -> int:
        """How many pages were opened."""
        return sum(len(paths) for paths in list(self.opened.values()))

    def wait_for(self, pages: int) -> None:
        """Until so many more were opened; killed workers take their time to come back."""
        wanted = self.count() + pages
        wait_until(lambda: self.count() >= wanted, PATIENCE_SECONDS)

    def go_on(self, one: int) -> None:
        """Open a page that nobody has opened, and note who answered."""
        while not self.stopping.wait(0.01):
            guest, path = Guest(self.port), f"/lees/{letters(12)}"
            try:
                answer = guest.get(path)
                self.opened[one, int(answer.body.partition(b"id=by>")[2].partition(b"<")[0])].append(path)
            except (OSError, HTTPException):
                continue  # the worker was killed: whether this page counts, nobody knows
            finally:
                guest.close()


def test_no_page_counts_twice_and_little_is_lost(tmp_path: Path) -> None:
    """Workers and keeper are killed by turns under load. Each page was opened once and counts once at most. What a worker that
    lived counted is all there; what one that was killed counted is there up to a moment, and gone after it."""
    (tmp_path / "policy.toml").write_text(POLICY_TOML + COUNTER, "utf-8")
    killed = set[int]()
    with run_cluster(tmp_path, workers=2, app=APP) as cluster:
        readers, crowd = Readers(cluster.port), Crowd(cluster.port, threads=2)
        crowd.start()
        readers.start()
        for number in range(KILLS):
            readers.wait_for(LET_IN)
            killed |= kill_keeper(cluster) if number % 2 else kill_worker(cluster, readers)
        crowd.stop()
        readers.stop()
        lived = set(cluster.workers())
    counted = stored_pages(cluster)
    assert {path: count for path, count in counted.items() if count != 1} == {}
    for (_, worker), paths in readers.opened.items():
        there = [path in counted for path in paths]
        assert there == sorted(there, reverse=True), "a page is missing before one that is there"
        assert all(there) or worker not in lived, "a worker that lived has lost a page"
    assert all(readers.by(worker) & set(counted) for worker in killed)


def kill_keeper(cluster: Cluster) -> set[int]:
    """Nothing that workers count may be lost by it."""
    wait_until(lambda: cluster.keeper() is not None, PATIENCE_SECONDS)
    os.kill(cluster.keeper() or 0, signal.SIGKILL)
    return set()


def kill_worker(cluster: Cluster, readers: Readers) -> set[int]:
    """One of those that have written some of their pages down; it is named."""
    busy: list[int] = []

    def has_written() -> bool:
        try:
            written = {name for kind, name, _ in read_counts(cluster.config.data_folder) if kind == PAGE}
        except FileNotFoundError:  # the keeper has just put away what it is done with
            return False
        busy[:] = [worker for worker in cluster.workers() if readers.by(worker) & written]
        return bool(busy)

    wait_until(has_written, PATIENCE_SECONDS)
    victim = random.choice(busy)
    os.kill(victim, signal.SIGKILL)
    return {victim}


def stored_pages(cluster: Cluster) -> dict[str, int]:
    """How often each page counts, once everything has stopped and is stored."""
    stored_probes(cluster)
    with closing(DuckDBStore(cluster.config.data_folder / STORE_FILE)) as store:
        rows = store.fetch("SELECT name, sum(n) FROM counts WHERE kind = $kind GROUP BY name", {"kind": PAGE})
    found = {str(name): int(str(count)) for name, count in rows}
    assert OTHER not in found
    return found
