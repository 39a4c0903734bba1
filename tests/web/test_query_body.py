"""The body of a question from a program: whatever is sent is a question or a list of faults, and never a fault of ours."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.analytics.answers import Answer
from gateway.errors import QueryError
from gateway.web.query_api import build_reply
from gateway.web.query_body import FIELDS, INCLUDED, Asked, parse_body

NOW = datetime(2026, 11, 23, 13, 20, tzinfo=UTC)
SITES = {"main": "Europe/Amsterdam"}
PLAIN: dict[str, Any] = {"site_id": "main", "metrics": ["visitors"], "date_range": "7d"}
# Words that mean something somewhere, so that what is tried comes far.
WORDS = ("main", "visitors", "event:page", "time:hour", "prop:plan", "is", "and", "not", "has_done", "desc", "7d", "mode",
         "year", "2026-11-01", "2026-11-40", "9999-12-31", "0001-01-01", "[", "\0")  # fmt: skip
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
    st.sampled_from(("event:page", "visit:country", "event:props:plan", "event:goal", "time:day")),
    st.lists(st.sampled_from(("/", "NL", "^x", "")), min_size=1, max_size=3),
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
    st.sampled_from(("day", "30d", "12mo", "all", ["2024-02-29", "2024-02-29"], ["2026-10-25", "2026-10-25"])),
    st.lists(st.sampled_from(("time:week", "visit:source", "event:props:plan", "page")), unique=True, max_size=4),
    st.booleans(),
)
def test_what_was_understood_is_the_same_question(
    filters: list[Any], comparisons: dict[str, str] | None, date_range: Any, dimensions: list[str], rows: bool
) -> None:
    """The `query` of an answer, sent again, asks exactly the same: a program may keep it."""
    asked = parse(
        PLAIN
        | {"filters": filters, "date_range": date_range, "dimensions": dimensions, "timezone": "Asia/Kathmandu"}
        | {"include": {"comparisons": comparisons, "total_rows": rows}, "order_by": [["visitors", "asc"]]}
    )
    assert parse(build_reply(asked, Answer([]))["query"]) == asked
