"""The chart of a report: what the script draws, and the same as plain SVG geometry for a page without scripts."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from gateway.analytics.results import Point

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
    anchor: str = "middle"


@dataclass(frozen=True)
class Geometry:
    """All that the SVG holds: bars, horizontal lines with their values, labels under the bars."""

    bars: list[Bar]
    lines: list[Mark]
    labels: list[Mark]


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
    values: Sequence[int], titles: Sequence[str], labels: Sequence[str], lines: Sequence[str], unfinished: int | None
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
    every = ceil(len(labels) / MOST_LABELS) or 1
    under = [Mark(_percent(slot * (i + 0.5)), labels[i]) for i in range(0, len(labels), every)]
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
