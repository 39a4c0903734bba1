"""A report from real parts: the event store, the ledger and the outbox."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from gateway import ledger
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.filters import Condition
from gateway.analytics.metrics import BREAKDOWNS
from gateway.analytics.month_sketch import MonthVisitors
from gateway.analytics.query import Query
from gateway.analytics.report_text import report_lines
from gateway.analytics.results import (
    HIDDEN,
    BotRow,
    ConsentFigures,
    CountRow,
    Measures,
    Money,
    Point,
    Report,
    Row,
    Totals,
)
from gateway.analytics.store import Batch
from gateway.analytics.visitor import Visitors
from gateway.database import OUTBOX, transaction
from gateway.errors import StoreError
from gateway.event import Counted, Entry, Told
from gateway.flows.annotate import add_note
from gateway.flows.report import ReportParts, report
from gateway.flows.save_question import save_segment
from gateway.settings import AnalyticsConfig, DestinationConfig, GoalConfig
from gateway.web.report_api import build_csv
from tests.analytics.entries import ZONE, engaged, local, record, told, view
from tests.migrated import open_migrated

CRM = DestinationConfig(
    name="crm", kind="webhook", url="https://crm.example.org/", secret="env:S", purposes=("marketing",)
)
DAY = Query("main", date(2026, 11, 23), date(2026, 11, 23), ZONE, "hour")
WEEK = Query("main", date(2026, 11, 17), date(2026, 11, 23), ZONE)
AT = local("2026-11-23 14:10")
EVERYBODY = AnalyticsConfig(min_visitors=1)


@pytest.fixture
def parts(engine: Engine, tmp_path: Path) -> Iterator[ReportParts]:
    """An empty store and database, and one destination."""
    store = DuckDBStore(tmp_path / "events.duckdb")
    yield ReportParts(store, engine, (CRM,), EVERYBODY)
    store.close()


@pytest.fixture
def store_parts(tmp_path: Path) -> Iterator[ReportParts]:
    """The same on SQLite alone and without a destination, for what the database has no part in."""
    engine = open_migrated(tmp_path / "gateway.db")
    store = DuckDBStore(tmp_path / "events.duckdb")
    yield ReportParts(store, engine, (), EVERYBODY)
    store.close()
    engine.dispose()


def choose(
    engine: Engine, outcome: str, *withdrawn: str, at: float = AT, site: str = "main", kind: str = "choice"
) -> None:
    """Append a ledger entry as a choice does."""
    body: dict[str, object] = {"choice": "save", "outcome": outcome, "withdrawn": list(withdrawn), "granted": []}
    with transaction(engine) as connection:
        ledger.append(connection, at=at, site=site, kind=kind, consent_id=None, body=body)


def test_visits_reach_totals_series_and_breakdowns(store_parts: ReportParts) -> None:
    """What was recorded is in the totals, in its hour, and in the rows of each dimension."""
    fields = {"country": "NL", "browser": "Firefox", "os": "Linux", "device": "desktop", "topic": "schulden"}
    entries: list[Entry] = [
        view(AT, "a", path="/in", view_id="a1", source="Google", **fields),
        view(AT + 60, "a", path="/uit", view_id="a2", started=AT, **fields),
        record("download", AT + 61, "a", path="/uit", started=AT, **fields),
        engaged(AT + 65, "a1", 5_000, "a", started=AT),
        view(AT + 3600, "b", path="/in", view_id="b1", visitor=2, source="direct", **fields),
    ]
    store_parts.store.add(Batch("segment", 1, entries))
    found = report(DAY, store_parts)
    assert found.totals == Totals(2, 2, 3, 1, 1.5, 0.5, 2.5, 2.5)
    assert [point for point in found.series if point.page_views] == [
        Point("2026-11-23T14:00", 1, 1, 2),
        Point("2026-11-23T15:00", 1, 1, 1),
    ]
    assert len(found.series) == 24
    assert found.breakdowns["page"] == [Row("/in", 2, 2, 2, 2.5), Row("/uit", 1, 1, 1, 0.0)]
    assert found.breakdowns["topic"] == [Row("schulden", 2, 2, 3, 5 / 3)]
    assert found.breakdowns["source"] == [Row("Google", 1, 1, 2, 5.0), Row("direct", 1, 1, 1, 0.0)]
    for dimension, name in (("country", "NL"), ("browser", "Firefox"), ("os", "Linux"), ("device", "desktop")):
        assert found.breakdowns[dimension] == [Row(name, 2, 2, 3, 2.5)]


def test_events_measures_and_revenue_are_in_the_report(store_parts: ReportParts) -> None:
    """How often each event was, how far pages were seen and how they did, what came in by each currency; nothing of it where
    a filter fits too few."""
    paid = [record("order", AT, "a", visitor=1, told=Told(revenue=amount, currency="EUR")) for amount in (1_500, 2_000)]
    entries: list[Entry] = [
        view(AT, "a", view_id="a1", channel="search"),
        *paid,
        record("order", AT, "b", visitor=2, told=Told(revenue=-5_000, currency="USD")),
        told(AT + 5, "a1", "a", started=AT, scroll=60, lcp=1200, inp=80, cls=20, screen="small"),
    ]
    store_parts.store.add(Batch("segment", 1, entries))
    found = report(DAY, store_parts)
    assert found.breakdowns["event"] == [Row("order", 2, 2, 0, None, None, 3)]
    assert found.breakdowns["screen"] == [Row("small", 1, 1, 1, 0.0)]
    assert found.measures == Measures(0.6, 0.6, 1200, 80, 0.02)
    assert found.revenue == [Money("EUR", 3.5, 2), Money("USD", -5.0, 1)]
    few = replace(store_parts, analytics=AnalyticsConfig())
    hidden = report(DAY.asking(filters=Condition("is", "channel", ("search",))), few)
    assert (hidden.withheld, hidden.measures, hidden.revenue) == ("few", Measures(), [])
    assert report(DAY, few).revenue == []


def test_one_order_from_abroad_hides_no_other_currency(store_parts: ReportParts) -> None:
    """Revenue is told of each currency that enough visitors brought in, whatever others are withheld; none of parts of days."""
    paid = [Told(revenue=1000, currency="USD" if n == 9 else "EUR") for n in range(10)]
    entries = [record("order", AT + n, f"o{n}", visitor=n, told=told) for n, told in enumerate(paid)]
    store_parts.store.add(Batch("segment", 1, entries))
    few = replace(store_parts, analytics=AnalyticsConfig())
    assert report(DAY, few).revenue == [Money("EUR", 9.0, 9)]
    assert report(DAY.asking(whole=False), few).revenue == []


def test_bots_are_told_by_name(store_parts: ReportParts) -> None:
    """Who was dropped, those with most hits first, each with a few of its pages."""
    rows = [("bot", "Googlebot", page, 1) for page in ("/a", "/b", "/c", "/d")]
    rows += [("bot", "Googlebot", "", 40), ("implausible_rate", "Chrome", "/x", 3), ("bot", "curl", "/y", 50)]
    store_parts.store.add(Batch("segment", 1, [Counted("main", int(AT) // 3600 * 3600, rows)]))
    assert report(DAY, store_parts).bots == [
        BotRow("bot", "curl", 50, ["/y"]),
        BotRow("bot", "Googlebot", 44, ["/a", "/b", "/c"]),
        BotRow("implausible_rate", "Chrome", 3, ["/x"]),
    ]


def about_few(config: AnalyticsConfig, parts: ReportParts, **asked: Any) -> Report:
    """The report of a day with six visitors of the Netherlands and two of Malta, and five of the Netherlands a day before."""
    entries: list[Entry] = [view(AT + n, f"n{n}", visitor=n, country="NL", browser="Edge") for n in range(6)]
    entries += [view(AT + 3_600 + n, f"m{n}", visitor=10 + n, country="MT", browser=f"B{n}") for n in range(2)]
    entries += [view(AT - 86_400 + n, f"b{n}", visitor=20 + n, country="NL") for n in range(5)]
    parts.store.add(Batch("segment", 1, entries))
    return report(DAY.asking(**asked), replace(parts, analytics=config))


def test_what_is_about_too_few_is_no_zero(store_parts: ReportParts) -> None:
    """Rows put together have a row of their own; a filter that fits too few has no figures, and says so."""
    found = about_few(AnalyticsConfig(), store_parts)
    assert (found.breakdowns["country"], found.others["country"]) == ([], Row("", 8, 8, 8, 0.0))
    assert found.withheld == ""
    two = report(DAY, replace(store_parts, analytics=AnalyticsConfig(min_visitors=2)))
    assert (two.breakdowns["browser"], two.others["browser"]) == ([Row("Edge", 6, 6, 6, 0.0)], Row("", 2, 2, 2, 0.0))
    assert [point.visits for point in found.series if point.visits] == [6, 2]
    hidden = about_few(AnalyticsConfig(), store_parts, filters=Condition("is", "country", ("MT",)))
    assert (hidden.withheld, hidden.totals, hidden.others) == ("few", HIDDEN, {})
    assert {(point.daily_visitors, point.visits, point.page_views) for point in hidden.series} == {(None, None, None)}
    assert list(hidden.breakdowns) == list(found.breakdowns) and not any(hidden.breakdowns.values())


def test_breakdowns_of_another_clock_s_days_are_withheld(store_parts: ReportParts) -> None:
    """A report in another time zone has its figures and its chart, no rows, and says so; under a filter it has none."""
    found = about_few(AnalyticsConfig(), store_parts, whole=False, timezone="Asia/Kolkata")
    assert (found.totals.visits, found.rows_withheld, found.withheld) == (8, "part_of_day", "")
    assert not any(found.breakdowns.values()) and sum(point.visits or 0 for point in found.series) == 8
    hidden = about_few(AnalyticsConfig(), store_parts, whole=False, filters=Condition("is", "country", ("NL",)))
    assert (hidden.withheld, hidden.totals) == ("part_of_day", HIDDEN)
    everybody = about_few(EVERYBODY, store_parts, whole=False)
    assert everybody.breakdowns["country"] and not everybody.rows_withheld


def test_hours_of_few_visitors_are_withheld_under_a_filter(store_parts: ReportParts) -> None:
    """A filter that enough visitors fit is answered; its hours with too few tell no figures, nor does the one from which they
    would follow by subtraction; those with none tell 0."""
    both = Condition("contains", "country", ("N", "M"))
    found = about_few(AnalyticsConfig(), store_parts, filters=both)
    by_hour = {point.at[-5:]: point.visits for point in found.series}
    assert (found.totals.visits, by_hour["14:00"], by_hour["15:00"], by_hour["16:00"]) == (8, None, None, 0)
    shown = about_few(AnalyticsConfig(min_visitors=2), store_parts, filters=both)
    assert [point.visits for point in shown.series if point.visits] == [6, 2]


def test_the_period_compared_with_comes_along(store_parts: ReportParts) -> None:
    """Its days, its totals, and the visitors of each row; without being asked for, none."""
    assert about_few(EVERYBODY, store_parts).compared is None
    found = about_few(EVERYBODY, store_parts, compare="previous_period")
    assert found.compared is not None and found.compared.totals is not None
    assert (found.compared.first, found.compared.last, found.compared.totals.visits) == ("2026-11-22", "2026-11-22", 5)
    assert [(row.name, row.visitors, row.before) for row in found.breakdowns["country"]] == [("NL", 6, 5), ("MT", 2, 0)]
    assert len(found.compared.series) == len(found.series)
    assert sum(point.visits or 0 for point in found.compared.series) == 5


def test_goals_entries_and_exits_are_in_the_report(store_parts: ReportParts) -> None:
    """Each goal with its conversions and its share of visits, none where none is configured; where visits begin and end."""
    goal = GoalConfig("Contact", page="/contact")
    rows = [view(AT, f"v{n}", visitor=n, path="/") for n in range(4)]
    rows += [view(AT + 9, "v0", visitor=0, path="/contact", started=AT)]
    store_parts.store.add(Batch("segment", 1, [*rows, view(AT + 12, "v0", visitor=0, path="/contact", started=AT)]))
    assert report(DAY, store_parts).breakdowns["goal"] == []
    found = report(DAY, replace(store_parts, analytics=AnalyticsConfig(min_visitors=1, goals=(goal,)))).breakdowns
    assert [(row.name, row.conversions, row.conversion_rate) for row in found["goal"]] == [("Contact", 2, 0.25)]
    assert [(row.name, row.visits) for row in found["entry_page"]] == [("/", 4)]
    assert [(row.name, row.visits) for row in found["exit_page"]] == [("/", 3), ("/contact", 1)]


def test_notes_and_segments_are_the_sites_own(store_parts: ReportParts) -> None:
    """A report has the notes of its days, and answers a filter that is known by name."""
    store_parts.store.add(Batch("segment", 1, [view(AT, "a", country="NL"), view(AT, "b", visitor=2, country="BE")]))
    add_note(store_parts.engine, "main", "2026-11-23", "Storing", "anke", AT)
    save_segment(store_parts.engine, DAY.only(Condition("is", "country", ("BE",))), "Zuiden", "anke", AT)
    found = report(DAY.only(Condition("is", "segment", ("Zuiden",))), store_parts)
    assert (found.totals.visits, [note.text for note in found.notes]) == (1, ["Storing"])
    assert any(("2026-11-23", "Storing") in part.rows for part in report_lines(found))


def test_a_months_visitors_are_estimated_beside_the_daily_ones(parts: ReportParts) -> None:
    """A report on days of one month has its estimate with its error, apart by site; with a filter, over two months, in a month
    without visitors there is none; too few are withheld. Words and cells say the same."""
    visitors = Visitors(parts.engine)
    for number in range(300):
        for day in range(3):
            visitors.key("main", ZONE, f"consent {number}", AT - day * 86_400)
    visitors.key("shop", ZONE, "another", AT)
    visitors.months.write(parts.engine)
    found = report(WEEK, parts)
    assert found.month == report(DAY, parts).month
    assert found.month is not None and found.month.month == "2026-11" and found.month.standard_error == 0.0163
    assert found.month.visitors == pytest.approx(300, rel=0.08)
    assert ("Visitors in 2026-11, about (± 1.6 %)", str(found.month.visitors)) in report_lines(found)[0].rows
    assert f"month,2026-11,,visitors,{found.month.visitors}" in build_csv(found).decode().splitlines()
    assert report(WEEK.only(Condition("is", "country", ("NL",))), parts).month is None
    assert report(WEEK.asking(last=date(2026, 12, 1)), parts).month is None
    assert report(WEEK.asking(first=date(2026, 12, 1), last=date(2026, 12, 1)), parts).month is None
    few = report(WEEK.asking(site="shop"), replace(parts, analytics=AnalyticsConfig()))
    assert few.month == MonthVisitors("2026-11", None, 0.0163)
    assert ("Bezoekers in 2026-11, circa (± 1.6 %)", "niet getoond") in report_lines(few, "nl")[0].rows
    assert "month,2026-11,,visitors,withheld" in build_csv(few).decode().splitlines()


def test_a_month_that_knows_less_than_one_of_its_days_is_not_told(parts: ReportParts) -> None:
    """Views of imported logs are in no sketch: beside a day with more visitors an estimate of the few since would be wrong."""
    visitors = Visitors(parts.engine)
    for number in range(10):
        visitors.key("main", ZONE, f"consent {number}", AT)
    visitors.months.write(parts.engine)
    assert report(WEEK, parts).month is not None
    parts.store.add(Batch("log", 1, [view(AT - 86_400, f"i{n}", visitor=1000 + n) for n in range(40)]))
    assert report(WEEK, parts).totals.visits == 40
    assert report(WEEK, parts).month is None
    assert report(DAY, parts).month is not None


def test_empty_site_has_a_whole_report(parts: ReportParts) -> None:
    """Without any data every figure is there: zeros, no rates, a point for each day, the destination's empty queue."""
    found = report(WEEK, parts)
    assert found.totals == Totals()
    assert [point.at for point in found.series] == [f"2026-11-{day}" for day in range(17, 24)]
    assert all(point == Point(point.at, 0, 0, 0) for point in found.series)
    assert tuple(found.breakdowns) == BREAKDOWNS
    assert found.consent == ConsentFigures()
    assert (found.dropped, found.held) == ([], [])
    assert [(queue.destination, queue.kind, queue.queued) for queue in found.destinations] == [("crm", "webhook", 0)]


