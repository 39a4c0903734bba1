"""A report as text: tables of words and numbers for a terminal, Dutch or English."""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.analytics.answers import Imported
from gateway.analytics.dimensions import Words, get_dimension
from gateway.analytics.metrics import Metric, find_metric, get_metric
from gateway.analytics.results import (
    BotRow,
    ConsentFigures,
    CountRow,
    Measures,
    PagesCounted,
    QueueState,
    Report,
    Totals,
)


class Lines(NamedTuple):
    """A part of a report as text: a title, the column names, and rows of as many cells."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


MISSING = "–"
DECIMALS = {"number": "{:.1f}", "milliseconds": "{:.0f} ms", "score": "{:.3f}", "money": "{:,.2f}"}
TOTAL_NAMES = tuple(name for name in Totals.__struct_fields__)
STATES = ("queued", "started", "delivered", "dead", "cancelled", "expired")
CHOICES = ("shown", "accepted", "partly", "refused", "withdrawn", "elsewhere")
WORDS: dict[str, Words] = {
    "figure": {"en": "Figure", "nl": "Cijfer"},
    "value": {"en": "Value", "nl": "Waarde"},
    "before": {"en": "Before", "nl": "Eerder"},
    "in_month": {"en": "Visitors in {month}, about (± {error})", "nl": "Bezoekers in {month}, circa (± {error})"},
    "withheld": {"en": "withheld", "nl": "niet getoond"},
    "rows_withheld": {
        "en": "Breakdowns (of whole days of the site's own time zone)",
        "nl": "Uitsplitsingen (over hele dagen in de tijdzone van de site)",
    },
    "others": {"en": "(too few visitors each)", "nl": "(te weinig bezoekers per stuk)"},
    "name": {"en": "Name", "nl": "Naam"},
    "kind": {"en": "Kind", "nl": "Soort"},
    "detail": {"en": "Detail", "nl": "Bijzonderheid"},
    "count": {"en": "Count", "nl": "Aantal"},
    "day": {"en": "Day", "nl": "Dag"},
    "week": {"en": "Week", "nl": "Week"},
    "month": {"en": "Month", "nl": "Maand"},
    "hour": {"en": "Hour", "nl": "Uur"},
    "measures": {"en": "How pages did", "nl": "Hoe het de pagina's verging"},
    "series": {"en": "Over time", "nl": "Verloop"},
    "consent": {"en": "Consent", "nl": "Toestemming"},
    "shown": {"en": "Banner shown", "nl": "Banner getoond"},
    "accepted": {"en": "Accepted", "nl": "Geaccepteerd"},
    "partly": {"en": "Accepted in part", "nl": "Deels geaccepteerd"},
    "refused": {"en": "Refused", "nl": "Geweigerd"},
    "withdrawn": {"en": "Withdrawn", "nl": "Ingetrokken"},
    "elsewhere": {"en": "Refused elsewhere", "nl": "Elders geweigerd"},
    "rate": {"en": "Said yes, of those who chose", "nl": "Zei ja, van wie koos"},
    "pages_counted": {"en": "Pages counted without consent", "nl": "Pagina's geteld zonder toestemming"},
    "all_pages": {"en": "All pages", "nl": "Alle pagina's"},
    "with_consent": {"en": "of which with consent", "nl": "waarvan met toestemming"},
    "other_pages": {"en": "(other pages)", "nl": "(andere pagina's)"},
    "asserted": {"en": "Told by servers with a key", "nl": "Gemeld door servers met een sleutel"},
    "imported": {"en": "Counted before by another tool", "nl": "Eerder geteld met een ander programma"},
    "from_to": {"en": "{source}: {days} days", "nl": "{source}: {days} dagen"},
    "left_out": {"en": "left out: {why}", "nl": "weggelaten: {why}"},
    "lacking": {"en": "known of own days alone", "nl": "alleen bekend van eigen dagen"},
    "filter": {"en": "they know no filters", "nl": "ze kennen geen filters"},
    "dimension": {"en": "they do not know this breakdown", "nl": "ze kennen deze uitsplitsing niet"},
    "notes": {"en": "Notes", "nl": "Notities"},
    "dropped": {"en": "Not counted", "nl": "Niet geteld"},
    "bots": {"en": "Bots among them", "nl": "Bots daaronder"},
    "pages": {"en": "Pages, for example", "nl": "Pagina's, bijvoorbeeld"},
    "held": {"en": "Held back", "nl": "Tegengehouden"},
    "destinations": {"en": "Destinations", "nl": "Bestemmingen"},
    "queued": {"en": "Queued", "nl": "In de rij"},
    "started": {"en": "On its way", "nl": "Onderweg"},
    "delivered": {"en": "Delivered", "nl": "Afgeleverd"},
    "dead": {"en": "Given up", "nl": "Opgegeven"},
    "cancelled": {"en": "Cancelled", "nl": "Ingetrokken"},
    "expired": {"en": "Expired", "nl": "Verlopen"},
    "last_error": {"en": "Last error", "nl": "Laatste fout"},
}


def report_lines(report: Report, language: str = "en") -> list[Lines]:
    """The report as text for terminals, part by part; parts without rows are left out. `language` is en or nl.

    Cells hold printable characters only: names come from visitors, and a terminal obeys control characters.
    """
    parts = [
        _total_lines(report, language),
        _series_lines(report, language),
        *(_breakdown_lines(name, report, language) for name in report.breakdowns),
        _measure_lines(report, language),
        _imported_lines(report.imported, language),
        _consent_lines(report.consent, language),
        _page_lines(report.pages, language),
        _count_lines("asserted", report.asserted, language),
        Lines(
            WORDS["notes"][language], _words(language, "day", "name"), [(note.day, note.text) for note in report.notes]
        ),
        _count_lines("dropped", report.dropped, language),
        _bot_lines(report.bots, language),
        _count_lines("held", report.held, language),
        _queue_lines(report.destinations, language),
    ]
    return [_printable(part) for part in parts if part.rows]


def _total_lines(report: Report, language: str) -> Lines:
    period = report.period
    title = f"{report.site}: {period.first} – {period.last} ({period.timezone})"
    metrics = [get_metric(name) for name in TOTAL_NAMES]
    hidden = WORDS["withheld"][language] if report.withheld else ""
    rows: list[tuple[str, ...]] = [
        (m.label[language], hidden or _figure(m, getattr(report.totals, m.name))) for m in metrics
    ]
    if month := report.month:
        words = WORDS["in_month"][language].format(month=month.month, error=show_share(month.standard_error))
        rows.insert(1, (words, _count(month.visitors, language)))
    if report.rows_withheld:
        rows.append((WORDS["rows_withheld"][language], WORDS["withheld"][language]))
    header = _words(language, "figure", "value")
    if compared := report.compared:
        header += (f"{compared.first} – {compared.last}",)
        before = {m.label[language]: _before(m, compared.totals, language) for m in metrics}
        rows = [(name, value, before.get(name, "")) for name, value in rows]
    return Lines(title, header, rows)


def _before(metric: Metric, totals: Totals | None, language: str) -> str:
    return WORDS["withheld"][language] if totals is None else _figure(metric, getattr(totals, metric.name))


def _series_lines(report: Report, language: str) -> Lines:
    metrics = [get_metric(name) for name in ("daily_visitors", "visits", "page_views")]
    header = (*_words(language, report.period.interval), *(metric.label[language] for metric in metrics))
    rows = [
        (point.at.replace("T", " "), *(_count(getattr(point, metric.name), language) for metric in metrics))
        for point in report.series
    ]
    return Lines(WORDS["series"][language], header, rows)


def _count(count: int | None, language: str) -> str:
    return WORDS["withheld"][language] if count is None else str(count)


def _breakdown_lines(name: str, report: Report, language: str) -> Lines:
    dimension, others = get_dimension(name), report.others.get(name)
    time = "time_on_page" if dimension.scope == "event" else "visit_duration"
    counted = {"event": "events", "goal": "conversions"}.get(name, "page_views")
    metrics = [get_metric(name) for name in ("daily_visitors", "visits", counted, time)]
    header = (*_words(language, "name"), *(metric.label[language] for metric in metrics))
    header += _words(language, "before") if report.compared else ()
    named = [(row.name or dimension.empty[language], row) for row in report.breakdowns[name]]
    named += [(WORDS["others"][language], others)] if others else []
    cells = [
        (
            title,
            *(str(count) for count in (row.visitors, row.visits, getattr(row, counted))),
            _figure(metrics[-1], row.seconds),
            *((MISSING if row.before is None else str(row.before),) if report.compared else ()),
        )
        for title, row in named
    ]
    return Lines(dimension.label[language], header, cells)


def _measure_lines(report: Report, language: str) -> Lines:
    told = [(get_metric(name), getattr(report.measures, name)) for name in Measures.__struct_fields__]
    rows = [(metric.label[language], _figure(metric, value)) for metric, value in told if value is not None]
    revenue = get_metric("revenue")
    rows += [
        (f"{revenue.label[language]} ({money.currency})", _figure(revenue, money.revenue)) for money in report.revenue
    ]
    return Lines(WORDS["measures"][language], _words(language, "figure", "value"), rows)


def _imported_lines(imported: Imported | None, language: str) -> Lines:
    title, header = WORDS["imported"][language], _words(language, "name", "value")
    if imported is None:
        return Lines(title, header, [])
    told = WORDS["from_to"][language].format(source=imported.source, days=imported.days)
    rows = [(told, f"{imported.first} – {imported.last}")]
    if imported.left_out:
        rows.append((WORDS["left_out"][language].format(why=WORDS[imported.left_out][language]), ""))
    if imported.lacking:
        named = [find_metric(name) or get_dimension(name) for name in imported.lacking]
        rows.append((WORDS["lacking"][language], ", ".join(one.label[language] for one in named)))
    return Lines(title, header, rows)


def _consent_lines(consent: ConsentFigures, language: str) -> Lines:
    rows = [(WORDS[name][language], str(getattr(consent, name))) for name in CHOICES]
    rows.append((WORDS["rate"][language], show_share(consent.rate)))
    return Lines(WORDS["consent"][language], _words(language, "figure", "value"), rows)


def _page_lines(pages: PagesCounted | None, language: str) -> Lines:
    title, header = WORDS["pages_counted"][language], _words(language, "name", "count")
    if pages is None:
        return Lines(title, header, [])
    rows = [(WORDS["all_pages"][language], str(pages.total))]
    rows += [(WORDS["with_consent"][language], f"{pages.with_consent} ({show_share(pages.rate)})")]
    rows += [(row.name, str(row.count)) for row in pages.pages]
    return Lines(title, header, rows + ([(WORDS["other_pages"][language], str(pages.others))] if pages.others else []))


def _count_lines(part: str, counts: Sequence[CountRow], language: str) -> Lines:
    rows = [(row.name, row.kind, row.detail, str(row.count)) for row in counts]
    return Lines(WORDS[part][language], _words(language, "name", "kind", "detail", "count"), rows)


def _bot_lines(bots: Sequence[BotRow], language: str) -> Lines:
    rows = [(row.name, row.kind, " ".join(row.pages), str(row.count)) for row in bots]
    return Lines(WORDS["bots"][language], _words(language, "name", "kind", "pages", "count"), rows)


def _queue_lines(queues: Sequence[QueueState], language: str) -> Lines:
    header = _words(language, "name", "kind", *STATES, "last_error")
    rows = [
        (queue.destination, queue.kind, *(str(getattr(queue, state)) for state in STATES), queue.last_error)
        for queue in queues
    ]
    return Lines(WORDS["destinations"][language], header, rows)


def _words(language: str, *keys: str) -> tuple[str, ...]:
    return tuple(WORDS[key][language] for key in keys)


def _figure(metric: Metric, value: float | None) -> str:
    if value is None:
        return MISSING
    if metric.unit == "rate":
        return show_share(value)
    if metric.unit == "seconds":
        minutes, seconds = divmod(round(value), 60)
        return f"{minutes} m {seconds:02} s" if minutes else f"{value:.1f} s"
    return DECIMALS.get(metric.unit, "{}").format(value)


def show_share(share: float | None) -> str:
    """A share as a percentage, a dash for none."""
    return MISSING if share is None else f"{100 * share:.1f} %"


def _printable(part: Lines) -> Lines:
    rows = [tuple("".join(c if c.isprintable() else "�" for c in cell) for cell in row) for row in part.rows]
    return part._replace(rows=rows)
