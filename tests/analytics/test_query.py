"""A report's question from untrusted text: what is meant, and every fault at once."""

from datetime import UTC, date, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.analytics.dimensions import DIMENSIONS
from gateway.analytics.filters import TIMES, conditions_of
from gateway.analytics.query import Query, parse_query
from gateway.errors import QueryError

SITES = {"main": "Europe/Amsterdam", "verre": "Pacific/Auckland"}
NOW = datetime(2026, 11, 23, 13, 20, tzinfo=UTC)


def ask(fields: dict[str, str], now: datetime = NOW) -> Query:
    """The query of these fields."""
    return parse_query(fields, SITES, now)


def faults(fields: dict[str, str]) -> list[str]:
    """The faults of these fields."""
    with pytest.raises(QueryError) as caught:
        ask(fields)
    return caught.value.faults


@pytest.mark.parametrize(
    ("fields", "first", "last", "interval"),
    [
        ({}, "2026-11-17", "2026-11-23", "day"),
        ({"period": "today"}, "2026-11-23", "2026-11-23", "hour"),
        ({"period": "yesterday"}, "2026-11-22", "2026-11-22", "hour"),
        ({"period": "7d"}, "2026-11-17", "2026-11-23", "day"),
        ({"period": "30d"}, "2026-10-25", "2026-11-23", "day"),
        ({"period": "month"}, "2026-11-01", "2026-11-23", "day"),
        ({"period": "12mo"}, "2025-11-24", "2026-11-23", "day"),
        ({"from": "2026-03-01", "to": "2026-03-31"}, "2026-03-01", "2026-03-31", "day"),
        ({"from": "2026-11-20"}, "2026-11-20", "2026-11-23", "day"),
        ({"to": "2026-11-20"}, "2026-11-20", "2026-11-20", "hour"),
        ({"from": "2026-11-20", "period": "today"}, "2026-11-20", "2026-11-23", "day"),
        ({"period": "7d", "interval": "hour"}, "2026-11-17", "2026-11-23", "hour"),
        ({"period": "today", "interval": "day"}, "2026-11-23", "2026-11-23", "day"),
    ],
)
def test_period_is_days_of_the_site(fields: dict[str, str], first: str, last: str, interval: str) -> None:
    """Named periods end today, given days stand, and one day is shown by the hour unless asked otherwise."""
    query = ask(fields)
    assert (query.first, query.last) == (date.fromisoformat(first), date.fromisoformat(last))
    assert query.interval == interval


def test_first_site_is_meant_when_none_is_named() -> None:
    """Without a site the first configured one is meant, with its time zone."""
    assert (ask({}).site, ask({}).timezone) == ("main", "Europe/Amsterdam")


def test_today_is_the_site_s_own() -> None:
    """What day it is depends on the site's time zone."""
    late = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
    assert ask({"period": "today"}, late).first == date(2026, 11, 23)
    assert ask({"site": "verre", "period": "today"}, late).first == date(2026, 11, 24)


@pytest.mark.parametrize(
    ("first", "zone", "hours"),
    [
        ("2026-11-23", "Europe/Amsterdam", 24),
        ("2026-03-29", "Europe/Amsterdam", 23),
        ("2026-10-25", "Europe/Amsterdam", 25),
        ("2026-09-06", "America/Santiago", 23),
    ],
)
def test_day_lasts_from_midnight_to_midnight(first: str, zone: str, hours: int) -> None:
    """Start and end are local midnights, so that a day on which clocks change is shorter or longer."""
    day = date.fromisoformat(first)
    query = Query("main", day, day, zone)
    assert query.ends_at - query.starts_at == hours * 3600


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"site": "nowhere"}, "nowhere"),
        ({"period": "8d"}, "8d"),
        ({"from": "23-11-2026"}, "23-11-2026"),
        ({"to": "2026-02-30"}, "2026-02-30"),
        ({"from": "0001-01-01", "to": "0001-01-02"}, "0001-01-01"),
        ({"to": "9999-12-31"}, "9999-12-31"),
        ({"from": "2026-11-24", "to": "2026-11-23"}, "after"),
        ({"from": "2020-01-01", "to": "2026-01-01"}, "1100"),
        ({"interval": "minute"}, "minute"),
        ({"period": "12mo", "interval": "hour"}, "31"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
    ],
)
def test_fault_is_named(fields: dict[str, str], word: str) -> None:
    """A value that cannot be meant is told as one sentence that holds what is wrong."""
    told = faults(fields)
    assert any(word in fault for fault in told)


@pytest.mark.parametrize("name", ["segments", "nothing", "time:minute", 7, None])
def test_a_filter_on_what_is_no_dimension_is_refused(name: object) -> None:
    """A dimension that there is not is named, with those that there are; nothing unknown reaches the store."""
    (fault,) = faults({"filters": msgspec.json.encode([["is", name, ["x"]]]).decode()})
    assert "no such dimension; known: page, " in fault


@pytest.mark.parametrize(
    ("dimension", "meant", "wrong"),
    [
        ("day", ["2026-11-23", "2024-02-29"], ["gisteren", "2026-02-29", "20261123", "2026-11", ""]),
        ("week", ["2026-11-23"], ["2026-11-24", "2026-W48-1"]),
        ("month", ["2026-11-01"], ["2026-11", "2026-11-02"]),
        ("hour", ["2026-11-23T14:00", "2026-11-23T14:00+01:00"], ["14:00", "2026-11-23T14:30", "2026-11-23 14:00"]),
    ],
)
def test_a_filter_on_time_is_said_as_rows_tell_it(dimension: str, meant: list[str], wrong: list[str]) -> None:
    """What can be no hour, day, week or month is a fault, since nothing would ever fit it; parts of one may be contained."""
    assert set(TIMES) == {one.name for one in DIMENSIONS if one.scope == "time"}
    for operator, values in (("is", meant), ("is_not", meant), ("contains", wrong)):
        asked = ask({"filters": msgspec.json.encode([operator, dimension, values]).decode()})
        assert [one.values for one in conditions_of(asked.filters)] == [tuple(values)]
    told = faults({"filters": msgspec.json.encode(["is_not", dimension, [*meant, *wrong]]).decode()})
    assert [repr(text) in fault for text, fault in zip(wrong, told, strict=True)] == [True] * len(wrong)


def test_a_pattern_of_goals_is_one_that_is_read_here() -> None:
    """Names of goals are compared without the store: an expression that only the store could read is a fault, not a crash."""
    (fault,) = faults({"filters": msgspec.json.encode(["matches", "goal", [r"\p{L}"]]).decode()})
    assert "no regular expression" in fault
    assert ask({"filters": msgspec.json.encode(["matches", "page", [r"\p{L}"]]).decode()}).filters is not None


def test_all_faults_at_once() -> None:
    """Whoever asks learns of every fault in one go."""
    assert len(faults({"site": "nowhere", "period": "8d", "interval": "minute", "limit": "many"})) == 4


@given(st.dictionaries(st.sampled_from(["site", "period", "from", "to", "interval", "limit"]), st.text(max_size=12)))
def test_any_text_is_a_query_or_faults(fields: dict[str, str]) -> None:
    """Whatever comes, the answer is a query within bounds, or QueryError; never another error."""
    try:
        query = parse_query(fields, SITES, NOW)
    except QueryError as error:
        assert error.faults
        return
    assert query.starts_at < query.ends_at
    assert 1 <= query.limit <= 1000
