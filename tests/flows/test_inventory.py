"""The inventory in the database: added up, bounded, forgotten in time; each journal entry counts once. On both databases."""

from pathlib import Path

from sqlalchemy import Engine

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import Journal
from gateway.database import transaction
from gateway.event import Counted, Sight, Sighted
from gateway.flows.counters import OTHER
from gateway.flows.drain import drain_once
from gateway.flows.inventory import MAX_INVENTED, MAX_PAGES, Item, Page, add_sights, prune_sights, read_inventory
from gateway.flows.sightings import COOKIE, HOST, SENT, VIOLATION

DAY = 86_400.0


def sight(
    kind: str, name: str, path: str = "/", at: float = DAY, count: int = 1, held: int = 0, would: int = 0
) -> Sight:
    return Sight(kind, name, path, "", at, at, count, held, would)


def add(engine: Engine, *rows: Sight, site: str = "main") -> None:
    with transaction(engine) as connection:
        add_sights(connection, [(site, row) for row in rows])


def test_sightings_add_up_over_workers_and_days(engine: Engine) -> None:
    """First and last time, counts, and pages with the most that would be held first; each site for itself."""
    add(engine, sight(COOKIE, "_tel", "/a", at=2 * DAY, held=1), sight(COOKIE, "_tel", "/b", at=3 * DAY, would=1))
    add(engine, sight(COOKIE, "_tel", "/a", at=DAY, count=4, held=4), sight(HOST, "x.example", ""))
    add(engine, sight(HOST, "elsewhere.example"), site="shop")
    cookie, host = read_inventory(engine, "main", COOKIE), read_inventory(engine, "main", HOST)
    pages = (Page("/b", 1, 1), Page("/a", 5, 0))
    assert cookie == [Item("main", COOKIE, "_tel", "", DAY, 3 * DAY, 6, 5, 1, pages)]
    assert [(item.name, item.pages) for item in host] == [("x.example", ())]
    assert [item.name for item in read_inventory(engine, "shop")] == ["elsewhere.example"]


def test_names_and_pages_without_end_do_not_fill_the_table(engine: Engine) -> None:
    """What visitors can make up is kept up to a number of names, and a name up to a number of pages; nothing of the count is
    lost, and what is known already goes on being counted."""
    add(engine, *(sight(SENT, f"made-up-{number}") for number in range(MAX_INVENTED + 20)))
    add(engine, sight(SENT, "one-more"), sight(SENT, "made-up-0"))
    add(engine, *(sight(HOST, "x.example", f"/{number}") for number in range(MAX_PAGES + 9)))
    sent = {item.name: item.count for item in read_inventory(engine, "main", SENT)}
    assert (len(sent), sent[OTHER], sent["made-up-0"]) == (MAX_INVENTED + 1, 21, 2)
    [host] = read_inventory(engine, "main", HOST)
    assert (len(host.pages), host.count) == (MAX_PAGES, MAX_PAGES + 9)


def test_what_was_not_seen_for_long_is_forgotten(engine: Engine) -> None:
    """Rows go by their last time."""
    add(engine, sight(HOST, "old.example", at=DAY), sight(HOST, "new.example", at=9 * DAY))
    prune_sights(engine, 5 * DAY)
    assert [item.name for item in read_inventory(engine, "main")] == ["new.example"]


def test_journal_entries_reach_the_inventory_once(tmp_path: Path, engine: Engine) -> None:
    """Sightings, and what counters say of hosts held and violations, are drained once, also when the store fails between;
    cookies among the counters are not counted twice."""
    journal = Journal(tmp_path / "journal")
    journal.append(Sighted("main", [sight(HOST, "x.example", "/a", count=0)]))
    rows = [("would_hold", "x.example", "script unknown /a", 3), ("held", "y.example", "img marketing", 2)]
    rows += [("would_hold", "_ads", "cookie unknown", 5), ("held", "inline", "script marketing", 1)]
    rows += [("violation", "z.example", "img-src", 4), ("shown", "nl", "", 9)]
    journal.append(Counted("main", 0, rows))
    journal.close()
    store = DuckDBStore(tmp_path / "events.duckdb")
    fails = iter([OSError("the disk")])
    add_really = store.add

    def add_or_fail(*batches: object) -> None:
        if fault := next(fails, None):
            raise fault
        add_really(*batches)  # type: ignore[arg-type]

    store.add = add_or_fail  # type: ignore[method-assign]
    for _ in range(3):
        try:
            drain_once(tmp_path / "journal", store, engine, (), DAY)
        except OSError:
            continue
    store.close()
    found = {(item.kind, item.name): (item.count, item.held, item.would) for item in read_inventory(engine, "main")}
    assert found == {
        (HOST, "x.example"): (3, 0, 3),
        (HOST, "y.example"): (2, 2, 0),
        (VIOLATION, "z.example"): (4, 4, 0),
    }
    assert read_inventory(engine, "main", HOST, "x.example")[0].pages == (Page("/a", 3, 3),)
