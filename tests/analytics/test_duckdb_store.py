"""The embedded event store: exactly once, in any order, beside readers, and nothing kept that must not be."""

import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.store import Batch, naive_utc
from gateway.errors import StoreError
from gateway.event import PAGE_VIEW, Counted, Entry, Event, Recorded
from tests.analytics.entries import NOON, engaged, record, told, view

VISIT = (
    "SELECT views, events, engaged_ms, entry_page, exit_page, source, visitor, started_at, last_at "
    "FROM visits WHERE told_id = $visit"
)
HOUR = int(NOON) // 3600 * 3600


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    """An empty store in a file."""
    opened = DuckDBStore(tmp_path / "data" / "events.duckdb")
    yield opened
    opened.close()


def visit_of(store: DuckDBStore, visit: str = "visit-1") -> tuple[Any, ...]:
    """The kept row of a visit."""
    (row,) = store.fetch(VISIT, {"visit": visit})
    return row


def count(store: DuckDBStore, table: str) -> int:
    """How many rows a table has."""
    return int(str(store.fetch(f"SELECT count(*) FROM {table}", {})[0][0]))


def test_visit_follows_its_events(store: DuckDBStore) -> None:
    """A visit knows its first and last page, how many views and events it had, its entry's source, and its time."""
    store.add(Batch("a", 1, [view(NOON, path="/in", source="Google", view_id="v1")]))
    store.add(Batch("a", 2, [view(NOON + 60, path="/uit", source="", view_id="v2", started=NOON)]))
    store.add(Batch("a", 3, [record("download", NOON + 90, path="/uit", started=NOON)]))
    store.add(
        Batch("a", 4, [engaged(NOON + 95, "v1", 4000, started=NOON), engaged(NOON + 95, "v2", 500, started=NOON)])
    )
    assert visit_of(store) == (2, 1, 4500, "/in", "/uit", "Google", 1, naive_utc(NOON), naive_utc(NOON + 95))


def test_order_of_segments_does_not_matter(store: DuckDBStore) -> None:
    """The last page may be drained first: entry and exit go by time, not by arrival."""
    store.add(Batch("b", 1, [view(NOON + 60, path="/uit", source="Bing", started=NOON)]))
    store.add(Batch("a", 1, [view(NOON, path="/in", source="Google")]))
    assert visit_of(store)[:6] == (2, 0, 0, "/in", "/uit", "Google")


def test_page_view_goes_before_custom_event(store: DuckDBStore) -> None:
    """Entry, source and exit of a visit are those of its page views, even when a custom event lies outside them."""
    store.add(Batch("a", 1, [record("click", NOON, path="/x"), record("click", NOON + 9, path="/y", started=NOON)]))
    assert visit_of(store)[:6] == (0, 2, 0, "/x", "/y", "")
    store.add(Batch("b", 1, [view(NOON + 5, path="/page", source="Google", started=NOON)]))
    assert visit_of(store)[:6] == (1, 2, 0, "/page", "/page", "Google")


def test_engaged_time_is_the_largest_told(store: DuckDBStore) -> None:
    """Repeated, late and smaller reports of a view's time never add up and never shrink it."""
    store.add(Batch("a", 1, [view(NOON, view_id="v1")]))
    for number, milliseconds in enumerate((3000, 9000, 9000, 5000), start=2):
        store.add(Batch("a", number, [engaged(NOON + number, "v1", milliseconds, started=NOON)]))
    assert visit_of(store)[2] == 9000
    assert store.fetch("SELECT engaged_ms FROM events", {}) == [(9000,)]


def test_engagement_before_its_view_is_not_lost(store: DuckDBStore) -> None:
    """A report that is drained before its view shows nothing until the view comes, and then counts."""
    store.add(Batch("b", 1, [engaged(NOON + 30, "v1", 7000, started=NOON)]))
    assert (count(store, "events"), count(store, "visits")) == (0, 0)
    store.add(Batch("a", 1, [view(NOON, view_id="v1")]))
    assert visit_of(store)[2] == 7000
    assert visit_of(store)[8] == naive_utc(NOON + 30)
    assert count(store, "waiting") == 0


TOLD = "SELECT view_id, engaged_ms, scroll, screen, lcp, inp, cls FROM events WHERE kind = 'page_view' ORDER BY view_id"


