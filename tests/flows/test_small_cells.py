"""Somebody who may ask for any one table holds it against its own total, to find what is about too few people."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.analytics.answers import Answer
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.filters import Condition
from gateway.analytics.query import Order, Query
from gateway.analytics.store import Batch, Store
from gateway.flows.answer import answer
from gateway.settings import AnalyticsConfig
from tests.analytics.entries import ZONE, local, view

LEAST = 5
PROTECTED, OPEN = AnalyticsConfig(min_visitors=LEAST), AnalyticsConfig(min_visitors=1)
DAYS = Query("main", date(2026, 11, 23), date(2026, 11, 24), ZONE, limit=1000, metrics=("page_views", "daily_visitors"))
TABLES = (("country",), ("page",), ("country", "browser"), ("day", "country"), ("page", "day"))
SECRET = Condition("is", "page", ("/geheim",))
SITES = itertools.count()


class Seen(NamedTuple):
    """A page that a visitor saw; the fields are dimensions."""

    day: str
    visitor: int
    country: str
    browser: str
    page: str


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all examples; each has a site of its own."""
    with closing(DuckDBStore(Path(tmp_path_factory.mktemp("cells")) / "events.duckdb")) as opened:
        yield opened


# One day's visitors come from few countries, of which some are rare, and see one to three pages each.
VISITS = st.lists(
    st.tuples(
        st.sampled_from((0, 0, 0, 1)),
        st.sampled_from(("NL",) * 6 + ("BE",) * 3 + ("DE", "MT")),
        st.sampled_from(("Chrome",) * 3 + ("Safari",)),
        st.sets(st.sampled_from(("/", "/geheim", "/a", "/b")), min_size=1, max_size=3),
    ),
    min_size=LEAST,
    max_size=40,
)


def keep(store: Store, visits: Sequence[tuple[int, str, str, set[str]]]) -> tuple[str, list[Seen]]:
    """A new site with these visits, and what was seen on it."""
    site, seen = f"site-{next(SITES)}", list[Seen]()
    for number, (day, country, browser, pages) in enumerate(visits):
        on = (DAYS.first + timedelta(days=day)).isoformat()
        seen += [Seen(on, number, country, browser, page) for page in sorted(pages)]
    entries = [
        view(local(f"{one.day} 12:00") + one.visitor, f"{site}.{one.visitor}", view_id=f"{site}.{number}", site=site,
             visitor=one.visitor, country=one.country, browser=one.browser, path=one.page)
        for number, one in enumerate(seen)
    ]  # fmt: skip
    store.add(Batch(site, 1, entries))
    return site, seen


def attack(query: Query, seen: Sequence[Seen], found: Answer) -> list[Any]:
    """What the total, less what the table shows, tells of fewer people than a row has to have: of a day, where the table has
    days and their totals are told, and of all together."""
    shown = {row.keys for row in found.rows}
    withheld = {keys_of(row.keys, query) for row in found.others if row.few}
    rest, hidden, beside = defaultdict[Any, set[int]](set), set[int](), set[Any]()
    for one in seen:
        keys = tuple(str(getattr(one, name)) for name in query.dimensions)
        time = keys_of(keys, query)
        if time in withheld:
            hidden.add(one.visitor)
        elif keys in shown:
            beside.add(time)
        else:
            rest[time].add(one.visitor)
    told = [(time, people) for time, people in rest.items() if query.filters or time in beside]
    return [(time, len(people)) for time, people in [*told, ("withheld", hidden)] if 0 < len(people) < LEAST]


def keys_of(keys: Sequence[str], query: Query) -> tuple[str, ...]:
    """Of a row's keys those of time."""
    return tuple(key for name, key in zip(query.dimensions, keys, strict=True) if name == "day")


def find(store: Store, config: AnalyticsConfig, visits: Any) -> list[Any]:
    """What an attack on every table finds, with and without a filter."""
    site, seen = keep(store, visits)
    found = []
    for dimensions, filters in itertools.product(TABLES, (None, SECRET)):
        query = DAYS.asking(site=site, dimensions=dimensions, filters=filters)
        told = answer(query, store, config)
        fitting = [one for one in seen if filters is None or one.page == "/geheim"]
        found += [(dimensions, *one) for one in attack(query, fitting, told) if not told.withheld]
        small = [row for row in told.rows if 0 < int(row.figures[1] or 0) < LEAST]
        found += [(dimensions, row.keys, row.figures) for row in small]
    return found


def test_one_table_and_its_total_tell_nothing_of_too_few(store: Store) -> None:
    """In random tables by one quality, by two, and by day, with and without a filter: no row is of fewer than `min_visitors`,
    nor is what the total has more than the rows, also where the same few people stand in several rows put together."""

    @settings(max_examples=40)
    @given(VISITS)
    def nothing_is_found(visits: Any) -> None:
        assert find(store, PROTECTED, visits) == []

    nothing_is_found()


def test_what_is_put_together_is_counted_and_paged_alike(store: Store) -> None:
    """The row of others has exactly the visitors and views that no other row has, whatever the order, on every page."""

    @settings(max_examples=15)
    @given(VISITS, st.sampled_from(TABLES[:3]))
    def others_are_exact(visits: Any, dimensions: tuple[str, ...]) -> None:
        site, seen = keep(store, visits)
        query = DAYS.asking(site=site, dimensions=dimensions)
        whole = answer(query, store, PROTECTED)
        shown = {row.keys for row in whole.rows}
        rest = [one for one in seen if tuple(getattr(one, name) for name in dimensions) not in shown]
        figures = (len(rest), len({one.visitor for one in rest}))
        assert [row.figures for row in whole.others] == ([figures] if rest else [])
        paged = query.asking(limit=1, order_by=(Order(dimensions[0], True),))
        pages = [answer(paged.asking(offset=at), store, PROTECTED) for at in range(len(shown) + 1)]
        assert {row.keys for page in pages for row in page.rows} == shown
        assert {tuple(row.figures for row in page.others) for page in pages} == {(figures,) if rest else ()}

    others_are_exact()


