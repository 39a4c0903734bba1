"""What the console's page on consent shows, made from its report: words, numbers and geometry for the template."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.analytics.consent_results import ConsentReport, ConsentRow, PurposeRow
from gateway.web.chart import LINES, Geometry, build_geometry, choose_top
from gateway.web.labels import Labels
from gateway.web.overview import Tile

STACKED = ("accepted", "partly", "refused")  # from the bottom up
COUNTS = ("shown", "accepted", "partly", "refused", "withdrawn")


@dataclass(frozen=True)
class Block:
    """A part of a day's column, in percent of the plot."""

    key: str
    x: str
    y: str
    width: str
    height: str
    title: str


@dataclass(frozen=True)
class TableRow:
    """One row of a breakdown: its name, its counts, the share that said yes and the share that refused."""

    name: str
    counts: list[str]
    rate: str
    refusal_rate: str


def build_consent(report: ConsentReport, labels: Labels, titles: Mapping[str, str], now: float) -> dict[str, Any]:
    """The template's values; `titles` names the purposes, `now` is epoch seconds."""
    today = datetime.fromtimestamp(now, ZoneInfo(report.period.timezone)).date().isoformat()
    geometry = place_days(report.days, labels, today)
    names = labels.texts["values"]
    return {
        "report": report,
        "period": labels.days(report.period.first, report.period.last),
        "tiles": build_tiles(report, labels),
        "geometry": geometry,
        "blocks": stack_days(report.days, geometry, labels),
        "summary": summarise(report, labels),
        "purposes": [_purpose_cells(row, titles, labels) for row in report.purposes],
        "languages_chosen": _table(report.languages, labels, lambda name: str(labels.locale.languages.get(name, name))),
        "devices": _table(report.devices, labels, lambda name: str(names.get(name, name))),
        "days": _table(report.days, labels, lambda name: labels.day(name, long=True)),
    }


def _purpose_cells(row: PurposeRow, titles: Mapping[str, str], labels: Labels) -> list[str]:
    counts = (row.asked, row.granted, row.refused, row.withdrawn)
    return [titles.get(row.name, row.name), *map(labels.number, counts), labels.percent(row.rate)]


def build_tiles(report: ConsentReport, labels: Labels) -> list[Tile]:
    """The six key figures in their order."""
    total, texts = report.total, labels.texts["consent_page"]["tiles"]
    chose = total.chose or None
    values = {
        "shown": (labels.number(total.shown), ""),
        "answered": (labels.number(report.answered), labels.percent(report.answer_rate)),
        "accepted": (labels.percent(total.accepted / chose if chose else None), labels.number(total.accepted)),
        "partly": (labels.percent(total.partly / chose if chose else None), labels.number(total.partly)),
        "refused": (labels.percent(total.refusal_rate), labels.number(total.refused)),
        "withdrawn": (labels.number(total.withdrawn), labels.number(report.changed)),
    }
    return [
        Tile(texts[key], value, texts[f"{key}_hint"].format(value=further), texts[f"{key}_help"], "", False)
        for key, (value, further) in values.items()
    ]


def place_days(days: Sequence[ConsentRow], labels: Labels, today: str) -> Geometry:
    """A column for each day as high as its choices; the day that is running is not finished."""
    chose = [day.chose for day in days]
    titles, short = [labels.day(day.name, long=True) for day in days], [labels.day(day.name) for day in days]
    running = next((index for index, day in enumerate(days) if day.name == today), None)
    top = choose_top(max(chose, default=0))
    lines = [labels.number(top * index // LINES) for index in range(LINES + 1)]
    return build_geometry(chose, titles, short, lines, running)


def stack_days(days: Sequence[ConsentRow], geometry: Geometry, labels: Labels) -> list[Block]:
    """Each day's column parted into what was chosen, from the bottom up."""
    blocks, texts = [], labels.texts["consent"]
    for day, column in zip(days, geometry.bars, strict=True):
        whole, top = float(column.height[:-1]), 100.0
        for key in STACKED:
            count = getattr(day, key)
            height = whole * count / day.chose if day.chose else 0.0
            top -= height
            title = f"{column.title}: {texts[key]} {labels.number(count)}"
            if count:
                blocks.append(Block(key, column.x, f"{top:.3f}%", column.width, f"{height:.3f}%", title))
    return blocks


def summarise(report: ConsentReport, labels: Labels) -> str:
    """The chart in a sentence."""
    texts, total = labels.texts["consent_page"], report.total
    if not total.chose:
        return str(texts["summary_empty"])
    counts = {key: labels.number(getattr(total, key)) for key in STACKED}
    return str(texts["summary"].format(chose=labels.number(total.chose), **counts))


def _table(rows: Sequence[ConsentRow], labels: Labels, name: Callable[[str], str]) -> list[TableRow]:
    unknown = labels.texts["consent_page"]["unknown"]
    return [
        TableRow(
            name(row.name) if row.name else unknown,
            [labels.number(getattr(row, key)) for key in COUNTS],
            labels.percent(row.rate),
            labels.percent(row.refusal_rate),
        )
        for row in rows
    ]
