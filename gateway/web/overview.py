"""What the overview page shows, made from a report: words and numbers ready for the template, no HTML."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.analytics.answers import Imported
from gateway.analytics.dimensions import get_dimension
from gateway.analytics.metrics import Metric, find_metric, get_metric
from gateway.analytics.results import ConsentFigures, CountRow, Measures, QueueState, Report
from gateway.flows.counters import SECOND_BANNER
from gateway.policy import ANY, UNKNOWN
from gateway.settings import AnalyticsConfig
from gateway.web.cards import build_cards
from gateway.web.chart import build_chart, count_finished
from gateway.web.filter_words import build_chips, build_comparisons
from gateway.web.labels import Labels
from gateway.web.question import CHARTED, Question
from gateway.web.row_names import plain_name

QUEUE_STATES = ("delivered", "queued", "started", "dead", "cancelled", "expired")


@dataclass(frozen=True)
class Tile:
    """One key figure; `url` leads to its chart, if it has one; `change` is since the period compared with, `mood` whether
    that is more or less. `beside` is what else there is to say of it."""

    label: str
    value: str
    hint: str
    help: str
    url: str
    current: bool
    change: str = ""
    mood: str = ""
    beside: str = ""


@dataclass(frozen=True)
class Segment:
    """A part of the consent bar, in percent of the bar."""

    key: str
    count: str
    share: str
    x: str
    width: str


@dataclass(frozen=True)
class Held:
    """Something held back, or in observe mode let through; `path` is where, if known."""

    name: str
    what: str
    purpose: str
    count: str
    let_through: bool
    path: str


def build_overview(
    report: Report,
    question: Question,
    labels: Labels,
    now: float,
    analytics: AnalyticsConfig,
) -> dict[str, Any]:
    """The template's values for one report; `now` is epoch seconds."""
    least, finished = analytics.min_visitors, count_finished(report, now)
    return {
        "report": report,
        "question": question,
        "chips": build_chips(question, labels),
        "period": labels.days(report.period.first, report.period.last),
        "time": get_metric("time_on_page"),
        "tiles": build_tiles(report, question, labels, analytics.visit_minutes, finished),
        "chart": build_chart(report, question, labels, now),
        "segments_of_consent": build_segments(report.consent, labels),
        "choices": report.consent.accepted + report.consent.partly + report.consent.refused,
        "groups": build_cards(report, question, labels, least),
        "measures": build_measures(report, labels),
        "withheld": _why(report, labels),
        "few_people": labels.texts["definitions"]["few"].format(least=labels.number(least)) if least > 1 else "",
        "imported": build_imported(report.imported, labels),
        "comparisons": build_comparisons(question, labels),
        "compared": build_compared(report, labels, finished),
        "changes": report.before is not None,
        "pages": build_pages(report, labels),
        "asserted": [(plain_name(row.detail, labels), labels.number(row.count)) for row in report.asserted],
        "dropped": build_dropped(report, labels),
        "bots": [(plain_name(row.name, labels), row.pages, labels.number(row.count)) for row in report.bots],
        "empty": find_emptiness(report),
    }


def _why(report: Report, labels: Labels) -> str:
    """Why figures, or rows alone, are withheld, as a sentence; empty where none are."""
    why = report.withheld or report.rows_withheld
    return str(labels.texts["compared"]["why"][why]) if why else ""


def find_emptiness(report: Report) -> str:
    """Why there is nothing to see: "none" came in, people were "asked" only, or "" when there is something."""
    if report.withheld or report.totals.page_views or report.totals.events:
        return ""
    return "asked" if report.consent.shown else "none"


def build_tiles(report: Report, question: Question, labels: Labels, minutes: int, finished: int) -> list[Tile]:
    """The six key figures in their order; `finished` points of the report's series are over (see `compare_figure`)."""
    totals, hints, hidden = report.totals, labels.texts["hints"], labels.texts["compared"]["withheld"]
    median = labels.seconds(totals.median_visit_duration)
    duration_hint = hints["visit_duration"].format(median=median)
    if totals.median_visit_duration is None:
        duration_hint = hints["visit_duration_none"]
    values = {
        "daily_visitors": labels.number(totals.daily_visitors),
        "visits": labels.number(totals.visits),
        "page_views": labels.number(totals.page_views),
        "views_per_visit": labels.number(totals.views_per_visit, 1),
        "bounce_rate": labels.percent(totals.bounce_rate, 1),
        "visit_duration": labels.seconds(totals.visit_duration),
    }
    beside, explained = _month(report, labels)
    return [
        Tile(
            label=get_metric(key).label[labels.language],
            value=hidden if report.withheld else value,
            change=labels.change(*compare_figure(key, report, finished)) if report.before else "",
            mood=_mood(key, *compare_figure(key, report, finished)),
            hint=duration_hint if key == "visit_duration" else hints[key].format(minutes=labels.number(minutes)),
            help=get_metric(key).help[labels.language] + (explained if key == "daily_visitors" else ""),
            url=question.url(chart=key) if key in CHARTED else "",
            current=key == question.chart,
            beside=beside if key == "daily_visitors" else "",
        )
        for key, value in values.items()
    ]