def test_of_what_is_told_of_a_view_the_largest_counts(store: DuckDBStore) -> None:
    """Scroll depth, width and vitals are kept with their view, in any order, also told before it; what was never told is
    not 0 but nothing."""
    store.add(Batch("b", 1, [told(NOON + 9, "v1", started=NOON, scroll=80, screen="small", lcp=1200, cls=0)]))
    store.add(Batch("a", 1, [view(NOON, view_id="v1"), view(NOON, "visit-2", view_id="v2")]))
    late = told(NOON + 5, "v1", started=NOON, scroll=40, screen="small", lcp=1200, inp=90, cls=20)
    store.add(Batch("a", 2, [engaged(NOON + 20, "v1", 4000, started=NOON), late]))
    assert store.fetch(TOLD, {}) == [("v1", 4000, 80, "small", 1200, 90, 20), ("v2", 0, -1, "", -1, -1, -1)]


OLD_EVENTS = """CREATE TABLE events (
    happened_at TIMESTAMP NOT NULL, site VARCHAR NOT NULL, kind VARCHAR NOT NULL, path VARCHAR NOT NULL,
    topic VARCHAR NOT NULL, visitor UBIGINT NOT NULL, visit_id VARCHAR NOT NULL, visit_started_at TIMESTAMP NOT NULL,
    view_id VARCHAR NOT NULL, sequence BIGINT NOT NULL, engaged_ms BIGINT NOT NULL, props VARCHAR NOT NULL,
    host VARCHAR NOT NULL, source VARCHAR NOT NULL, medium VARCHAR NOT NULL, campaign VARCHAR NOT NULL,
    term VARCHAR NOT NULL, content VARCHAR NOT NULL, channel VARCHAR NOT NULL, referrer VARCHAR NOT NULL,
    country VARCHAR NOT NULL, language VARCHAR NOT NULL, browser VARCHAR NOT NULL, browser_version VARCHAR NOT NULL,
    os VARCHAR NOT NULL, os_version VARCHAR NOT NULL, device VARCHAR NOT NULL)"""
OLD_VISITS = """CREATE TABLE visits AS SELECT site, visit_id, happened_at AS started_at, happened_at AS last_at, visitor,
    1::BIGINT AS views, 0::BIGINT AS events, engaged_ms, happened_at AS entry_at, path AS entry_page, happened_at AS exit_at,
    path AS exit_page, host, source, medium, campaign, term, content, channel, referrer, country, language, browser,
    browser_version, os, os_version, device FROM events"""
OLD_WAITING = """CREATE TABLE waiting (
    site VARCHAR NOT NULL, view_id VARCHAR NOT NULL, engaged_ms BIGINT NOT NULL, last_at TIMESTAMP NOT NULL)"""
OLD_ROW = """INSERT INTO events SELECT TIMESTAMP '2026-11-23 11:00:00', 'main', 'page_view', '/oud', '', 7, 'visit-1',
    TIMESTAMP '2026-11-23 11:00:00', 'v1', 0, 3000, '{}', '', '', '', '', '', '', '', '', '', '', '', '', '', '', ''"""


def test_an_older_store_keeps_its_figures(tmp_path: Path) -> None:
    """A file without the columns that came later is opened as it is: its views stay with their visits, of which nothing more
    is known, what waited is found, and new entries are told in full; interrupted half way, it goes on."""
    path = tmp_path / "events.duckdb"
    with duckdb.connect(str(path)) as old:
        for statement in (OLD_EVENTS, OLD_WAITING, OLD_ROW, OLD_VISITS):
            old.execute(statement)
        old.execute("ALTER TABLE events ADD COLUMN scroll SMALLINT DEFAULT -1")
        old.execute("INSERT INTO waiting VALUES ('main', 'v2', 5000, TIMESTAMP '2026-11-23 11:05:00')")
    for _ in range(2):
        DuckDBStore(path).close()
    store = DuckDBStore(path)
    store.add(Batch("a", 1, [view(NOON, "visit-2", view_id="v2"), told(NOON + 5, "v1", started=NOON, scroll=60)]))
    assert store.fetch(TOLD, {}) == [("v1", 3000, 60, "", -1, -1, -1), ("v2", 5000, -1, "", -1, -1, -1)]
    joined = "SELECT v.told_id, e.view_id FROM events e JOIN visits v ON v.visit_id = e.visit_id ORDER BY ALL"
    assert store.fetch(joined, {}) == [("visit-1", "v1"), ("visit-2", "v2")]
    store.close()


