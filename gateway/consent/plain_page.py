"""Pages of plain mark-up, rewritten tag by tag: sites repeat their tags on every page, so what becomes of one is remembered.

The parser says it once for a tag, and is not asked again. Whatever is not plain, or would not be quicker, is left to it.
"""

import re
from collections.abc import Callable
from typing import Final

from gateway.consent.rare_tags import find_rare_attributes
from gateway.consent.tag_gate import Held, Piece, TagGate
from gateway.consent.tag_scan import find_tags
from gateway.consent.tags_mounts import find_mounts
from gateway.frozen import Frozen

TAB: Final = 9
NEWLINE: Final = 10
RETURN: Final = 13
AMPERSAND: Final = 38
DASH: Final = 45
SLASH: Final = 47
COLON: Final = 58
BACKSLASH: Final = 92
A: Final = 97
M: Final = 109
T: Final = 116
Y: Final = 121

QUICK = not __file__.endswith(".py")  # compiled: only then are tags found sooner than the parser finds them
MAX_NEW: Final = 8  # tags of a page that nobody has seen before: with more of them the parser is quicker
MAX_REMEMBERED: Final = 4096
MAX_TAG_BYTES: Final = 600
_NONCE = re.compile(rb"\snonce", re.IGNORECASE)  # another one in each page


class Plain(Frozen, frozen=True):
    """A page of plain mark-up, rewritten."""

    text: bytes
    held: tuple[Held, ...]
    topic: str


def rewrite_plain(
    body: bytes, lowered: bytes, gate: TagGate, ask: Callable[[bytes], Piece | None], *, enforce: bool
) -> Plain | None:
    """The page as it may leave; None for one that is left to the parser.

    It begins with its doctype; `lowered` is the same in small letters. `ask` says what becomes of a start tag that stands
    by itself, None where that depends on more.
    """
    if find_rare_attributes(lowered) or (gate.mounts and find_mounts(gate.mounts, lowered)):
        return None
    spans = find_tags(lowered)
    if spans is None:
        return None
    parts: list[bytes] = []
    held: list[Held] = []
    topic, written, new, known = "", 0, 0, gate.pieces
    for start, end in spans:
        if not gate.by_paths and not _has_to_be_asked(lowered, start, end):
            continue
        tag = body[start:end]
        piece = known.get(tag)
        if piece is None:
            new += 1
            piece = ask(tag) if new <= MAX_NEW and end - start <= MAX_TAG_BYTES and not _NONCE.search(tag) else None
            if piece is None:
                return None
            if len(known) >= MAX_REMEMBERED:
                known.clear()
            known[tag] = piece
        if piece.held is not None:
            held.append(piece.held)
        if piece.text is not None and enforce:
            parts.append(body[written:start])
            parts.append(piece.text)
            written = end
        topic = topic or piece.topic
    parts.append(body[written:])
    return Plain(b"".join(parts), tuple(held), topic)


def _has_to_be_asked(text: bytes, start: int, end: int) -> bool:
    """Whether a tag could lead to another host, be marked (`data-`) or depend on its `type`: without `:`, `//` and what
    browsers read as one of them it leads to the page's own host. Meta tags say something of the page. Where a policy
    names paths of the own host, every tag has to be."""
    if text[start + 1] == M:
        return True
    before = 0
    for at in range(start, end):
        byte = text[at]
        if byte in (COLON, AMPERSAND, BACKSLASH, TAB, NEWLINE, RETURN):
            return True
        if (byte == SLASH and before == SLASH) or (byte == DASH and before == A) or (byte == Y and before == T):
            return True
        before = byte
    return False
