"""Journals into store and outbox: each entry once in both, whatever fails, and nothing that was not granted."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import Journal, find_segments
from gateway.analytics.masking import Masker
from gateway.analytics.store import Batch
from gateway.database import open_database, transaction
from gateway.destinations.upkeep import expire_overdue, prune_settled
from gateway.destinations.withheld import find_kept_from, trim
from gateway.errors import StoreError
from gateway.event import Counted, Entry, Event, Recorded
from gateway.flows.build_deliveries import build_deliveries, is_wanted
from gateway.flows.drain import Drained, drain_once
from gateway.settings import DestinationConfig
from tests.destinations.rows import NOW, look, make_config, make_event

BOTH = ("analytics", "marketing")
HOOK = make_config(events=("page_view",))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    """A real event store in a file."""
    opened = DuckDBStore(tmp_path / "events.duckdb")
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the journals lie."""
    return tmp_path / "journal"


class FailingStore(DuckDBStore):
    """Raises for the next `failures` writes, before or after writing."""

    failures = 0
    after_writing = False

    def add(self, *batches: Batch) -> None:
        """As the real one, or not."""
        if self.failures and not self.after_writing:
            self.failures -= 1
            raise StoreError("no room")
        super().add(*batches)
        if self.failures:
            self.failures -= 1
            raise StoreError("the connection was lost")


def record(path: str = "/", granted: tuple[str, ...] = BOTH, **changes: Any) -> Recorded:
    """A journal entry for an event on this path."""
    return Recorded(make_event(path=path, **changes), "c1", 3, granted)


def write(folder: Path, *entries: Entry) -> None:
    """One worker's life: entries into a journal that is closed then."""
    journal = Journal(folder)
    for entry in entries:
        journal.append(entry)
    journal.close()


def commit(journal: Journal, entry: Entry) -> None:
    """Append an entry in a commit of its own."""
    written = threading.Event()
    journal.append(entry, lambda fault: written.set())
    assert written.wait(10)


def drain(folder: Path, store: DuckDBStore, engine: Engine, destinations: Sequence[DestinationConfig] = (HOOK,)) -> int:
    """Drain as the keeper does, until nothing is new."""
    total = 0
    while taken := drain_once(folder, store, engine, destinations, NOW).entries:
        total += taken
    return total


def stored(store: DuckDBStore) -> int:
    """Events in the store."""
    return int(str(store.fetch("SELECT count(*) FROM events", {})[0][0]))


def test_entries_reach_store_and_outbox_and_segments_go(folder: Path, store: DuckDBStore, engine: Engine) -> None:
    """Two workers' events are stored and queued once each, counters are stored, and no file is left."""
    write(folder, *(record(f"/a/{n}") for n in range(5)), Counted("main", 0, [("shown", "nl", "", 2)]))
    write(folder, *(record(f"/b/{n}") for n in range(3)))
    assert drain(folder, store, engine) == 9
    assert (stored(store), len(look(engine)), len({row.event_id for row in look(engine)})) == (8, 8, 8)
    assert store.fetch("SELECT kind, name, n FROM counts", {}) == [("shown", "nl", 2)]
    assert list(folder.iterdir()) == []
    assert store.offsets() == {}
    assert drain(folder, store, engine) == 0


def test_what_is_queued_is_complete(folder: Path, store: DuckDBStore, engine: Engine) -> None:
    """A queued row holds the event, its consent, its revision, and its time to expire."""
    write(folder, record("/x"))
    drain(folder, store, engine, [make_config(expire_hours=2)])
    [row] = look(engine)
    assert (row.destination, row.site, row.state, row.consent_id, row.revision) == ("hook", "main", "queued", "c1", 3)
    assert (row.recorded_at, row.next_at, row.expires_at) == (NOW, NOW, NOW + 7200)
    assert msgspec.json.decode(row.payload, type=Event) == make_event(path="/x")


def test_an_open_segment_is_read_on(folder: Path, store: DuckDBStore, engine: Engine) -> None:
    """While its writer lives, a segment stays; what is appended later is drained later."""
    journal = Journal(folder)
    for expected in (1, 2, 3):
        commit(journal, record(f"/{expected}"))
        assert drain(folder, store, engine) == 1
        assert stored(store) == len(look(engine)) == expected
        assert len(find_segments(folder)) == 1
    journal.close()
    drain(folder, store, engine)
    assert find_segments(folder) == []