def test_engagement_of_the_visit_before_counts_there(store: DuckDBStore) -> None:
    """A tab left open tells of its view under the next visit: the time is the first visit's."""
    store.add(Batch("a", 1, [view(NOON, "visit-1", view_id="v1"), view(NOON + 3600, "visit-2", view_id="v2")]))
    store.add(Batch("a", 2, [engaged(NOON + 3610, "v1", 8000, "visit-2", started=NOON + 3600)]))
    assert (visit_of(store, "visit-1")[2], visit_of(store, "visit-2")[2]) == (8000, 0)


def test_engagement_without_view_id_reaches_no_view(store: DuckDBStore) -> None:
    """Views without an id are not taken for one another."""
    store.add(Batch("a", 1, [view(NOON, view_id=""), engaged(NOON + 5, "", 5000, started=NOON)]))
    assert visit_of(store)[2] == 0


def test_offset_reached_before_is_stored_once(store: DuckDBStore) -> None:
    """Draining a piece of a journal again, as after a crash, changes nothing."""
    entries: list[Entry] = [view(NOON), Counted("main", HOUR, [("dropped", "bot", "", 2)])]
    for _ in range(3):
        store.add(Batch("a", 2, entries))
    assert store.offsets() == {"a": 2}
    assert (count(store, "events"), store.fetch("SELECT n FROM counts", {})) == (1, [(2,)])


def test_failed_add_leaves_nothing(store: DuckDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """When anything of a batch cannot be stored, none of it is, nor its offset; tried again, it is stored whole."""
    batch: list[Entry] = [view(NOON), Counted("main", HOUR, [("dropped", "bot", "", 1)])]
    with monkeypatch.context() as patch:
        patch.setattr("gateway.analytics.duckdb_store.ADVANCE", "INSERT INTO nowhere VALUES ($segment, $drained)")
        with pytest.raises(StoreError):
            store.add(Batch("a", 2, batch))
    assert (count(store, "events"), count(store, "visits"), count(store, "counts"), store.offsets()) == (0, 0, 0, {})
    store.add(Batch("a", 2, batch))
    assert (count(store, "events"), store.offsets()) == (1, {"a": 2})


def test_counters_add_up(store: DuckDBStore) -> None:
    """Counters of several workers, hours and kinds are summed by site, hour, kind, name and detail."""
    store.add(Batch("a", 1, [Counted("main", HOUR, [("held", "ads.example.net", "script marketing", 2)])]))
    store.add(
        Batch(
            "b",
            1,
            [
                Counted("main", HOUR, [("held", "ads.example.net", "script marketing", 3), ("shown", "nl", "", 1)]),
                Counted("main", HOUR + 3600, [("shown", "nl", "", 4)]),
                Counted("other", HOUR, [("shown", "nl", "", 8)]),
            ],
        ),
    )
    rows = store.fetch("SELECT site, hour, kind, n FROM counts ORDER BY ALL", {})
    assert rows == [
        ("main", naive_utc(HOUR), "held", 5),
        ("main", naive_utc(HOUR), "shown", 1),
        ("main", naive_utc(HOUR + 3600), "shown", 4),
        ("other", naive_utc(HOUR), "shown", 8),
    ]


def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    """What was stored and how far each journal was drained survives closing."""
    path = tmp_path / "events.duckdb"
    for number in (1, 2):
        store = DuckDBStore(path)
        store.add(Batch("a", number, [view(NOON + number, started=NOON, path=f"/{number}")]))
        store.close()
    store = DuckDBStore(path)
    assert (visit_of(store)[:5], store.offsets()) == ((2, 0, 0, "/1", "/2"), {"a": 2})
    store.close()


def test_kill_loses_nothing_stored(tmp_path: Path) -> None:
    """A process that dies without closing leaves every batch that `add` returned from, and only whole ones."""
    script = (
        "import os, sys; from pathlib import Path\n"
        "from gateway.analytics.duckdb_store import DuckDBStore\n"
        "from gateway.analytics.store import Batch\n"
        "from tests.analytics.entries import NOON, view\n"
        "store = DuckDBStore(Path(sys.argv[1]))\n"
        "for n in range(1, 6): store.add(Batch('a', n, [view(NOON + n, f'visit-{n}')]))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    path = tmp_path / "events.duckdb"
    ended = subprocess.run([sys.executable, "-c", script, str(path)], cwd=Path(__file__).parents[2], check=False)
    assert ended.returncode == -9
    store = DuckDBStore(path)
    assert (count(store, "events"), count(store, "visits"), store.offsets()) == (5, 5, {"a": 5})
    store.close()


def test_forgotten_segment_has_no_offset(store: DuckDBStore) -> None:
    """The offset of a removed segment goes; others stay."""
    store.add(Batch("a", 1, []))
    store.add(Batch("b", 7, []))
    store.forget("a")
    assert store.offsets() == {"b": 7}


def test_second_process_is_refused(store: DuckDBStore, tmp_path: Path) -> None:
    """Another process is told that the store is in use, by an error of ours."""
    script = (
        "import sys; from pathlib import Path\n"
        "from gateway.analytics.duckdb_store import DuckDBStore\n"
        "from gateway.analytics.store import Batch\n"
        "from gateway.errors import StoreError\n"
        "try: DuckDBStore(Path(sys.argv[1]))\n"
        "except StoreError: sys.exit(7)\n"
    )
    path = str(tmp_path / "data" / "events.duckdb")
    ended = subprocess.run([sys.executable, "-c", script, path], cwd=Path(__file__).parents[2], check=False)
    assert ended.returncode == 7


def test_damaged_file_is_an_error_of_ours(tmp_path: Path) -> None:
    """A file that is no event store raises StoreError."""
    path = tmp_path / "events.duckdb"
    path.write_bytes(b"not a database " * 1000)
    with pytest.raises(StoreError):
        DuckDBStore(path)


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("SELECT nothing FROM events", {}),
        ("SELECT 1 FROM events WHERE site = $site", {}),
        ("SELECT * FROM read_csv('/etc/passwd')", {}),
        ("INSTALL httpfs", {}),
        ("COPY events TO '/tmp/events.csv'", {}),
    ],
)
def test_faulty_question_is_an_error_of_ours(store: DuckDBStore, sql: str, values: dict[str, object]) -> None:
    """A question that cannot be answered raises StoreError; files and extensions are out of reach."""
    with pytest.raises(StoreError):
        store.fetch(sql, values)