def _month(report: Report, labels: Labels) -> tuple[str, str]:
    """The estimate of the month's different visitors as words beside the daily ones, and what it means; empty without one."""
    if report.month is None:
        return "", ""
    error, words = labels.percent(report.month.standard_error, 1), labels.texts["hints"]
    told = words["month_withheld" if report.month.visitors is None else "month"]
    month, count = labels.month(f"{report.month.month}-01", long=True), labels.number(report.month.visitors)
    return told.format(month=month, count=count, error=error), " " + words["month_help"].format(error=error)


def build_imported(imported: Imported | None, labels: Labels) -> str:
    """Which days another tool counted, and what they do not tell, in words; empty where there are none."""
    if imported is None:
        return ""
    words, source = labels.texts["imported"], imported.source.capitalize()
    period = labels.days(imported.first, imported.last)
    if imported.left_out:
        return str(words["filter"].format(period=period, source=source))
    named = [find_metric(name) or get_dimension(name) for name in imported.lacking]
    lacking = ", ".join(one.label[labels.language].lower() for one in named)
    told = str(words["there"].format(period=period, source=source))
    return f"{told} {words['lacking'].format(names=lacking)}" if lacking else told


def build_compared(report: Report, labels: Labels, finished: int) -> str:
    """The days that this period is compared with, as a sentence, which says once for all figures that those days have none or
    that today is not over; empty where it is not compared."""
    compared, told = report.compared, "with"
    if compared is None:
        return ""
    if report.before is None:
        told = "with_nothing" if compared.totals else "with_withheld"
    elif finished < len(report.series):
        told = "with_today"
    return str(labels.texts["compared"][told].format(period=labels.days(compared.first, compared.last)))


def compare_figure(key: str, report: Report, finished: int) -> tuple[float | None, float | None]:
    """A key figure now and before. What is counted day by day is compared as far as days (hours, ...) are over, with as many of
    the other period: half a day beside a whole one would be a loss that is none. Shares and means are of all days, and so are
    counts of which a day is withheld; before anything is over there is nothing to compare with."""
    whole = getattr(report.totals, key), getattr(report.before, key, None)
    earlier = report.compared.series if report.compared else []
    if key not in CHARTED or not earlier or finished == len(report.series):
        return whole
    pairs = [
        (getattr(now, key), getattr(before, key))
        for now, before in zip(report.series[:finished], earlier, strict=False)
    ]
    if any(None in pair for pair in pairs):
        return whole
    return sum(now for now, _ in pairs), sum(before for _, before in pairs) if pairs else None


def _mood(key: str, now: float | None, then: float | None) -> str:
    """ "up" or "down" since the period compared with: towards more of what is wanted, or less; "" where neither."""
    if now is None or not then or not round(now / then - 1, 2):
        return ""
    return "up" if (now > then) != (key == "bounce_rate") else "down"


def build_segments(consent: ConsentFigures, labels: Labels) -> list[Segment]:
    """Accepted, partly and refused, side by side; shares of the choices made."""
    counts = {"accepted": consent.accepted, "partly": consent.partly, "refused": consent.refused}
    whole, segments, x = sum(counts.values()), [], 0.0
    for key, count in counts.items():
        share = count / whole if whole else 0.0
        shown = labels.percent(share) if whole else labels.percent(None)
        segments.append(Segment(key, labels.number(count), shown, f"{x:.3f}%", f"{100 * share:.3f}%"))
        x += 100 * share
    return segments


def build_measures(report: Report, labels: Labels) -> list[tuple[str, str, str]]:
    """(figure, what it means, value) of how pages did and of what events were worth; what nobody told is left out."""
    rows = []
    for name in Measures.__struct_fields__:
        value, metric = getattr(report.measures, name), get_metric(name)
        if value is not None:
            rows.append((metric.label[labels.language], metric.help[labels.language], _measured(metric, value, labels)))
    revenue = get_metric("revenue")
    for money in report.revenue:
        shown = f"{money.currency}\u00a0{labels.number(money.revenue, 2)}"
        rows.append((revenue.label[labels.language], revenue.help[labels.language], shown))
    return rows


def _measured(metric: Metric, value: float, labels: Labels) -> str:
    if metric.unit == "rate":
        return labels.percent(value)
    return f"{labels.number(value)}\u00a0ms" if metric.unit == "milliseconds" else labels.number(value, 3)


