"""Metrics: each defined once, with its name, its SQL, its unit, and what it means in words.

A metric is a figure of visits (`v.`), of events (`e.`), or of conversions; docs/analytics.md says how filters choose among
them. Expressions are made of what DuckDB and ClickHouse answer alike; `{visitors}` stands for how many different visitors
there were, each on the local day on which their visit began, `{visits}` for how many different visits. They are constants:
values are always bound.

A visit is a run of events at most half an hour apart; its id comes with each event. It belongs to the local day on
which it began; views and events belong to their own time.
"""

from typing import Literal

from gateway.analytics.dimensions import IS_VIEW, Defined

Of = Literal["visits", "events", "conversions", "converted"]
Unit = Literal["count", "number", "rate", "seconds", "milliseconds", "score", "money"]

LANGUAGES = ("en", "nl")


class Metric(Defined, frozen=True):
    """A figure; `median`: the middle one of the expression's values; `most`: what three quarters of them do not exceed.

    `outside` is what Plausible's API calls it. `whole` is a figure of events as the visits that hold them tell it, where all
    of a visit counts. `matched` is a figure of visits as any of their events tell it, where these know whose they are.
    `total` is the figure over sums of whole days (`d.`, day_sums.py), where it can be had of them.
    """

    of: Of
    sql: str
    unit: Unit
    median: bool = False
    most: bool = False
    outside: str = ""
    whole: str = ""
    matched: str = ""
    total: str = ""


def _define(
    name: str,
    of: Of,
    sql: str,
    unit: Unit,
    en: tuple[str, str],
    nl: tuple[str, str],
    median: bool = False,
    most: bool = False,
    outside: str = "",
    whole: str = "",
    matched: str = "",
    total: str = "",
) -> Metric:
    label, help_text = {"en": en[0], "nl": nl[0]}, {"en": en[1], "nl": nl[1]}
    return Metric(name, label, help_text, of, sql, unit, median, most, outside or name, whole, matched, total)


def _summed(name: str, of: Of, sql: str) -> Metric:
    return Metric(name, {}, {}, of, sql, "count")


def _vital(column: str) -> str:
    return f"CASE WHEN {IS_VIEW} AND e.{column} >= 0 THEN e.{column} END"


def _share(condition: str) -> str:
    return f"1.0 * sum(CASE WHEN {condition} THEN 1 ELSE 0 END) / nullif(count(*), 0)"


def _by_visit(total: str) -> str:
    return f"1.0 * {total} / nullif(sum(d.visits), 0)"


def _worth(amount: str) -> str:
    """An amount of money, where all of it is of one currency."""
    return f"CASE WHEN count(distinct CASE WHEN e.currency <> '' THEN e.currency END) <= 1 THEN {amount} END"


