"""Days that are over are summed up once; what a question says stays what rows say, whatever comes late."""

from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.analytics.answers import AnswerRow
from gateway.analytics.dialect import DUCKDB
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.metrics import SERIES, TOTALS
from gateway.analytics.query import Query
from gateway.analytics.store import Batch
from gateway.flows.answer import answer
from gateway.flows.sum_days import AT_ONCE, build_day_sums, find_unsummed, sum_days
from gateway.settings import AnalyticsConfig
from tests.analytics.entries import NOON, ZONE, engaged, local, view

DAY = 86_400
TODAY = date(2026, 11, 23)
WEEK = Query("main", date(2026, 11, 17), TODAY, ZONE, limit=1000)
CONFIG = AnalyticsConfig(min_visitors=1)
QUESTIONS = (
    WEEK.asking(metrics=TOTALS),
    WEEK.asking(metrics=SERIES, dimensions=("day",)),
    WEEK.asking(metrics=("daily_visitors", "visits", "page_views", "time_on_page"), dimensions=("page",)),
    WEEK.asking(metrics=("visits", "bounce_rate", "wall_duration"), dimensions=("source", "month")),
)
COMING = [
    view(NOON - back * DAY + number, f"{back}.{number}", visitor=number, path=f"/{number % 3}", source="Google")
    for back in range(6)
    for number in range(8)
]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DuckDBStore]:
    """Six days with eight visits each; a month back nobody asks."""
    monkeypatch.setattr("gateway.flows.sum_days.MAX_DAYS", 30)
    with closing(DuckDBStore(tmp_path / "events.duckdb")) as store:
        store.add(Batch("a", 1, COMING))
        yield store


def ask(store: DuckDBStore) -> list[list[AnswerRow]]:
    """The answers to all questions."""
    return [answer(query, store, CONFIG).rows for query in QUESTIONS]


def read_all(store: DuckDBStore) -> list[list[AnswerRow]]:
    """What rows say, without any sums."""
    days = store.fetch("SELECT * FROM summed_days", {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "summed_days", lambda _site, _timezone: frozenset())
        found = ask(store)
    assert store.fetch("SELECT * FROM summed_days", {}) == days
    return found


def summed(store: DuckDBStore) -> frozenset[date]:
    """Days of the week that have sums."""
    return frozenset(day for day in store.summed_days("main", ZONE) if day >= WEEK.first)


def test_a_question_about_days_that_are_over_reads_no_rows(store: DuckDBStore) -> None:
    """Once all days are summed up, figures stand without an event or visit of those days; today's are read as they are."""
    before = ask(store)
    assert sum_days(store, "main", ZONE, NOON, 60)
    assert ask(store) == before == read_all(store)
    store.prune(local("2026-11-01 00:00"))
    assert ask(store)[1] == before[1]
    with store._transaction() as connection:
        connection.execute("DELETE FROM events WHERE happened_at < TIMESTAMP '2026-11-22 23:00'")
        connection.execute("DELETE FROM visits WHERE started_at < TIMESTAMP '2026-11-22 23:00'")
    assert ask(store)[1:] == before[1:]
    assert read_all(store)[1] != before[1]


def test_what_comes_late_counts_at_once(store: DuckDBStore) -> None:
    """A late view, a late engagement, a visit that goes on over midnight: their days are read again, and summed up anew."""
    store.add(Batch("a", 2, [view(NOON - 3 * DAY, "told", view_id="told", visitor=99)]))
    assert sum_days(store, "main", ZONE, NOON, 60)
    whole = summed(store)
    late = local("2026-11-19 23:50")
    coming = (
        [view(NOON - 2 * DAY, "late", visitor=50, path="/late")],
        [engaged(NOON + 5, "told", 9000, "told", started=NOON - 3 * DAY)],
        [view(late, "over", visitor=51), view(late + 900, "over", visitor=51, started=late, path="/over")],
        [view(late - 60, "over", visitor=51, started=late, source="Bing", path="/first")],
    )
    gone = ({21}, {20}, {19, 20}, {19, 20})
    for number, (entries, days) in enumerate(zip(coming, gone, strict=True)):
        before = ask(store)
        store.add(Batch("late", number + 1, entries))
        assert {day.day for day in whole - summed(store)} == days
        assert ask(store) == read_all(store) != before
        assert sum_days(store, "main", ZONE, NOON, 60)
        assert summed(store) == whole
        assert ask(store) == read_all(store)


def test_what_is_pruned_is_in_no_sum(store: DuckDBStore) -> None:
    """Sums of days of which rows are deleted go with them; those of other days stay."""
    sum_days(store, "main", ZONE, NOON, 60)
    assert store.prune(local("2026-11-20 12:00")) > 0
    assert {day.day for day in summed(store)} == {17, 21, 22}
    assert store.fetch("SELECT count(*) FROM day_sums WHERE day < DATE '2026-11-21'", {}) == [(0,)]
    assert ask(store) == read_all(store)


def test_sums_are_of_one_time_zone(store: DuckDBStore) -> None:
    """A question in another zone is answered from rows; a site whose zone has changed is summed up anew."""
    sum_days(store, "main", ZONE, NOON, 60)
    asked = WEEK.asking(timezone="Pacific/Apia", metrics=SERIES, dimensions=("day",))
    rows = answer(asked, store, CONFIG).rows
    assert [row.figures for row in rows][:2] == [(8, 8, 8)] * 2
    assert store.summed_days("main", "Pacific/Apia") == frozenset()
    assert sum_days(store, "main", "Pacific/Apia", NOON, 60)
    assert answer(asked, store, CONFIG).rows == rows
    assert summed(store) == frozenset()


def test_some_days_are_summed_at_once_the_newest_first() -> None:
    """What operators look at most comes first, days before there was anything all at once; a day that has only just ended,
    and today, wait."""
    first = TODAY - timedelta(days=40)
    runs = list(find_unsummed(frozenset({TODAY - timedelta(days=3)}), first, ZONE, local("2026-11-23 00:30")))
    assert [runs[0], len(runs[1]), runs[1][-1]] == [[TODAY - timedelta(days=2)], AT_ONCE, TODAY - timedelta(days=4)]
    assert [run[0] for run in runs if first in run] == [first]
    assert max(len(run) for run in runs[:-1]) == AT_ONCE < len(runs[-1])
    assert all(later[0] > earlier[-1] for later, earlier in pairwise(runs))
    assert build_day_sums("main", ZONE, runs[0], DUCKDB).days[0].ends_at == local("2026-11-22 00:00")


def test_time_is_given_to_other_work(store: DuckDBStore) -> None:
    """After its time is over it stops, and goes on with the next days another time."""
    assert not sum_days(store, "main", ZONE, NOON, 0)
    assert summed(store) == frozenset()
