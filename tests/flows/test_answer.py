"""One question to the event store: filters, goals, comparisons, and what is about too few people."""

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.filters import parse_filters
from gateway.analytics.query import Query
from gateway.analytics.store import Batch
from gateway.errors import QueryError, StoreError
from gateway.flows.answer import answer
from gateway.settings import AnalyticsConfig, GoalConfig
from tests.analytics.entries import NOON, ZONE, record, view

DAY = Query("main", date(2026, 11, 23), date(2026, 11, 23), ZONE)
GOALS = (
    GoalConfig(name="Stil", page="/st*"),
    GoalConfig(name="Plan", event="form", props={"plan": "gou*"}),
    GoalConfig(name="Lang", seconds=1),
)
EVERYBODY, FIVE = AnalyticsConfig(goals=GOALS, min_visitors=1), AnalyticsConfig(goals=GOALS)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBStore]:
    """Seven visitors of the Netherlands at /, two of Malta at /stil, one form sent; six visitors the day before."""
    opened = DuckDBStore(Path(tmp_path_factory.mktemp("answers")) / "events.duckdb")
    many = [view(NOON + n, f"n{n}", visitor=n, path="/", country="NL", language="nl") for n in range(7)]
    few = [
        view(NOON + n, f"m{n}", visitor=10 + n, path="/stil", country="MT", language=("en", "mt")[n]) for n in range(2)
    ]
    said = {"plan": "goud", "één ключ 🔑": "ja", "vast": "true"}
    form = record("form", NOON + 9, "n0", visitor=0, started=NOON, props=said)
    before = [view(NOON - 86_400 + n, f"b{n}", visitor=20 + n, path="/", country="NL") for n in range(6)]
    opened.add(Batch("a", 1, [*many, *few, form, *before]))
    yield opened
    opened.close()


def ask(store: DuckDBStore, config: AnalyticsConfig, filters: list[Any], **asked: Any) -> Any:
    """The answer to a filter in its JSON form."""
    faults: list[str] = []
    found = parse_filters(filters, faults)
    assert faults == []
    return answer(DAY.asking(filters=found, **asked), store, config)


@pytest.mark.parametrize(
    ("filters", "visits", "views", "events"),
    [
        ([], 9, 9, 1),
        (["is", "country", ["MT"]], 2, 2, 0),
        (["is_not", "country", ["MT"]], 7, 7, 1),
        (["contains", "country", ["m"], {"case_sensitive": False}], 2, 2, 0),
        (["matches", "page", ["^/s"]], 2, 2, 0),
        (["matches_not", "page", ["^/s"]], 7, 7, 1),
        (["is", "event", ["form"]], 1, 0, 1),
        (["is", "prop:plan", ["goud"]], 1, 0, 1),
        (["is", "prop:één ключ 🔑", ["ja"]], 1, 0, 1),
        (["is", "prop:plan", [True]], 0, 0, 0),
        (["is", "prop:vast", [True]], 1, 0, 1),
        (["matches", "page", [r"^\p{P}\z"]], 7, 7, 1),
        (["matches", "page", ["(?:^/(?i)ST)"]], 2, 2, 0),
        (["and", [["is", "page", ["/stil"]], ["is", "country", ["NL"]]]], 0, 0, 0),
        (["or", [["is", "page", ["/stil"]], ["is", "event", ["form"]]]], 3, 2, 1),
        (["not", ["is", "page", ["/stil"]]], 7, 7, 1),
        (["has_done", ["is", "event", ["form"]]], 1, 1, 1),
        (["has_not_done", ["is", "page", ["/stil"]]], 7, 7, 1),
        (["is", "goal", ["Stil"]], 2, 2, 0),
        (["is", "goal", ["sTIL"], {"case_sensitive": False}], 2, 2, 0),
        (["is", "day", ["2026-11-22"]], 0, 0, 0),
    ],
)
def test_filters_choose_what_they_say(
    store: DuckDBStore, filters: list[Any], visits: int, views: int, events: int
) -> None:
    """Visits, page views and events that fit each kind of filter, counted by hand."""
    found = ask(store, EVERYBODY, filters, metrics=("visits", "page_views", "events"))
    assert found.rows[0].figures == (visits, views, events)