def test_a_question_is_understood_once(store: DuckDBStore) -> None:
    """The same text is answered with whatever values it comes with, and after the file was written anew too; it is read as SQL
    the first time, whoever asks."""
    sql, before = "SELECT $number + $other", store._parse.cache_info().misses
    assert store.fetch(sql, {"number": 1, "other": 2}) == [(3,)]
    with ThreadPoolExecutor(4) as pool:
        sums = pool.map(lambda number: store.fetch(sql, {"number": number, "other": 0.5}), range(100))
        assert list(sums) == [[(number + 0.5,)] for number in range(100)]
    assert store.compact(at_any_rate=True)
    assert store.fetch(sql, {"number": 1, "other": 2}) == [(3,)]
    assert store._parse.cache_info().misses == before + 1


def test_closed_store_answers_with_an_error(tmp_path: Path) -> None:
    """After closing, questions and entries are refused by StoreError."""
    store = DuckDBStore(tmp_path / "events.duckdb")
    store.close()
    with pytest.raises(StoreError):
        store.fetch("SELECT 1", {})
    with pytest.raises(StoreError):
        store.add(Batch("a", 1, [view(NOON)]))


@pytest.mark.parametrize(
    "text",
    ["", "é漢😀", "a'b\"c\\d", "x\x00y", "\n\t\r", "$site {{x}} %s --", "🇳🇱" * 300, '","path":"/other'],
    ids=["empty", "letters", "quotes", "nul", "spaces", "sql", "long", "json"],
)
def test_awkward_text_is_kept_as_it_is(store: DuckDBStore, text: str) -> None:
    """Whatever a visitor sends as text comes out unchanged, and harms nothing."""
    store.add(Batch("a", 1, [view(NOON, path=text, topic=text, source=text, props={"k" + text: text})]))
    store.add(Batch("a", 2, [Counted("main", HOUR, [("held", text, text, 1)])]))
    assert store.fetch("SELECT path, topic, source FROM events", {}) == [(text, text, text)]
    assert store.fetch("SELECT entry_page, source FROM visits", {}) == [(text, text)]
    assert store.fetch("SELECT name, detail FROM counts", {}) == [(text, text)]