def build_pages(report: Report, labels: Labels) -> list[tuple[str, str]]:
    """(page, count) of the exempt page counter, those put together last."""
    if report.pages is None:
        return []
    rows = [(plain_name(row.name, labels), labels.number(row.count)) for row in report.pages.pages]
    others = str(labels.texts["pages_counted"]["others"])
    return rows + ([(others, labels.number(report.pages.others))] if report.pages.others else [])


def build_dropped(report: Report, labels: Labels) -> list[tuple[str, str, str]]:
    """(reason, why, count) for each reason in the report."""
    reasons, why = labels.texts["reasons"], labels.texts["reasons_why"]
    rows = []
    for row in report.dropped:
        refused = row.kind == "refused_request"
        explained = why["refused_request"] if refused else why.get(row.name, row.detail)
        rows.append((plain_name(reasons.get(row.name, row.name), labels), explained, labels.number(row.count)))
    return rows


def build_held(report: Report, labels: Labels, titles: Mapping[str, str]) -> list[Held]:
    """What was held back, and in observe mode what would be; `titles` of the purposes by id."""
    words, found = labels.texts["held"], []
    own = {"": words["unknown"], UNKNOWN: words["unknown"], ANY: labels.texts["inventory"]["any"]}
    for row in report.held:
        if row.kind == SECOND_BANNER:
            found.append(_second_banner(row, labels))
            continue
        what, purpose, path = [*row.detail.split(" ", 2), "", ""][:3]
        found.append(
            Held(
                name=plain_name(row.name, labels),
                what=str(words[what]) if what in ("script", "iframe", "img", "cookie") else what or words["other"],
                purpose=own.get(purpose) or titles.get(purpose, purpose),
                count=labels.number(row.count),
                let_through=row.kind == "would_hold",
                path=path,
            )
        )
    return found


def _second_banner(row: CountRow, labels: Labels) -> Held:
    name, words = plain_name(row.name, labels), labels.texts["held"]
    return Held(
        name=name,
        what=str(words["script"]),
        purpose=str(words["second_banner"]),
        count=labels.number(row.count),
        let_through=False,
        path="",
    )


def build_queue(
    queue: QueueState, labels: Labels, timezone: str, status: Mapping[str, Any], paused: Collection[str]
) -> dict[str, Any]:
    """A destination's row: name, kind, words for the counts by state, oldest waiting, last error; and how it stands (see
    `_say_standing`), by the keeper's `status` and the names of those `paused`."""
    standing, words = _say_standing(queue.destination, labels, timezone, status, paused)
    counts = {state: labels.number(getattr(queue, state)) for state in QUEUE_STATES}
    return {
        "name": queue.destination,
        "kind": queue.kind,
        "counts": counts,
        "failed": queue.dead > 0,
        "oldest": labels.moment(queue.oldest_at, timezone) if queue.oldest_at is not None else "",
        "error": queue.last_error,
        "standing": standing,
        "words": words,
    }


def _say_standing(
    name: str, labels: Labels, timezone: str, status: Mapping[str, Any], paused: Collection[str]
) -> tuple[str, str]:
    """("stopped", "paused" or "resting", that in words) of a destination; ("", "") of one that is at work. One that has
    stopped by itself has, whatever else was said; one that is paused is not on its way back."""
    words, rest = labels.texts["destinations"], status.get("resting", {}).get(name)
    if reason := status.get("disabled", {}).get(name):
        return "stopped", words["stopped"].format(reason=reason)
    if name in paused:
        return "paused", words["paused_short"]
    if rest:
        until = labels.moment(rest["until"], timezone)
        return "resting", words["resting"].format(until=until, reason=rest["reason"])
    return "", ""


def build_keeper(status: Mapping[str, Any], labels: Labels, now: float) -> dict[str, Any]:
    """The footer: how the keeper does. Keys of `status` that are missing are not shown."""
    words, said = labels.texts["keeper"], []
    if status.get("version"):
        said.append(words["version"].format(version=status["version"]))
    if status.get("started_at"):
        said.append(words["running"].format(since=labels.since(float(status["started_at"]), now)))
    counts = [key for key in ("fronts", "journals", "drained") if key in status]
    said += [words[key].format(count=labels.number(status[key])) for key in counts]
    store_ok = status.get("store", "ok") == "ok"
    if waiting := tell_waiting(status, labels, now):
        said.insert(0, waiting)
    return {"said": said, "store_ok": store_ok, "store": words["store_ok" if store_ok else "store_bad"]}


def tell_waiting(status: Mapping[str, Any], labels: Labels, now: float) -> str:
    """Since when the store has not answered, and how much waits in the journals; empty while it answers."""
    if not status.get("store_since"):
        return ""
    size = labels.number(-(-int(status.get("waiting_bytes", 0)) // 1024))
    since: str = labels.texts["keeper"]["waiting"]
    return since.format(since=labels.since(float(status["store_since"]), now), size=size)
