"""Paths of which a destination is never told (`never_forward`), wherever in an event they turn up.

Compared in any case and spelling, and wherever a property names one: a page too many kept back is the better mistake. First
by the address as the browser asked for it, since masking may take out the words by which a path is known (`find_kept_from`);
then by what is left, since a path may be added while events wait (`is_withheld`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from gateway.event import Event
from gateway.settings import DestinationConfig

SLASHES = re.compile("/+")
BROUGHT = ("source", "medium", "campaign", "term", "content")  # whoever makes a link writes into these
AnyEvent = TypeVar("AnyEvent", bound=Event)


def find_kept_from(url: str, props: Mapping[str, str], destinations: Iterable[DestinationConfig]) -> tuple[str, ...]:
    """Who must not hear of an event at this address (with its query or without, a whole URL or a path), by name."""
    path = ""
    kept = []
    for one in destinations:
        if never := one.never_forward:
            path = path or _find_path(url)
            if is_private(path, never) or any(_names_private(value, never) for value in props.values()):
                kept.append(one.name)
    return tuple(kept)


def is_withheld(event: Event, destination: DestinationConfig) -> bool:
    """Whether an event is of such a path, or names one: a file that lies there, a form that leads there."""
    never = destination.never_forward
    if not never:
        return False
    return is_private(event.path, never) or any(_names_private(value, never) for value in event.props.values())


def trim(event: AnyEvent, destination: DestinationConfig) -> AnyEvent:
    """The event without what this destination must not see: where it came from and what brought it, if that is or names such a
    path; the network."""
    never = destination.never_forward
    told = {name: getattr(event, name) for name in BROUGHT} if never else {}
    changes = {name: "" for name, text in told.items() if text and _names_private(text, never)}
    if event.network and not destination.include_network:
        changes["network"] = ""
    _, slash, path = event.referrer.partition("/")  # host/path
    if event.referrer and is_private(slash + path, never):
        changes["referrer"] = ""
    return msgspec.structs.replace(event, **changes) if changes else event


def is_private(path: str, never: Sequence[str]) -> bool:
    """Whether a path begins with one of these; `/dossier` belongs to `/dossier/`."""
    return bool(never) and any(read.startswith(read_prefixes(tuple(never))) for read in _readings(path + "/"))


@lru_cache(maxsize=64)
def read_prefixes(never: tuple[str, ...]) -> tuple[str, ...]:
    """What paths are compared with: decoded, in small letters, with single slashes."""
    return tuple(_read(prefix.rstrip("*")) for prefix in never)


def _names_private(text: str, never: tuple[str, ...]) -> bool:
    readings = _readings(text + "/")
    return any(prefix in read for prefix in read_prefixes(never) for read in readings)


def _find_path(url: str) -> str:
    path = url.partition("#")[0].partition("?")[0]
    try:
        return urlsplit(path).path if "://" in path else path or "/"
    except ValueError:  # no address: nothing that it holds may lead somewhere
        return path


def _readings(text: str) -> tuple[str, ...]:
    """As it stands, and as a server understands it that takes steps back (`/x/../dossier/`)."""
    read = _read(text)
    if "/." not in read:
        return (read,)
    first, *steps = read.split("/")
    taken: list[str] = []
    for step in steps:
        if step != "..":
            taken += [step] if step != "." else []
        elif taken:
            taken.pop()
    return (read, "/".join([first, *taken]))


def _read(text: str) -> str:
    return SLASHES.sub("/", unquote(text)).lower()
