"""The chart of a report: what the script draws, and the same as plain SVG geometry for a page without scripts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from zoneinfo import ZoneInfo

import msgspec

from gateway.analytics.metrics import get_metric
from gateway.analytics.results import Point, Report
from gateway.web.labels import LOCALES, Labels
from gateway.web.question import CHARTED, Question

LINES = 4
MOST_LABELS = 8
ROUND_STEPS = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True)
class Bar:
    """One bar, in percent of the plot; `unfinished` while its day or hour is still running."""

    x: str
    y: str
    width: str
    height: str
    unfinished: bool
    title: str


@dataclass(frozen=True)
class Mark:
    """A label of an axis at a place in percent."""

    at: str
    text: str


@dataclass(frozen=True)
class Geometry:
    """All that the SVG holds: bars, horizontal lines with their values, labels under the bars."""

    bars: list[Bar]
    lines: list[Mark]
    labels: list[Mark]


@dataclass(frozen=True)
class ChartView:
    """The chart: a sentence, a table, the geometry of the SVG, and `data` (JSON) for the script."""

    title: str
    summary: str
    heads: list[str]
    table: list[tuple[str, str, str, str, str]]
    geometry: Geometry
    data: str


def build_chart(report: Report, question: Question, labels: Labels, now: float) -> ChartView:
    """The chart of the chosen metric at `now` (epoch seconds); hours and days to come are left empty."""
    points, interval = report.series, report.period.interval
    hourly, daily = interval == "hour", interval == "day"
    local = datetime.fromtimestamp(now, ZoneInfo(report.period.timezone)).strftime("%Y-%m-%dT%H:%M")
    counts: list[int | None] = [getattr(point, question.chart) for point in points]
    values, hidden = [count or 0 for count in counts], labels.texts["compared"]["withheld"]
    started, unfinished = count_started(points, local), find_unfinished(points, local)
    short = [_short_label(point, hourly, question.days, labels) for point in points]
    long = [_long_label(point, hourly, labels) for point in points]
    shown = [hidden if count is None else labels.number(count) for count in counts]
    titles = [f"{name}: {value}" for name, value in zip(long, shown, strict=True)]
    top = choose_top(max(values, default=0))
    lines = [labels.number(top * index // LINES) for index in range(LINES + 1)]
    texts, metric = labels.texts["chart"], get_metric(question.chart).label[labels.language]
    data = {
        "values": [count if index < started else None for index, count in enumerate(counts)],
        "unfinished": unfinished,
        "unfinishedWord": texts["unfinished"],
        "top": top,
        "short": short,
        "long": long,
        "language": LOCALES[labels.language].replace("_", "-"),
        "links": [question.on_day(point.at) for point in points] if daily and question.days > 1 else [],
    }
    return ChartView(
        title=texts["title"].format(metric=metric, interval=texts[interval]),
        summary=_summary(metric, counts[:started], long, hourly, labels, report),
        heads=[get_metric(name).label[labels.language] for name in CHARTED],
        table=[_table_row(name, point, labels) for name, point in zip(long, points, strict=True)],
        geometry=build_geometry(values, titles, short, lines, unfinished),
        data=msgspec.json.encode(data).decode(),
    )


def choose_top(most: int) -> int:
    """The value of the highest line: a round number not below `most` that LINES parts divide into wholes."""
    step, power = ceil(max(most, LINES) / LINES), 1
    while step > 10 * power:
        power *= 10
    for round_step in ROUND_STEPS:
        candidate = round_step * power
        if candidate >= step and candidate == int(candidate):
            return int(candidate) * LINES
    return step * LINES


def build_geometry(
    values: Sequence[int],
    titles: Sequence[str],
    labels: Sequence[str],
    lines: Sequence[str],
    unfinished: int | None,
) -> Geometry:
    """Place the bars of `values`; `lines` are the words for the lines from 0 up, `unfinished` an index."""
    top, slot = choose_top(max(values, default=0)), 100 / max(1, len(values))
    width = slot * (0.5 if len(values) <= 10 else 0.74)
    bars = [
        Bar(
            x=_percent(slot * index + (slot - width) / 2),
            y=_percent(100 - 100 * value / top),
            width=_percent(width),
            height=_percent(100 * value / top),
            unfinished=index == unfinished,
            title=titles[index],
        )
        for index, value in enumerate(values)
    ]
    marks = [Mark(_percent(100 - 100 * index / LINES), text) for index, text in enumerate(lines)]
    worded = [index for index, label in enumerate(labels) if label]
    every = ceil(len(worded) / MOST_LABELS) or 1
    under = [Mark(_percent(slot * (index + 0.5)), labels[index]) for index in worded[::every]]
    return Geometry(bars, marks, under)


def find_unfinished(points: Sequence[Point], now_local: str) -> int | None:
    """The index of the day or hour that `now_local` (`2026-11-23T14:05`) lies in, or None."""
    for index, point in enumerate(points):
        if now_local.startswith(point.at[:13]):
            return index
    return None


def count_started(points: Sequence[Point], now_local: str) -> int:
    """How many of the points have begun by `now_local`; the rest lie in the future and have no value."""
    return sum(point.at <= now_local for point in points)


def _percent(value: float) -> str:
    return f"{value:.3f}%"


def _short_label(point: Point, hourly: bool, days: int, labels: Labels) -> str:
    """The word under a bar; over several days only midnight has one."""
    if not hourly:
        return labels.day(point.at)
    if days == 1:
        return point.at[11:]
    return labels.day(point.at) if point.at.endswith("T00:00") else ""


def _long_label(point: Point, hourly: bool, labels: Labels) -> str:
    return labels.day(point.at, long=True) + (f", {point.at[11:]}" if hourly else "")


def _summary(
    metric: str, counts: list[int | None], names: list[str], hourly: bool, labels: Labels, report: Report
) -> str:
    """The chart in one sentence. The emptiest hour is always some hour of the night, and is not named."""
    texts, period = labels.texts["chart"], labels.days(report.period.first, report.period.last)
    values = [count for count in counts if count is not None]
    if len(values) < len(counts):
        return str(texts["summary_withheld"].format(metric=metric, period=period))
    if not any(values):
        return str(texts["summary_empty"].format(metric=metric, period=period))
    most, least = values.index(max(values)), values.index(min(values))
    return str(
        texts["summary_hours" if hourly or len(values) == 1 else "summary"].format(
            metric=metric,
            period=period,
            total=labels.number(sum(values)),
            most_at=names[most],
            most=labels.number(values[most]),
            least_at=names[least],
            least=labels.number(values[least]),
        )
    )


def _table_row(name: str, point: Point, labels: Labels) -> tuple[str, str, str, str, str]:
    found, hidden = [getattr(point, metric) for metric in CHARTED], labels.texts["compared"]["withheld"]
    counts = [hidden if count is None else labels.number(count) for count in found]
    return point.at, name, counts[0], counts[1], counts[2]
