"""What a consent banner looks like to a visitor: its text, its controls with their looks, its switches."""

import re

import msgspec

from gateway.theme import Colour, contrast_between

Box = tuple[float, float, float, float]  # left, top, width, height, in CSS pixels


class SeenControl(msgspec.Struct, frozen=True):
    """A button or link of a banner. `kind` is reject, settings, save or accept; `index` finds it on the page again."""

    kind: str
    text: str
    tag: str
    index: int
    box: Box
    in_paragraph: bool
    in_view: bool
    font_size: float
    font_weight: float
    colour: str
    background: str
    vague: bool = False

    @property
    def contrast(self) -> float:
        """Between text and background, by WCAG: 1 to 21."""
        return contrast_of(self.colour, self.background)

    @property
    def area(self) -> float:
        """In square pixels."""
        return self.box[2] * self.box[3]


class SeenSwitch(msgspec.Struct, frozen=True):
    """A box or switch; `fixed` when it cannot be changed."""

    label: str
    checked: bool
    fixed: bool


class SeenBanner(msgspec.Struct, frozen=True):
    """A banner on a page. `tool` is the catalogue's id of the consent tool, empty when it is not known."""

    tool: str
    text: str
    role: str
    name: str
    controls: tuple[SeenControl, ...]
    switches: tuple[SeenSwitch, ...]
    links: tuple[str, ...]
    locked: bool
    frame: int = 0

    def find(self, kind: str) -> SeenControl | None:
        """The first visible control of a kind."""
        return next((control for control in self.controls if control.kind == kind), None)


def read_colour(css: str) -> Colour:
    """Red, green and blue of "rgb(1, 2, 3)", each from 0 to 1; white for what cannot be read."""
    numbers = [float(number) for number in re.findall(r"[\d.]+", css)[:3]]
    if len(numbers) < 3:
        return (1.0, 1.0, 1.0)
    red, green, blue = (min(number / 255, 1.0) for number in numbers)
    return (red, green, blue)


def contrast_of(first: str, second: str) -> float:
    """The contrast of two computed colours, by WCAG."""
    return contrast_between(read_colour(first), read_colour(second))
