"""Which elements of a page have to be looked at: those that every page has, and those that few pages have."""

import re
from collections.abc import Iterable
from functools import lru_cache

_META = 'meta[name="gw-topic"], meta[http-equiv]'
_ALWAYS = ("iframe", "video", "source", "object", "image", "use", "feimage", "applet", "param", "set", "animate")
# Elements that few pages have, by tag: left out for a whole page without any, since the parser's time grows with the
# number of selectors more than with what they match.
RARE = {
    **{tag: f"{tag}[src]" for tag in ("embed", "audio", "track", "input", "frame", "portal", "bgsound")},
    **{tag: tag for tag in _ALWAYS},
    "base": "base[href]",
    "link": "link[rel]",
    "meta": _META,
    "noscript": "noscript",
    **dict.fromkeys(("table", "td", "th", "tr", "tbody", "tfoot"), "[background]"),
    "ping": "[ping]",
    "attributionsrc": "[attributionsrc]",
}
_ATTRIBUTES = {"ping": re.compile(rb"ping[\s=]"), "attributionsrc": re.compile(rb"attributionsrc[\s=]")}


def _any_of(words: Iterable[str]) -> str:
    """A pattern for any of the words that looks at each letter once: `<p>` is stepped over at its second letter."""
    branches: dict[str, list[str]] = {}
    for word in sorted(words):
        branches.setdefault(word[:1], []).append(word[1:])
    whole = "" in branches
    several = [first + _any_of(rest) for first, rest in branches.items() if first]
    if not several:
        return ""
    return f"(?:{'|'.join(several)}){'?' if whole else ''}"


_RARE_TAG = re.compile(f"<({_any_of(tag for tag in RARE if tag not in _ATTRIBUTES)})".encode())


def find_rare(lowered: bytes) -> frozenset[str]:
    """What a page (in small letters) may have of RARE."""
    rare = {tag.decode() for tag in _RARE_TAG.findall(lowered)}
    for name, pattern in _ATTRIBUTES.items():
        if name.encode() in lowered and pattern.search(lowered):
            rare.add(name)
    return frozenset(rare)


@lru_cache(maxsize=256)
def selectors_of(rare: frozenset[str], *, page: bool) -> str:
    """What is looked at beside scripts and images; `page` for a whole page, of which the frame is looked at too."""
    names = ("html", "body") if page else ()
    return ", ".join((*names, *sorted({RARE[tag] for tag in rare if tag != "noscript"})))