@pytest.mark.parametrize("after_writing", [False, True])
def test_a_failing_store_loses_and_doubles_nothing(
    folder: Path, tmp_path: Path, engine: Engine, after_writing: bool
) -> None:
    """While the store fails, journals wait; afterwards all is there once, in the store and in the outbox."""
    store = FailingStore(tmp_path / "failing.duckdb")
    store.failures, store.after_writing = 3, after_writing
    write(folder, *(record(f"/{n}") for n in range(10)))
    for _ in range(1 if after_writing else 3):
        with pytest.raises(StoreError):
            drain(folder, store, engine)
    store.failures = 0
    drain(folder, store, engine)
    assert (stored(store), len(look(engine))) == (10, 10)
    store.close()


def test_a_long_outage_of_the_store_sends_nothing_twice(folder: Path, tmp_path: Path, engine: Engine) -> None:
    """Deliveries settled and pruned while the store was down are not queued again when it is back."""
    store = FailingStore(tmp_path / "failing.duckdb")
    store.failures = 1
    write(folder, *(record(f"/{n}") for n in range(4)))
    with pytest.raises(StoreError):
        drain(folder, store, engine)
    assert expire_overdue(engine, NOW + 1e6) == 4
    assert prune_settled(engine, NOW + 2e6) == 4
    drain(folder, store, engine)
    assert (stored(store), look(engine)) == (4, [])
    store.close()


@pytest.mark.slow
def test_a_failing_outbox_holds_the_store_back(folder: Path, store: DuckDBStore, tmp_path: Path) -> None:
    """An event whose delivery cannot be queued is not stored either: it stays in the journal for both."""
    write(folder, record("/"))
    broken = open_database(f"sqlite:///{tmp_path / 'broken.db'}")
    with transaction(broken) as connection:
        connection.execute(text("DROP TABLE outbox"))
    with pytest.raises(DBAPIError):
        drain_once(folder, store, broken, [HOOK], NOW)
    broken.dispose()
    assert stored(store) == 0
    assert len(find_segments(folder)) == 1


