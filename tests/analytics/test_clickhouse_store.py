"""Events in ClickHouse: each once wherever it stops, the same answers as DuckDB, tables as the configuration says."""

import random
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from gateway.analytics import clickhouse_store_batch
from gateway.analytics.clickhouse_store import ClickHouseStore
from gateway.analytics.clickhouse_store_schema import Place, build_pruning, build_retention, build_schema
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.filters import Condition, Filter, Join
from gateway.analytics.journal import Journal
from gateway.analytics.live import look
from gateway.analytics.query import Query
from gateway.analytics.sql import build_answer
from gateway.analytics.store import Batch, Store
from gateway.database import open_database
from gateway.errors import StoreError
from gateway.event import Counted, Entry
from gateway.flows.answer import answer
from gateway.flows.consent_report import consent_report
from gateway.flows.drain import drain_once
from gateway.flows.export import MOMENTS, Rows, find_span, read_rows
from gateway.flows.follow_funnel import follow_funnel
from gateway.flows.follow_pages import follow_pages
from gateway.flows.report import ReportParts, report
from gateway.settings import AnalyticsConfig, GoalConfig, RetentionConfig
from tests.analytics.entries import NOON, engaged, record, view
from tests.clickhouse_server import Server, clickhouse_server

pytestmark = pytest.mark.slow
HOUR = 3600
SITES = (f"site-{number}" for number in count())
# Where a batch can stop: what is written down, what is sent, what is worked out there, what is written down then.
STEPS = ("write_pending", "events", "told", "counts", "INSERT INTO events", "INSERT INTO visits", "write_offsets",
         "forget_pending")  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests; each has a site of its own."""
    with clickhouse_server(tmp_path_factory.mktemp("clickhouse")) as running:
        yield running


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Ledger and outbox."""
    opened = open_database(f"sqlite:///{tmp_path / 'gateway.db'}")
    yield opened
    opened.dispose()


