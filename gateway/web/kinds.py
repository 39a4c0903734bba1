"""What a browser will make of an answer, by its head: a page that we can read, one that must be closed, or nothing of ours.

Browsers go by more than the letters `text/html`: the last of several types counts, one that is no type at all does not, and
an answer without a type is looked at. Here the answer is what any of them may make of it.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Final

from gateway.web.encoding import Damaged, open_undo


class Kind(Enum):
    """What is done with an answer."""

    PAGE = "read and changed"
    CLOSED = "passed as it is, with nothing foreign in it"
    UNSURE = "decided by its first bytes"
    RULES = "read, and passed where it leads to nobody who is refused"
    OTHER = "passed"


# https://encoding.spec.whatwg.org/#names-and-labels: every label of the encodings in which `<` need not be a `<`.
_UTF_16 = rb"utf-?16(?:le|be)?|ucs-2|unicode|csunicode|iso-10646-ucs-2|unicodefe?ff|unicodefffe"
_UNREADABLE = re.compile(
    rb"charset\s*=\s*[\"']?\s*(?:iso-2022-jp|csiso2022jp|" + _UTF_16 + rb")(?![\w-])", re.IGNORECASE
)
_DECLARED = re.compile(rb"charset\s*=\s*[\"']?\s*(?:iso-2022-jp|csiso2022jp)(?![\w-])", re.IGNORECASE)
_MARKS = (b"\xfe\xff", b"\xff\xfe")
_DECLARED_WITHIN = 1024  # bytes of a page in which browsers look for its own word on its encoding
_READ_BY: Final = frozenset((b"content-type", b"content-encoding", b"content-disposition"))
_ESSENCE = re.compile(rb"[^\s;(]*")
_NO_TYPE = (b"unknown/unknown", b"application/unknown", b"*/*")
_RULES = b"application/speculationrules+json"
_XML = (b"text/xml", b"application/xml", b"text/rdf", b"text/xsl")
# For what we must not touch but cannot pass as it is: nothing foreign is loaded at all.
CLOSED: Final = (
    b"content-security-policy",
    b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; base-uri 'self'",
)
PEEK_BYTES, MARK_BYTES = 16, 3
SNIFFED_BYTES = 1445  # in which browsers look for what an answer without a type is
_UNPACKED_BYTES = 1 << 24  # to which the first bytes of an answer may grow
# https://mimesniff.spec.whatwg.org/#identifying-a-resource-with-an-unknown-mime-type
_LOOKS_LIKE_HTML = re.compile(
    rb"<(?:!--|(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)[\s>])",
    re.IGNORECASE,
)


@lru_cache(maxsize=512)
def classify(content_type: bytes) -> Kind:
    """The kind of an answer with this Content-Type; empty for none.

    XML is closed: what parses HTML takes `<script/>` for the start of a script and sees nothing behind it, and our own part
    is no XML. So are the parts of `multipart/x-mixed-replace`, each of which may be a page.
    """
    named = [_ESSENCE.match(part.strip()) for part in content_type.lower().split(b",")]
    types = [found.group() for found in named if found and b"/" in found.group()]
    if b"text/html" in types:
        return Kind.CLOSED if _UNREADABLE.search(content_type) else Kind.PAGE
    if _RULES in types:
        return Kind.RULES
    if any(one in _XML or one.endswith(b"+xml") or one == b"multipart/x-mixed-replace" for one in types):
        return Kind.CLOSED
    return Kind.UNSURE if not types or types[-1] in _NO_TYPE else Kind.OTHER


def read_head(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers (names in lower case) by name; of those given more than once the last, but what says how a body is to be
    read is joined, as browsers do."""
    values = dict(headers)
    if len(values) < len(headers):
        for name in _READ_BY.intersection(values):
            values[name] = b", ".join([value for key, value in headers if key == name])
    return values


def find_kind(headers: Mapping[bytes, bytes]) -> Kind:
    """The kind of an answer with this head (of `read_head`). What a browser saves is saved as the site made it."""
    disposition = headers.get(b"content-disposition")
    if disposition is not None and disposition.partition(b";")[0].strip().lower() == b"attachment":
        return Kind.OTHER
    return classify(headers.get(b"content-type", b""))


def hides_tags(start: bytes) -> bool:
    """Whether the bytes at a page's start say that it is in an encoding in which tags do not look like tags. A mark at the
    very start goes before whatever the head says."""
    return start.startswith(_MARKS) or _DECLARED.search(start, 0, _DECLARED_WITHIN) is not None


def peek(start: bytes, encoding: bytes) -> bool | None:
    """Whether a page that streams hides its tags, from its first bytes as they came; None: more are wanted. What cannot be
    unpacked hides them."""
    plain = _unpack(start, encoding)
    if plain is None:
        return True
    return None if len(plain) < MARK_BYTES else hides_tags(plain)


def sniff(start: bytes, encoding: bytes, *, more: bool) -> Kind | None:
    """The kind of an answer of which the head says nothing, from its first bytes as they came; None: more are wanted, and
    will come. No browser takes for a page what begins with no tag."""
    plain = _unpack(start, encoding)
    if plain is None:
        return Kind.CLOSED
    plain = plain.lstrip(b"\t\n\x0c\r ")
    if more and len(start) < SNIFFED_BYTES and len(plain) < PEEK_BYTES and plain[:1] in (b"", b"<"):
        return None
    if _LOOKS_LIKE_HTML.match(plain):
        return Kind.PAGE
    return Kind.CLOSED if plain.startswith((b"<", *_MARKS)) else Kind.OTHER


def name_html(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The head with the type that was found to be so."""
    return [*(header for header in headers if header[0] != b"content-type"), (b"content-type", b"text/html")]


def _unpack(start: bytes, encoding: bytes) -> bytes | None:
    undo = open_undo(encoding, _UNPACKED_BYTES)
    try:
        return undo.feed(start) if undo else None
    except Damaged:
        return None
