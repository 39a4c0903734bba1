"""The body of a question from a program: whatever is sent is a question or a list of faults, and never a fault of ours."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.analytics.answers import Answer, Imported
from gateway.analytics.query import Order
from gateway.errors import QueryError
from gateway.web.query_api import build_reply
from gateway.web.query_body import FIELDS, INCLUDED, Asked, parse_body

NOW = datetime(2026, 11, 23, 13, 20, tzinfo=UTC)
SITES = {"main": "Europe/Amsterdam"}
PLAIN: dict[str, Any] = {"site_id": "main", "metrics": ["visitors"], "date_range": "7d"}
# Words that mean something somewhere, so that what is tried comes far.
WORDS = ("main", "visitors", "event:page", "time:hour", "prop:plan", "is", "and", "not", "has_done", "desc", "7d", "mode",
         "year", "24h", "percentage", "2026-11-01", "2026-11-01T12:00", "2026-11-01T25:00Z", "2026-11-40", "9999-12-31",
         "0001-01-01", "[", "\0")  # fmt: skip
KEYS = (*INCLUDED, "limit", "offset", "mode", "case_sensitive")
LEAF = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats()
    | st.text("ab:é\0", max_size=8)
    | st.sampled_from(WORDS)
)
ANY = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text("abé", max_size=3), inner)
    ),
    max_leaves=10,
)
CONDITION = st.tuples(
    st.sampled_from(("is", "is_not", "contains", "matches_not")),
    st.sampled_from(("event:page", "visit:country", "event:props:plan", "event:goal")),
    st.lists(st.sampled_from(("/", "NL", "^x", "")), min_size=1, max_size=3),
).map(list) | st.tuples(
    st.sampled_from(("is", "is_not", "contains", "matches_not")),
    st.sampled_from(("time:day", "time:week")),
    st.lists(st.sampled_from(("2026-11-23", "2026-11-16")), min_size=1, max_size=3),
).map(list)
FILTER = st.recursive(
    CONDITION,
    lambda inner: (
        st.tuples(st.sampled_from(("and", "or")), st.lists(inner, min_size=1, max_size=3)).map(list)
        | st.tuples(st.just("not"), inner).map(list)
    ),
    max_leaves=5,
)
COMPARISON = st.sampled_from((None, {"mode": "previous_period"}, {"mode": "year_over_year"}))


def parse(question: dict[str, Any]) -> Asked:
    """What is understood of a question."""
    return parse_body(msgspec.json.encode(question), SITES, NOW)


FIELDS_OF_ANY = dict.fromkeys(FIELDS, ANY) | {
    "include": st.fixed_dictionaries({}, optional=dict.fromkeys(INCLUDED, ANY)) | ANY,
    "pagination": st.fixed_dictionaries({}, optional={"limit": ANY, "offset": ANY}) | ANY,
}


@settings(max_examples=400)
@given(st.fixed_dictionaries({}, optional=FIELDS_OF_ANY))
def test_whatever_is_sent_is_a_question_or_a_list_of_faults(changes: dict[str, Any]) -> None:
    """Any JSON in any field: understood, or refused with words."""
    try:
        parse(PLAIN | changes)
    except QueryError as error:
        assert error.faults and all(error.faults)


@given(
    FILTER,
    COMPARISON,
    st.sampled_from(
        (
            "day",
            "30d",
            "12mo",
            "all",
            ["2024-02-29", "2024-02-29"],
            ["2026-10-25", "2026-10-25"],
            "24h",
            ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"],
            ["2026-03-29T00:00", "2026-03-30T03:30"],
        )
    ),
    st.lists(st.sampled_from(("time:week", "visit:source", "event:props:plan", "page")), unique=True, max_size=4),
    st.booleans(),
    st.sampled_from((["visitors"], ["percentage", "visits"], ["bounce_rate", "percentage", "visitors"])),
)
def test_what_was_understood_is_the_same_question(
    filters: list[Any],
    comparisons: dict[str, str] | None,
    date_range: Any,
    dimensions: list[str],
    rows: bool,
    metrics: list[str],
) -> None:
    """The `query` of an answer, sent again, asks exactly the same: a program may keep it."""
    asked = parse(
        PLAIN
        | {"metrics": metrics if dimensions else ["visitors"]}
        | {"filters": filters, "date_range": date_range, "dimensions": dimensions, "timezone": "Asia/Kathmandu"}
        | {"include": {"comparisons": comparisons, "total_rows": rows, "imports": rows}}
        | {"order_by": [["percentage" if dimensions and "percentage" in metrics else "visitors", "asc"]]}
    )
    assert parse(build_reply(asked, Answer([]))["query"]) == asked


def test_times_are_moments_of_the_local_clock() -> None:
    """With an offset or without, the last second counts; 24 hours end now; what is no such period is told."""
    for written in (
        ["2026-11-23T12:00:00+02:00", "2026-11-23T15:59:59+02:00"],
        ["2026-11-23T11:00:00", "2026-11-23T14:59:59"],
        ["2026-11-23T10:00:00Z", "2026-11-23T13:59:59Z"],
    ):
        times = parse(PLAIN | {"date_range": written}).query.times
        assert times == (
            datetime(2026, 11, 23, 10, tzinfo=UTC).timestamp(),
            datetime(2026, 11, 23, 14, tzinfo=UTC).timestamp(),
        )
    twice = parse(PLAIN | {"date_range": ["2026-10-25T02:00", "2026-10-25T02:59:59"]}).query.times
    assert twice == tuple(datetime(2026, 10, 25, hour, tzinfo=UTC).timestamp() for hour in (0, 2))
    query = parse(PLAIN | {"date_range": "24h"}).query
    assert query.times == (NOW.timestamp() + 1 - 86_400, NOW.timestamp() + 1)
    assert (query.first.day, query.last.day) == (22, 23)
    before = query.asking(compare="previous_period").compared
    assert before is not None and before.times == (NOW.timestamp() + 1 - 2 * 86_400, NOW.timestamp() + 1 - 86_400)
    leap = parse(PLAIN | {"date_range": ["2024-02-29T10:00", "2024-02-29T11:00"]}).query.asking(compare="year").compared
    assert leap is not None and leap.first.isoformat() == "2023-02-28"
    for wrong, fault in (
        (["2026-11-23T12:00", "2026-11-23T11:00"], "is after"),
        (["2026-11-23T12:00", "2026-11-23T25:00"], "is not a time"),
        (["2026-11-23T12:00", "2026-11-23"], "is not a date"),
        (["1926-11-23T12:00", "2026-11-23T12:00"], "is not a time from 2000"),
        (["2020-11-23T12:00", "2026-11-23T12:00"], "at most 1100 days"),
    ):
        with pytest.raises(QueryError, match=fault):
            parse(PLAIN | {"date_range": wrong})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"date_range": ["2026-11-23T12:00:00+99:00", "2026-11-23T13:00:00"]}, ["+99:00' is not a time"]),
        ({"date_range": ["2026-11-23T12:00:00", "2026-11-23T13:00:00+99:00"]}, ["+99:00' is not a time"]),
        ({"date_range": ["+99:00T", "T"]}, ["'+99:00T' is not a time", "'T' is not a time"]),
        ({"date_range": ["2026-11-30", "later"]}, ["to 'later' is not a date"]),
        ({"date_range": ["2020-11-30", "later"], "dimensions": ["time:hour"]}, ["to 'later' is not a date"]),
        ({"date_range": ["sooner", "later"]}, ["to 'later' is not a date", "from 'sooner' is not a date"]),
        ({"metrics": ["visitors", "bogus", "bogus"]}, ["metric 'bogus' is unknown"]),
        ({"metrics": ["visitors", "visitors", "visitors"]}, ["metric 'visitors' is asked for twice"]),
        ({"dimensions": ["visit:mood", "visit:mood"]}, ["dimension 'visit:mood' is unknown"]),
        ({"filters": [["is", "visit:mood", ["x"]]] * 2}, ["'visit:mood': no such dimension"]),
        ({"metrics": ["percentage"], "dimensions": ["visit:mood"]}, ["dimension 'visit:mood' is unknown"]),
    ],
)
def test_faults_are_told_once_and_none_that_is_none(changes: dict[str, Any], words: list[str]) -> None:
    """One mistake is one sentence: nothing follows from what could not be read, however often it stands there."""
    with pytest.raises(QueryError) as caught:
        parse(PLAIN | changes)
    assert [word in fault for word, fault in zip(words, caught.value.faults, strict=True)] == [True] * len(words)


@pytest.mark.parametrize(
    ("date_range", "meant"),
    [
        ("24h", "hour"), ("day", "hour"), (["2026-11-22", "2026-11-23"], "hour"), ("7d", "day"), ("30d", "day"),
        ("91d", "week"), ("12mo", "month"), (["2026-11-01T00:00", "2026-11-03T02:00"], "day"),
    ],
)  # fmt: skip
def test_time_alone_is_the_bucket_that_fits(date_range: Any, meant: str) -> None:
    """As Plausible chooses it, and told in the answer."""
    asked = parse(PLAIN | {"date_range": date_range, "dimensions": ["time"], "order_by": [["time", "desc"]]})
    assert (asked.query.dimensions, asked.query.order_by) == ((meant,), (Order(meant, True),))
    assert build_reply(asked, Answer([]))["query"]["dimensions"] == [f"time:{meant}"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"metrics": ["percentage"]}, "'percentage' is of a breakdown"),
        ({"metrics": ["percentage", "percentage"], "dimensions": ["event:page"]}, "asked for twice"),
        ({"dimensions": ["event:page"], "order_by": [["percentage", "asc"]]}, "none of the metrics"),
    ],
)
def test_percentages_are_of_breakdowns(changes: dict[str, Any], fault: str) -> None:
    """Without dimensions, twice, or in an order without being asked for, they are faults."""
    with pytest.raises(QueryError, match=fault):
        parse(PLAIN | changes)


@pytest.mark.parametrize(
    ("imported", "meta"),
    [
        (None, {"imports_included": False, "imports_skip_reason": "no_imported_data"}),
        ("hour", {"imports_included": False, "imports_skip_reason": "unsupported_interval"}),
        ("filter", {"imports_included": False, "imports_skip_reason": "unsupported_query"}),
        ("", {"imports_included": True, "imports_warning": "imported days tell nothing of: visit_duration"}),
    ],
)
def test_imports_are_told_in_words_of_plausible(imported: str | None, meta: dict[str, Any]) -> None:
    """Whether imported days are in the figures, and why not; only where they are asked for."""
    found = Answer([])
    if imported is not None:
        lacking = () if imported else ("visit_duration",)
        found = Answer([], imported=Imported("plausible", "2026-11-01", "2026-11-02", 2, imported, lacking))
    asked = parse(PLAIN | {"include": {"imports": True}})
    assert asked.query.imports
    assert build_reply(asked, found)["meta"] == meta
    assert not parse(PLAIN).query.imports
    assert build_reply(parse(PLAIN), found)["meta"] == {}
