"""Imported days in reports: before the first own day, never twice, and silent where they cannot answer."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from gateway.analytics.answers import Answer, Imported
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.filters import Condition
from gateway.analytics.query import Order, Query
from gateway.analytics.store import Batch
from gateway.database import transaction
from gateway.flows.answer_imported import answer_all
from gateway.flows.report import ReportParts, report
from gateway.imported_tables import IMPORTED_DAYS, IMPORTS
from gateway.settings import AnalyticsConfig
from tests.analytics.entries import ZONE, local, view
from tests.migrated import open_migrated

EVERYBODY, FEW = AnalyticsConfig(min_visitors=1), AnalyticsConfig(min_visitors=5)
WEEK = Query("main", date(2026, 11, 16), date(2026, 11, 22), ZONE)
ALL = ("daily_visitors", "visits", "page_views", "events", "views_per_visit", "bounce_rate", "wall_duration")


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[ReportParts]:
    """An empty store and database."""
    engine, store = open_migrated(tmp_path / "gateway.db"), DuckDBStore(tmp_path / "events.duckdb")
    yield ReportParts(store, engine, (), EVERYBODY)
    store.close()
    engine.dispose()


def told(engine: Engine, day: str, dimension: str = "", name: str = "", state: str = "whole", **sums: int) -> None:
    """One sum of an imported day."""
    with transaction(engine) as connection:
        if connection.execute(IMPORTS.select().where(IMPORTS.c.id == state)).first() is None:
            row = {"id": state, "site": "main", "source": "plausible", "state": state, "written": 1, "at": 0.0}
            connection.execute(IMPORTS.insert(), row)
        row = {"import_id": state, "dimension": dimension, "day": day, "name": name, **sums}
        connection.execute(IMPORTED_DAYS.insert(), row)


def whole(engine: Engine, day: str, visitors: int, **more: int) -> None:
    """A day as a whole: two visits and four views for each visitor."""
    sums = {"visits": 2 * visitors, "views": 4 * visitors, "bounces": visitors, "seconds": 20 * visitors}
    told(engine, day, "", "", "whole", **({"visitors": visitors} | sums | more))


def own(parts: ReportParts, *visits: tuple[str, int, str]) -> None:
    """Visits of one view each: when, whose, on which page."""
    entries = [view(local(at), f"{at} {visitor} {page}", visitor=visitor, path=page) for at, visitor, page in visits]
    parts.store.add(Batch(f"a-{visits[0][0]}", len(entries), entries))


def ask(parts: ReportParts, query: Query, config: AnalyticsConfig = EVERYBODY) -> Answer:
    """One question."""
    return answer_all(query, parts.store, parts.engine, config)


def rows(found: Answer) -> list[tuple[Any, ...]]:
    """Keys and figures."""
    return [(*row.keys, *row.figures) for row in found.rows]


def test_totals_and_days_are_those_of_both(parts: ReportParts) -> None:
    """Sums add up, shares are weighed by visits, and a chart has each day once."""
    whole(parts.engine, "2026-11-16", 10)
    whole(parts.engine, "2026-11-17", 5)
    own(parts, ("2026-11-19 10:00", 1, "/"), ("2026-11-19 11:00", 2, "/"))
    found = ask(parts, WEEK.asking(metrics=ALL))
    assert rows(found) == [(17, 32, 62, 0, 62 / 32, 17 / 32, 300 / 32)]
    assert found.imported == Imported("plausible", "2026-11-16", "2026-11-17", 2, "", ("events",))
    days = ask(parts, WEEK.asking(metrics=("page_views",), dimensions=("day",)))
    assert rows(days) == [("2026-11-16", 40), ("2026-11-17", 20), ("2026-11-19", 2)]
    weeks = ask(parts, WEEK.asking(metrics=("daily_visitors",), dimensions=("week",)))
    assert rows(weeks) == [("2026-11-16", 17)]


def test_no_day_counts_twice(parts: ReportParts) -> None:
    """From the first own day on nothing imported counts, also on days without a visit; nor does what is not whole."""
    for day in range(16, 23):
        whole(parts.engine, f"2026-11-{day}", 10)
        told(parts.engine, f"2026-11-{day}", state="arriving", visitors=99, visits=99, views=99, bounces=0, seconds=0)
    own(parts, ("2026-11-18 00:10", 1, "/"), ("2026-11-21 10:00", 2, "/"))
    days = ask(parts, WEEK.asking(dimensions=("day",)))
    assert rows(days) == [("2026-11-16", 10), ("2026-11-17", 10), ("2026-11-18", 1), ("2026-11-21", 1)]
    after = ask(parts, WEEK.asking(first=date(2026, 11, 18)))
    assert (rows(after), after.imported) == ([(2,)], None)
    assert ask(parts, WEEK.asking(site="other")).imported is None
    assert rows(ask(parts, WEEK.asking(imports=False))) == [(2,)]


def test_breakdowns_are_put_together_and_folded_once(parts: ReportParts) -> None:
    """A page is one row of both parts; whether it has too few visitors is asked of both together."""
    whole(parts.engine, "2026-11-16", 10)
    for name, visitors in (("/", 9), ("/contact", 3), ("/rare", 2), ("/once", 1)):
        told(parts.engine, "2026-11-16", "page", name, visitors=visitors, visits=visitors, views=2 * visitors)
    own(
        parts,
        *((f"2026-11-19 10:0{n}", n, page) for n, page in enumerate(("/contact", "/contact", "/new", "/rare"))),
        ("2026-11-19 12:00", 2, "/rare"),
    )
    asked = WEEK.asking(metrics=("daily_visitors", "page_views", "bounce_rate"), dimensions=("page",))
    found = ask(parts, asked, FEW)
    assert rows(found) == [("/", 9, 18, None), ("/contact", 5, 8, 1.0)]
    # the own visitors of what is put together are counted exactly: visitor 2 saw both pages
    assert [(row.keys, row.figures) for row in found.others] == [(("",), (5, 9, 1.0))]
    assert found.all_rows == 2
    assert found.imported is not None
    assert found.imported.lacking == ("bounce_rate",)
    assert [row[0] for row in rows(ask(parts, asked))] == ["/", "/contact", "/rare", "/new", "/once"]
    up = asked.asking(order_by=(Order("page_views", False),), limit=2, offset=2)
    assert [row[0] for row in rows(ask(parts, up))] == ["/rare", "/contact"]


def test_imported_rows_of_few_tell_nothing_by_themselves(parts: ReportParts) -> None:
    """A country from which too few came has no row on imported days either, nor follows from their total: the smallest other
    row goes with it, whatever the order and the page; min_visitors = 1 shows each."""
    whole(parts.engine, "2026-11-16", 17)
    for name, visitors in (("NL", 9), ("BE", 7), ("MT", 1)):
        told(parts.engine, "2026-11-16", "country", name, visitors=visitors, visits=visitors, views=2 * visitors)
    asked = WEEK.asking(metrics=("page_views", "daily_visitors"), dimensions=("country",))
    for order in ((), (Order("country", False),), (Order("page_views", False),)):
        found = ask(parts, asked.asking(order_by=order), FEW)
        assert (rows(found), [row.figures for row in found.others], found.all_rows) == ([("NL", 18, 9)], [(16, 8)], 1)
    beyond = ask(parts, asked.asking(offset=1), FEW)
    assert (beyond.rows, [row.figures for row in beyond.others]) == ([], [(16, 8)])
    assert rows(ask(parts, asked)) == [("NL", 18, 9), ("BE", 14, 7), ("MT", 2, 1)]


def test_own_visitors_who_share_small_rows_are_counted_as_people(parts: ReportParts) -> None:
    """Three people who saw two pages each are three, not six: together with what was imported they are too few, and the
    smallest other page goes with them."""
    whole(parts.engine, "2026-11-16", 16)
    for name, visitors in (("/", 9), ("/b", 6), ("/a", 1)):
        told(parts.engine, "2026-11-16", "page", name, visitors=visitors, visits=visitors, views=visitors)
    own(parts, *((f"2026-11-19 1{n}:0{who}", who, page) for who in range(3) for n, page in enumerate(("/a", "/c"))))
    asked = WEEK.asking(metrics=("daily_visitors", "page_views"), dimensions=("page",))
    found = ask(parts, asked, FEW)
    assert (rows(found), [row.figures for row in found.others]) == ([("/", 9, 9)], [(10, 13)])


def test_each_month_puts_together_its_own_small_rows(parts: ReportParts) -> None:
    """A page that is small in one month and not in another is among the others of the first alone; nothing counts twice."""
    whole(parts.engine, "2026-10-12", 6, views=6)
    told(parts.engine, "2026-10-12", "page", "/", visitors=6, visits=6, views=6)
    october, november = ("/a",) * 2 + ("/c",) * 3, ("/a",) * 6 + ("/d",) * 3 + ("/e",) * 3
    own(parts, *((f"2026-10-20 10:0{n}", n, page) for n, page in enumerate(october)))
    own(parts, *((f"2026-11-19 10:{n:02}", n, page) for n, page in enumerate(november)))
    asked = Query("main", date(2026, 10, 1), date(2026, 11, 30), ZONE, metrics=("page_views",))
    found = ask(parts, asked.asking(dimensions=("month", "page")), FEW)
    assert rows(found) == [("2026-10-01", "/", 6), ("2026-11-01", "/a", 6)]
    others = [(row.keys, row.figures) for row in found.others]
    assert others == [(("2026-10-01", ""), (5,)), (("2026-11-01", ""), (6,))]


def test_no_part_of_an_imported_day_is_told(parts: ReportParts) -> None:
    """What is refused of parts of days is refused beside imported days too, and they open no way around a filter's guard."""
    whole(parts.engine, "2026-11-16", 17)
    told(parts.engine, "2026-11-16", "page", "/", visitors=17, visits=17, views=17)
    own(parts, *((f"2026-11-19 10:0{n}", n, "/" if n else "/geheim") for n in range(6)))
    asked = WEEK.asking(metrics=("page_views",))
    assert ask(parts, asked.asking(dimensions=("page",), whole=False), FEW).withheld == "part_of_day"
    for value, why in (("/geheim", "few"), ("/", "few_others")):
        found = ask(parts, asked.asking(filters=Condition("is", "page", (value,))), FEW)
        assert (found.rows, found.withheld) == ([], why)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"filters": Condition("is", "page", ("/",))}, "filter"),
        ({"dimensions": ("topic",)}, "dimension"),
        ({"dimensions": ("page", "source")}, "dimension"),
        ({"dimensions": ("goal",)}, "dimension"),
        ({"dimensions": ("hour",)}, "hour"),
    ],
)
def test_what_they_cannot_answer_leaves_them_out(parts: ReportParts, changes: dict[str, Any], why: str) -> None:
    """Filters, hours and breakdowns that they do not know: own days alone, and the answer says so."""
    whole(parts.engine, "2026-11-16", 10)
    told(parts.engine, "2026-11-16", "page", "/", visitors=10, visits=10, views=10)
    own(parts, ("2026-11-19 10:00", 1, "/"))
    found = ask(parts, WEEK.asking(metrics=("page_views",), **changes))
    assert sum(row.figures[0] or 0 for row in found.rows) in (0, 1)
    assert found.imported == Imported("plausible", "2026-11-16", "2026-11-16", 1, why)


