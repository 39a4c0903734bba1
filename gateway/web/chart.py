"""The chart of a report: what the script draws, and the same as plain SVG geometry for a page without scripts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil
from zoneinfo import ZoneInfo

import msgspec

from gateway.analytics.metrics import get_metric
from gateway.analytics.results import Note, Point, Report
from gateway.web.cards import build_files
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
    """All that the SVG holds: bars, horizontal lines with their values, labels under the bars; `earlier` are the points of the
    line for the period compared with ("12.5,80 37.5,42", in a field of 100 by 100), `notes` where something was written."""

    bars: list[Bar]
    lines: list[Mark]
    labels: list[Mark]
    earlier: str = ""
    notes: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Earlier:
    """What a point is compared with: its count (None where it is withheld or there is none), that and its day in words, and the
    change since then, empty while the point still runs."""

    count: int | None = None
    words: str = ""
    change: str = ""


@dataclass(frozen=True)
class ChartView:
    """The chart: a sentence, a table, the geometry of the SVG, and `data` (JSON) for the script."""

    title: str
    summary: str
    heads: list[str]
    table: list[tuple[str, str, list[str]]]
    geometry: Geometry
    data: str
    earlier: str = ""
    files: tuple[tuple[str, str], ...] = ()


def build_chart(report: Report, question: Question, labels: Labels, now: float) -> ChartView:
    """The chart of the chosen metric at `now` (epoch seconds); hours and days to come are left empty."""
    points, interval = report.series, report.period.interval
    local = local_minute(report, now)
    counts: list[int | None] = [getattr(point, question.chart) for point in points]
    values, hidden = [count or 0 for count in counts], labels.texts["compared"]["withheld"]
    started, unfinished = count_started(points, local), find_unfinished(points, local, report.period.last)
    short = [_short_label(point, interval, question.days, labels) for point in points]
    long = [_long_label(point, interval, labels) for point in points]
    earlier = find_earlier(report, question, counts[: count_finished(report, now)], labels)
    before = [one.count for one in earlier]
    shown = [hidden if count is None else labels.number(count) for count in counts]
    titles = [f"{name}: {value}" for name, value in zip(long, shown, strict=True)]
    titles = [add_earlier(title, one) for title, one in zip(titles, earlier, strict=True)] if earlier else titles
    top = choose_top(max([*values, *(count or 0 for count in before)], default=0))
    lines = [labels.number(top * index // LINES) for index in range(LINES + 1)]
    texts, metric = labels.texts["chart"], get_metric(question.chart).label[labels.language]
    notes = place_notes(report.notes, points)
    data = {
        "values": [count if index < started else None for index, count in enumerate(counts)],
        "earlier": before,
        "earlierWords": [one.words for one in earlier],
        "changes": [one.change for one in earlier],
        "notes": notes,
        "unfinished": unfinished,
        "unfinishedWord": texts["unfinished"],
        "top": top,
        "short": short,
        "long": long,
        "language": LOCALES[labels.language].replace("_", "-"),
        "links": [question.on_day(point.at) for point in points] if interval == "day" and question.days > 1 else [],
    }
    geometry = build_geometry(values, titles, short, lines, unfinished, top)
    return ChartView(
        title=texts["title"].format(metric=metric, interval=texts[interval]),
        summary=_summary(metric, counts[:started], long, interval, labels, report),
        heads=[*(get_metric(name).label[labels.language] for name in CHARTED), *([texts["earlier"]] if before else [])],
        table=_table(long, points, before, labels),
        geometry=replace(
            geometry, earlier=draw_earlier(before, len(points), top), notes=mark_notes(notes, len(points))
        ),
        data=msgspec.json.encode(data).decode(),
        earlier=f"{metric}, {texts['earlier']}" if before else "",
        files=build_files(interval, question),
    )


def find_earlier(report: Report, question: Question, finished: Sequence[int | None], labels: Labels) -> list[Earlier]:
    """What each point is compared with, of the chosen metric; `finished` are the counts of points that are over. Empty where
    there is nothing to compare with."""
    points = report.compared.series[: len(report.series)] if report.compared else []
    counts = [getattr(point, question.chart) for point in points]
    if not any(counts):
        return []
    found = []
    for index, (point, before) in enumerate(zip(points, counts, strict=True)):
        if before is None:
            found.append(Earlier())
            continue
        now = finished[index] if index < len(finished) else None
        change = labels.change(now, before) if before and now is not None else ""
        name = _long_label(point, report.period.interval, labels)
        found.append(Earlier(before, f"{name}: {labels.number(before)}", change))
    return found + [Earlier()] * (len(report.series) - len(found))


def add_earlier(title: str, earlier: Earlier) -> str:
    """A bar's title with what the bar is compared with, as far as that is known."""
    changed = f"{title} ({earlier.change})" if earlier.change else title
    return f"{changed}\n{earlier.words}" if earlier.words else changed


