"""Imported days are said to be imported wherever figures are shown: console, mail, terminal, CSV."""

from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from msgspec.structs import replace

from gateway.analytics.answers import Answer, Imported
from gateway.analytics.period import Days
from gateway.analytics.report_text import report_lines
from gateway.web.labels import Labels
from gateway.web.overview import build_imported
from gateway.web.pages import Pages
from gateway.web.report_api import build_csv
from gateway.web.report_mail import fill_mail, report_query
from gateway.web.table_api import build_table
from tests.web.console_example import build_example

SHOWN = Imported("plausible", "2026-11-01", "2026-11-16", 16, "", ("visit_duration", "topic"))
LEFT_OUT = replace(SHOWN, left_out="filter", lacking=())
QUERY = report_query(
    "main",
    "Europe/Amsterdam",
    Days(datetime(2026, 11, 1, tzinfo=UTC).date(), datetime(2026, 11, 30, tzinfo=UTC).date()),
)


@pytest.mark.parametrize(
    ("language", "shown", "left_out"),
    [
        (
            "en",
            "1 – 16 Nov 2026: counted by Plausible and imported. Those days tell nothing of visit duration, topics; "
            "these figures are of the site's own days alone.",
            "is left out of these figures",
        ),
        (
            "nl",
            "1 – 16 nov 2026: geteld door Plausible en geïmporteerd. Die dagen zeggen niets over bezoekduur, onderwerpen; "
            "deze cijfers zijn alleen van de eigen dagen van de site.",
            "is uit deze cijfers weggelaten",
        ),
    ],
)
def test_console_and_mail_say_it_in_words(language: str, shown: str, left_out: str) -> None:
    """Which days, by whom, what they do not tell, and when they are left out."""
    labels = Labels(language)
    assert build_imported(None, labels) == ""
    assert build_imported(SHOWN, labels) == shown
    assert left_out in build_imported(LEFT_OUT, labels)
    message = EmailMessage()
    report = replace(build_example(QUERY), imported=SHOWN)
    fill_mail(message, report, QUERY, "Voorbeeld Incasso", labels, Pages(), {"console": "", "unsubscribe": ""})
    for part in message.iter_parts():
        text = part.get_content().replace("\n", " ").replace("&#39;", "'")
        assert shown in text


def test_files_and_terminal_say_it_too() -> None:
    """Lines of the report's CSV, a remark below a table's rows, a part of the report as text."""
    report = replace(build_example(QUERY), imported=SHOWN)
    csv = build_csv(report, "imported").decode()
    assert "imported,plausible,,first,2026-11-01" in csv
    assert "imported,plausible,,lacking,visit_duration topic" in csv
    table = build_table(QUERY, Answer([], imported=LEFT_OUT)).decode().splitlines()[-1]
    assert table.endswith('"imported days 2026-11-01 to 2026-11-16, counted by plausible: left out (filter)"')
    for language, title in (("en", "Counted before by another tool"), ("nl", "Eerder geteld met een ander programma")):
        [part] = [part for part in report_lines(report, language) if part.title == title]
        assert part.rows[0][1] == "2026-11-01 – 2026-11-16"
        assert len(part.rows) == 2
