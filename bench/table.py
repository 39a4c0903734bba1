"""The table that a run ends with, in Markdown, ready for docs/performance.md."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One figure. `bound` is what is asked for (empty: shown only); `met` whether it is."""

    what: str
    value: str
    beside: str
    ratio: str
    bound: str
    met: bool = True


def at_least(what: str, value: float, base: float, bound: float, value_text: str, base_text: str) -> Line:
    """A ratio that must not fall below its bound."""
    ratio = value / base
    return Line(what, value_text, base_text, f"{ratio:.2f}", f">= {bound}", ratio >= bound)


def at_most_ratio(what: str, value: float, base: float, bound: float) -> Line:
    """A ratio of two times in seconds that must not rise above its bound."""
    ratio = value / base
    return Line(
        what, f"{value * 1e6:,.1f} µs", f"{base * 1e6:,.1f} µs", f"{ratio:.2f}", f"<= {bound:g}", ratio <= bound
    )


def at_most_megabytes(what: str, value: float, base: float, bound: float) -> Line:
    """A ratio of two sizes in megabytes that must not rise above its bound."""
    ratio = value / base
    return Line(what, f"{value:.1f} MB", f"{base:.1f} MB", f"{ratio:.2f}", f"<= {bound:g}", ratio <= bound)


def at_most(what: str, value: float, bound: float, text: str, unit: str) -> Line:
    """A figure that must not rise above its bound."""
    return Line(what, text, "", "", f"<= {bound:g} {unit}", value <= bound)


def show(lines: Sequence[Line]) -> None:
    """Print the table."""
    print("| what | measured | baseline | ratio | asked | met |\n|---|---|---|---|---|---|")
    for line in lines:
        met = "yes" if line.met else "**no**"
        print(f"| {line.what} | {line.value} | {line.beside} | {line.ratio} | {line.bound or '-'} | {met} |")