def entries_of(site: str) -> list[Entry]:
    """Two visits: views, an event, what was told of the views, and counters."""
    fields: dict[str, Any] = {"site": site, "started": NOON, "source": "Google", "country": "NL"}
    return [
        view(NOON, f"{site}.a", view_id=f"{site}.1", path="/", **fields),
        view(NOON + 60, f"{site}.a", view_id=f"{site}.2", path="/prijs", **fields),
        record("form", NOON + 61, f"{site}.a", view_id=f"{site}.2", path="/prijs", props={"plan": "goud"}, **fields),
        record("form", NOON + 61, f"{site}.a", view_id=f"{site}.2", path="/prijs", props={"plan": "goud"}, **fields),
        engaged(NOON + 90, f"{site}.2", 29_000, f"{site}.a", site=site, started=NOON),
        view(NOON + 5, f"{site}.b", view_id=f"{site}.3", path="/", visitor=2, **fields),
        Counted(site, int(NOON // HOUR * HOUR), [("shown", "nl", "desktop", 3), ("dropped", "bot", "", 2)]),
    ]


def write_journal(folder: Path, entries: list[Entry]) -> None:
    """As a front worker does that is gone now."""
    journal = Journal(folder)
    for entry in entries:
        journal.append(entry)
    journal.close()


def figures(store: Store, site: str) -> tuple[Any, ...]:
    """What a site's tables add up to."""
    sums = (
        "SELECT count(*), coalesce(sum(engaged_ms), 0) FROM events WHERE site = $site",
        "SELECT count(*), coalesce(sum(views), 0), coalesce(sum(events), 0), coalesce(sum(engaged_ms), 0) FROM visits "
        "WHERE site = $site",
        "SELECT count(*), coalesce(sum(n), 0) FROM counts WHERE site = $site",
    )
    return tuple(int(str(number)) for sql in sums for number in store.fetch(sql, {"site": site})[0])


WHOLE = (5, 29_000, 2, 3, 2, 29_000, 2, 5)


class Stopped(BaseException):
    """The process ends here."""


def stop_at(monkeypatch: pytest.MonkeyPatch, store: ClickHouseStore, step: str, when: str) -> None:
    """End the process before or after a step, as `kill -9` does: nothing of it goes on."""
    client, books = store._open(), store._books

    def stopping(work: Callable[..., Any], is_it: Callable[..., bool]) -> Callable[..., Any]:
        def run(*arguments: Any, **words: Any) -> Any:
            if not is_it(*arguments):
                return work(*arguments, **words)
            if when == "after":
                work(*arguments, **words)
            raise Stopped

        return run

    if hasattr(books, step):
        monkeypatch.setattr(books, step, stopping(getattr(books, step), lambda *_: True))
    else:
        monkeypatch.setattr(client, "raw_insert", stopping(client.raw_insert, lambda table, *_: table == step))
        monkeypatch.setattr(client, "command", stopping(client.command, lambda text, *_: step in text))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_each_entry_is_stored_once_wherever_it_stops(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, engine: Engine, step: str, when: str
) -> None:
    """A keeper that is killed before or after any step: the next one finishes what was begun, and nothing counts twice."""
    site, journals, books = next(SITES), tmp_path / "journal", tmp_path / "books"
    write_journal(journals, entries_of(site))
    with closing(server.open_store(books)) as store, pytest.raises(Stopped), monkeypatch.context() as patched:
        stop_at(patched, store, step, when)
        drain_once(journals, store, engine, [], NOON)
    write_journal(journals, [view(NOON + 70, f"{site}.a", view_id=f"{site}.4", site=site, started=NOON)])
    with closing(server.open_store(books)) as store:
        while drain_once(journals, store, engine, [], NOON).entries or list(journals.glob("*.journal")):
            pass
        assert figures(store, site) == (6, 29_000, 2, 4, 2, 29_000, 2, 5)
        assert store.offsets() == {}


def test_a_server_that_is_down_only_delays(tmp_path: Path, server: Server, engine: Engine) -> None:
    """Down before anything was sent, and when a batch was on its way: journals hold, and all is stored once it is back."""
    site, journals = next(SITES), tmp_path / "journal"
    write_journal(journals, entries_of(site)[:3])
    with closing(server.open_store(tmp_path / "books")) as store:
        server.kill()
        for _ in range(2):
            with pytest.raises(StoreError, match="the event store cannot answer"):
                drain_once(journals, store, engine, [], NOON)
        assert len(list(journals.glob("*.journal"))) == 1
        store._books.write_pending(clickhouse_store_batch.build_pending([Batch("odd", 1, entries_of(site)[3:4])]))
        server.start()
        write_journal(journals, entries_of(site)[4:])
        while list(journals.glob("*.journal")):
            drain_once(journals, store, engine, [], NOON)
        assert figures(store, site) == WHOLE


def test_what_is_told_of_a_view_may_come_first_and_from_elsewhere(tmp_path: Path, server: Server) -> None:
    """Two keepers with one visit between them, in any order, and a view that is told of from a later visit."""
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        site = next(SITES)
        batches: list[list[Entry]] = [
            [view(NOON, f"{site}.a", site=site, view_id=f"{site}.1", path="/z"),
             view(NOON, f"{site}.a", site=site, view_id=f"{site}.2", path="/a")],
            [engaged(NOON + 9, f"{site}.1", 4000, f"{site}.a", site=site, started=NOON)],
            [engaged(NOON + HOUR, f"{site}.1", 9000, f"{site}.later", site=site, started=NOON + HOUR)],
        ]  # fmt: skip
        for number in order:
            with closing(server.open_store(tmp_path / f"books-{number}")) as store:
                store.add(Batch(f"{site}.{number}", 1, batches[number]))
        with closing(server.open_store(tmp_path / "books-0")) as store:
            columns = "visit_id, views, engaged_ms, entry_page, exit_page, date_diff('second', started_at, last_at)"
            found = store.fetch(f"SELECT {columns} FROM visits WHERE site = $site", {"site": site})
            assert found == [(f"{site}.a", 2, 9000, "/a", "/z", HOUR)]


def told_in(rows: Rows) -> list[list[str]]:
    """Each exported row with its columns and their types, in an order of its own; a visit's id is each store's matter."""
    named = [zip(rows.columns, row, strict=True) for row in rows.rows]
    return sorted(sorted(f"{one}" for one in row if one[0][0] not in ("visit_id", "told_id")) for row in named)


def test_both_stores_answer_alike(tmp_path: Path, server: Server, engine: Engine) -> None:
    """The whole report, that on consent, the last half hour, funnel, page flows and export: the same from the same entries,
    also where the events of a visit tell of other sources and countries than its first."""
    site, chance = next(SITES), random.Random(7)
    entries: list[Entry] = []
    for number in range(40):
        started = NOON + chance.randrange(90_000)
        device = chance.choice(("desktop", "mobile"))
        fields: dict[str, Any] = {"site": site, "started": started, "visitor": number % 17, "device": device}
        for step in range(chance.randrange(1, 4)):
            path = chance.choice(("/", "/prijs", "/A/b\t'\\x"))
            fields |= {"source": chance.choice(("Google", "")), "country": chance.choice(("NL", "BE"))}
            entries.append(view(started + step, f"{site}.{number}", view_id=f"{number}.{step}", path=path, **fields))
        entries.append(engaged(started + 5, f"{number}.0", 4321, f"{site}.{number}", site=site, started=started))
    entries.append(Counted(site, int(NOON // HOUR * HOUR), [("shown", "nl", "desktop", 3), ("dropped", "bot", "", 2)]))
    config = AnalyticsConfig(goals=(GoalConfig(name="Prijs", page="/prijs"),))
    query = Query(site, date(2026, 11, 23), date(2026, 11, 24), "Europe/Amsterdam", compare="previous_period")
    answered = []
    with closing(DuckDBStore(tmp_path / "events.duckdb")) as duck, closing(server.open_store(tmp_path / "b")) as click:
        stores: tuple[Store, ...] = (duck, click)
        for store in stores:
            store.add(Batch(site, 1, entries))
            parts = ReportParts(store, engine, [], config)
            exported = [read_rows(store, table, site, NOON - HOUR, NOON + 100 * HOUR) for table in MOMENTS]
            answered.append(
                (
                    report(query, parts),
                    consent_report(query, parts),
                    look(store, site, NOON + HOUR, 1),
                    follow_funnel(query, ["page is /", "goal is Prijs"], parts),
                    follow_pages(query, ["/"], parts),
                    follow_pages(query, ["/", "/prijs"], parts),
                    find_span(store, site),
                    [told_in(rows) for rows in exported],
                )
            )
    for of_duck, of_click in zip(*answered, strict=True):
        assert of_click == of_duck


@pytest.mark.parametrize(
    ("dimensions", "filters"),
    [
        (("page",), Condition("is", "source", ("Google",))),
        (("source",), Condition("is", "page", ("/",))),
        (("hour",), Condition("is", "entry_page", ("/",))),
        (("day",), Join("has_done", (Condition("is", "channel", ("search",)),))),
        (("page",), Join("has_not_done", (Condition("is", "exit_page", ("/a",)),))),
        ((), Condition("is_not", "country", ("DE",))),
    ],
)
def test_a_month_is_answered_without_reading_the_years(
    tmp_path: Path, server: Server, dimensions: tuple[str, ...], filters: Filter
) -> None:
    """Whatever is asked of visits and events together, visits of other months are not read: neither what came before the
    first visit that the period's events are of, nor what began after it. What is answered has them nevertheless."""
    site, middle = next(SITES), NOON + 180 * 24 * HOUR  # of which no other test has anything
    over = middle - 20 * HOUR
    fields: dict[str, Any] = {"site": site, "source": "Google", "channel": "search", "country": "NL"}
    entries: list[Entry] = [
        view(over + hours * HOUR, f"{site}.over", view_id=f"{site}.over.{hours}", started=over, **fields)
        for hours in (0, 20)
    ]
    for months in range(-6, 7):
        at = middle + months * 30 * 24 * HOUR
        entries.append(view(at, f"{site}.{months}", view_id=f"{site}.{months}", started=at, **fields))
    metrics = ("page_views", "visits", "daily_visitors", "events")
    day = date(2027, 5, 22)
    query = Query(site, day, day, "Europe/Amsterdam", metrics=metrics, dimensions=dimensions, filters=filters)
    with closing(server.open_store(tmp_path / "b")) as store, closing(DuckDBStore(tmp_path / "duck")) as duck:
        for one in (store, duck):
            one.add(Batch(site, 1, entries))
        config = AnalyticsConfig(min_visitors=1)
        found = answer(query, store, config)
        assert found == answer(query, duck, config) and found.rows
        question = build_answer(query, store.dialect)
        plan = "".join(f"{row[0]}\n" for row in store.fetch(f"EXPLAIN indexes = 1 {question.sql}", question.values))
    reads = [part.partition("ReadFrom")[0] for part in plan.split("ReadFromMergeTree (default.visits)")[1:]]
    granules = [[int(number) for number in re.findall(r"Granules: (\d+)/", read)] for read in reads]
    assert granules and max(min(found) for found in granules) <= 2


def test_rows_are_kept_for_as_long_as_the_configuration_says(tmp_path: Path, server: Server) -> None:
    """Another retention changes the tables when the store is opened again; pruning says how many rows went."""
    site = next(SITES)
    with closing(server.open_store(tmp_path, RetentionConfig(2, 3))) as store:
        asked = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
        written = {str(name): str(text) for name, text in store.fetch(asked, {})}
        assert "toIntervalMonth(2)" in written["events"]
        assert all("toIntervalMonth(3)" in written[table] for table in ("visits", "counts"))
        early = NOON - 400_000
        store.add(Batch(site, 1, [view(early, f"{site}.a", site=site), view(NOON, f"{site}.b", site=site)]))
        assert store.prune(early + 1, early - 1) >= 1
        assert figures(store, site)[:3] == (1, 0, 2)
    with closing(server.open_store(tmp_path)) as store:
        assert "toIntervalMonth(13)" in str(store.fetch(asked, {}))


def test_on_a_cluster_every_table_stands_on_all_replicas(tmp_path: Path, server: Server) -> None:
    """What makes, changes and empties tables says so, in words that the engine reads; one that is not there is refused."""
    place = Place("alle")
    statements = [
        *build_schema(place, RetentionConfig()),
        build_retention(place, "visits", 9),
        build_pruning(place, "counts"),
    ]
    with closing(server.open_store(tmp_path)) as store:
        for statement in statements:
            assert "ON CLUSTER `alle`" in statement
            assert store._open().raw_query(f"EXPLAIN AST {statement.replace('$before', 'now()')}")
    assert all("ENGINE = Replicated" in one and "replicated_deduplication_window = " in one for one in statements[:4])
    with (
        closing(server.open_store(tmp_path, cluster="alle")) as store,
        pytest.raises(StoreError, match="there is none of that"),
    ):
        store.offsets()
        store.fetch("SELECT 1", {})


def test_a_password_that_is_wrong_is_said_and_not_shown(tmp_path: Path, server: Server) -> None:
    """What the server says of it is in the error, the password is not."""
    with closing(server.open_store(tmp_path, password="verkeerd-woord")) as store:
        with pytest.raises(StoreError, match="Authentication failed") as caught:
            store.fetch("SELECT 1", {})
        assert "verkeerd" not in str(caught.value)
