"""What the report on consent holds: plain values that page, JSON, CSV and terminal are made from."""

from collections.abc import Mapping, Sequence

import msgspec

from gateway.analytics.dimensions import Words
from gateway.analytics.report_text import MISSING, Lines, show_share
from gateway.analytics.results import Period

OUTCOMES = ("accepted", "partly", "refused", "withdrawn")


class ConsentRow(msgspec.Struct, frozen=True):
    """Banners shown (page loads) and choices, of the whole, a language, a kind of device or a day.

    `chose` = accepted + partly + refused; `rate` = (accepted + partly) / chose, `refusal_rate` = refused / chose, None when
    nobody chose. A choice that took back a part and kept another is `partly` and `withdrawn`.
    """

    name: str
    shown: int = 0
    chose: int = 0
    accepted: int = 0
    partly: int = 0
    refused: int = 0
    withdrawn: int = 0
    rate: float | None = None
    refusal_rate: float | None = None


class PurposeRow(msgspec.Struct, frozen=True):
    """One purpose: of the choices that were `asked` about it, how many granted and refused it; how many took it back
    later. `rate` = granted / asked."""

    name: str
    asked: int = 0
    granted: int = 0
    refused: int = 0
    withdrawn: int = 0
    rate: float | None = None


class ConsentReport(msgspec.Struct, frozen=True):
    """Consent of one site and period. `answered` are choices made on a question that stood open, `changed` those that
    changed an earlier answer; `answer_rate` = answered / pages that asked."""

    site: str
    period: Period
    total: ConsentRow
    answered: int
    changed: int
    answer_rate: float | None
    purposes: list[PurposeRow]
    languages: list[ConsentRow]
    devices: list[ConsentRow]
    days: list[ConsentRow]


def build_row(name: str, shown: int, outcomes: Mapping[str, int]) -> ConsentRow:
    """A row from how often the banner was shown and how often each outcome came about."""
    accepted, partly, refused, withdrawn = (outcomes.get(outcome, 0) for outcome in OUTCOMES)
    chose = accepted + partly + refused
    rate, refusal_rate = share(accepted + partly, chose), share(refused, chose)
    return ConsentRow(name, shown, chose, accepted, partly, refused, withdrawn, rate, refusal_rate)


def share(part: int, whole: int) -> float | None:
    """A part of a whole, None of nothing."""
    return part / whole if whole else None


WORDS: dict[str, Words] = {
    "title": {"en": "Consent", "nl": "Toestemming"},
    "figure": {"en": "Figure", "nl": "Cijfer"},
    "value": {"en": "Value", "nl": "Waarde"},
    "shown": {"en": "Banner shown (page loads)", "nl": "Banner getoond (pagina's)"},
    "chose": {"en": "Choices", "nl": "Keuzes"},
    "answered": {"en": "Answers to the banner", "nl": "Antwoorden op de banner"},
    "changed": {"en": "Changes of mind", "nl": "Gewijzigde keuzes"},
    "answer_rate": {"en": "Answers per page that asked", "nl": "Antwoorden per pagina die vroeg"},
    "accepted": {"en": "Accepted", "nl": "Geaccepteerd"},
    "partly": {"en": "Partly", "nl": "Deels"},
    "refused": {"en": "Refused", "nl": "Geweigerd"},
    "withdrawn": {"en": "Withdrawn", "nl": "Ingetrokken"},
    "rate": {"en": "Said yes, of those who chose", "nl": "Zei ja, van wie koos"},
    "refusal_rate": {"en": "Refused, of those who chose", "nl": "Weigerde, van wie koos"},
    "purposes": {"en": "Purpose", "nl": "Doel"},
    "languages": {"en": "Language", "nl": "Taal"},
    "devices": {"en": "Device", "nl": "Apparaat"},
    "days": {"en": "Day", "nl": "Dag"},
    "asked": {"en": "Asked", "nl": "Gevraagd"},
    "granted": {"en": "Granted", "nl": "Toegestaan"},
    "yes": {"en": "Yes", "nl": "Ja"},
    "page_loads": {"en": "Shown", "nl": "Getoond"},
    "unknown": {"en": "Not known", "nl": "Onbekend"},
}
COLUMNS = ("shown", "accepted", "partly", "refused", "withdrawn", "rate")


def consent_lines(report: ConsentReport, language: str = "en") -> list[Lines]:
    """The report as text for terminals, part by part; parts without rows are left out."""
    parts = [_total_lines(report, language), _purpose_lines(report, language)]
    for name, rows in (("languages", report.languages), ("devices", report.devices), ("days", report.days)):
        parts.append(_row_lines(name, rows, language))
    return [part for part in parts if part.rows]


def _total_lines(report: ConsentReport, language: str) -> Lines:
    total, period = report.total, report.period
    counts = {name: str(getattr(total, name)) for name in ("shown", "chose", *OUTCOMES)}
    counts |= {"answered": str(report.answered), "changed": str(report.changed)}
    shares = {"answer_rate": report.answer_rate, "rate": total.rate, "refusal_rate": total.refusal_rate}
    cells = [(WORDS[name][language], text) for name, text in counts.items()]
    cells += [(WORDS[name][language], show_share(value)) for name, value in shares.items()]
    title = f"{WORDS['title'][language]} {report.site}: {period.first} – {period.last} ({period.timezone})"
    return Lines(title, (WORDS["figure"][language], WORDS["value"][language]), cells)


def _purpose_lines(report: ConsentReport, language: str) -> Lines:
    names = ("asked", "granted", "refused", "withdrawn", "yes")
    cells = [
        (row.name, *(str(getattr(row, name)) for name in names[:-1]), show_share(row.rate)) for row in report.purposes
    ]
    title = WORDS["purposes"][language]
    return Lines(title, (title, *(WORDS[name][language] for name in names)), cells)


def _row_lines(title: str, rows: Sequence[ConsentRow], language: str) -> Lines:
    heads = ("page_loads", *COLUMNS[1:-1], "yes")
    cells = [
        (
            row.name or WORDS["unknown"][language],
            *(str(getattr(row, name)) for name in COLUMNS[:-1]),
            show_share(row.rate) if row.chose else MISSING,
        )
        for row in rows
    ]
    return Lines(WORDS[title][language], (WORDS[title][language], *(WORDS[name][language] for name in heads)), cells)
