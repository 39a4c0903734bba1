"""Paths of which a destination is never told (`never_forward`), wherever in an event they turn up.

Compared in any case and spelling, and wherever a property names one: a page too many kept back is the better mistake.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar
from urllib.parse import unquote

import msgspec

from gateway.event import Event
from gateway.settings import DestinationConfig

SLASHES = re.compile("/+")
AnyEvent = TypeVar("AnyEvent", bound=Event)


def is_withheld(event: Event, destination: DestinationConfig) -> bool:
    """Whether an event is of such a path, or names one: a file that lies there, a form that leads there."""
    never = destination.never_forward
    if not never:
        return False
    return is_private(event.path, never) or any(_names_private(value, never) for value in event.props.values())


def trim(event: AnyEvent, destination: DestinationConfig) -> AnyEvent:
    """The event without what this destination must not see: where it came from, if that is such a path; the network."""
    changes: dict[str, str] = {}
    if event.network and not destination.include_network:
        changes["network"] = ""
    _, slash, path = event.referrer.partition("/")  # host/path
    if event.referrer and is_private(slash + path, destination.never_forward):
        changes["referrer"] = ""
    return msgspec.structs.replace(event, **changes) if changes else event


def is_private(path: str, never: Sequence[str]) -> bool:
    """Whether a path begins with one of these; `/dossier` belongs to `/dossier/`."""
    return bool(never) and _read(path + "/").startswith(read_prefixes(tuple(never)))


@lru_cache(maxsize=64)
def read_prefixes(never: tuple[str, ...]) -> tuple[str, ...]:
    """What paths are compared with: decoded, in small letters, with single slashes."""
    return tuple(_read(prefix.rstrip("*")) for prefix in never)


def _names_private(text: str, never: tuple[str, ...]) -> bool:
    read = _read(text + "/")
    return any(prefix in read for prefix in read_prefixes(never))


def _read(text: str) -> str:
    return SLASHES.sub("/", unquote(text)).lower()
