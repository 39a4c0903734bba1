"""What the overview says of its figures: what they are compared with, and what rows without a name or with others stand for."""

import html
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.analytics.live import Live, LiveRow
from gateway.analytics.metrics import BREAKDOWNS
from gateway.analytics.query import Query
from gateway.analytics.results import Compared, Point, Report, Row, Totals
from gateway.web.console import ConsoleParts
from gateway.web.overview import compare_figure
from tests.web.console_browser import open_operator
from tests.web.console_example import build_example, build_live_example, build_parts


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[ConsoleParts]:
    """A console over the example report."""
    built = build_parts(tmp_path)
    yield built
    built.engine.dispose()


@pytest.mark.parametrize(
    ("totals", "told"),
    [
        (Totals(), "Compared with 10 – 16 Nov 2026: there are no figures of those days."),
        (None, "Compared with 10 – 16 Nov 2026, whose figures are withheld: they are about too few visitors."),
    ],
)
def test_that_there_is_nothing_to_compare_with_is_said_once(
    parts: ConsoleParts, totals: Totals | None, told: str
) -> None:
    """Days without figures, or of too few visitors: a sentence, and figures and rows as without a comparison."""

    def compared(query: Query) -> Report:
        report, before = build_example(query), None if totals is None else 0
        return replace(
            report,
            breakdowns={"country": [Row("NL", 366, 1, 1, 1.0, before), Row("BE", 122, 1, 1, 1.0, before)]},
            compared=Compared("2026-11-10", "2026-11-16", totals),
        )

    page = open_operator(parts, report=compared).get("/").text
    assert page.count(told) == 1 and "change" not in re.findall(r'<span class="(\w*)', page)
    assert re.findall(r'<td class="n muted share">(.*?)</td>', page) == ["75%", "25%"]
    assert '<span class="hidden">Share</span>' in page and '<span class="hidden">Change</span>' not in page


@pytest.mark.parametrize(
    ("period", "told"),
    [
        (
            "7d",
            "Compared with 10 – 16 Nov 2026. Today is not over: the key figures are compared without what still "
            "runs, the lists with it.",
        ),
        ("yesterday", "Compared with 10 – 16 Nov 2026.</p>"),
    ],
)
def test_a_comparison_says_that_today_is_not_over(parts: ConsoleParts, period: str, told: str) -> None:
    """In the morning fewer visitors than in a whole day are no bad news."""

    def compared(query: Query) -> Report:
        report = build_example(query)
        return replace(report, compared=Compared("2026-11-10", "2026-11-16", report.totals))

    assert told in open_operator(parts, report=compared).get(f"/?period={period}").text


def test_what_still_runs_is_left_out_of_what_is_compared(parts: ConsoleParts) -> None:
    """In the morning half a day is not held against a whole one: counts compare the days and hours that are over with as many
    of the other period; where one of them is withheld they compare all, and before anything is over nothing."""
    query, report = Query("main", date(2026, 11, 22), date(2026, 11, 23), "Europe/Amsterdam"), parts.report
    found = report(query)
    now, before = [Point("2026-11-22", 30, 31, 90), Point("2026-11-23", 2, 2, 2)], [Point("2026-11-20", 20, 31, 60)] * 2
    whole = replace(found.totals, daily_visitors=40, visits=62, page_views=120)
    found = replace(found, series=now, compared=Compared("2026-11-20", "2026-11-21", whole, before))
    keys = ("daily_visitors", "visits", "page_views", "bounce_rate")
    assert [compare_figure(key, found, 1) for key in keys] == [(30, 20), (31, 31), (90, 60), (0.412, 0.412)]
    assert compare_figure("daily_visitors", found, 2) == (found.totals.daily_visitors, 40)
    assert compare_figure("daily_visitors", found, 0)[1] is None
    hidden = replace(found, series=[Point("2026-11-22", None, 1, 1), now[1]])
    assert compare_figure("daily_visitors", hidden, 1) == (found.totals.daily_visitors, 40)
    page = open_operator(parts, report=lambda _: found).get("/?from=2026-11-22&to=2026-11-23").text
    assert re.findall(r'class="change (\w*)">(.*?)<', page)[:3] == [("up", "+50%"), ("", "0%"), ("up", "+50%")]


