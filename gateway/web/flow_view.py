"""What the page of flows shows: the pages around the chosen ones, with bands between them, as geometry of an SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.analytics.page_flows import EDGE, MOST_PAGES, FlowRow, PageFlow, Rest, Side
from gateway.web.labels import Labels
from gateway.web.question import Question

ROW_HEIGHT = 40  # pixels, of the rows beside the bands: as in console.css
THICKEST = 0.82  # of a row's height, at its end of the band


@dataclass(frozen=True)
class FlowLine:
    """A page before or after; `url` walks on to it, empty where there is nothing to walk to. `kind`: page, edge or rest."""

    name: str
    url: str
    passes: str
    share: str
    visitors: str
    width: str
    kind: str


@dataclass(frozen=True)
class FlowSide:
    """One side: its rows, and a band for each as an SVG path in a field of 100 wide and `height` high."""

    side: Side
    lines: list[FlowLine]
    bands: list[tuple[str, str]]
    height: int


@dataclass(frozen=True)
class Stop:
    """One of the chosen pages; `url` goes back to it, `alone` looks at it by itself."""

    page: str
    url: str
    alone: str


def build_flow_view(flow: PageFlow, question: Question, labels: Labels) -> dict[str, Any]:
    """The template's values for a flow."""
    pages = flow.pages
    stops = [Stop(page, _to(question, pages[: index + 1]), _to(question, [page])) for index, page in enumerate(pages)]
    return {
        "stops": stops,
        "passes": labels.number(flow.passes),
        "visits": labels.number(flow.visits),
        "visitors": labels.number(flow.visitors),
        "before": _build_side("before", flow.before, flow, question, labels),
        "after": _build_side("after", flow.after, flow, question, labels),
        "withheld": labels.texts["compared"]["why"][flow.withheld] if flow.withheld else "",
        "empty": flow.passes == 0,
    }


def _build_side(side: Side, rows: Sequence[FlowRow], flow: PageFlow, question: Question, labels: Labels) -> FlowSide:
    longest = max((row.passes for row in rows), default=0) or 1
    lines = [_line(side, row, row.passes / longest, flow, question, labels) for row in rows]
    shares = [row.share for row in rows]
    rest = flow.rest.get(side)
    if rest:
        lines.append(_rest(rest, min(1.0, rest.passes / longest), labels))
        shares.append(rest.share)
    height = ROW_HEIGHT * max(1, len(lines))
    bands = draw_bands(shares, height, mirrored=side == "after")
    return FlowSide(side, lines, list(zip((line.kind for line in lines), bands, strict=True)), height)


def _line(side: Side, row: FlowRow, length: float, flow: PageFlow, question: Question, labels: Labels) -> FlowLine:
    edge = row.page == EDGE
    pages = [row.page, *flow.pages] if side == "before" else [*flow.pages, row.page]
    return FlowLine(
        name=str(labels.texts["flows"][f"edge_{side}"]) if edge else row.page,
        url="" if edge or len(pages) > MOST_PAGES else _to(question, pages),
        passes=labels.number(row.passes),
        share=labels.percent(row.share),
        visitors=labels.number(row.visitors),
        width=f"{100 * length:.2f}%",
        kind="edge" if edge else "page",
    )


def _rest(rest: Rest, length: float, labels: Labels) -> FlowLine:
    passes, share = labels.number(rest.passes), labels.percent(rest.share)
    return FlowLine(str(labels.texts["flows"]["rest"]), "", passes, share, "", f"{100 * length:.2f}%", "rest")


def _to(question: Question, pages: Sequence[str]) -> str:
    return question.url(pages="\n".join(pages))


def draw_bands(shares: Sequence[float], height: int, mirrored: bool) -> list[str]:
    """A path for each row: from its place among the rows to its part of the whole. `shares` add up to 1; `mirrored` bands
    begin at the whole."""
    most, bands, at = max(shares, default=0) or 1, [], 0.0
    outer, inner = (100, 0) if mirrored else (0, 100)
    for index, share in enumerate(shares):
        middle = ROW_HEIGHT * (index + 0.5)
        half = max(1.0, ROW_HEIGHT * THICKEST * share / most / 2)
        top, bottom = at * height, (at + share) * height
        at += share
        bands.append(
            f"M{outer} {middle - half:.1f}C50 {middle - half:.1f} 50 {top:.1f} {inner} {top:.1f}"
            f"V{bottom:.1f}C50 {bottom:.1f} 50 {middle + half:.1f} {outer} {middle + half:.1f}Z"
        )
    return bands
