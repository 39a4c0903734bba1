"""The cards of a page: breakdowns with bars, several behind one another, each with its whole as a file."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from gateway.analytics.dimensions import get_dimension
from gateway.analytics.metrics import get_metric
from gateway.analytics.results import Report, Row
from gateway.web.filter_words import name_dimension
from gateway.web.labels import Labels
from gateway.web.question import MORE_ROWS, Question
from gateway.web.row_names import name_row

# The cards, and the breakdowns that lie behind one another in each.
CARDS = (
    ("pages", ("page", "entry_page", "exit_page", "topic")),
    ("sources", ("channel", "source", "campaign")),
    ("places", ("country", "language")),
    ("devices", ("device", "browser", "os", "screen")),
    ("done", ("event", "goal")),
)
# What a breakdown's rows tell besides their visitors: a field of Row each, and how it is called and what it means.
EXTRAS = {
    "page": ("seconds", "page_views"),
    "entry_page": ("visits",),
    "exit_page": ("visits",),
    "topic": ("seconds", "page_views"),
    "event": ("events",),
    "goal": ("conversion_rate", "conversions"),
}
TABLE_METRICS = "daily_visitors,visits,page_views,visit_duration,bounce_rate"
MOST_EXPORTED = "1000"
FEW_PEOPLE = "#few-people"  # where the page says what stands together and why
FILES = (("CSV", "/api/table.csv"), ("JSON", "/api/table"))


@dataclass(frozen=True)
class Line:
    """One row of a card: `width` of its bar in percent of the card's longest, `share` of the whole period, or the change
    since the period compared with; `extras` stand before its visitors. `url` leads to the same question about this row
    alone, or to why rows stand together; empty where there is nothing to ask."""

    name: str
    url: str
    visitors: str
    share: str
    width: str
    extras: tuple[str, ...] = ()


@dataclass(frozen=True)
class Head:
    """A column's name and what it means."""

    label: str
    help: str


@dataclass(frozen=True)
class Card:
    """One breakdown, what one of its rows is (`word`), and what it means; `more` and `fewer` are links, empty when there is
    nothing to unfold, `files` leads to the whole of it by format. `nameless` says what a row without a name is, `folded` why
    all rows stand together; empty where none is there."""

    key: str
    title: str
    word: str
    help: str
    heads: tuple[Head, ...]
    lines: list[Line]
    more: str = ""
    fewer: str = ""
    files: tuple[tuple[str, str], ...] = ()
    nameless: str = ""
    folded: str = ""


def build_cards(report: Report, question: Question, labels: Labels, least: int) -> list[tuple[str, list[Card]]]:
    """Each card with its breakdowns; one that can have nothing in it is left out. Rows of fewer than `least` visitors stand
    together."""
    there = {key: rows for key, rows in report.breakdowns.items() if rows or key != "goal"}
    cards = {key: build_card(key, rows, report, question, labels) for key, rows in there.items()}
    told = {key: explain_rows(card, report, labels, least) for key, card in cards.items()}
    return [(name, [told[key] for key in keys if key in told]) for name, keys in CARDS]


def explain_rows(card: Card, report: Report, labels: Labels, least: int) -> Card:
    """The card with what has to be said of its rows."""
    rows = report.breakdowns[card.key]
    folded = str(labels.texts["cards"]["folded"]) if report.others.get(card.key) and not rows else ""
    nameless = explain_nameless(card.key, [row.name for row in rows], labels)
    return replace(card, nameless=nameless, folded=folded.format(least=labels.number(least)))


def explain_nameless(key: str, names: Collection[str], labels: Labels) -> str:
    """What a row without a name is; empty where each of them has one."""
    told = str(labels.texts["cards"]["nameless"].get(key, "")) if "" in names else ""
    return told.format(none=get_dimension(key).empty[labels.language])


def build_card(key: str, rows: Sequence[Row], report: Report, question: Question, labels: Labels) -> Card:
    """One breakdown as a card."""
    limit = question.query.limit
    few = report.others.get(key)
    named = [(name_row(key, row.name, labels), row) for row in rows]
    named += [(str(labels.texts["compared"]["others"]), few)] if few else []
    longest = max((row.visitors for _, row in named), default=0) or 1
    lines = [
        Line(
            name=name,
            url=FEW_PEOPLE if row is few else question.only(key, row.name),
            visitors=labels.number(row.visitors),
            share=_share(row, row is few, report, labels),
            width=f"{100 * row.visitors / longest:.2f}%",
            extras=tuple(_extra(field, row, labels) for field in EXTRAS.get(key, ())),
        )
        for name, row in named
    ]
    dimension, unfolds = get_dimension(key), len(rows) >= limit and limit < MORE_ROWS
    return Card(
        key=key,
        title=dimension.label[labels.language],
        word=name_dimension(key, labels),
        help=dimension.help[labels.language],
        heads=tuple(_head(field, labels) for field in EXTRAS.get(key, ())),
        lines=lines,
        more=question.url(limit=str(MORE_ROWS)) if unfolds else "",
        fewer=question.url(limit="") if limit >= MORE_ROWS and len(rows) > 10 else "",
        files=build_files(key, question),
    )


def build_files(key: str, question: Question) -> tuple[tuple[str, str], ...]:
    """(format, link) of a breakdown with all of its rows, for operators."""
    if question.path != "/":
        return ()
    metrics = f"{TABLE_METRICS},conversions,conversion_rate" if key == "goal" else f"{TABLE_METRICS},events"
    asked = {"dimensions": key, "metrics": metrics, "limit": MOST_EXPORTED, "interval": ""}
    return tuple((name, question.url(path, **asked)) for name, path in FILES)


def _head(field: str, labels: Labels) -> Head:
    """Columns are narrow: their names are short, what they mean is the metric's."""
    metric = get_metric("time_on_page" if field == "seconds" else field)
    return Head(str(labels.texts["cards"][field]), metric.help[labels.language])


def _extra(field: str, row: Row, labels: Labels) -> str:
    value = getattr(row, field)
    if field == "seconds":
        return labels.seconds(value)
    return labels.percent(value, 1) if field == "conversion_rate" else labels.number(value)


def _share(row: Row, put_together: bool, report: Report, labels: Labels) -> str:
    """What stands beside a row's visitors; rows put together are others in each period, and have no change."""
    if report.before is not None:
        hidden = "" if put_together else str(labels.texts["compared"]["withheld"])
        return hidden if row.before is None else labels.change(row.visitors, row.before)
    whole = report.totals.daily_visitors
    return labels.percent(row.visitors / whole if whole else None)