def test_the_period_compared_with_has_them_too(parts: ReportParts) -> None:
    """Own days are compared with imported ones: totals, days by their number, rows by their name, those of few withheld."""
    for day in range(9, 16):
        whole(parts.engine, f"2026-11-{day:02}", day)
    told(parts.engine, "2026-11-09", "page", "/", visitors=6, visits=6, views=7)
    told(parts.engine, "2026-11-09", "page", "/contact", visitors=2, visits=2, views=2)
    own(
        parts,
        *((f"2026-11-16 10:0{n}", n, "/") for n in range(5)),
        *((f"2026-11-16 11:0{n}", n, "/contact") for n in range(5)),
    )
    compared = WEEK.asking(compare="previous_period")
    total = ask(parts, compared).rows[0]
    assert (total.figures, total.compared) == ((5,), (84,))
    days = ask(parts, compared.asking(dimensions=("day",)))
    assert [(row.keys, row.figures, row.compared) for row in days.rows] == [(("2026-11-16",), (5,), (9,))]
    pages = ask(parts, compared.asking(dimensions=("page",)), FEW)
    assert [(row.keys[0], row.figures[0], row.compared) for row in pages.rows] == [
        ("/", 5, (6,)),
        ("/contact", 5, None),
    ]


@pytest.mark.slow
def test_a_report_says_what_is_imported(parts: ReportParts) -> None:
    """Days, what counted them, and which figures and breakdowns are of own days alone; with a filter that they are left out."""
    whole(parts.engine, "2026-11-16", 10)
    told(parts.engine, "2026-11-16", "event", "download", visitors=3, events=4)
    made = report(WEEK, parts)
    assert (made.totals.daily_visitors, made.totals.page_views, made.totals.events) == (10, 40, 4)
    assert (made.totals.bounce_rate, made.totals.visit_duration) == (0.5, None)
    assert [point.page_views for point in made.series] == [40, 0, 0, 0, 0, 0, 0]
    assert [(row.name, row.visitors, row.events) for row in made.breakdowns["event"]] == [("download", 3, 4)]
    assert made.imported is not None
    lacking = ("visit_duration", "median_visit_duration", "topic", "language", "screen", "goal")
    assert (made.imported.left_out, made.imported.lacking) == ("", lacking)
    hourly = report(WEEK.asking(last=WEEK.first, interval="hour"), parts).imported
    assert hourly is not None
    assert hourly.lacking == (*lacking, "hour")
    filtered = report(WEEK.asking(filters=Condition("is", "page", ("/",))), parts)
    assert (filtered.totals.page_views, filtered.imported) == (
        0, Imported("plausible", "2026-11-16", "2026-11-16", 1, "filter")
    )  # fmt: skip


