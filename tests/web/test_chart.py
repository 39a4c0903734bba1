"""The chart: round lines, bars in their places, hours to come left empty."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.analytics.query import Query, parse_query
from gateway.analytics.results import Compared, Note, Point
from gateway.web.chart import LINES, build_chart, build_geometry, choose_top, find_unfinished, place_notes
from gateway.web.labels import Labels
from gateway.web.question import build_question
from tests.web.console_example import NOW, build_example

EN = Labels("en")


def ask(**fields: str) -> Query:
    """A query about the example's main site on its day."""
    return parse_query(fields, {"main": "Europe/Amsterdam"}, datetime.fromtimestamp(NOW, UTC))


@given(st.integers(0, 10**12))
def test_the_highest_line_is_round_and_not_far_above(most: int) -> None:
    """Bars never leave the plot, four lines have whole values, and the highest bar fills at least half."""
    top = choose_top(most)
    assert top >= most
    assert top % LINES == 0
    assert top <= max(LINES, 2 * most)


@pytest.mark.parametrize(("most", "top"), [(0, 4), (3, 4), (5, 8), (110, 120), (231, 240), (999, 1000), (1001, 1200)])
def test_lines_are_those_that_people_would_draw(most: int, top: int) -> None:
    """Examples of the highest line."""
    assert choose_top(most) == top


@given(st.lists(st.integers(0, 10**6), max_size=800))
def test_bars_stand_side_by_side_within_the_plot(values: list[int]) -> None:
    """Each value has one bar, left to right, none outside, none over another."""
    words = [str(value) for value in values]
    geometry = build_geometry(values, words, words, ["0"], None)
    left = [float(bar.x[:-1]) for bar in geometry.bars]
    right = [float(bar.x[:-1]) + float(bar.width[:-1]) for bar in geometry.bars]
    assert len(left) == len(values)
    assert all(start >= 0 and end <= 100.01 for start, end in zip(left, right, strict=True))
    assert all(end <= start + 0.01 for end, start in zip(right, left[1:], strict=False))
    assert all(abs(float(bar.y[:-1]) + float(bar.height[:-1]) - 100) < 0.01 for bar in geometry.bars)
    assert len(geometry.labels) <= 8


def test_hours_to_come_have_no_value_and_this_hour_is_marked() -> None:
    """At twenty past two the chart of today ends at two o'clock, and says that this hour still runs."""
    query = ask(period="today")
    view = build_chart(build_example(query), build_question(query, {"period": "today"}), EN, NOW)
    data = msgspec.json.decode(view.data)
    assert data["unfinished"] == 14
    assert data["values"][14] is not None
    assert data["values"][15:] == [None] * 9
    assert data["links"] == []
    assert view.title == "Daily visitors, hour by hour"


def test_days_lead_to_their_hours_and_the_sentence_names_best_and_worst() -> None:
    """Each day's bar is a link to that day; the sentence says total, most and fewest."""
    query = ask(period="7d")
    report = build_example(query)
    report = msgspec.structs.replace(report, series=[Point(p.at, 5 + i, 1, 1) for i, p in enumerate(report.series)])
    view = build_chart(report, build_question(query, {"period": "7d"}), EN, NOW)
    assert msgspec.json.decode(view.data)["links"][0] == "/?site=main&from=2026-11-17&to=2026-11-17"
    assert view.summary == (
        "Daily visitors, 17 – 23 Nov 2026: 56 in all; most on Monday 23 November 2026 (11), "
        "fewest on Tuesday 17 November 2026 (5)."
    )


def test_over_several_days_only_midnights_are_labelled() -> None:
    """Hours of a week carry seven day names, also across the night when clocks change."""
    query = ask(**{"from": "2026-10-20", "to": "2026-10-26", "interval": "hour"})
    view = build_chart(build_example(query), build_question(query, {"interval": "hour"}), EN, NOW)
    assert [word for word in msgspec.json.decode(view.data)["short"] if word][:2] == ["20 Oct", "21 Oct"]
    assert len(view.geometry.labels) == 7


@pytest.mark.parametrize(("interval", "words"), [("week", "week by week"), ("month", "month by month")])
@pytest.mark.parametrize("labels", [EN, Labels("nl")], ids=lambda labels: labels.language)
def test_weeks_and_months_have_a_title_and_lead_to_no_single_day(labels: Labels, interval: str, words: str) -> None:
    """A question by week or month is drawn in each language; a bar of many days is no link to one of them."""
    query = ask(period="30d", interval=interval)
    view = build_chart(build_example(query), build_question(query, {"interval": interval}), labels, NOW)
    said = {"en": words, "nl": {"week": "week voor week", "month": "maand voor maand"}[interval]}[labels.language]
    assert view.title.endswith(said)
    assert msgspec.json.decode(view.data)["links"] == []