def place_notes(notes: Sequence[Note], points: Sequence[Point]) -> list[tuple[int, str]]:
    """(index of the point that it belongs to, text) for each note, by day; of an hourly chart that day's first."""
    placed = []
    for note in notes:
        starts = [index for index, point in enumerate(points) if point.at[:10] == note.day]
        earlier = [index for index, point in enumerate(points) if point.at[:10] <= note.day]
        if starts or earlier:
            placed.append((starts[0] if starts else earlier[-1], note.text))
    return placed


def mark_notes(notes: Sequence[tuple[int, str]], count: int) -> tuple[Mark, ...]:
    """Where the notes stand in the plot; those of one point together."""
    found: dict[int, list[str]] = {}
    for index, text in notes:
        found.setdefault(index, []).append(text)
    return tuple(Mark(_percent(100 / count * (index + 0.5)), "; ".join(texts)) for index, texts in found.items())


def draw_earlier(values: Sequence[int | None], count: int, top: int) -> str:
    """The points of the line; a value that is withheld is no point."""
    slot = 100 / max(1, count)
    return " ".join(
        f"{slot * (index + 0.5):.2f},{100 - 100 * value / top:.2f}"
        for index, value in enumerate(values)
        if value is not None
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
    top: int = 0,
) -> Geometry:
    """Place the bars of `values`; `lines` are the words for the lines from 0 up, `unfinished` an index, `top` the value of
    the highest line (without: what fits)."""
    top, slot = top or choose_top(max(values, default=0)), 100 / max(1, len(values))
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


def find_unfinished(points: Sequence[Point], now_local: str, last: str) -> int | None:
    """The index of the hour, day, week or month that `now_local` (`2026-11-23T14:05`) lies in, or None; `last` is the
    period's last day."""
    started = count_started(points, now_local)
    return started - 1 if started and now_local[:10] <= last else None


def count_started(points: Sequence[Point], now_local: str) -> int:
    """How many of the points have begun by `now_local`; the rest lie in the future and have no value."""
    return sum(point.at <= now_local for point in points)


def count_finished(report: Report, now: float) -> int:
    """How many points of the report's series are over at `now` (epoch seconds)."""
    local = local_minute(report, now)
    unfinished = find_unfinished(report.series, local, report.period.last)
    return count_started(report.series, local) if unfinished is None else unfinished


def local_minute(report: Report, now: float) -> str:
    """The time on the report's clock, as its points are named: `2026-11-23T14:05`."""
    return datetime.fromtimestamp(now, ZoneInfo(report.period.timezone)).strftime("%Y-%m-%dT%H:%M")


def _percent(value: float) -> str:
    return f"{value:.3f}%"


def _short_label(point: Point, interval: str, days: int, labels: Labels) -> str:
    """The word under a bar; of hours over several days only midnight has one."""
    if interval == "month":
        return labels.month(point.at)
    if interval != "hour":
        return labels.day(point.at)
    if days == 1:
        return point.at[11:]
    return labels.day(point.at) if point.at.endswith("T00:00") else ""


def _long_label(point: Point, interval: str, labels: Labels) -> str:
    if interval == "month":
        return labels.month(point.at, long=True)
    if interval == "week":
        return str(labels.texts["chart"]["week_of"].format(day=labels.day(point.at, long=True)))
    return labels.day(point.at, long=True) + (f", {point.at[11:]}" if interval == "hour" else "")


def _summary(
    metric: str, counts: list[int | None], names: list[str], interval: str, labels: Labels, report: Report
) -> str:
    """The chart in one sentence. The emptiest hour is always some hour of the night, and is not named."""
    texts, period = labels.texts["chart"], labels.days(report.period.first, report.period.last)
    values = [count for count in counts if count is not None]
    if len(values) < len(counts):
        return str(texts["summary_withheld"].format(metric=metric, period=period))
    if not any(values):
        return str(texts["summary_empty"].format(metric=metric, period=period))
    most, least = values.index(max(values)), values.index(min(values))
    told = "summary_hours" if interval == "hour" or len(values) == 1 else "summary"
    return str(
        texts["summary_spans" if interval in ("week", "month") else told].format(
            metric=metric,
            period=period,
            total=labels.number(sum(values)),
            most_at=names[most],
            most=labels.number(values[most]),
            least_at=names[least],
            least=labels.number(values[least]),
        )
    )


def _table(
    names: Sequence[str], points: Sequence[Point], before: Sequence[int | None], labels: Labels
) -> list[tuple[str, str, list[str]]]:
    hidden = labels.texts["compared"]["withheld"]
    table = []
    for index, (name, point) in enumerate(zip(names, points, strict=True)):
        found = [*(getattr(point, metric) for metric in CHARTED), *before[index : index + 1]]
        table.append((point.at, name, [hidden if count is None else labels.number(count) for count in found]))
    return table
