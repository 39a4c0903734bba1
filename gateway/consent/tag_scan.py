"""Where a page's tags begin and end, by the tokenizer of the HTML standard (13.2.5), as far as tokens alone decide it.

What else depends on the tree being built (SVG, `select`, `noscript` and their like), or on rare mark-up, is left to the
parser: the answer is None then. Made to be compiled: byte by byte this is quick in C and slow in Python.
"""

from typing import Final

TAB: Final = 9
VERTICAL_TAB: Final = 11  # no space to HTML
RETURN: Final = 13
SPACE: Final = 32
EXCLAMATION: Final = 33
QUOTE: Final = 34
APOSTROPHE: Final = 39
SLASH: Final = 47
OPEN: Final = 60
EQUALS: Final = 61
CLOSE: Final = 62
QUESTION: Final = 63
FIRST_LETTER: Final = 97
LAST_LETTER: Final = 122

# Tags to look at; those whose content is text to browsers; those that change how the rest is read, or need more than a look.
LOOKED_AT: Final = frozenset((b"script", b"img", b"link", b"meta", b"input", b"source", b"track"))
RAW: Final = {b"script": b"</script", b"style": b"</style", b"title": b"</title", b"textarea": b"</textarea"}
LEFT: Final = frozenset(
    b"""applet audio base bgsound embed feimage frame frameset iframe image animate math noembed noframes noscript
    object param plaintext portal select set svg template use video xmp""".split()
)
_NAMES = LOOKED_AT | frozenset(RAW) | LEFT
# Length, first and second letter of those names: most tags of a page are told to be others by that.
_SHAPES: Final = frozenset(len(name) << 16 | name[0] << 8 | name[1] for name in _NAMES)

Spans = list[tuple[int, int]]


def find_tags(lowered: bytes) -> Spans | None:
    """Start and end of each tag of LOOKED_AT, in order; None for a page that the parser has to read.

    `lowered` is the page in small letters, which begins with its doctype.
    """
    spans: Spans = []
    size = len(lowered)
    at = lowered.find(b">") + 1
    while 0 <= at < size:
        if lowered[at] != OPEN:
            at = lowered.find(b"<", at)
            if at < 0:
                return spans
        at = _pass(lowered, at, spans)
    return spans if at >= size else None


def _pass(text: bytes, at: int, spans: Spans) -> int:
    """Behind what begins with this `<`, or -1 where the parser has to say; tags of LOOKED_AT are added to `spans`."""
    letter = text[at + 1] if at + 1 < len(text) else QUESTION
    if FIRST_LETTER <= letter <= LAST_LETTER:
        return _pass_tag(text, at, spans)
    if letter == SLASH:
        return _pass_end_tag(text, at + 2)
    if letter == EXCLAMATION:
        return _pass_comment(text, at + 2)
    return -1 if letter == QUESTION else at + 1  # `<` in a text


def _pass_tag(text: bytes, start: int, spans: Spans) -> int:
    at, size = start + 2, len(text)
    while at < size and not _ends_name(text[at]):
        at += 1
    length = at - start - 1
    at = _pass_attributes(text, at)
    if at < 0 or length < 2 or (length << 16 | text[start + 1] << 8 | text[start + 2]) not in _SHAPES:
        return at
    name = text[start + 1 : start + 1 + length]
    if name in LEFT:
        return -1
    if name in LOOKED_AT:
        spans.append((start, at))
    return _find_raw_end(text, at, RAW[name]) if name in RAW else at


def _pass_attributes(text: bytes, at: int) -> int:
    """Behind the `>` of a tag, from behind its name; -1 when it never ends."""
    size = len(text)
    while at < size:
        byte = text[at]
        if byte == CLOSE:
            return at + 1
        at += 1
        if byte == SLASH or _is_space(byte):
            continue
        while at < size and text[at] != EQUALS and not _ends_name(text[at]):  # the first letter of a name may be any
            at += 1
        while at < size and _is_space(text[at]):
            at += 1
        if at < size and text[at] == EQUALS:
            at = _pass_value(text, at + 1)
    return -1


def _pass_value(text: bytes, at: int) -> int:
    """Behind an attribute's value, from behind its `=`; the end of all when a quote is never closed."""
    size = len(text)
    while at < size and _is_space(text[at]):
        at += 1
    if at < size and text[at] in (QUOTE, APOSTROPHE):
        quote = text[at]
        at += 1
        while at < size and text[at] != quote:
            at += 1
        return at + 1
    while at < size and text[at] != CLOSE and not _is_space(text[at]):
        at += 1
    return at


def _pass_end_tag(text: bytes, at: int) -> int:
    """Behind an end tag, from its name; -1 for one that is not plain."""
    size = len(text)
    if at >= size or not FIRST_LETTER <= text[at] <= LAST_LETTER:
        return -1
    while at < size and not _ends_name(text[at]):
        at += 1
    while at < size and _is_space(text[at]):
        at += 1
    return at + 1 if at < size and text[at] == CLOSE else -1


def _pass_comment(text: bytes, at: int) -> int:
    """Behind a comment, from behind its `<!`; -1 for anything else, and for one that browsers end in another way."""
    if text[at : at + 2] != b"--" or text[at + 2 : at + 3] == b">" or text[at + 2 : at + 4] == b"->":
        return -1
    end = text.find(b"-->", at + 2)
    if end < 0 or text.find(b"--!>", at + 2, end) >= 0:
        return -1
    return end + 3


def _find_raw_end(text: bytes, at: int, closing: bytes) -> int:
    """The end tag of an element whose content is text; -1 when there is none, or where a comment in it could hide one."""
    end = text.find(closing, at)
    while end >= 0 and end + len(closing) < len(text):
        if _ends_name(text[end + len(closing)]):
            return -1 if text.find(b"<!--", at, end) >= 0 else end
        end = text.find(closing, end + len(closing))
    return -1


def _is_space(byte: int) -> bool:
    return byte == SPACE or (TAB <= byte <= RETURN and byte != VERTICAL_TAB)


def _ends_name(byte: int) -> bool:
    return byte in (CLOSE, SPACE, SLASH) or (TAB <= byte <= RETURN and byte != VERTICAL_TAB)
