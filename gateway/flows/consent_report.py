"""The report on consent: how often visitors were asked, what they chose, by purpose, language, kind of device and day.

Choices come from the ledger. How often the banner was shown, and the kind of device, come from plain counters, which know
of no visitor; a worker that is killed can lose a second of those, so devices need not add up to the whole exactly.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.analytics.consent_results import (
    ConsentReport,
    ConsentRow,
    PurposeRow,
    build_row,
    share,
)
from gateway.analytics.query import Query
from gateway.analytics.results import Period
from gateway.analytics.sql import build_daily_counts
from gateway.flows.choose import ALLOW
from gateway.flows.counters import CHOSE, SHOWN, TOOK_BACK
from gateway.flows.report import ChoiceMade, ReportParts, stream_choices

Outcomes = defaultdict[str, Counter[str]]


class _Tally:
    """Counts by the name of a row: outcomes, and SHOWN."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self.purposes: Outcomes = defaultdict(Counter)
        self.languages: Outcomes = defaultdict(Counter)
        self.devices: Outcomes = defaultdict(Counter)
        self.days: Outcomes = defaultdict(Counter)

    def add_choice(self, day: str, choice: ChoiceMade) -> None:
        """One record of the ledger."""
        outcomes = {choice.outcome, TOOK_BACK} if choice.withdrawn else {choice.outcome}
        for counter in (self.total, self.languages[choice.language], self.days[day]):
            counter.update(outcomes)
        answers = choice.outcome != TOOK_BACK and choice.choice != ALLOW and not choice.again
        self.total["answered" if answers else "changed"] += 1
        for purpose in choice.withdrawn:
            self.purposes[purpose][TOOK_BACK] += 1
        if choice.outcome != TOOK_BACK:
            for answer, purposes in (("granted", choice.granted), ("refused", choice.refused)):
                for purpose in purposes:
                    self.purposes[purpose][answer] += 1

    def add_count(self, day: str, kind: str, name: str, device: str, count: int) -> None:
        """One counter of a day."""
        self.devices[device][SHOWN if kind == SHOWN else name] += count
        if kind == SHOWN:
            for counter in (self.total, self.languages[name], self.days[day]):
                counter[SHOWN] += count


def consent_report(query: Query, parts: ReportParts) -> ConsentReport:
    """The figures of one site and period, day by day. Raises StoreError, or what the database raises."""
    tally = _Tally()
    for at, choice in stream_choices(query, parts.engine):
        tally.add_choice(_day_of(at, query), choice)
    question = build_daily_counts(query, (SHOWN, CHOSE), parts.store.dialect)
    for day, kind, name, device, count in parts.store.fetch(question.sql, question.values):
        tally.add_count(str(day)[:10], str(kind), str(name), str(device), int(str(count)))
    total = build_row("", tally.total[SHOWN], tally.total)
    return ConsentReport(
        site=query.site,
        period=Period(query.first.isoformat(), query.last.isoformat(), query.timezone, "day"),
        total=total,
        answered=tally.total["answered"],
        changed=tally.total["changed"],
        answer_rate=share(tally.total["answered"], total.shown),
        purposes=[_purpose_row(name, counts) for name, counts in sorted(tally.purposes.items())],
        languages=_rows(tally.languages),
        devices=_rows(tally.devices),
        days=[build_row(day, tally.days[day][SHOWN], tally.days[day]) for day in _days(query)],
    )


def _day_of(at: float, query: Query) -> str:
    return datetime.fromtimestamp(at, ZoneInfo(query.timezone)).date().isoformat()


def _days(query: Query) -> Iterable[str]:
    count = (query.last - query.first).days + 1
    return ((query.first + timedelta(days=number)).isoformat() for number in range(count))


def _rows(found: Outcomes) -> list[ConsentRow]:
    """Those with most choices first, then those shown most often."""
    rows = [build_row(name, counts[SHOWN], counts) for name, counts in found.items()]
    return sorted(rows, key=lambda row: (-row.chose, -row.shown, row.name))


def _purpose_row(name: str, counts: Counter[str]) -> PurposeRow:
    asked = counts["granted"] + counts["refused"]
    return PurposeRow(
        name, asked, counts["granted"], counts["refused"], counts[TOOK_BACK], share(counts["granted"], asked)
    )
