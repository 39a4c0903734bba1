"""Content encodings of pages that have to be read: gzip and deflate are undone as they stream and done again."""

import zlib
from functools import lru_cache
from typing import Protocol

READABLE = (b"gzip", b"deflate")
PLAIN = (b"", b"identity")


class Undo(Protocol):
    """Takes compressed bytes, gives plain ones; at most `limit` at once."""

    def feed(self, chunk: bytes) -> bytes:
        """The plain bytes of the next compressed ones. Raises zlib.error."""


class Plain:
    """No encoding."""

    def feed(self, chunk: bytes) -> bytes:
        """The same bytes."""
        return chunk


UNTOUCHED = Plain()


class Inflate:
    """gzip or deflate, with a cap on what a small body may grow to."""

    def __init__(self, encoding: bytes, limit: int) -> None:
        self._state = zlib.decompressobj(wbits=47 if encoding == b"gzip" else zlib.MAX_WBITS)
        self._left = limit

    def feed(self, chunk: bytes) -> bytes:
        """The plain bytes; raises zlib.error for damaged input or beyond the cap."""
        plain = self._state.decompress(chunk, self._left + 1)
        self._left -= len(plain)
        if self._left < 0:
            raise zlib.error("the page is larger than limits.page_bytes when unpacked")
        return plain


def open_undo(encoding: bytes, limit: int) -> Undo | None:
    """What undoes an encoding; None for one that we cannot read."""
    name = encoding.strip().lower()
    if name in PLAIN:
        return UNTOUCHED
    return Inflate(name, limit) if name in READABLE else None


class Deflate:
    """Compresses again what was compressed, chunk by chunk, so that streaming goes on."""

    def __init__(self) -> None:
        self._state = zlib.compressobj(5, zlib.DEFLATED, 31)

    def feed(self, chunk: bytes, *, last: bool) -> bytes:
        """gzip bytes for the next plain ones."""
        body = self._state.compress(chunk)
        return body + self._state.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)


@lru_cache(maxsize=512)
def readable_encodings(accept: bytes) -> bytes:
    """The part of an Accept-Encoding that we can read back when the page comes."""
    kept = [part for part in accept.split(b",") if part.partition(b";")[0].strip().lower() in READABLE]
    return b",".join(kept) or b"identity"