def test_the_week_that_runs_is_marked_and_a_period_of_the_past_has_none() -> None:
    """A bar of many days is unfinished while today lies in it."""
    weeks = [Point(day, 5, 5, 5) for day in ("2026-11-09", "2026-11-16", "2026-11-23")]
    assert find_unfinished(weeks, "2026-11-26T12:00", "2026-11-26") == 2
    assert find_unfinished(weeks, "2026-12-03T12:00", "2026-11-26") is None
    assert find_unfinished(weeks[:1], "2026-11-08T12:00", "2026-11-15") is None


def test_the_period_compared_with_is_a_line_over_the_same_points() -> None:
    """On the drawn chart, in its data and its table; the highest line is above both; what is withheld breaks nothing."""
    query = ask(period="7d", compare="previous_period")
    report = build_example(query)
    before = [Point(f"2026-11-{10 + n}", None if n == 3 else 400, 1, 1) for n in range(6)]
    report = msgspec.structs.replace(report, compared=Compared("2026-11-10", "2026-11-16", None, before))
    view = build_chart(report, build_question(query, {"period": "7d"}), EN, NOW)
    data = msgspec.json.decode(view.data)
    assert data["earlier"] == [400, 400, 400, None, 400, 400, None] and data["top"] == 400
    assert view.geometry.earlier.split() == [f"{100 / 7 * (n + 0.5):.2f},0.00" for n in (0, 1, 2, 4, 5)]
    assert view.heads[-1] == "Period compared with"
    assert [cells[-1] for _, _, cells in view.table] == ["400"] * 3 + ["withheld"] + ["400"] * 2 + ["withheld"]
    alone = build_chart(build_example(query), build_question(query, {}), EN, NOW)
    assert (alone.geometry.earlier, alone.earlier, len(alone.table[0][2])) == ("", "", 3)


def test_a_bar_says_what_it_is_compared_with_and_how_far_it_has_changed() -> None:
    """The day compared with, its count and the change stand at each bar that is over, with and without scripts; the day that
    runs has no change, nothing stands where nothing is known, and days without anything are no line at all."""
    query = ask(period="7d", compare="previous_period")
    report = build_example(query)
    now = [Point(point.at, 120, 1, 1) for point in report.series]
    before = [Point(f"2026-11-{10 + n}", (100, None, 0)[n] if n < 3 else 150, 1, 1) for n in range(7)]
    report = msgspec.structs.replace(report, series=now, compared=Compared("2026-11-10", "2026-11-16", None, before))
    view = build_chart(report, build_question(query, {"period": "7d"}), EN, NOW)
    data, titles = msgspec.json.decode(view.data), [bar.title for bar in view.geometry.bars]
    assert data["changes"] == ["+20%", "", "", "-20%", "-20%", "-20%", ""]
    assert data["earlierWords"][:3] == ["Tuesday 10 November 2026: 100", "", "Thursday 12 November 2026: 0"]
    assert titles[0] == "Tuesday 17 November 2026: 120 (+20%)\nTuesday 10 November 2026: 100"
    assert titles[1] == "Wednesday 18 November 2026: 120"
    assert titles[6] == "Monday 23 November 2026: 120\nMonday 16 November 2026: 150"
    nothing = Compared("2026-11-10", "2026-11-16", None, [Point(point.at, 0, 0, 0) for point in before])
    empty = build_chart(
        msgspec.structs.replace(report, compared=nothing), build_question(query, {"period": "7d"}), EN, NOW
    )
    assert (empty.earlier, empty.geometry.earlier, len(empty.table[0][2])) == ("", "", 3)


@pytest.mark.parametrize(("interval", "at"), [("day", 3), ("hour", 72), ("week", 0)])
def test_a_note_stands_at_the_bar_of_its_day(interval: str, at: int) -> None:
    """At its day, its first hour, its week; one of another period stands nowhere."""
    query = ask(**{"from": "2026-11-17", "to": "2026-11-23", "interval": interval})
    points = (
        [Point("2026-11-16", 1, 1, 1), Point("2026-11-23", 1, 1, 1)]
        if interval == "week"
        else build_example(query).series
    )
    notes = [Note(1, "2026-11-20", "Nieuwsbrief", "anke"), Note(2, "2026-11-01", "Eerder", "anke")]
    assert place_notes(notes, points) == [(at, "Nieuwsbrief")]


@pytest.mark.parametrize(
    ("days", "intervals"),
    [(1, []), (2, ["hour", "day"]), (30, ["hour", "day", "week"]), (91, ["day", "week", "month"])],
)
def test_only_intervals_that_make_a_chart_are_offered(days: int, intervals: list[str]) -> None:
    """Hours of few days, weeks and months of many."""
    query = ask(**{"from": str(date(2026, 11, 23) - timedelta(days=days - 1)), "to": "2026-11-23"})
    assert build_question(query, {}).intervals == intervals
