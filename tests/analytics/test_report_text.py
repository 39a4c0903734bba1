"""A report as text: the figures with their names, in both languages, and nothing that a terminal would obey."""

import msgspec
import pytest

from gateway.analytics.report_text import Lines, report_lines
from gateway.analytics.results import (
    HIDDEN,
    Compared,
    ConsentFigures,
    CountRow,
    Period,
    Point,
    QueueState,
    Report,
    Row,
    Totals,
)

REPORT = Report(
    site="main",
    period=Period("2026-11-22", "2026-11-23", "Europe/Amsterdam", "day"),
    totals=Totals(12, 15, 40, 3, 2.6666, 0.3333, 134.2, 8.25),
    series=[Point("2026-11-22", 5, 6, 18), Point("2026-11-23", 7, 9, 22)],
    breakdowns={
        "page": [Row("/", 9, 10, 12, 21.44), Row("/contact", 3, 3, 3, None)],
        "topic": [],
        "source": [Row("", 2, 2, 4, 0.0)],
    },
    consent=ConsentFigures(50, 10, 2, 8, 1, 0.6),
    dropped=[CountRow("dropped", "bot", "", 4)],
    held=[],
    destinations=[QueueState("crm", "webhook", queued=1, delivered=30, last_error="http_503")],
)


def part(title: str, language: str = "en") -> Lines:
    """The part of the report with this title."""
    (found,) = [lines for lines in report_lines(REPORT, language) if lines.title.startswith(title)]
    return found


def test_totals_are_named_and_readable() -> None:
    """Counts, shares and times stand beside their names, under site, period and time zone."""
    lines = part("main")
    assert lines.title == "main: 2026-11-22 – 2026-11-23 (Europe/Amsterdam)"
    assert dict(lines.rows) == {  # type: ignore[arg-type]
        "Daily visitors": "12",
        "Visits": "15",
        "Page views": "40",
        "Events": "3",
        "Views per visit": "2.7",
        "Bounce rate": "33.3 %",
        "Visit duration": "2 m 14 s",
        "Median visit duration": "8.2 s",
    }


def test_the_period_compared_with_stands_beside() -> None:
    """Who asks for a comparison sees the other period's figures under its dates, and each row's visitors of then; what is
    withheld of it says so, and without a comparison there is no such column."""
    compared = Compared("2026-11-20", "2026-11-21", Totals(6, 7, 20, 1, 2.9, 0.5, 60.0, 5.0))
    rows = {"page": [Row("/", 9, 10, 12, 21.44, before=4), Row("/contact", 3, 3, 3, None)]}
    asked = msgspec.structs.replace(REPORT, breakdowns=rows, compared=compared)
    totals, pages = (
        next(one for one in report_lines(asked) if one.title.startswith(name)) for name in ("main", "Pages")
    )
    assert totals.header == ("Figure", "Value", "2026-11-20 – 2026-11-21")
    assert ("Daily visitors", "12", "6") in totals.rows and ("Bounce rate", "33.3 %", "50.0 %") in totals.rows
    assert pages.header[-1] == "Before" and [row[-1] for row in pages.rows] == ["4", "–"]
    hidden = msgspec.structs.replace(asked, compared=msgspec.structs.replace(compared, totals=None))
    assert ("Bezoekers per dag", "12", "niet getoond") in report_lines(hidden, "nl")[0].rows
    assert len(part("main").header) == 2 and "Before" not in part("Pages").header


def test_what_is_not_known_is_a_dash() -> None:
    """Without visits there are no rates: a dash, not a zero."""
    empty = msgspec.structs.replace(REPORT, totals=Totals(), consent=ConsentFigures())
    cells = {row[0]: row[1] for lines in report_lines(empty) for row in lines.rows if len(row) == 2}
    assert (cells["Bounce rate"], cells["Visit duration"], cells["Said yes, of those who chose"]) == ("–", "–", "–")


def test_breakdowns_have_a_column_for_each_measure() -> None:
    """Rows keep their order; a time that is not known is a dash; a missing value has a word."""
    assert part("Pages").header == ("Name", "Daily visitors", "Visits", "Page views", "Time on page")
    assert part("Pages").rows == [("/", "9", "10", "12", "21.4 s"), ("/contact", "3", "3", "3", "–")]
    assert part("Sources").header[-1] == "Visit duration"
    assert part("Sources").rows == [("(none)", "2", "2", "4", "0.0 s")]


def test_what_is_about_too_few_is_said_in_words() -> None:
    """Withheld figures have a word, rows put together a line of their own."""
    points = [Point("2026-11-22", None, None, None)]
    few = msgspec.structs.replace(REPORT, others={"source": Row("", 4, 4, 4)}, series=points)
    lines = {one.title: one.rows for one in report_lines(few)}
    assert lines["Over time"] == [("2026-11-22", "withheld", "withheld", "withheld")]
    assert lines["Sources"][-1] == ("(too few visitors each)", "4", "4", "4", "–")
    apart = msgspec.structs.replace(REPORT, rows_withheld="part_of_day")
    assert report_lines(apart)[0].rows[-1] == ("Breakdowns (of whole days of the site's own time zone)", "withheld")
    hidden = msgspec.structs.replace(REPORT, withheld="few", totals=HIDDEN)
    assert {row[1] for row in report_lines(hidden)[0].rows} == {"withheld"}


def test_parts_without_rows_are_left_out() -> None:
    """What has nothing to tell is not shown."""
    titles = [lines.title for lines in report_lines(REPORT)]
    assert titles[1:] == ["Over time", "Pages", "Sources", "Consent", "Not counted", "Destinations"]


@pytest.mark.parametrize("language", ["en", "nl"])
def test_each_row_fits_its_header(language: str) -> None:
    """Every row has as many cells as its part has columns, in each language."""
    for lines in report_lines(REPORT, language):
        assert lines.title
        assert all(len(row) == len(lines.header) for row in lines.rows)


def test_dutch_words() -> None:
    """The same report in Dutch."""
    assert part("Toestemming", "nl").rows[0] == ("Banner getoond", "50")


def test_control_characters_are_made_visible() -> None:
    """A name that carries a terminal's commands is shown without them."""
    hostile = msgspec.structs.replace(REPORT, breakdowns={"source": [Row("\x1b[2Jweg\r\n\u202e", 1, 1, 1)]})
    (lines,) = [lines for lines in report_lines(hostile) if lines.title == "Sources"]
    assert lines.rows[0][0] == "�[2Jweg���"