def test_goals_are_counted_with_their_share_of_visits(store: DuckDBStore) -> None:
    """A goal on a page and one on an event with a property: conversions, and the share of all visits."""
    found = ask(store, EVERYBODY, [], metrics=("conversions", "conversion_rate"), dimensions=("goal",))
    assert [(row.keys, row.figures) for row in found.rows] == [(("Stil",), (2, 2 / 9)), (("Plan",), (1, 1 / 9))]


def test_rows_of_few_visitors_are_put_together(store: DuckDBStore) -> None:
    """A row below the threshold has no name; nor has the next, where the total less that would tell the first; 1 shows every
    row."""
    found = ask(store, FIVE, [], dimensions=("country",))
    assert (found.rows, [(row.keys, row.figures) for row in found.others]) == ([], [(("",), (9,))])
    found = ask(store, replace(FIVE, min_visitors=2), [], dimensions=("language",))
    assert [(row.keys, row.figures) for row in found.rows] == [(("nl",), (7,))]
    assert [(row.keys, row.figures) for row in found.others] == [(("",), (2,))]
    shown = ask(store, EVERYBODY, [], dimensions=("country",))
    assert [row.keys[0] for row in shown.rows] == ["NL", "MT"]


@pytest.mark.parametrize(
    ("filters", "why"),
    [
        (["is", "country", ["MT"]], "few"),
        (["is_not", "country", ["MT"]], "few_others"),
        (["is", "page", ["/stil"]], "few"),
        (["is_not", "page", ["/stil"]], "few_others"),
        (["has_not_done", ["is", "page", ["/stil"]]], "few_others"),
        (["and", [["is", "page", ["/"]], ["is_not", "event", ["form"]]]], "few_others"),
        (["contains", "page", ["/"]], ""),
    ],
)
def test_filters_single_nobody_out(store: DuckDBStore, filters: list[Any], why: str) -> None:
    """Neither those who are too few, nor all but those, from whom they would follow by subtraction."""
    found = ask(store, FIVE, filters, metrics=("page_views",))
    assert (found.withheld, bool(found.rows)) == (why, not why)


def test_rows_are_compared_with_the_period_before(store: DuckDBStore) -> None:
    """A row has the figure of the same key on the day before, and 0 where there was nothing."""
    found = ask(store, EVERYBODY, [], dimensions=("country",), compare="previous_period")
    assert [row.compared for row in found.rows] == [(6,), (0,)]


def test_what_only_the_store_can_refuse_is_a_fault_of_the_question(store: DuckDBStore) -> None:
    """A goal that is not configured and a pattern that the engine does not know are told together."""
    filters = ["and", [["is", "goal", ["Geen"]], ["matches", "page", ["(?=x)"]]]]
    with pytest.raises(QueryError) as caught:
        ask(store, EVERYBODY, filters)
    assert len(caught.value.faults) == 2


def test_a_store_that_is_down_blames_no_pattern(tmp_path: Path) -> None:
    """What no pattern could be asked of is a store that cannot answer, not a fault of the question."""
    down = DuckDBStore(tmp_path / "events.duckdb")
    down.close()
    for pattern in ("^/s", "(?=x)"):
        with pytest.raises(StoreError, match="closed"):
            ask(down, EVERYBODY, ["matches", "page", [pattern]])


def test_a_goal_asks_for_a_property_of_any_name(store: DuckDBStore) -> None:
    """Letters of every alphabet, as a property may have them."""
    goals = (GoalConfig(name="Sleutel", event="form", props={"één ключ 🔑": "j*"}),)
    found = answer(DAY.asking(metrics=("conversions",)), store, AnalyticsConfig(goals=goals, min_visitors=1))
    assert found.rows[0].figures == (1,)


@pytest.mark.parametrize("dimension", ["page", "entry_page"])
def test_who_saw_several_small_pages_is_one_of_the_others(tmp_path: Path, dimension: str) -> None:
    """Rows put together count each visitor and each visit once, and all of their views."""
    with closing(DuckDBStore(tmp_path / "events.duckdb")) as store:
        rare = [view(NOON + n, "v", visitor=1, started=NOON, path=f"/zelden-{n}") for n in range(3)]
        again = [view(NOON + 60 + n, "w", visitor=1, started=NOON + 60, path=f"/zelden-{n + 1}") for n in range(2)]
        store.add(Batch("a", 1, [*rare, *again]))
        asked = DAY.asking(metrics=("daily_visitors", "visits", "page_views"), dimensions=(dimension,))
        (others,) = answer(asked, store, FIVE).others
    assert others.figures == (1, 2, 5)
