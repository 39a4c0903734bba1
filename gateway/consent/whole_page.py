"""A whole page, rewritten at once so that it can be remembered: tag by tag where its mark-up is plain, by the parser where
it is not. Both make the same of it."""

import secrets
from collections.abc import Sequence

import msgspec

from gateway.consent.page_frame import Frame, find_frame
from gateway.consent.places import Place
from gateway.consent.plain_page import QUICK, rewrite_plain
from gateway.consent.rare_tags import find_rare
from gateway.consent.tag_gate import Held, Piece, TagGate
from gateway.consent.tags import MARK, PageRewriter
from gateway.consent.tags_mounts import find_mounts
from gateway.consent.tags_scout import Scripts, find_scripts
from gateway.frozen import Frozen

# Stands where a placeholder goes in a remembered page.
PLACE_MARK = b"<!--gw-%s-->" % secrets.token_hex(12).encode()
_MARK_BYTES = MARK.encode()
_INSIDE = Frame("", b"")  # of a page of which the frame is known


class Rewritten(Frozen, frozen=True):
    """A page rewritten once: what stands before and after the place of our own snippet.

    `document` is False for a fragment, which gets no snippet. `topic` and `language` are what the page says of itself,
    `counted` is what was held, as it is counted: host and detail; `places` are those of the PLACE_MARKs, in order; `based` is
    whether the page's relative addresses lead elsewhere.
    """

    before: bytes
    after: bytes
    document: bool
    language: str
    topic: str
    held: tuple[Held, ...]
    counted: tuple[tuple[str, str], ...]
    places: tuple[Place, ...] = ()
    based: bool = False


def rewrite_page(body: bytes, gate: TagGate, *, enforce: bool) -> Rewritten:
    """Rewrite a whole page for the cache: the snippet's place is left open between `before` and `after`."""
    lowered = body.lower()
    frame = None if gate.head else find_frame(body, lowered)
    if QUICK and frame is not None:
        page = rewrite_by_tags(body, lowered, frame, gate, enforce=enforce)
        if page is not None:
            return page
    return rewrite_by_parser(body, lowered, frame, gate, enforce=enforce)


def rewrite_by_tags(body: bytes, lowered: bytes, frame: Frame, gate: TagGate, *, enforce: bool) -> Rewritten | None:
    """The page, where its mark-up is plain; None where it is not."""
    if gate.may_know(body):
        return None
    plain = rewrite_plain(body, lowered, gate, lambda tag: _rewrite_tag(tag, gate), enforce=enforce)
    if plain is None:
        return None
    before, after = _part(plain.text, frame)
    return _build(before, after, True, frame.language, plain.topic, plain.held)


def _rewrite_tag(tag: bytes, gate: TagGate) -> Piece | None:
    """What becomes of one start tag; None where it does not depend on the tag alone."""
    rewriter = PageRewriter(gate, lambda _: b"", enforce=True, scripts={}, frame=_INSIDE, mounts=())
    try:
        text = rewriter.feed(tag) + rewriter.finish()
    finally:
        rewriter.close()
    if rewriter.depends or len(rewriter.held) > 1:
        return None
    return Piece(None if text == tag else text, rewriter.held[0] if rewriter.held else None, rewriter.topic)


def rewrite_by_parser(body: bytes, lowered: bytes, frame: Frame | None, gate: TagGate, *, enforce: bool) -> Rewritten:
    """The page, whatever its mark-up; where inline scripts decide what may act, they are found first."""
    scripts = find_scripts(body, gate) if gate.may_know(body) else None
    page, depends = _parse(body, lowered, frame, gate, scripts or {}, enforce=enforce)
    if depends and scripts is None and (scripts := find_scripts(body, gate)):
        page, _ = _parse(body, lowered, frame, gate, scripts, enforce=enforce)
    return page


def _parse(
    body: bytes, lowered: bytes, frame: Frame | None, gate: TagGate, scripts: Scripts, *, enforce: bool
) -> tuple[Rewritten, bool]:
    """The page, and whether it has scripts of which the text decides."""
    rewriter = PageRewriter(
        gate,
        lambda _: _MARK_BYTES,
        enforce=enforce,
        rare=find_rare(lowered),
        scripts=scripts,
        frame=frame,
        place=lambda _rewriter, _place: PLACE_MARK.decode(),
        mounts=find_mounts(gate.mounts, lowered),
    )
    try:
        text = rewriter.feed(body) + rewriter.finish()
    finally:
        rewriter.close()
    before, document, after = text, False, b""
    if frame is not None:
        document = True
        before, after = _part(text, frame)
    elif rewriter.document:
        before, mark, after = text.rpartition(_MARK_BYTES)
        document = bool(mark)
    page = _build(before, after, document, rewriter.language, rewriter.topic, rewriter.held, rewriter.places)
    return msgspec.structs.replace(page, based=True) if rewriter.based else page, rewriter.depends


def _part(text: bytes, frame: Frame) -> tuple[bytes, bytes]:
    """A rewritten page before and from its frame's end on; all of it before where a tag has swallowed that."""
    start, end, rest = text.rpartition(frame.end)
    return (start, end + rest) if end else (text, b"")


def _build(
    before: bytes,
    after: bytes,
    document: bool,
    language: str,
    topic: str,
    held: Sequence[Held],
    places: Sequence[Place] = (),
) -> Rewritten:
    counted = tuple([(one.host, one.detail) for one in held])
    return Rewritten(before, after, document, language, topic, tuple(held), counted, tuple(places))
