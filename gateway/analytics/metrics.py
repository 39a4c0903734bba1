"""Metrics and dimensions: each defined once, with its name, its SQL, and what it means in words.

Expressions are made of what DuckDB and ClickHouse answer alike. `{day}` stands for the local day of a row (see sql.py).
These constants are the only identifiers that ever enter a query; values are always bound.

A visit is a run of events at most half an hour apart; its id comes with each event. It belongs to the local day on
which it began; views and events belong to their own time.
"""

from typing import Literal

import msgspec

from gateway.event import PAGE_VIEW

Table = Literal["events", "visits"]
Unit = Literal["count", "number", "rate", "seconds"]
Words = dict[str, str]

LANGUAGES = ("en", "nl")
MOMENT: dict[Table, str] = {"events": "happened_at", "visits": "started_at"}
IS_VIEW = f"kind = '{PAGE_VIEW}'"
VISITORS = "count(distinct ({day}, visitor))"
SECONDS = "avg(engaged_ms) / 1000.0"  # page views carry the time of their view, visits that of all their views


class Metric(msgspec.Struct, frozen=True):
    """A figure: its SQL on each table that can answer it, its unit, and its label and meaning by language."""

    name: str
    on: dict[Table, str]
    unit: Unit
    label: Words
    help: Words


class Dimension(msgspec.Struct, frozen=True):
    """Something to break figures down by: a column of a table, which rows count (`where`), and its words.

    `empty` is what to show for rows without a value.
    """

    name: str
    table: Table
    column: str
    where: str
    label: Words
    help: Words
    empty: Words


METRICS = (
    Metric(
        "daily_visitors",
        {"events": VISITORS, "visits": VISITORS},
        "count",
        {"en": "Daily visitors", "nl": "Bezoekers per dag"},
        {
            "en": "Visitors counted afresh each day and added up: who comes on three days counts three times. "
            "Nobody can be followed from one day to the next.",
            "nl": "Bezoekers, elke dag opnieuw geteld en opgeteld: wie op drie dagen komt, telt drie keer. "
            "Niemand is van de ene op de andere dag te volgen.",
        },
    ),
    Metric(
        "visits",
        {"events": "count(distinct visit_id)", "visits": "count(*)"},
        "count",
        {"en": "Visits", "nl": "Bezoeken"},
        {
            "en": "Runs of views and events at most half an hour apart. A visit belongs to the day on which it began.",
            "nl": "Reeksen weergaven en gebeurtenissen met hoogstens een half uur ertussen. "
            "Een bezoek hoort bij de dag waarop het begon.",
        },
    ),
    Metric(
        "page_views",
        {"events": f"count(*) FILTER (WHERE {IS_VIEW})", "visits": "sum(views)"},
        "count",
        {"en": "Page views", "nl": "Paginaweergaven"},
        {
            "en": "Pages opened or reopened, in-page navigation included.",
            "nl": "Geopende of heropende pagina's, ook bij navigatie binnen een pagina.",
        },
    ),
    Metric(
        "events",
        {"events": f"count(*) FILTER (WHERE NOT {IS_VIEW})", "visits": "sum(events)"},
        "count",
        {"en": "Events", "nl": "Gebeurtenissen"},
        {
            "en": "What the site itself reports, such as a download; page views not included.",
            "nl": "Wat de site zelf meldt, zoals een download; zonder paginaweergaven.",
        },
    ),
    Metric(
        "views_per_visit",
        {"visits": "1.0 * sum(views) / nullif(count(*), 0)"},
        "number",
        {"en": "Views per visit", "nl": "Weergaven per bezoek"},
        {
            "en": "Page views of the visits that began in the period, divided by those visits.",
            "nl": "Paginaweergaven van de bezoeken die in de periode begonnen, gedeeld door die bezoeken.",
        },
    ),
    Metric(
        "bounce_rate",
        {"visits": "1.0 * count(*) FILTER (WHERE views = 1 AND events = 0) / nullif(count(*), 0)"},
        "rate",
        {"en": "Bounce rate", "nl": "Bouncepercentage"},
        {
            "en": "Share of visits with one page view and no event.",
            "nl": "Deel van de bezoeken met één paginaweergave en geen gebeurtenis.",
        },
    ),
    Metric(
        "visit_duration",
        {"visits": SECONDS},
        "seconds",
        {"en": "Visit duration", "nl": "Bezoekduur"},
        {
            "en": "Mean time that the site was visible and in use, over all visits, those of no time included.",
            "nl": "Gemiddelde tijd dat de site zichtbaar en in gebruik was, over alle bezoeken, "
            "ook die van nul seconden.",
        },
    ),
    Metric(
        "median_visit_duration",
        {"visits": "median(engaged_ms) / 1000.0"},
        "seconds",
        {"en": "Median visit duration", "nl": "Mediane bezoekduur"},
        {
            "en": "Half of the visits lasted longer, half shorter.",
            "nl": "De helft van de bezoeken duurde langer, de helft korter.",
        },
    ),
    Metric(
        "seconds",
        {"events": SECONDS, "visits": SECONDS},
        "seconds",
        {"en": "Time", "nl": "Tijd"},
        {
            "en": "Mean time visible and in use: of pages and topics for each view, of the others for each visit.",
            "nl": "Gemiddelde tijd zichtbaar en in gebruik: bij pagina's en onderwerpen per weergave, "
            "bij de andere per bezoek.",
        },
    ),
)

