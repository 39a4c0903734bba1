"""Which elements of a page have to be looked at: those that every page has, and those that few pages have."""

import re
from functools import lru_cache

_META = 'meta[name="gw-topic"], meta[http-equiv]'
_ALWAYS = (
    "iframe",
    "video",
    "audio",
    "source",
    "object",
    "image",
    "use",
    "feimage",
    "applet",
    "param",
    "set",
    "animate",
)
# Elements that few pages have, by tag: left out for a whole page without any, since the parser's time grows with the
# number of selectors more than with what they match.
RARE = {
    **{tag: f"{tag}[src]" for tag in ("embed", "track", "input", "frame", "portal", "bgsound")},
    **{tag: tag for tag in _ALWAYS},
    "base": "base[href]",
    "link": "link[rel]",
    "meta": _META,
    "noscript": "noscript",
    **dict.fromkeys(("table", "td", "th", "tr", "tbody", "tfoot"), "[background]"),
    "ping": "[ping]",
    "attributionsrc": "[attributionsrc]",
}
_ATTRIBUTES = {name: (name.encode(), re.compile(name.encode() + rb"[\s=]")) for name in ("ping", "attributionsrc")}
NONE: frozenset[str] = frozenset()


# The first letters of each tag but the commonest, `<p>`: a page has a handful of different ones, whatever its length.
# Looked ahead at, since a `<` that begins no tag may stand right before one that does.
_BEGINNINGS = re.compile(rb"<(?=([^/!][^>\s].))", re.DOTALL)
_TAGS = tuple(tag for tag in RARE if tag not in _ATTRIBUTES)
_SUSPECTS = frozenset((tag + end)[:3].encode() for tag in _TAGS for end in " />\t\n\f\r")
_RARE_TAG = re.compile(f"<({'|'.join(_TAGS)})".encode())


def find_rare(lowered: bytes) -> frozenset[str]:
    """What a page (in small letters) may have of RARE."""
    rare = NONE
    if not _SUSPECTS.isdisjoint(_BEGINNINGS.findall(lowered)):
        rare = frozenset([tag.decode() for tag in _RARE_TAG.findall(lowered)])
    return rare | find_rare_attributes(lowered)


def find_rare_attributes(lowered: bytes) -> frozenset[str]:
    """The same for what any tag may have."""
    found = NONE
    for name, (word, pattern) in _ATTRIBUTES.items():
        if lowered.rfind(word) >= 0 and pattern.search(lowered):  # from behind it is found twice as fast
            found |= {name}
    return found


@lru_cache(maxsize=256)
def selectors_of(rare: frozenset[str], *, page: bool) -> str:
    """What is looked at beside scripts and images; `page` for a whole page, of which the frame is looked at too."""
    names = ("html", "body") if page else ()
    return ", ".join((*names, *sorted({RARE[tag] for tag in rare if tag != "noscript"})))
