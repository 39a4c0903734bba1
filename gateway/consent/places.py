"""Where something held back would have been seen: what a placeholder in its stead needs to know of it."""

import re
from collections.abc import Mapping
from html import unescape

import msgspec

from gateway.consent.tag_gate import Attributes, Held

SHOWN_BY = {"iframe": "src", "video": "src", "audio": "src", "embed": "src", "object": "data"}
# Smaller than this, nothing can be said in its place: buttons, badges, pixels.
LEAST_WIDTH, LEAST_HEIGHT = 120, 60
LARGEST = 4000
OWN_PATH = "/"  # stands for the host of what the site itself serves
_NUMBER = re.compile(r"\s*(\d+)(?:\.\d+)?\s*(?:px)?\s*\Z", re.IGNORECASE)
_STYLED = re.compile(r"(?:^|;)\s*(width|height)\s*:\s*([^;!]+)", re.IGNORECASE)
_HIDING = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_PLAIN_ADDRESS = re.compile(r"(?:https?:)?//[^\s\"'<>\\]+\Z", re.IGNORECASE)


def is_plain_address(text: str) -> bool:
    """Whether this is the address of a document on some host, as it stands."""
    return bool(_PLAIN_ADDRESS.match(text))


class Place(msgspec.Struct, frozen=True):
    """One held element that a visitor would have seen. `service` is empty where no service names the host.

    `width` and `height` are pixels, 0 where it does not say; a `wide` one takes the width there is. `address` is what it
    would have shown, empty for what is no plain address. `behind` is whether the placeholder follows the element.
    """

    service: str
    host: str
    address: str
    width: int
    height: int
    wide: bool
    behind: bool = False

    @property
    def can_once(self) -> bool:
        """Whether it can be loaded without being allowed: not what the site itself serves under a path, and refuses."""
        return self.host[:1] not in ("/", "*")


class Film:
    """A `video` or `audio` whose addresses stand in its `source` elements: only behind it is known whether they are held."""

    def __init__(self, attributes: Attributes) -> None:
        self._values = {name: unescape(value) for name, value in reversed(attributes)}
        self._held: Held | None = None
        self._address, self._plays = "", False

    def add(self, held: Held | None, attributes: Attributes) -> None:
        """One of its sources, held or not."""
        address = next((unescape(value).strip() for name, value in attributes if name == "src"), "")
        if held is None:
            self._plays = self._plays or bool(address)
        elif self._held is None:
            self._held, self._address = held, address if is_plain_address(address) else ""

    def find_place(self) -> Place | None:
        """Its place; None where something is left to play, or nobody would have seen it."""
        if self._held is None or self._plays:
            return None
        place = _measure(self._held.service, self._held.host, self._address, self._values)
        return msgspec.structs.replace(place, behind=True) if place else None


def find_place(tag: str, held: Held, attributes: Attributes) -> Place | None:
    """The place of a held tag with these raw attributes; None for what nobody would have seen."""
    values = {name: unescape(value) for name, value in reversed(attributes)}
    name = SHOWN_BY.get(tag)
    if not name or name not in values:
        return None
    address = values[name].strip()
    return _measure(held.service, held.host, address if is_plain_address(address) else "", values)


def find_mount(service: str, host: str, attributes: Attributes) -> Place | None:
    """The place of an element that a held script would have filled; `host` is a path where the site itself serves that."""
    return _measure(service, host, "", {name: unescape(value) for name, value in reversed(attributes)})


def _measure(service: str, host: str, address: str, values: Mapping[str, str]) -> Place | None:
    style = values.get("style", "")
    if "hidden" in values or _HIDING.search(style):
        return None
    given = {**values, **{key.lower(): value for key, value in _STYLED.findall(style)}}
    width, height = _pixels(given, "width"), _pixels(given, "height")
    if (width is not None and width < LEAST_WIDTH) or (height is not None and height < LEAST_HEIGHT):
        return None
    wide = given.get("width", "").strip().endswith("%")
    return Place(service, host, address, width or 0, height or 0, wide)


def _pixels(given: Mapping[str, str], name: str) -> int | None:
    found = _NUMBER.match(given.get(name, ""))
    return min(int(found.group(1)[:5]), LARGEST) if found else None
