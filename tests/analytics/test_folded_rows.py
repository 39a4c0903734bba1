"""Rows of too few visitors, put together: both engines put the same ones together, and what they have in common adds up."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from typing import Any

import pytest

from gateway.analytics.answers import Answer, AnswerRow
from gateway.analytics.filters import parse_filters
from gateway.analytics.metrics import METRICS
from gateway.analytics.query import Query
from gateway.analytics.store import Batch, Store
from gateway.event import Entry, Told
from gateway.flows.answer import answer
from gateway.settings import AnalyticsConfig, GoalConfig
from tests.analytics.entries import NOON, ZONE, engaged, record, view
from tests.analytics.test_reference import open_clickhouse, open_duckdb

pytestmark = pytest.mark.slow
GOALS = (GoalConfig(name="Plan", event="form", props={"plan": "goud"}), GoalConfig(name="Artikel", page="/a*"))
DAYS = Query("main", date(2026, 11, 23), date(2026, 11, 24), ZONE, limit=1000, compare="previous_period")
FIGURES = tuple(metric.name for metric in METRICS)
BREAKDOWNS = (
    ("page",), ("exit_page",), ("source",), ("event",), ("goal",), ("prop:plan",), ("page", "source"), ("day", "country"),
)  # fmt: skip
FILTERS: dict[str, list[Any]] = {
    "nothing": [],
    "event": ["contains", "page", ["/a"]],
    "both": ["and", [["is_not", "country", ["BE"]], ["has_done", ["is", "event", ["form"]]]]],
}
# What is counted of events, each of which stands in one row: the rows add up to the whole.
ADDED = ("page_views", "events")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Store]]:
    """DuckDB and ClickHouse's engine with the same two days and the two before: values common and rare, visits over midnight,
    visitors who come again."""
    chance, entries = random.Random(11), list[Entry]()
    for number in range(160):
        started = NOON + chance.randrange(-2 * 86_400, 2 * 86_400)
        more: dict[str, Any] = {
            name: chance.choices(values, (60, 25, 10, 5))[0]
            for name, values in {
                "source": ("Google", "", "Bing", "Regiokrant"), "country": ("NL", "BE", "DE", "MT"),
                "device": ("desktop", "mobile", "tablet", ""), "campaign": ("", "najaar", "lente", "proef"),
                "browser": ("Chrome", "Firefox", "Safari", "Edge"), "language": ("nl", "en", "de", "tr"),
            }.items()
        }  # fmt: skip
        more |= {"visitor": number % 90, "started": started}
        for step in range(chance.randrange(1, 5)):
            at, name = started + step * chance.choice((0, 40, 1500)), f"{number}.{step}"
            path = chance.choices(("/", "/a", "/a/b", "/zelden"), (50, 30, 15, 5))[0]
            entries.append(view(at, f"v{number}", view_id=name, path=path, topic=path[1:2], **more))
            entries.append(
                engaged(at + 9, name, chance.randrange(9000), f"v{number}", started=started, told=Told(scroll=40))
            )
            if chance.random() < 0.3:
                plan, money = chance.choice(("goud", "zilver")), Told(revenue=1250, currency="EUR")
                entries.append(
                    record("form", at + 1, f"v{number}", path=path, props={"plan": plan}, told=money, **more)
                )
    with ExitStack() as opened:
        folders = (tmp_path_factory.mktemp("duckdb"), tmp_path_factory.mktemp("clickhouse"))
        found = (opened.enter_context(open_duckdb(folders[0])), opened.enter_context(open_clickhouse(folders[1])))
        for store in found:
            store.add(Batch("a", 1, entries))
        yield found


def ask(store: Store, dimensions: tuple[str, ...], filters: list[Any], least: int) -> Answer:
    """All figures by these dimensions, with rows of fewer visitors than that put together."""
    faults: list[str] = []
    query = DAYS.asking(dimensions=dimensions, metrics=FIGURES, filters=parse_filters(filters, faults))
    assert not faults
    return answer(query, store, AnalyticsConfig(goals=GOALS, min_visitors=least))


def figures(rows: list[AnswerRow]) -> dict[Any, Any]:
    """Rows by their keys, figures rounded to what times are kept to."""

    def rounded(values: Any) -> Any:
        return values and tuple(round(value, 6) if isinstance(value, float) else value for value in values)

    return {row.keys: (row.few, rounded(row.figures), rounded(row.compared)) for row in rows}


def added(rows: list[AnswerRow]) -> list[int]:
    """The figures that add up, over these rows."""
    places = [FIGURES.index(name) for name in ADDED]
    return [sum(int(row.figures[place] or 0) for row in rows) for place in places]


@pytest.mark.parametrize(
    ("asked", "least"),
    [("both", 1), ("nothing", 5), ("both", 5), ("event", 12)],
)
def test_both_engines_put_the_same_rows_together(stores: tuple[Store, Store], asked: str, least: int) -> None:
    """Every figure, by a quality of events, of visits, of both, and by day, compared with the days before: the same rows by
    themselves, the same in common, the same withheld. No row shown by itself is of too few visitors, none of enough is put
    together but the smallest where those of too few are too few in all, and what adds up is lost nowhere."""
    folded = besides = 0
    for dimensions in BREAKDOWNS:
        duck, click = (ask(store, dimensions, FILTERS[asked], least) for store in stores)
        about = f"{dimensions} {asked} {least}"
        assert (figures(click.rows), figures(click.others)) == (figures(duck.rows), figures(duck.others)), about
        assert (click.all_rows, click.withheld) == (duck.all_rows, duck.withheld), about
        folded += bool(duck.others)
        whole = ask(stores[0], dimensions, FILTERS[asked], 1).rows
        if duck.withheld or "day" in dimensions:
            continue
        visitors = FIGURES.index("daily_visitors")
        counts = {row.keys: int(row.figures[visitors] or 0) for row in whole}
        enough = sorted((count, keys) for keys, count in counts.items() if count >= least)
        few = [count for count in counts.values() if count < least]
        beside = enough[:1] if few and sum(few) < least else []
        assert {row.keys for row in duck.rows} == {keys for _, keys in enough[len(beside) :]}, about
        besides += bool(beside)
        if dimensions != ("goal",):
            assert added([*duck.rows, *duck.others]) == added(whole), about
    assert bool(folded) == (least > 1)
    assert bool(besides) == ((asked, least) in {("both", 5), ("event", 12)}), (folded, besides)