def test_many_batches_and_growing_segments(
    folder: Path, store: DuckDBStore, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More entries than one turn takes are all drained, turn by turn."""
    monkeypatch.setattr("gateway.flows.drain.BATCH_ROWS", 2)
    monkeypatch.setattr("gateway.flows.drain.LEAST_ROWS", 1)
    journal = Journal(folder)
    for number in range(7):
        commit(journal, record(f"/{number}"))
    assert drain_once(folder, store, engine, [HOOK], NOW) == Drained(2, more=True)
    assert drain(folder, store, engine) == 5
    journal.close()
    assert (stored(store), len(look(engine))) == (7, 7)


def test_a_damaged_segment_holds_nobody_up(folder: Path, store: DuckDBStore, engine: Engine) -> None:
    """F3: Commits before the damage are stored, the file is set aside, and other segments are drained."""
    journal = Journal(folder)
    for number in range(3):
        commit(journal, record(f"/{number}"))
    journal.close()
    [segment] = find_segments(folder)
    content = segment.path.read_bytes()
    segment.path.write_bytes(content.replace(b"/2", b"/3"))
    write(folder, record("/other"))
    drain(folder, store, engine)
    assert stored(store) == len(look(engine)) == 3
    assert find_segments(folder) == []
    assert [file.name for file in folder.glob("*.damaged")] == [segment.name + ".damaged"]


def test_a_file_that_is_no_journal_holds_nobody_up(folder: Path, store: DuckDBStore, engine: Engine) -> None:
    """Bytes under a segment's name are set aside too."""
    write(folder, record("/"))
    (folder / "00000000000000000001-1-000001.journal").write_bytes(b"\xff" * 5000)
    drain(folder, store, engine)
    assert (stored(store), find_segments(folder)) == (1, [])


@pytest.mark.parametrize(
    ("granted", "purposes", "wanted"),
    [
        (BOTH, ("marketing",), True),
        (BOTH, BOTH, True),
        (("marketing",), ("marketing",), True),
        (("analytics",), ("marketing",), False),
        (("analytics",), BOTH, False),
        ((), ("marketing",), False),
        (BOTH, (), False),
    ],
)
def test_every_purpose_must_have_been_granted(
    granted: tuple[str, ...], purposes: tuple[str, ...], wanted: bool
) -> None:
    """A destination is told only of events recorded under a grant of all its purposes."""
    assert is_wanted(record("/", granted), make_config(purposes=purposes)) is wanted


def test_only_kinds_that_are_asked_for() -> None:
    """Page views by default; other kinds when the destination names them."""
    engagement = record("/", kind="engagement")
    assert not is_wanted(engagement, HOOK)
    assert is_wanted(engagement, make_config(events=("engagement",)))


@pytest.mark.parametrize(
    "path",
    [
        "/mijn-dossier",
        "/mijn-dossier/betalen",
        "/MIJN-Dossier/",
        "//mijn-dossier",
        "/%6Dijn-dossier",
        "/mijn-dossiers",
        "/zaak/:id",
        "/zaak",
        "/café/:id",
        "/artikelen/../mijn-dossier",
        "/a/b/../../x/.././mijn-dossier/:id",
        "/%2e%2e/mijn-dossier",
        "/mijn-dossier/../nieuws",
    ],
)
def test_paths_that_never_leave(path: str) -> None:
    """A prefix holds for all that begins with it, in any case and spelling."""
    config = make_config(never_forward=("/mijn-dossier", "/zaak/*", "/caf%C3%A9/"))
    assert not is_wanted(record(path), config)
    assert is_wanted(record("/artikelen/mijn-dossier"), config)
    assert is_wanted(record("/artikelen/../nieuws"), config)


@pytest.mark.parametrize(
    "url",
    [
        "/dossier-Ab12Cd34Ef56Gh78",
        "/Dossier-Ab12Cd34Ef56Gh78/betalen?a=1",
        "https://www.example.org/dossier-Ab12Cd34Ef56Gh78#x",
        "/x/../dossier-Ab12Cd34Ef56Gh78",
        "/zaak2026001",
    ],
)
def test_what_masking_hides_of_a_path_hides_it_from_no_rule(url: str) -> None:
    """A path of which masking leaves `/:id` is known for what it was: by the address as the browser asked for it."""
    config = make_config(never_forward=("/dossier-", "/zaak2026"))
    masked = Masker().path(url)
    assert is_wanted(record(masked), config)
    assert find_kept_from(url, {}, [make_config("other"), config]) == ("hook",)
    kept = msgspec.structs.replace(record(masked), kept_from=("hook",))
    assert not is_wanted(kept, config)
    assert is_wanted(kept, make_config("other"))
    assert find_kept_from("/artikelen/?from=/dossier-1", {}, [config]) == ()
    assert find_kept_from("/", {"file": f"/files{url}"}, [config]) == ("hook",)
    assert find_kept_from("https://[", {}, [config]) == ()


def test_links_tell_nothing_of_such_a_path() -> None:
    """What a link says of its campaign is told, but for words that name a path that never leaves."""
    config = make_config(never_forward=("/dossier/",))
    event = record("/", campaign="mei/dossier/:id", content="knop", source="brief").event
    told = trim(event, config)
    assert (told.campaign, told.content, told.source) == ("", "knop", "brief")
    assert trim(event, make_config()) == event


@pytest.mark.parametrize(
    "value",
    ["/dossier/brief.pdf", "/dossier", "portaal.example.org//Dossier/:id", "https://www.example.org/%64ossier/:id?a=1"],
)
def test_a_property_that_names_such_a_path_is_not_told(value: str) -> None:
    """Nor is an event told from elsewhere that names one: a file that lies there, a form that leads there."""
    config = make_config(never_forward=("/dossier/",), events=("download",))
    assert not is_wanted(record("/", kind="download", props={"file": value}), config)
    assert is_wanted(record("/", kind="download", props={"file": "/brochures/dossiers.pdf"}), config)


def test_a_referrer_that_never_leaves_is_left_out() -> None:
    """A page reached from a path that never leaves is told without where it was reached from."""
    config = make_config(never_forward=("/mijn-dossier",))
    hidden, shown = (
        build_deliveries("s", [(1, record("/", referrer=f"portaal.example.org{path}"))], [config])[0][1]
        for path in ("/mijn-dossier/betalen", "/nieuws")
    )
    assert b"portaal" not in hidden.payload
    assert b"portaal.example.org/nieuws" in shown.payload


def test_the_network_goes_only_where_it_is_asked_for() -> None:
    """The truncated network is in the payload of a destination that includes it, and of no other."""
    configs = [make_config("plain"), make_config("wide", include_network=True)]
    made = build_deliveries("s", [(1, record("/", network="203.0.113.0/24"))], configs)
    payloads = {delivery.destination: delivery.payload for _, delivery in made}
    assert b"203.0.113" not in payloads["plain"]
    assert b"203.0.113.0/24" in payloads["wide"]


def test_event_ids_are_the_same_each_time_and_no_two_alike() -> None:
    """The id comes from the segment's name and the entry's number: 32 hexadecimal digits."""
    batch = [(number, record("/")) for number in range(1, 100)]
    ids = [delivery.event_id for name in ("s1", "s2") for _, delivery in build_deliveries(name, batch, [HOOK])]
    again = [delivery.event_id for name in ("s1", "s2") for _, delivery in build_deliveries(name, batch, [HOOK])]
    assert ids == again
    assert len(set(ids)) == 198
    assert all(len(event_id) == 32 and int(event_id, 16) >= 0 for event_id in ids)
