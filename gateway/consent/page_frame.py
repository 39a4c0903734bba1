"""A page's frame, read from its bytes where it is laid out as in most pages: each selector and each match costs the parser
time, so what can be known is not asked of it."""

import re
from functools import lru_cache

from gateway.frozen import Frozen

# A start and an end with nothing in them that could be read in two ways.
_START = re.compile(
    rb"\s*<!doctype html>\s*<html((?:\s+[a-z:-]+=(?:\"[^\"<>&]*\"|'[^'<>&]*'|[^\s\"'=<>`&]+))*)\s*>", re.IGNORECASE
)
_LANGUAGE = re.compile(rb"\s+([a-z:-]+)=(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'=<>`]+))", re.IGNORECASE)
_END = re.compile(rb"</body\s*>\s*</html\s*>\s*\Z", re.IGNORECASE)
_END_BYTES = 200


class Frame(Frozen, frozen=True):
    """A page's frame as it is usual: the language that it says it is in, and its last bytes, from the body's end on."""

    language: str
    end: bytes


def find_frame(body: bytes, lowered: bytes) -> Frame | None:
    """The frame of a page that begins and ends as pages usually do; None when the parser has to say."""
    end = _END.match(body, max(0, lowered.rfind(b"</body", -_END_BYTES)))
    if end is None or lowered.rfind(b"background") >= 0:
        return None
    language = _find_language(body[:_END_BYTES])
    return None if language is None else Frame(language, body[end.start() :])


@lru_cache(maxsize=256)
def _find_language(start: bytes) -> str | None:
    """What the page's own tag says; None when the page begins in another way."""
    begun = _START.match(start)
    if begun is None:
        return None
    for name, *values in _LANGUAGE.findall(begun.group(1)):
        if name.lower() == b"lang":
            return b"".join(values).decode("latin-1")
    return ""
