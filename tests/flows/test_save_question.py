"""Segments and funnels that operators keep: by name, for each site, on record, and asked like any other filter."""

import json
from datetime import date

import pytest
from sqlalchemy import Engine

from gateway.analytics.filters import encode_filters, parse_filters
from gateway.analytics.query import Query
from gateway.errors import QueryError
from gateway.flows.save_question import expand_segments, forget_saved, list_saved, save_funnel, save_segment
from gateway.ledger import entries, verify

DAY = Query("main", date(2026, 11, 23), date(2026, 11, 23), "UTC")
NEWSLETTER, BELGIANS = (
    ["is", "source", ["nieuwsbrief"]],
    ["or", [["is", "country", ["BE"]], ["is", "language", ["fr"]]]],
)


def asking(*filters: object) -> Query:
    """A question with these filters."""
    return DAY.only(parse_filters(list(filters), []))


@pytest.fixture
def kept(engine: Engine) -> Engine:
    """Two segments of one site."""
    save_segment(engine, asking(NEWSLETTER), "Lezers", "anke", 1.0)
    save_segment(engine, asking(BELGIANS), " België ", "anke", 2.0)
    return engine


def test_what_is_kept_is_listed_by_name_and_site(kept: Engine) -> None:
    """Trimmed, with who and when; a name that is taken is replaced; another site has none of it."""
    save_segment(kept, asking(["is", "source", ["Google"]]), "Lezers", "bram", 3.0)
    assert [(one.name, one.operator, one.at) for one in list_saved(kept, "main", "segment")] == [
        ("België", "anke", 2.0),
        ("Lezers", "bram", 3.0),
    ]
    assert list_saved(kept, "main", "funnel") == list_saved(kept, "werken", "segment") == []
    save_funnel(kept, "main", "Lezers", ["page is /", "event is form"], "anke", 4.0)
    assert list_saved(kept, "main", "funnel")[0].content == ["page is /", "event is form"]
    forget_saved(kept, "main", "segment", "Lezers", "anke", 5.0)
    assert [one.name for one in list_saved(kept, "main", "segment")] == ["België"]
    with pytest.raises(QueryError, match="no segment 'Lezers'"):
        forget_saved(kept, "main", "segment", "Lezers", "anke", 5.0)


def test_each_act_is_on_record(kept: Engine) -> None:
    """Who did what to which name, in the ledger's chain."""
    save_segment(kept, asking(NEWSLETTER), "Lezers", "bram", 3.0)
    forget_saved(kept, "main", "segment", "Lezers", "bram", 4.0)
    bodies = [json.loads(one.body) for one in entries(kept) if one.kind == "saved"]
    assert [(one["action"], one["name"], one["operator"]) for one in bodies] == [
        ("added", "Lezers", "anke"),
        ("added", "België", "anke"),
        ("changed", "Lezers", "bram"),
        ("deleted", "Lezers", "bram"),
    ]
    assert bodies[0]["content"] == NEWSLETTER
    assert verify(kept) == 4


def test_a_segment_stands_where_a_filter_can(kept: Engine) -> None:
    """Alone, among others, negated, in a join: the store is asked what the segment says, any of several names."""
    cases: list[tuple[list[object], list[object]]] = [
        ([["is", "segment", ["Lezers"]]], ["or", [NEWSLETTER]]),
        ([["is_not", "segment", ["België"]]], ["not", ["or", [BELGIANS]]]),
        ([["is", "segment", ["Lezers", "België"]]], ["or", [NEWSLETTER, BELGIANS]]),
        (
            [["has_done", ["is", "segment", ["Lezers"]]], ["is", "page", ["segment", "Lezers"]]],
            ["and", [["has_done", ["or", [NEWSLETTER]]], ["is", "page", ["segment", "Lezers"]]]],
        ),
    ]
    for asked, told in cases:
        assert encode_filters(expand_segments(asking(*asked), kept).filters) == told
    assert expand_segments(DAY, kept) is DAY
    with pytest.raises(QueryError, match="'Niemand' is unknown"):
        expand_segments(asking(["is", "segment", ["Niemand"]]), kept)


@pytest.mark.parametrize(
    ("query", "name", "fault"),
    [
        (asking(NEWSLETTER), "", "name ''"),
        (asking(NEWSLETTER), "a|b", "without |"),
        (asking(NEWSLETTER), "a\nb", "1 to 64"),
        (asking(NEWSLETTER), "x" * 65, "1 to 64"),
        (DAY, "Lezers", "no filter"),
        (asking(["is", "day", ["2026-11-23"]]), "Vandaag", "about day"),
        (asking(["is", "segment", ["België"]]), "Zelfde", "another one"),
    ],
)
def test_what_cannot_be_a_segment_is_refused(kept: Engine, query: Query, name: str, fault: str) -> None:
    """With words that say why, and nothing is kept."""
    before = list_saved(kept, "main", "segment")
    with pytest.raises(QueryError, match=fault.replace("|", r"\|")):
        save_segment(kept, query, name, "anke", 3.0)
    assert list_saved(kept, "main", "segment") == before
    with pytest.raises(QueryError, match="2 to 10 steps"):
        save_funnel(kept, "main", "Kort", ["page is /"], "anke", 3.0)