UNKNOWN = {"en": "(unknown)", "nl": "(onbekend)"}
NONE = {"en": "(none)", "nl": "(geen)"}

# In the order in which a report shows them.
DIMENSIONS = (
    Dimension(
        "page",
        "events",
        "path",
        IS_VIEW,
        {"en": "Pages", "nl": "Pagina's"},
        {"en": "Paths as stored: masked, without query.", "nl": "Paden zoals bewaard: gemaskeerd, zonder query."},
        NONE,
    ),
    Dimension(
        "topic",
        "events",
        "topic",
        IS_VIEW,
        {"en": "Topics", "nl": "Onderwerpen"},
        {
            "en": "The topic that a page names or that the configuration gives to its path.",
            "nl": "Het onderwerp dat een pagina noemt of dat de configuratie aan het pad geeft.",
        },
        NONE,
    ),
    Dimension(
        "source",
        "visits",
        "source",
        "",
        {"en": "Sources", "nl": "Bronnen"},
        {"en": "Where a visit's first page came from.", "nl": "Waar de eerste pagina van een bezoek vandaan kwam."},
        NONE,
    ),
    Dimension(
        "country",
        "visits",
        "country",
        "",
        {"en": "Countries", "nl": "Landen"},
        {
            "en": "Country of the network from which a visit began.",
            "nl": "Land van het netwerk waarvandaan een bezoek begon.",
        },
        UNKNOWN,
    ),
    Dimension(
        "browser",
        "visits",
        "browser",
        "",
        {"en": "Browsers", "nl": "Browsers"},
        {"en": "The browser's name, without version.", "nl": "De naam van de browser, zonder versie."},
        UNKNOWN,
    ),
    Dimension(
        "os",
        "visits",
        "os",
        "",
        {"en": "Systems", "nl": "Systemen"},
        {"en": "The operating system's name.", "nl": "De naam van het besturingssysteem."},
        UNKNOWN,
    ),
    Dimension(
        "device",
        "visits",
        "device",
        "",
        {"en": "Devices", "nl": "Apparaten"},
        {"en": "Desktop, mobile or tablet.", "nl": "Computer, telefoon of tablet."},
        UNKNOWN,
    ),
)

# What a report asks of each table: the totals, the bars of its chart, and the columns of a breakdown's rows.
TOTALS: dict[Table, tuple[str, ...]] = {
    "events": ("daily_visitors", "page_views", "events"),
    "visits": ("visits", "views_per_visit", "bounce_rate", "visit_duration", "median_visit_duration"),
}
SERIES: dict[Table, tuple[str, ...]] = {"events": ("daily_visitors", "page_views"), "visits": ("visits",)}
ROW = ("daily_visitors", "visits", "page_views", "seconds")


def get_metric(name: str) -> Metric:
    """The metric of that name; KeyError when there is none."""
    return _METRICS[name]


def get_dimension(name: str) -> Dimension:
    """The dimension of that name; KeyError when there is none."""
    return _DIMENSIONS[name]


_METRICS = {metric.name: metric for metric in METRICS}
_DIMENSIONS = {dimension.name: dimension for dimension in DIMENSIONS}
