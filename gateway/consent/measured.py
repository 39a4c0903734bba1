"""What a browser measured of the gateway's own banner and of visits with each answer: plain facts, for the rules to judge."""

import msgspec

from gateway.consent.seen_banner import Box, contrast_of


class MeasuredButton(msgspec.Struct, frozen=True):
    """One of a layer's buttons: what it sends, its words, where it lies, its colours and the one behind it. `look` is all of
    its computed style that a visitor could tell it apart by; `seen` whether it lies whole on the screen, under nothing."""

    value: str
    text: str
    box: Box
    colour: str
    background: str
    behind: str
    look: str
    seen: bool

    @property
    def contrast(self) -> float:
        """Of the words on the button."""
        return contrast_of(self.colour, self.background)

    @property
    def edge(self) -> float:
        """Of the button on what is behind it."""
        return contrast_of(self.background, self.behind)


class Look(msgspec.Struct, frozen=True):
    """A layer in one language, colour scheme and size. `share` is how much of the screen's height it takes, `faint` are words
    with too little contrast, `small` what is too small to be hit, `sideways` whether the page scrolls to the side."""

    layer: str
    language: str
    scheme: str
    width: int
    share: float
    buttons: tuple[MeasuredButton, ...]
    faint: tuple[str, ...] = ()
    small: tuple[str, ...] = ()
    sideways: bool = False

    @property
    def name(self) -> str:
        """As findings call it."""
        return f"{self.layer}, {self.scheme}, {self.width} px"


class Visit(msgspec.Struct, frozen=True):
    """A page in a fresh profile after one answer. `cookies` and `hosts` are what it kept and contacted, `asked` whether the
    banner showed, `days` how long the cookie with the answer lives, `words` the page's own text."""

    asked: bool = True
    cookies: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    granted: tuple[str, ...] = ()
    status: int = 200
    words: frozenset[str] = frozenset()
    locked: bool = False
    days: float = 0.0
    clicks: int = 1


class Measured(msgspec.Struct, frozen=True):
    """All that was measured of one site at one address. `focus` is what the first presses of Tab lead to, `hidden` the links
    of the page that had the focus while the bar covered them; `one` is the visit that said yes to `purpose` alone, `changed`
    an accepted visit under a policy in which `purpose` has grown (None: could not be tried)."""

    address: str
    looks: tuple[Look, ...]
    focus: tuple[str, ...]
    hidden: tuple[str, ...]
    before: Visit
    refused: Visit
    accepted: Visit
    withdrawn: Visit
    one: Visit | None = None
    purpose: str = ""
    changed: Visit | None = None
