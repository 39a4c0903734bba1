"""A report as a mail: what programs that show no pictures read."""

from datetime import date
from email.message import EmailMessage

from msgspec.structs import replace

from gateway.analytics.period import Days
from gateway.analytics.results import Compared, Point, Totals
from gateway.web.labels import Labels
from gateway.web.pages import Pages
from gateway.web.report_mail import fill_mail, report_query
from tests.web.console_example import build_example


def test_a_months_mail_tells_each_of_its_days() -> None:
    """A mail program without pictures reads every day of a month, not each seventh; fewer days are told as well."""
    for last in (7, 30):
        query = report_query("main", "Europe/Amsterdam", Days(date(2026, 11, 1), date(2026, 11, last)))
        message, labels = EmailMessage(), Labels("nl")
        series = [Point(f"2026-11-{day:02}", 100 + day, 200, 300) for day in range(1, last + 1)]
        report = replace(build_example(query), series=series)
        fill_mail(message, report, query, "Voorbeeld Incasso", labels, Pages(), {"console": "", "unsubscribe": ""})
        body = message.get_body(("plain",))
        assert body is not None
        said = body.get_content().splitlines()
        assert [f"  {day} nov: {100 + day}" in said for day in range(1, last + 1)] == [True] * last


def test_a_first_mail_compares_with_nothing() -> None:
    """Where no figures came before, none is "new": the mail names no period compared with."""
    query = report_query("main", "Europe/Amsterdam", Days(date(2026, 11, 16), date(2026, 11, 22)))
    told = {}
    for name, totals in (("none", Totals()), ("some", build_example(query).totals)):
        report = replace(build_example(query), compared=Compared("2026-11-09", "2026-11-15", totals))
        message = EmailMessage()
        fill_mail(message, report, query, "Voorbeeld", Labels("en"), Pages(), {"console": "", "unsubscribe": ""})
        body = message.get_body(("plain",))
        assert body is not None
        told[name] = body.get_content()
    assert "compared with 9 – 15 Nov 2026" in told["some"] and "(0%)" in told["some"]
    assert "compared with" not in told["none"] and "new" not in told["none"]