METRICS = (
    _define(
        "daily_visitors", "visits", "{visitors}", "count",
        ("Daily visitors", "Visitors counted afresh each day and added up: who comes on three days counts three times. "
         "Nobody can be followed from one day to the next."),
        ("Bezoekers per dag", "Bezoekers, elke dag opnieuw geteld en opgeteld: wie op drie dagen komt, telt drie keer. "
         "Niemand is van de ene op de andere dag te volgen."),
        outside="visitors", matched="{visitors}", total="sum(d.daily_visitors)",
    ),
    _define(
        "visits", "visits", "count(*)", "count",
        ("Visits", "Runs of views and events at most half an hour apart. A visit belongs to the day on which it began."),
        ("Bezoeken", "Reeksen weergaven en gebeurtenissen met hoogstens een half uur ertussen. "
         "Een bezoek hoort bij de dag waarop het begon."),
        matched="{visits}", total="sum(d.visits)",
    ),
    _define(
        "page_views", "events", f"sum(CASE WHEN {IS_VIEW} THEN 1 ELSE 0 END)", "count",
        ("Page views", "Pages opened or reopened, in-page navigation included."),
        ("Paginaweergaven", "Geopende of heropende pagina's, ook bij navigatie binnen een pagina."),
        outside="pageviews", whole="sum(v.views)", total="sum(d.page_views)",
    ),
    _define(
        "events", "events", f"sum(CASE WHEN {IS_VIEW} THEN 0 ELSE 1 END)", "count",
        ("Events", "What happened on pages besides their being viewed, such as a download."),
        ("Gebeurtenissen", "Wat er op pagina's gebeurde buiten het bekijken zelf, zoals een download."),
        whole="sum(v.events)", total="sum(d.events)",
    ),
    _define(
        "views_per_visit", "visits", "1.0 * sum(v.views) / nullif(count(*), 0)", "number",
        ("Views per visit", "Page views of the visits that began in the period, divided by those visits."),
        ("Weergaven per bezoek",
         "Paginaweergaven van de bezoeken die in de periode begonnen, gedeeld door die bezoeken."),
        total=_by_visit("sum(d.visit_views)"),
    ),
    _define(
        "bounce_rate", "visits", _share("v.views = 1 AND v.events = 0"), "rate",
        ("Bounce rate", "Share of visits with one page view and no event."),
        ("Bouncepercentage", "Deel van de bezoeken met één paginaweergave en geen gebeurtenis."),
        total=_by_visit("sum(d.bounces)"),
    ),
    _define(
        "visit_duration", "visits", "avg(v.engaged_ms) / 1000.0", "seconds",
        ("Visit duration",
         "Mean time that the site was visible and in use, over all visits, those of no time included."),
        ("Bezoekduur", "Gemiddelde tijd dat de site zichtbaar en in gebruik was, over alle bezoeken, "
         "ook die van nul seconden."),
        total=f"{_by_visit('sum(d.engaged_ms)')} / 1000.0",
    ),
    _define(
        "median_visit_duration", "visits", "v.engaged_ms / 1000.0", "seconds",
        ("Median visit duration", "Half of the visits lasted longer, half shorter."),
        ("Mediane bezoekduur", "De helft van de bezoeken duurde langer, de helft korter."),
        median=True,
    ),
    _define(
        "wall_duration", "visits", "avg(date_diff('millisecond', v.started_at, v.last_at)) / 1000.0", "seconds",
        ("Wall duration", "Mean time between a visit's beginning and its last sign of life, in use or not."),
        ("Verstreken duur", "Gemiddelde tijd tussen het begin van een bezoek en het laatste levensteken, "
         "in gebruik of niet."),
        total=f"{_by_visit('sum(d.wall_ms)')} / 1000.0",
    ),
    _define(
        "entry_rate", "visits", _share("m.entered = 1"), "rate",
        ("Entry rate", "Of the visits with such a page, the share that began on it."),
        ("Beginpercentage", "Deel van de bezoeken met zo'n pagina dat erop begon."),
    ),
    _define(
        "exit_rate", "visits", _share("m.leaving = 1"), "rate",
        ("Exit rate", "Of the visits with such a page, the share that ended on it."),
        ("Vertrekpercentage", "Deel van de bezoeken met zo'n pagina dat erop eindigde."),
    ),
    _define(
        "time_on_page", "events", f"avg(CASE WHEN {IS_VIEW} THEN e.engaged_ms END) / 1000.0", "seconds",
        ("Time on page", "Mean time for which a page was visible and in use, for each view."),
        ("Tijd op pagina", "Gemiddelde tijd dat een pagina zichtbaar en in gebruik was, per weergave."),
        total="1.0 * sum(d.page_ms) / nullif(sum(d.page_views), 0) / 1000.0",
    ),
    _define(
        "scroll_depth", "events", f"avg(CASE WHEN {IS_VIEW} AND e.scroll >= 0 THEN e.scroll END) / 100.0", "rate",
        ("Scroll depth", "How far down a page was seen, at most, on average over the views that told."),
        ("Scrolldiepte", "Hoe ver een pagina hoogstens is gezien, gemiddeld over de weergaven die het zeiden."),
    ),
    _define(
        "median_scroll_depth", "events", f"CASE WHEN {IS_VIEW} AND e.scroll >= 0 THEN e.scroll END / 100.0", "rate",
        ("Median scroll depth", "Half of the views went further down the page, half less far."),
        ("Mediane scrolldiepte", "De helft van de weergaven kwam verder op de pagina, de helft minder ver."),
        median=True,
    ),
    _define(
        "revenue", "events", _worth("CAST(sum(e.revenue) AS DOUBLE) / 1000.0"), "money",
        ("Revenue", "What events were worth, added up in their currency; nothing where several currencies come together: "
         "break down by currency, or filter on one."),
        ("Omzet", "Wat gebeurtenissen waard waren, opgeteld in hun munt; niets waar meer munten samenkomen: "
         "splits uit naar munt, of filter op één."),
        outside="total_revenue",
    ),
    _define(
        "average_revenue", "events",
        _worth("avg(CASE WHEN e.currency <> '' THEN CAST(e.revenue AS DOUBLE) END) / 1000.0"), "money",
        ("Average revenue", "Revenue divided by the events that were worth something, what was paid back among them; nothing "
         "where several currencies come together."),
        ("Gemiddelde omzet", "Omzet gedeeld door de gebeurtenissen die iets waard waren, terugbetalingen meegeteld; niets "
         "waar meer munten samenkomen."),
    ),
    _define(
        "lcp", "events", _vital("lcp"), "milliseconds",
        ("Main content shown (LCP)", "Largest contentful paint: three quarters of the measured views showed their main "
         "content at least as fast. Up to 2500 ms is good, above 4000 ms poor."),
        ("Hoofdinhoud getoond (LCP)", "Largest contentful paint: driekwart van de gemeten weergaven toonde de hoofdinhoud "
         "minstens zo snel. Tot 2500 ms is goed, boven 4000 ms slecht."),
        most=True,
    ),
    _define(
        "inp", "events", _vital("inp"), "milliseconds",
        ("Reaction to input (INP)", "Interaction to next paint: on three quarters of the measured views even the slowest "
         "reaction to a click, tap or key came at least as fast. Up to 200 ms is good, above 500 ms poor."),
        ("Reactie op invoer (INP)", "Interaction to next paint: bij driekwart van de gemeten weergaven kwam ook de traagste "
         "reactie op klik, tik of toets minstens zo snel. Tot 200 ms is goed, boven 500 ms slecht."),
        most=True,
    ),
    _define(
        "cls", "events", f"{_vital('cls')} / 1000.0", "score",
        ("Shifts of the layout (CLS)", "Cumulative layout shift: on three quarters of the measured views the page jumped "
         "about at most this much. Up to 0.1 is good, above 0.25 poor."),
        ("Verspringen (CLS)", "Cumulative layout shift: bij driekwart van de gemeten weergaven versprong de pagina hoogstens "
         "zo veel. Tot 0,1 is goed, boven 0,25 slecht."),
        most=True,
    ),
    _define(
        "conversions", "conversions", "", "count",
        ("Conversions", "How often goals were reached: each event for goals on a page or an event, each visit once for "
         "goals on a duration."),
        ("Conversies", "Hoe vaak doelen zijn bereikt: elke gebeurtenis bij doelen op een pagina of gebeurtenis, elk "
         "bezoek één keer bij doelen op een duur."),
    ),
    _define(
        "conversion_rate", "converted", "", "rate",
        ("Conversion rate", "Share of visits in which at least one of the goals was reached."),
        ("Conversiepercentage", "Deel van de bezoeken waarin minstens één van de doelen is bereikt."),
    ),
)  # fmt: skip