class World:
    """Random days of three pages, some imported, some the gateway's own, and what plain counting says of them."""

    def __init__(self, parts: ReportParts, seed: int) -> None:
        self._dice, self._parts = random.Random(seed), parts
        self.first = date(2026, 9, 20)
        self._imported: dict[tuple[str, str], int] = {}
        self._visits: list[tuple[str, int, str]] = []
        begins = (self.first + timedelta(days=self._dice.randint(0, 60))).isoformat()
        for number in range(60):
            day = (self.first + timedelta(days=number)).isoformat()
            self._import(day)
            if day >= begins and self._dice.random() < 0.8:
                self._visits += [
                    (f"{day} 10:{who:02}", who, self._dice.choice(("/", "/a", "/c")))
                    for who in range(self._dice.randint(1, 5))
                ]
        if self._visits:
            own(parts, *self._visits)
        edge = min((at[:10] for at, _, _ in self._visits), default="9999")
        self._imported = {key: count for key, count in self._imported.items() if key[0] < edge}

    def _import(self, day: str) -> None:
        counts = {page: self._dice.randint(1, 6) for page in ("/", "/a", "/b") if self._dice.random() < 0.6}
        if counts:
            whole(self._parts.engine, day, sum(counts.values()), views=3 * sum(counts.values()))
        for page, count in counts.items():
            told(self._parts.engine, day, "page", page, visitors=count, visits=count, views=3 * count)
            self._imported[day, page] = count

    def count(self, key: Callable[[str, str], tuple[str, ...]]) -> dict[tuple[str, ...], tuple[int, int]]:
        """Daily visitors and page views by a key made of day and page."""
        visitors, views = defaultdict[Any, set[Any]](set), Counter[Any]()
        for at, who, page in self._visits:
            visitors[key(at[:10], page)].add((at[:10], who))
            views[key(at[:10], page)] += 1
        more = Counter[Any]()
        for (day, page), count in self._imported.items():
            more[key(day, page)] += count
        return {one: (len(visitors[one]) + more[one], views[one] + 3 * more[one]) for one in {*visitors, *more}}


@pytest.mark.parametrize("seed", range(6))
def test_sums_are_those_of_plain_counting(parts: ReportParts, seed: int) -> None:
    """On random days, with a random first own day, all figures are what plain Python counts: totals, days, months, pages."""
    world = World(parts, seed)
    last = world.first + timedelta(days=59)
    days = Query("main", world.first, last, ZONE, limit=1000, metrics=("daily_visitors", "page_views"))
    ways: list[tuple[tuple[str, ...], Callable[[str, str], tuple[str, ...]]]] = [
        (("day",), lambda day, _page: (day,)),
        (("month",), lambda day, _page: (f"{day[:7]}-01",)),
        (("page",), lambda _day, page: (page,)),
        (("month", "page"), lambda day, page: (f"{day[:7]}-01", page)),
        ((), lambda _day, _page: ()),
    ]
    for dimensions, key in ways:
        found = ask(parts, days.asking(dimensions=dimensions)).rows
        assert {row.keys: row.figures for row in found if any(row.figures)} == world.count(key)