@pytest.mark.parametrize(
    ("address", "compares"),
    [
        ("/", True),
        ("/?site=main&lang=en", True),
        ("/?period=7d", False),
        ("/?filters=", False),
        ("/?compare=year", True),
    ],
)
def test_who_opens_the_console_sees_how_it_was_before(parts: ConsoleParts, address: str, compares: bool) -> None:
    """Without a question the period before stands beside the last seven days; whatever is asked is answered as asked, and no
    comparison is one click away."""
    asked: list[Query] = []

    def note(query: Query) -> Report:
        asked.append(query)
        return build_example(query)

    page = open_operator(parts, report=note).get(address).text
    assert bool(asked[-1].compare) == compares
    (plain,) = re.findall(r'<a href="([^"]*)"[^>]*>No comparison</a>', page)
    open_operator(parts, report=note).get(html.unescape(plain))
    assert asked[-1].compare == ""


def card(page: str, key: str) -> str:
    """The words and links of one breakdown."""
    found: list[str] = re.findall(
        rf'<div class="panel" data-live="card-{key}">(.*?)</div>\s*(?:<input|</div>)', page, re.DOTALL
    )
    return found[0]


@pytest.mark.parametrize(
    ("key", "told"), [("channel", "later page"), ("campaign", "utm_campaign"), ("topic", "no topic")]
)
def test_a_row_without_a_name_is_explained_where_it_stands(parts: ConsoleParts, key: str, told: str) -> None:
    """Beneath the rows, for whoever has no mouse too; where each row has a name, nothing is said."""

    def named(query: Query) -> Report:
        return replace(build_example(query), breakdowns={one: [Row("a", 9, 9, 9)] for one in BREAKDOWNS})

    assert re.search(rf'<p class="hint said">\(none\): [^<]*{told}', card(open_operator(parts).get("/").text, key))
    assert "(none)" not in open_operator(parts, report=named).get("/").text


def test_why_rows_of_few_people_stand_together_is_said_and_explained(parts: ConsoleParts) -> None:
    """Where no other row is left, a sentence says so; each such row leads to what is said of few people below."""

    def few(query: Query) -> Report:
        rows = {one: [Row("NL", 9, 9, 9)] if one == "country" else [] for one in BREAKDOWNS}
        return replace(build_example(query), breakdowns=rows, others={one: Row("", 6, 6, 6) for one in rows})

    page = open_operator(parts, report=few).get("/").text
    told = "Rows of fewer than 5 daily visitors stand together"
    assert told in card(page, "page") and told not in card(page, "country")
    assert 'href="#few-people"' in card(page, "country")
    assert '<div id="few-people"><dt>Few people</dt>' in page


def test_a_console_that_keeps_nothing_to_itself_says_nothing_of_few_people(tmp_path: Path) -> None:
    """`min_visitors = 1` puts no rows together, and there is nothing to explain."""
    parts = build_parts(tmp_path, settings={"analytics": {"min_visitors": 1}})
    assert "few-people" not in open_operator(parts).get("/").text
    parts.engine.dispose()


def test_the_last_half_hour_explains_a_source_without_a_name_too(parts: ConsoleParts) -> None:
    """The page Now says beneath its sources what the one without a name is, where there is one."""

    def unnamed(site: str) -> Live:
        live = build_live_example(site)
        return replace(live, rows={**live.rows, "source": [LiveRow("", 9, 9)]})

    told = "(none): the visitor said yes only on a later page"
    assert told in open_operator(parts, live=unnamed).get("/live").text
    assert told not in open_operator(parts).get("/live").text
