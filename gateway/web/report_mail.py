"""A site's report as a mail: plain text, and HTML whose pictures are cells of tables, which every mail program draws."""

from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from gateway.analytics.period import Days
from gateway.analytics.query import Query
from gateway.analytics.results import Report
from gateway.web.cards import build_card
from gateway.web.chart import choose_top
from gateway.web.labels import Labels
from gateway.web.overview import build_imported, build_segments, build_tiles
from gateway.web.pages import Pages
from gateway.web.question import Question

CARDS = ("page", "source", "country")
ROWS = 5
HIGH = 96  # pixels of the tallest bar


@dataclass(frozen=True)
class Column:
    """A day's bar: its height in pixels, the number, and the words under it."""

    high: int
    title: str
    under: str


def report_query(site: str, timezone: str, days: Days) -> Query:
    """What a mail's report is asked for."""
    return Query(site, days.first, days.last, timezone, limit=ROWS, compare="previous_period")


def fill_mail(
    message: EmailMessage,
    report: Report,
    query: Query,
    site_name: str,
    labels: Labels,
    pages: Pages,
    links: dict[str, str],
) -> None:
    """Put a report into a mail. `links` are `console` and `unsubscribe`; either may be empty."""
    question = Question(query, "", "daily_visitors")
    shown: dict[str, Any] = {
        "l": labels,
        "t": labels.texts,
        "m": labels.texts["mail"],
        "site_name": site_name,
        "period": labels.days(report.period.first, report.period.last),
        "before": labels.days(report.compared.first, report.compared.last) if report.compared and report.before else "",
        "tiles": build_tiles(report, question, labels, 30, len(report.series)),
        "columns": build_columns(report, labels),
        "cards": [build_card(key, report.breakdowns.get(key, []), report, question, labels) for key in CARDS],
        "consent": report.consent,
        "segments": build_segments(report.consent, labels),
        "withheld": report.withheld,
        "imported": build_imported(report.imported, labels),
        "links": links,
    }
    if links["unsubscribe"]:
        message["List-Unsubscribe"] = f"<{links['unsubscribe']}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content("\n".join(_text_lines(shown)) + "\n")
    message.add_alternative(pages.render("mail/report.html", **shown), subtype="html")
    message["Content-Language"] = labels.language  # last: what is said of the content goes with each content


def mail_subject(report: Report, site_name: str, labels: Labels) -> str:
    """`Voorbeeld Incasso: 488 daily visitors, 17 – 23 Nov 2026`."""
    period, visitors = labels.days(report.period.first, report.period.last), report.totals.daily_visitors
    name = "subject_withheld" if visitors is None else "subject"
    return str(labels.texts["mail"][name].format(site=site_name, visitors=labels.number(visitors), period=period))


def build_columns(report: Report, labels: Labels) -> list[Column]:
    """The days' bars, each with its day; of many days the pictures have room for every seventh's (mail/report.html)."""
    counts = [point.daily_visitors for point in report.series]
    top = choose_top(max((count or 0 for count in counts), default=0))
    hidden = labels.texts["compared"]["withheld"]
    return [
        Column(
            round(HIGH * (count or 0) / top),
            hidden if count is None else labels.number(count),
            labels.day(point.at),
        )
        for point, count in zip(report.series, counts, strict=True)
    ]


def _text_lines(shown: dict[str, Any]) -> list[str]:
    """The same for programs that show no HTML."""
    words, labels = shown["m"], shown["l"]
    lines = [f"{shown['site_name']}: {shown['period']}", ""]
    if shown["before"]:
        lines += [words["compared"].format(period=shown["before"]), ""]
    for tile in shown["tiles"]:
        lines.append(f"{tile.label}: {tile.value}" + (f" ({tile.change})" if tile.change else ""))
        lines += [f"  {tile.beside}"] if tile.beside else []
    lines += ["", shown["imported"]] if shown["imported"] else []
    if shown["consent"].rate is not None:
        lines.append(f"{words['consent']}: {labels.percent(shown['consent'].rate)}")
    lines += ["", words["days"]] + [f"  {one.under}: {one.title}" for one in shown["columns"]]
    for card in shown["cards"]:
        if card.lines:
            lines += ["", card.title] + [f"  {line.visitors:>7}  {line.name}" for line in card.lines]
    lines += ["", *(f"{words[name]}: {link}" for name, link in shown["links"].items() if link)]
    return lines
