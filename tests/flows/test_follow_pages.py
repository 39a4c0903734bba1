"""Page flows: what came before and after, held against plain Python, and few people kept to themselves."""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import date
from itertools import groupby
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.filters import parse_filters
from gateway.analytics.page_flows import PageFlow, flow_lines
from gateway.analytics.query import Query
from gateway.analytics.store import Batch
from gateway.errors import QueryError
from gateway.flows.follow_pages import follow_pages
from gateway.flows.report import ReportParts
from gateway.settings import AnalyticsConfig
from tests.analytics.entries import NOON, ZONE, record, view
from tests.migrated import open_migrated

DAY = Query("main", date(2026, 11, 23), date(2026, 11, 23), ZONE, limit=100)
PAGES = ("/", "/a", "/b", "/c")
Walk = tuple[str, ...]


@pytest.fixture(scope="module")
def walks() -> list[Walk]:
    """Three hundred invented walks over four pages, reloads included."""
    chance = random.Random(4)
    return [tuple(chance.choices(PAGES, [5, 3, 2, 1], k=chance.randint(1, 7))) for _ in range(300)]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A database without segments."""
    opened = open_migrated(tmp_path_factory.mktemp("database") / "gateway.db")
    yield opened
    opened.dispose()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, walks: list[Walk]) -> Iterator[DuckDBStore]:
    """The walks, a view each second, written down in no order; the odd visits come from Belgium, with an event between
    pages. One visit began the day before."""
    opened = DuckDBStore(tmp_path_factory.mktemp("store") / "events.duckdb")
    rows = [
        view(NOON + number, f"v{n}", visitor=n, path=page, started=NOON, country="BE" if n % 2 else "NL")
        for n, walk in enumerate(walks)
        for number, page in enumerate(walk)
    ]
    rows += [record("download", NOON + 0.5, f"v{n}", visitor=n, path="/", started=NOON) for n in range(1, 300, 2)]
    rows += [view(NOON + number, "early", visitor=999, path="/", started=NOON - 86_400) for number in range(2)]
    random.Random(5).shuffle(rows)
    opened.add(Batch("a", 1, rows))
    yield opened
    opened.close()


def parts(store: DuckDBStore, engine: Engine, least: int = 1) -> ReportParts:
    """What flows are made from."""
    return ReportParts(store, engine, (), AnalyticsConfig(min_visitors=least))


def passes_of(walks: list[Walk], pages: Walk) -> list[tuple[str, str, int]]:
    """(page before, page after, visit) of each pass, worked out by hand."""
    found = []
    for number, walk in enumerate(walks):
        plain = ["", *(page for page, _ in groupby(walk)), ""]
        for at, part in enumerate(zip(*(plain[place:] for place in range(len(pages))), strict=False)):
            found += [(plain[at - 1], plain[at + len(pages)], number)] if part == pages else []
    return found


def told(flow: PageFlow) -> tuple[dict[str, int], dict[str, int]]:
    """The passes of each row."""
    return {row.page: row.passes for row in flow.before}, {row.page: row.passes for row in flow.after}


@pytest.mark.parametrize("pages", [("/",), ("/a",), ("/c",), ("/", "/a"), ("/b", "/", "/b"), ("/a", "/b", "/c")])
def test_every_pass_has_one_page_before_and_one_after(
    store: DuckDBStore, engine: Engine, walks: list[Walk], pages: Walk
) -> None:
    """Exact counts, for pages by themselves and in a row; reloads and events between pages change nothing."""
    flow, passes = follow_pages(DAY, pages, parts(store, engine)), passes_of(walks, pages)
    before, after, visits = (Counter(one[place] for one in passes) for place in range(3))
    assert told(flow) == (before, after)
    assert (flow.passes, flow.visits, flow.visitors) == (len(passes), len(visits), len(visits))
    assert sum(row.share for row in flow.after) == pytest.approx(1)
    assert [row.passes for row in flow.before] == sorted(before.values(), reverse=True)


def test_filters_choose_whole_visits(store: DuckDBStore, engine: Engine, walks: list[Walk]) -> None:
    """A filter on one event keeps all pages of its visit."""
    odd = [walk if number % 2 else () for number, walk in enumerate(walks)]
    for words in (["is", "country", ["BE"]], ["is", "event", ["download"]]):
        flow = follow_pages(DAY.only(parse_filters(words, [])), ["/a"], parts(store, engine))
        assert told(flow)[1] == Counter(after for _, after, _ in passes_of(odd, ("/a",)))


def test_a_part_of_a_day_is_followed_by_nobody(store: DuckDBStore, engine: Engine) -> None:
    """Pages of the day of another clock are withheld, since hours follow by subtraction; not with min_visitors = 1."""
    shifted = DAY.asking(whole=False)
    found = follow_pages(shifted, ["/"], parts(store, engine, least=5))
    assert (found.withheld, found.visitors, found.passes, found.before) == ("part_of_day", None, None, [])
    assert follow_pages(shifted, ["/"], parts(store, engine)).visitors


def test_the_smallest_pages_stand_together(store: DuckDBStore, engine: Engine, walks: list[Walk]) -> None:
    """Rows beyond the limit are no rows but all others, and the whole stays the whole."""
    flow = follow_pages(DAY.asking(limit=2), ["/"], parts(store, engine))
    passes = len(passes_of(walks, ("/",)))
    assert len(flow.after) == 2 and flow.passes == passes
    assert sum(row.passes for row in flow.after) + flow.rest["after"].passes == passes
    assert any(cells[0] == "(all others)" for part in flow_lines(flow) for cells in part.rows)


def test_few_people_are_no_row(tmp_path: Path, engine: Engine) -> None:
    """A page of fewer than five visitors is no row; with it goes the smallest row, where it could be had by subtraction. A
    page that fewer than five came to is not told of at all."""
    with_few = DuckDBStore(tmp_path / "events.duckdb")
    goes = ["/a"] * 9 + ["/b"] * 6 + ["/c"] * 2
    rows = [view(NOON, f"v{n}", visitor=n, path="/") for n in range(17)]
    rows += [view(NOON + 9, f"v{n}", visitor=n, path=page, started=NOON) for n, page in enumerate(goes)]
    rows += [view(NOON + 9 + n, "v16", visitor=16, path="/c" if n % 2 else "/d", started=NOON) for n in range(1, 20)]
    with_few.add(Batch("a", 1, rows))
    flow = follow_pages(DAY, ["/"], parts(with_few, engine, 5))
    assert (told(flow)[1], flow.rest["after"].passes) == ({"/a": 9}, 8)
    everything = follow_pages(DAY, ["/c"], parts(with_few, engine, 5))
    assert (everything.withheld, everything.passes, everything.after) == ("few", None, [])
    assert follow_pages(DAY, ["/none"], parts(with_few, engine, 5)).passes == 0
    with_few.close()


def test_every_fault_of_the_pages_is_told(store: DuckDBStore, engine: Engine) -> None:
    """None, too many, too long, and the same twice in a row, which is one view."""
    for pages in ([], ["/"] * 9, ["/" * 301], ["/a", "/a"]):
        with pytest.raises(QueryError):
            follow_pages(DAY, pages, parts(store, engine))
