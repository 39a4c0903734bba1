"""What the inventory page shows of what was seen: chosen, sorted, in words; no HTML."""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from gateway.config import Site
from gateway.consent.banner import purpose_titles
from gateway.flows.sightings import COOKIE, HOST, SCRIPT, SENT, VIOLATION
from gateway.flows.undeclared import Listed, usual_purpose
from gateway.policy import ANY, NECESSARY, UNKNOWN
from gateway.web.labels import Labels

KINDS = (HOST, COOKIE, SENT, SCRIPT, VIOLATION)  # as they are offered
SHOWS = ("all", "undeclared", "would", "held", "kept")
MOST_ROWS = 300
MOST_PAGES = 3  # of one thing, in the list


@dataclass(frozen=True)
class Asked:
    """What an operator wants to see: of which site, kinds (empty: all), which part, with which letters in it."""

    site: str
    kind: str
    show: str
    text: str

    def url(self, **changes: str) -> str:
        """A link to the same with some of it changed."""
        fields = {"site": self.site, "kind": self.kind, "show": self.show, "q": self.text} | changes
        kept = {key: value for key, value in fields.items() if value and value != "all"}
        return f"/inventory?{urlencode(kept)}"


@dataclass(frozen=True)
class Line:
    """One row of the list."""

    one: Listed
    kind: str
    purpose: str
    suggestion: str
    at_once: bool  # whether the suggestion says all that has to be known
    url: str
    first: str
    last: str
    count: str
    held: str
    pages: list[tuple[str, str]]
    more: int


@dataclass(frozen=True)
class Found:
    """What would be held on one page, by how often."""

    path: str
    lines: list[tuple[str, str, str]]


def read_asked(fields: Mapping[str, str], default_site: str) -> Asked:
    """The question in an address; what is unknown in it means all."""
    kind, show = fields.get("kind", ""), fields.get("show", "")
    return Asked(
        fields.get("site") or default_site,
        kind if kind in KINDS else "",
        show if show in SHOWS else "all",
        fields.get("q", "")[:100].strip(),
    )


def build_list(listed: Sequence[Listed], asked: Asked, site: Site, labels: Labels) -> dict[str, Any]:
    """The template's values."""
    shown = [one for one in listed if _is_asked(one, asked)]
    tally = {kind: sum(1 for one in listed if one.item.kind == kind) for kind in KINDS}
    return {
        "asked": asked,
        "kinds": [(kind, tally[kind]) for kind in KINDS],
        "lines": [_line(one, site, labels) for one in shown[:MOST_ROWS]],
        "left_out": max(0, len(shown) - MOST_ROWS),
        "undeclared": sum(1 for one in listed if one.undeclared),
        "by_page": build_pages(shown, labels) if asked.show == "would" else [],
    }


def build_pages(listed: Sequence[Listed], labels: Labels) -> list[Found]:
    """What would be held, page by page, the pages with the most first."""
    pages: dict[str, list[tuple[int, str, str]]] = {}
    for one in listed:
        for page in one.item.pages:
            if page.would:
                owner = ", ".join(one.services) or _name_suggestion(one)
                pages.setdefault(page.path, []).append((page.would, one.item.name, owner))
    ordered = sorted(pages.items(), key=lambda pair: (-sum(count for count, *_ in pair[1]), pair[0]))
    return [
        Found(path, [(name, owner, labels.number(count)) for count, name, owner in sorted(found, reverse=True)])
        for path, found in ordered[:MOST_ROWS]
    ]


def make_id(name: str, taken: Collection[str]) -> str:
    """An id for a service out of its name: `Voorbeeld Video` is `voorbeeld_video`, or with a number when that is taken."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:28]
    base = base if base[:1].isalpha() else f"s_{base}".rstrip("_")
    number = 1
    found = base
    while found in taken:
        number += 1
        found = f"{base}_{number}"
    return found


def _is_asked(one: Listed, asked: Asked) -> bool:
    if asked.kind and one.item.kind != asked.kind:
        return False
    text = asked.text.lower()
    if (
        text
        and text not in f"{one.item.name} {one.item.detail} {' '.join(one.services)} {_name_suggestion(one)}".lower()
    ):
        return False
    return {
        "all": True,
        "undeclared": one.undeclared,
        "would": one.item.would > 0,
        "held": one.item.held > 0,
        "kept": bool(one.kept),
    }[asked.show]


def _name_suggestion(one: Listed) -> str:
    return one.suggestion.name if one.suggestion else ""


def _line(one: Listed, site: Site, labels: Labels) -> Line:
    item, words = one.item, labels.texts["inventory"]
    titles = purpose_titles(site.policy, labels.language)
    own = {UNKNOWN: words["unknown"], NECESSARY: words["necessary"], ANY: words["any"]}
    zone = site.config.timezone
    pages = [(page.path, labels.number(page.would) if page.would else "") for page in item.pages[:MOST_PAGES]]
    return Line(
        one,
        words["kinds"][item.kind],
        own.get(one.purpose) or titles[one.purpose],
        _name_suggestion(one),
        one.suggestion is not None and bool(usual_purpose(one.suggestion, site.policy)),
        f"/inventory/item?{urlencode({'site': item.site, 'kind': item.kind, 'name': item.name})}",
        labels.moment(item.first_at, zone),
        labels.moment(item.last_at, zone),
        labels.number(item.count),
        say_held(one, labels),
        pages,
        len(item.pages) - len(pages),
    )


def say_held(one: Listed, labels: Labels) -> str:
    """How often it was held back or would have been, in words; it passed where it is neither."""
    words, item = labels.texts["inventory"], one.item
    said = []
    if item.held:
        said.append(words["was_held"].format(count=labels.number(item.held)))
    if item.would:
        said.append(words["would_be_held"].format(count=labels.number(item.would)))
    return ", ".join(said) or words["passed"]