def test_series_adds_up_to_the_totals(store_parts: ReportParts) -> None:
    """Daily visitors, visits and views of the days are those of the period."""
    for number in range(20):
        at = AT - number * 26_000
        entries: list[Entry] = [
            view(at, f"v{number}", visitor=number % 3),
            view(at + 900, f"v{number}", visitor=number % 3, started=at),
        ]
        store_parts.store.add(Batch("segment", number + 1, entries))
    found = report(WEEK, store_parts)
    for name in ("daily_visitors", "visits", "page_views"):
        assert sum(getattr(point, name) for point in found.series) == getattr(found.totals, name) > 0


def test_consent_is_counted_from_the_ledger(parts: ReportParts) -> None:
    """Outcomes of the site's choices in the period; the rate is of those who chose; a banner shown is no choice."""
    for outcome, times in (("accepted", 3), ("partly", 1), ("refused", 4), ("withdrawn", 1)):
        for _ in range(times):
            choose(parts.engine, outcome, *(["analytics"] if outcome == "withdrawn" else []))
    choose(parts.engine, "accepted", at=DAY.starts_at - 1)
    choose(parts.engine, "accepted", at=DAY.ends_at)
    choose(parts.engine, "accepted", site="other")
    choose(parts.engine, "accepted", kind="disclosure")
    hour = int(DAY.starts_at)
    rows = [("shown", "nl", "", 20), ("shown", "en", "", 5), ("refused_elsewhere", "klaro", "", 7)]
    parts.store.add(Batch("segment", 1, [Counted("main", hour, rows)]))
    assert report(DAY, parts).consent == ConsentFigures(25, 3, 1, 4, 1, 0.5, elsewhere=7)


