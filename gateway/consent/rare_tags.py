"""Which elements of a page have to be looked at: those that every page has, and those that few pages have."""

import re
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
# What every page is full of is stepped over first: half of the time.
_RARE_TAG = re.compile(rb"<(?!/|p>|img|script)(%s)" % "|".join(tag for tag in RARE if tag not in _ATTRIBUTES).encode())


def find_rare(body: bytes) -> frozenset[str]:
    """What a page may have of RARE."""
    lowered = body.lower()
    rare = {tag.decode() for tag in _RARE_TAG.findall(lowered)}
    for name, pattern in _ATTRIBUTES.items():
        if pattern.search(lowered):
            rare.add(name)
    return frozenset(rare)


@lru_cache(maxsize=256)
def selectors_of(rare: frozenset[str], *, page: bool, head: bool = False) -> str:
    """The selectors by which a page (or a part of one) is looked at; `head` for one into which something goes first."""
    names = ["html", "body", "script", "img"] if page else ["script", "img"]
    names += ["head"] if head else []
    return ", ".join((*names, *sorted({RARE[tag] for tag in rare if tag != "noscript"})))
