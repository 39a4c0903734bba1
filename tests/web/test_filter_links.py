"""Links of the overview: each keeps filters, comparison and time zone, and a row's link filters by the row."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from gateway.analytics.filters import Condition, Filter, Join
from gateway.analytics.query import Query, parse_query
from gateway.web.console import ConsoleParts
from gateway.web.filter_words import build_chips, say_filter
from gateway.web.labels import Labels
from gateway.web.question import Question, build_question
from tests.web.console_browser import open_operator
from tests.web.console_example import build_parts

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ASKED = {
    "period": "30d",
    "where": 'page contains /a|"b"&c\nsource is_not Google',
    "compare": "previous_period",
    "timezone": "Asia/Tokyo",
}
NL, DIRECT = Condition("is", "country", ("NL",)), Condition("is", "source", ("direct",))


def ask(fields: dict[str, str]) -> Question:
    """The question in an address."""
    return build_question(parse_query(fields, {"main": "UTC", "werken": "UTC"}, NOW), fields)


def follow(url: str) -> Query:
    """The query that a link leads to."""
    return ask(dict(parse_qsl(urlsplit(url).query))).query


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[ConsoleParts]:
    """A console's parts."""
    parts = build_parts(tmp_path)
    yield parts
    parts.engine.dispose()


def test_every_link_keeps_filters_comparison_and_time_zone() -> None:
    """Other days, another site, chart or file, and the form for days: the rest of the question is the same."""
    question = ask(ASKED)
    kept = (question.query.filters, "previous_period", "Asia/Tokyo")
    assert question.query.filters is not None
    links = [question.url(), question.url(period="today"), question.on_site("werken"), question.on_day("2026-11-20")]
    links += [question.url("/api/report.csv"), question.url(chart="visits"), question.url(interval="week")]
    for query in [*map(follow, links), ask(question.hidden_fields()).query]:
        assert (query.filters, query.compare, query.timezone) == kept
    assert "filters" not in ask({}).url() and "timezone" not in ask({}).url()


def test_a_filter_is_added_by_its_row_and_taken_away_by_its_chip() -> None:
    """A row narrows what is asked, once; a chip takes away its own filter and no other."""
    question = ask({"where": "country is NL\nsource is direct"})
    assert question.parts == (NL, DIRECT)
    assert follow(question.only("page", "/a&b")).filters == Join(
        "and", (NL, DIRECT, Condition("is", "page", ("/a&b",)))
    )
    assert follow(question.only("page", "")).filters == Join("and", (NL, DIRECT, Condition("is", "page", ("",))))
    assert question.only("country", "NL") == ""
    assert [follow(chip.url).filters for chip in build_chips(question, Labels("en"))] == [DIRECT, NL]
    assert follow(ask({"where": "country is NL"}).without(NL)).filters is None


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (NL, "Country is Netherlands"),
        (Condition("is_not", "page", ("/a", "/b")), "Page is not /a or /b"),
        (Condition("contains", "prop:plan", ("goud",)), "plan contains goud"),
        (Join("or", (NL, DIRECT)), "(Country is Netherlands or Source is Direct)"),
        (Join("not", (DIRECT,)), "not (Source is Direct)"),
        (Join("has_not_done", (Condition("matches", "page", ("^/a",)),)), "the visit has not (Page matches ^/a)"),
    ],
)
def test_filters_are_said_in_words(found: Filter, words: str) -> None:
    """Conditions and what joins them, values by their names."""
    assert say_filter(found, Labels("en")) == words


def test_the_page_filters_without_a_script(parts: ConsoleParts) -> None:
    """Rows are links, filters can be taken away, what is not filtered says so: only where there is a filter."""
    browser = open_operator(parts)
    plain = browser.get("/").text
    assert "filters=%5B%22is%22%2C%22page%22%2C%5B%22%2Fcontact%22%5D%5D" in plain
    assert "Not filtered" not in plain and 'class="chips"' not in plain
    page = browser.get("/", params={"where": "page is /contact", "compare": "year"}).text
    assert 'aria-label="Remove filter: Page is /contact"' in page
    assert page.count("Not filtered: this is about the whole site.") == 5
    assert 'aria-current="true">A year before</a>' in page