_BY_NAME = {metric.outside: metric for metric in METRICS} | {metric.name: metric for metric in METRICS}

# What is summed up of a whole day, and for each value of a dimension on it: figures of whichever days are sums of these.
SUMMED = (
    *(_BY_NAME[name] for name in ("daily_visitors", "visits", "page_views", "events")),
    _summed("visit_views", "visits", "sum(v.views)"),
    _summed("bounces", "visits", "sum(CASE WHEN v.views = 1 AND v.events = 0 THEN 1 ELSE 0 END)"),
    _summed("engaged_ms", "visits", "sum(v.engaged_ms)"),
    _summed("wall_ms", "visits", "sum(date_diff('millisecond', v.started_at, v.last_at))"),
    _summed("page_ms", "events", f"sum(CASE WHEN {IS_VIEW} THEN e.engaged_ms ELSE 0 END)"),
)
# The figures of a report's head, of its chart, and of the rows of its breakdowns.
TOTALS = (
    "daily_visitors", "visits", "page_views", "events",
    "views_per_visit", "bounce_rate", "visit_duration", "median_visit_duration",
)  # fmt: skip
SERIES = ("daily_visitors", "visits", "page_views")
BREAKDOWNS = (
    "page", "entry_page", "exit_page", "topic", "channel", "source", "campaign",
    "country", "language", "device", "browser", "os", "screen", "event", "goal",
)  # fmt: skip
MEASURES = ("scroll_depth", "median_scroll_depth", "lcp", "inp", "cls")


def find_metric(name: str) -> Metric | None:
    """The metric of that name, ours or Plausible's."""
    return _BY_NAME.get(name)


def get_metric(name: str) -> Metric:
    """The metric of that name; KeyError when there is none."""
    return _BY_NAME[name]
