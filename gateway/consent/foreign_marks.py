"""Tags marked for other consent tools, read as if they were marked for us: Cookiebot (`data-cookieconsent`),
vanilla-cookieconsent (`data-category`, `data-service`) and Klaro (`data-name`, `data-src`).

Such tags do nothing by themselves, or only by a tool that is gone; what they wait for is found by the name they give: of a
purpose, of a service, or one of the words that these tools use for purposes.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from gateway.policy import ANY, NECESSARY, Owner, Policy, first_said

# The words of other tools, and our usual purposes for them: the first that the policy has counts.
WORDS: dict[str, tuple[str, ...]] = {
    "preferences": ("preferences", "functional"),
    "functional": ("functional", "preferences"),
    "functionality": ("functional", "preferences"),
    "statistics": ("analytics", "statistics"),
    "analytics": ("analytics", "statistics"),
    "performance": ("analytics", "statistics"),
    "marketing": ("marketing", "advertising"),
    "advertising": ("marketing", "advertising"),
    "advertisement": ("marketing", "advertising"),
    "targeting": ("marketing", "advertising"),
    "ads": ("marketing", "advertising"),
}
ALWAYS = (NECESSARY, "essential", "strictly_necessary")
# What the tools look at; a tag that we understand loses it, so that nobody else acts on it as well.
TAKEN = ("data-cookieconsent", "data-category", "data-service", "data-name", "data-type")
MARKS = frozenset(("data-cookieconsent", "data-category", "data-name"))  # one of them stands on each such tag
WAITING = {  # where an address waits -> what makes it act
    "data-cookieblock-src": "src",
    "data-src": "src",
    "data-srcset": "srcset",
    "data-href": "href",
    "data-poster": "poster",
}
ADDRESSES = frozenset(("src", "srcset", "href", "poster"))
_PLAIN = re.compile(r"[^a-z0-9!]+")  # "!analytics" is what runs without it, and no name of ours


class Marks(msgspec.Struct, frozen=True):
    """What a marked tag waits for, what it has when it acts (a script's type too, empty for an ordinary one), and the
    names that stand in the way of it."""

    owners: tuple[Owner, ...]
    live: dict[str, str]
    taken: tuple[str, ...]


def plain(name: str) -> str:
    """A name as it is looked up: small letters and digits, everything else one `_`."""
    return _PLAIN.sub("_", name.strip().lower()).strip("_")


def names_of(policy: Policy) -> dict[str, Owner]:
    """What each name stands for: words of other tools, names and ids of services, ids of purposes; the later win."""
    purposes = [purpose.id for purpose in policy.optional]
    names: dict[str, Owner] = {}
    for word, usual in WORDS.items():
        if found := next((purpose for purpose in usual if purpose in purposes), ""):
            names[word] = (found, "")
    owners = {s.id: (s.let_go_by, "" if s.let_go_by in (ANY, NECESSARY) else s.id) for s in policy.file.services}
    names |= {plain(first_said(service.name)): owners[service.id] for service in policy.file.services}
    names |= {plain(service): owner for service, owner in owners.items()}
    names |= {plain(purpose): (purpose, "") for purpose in purposes}
    return names | dict.fromkeys(ALWAYS, (NECESSARY, ""))


def find_marks(tag: str, values: Mapping[str, str], names: Mapping[str, Owner]) -> Marks | None:
    """The marks of a tag with these attributes; None when it has none, or some that mean nothing here."""
    said = _said(tag, values)
    owners = tuple(names.get(plain(name)) for name in said)
    known = tuple(owner for owner in owners if owner is not None)
    if not known or len(known) < len(owners):
        return None
    live = {name: values[name] for name in ADDRESSES if name in values}
    live |= {acting: values[waiting] for waiting, acting in WAITING.items() if waiting in values}
    if tag == "script":
        given = values.get("type", "")
        live["type"] = values.get("data-type", "" if given.strip().lower() == "text/plain" else given)
    taken = (*TAKEN, *WAITING, *live)
    return Marks(known, live, tuple(name for name in taken if name in values))


def _said(tag: str, values: Mapping[str, str]) -> Sequence[str]:
    """The names that a tag gives; all of them have to be granted."""
    inert = tag == "script" and values.get("type", "").strip().lower() == "text/plain"
    waits = inert or (tag != "script" and not WAITING.keys().isdisjoint(values))
    if "data-cookieconsent" in values:
        said = [name for name in re.split(r"[,\s]+", values["data-cookieconsent"]) if name]
        return said if waits or tag == "script" else ()
    if inert and "data-category" in values:
        return [values[name] for name in ("data-category", "data-service") if name in values]
    return [values["data-name"]] if waits and "data-name" in values else ()
