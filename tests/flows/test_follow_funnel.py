"""Funnels: ordered steps within a visit, and few people kept to themselves."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.filters import parse_filters
from gateway.analytics.query import Query
from gateway.analytics.store import Batch
from gateway.errors import QueryError
from gateway.flows.follow_funnel import follow_funnel
from gateway.flows.report import ReportParts
from gateway.settings import AnalyticsConfig
from tests.analytics.entries import NOON, ZONE, record, view

DAY = Query("main", date(2026, 11, 23), date(2026, 11, 23), ZONE)
STEPS = ["page is /", "page is /diensten", "event is form"]


@pytest.fixture
def parts(tmp_path: Path, engine: Engine) -> Iterator[ReportParts]:
    """Twenty visits at /; twelve of them go on to /diensten, six of those send a form; five had been there before /."""
    store = DuckDBStore(tmp_path / "events.duckdb")
    rows = [view(NOON, f"v{n}", visitor=n, path="/", country="NL" if n < 15 else "BE") for n in range(20)]
    rows += [view(NOON + 9, f"v{n}", visitor=n, path="/diensten", started=NOON) for n in range(12)]
    rows += [view(NOON - 9, f"v{n}", visitor=n, path="/diensten", started=NOON - 9) for n in range(15, 20)]
    rows += [record("form", NOON + 20, f"v{n}", visitor=n, path="/diensten", started=NOON) for n in range(6)]
    rows += [record("form", NOON + 5, f"v{n}", visitor=n, path="/", started=NOON) for n in range(6, 12)]
    store.add(Batch("a", 1, rows))
    yield ReportParts(store, engine, (), AnalyticsConfig())
    store.close()


def test_steps_count_in_their_order_only(parts: ReportParts) -> None:
    """Who was at the second step before the first, or at the third before the second, has not taken it."""
    found = follow_funnel(DAY, STEPS, parts)
    assert found.visits == 20
    assert [(step.name, step.visitors, step.visits) for step in found.steps] == [
        (STEPS[0], 20, 20),
        (STEPS[1], 12, 12),
        (STEPS[2], 6, 6),
    ]
    assert [(step.of_before, step.of_first) for step in found.steps] == [(1, 1), (0.6, 0.6), (0.5, 0.3)]


def test_the_same_step_twice_needs_two_events(parts: ReportParts) -> None:
    """One event takes one step."""
    everybody = ReportParts(parts.store, parts.engine, (), AnalyticsConfig(min_visitors=1))
    found = follow_funnel(DAY, ["page is /diensten", "page is /diensten"], everybody)
    assert [step.visits for step in found.steps] == [17, 6]


def test_a_part_of_a_day_is_followed_by_nobody(parts: ReportParts) -> None:
    """Steps of the day of another clock are withheld, since hours follow by subtraction; not with min_visitors = 1."""
    shifted = DAY.asking(whole=False)
    found = follow_funnel(shifted, STEPS, parts)
    assert (found.withheld, found.visits, [step.visits for step in found.steps]) == ("part_of_day", None, [None] * 3)
    everybody = ReportParts(parts.store, parts.engine, (), AnalyticsConfig(min_visitors=1))
    assert follow_funnel(shifted, STEPS, everybody).visits == 20


def test_filters_choose_the_visits(parts: ReportParts) -> None:
    """Those that hold an event which fits; the steps themselves need not fit."""
    filters = parse_filters(["is", "country", ["NL"]], [])
    found = follow_funnel(DAY.only(filters), STEPS[:2], parts)
    assert (found.visits, [step.visits for step in found.steps]) == (15, [15, None])
    everybody = ReportParts(parts.store, parts.engine, (), AnalyticsConfig(min_visitors=1))
    narrow = DAY.only(parse_filters(["is", "event", ["form"]], []))
    assert [step.visits for step in follow_funnel(narrow, STEPS[:2], everybody).steps] == [12, 12]


def test_few_people_are_no_step(parts: ReportParts) -> None:
    """A step that fewer than five took is withheld, and one before which fewer than five stopped."""
    parts.store.add(Batch("b", 1, [record("order", NOON + 30, f"v{n}", visitor=n, started=NOON) for n in range(5)]))
    parts.store.add(Batch("c", 1, [record("gift", NOON + 40, "v0", visitor=0, started=NOON)]))
    found = follow_funnel(DAY, [*STEPS, "event is order", "event is gift"], parts)
    assert [step.visits for step in found.steps] == [20, 12, 6, None, None]


def test_every_fault_of_the_steps_is_told(parts: ReportParts) -> None:
    """Too few steps, and words that are none."""
    for steps in ([], ["page is /"], ["page is /"] * 11, ["page", "mood is good"]):
        with pytest.raises(QueryError):
            follow_funnel(DAY, steps, parts)
