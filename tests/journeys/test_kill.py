"""What was acknowledged survives `kill -9`, at any moment, of front workers and keeper alike."""

import os
import random
import signal
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from gateway import ledger
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import JOURNAL_FOLDER
from gateway.database import OUTBOX, open_database, reading
from gateway.flows.drain import drain_once
from gateway.flows.open_store import STORE_FILE
from gateway.report_client import fetch_report
from gateway.socket_client import call_keeper
from tests.journeys.cluster import Cluster, Crowd, run_cluster

ROUNDS = int(os.environ.get("KILL_ROUNDS", "20"))
LET_IN = 10  # events acknowledged between two kills, at least

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + ROUNDS * 15)]


def test_nothing_acknowledged_is_lost_when_processes_are_killed(tmp_path: Path) -> None:
    """F1: Under load with four workers, killing workers and keeper at random moments loses no acknowledged event or choice,
    doubles none, and starts no delivery after an acknowledged withdrawal."""
    with run_cluster(tmp_path) as cluster:
        crowd = Crowd(cluster.port)
        crowd.start()
        for number in range(ROUNDS):
            wait_until_let_in(crowd, LET_IN)
            time.sleep(random.uniform(0.0, 0.6))
            kill_one(cluster, keeper=number % 3 == 2)
        time.sleep(1)
        crowd.stop()
        settle(cluster)
        report = fetch_report(cluster.config, {"period": "7d"})
    said, stored = crowd.said, stored_probes(cluster)
    assert said.events - set(stored) == set(), "acknowledged events are missing"
    assert {path: count for path, count in stored.items() if count != 1} == {}
    assert report.totals.events == len(stored)
    assert_choices_recorded(cluster, crowd)
    assert_nothing_started_after_withdrawal(cluster, crowd)


def wait_until_let_in(crowd: Crowd, events: int) -> None:
    """On a busy machine workers take their time to come back; killed in the meantime, they would acknowledge nothing."""
    wanted, until = len(crowd.said.events) + events, time.monotonic() + 30
    while len(crowd.said.events) < wanted:
        assert time.monotonic() < until, "the crowd is not let in"
        time.sleep(0.01)


def kill_one(cluster: Cluster, *, keeper: bool) -> None:
    """Kill the keeper, or a worker at random, without a word."""
    victim = cluster.keeper() if keeper else random.choice(cluster.workers() or [0])
    if victim:
        os.kill(victim, signal.SIGKILL)


def settle(cluster: Cluster) -> None:
    """Wait until a keeper is back, all journals are drained and every delivery has ended."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if cluster.keeper() is not None:
            call_keeper(cluster.config.data_folder, "POST", "/drain")
            queue = fetch_report(cluster.config, {"period": "7d"}).destinations[0]
            if queue.queued == queue.started == 0:
                return
        time.sleep(0.3)
    raise TimeoutError("deliveries have not ended")


def stored_probes(cluster: Cluster) -> Counter[str]:
    """How often each probe stands in the store, once everything has stopped."""
    engine = open_database(cluster.config.database_url)
    with closing(DuckDBStore(cluster.config.data_folder / STORE_FILE)) as store:
        journals = cluster.config.data_folder / JOURNAL_FOLDER
        while drain_once(journals, store, engine, cluster.config.destinations, time.time()).more:
            pass
        rows = store.fetch("SELECT path, count(*) FROM events WHERE kind = 'probe' GROUP BY path", {})
    return Counter({str(path): int(str(count)) for path, count in rows})


def assert_choices_recorded(cluster: Cluster, crowd: Crowd) -> None:
    """The chain is whole and holds at least as many choices of each kind as were acknowledged."""
    engine = open_database(cluster.config.database_url)
    assert ledger.verify(engine) >= len(crowd.said.choices)
    recorded = Counter(
        str(msgspec.json.decode(entry.body)["choice"]) for entry in ledger.entries(engine) if entry.kind == "choice"
    )
    acknowledged = Counter(choice for choice, _ in crowd.said.choices)
    assert all(recorded[choice] >= count for choice, count in acknowledged.items())


def assert_nothing_started_after_withdrawal(cluster: Cluster, crowd: Crowd) -> None:
    """For each delivery that arrived, the row says when it was started: before its visitor's withdrawal was confirmed."""
    query = select(OUTBOX.c.event_id, OUTBOX.c.started_at)
    with reading(open_database(cluster.config.database_url)) as connection:
        started = {row.event_id: row.started_at for row in connection.execute(query)}
    assert cluster.receiver.refused == []
    assert cluster.receiver.log, "nothing was delivered"
    late = []
    events = [delivery for delivery in cluster.receiver.log if "path" in delivery.data]
    assert events, "nobody was told of an event"
    for delivery in events:
        visitor = str(delivery.data["path"]).split("/")[2]
        confirmed = crowd.said.withdrawn.get(visitor)
        if confirmed is not None and started[delivery.id] > confirmed:
            late.append(delivery.id)
    assert late == []
    assert len(crowd.said.withdrawn) > 5, "hardly anybody withdrew"