def visits_of(*groups: tuple[int, str, str, set[str]], day: int = 0) -> list[tuple[int, str, str, set[str]]]:
    """So many visits of each kind."""
    return [(day, country, browser, pages) for count, country, browser, pages in groups for _ in range(count)]


def test_the_only_small_row_takes_the_smallest_other_along(store: Store) -> None:
    """One visitor of Malta beside many others would be the total less these; so would what three people saw on two pages."""
    site, _ = keep(store, visits_of((9, "NL", "Chrome", {"/"}), (7, "BE", "Chrome", {"/"}), (1, "MT", "Safari", {"/"})))
    found = answer(DAYS.asking(site=site, dimensions=("country",)), store, PROTECTED)
    assert [(row.keys, row.figures) for row in found.rows] == [(("NL",), (9, 9))]
    assert [(row.keys, row.figures) for row in found.others] == [(("",), (8, 8))]
    shown = answer(DAYS.asking(site=site, dimensions=("country",)), store, OPEN)
    assert [row.keys[0] for row in shown.rows] == ["NL", "BE", "MT"] and not shown.others
    site, _ = keep(
        store, visits_of((9, "NL", "Chrome", {"/"}), (6, "NL", "Chrome", {"/c"}), (3, "NL", "Chrome", {"/a", "/b"}))
    )
    found = answer(DAYS.asking(site=site, dimensions=("page",)), store, PROTECTED)
    assert ([row.keys[0] for row in found.rows], [row.figures for row in found.others]) == (["/"], [(12, 9)])


def test_a_day_on_which_enough_are_put_together_keeps_its_other_rows(store: Store) -> None:
    """One small row on a day takes another of that day along, and none of a day that has enough of them."""
    plain = visits_of((9, "NL", "Chrome", {"/"}), (6, "BE", "Chrome", {"/"}), (1, "MT", "Chrome", {"/"}))
    groups = (
        (9, "NL", "Chrome", {"/"}),
        (6, "BE", "Chrome", {"/"}),
        (4, "MT", "Chrome", {"/"}),
        (3, "DE", "Chrome", {"/"}),
    )
    site, _ = keep(store, [*plain, *visits_of(*groups, day=1)])
    found = answer(DAYS.asking(site=site, dimensions=("day", "country")), store, PROTECTED)
    assert [row.keys for row in found.rows] == [
        (f"2026-11-{day}", name) for day, name in ((23, "NL"), (24, "BE"), (24, "NL"))
    ]
    assert [row.figures for row in found.others] == [(7, 7), (7, 7)]


def test_days_that_a_filter_withholds_are_withheld_by_country_too(store: Store) -> None:
    """A day of too few who fit tells no more when it is broken down; nor is it found in a comparison."""
    many, few = visits_of((12, "NL", "Chrome", {"/geheim"})), visits_of((3, "NL", "Chrome", {"/geheim"}), day=1)
    site, _ = keep(store, [*many, *few])
    query = DAYS.asking(site=site, dimensions=("day", "country"), filters=SECRET)
    found = answer(query, store, PROTECTED)
    assert (found.rows, [(row.keys, row.figures, row.few) for row in found.others]) == (
        [], [((f"2026-11-{day}", ""), (None, None), True) for day in (23, 24)]
    )  # fmt: skip
    later = [one for day in (2, 3) for one in visits_of((12, "NL", "Chrome", {"/geheim"}), day=day)]
    site, _ = keep(store, [*many, *few, *later])
    after = {"first": date(2026, 11, 25), "last": date(2026, 11, 26), "compare": "previous_period"}
    compared = answer(query.asking(site=site, **after), store, PROTECTED).rows
    assert [(row.figures, row.compared) for row in compared] == [((12, 12), None), ((12, 12), None)]


def test_nested_tables_can_be_held_against_each_other(store: Store) -> None:
    """What docs/analytics.md names as not protected: a row by country, less its rows by country and browser, is those of the
    browsers that have too few; who may ask for both tables finds them."""
    site, _ = keep(
        store,
        visits_of(
            (9, "NL", "Chrome", {"/"}), (2, "NL", "Safari", {"/"}), (9, "BE", "Chrome", {"/"}), (4, "BE", "Safari", {"/"})
        ),
    )  # fmt: skip
    whole, parts = (answer(DAYS.asking(site=site, dimensions=by), store, PROTECTED) for by in (TABLES[0], TABLES[2]))
    of_netherlands = next(row for row in whole.rows if row.keys == ("NL",)).figures[1]
    shown = sum(int(row.figures[1] or 0) for row in parts.rows if row.keys[0] == "NL")
    assert int(of_netherlands or 0) - shown == 2
    assert parts.others[0].figures == (6, 6)


def test_the_attack_finds_small_rows_where_nothing_is_protected(store: Store) -> None:
    """With min_visitors = 1 the same program finds the visitor of Malta: it is no attack of straw."""
    visits = visits_of((9, "NL", "Chrome", {"/"}), (1, "MT", "Chrome", {"/"}))
    assert (("country",), ("MT",), (1, 1)) in find(store, OPEN, visits)