def test_smaller_yes_is_partly_and_a_withdrawal(parts: ReportParts) -> None:
    """Who keeps one purpose and takes back another said yes in part, and withdrew."""
    choose(parts.engine, "partly", "marketing")
    assert report(DAY, parts).consent == ConsentFigures(0, 0, 1, 0, 1, 1.0)


def test_counters_tell_what_was_dropped_and_held(store_parts: ReportParts) -> None:
    """Dropped hits and refused requests on one side, what was or would be held back on the other."""
    rows = [
        ("dropped", "bot", "", 3),
        ("refused_request", "too_large", "", 1),
        ("held", "ads.example.net", "script marketing", 9),
        ("would_hold", "_ga", "cookie analytics /", 2),
        ("shown", "nl", "", 100),
    ]
    store_parts.store.add(Batch("segment", 1, [Counted("main", int(DAY.starts_at), rows)]))
    found = report(DAY, store_parts)
    assert found.dropped == [CountRow("dropped", "bot", "", 3), CountRow("refused_request", "too_large", "", 1)]
    assert [row.name for row in found.held] == ["ads.example.net", "_ga"]


def test_queue_is_the_outbox_s(parts: ReportParts) -> None:
    """A destination's rows by state, and since when the oldest waits."""
    plain = {
        "destination": "crm",
        "site": "main",
        "recorded_at": AT,
        "next_at": AT,
        "expires_at": AT + 9,
        "attempts": 0,
        "revision": 1,
        "reason": "",
    }
    rows = [{"event_id": state, "state": state, **plain} for state in ("queued", "delivered", "dead")]
    with transaction(parts.engine) as connection:
        connection.execute(insert(OUTBOX), rows)
    (queue,) = report(DAY, parts).destinations
    assert (queue.queued, queue.delivered, queue.dead, queue.started, queue.oldest_at) == (1, 1, 1, 0, AT)


def test_failing_store_is_told(store_parts: ReportParts) -> None:
    """When the event store is gone, a report raises StoreError."""
    store_parts.store.close()
    with pytest.raises(StoreError):
        report(DAY, store_parts)