def test_largest_numbers_fit(store: DuckDBStore) -> None:
    """A visitor key of 64 bits and times to the microsecond are kept exactly."""
    store.add(Batch("a", 1, [view(NOON + 0.123456, visitor=2**64 - 1)]))
    rows = store.fetch("SELECT visitor, happened_at FROM events", {})
    assert rows == [(2**64 - 1, naive_utc(NOON + 0.123456))]


def test_all_fields_but_the_network_are_kept(store: DuckDBStore, tmp_path: Path) -> None:
    """Every field of an event has a column; a network is nowhere in the folder's bytes."""
    texts = [name for name in Event.__struct_fields__ if Event.__annotations__[name] is str and name != "network"]
    full: dict[str, Any] = {name: f"a {name}" for name in texts}
    full |= {"at": NOON, "visitor": 5, "visit_started_at": NOON, "sequence": 3, "engaged_ms": 40, "props": {"a": "b"}}
    event = Event(**{**full, "kind": PAGE_VIEW, "network": "198.51.100.0/24"})
    store.add(Batch("a", 1, [Recorded(event, "consent-id-of-a-visitor", 1, ("analytics",))]))
    kept = {key: value for key, value in full.items() if isinstance(value, str) and key != "kind"}
    del kept["visit_id"]  # a number of the store's own stands for it
    columns = ", ".join(kept)
    assert store.fetch(f"SELECT {columns} FROM events", {}) == [tuple(kept.values())]
    store.close()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"a campaign" in written
    assert b"198.51.100" not in written
    assert b"consent-id-of-a-visitor" not in written


def test_only_the_owner_reads_the_file(store: DuckDBStore, tmp_path: Path) -> None:
    """The file and a folder made for it are closed to other users."""
    assert stat.S_IMODE((tmp_path / "data" / "events.duckdb").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_prune_deletes_what_is_older(store: DuckDBStore) -> None:
    """Events, visits, counters and waiting engagement from before the moment go; the rest stays."""
    old, day = NOON - 86_400, 86_400
    store.add(
        Batch("a", 1, [view(old, "old", view_id="v1"), engaged(old + 5, "gone", 100, started=old), view(NOON, "new")])
    )
    store.add(
        Batch(
            "a",
            2,
            [Counted("main", HOUR - day, [("shown", "nl", "", 1)]), Counted("main", HOUR, [("shown", "nl", "", 1)])],
        )
    )
    assert store.prune(NOON - 3600) == 4
    assert [count(store, table) for table in ("events", "visits", "counts", "waiting")] == [1, 1, 1, 0]
    assert store.prune(NOON - 3600) == 0


def test_readers_go_on_while_writing(store: DuckDBStore) -> None:
    """Questions from other threads are answered during writes, and never see half of a batch."""
    faults: list[object] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            (row,) = store.fetch("SELECT (SELECT count(*) FROM events), (SELECT sum(views) FROM visits)", {})
            if row[0] != (row[1] or 0) or int(str(row[0])) % 10:
                faults.append(row)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(1, 21):
        store.add(Batch("a", number, [view(NOON + number, f"visit-{number}-{n}") for n in range(10)]))
    done.set()
    for thread in threads:
        thread.join()
    assert faults == []
    assert count(store, "events") == 200


@pytest.mark.slow
def test_writers_take_turns(store: DuckDBStore) -> None:
    """Several threads may add at the same time; all of it is stored."""

    def write(name: str) -> None:
        for number in range(1, 6):
            store.add(
                Batch(name, number, [view(NOON + number, f"{name}-{number}"), view(NOON + 60, "shared", started=NOON)])
            )

    threads = [threading.Thread(target=write, args=(f"segment-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (count(store, "events"), visit_of(store, "shared")[0]) == (40, 20)


DRAWS = """
import sys
from pathlib import Path
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.duckdb_store_file import PLAIN, connect

store, asked = DuckDBStore(Path(sys.argv[1])), "SELECT current_setting('enable_progress_bar')"
one = store._open()
print([opened.execute(asked).fetchone()[0] for opened in (one.writing, one.reading.cursor(), connect(":memory:", PLAIN))])
"""


def test_nothing_is_drawn_while_a_large_file_is_worked_on(tmp_path: Path) -> None:
    """Started with a command instead of a script, Python has DuckDB draw bars for what takes seconds, such as bringing an older
    store up to date: not here, neither when writing nor when reading."""
    command = [sys.executable, "-c", DRAWS, str(tmp_path / "events.duckdb")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (found.stdout.strip(), found.stderr) == ("[False, False, False]", "")
