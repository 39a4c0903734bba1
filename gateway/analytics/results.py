"""What a report holds: plain values that page, JSON and CSV are made from."""

import msgspec

from gateway.analytics.answers import Imported
from gateway.analytics.month_sketch import MonthVisitors


class Period(msgspec.Struct, frozen=True):
    """From the first day to the last, both included, in the site's time zone (ISO dates)."""

    first: str
    last: str
    timezone: str
    interval: str


class Totals(msgspec.Struct, frozen=True):
    """The figures of a period. Rates are 0 to 1 and None without visits; durations are seconds; counts are None only where
    they are withheld."""

    daily_visitors: int | None = 0
    visits: int | None = 0
    page_views: int | None = 0
    events: int | None = 0
    views_per_visit: float | None = None
    bounce_rate: float | None = None
    visit_duration: float | None = None
    median_visit_duration: float | None = None


HIDDEN = Totals(None, None, None, None)


class Point(msgspec.Struct, frozen=True):
    """One bar of the chart; `at` is the local start, `2026-11-23` or `2026-11-23T14:00`. Counts that are about too few
    people are None.

    Where summer time ends, the hour that is lived twice is two points with the same `at`.
    """

    at: str
    daily_visitors: int | None
    visits: int | None
    page_views: int | None


class Measures(msgspec.Struct, frozen=True):
    """How far pages were seen (0 to 1) and how they did: milliseconds, and a score for shifts; None where nothing was told."""

    scroll_depth: float | None = None
    median_scroll_depth: float | None = None
    lcp: float | None = None
    inp: float | None = None
    cls: float | None = None


class Money(msgspec.Struct, frozen=True):
    """What events were worth in one currency, and how many they were."""

    currency: str
    revenue: float | None
    events: int


class Row(msgspec.Struct, frozen=True):
    """One line of a breakdown; an empty `name` is what has no value.

    `seconds` is the mean engaged time: of a page or topic for each view, of the others for each visit. `before` are the
    visitors of the period compared with, None where there is none or they are withheld. `events` is of events alone,
    `conversions` and `conversion_rate` are of goals.
    """

    name: str
    visitors: int
    visits: int
    page_views: int
    seconds: float | None = None
    before: int | None = None
    events: int = 0
    conversions: int = 0
    conversion_rate: float | None = None


class Compared(msgspec.Struct, frozen=True):
    """The period that this one is compared with, and its figures: None where they are about too few people. Points go by
    their number in the period."""

    first: str
    last: str
    totals: Totals | None
    series: list[Point] = []


class ConsentFigures(msgspec.Struct, frozen=True):
    """Choices in the period, and pages shown to visitors who had refused to another tool (`elsewhere`).

    `rate` = (accepted + partly) / (accepted + partly + refused); None when none chose.
    """

    shown: int = 0
    accepted: int = 0
    partly: int = 0
    refused: int = 0
    withdrawn: int = 0
    rate: float | None = None
    elsewhere: int = 0


class PageCount(msgspec.Struct, frozen=True):
    """How often a page was opened, as the exempt page counter counts."""

    name: str
    count: int


class PagesCounted(msgspec.Struct, frozen=True):
    """What the exempt page counter has counted: pages opened by anybody who had not refused, of which `with_consent` were
    opened by who had said yes to statistics; `rate` = with_consent / total. `others` are pages with too low a count, and those
    beyond the limit of rows, together."""

    total: int
    with_consent: int
    rate: float | None
    pages: list[PageCount]
    others: int = 0


class CountRow(msgspec.Struct, frozen=True):
    """A counter of the period: why something was dropped, or what was held back."""

    kind: str
    name: str
    detail: str
    count: int


class BotRow(msgspec.Struct, frozen=True):
    """A bot (`kind` bot), or a browser that was too quick for a person (implausible_rate): its name, how many hits were
    dropped, and some of the pages, masked."""

    kind: str
    name: str
    count: int
    pages: list[str]


class QueueState(msgspec.Struct, frozen=True):
    """A destination's outbox: rows by state; `oldest_at` is the oldest queued row (epoch seconds)."""

    destination: str
    kind: str
    queued: int = 0
    started: int = 0
    delivered: int = 0
    dead: int = 0
    cancelled: int = 0
    expired: int = 0
    oldest_at: float | None = None
    last_error: str = ""


class Note(msgspec.Struct, frozen=True):
    """What an operator wrote beside a day (ISO) of the chart."""

    id: int
    day: str
    text: str
    operator: str


class Report(msgspec.Struct, frozen=True):
    """All figures of one site and period. `breakdowns` maps page, entry_page, exit_page, topic, channel, source,
    campaign, country, language, device, browser, os, screen, event, goal; there are no goals but those of the configuration.

    `others` has what a breakdown's rows of too few visitors have in common. `withheld` says why there are no figures: `few`
    visitors fit the filter, or too few do not (`few_others`), or they are of a `part_of_day`;
    `rows_withheld` the same of breakdowns alone. `asserted` are events of servers by the key that told them,
    `month` is of the month that the whole period lies in; `imported` is there where another tool counted some of the days.
    """

    site: str
    period: Period
    totals: Totals
    series: list[Point]
    breakdowns: dict[str, list[Row]]
    consent: ConsentFigures
    dropped: list[CountRow]
    held: list[CountRow]
    destinations: list[QueueState]
    others: dict[str, Row] = {}
    withheld: str = ""
    compared: Compared | None = None
    measures: Measures = Measures()
    revenue: list[Money] = []
    pages: PagesCounted | None = None
    asserted: list[CountRow] = []
    bots: list[BotRow] = []
    notes: list[Note] = []
    month: MonthVisitors | None = None
    imported: Imported | None = None
    rows_withheld: str = ""

    @property
    def before(self) -> Totals | None:
        """What these totals are compared with; None where nothing is, where it is withheld, or where nothing came in then."""
        totals = self.compared.totals if self.compared else None
        return totals if totals and (totals.page_views or totals.events) else None
