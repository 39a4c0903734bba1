"""What browsers and caches may keep of an answer: nothing that one visitor's grants let pass is ever shown to another."""

from collections.abc import Iterator, Sequence
from typing import Final

Header = tuple[bytes, bytes]

# Headers that speak of bytes we are going to change. Those by which caches are told what to keep are added below.
REPLACED: Final = frozenset(
    (
        b"content-length",
        b"etag",
        b"last-modified",
        b"accept-ranges",
        b"expires",
        b"age",
        b"content-md5",
        b"digest",
        b"content-digest",
        b"repr-digest",
        b"content-encoding",
    )
)
CONTROL: Final = b"cache-control"  # also the end of all that speak to one cache alone (RFC 9213): `CDN-Cache-Control`
SHARED: Final = frozenset((b"surrogate-control", b"x-accel-expires", b"edge-control"))
FOR_ALL = (b"public", b"private", b"s-maxage", b"proxy-revalidate")  # words on who may keep an answer


def make_private(headers: Sequence[Header], *, store: bool) -> list[Header]:
    """The head of a page made for one visitor: no validators, no ranges, nothing for shared caches to keep.

    `store`: whether the visitor's own browser may keep it, asking before each use. What the site says against storing and
    against changing on the way (`no-transform`) stays said.
    """
    control = b"private, no-cache" if store else b"private, no-store"
    kept = []
    for name, value in headers:
        if name == CONTROL:
            said = value.lower()
            if b"no-store" in said:
                control = control.replace(b"no-cache", b"no-store")
            if b"no-transform" in said:
                control += b", no-transform"
        elif not (name in REPLACED or name in SHARED or name.endswith(CONTROL)):
            kept.append((name, value))
    kept.append((CONTROL, control))
    kept.append((b"vary", b"Cookie"))
    return kept


def keep_from_others(headers: Sequence[Header]) -> list[Header]:
    """The head of an answer that is no page, and carries what was granted: the visitor's own browser may keep it for as long
    as the site says, shared caches may not."""
    kept = [(name, value) for name, value in headers if name not in SHARED and not name.endswith(CONTROL)]
    said = [value for name, value in headers if name == CONTROL]
    kept.append((CONTROL, b", ".join((b"private", *_own(said)))))
    return kept


def _own(said: Sequence[bytes]) -> Iterator[bytes]:
    for value in said:
        for part in value.split(b","):
            word = part.strip().lower()
            if word and not word.startswith(FOR_ALL):
                yield word
