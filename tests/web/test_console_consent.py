"""The console's page on consent: the report's numbers, with their definitions, in both languages."""

from pathlib import Path

import pytest

from gateway.analytics.consent_results import ConsentReport, build_row
from gateway.analytics.query import Query
from gateway.analytics.results import Period
from gateway.errors import StoreError
from gateway.web.consent_view import place_days, stack_days
from gateway.web.labels import Labels
from tests.web.console_browser import open_operator
from tests.web.console_example import build_parts

MARKUP = "<script>alert(1)</script>"


def nothing(query: Query) -> ConsentReport:
    """Nobody was asked."""
    period = Period(query.first.isoformat(), query.last.isoformat(), query.timezone, "day")
    days = [build_row(query.first.isoformat(), 0, {})]
    return ConsentReport(query.site, period, build_row("", 0, {}), 0, 0, None, [], [], [], days)


def hostile(query: Query) -> ConsentReport:
    """A language that somebody made up."""
    rows = [build_row(MARKUP, 1, {"refused": 1})]
    report = nothing(query)
    return ConsentReport(report.site, report.period, rows[0], 1, 0, 1.0, [], rows, rows, report.days)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "nl",
            ["Toestemming", "Per doel", "Statistiek", "Nederlands", "Telefoon", "geweigerd ÷ (geaccepteerd + deels"],
        ),
        ("en", ["Consent", "By purpose", "Statistics", "Dutch", "Phone", "refused ÷ (accepted + partly + refused)"]),
    ],
)
def test_the_page_says_what_the_report_says(tmp_path: Path, language: str, words: list[str]) -> None:
    """Figures, breakdowns and definitions stand on it; a link leads to the same as CSV, another to the other site."""
    page = open_operator(build_parts(tmp_path)).get(f"/consent?period=7d&lang={language}").text
    assert [word for word in words if word not in page] == []
    labels = Labels(language)
    assert "/api/consent.csv?site=main&amp;period=7d" in page
    assert "/consent?site=werken" in page
    assert f">{labels.number(485)}<" in page


def test_nothing_to_show_is_said_so(tmp_path: Path) -> None:
    """Without a choice there are no rates, and no column."""
    page = open_operator(build_parts(tmp_path, consent=nothing)).get("/consent?lang=en").text
    assert "Nobody has chosen in this period." in page
    assert 'class="accepted" x=' not in page


def test_what_is_made_up_is_shown_and_never_run(tmp_path: Path) -> None:
    """Names are text."""
    page = open_operator(build_parts(tmp_path, consent=hostile)).get("/consent?lang=en").text
    assert MARKUP not in page
    assert "&lt;script&gt;" in page


def test_a_store_that_is_down_is_said_so(tmp_path: Path) -> None:
    """The page answers 503 without a word of the inside."""

    def broken(query: Query) -> ConsentReport:
        raise StoreError("/secret/path")

    answer = open_operator(build_parts(tmp_path, consent=broken)).get("/consent")
    assert (answer.status_code, "/secret" in answer.text) == (503, False)


def test_columns_add_up() -> None:
    """A day's blocks stand on one another, from the bottom, and are as high together as the day's column."""
    days = [build_row("2026-11-22", 9, {"accepted": 6, "partly": 1, "refused": 3}), build_row("2026-11-23", 0, {})]
    geometry = place_days(days, Labels("en"), "2026-11-23")
    blocks = stack_days(days, geometry, Labels("en"))
    assert [block.key for block in blocks] == ["accepted", "partly", "refused"]
    heights = [float(block.height[:-1]) for block in blocks]
    assert sum(heights) == pytest.approx(float(geometry.bars[0].height[:-1]), abs=0.01)
    assert float(blocks[0].y[:-1]) + heights[0] == pytest.approx(100, abs=0.01)
    assert float(blocks[1].y[:-1]) + heights[1] == pytest.approx(float(blocks[0].y[:-1]), abs=0.01)
    assert blocks[2].title == "Sunday 22 November 2026: Refused 3"
