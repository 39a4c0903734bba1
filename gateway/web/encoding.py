"""Content encodings of pages that have to be read: undone as they stream, and done again as the browser takes them.

gzip and deflate always; Brotli and Zstandard where their libraries are installed (the package's extra `encodings`).
"""

import zlib
from contextlib import suppress
from functools import lru_cache
from typing import Any, Protocol

brotli: Any = None
zstandard: Any = None
with suppress(ImportError):
    import brotli  # type: ignore[no-redef]
with suppress(ImportError):
    import zstandard

READABLE = (b"gzip", b"deflate", *((b"br",) if brotli else ()), *((b"zstd",) if zstandard else ()))
PLAIN = (b"", b"identity")
ZSTD_WINDOW = 1 << 23  # the largest that browsers take (RFC 9659)
_SLICE = 256  # bytes of zstd that are unpacked at once: they grow to 8 MB at most
_FAULTS: tuple[type[Exception], ...] = (
    zlib.error,
    *((brotli.error,) if brotli else ()),
    *((zstandard.ZstdError,) if zstandard else ()),
)


class Damaged(Exception):
    """A body that is not in the encoding its head names, or that grows beyond all measure."""


class Undo(Protocol):
    """Takes compressed bytes, gives plain ones; at most `limit` at once."""

    def feed(self, chunk: bytes) -> bytes:
        """The plain bytes of the next compressed ones. Raises Damaged."""


class Packer(Protocol):
    """Compresses chunk by chunk, so that streaming goes on. `name` is the encoding's."""

    name: bytes

    def feed(self, chunk: bytes, *, last: bool) -> bytes:
        """Bytes from which a browser can read everything up to here."""


class Plain:
    """No encoding."""

    def feed(self, chunk: bytes) -> bytes:
        """The same bytes."""
        return chunk


UNTOUCHED = Plain()


class Unpacked:
    """One compressed body, with a cap on what each of its pieces may grow to: a page of any length streams by."""

    def __init__(self, encoding: bytes, limit: int) -> None:
        self._limit = limit
        self._state: Any = _OPENERS[encoding]()
        self._unpack = {b"br": self._unbrotli, b"zstd": self._unzstd}.get(encoding, self._inflate)

    def feed(self, chunk: bytes) -> bytes:
        """The plain bytes of the next compressed ones."""
        try:
            plain = self._unpack(chunk)
        except _FAULTS as error:
            raise Damaged(f"the page cannot be unpacked: {error}") from error
        if len(plain) > self._limit:
            raise Damaged("a piece of the page is larger than limits.page_bytes when unpacked")
        return plain

    def _inflate(self, chunk: bytes) -> bytes:
        plain: bytes = self._state.decompress(chunk, self._limit + 1)
        return plain

    def _unbrotli(self, chunk: bytes) -> bytes:
        if self._state.is_finished():
            return b""  # what comes behind the end is nothing to browsers either
        plain: bytes = self._state.process(chunk, output_buffer_limit=self._limit + 1)
        return plain

    def _unzstd(self, chunk: bytes) -> bytes:
        parts, size = [], 0
        for at in range(0, len(chunk), _SLICE):
            parts.append(self._state.decompress(chunk[at : at + _SLICE]))
            size += len(parts[-1])
            if size > self._limit:
                break
        return b"".join(parts)


_OPENERS: dict[bytes, Any] = {
    b"gzip": lambda: zlib.decompressobj(wbits=47),
    b"deflate": lambda: zlib.decompressobj(wbits=zlib.MAX_WBITS),
    b"br": lambda: brotli.Decompressor(),
    b"zstd": lambda: zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj(read_across_frames=True),
}


def open_undo(encoding: bytes, limit: int) -> Undo | None:
    """What undoes an encoding; None for one that we cannot read."""
    name = encoding.strip().lower()
    if name in PLAIN:
        return UNTOUCHED
    return Unpacked(name, limit) if name in READABLE else None


class Gzip:
    """gzip again."""

    name = b"gzip"

    def __init__(self) -> None:
        self._state = zlib.compressobj(5, zlib.DEFLATED, 31)

    def feed(self, chunk: bytes, *, last: bool) -> bytes:
        """gzip bytes for the next plain ones."""
        body = self._state.compress(chunk)
        return body + self._state.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)


class Brotli:
    """Brotli again."""

    name = b"br"

    def __init__(self) -> None:
        self._state = brotli.Compressor(quality=4)

    def feed(self, chunk: bytes, *, last: bool) -> bytes:
        """Brotli bytes for the next plain ones."""
        body: bytes = self._state.process(chunk)
        rest: bytes = self._state.finish() if last else self._state.flush()
        return body + rest


class Zstandard:
    """Zstandard again."""

    name = b"zstd"

    def __init__(self) -> None:
        self._state = zstandard.ZstdCompressor(level=3).compressobj()

    def feed(self, chunk: bytes, *, last: bool) -> bytes:
        """Zstandard bytes for the next plain ones."""
        body: bytes = self._state.compress(chunk)
        how = zstandard.COMPRESSOBJ_FLUSH_FINISH if last else zstandard.COMPRESSOBJ_FLUSH_BLOCK
        rest: bytes = self._state.flush(how)
        return body + rest


_PACKERS: dict[bytes, type[Gzip] | type[Brotli] | type[Zstandard]] = {
    b"gzip": Gzip,
    b"br": Brotli,
    b"zstd": Zstandard,
}


def open_packer(came: bytes, accept: bytes) -> Packer | None:
    """What compresses a page again that came in an encoding we could read: in the same if the browser takes it, else in gzip,
    else not at all. `accept` is the browser's Accept-Encoding."""
    name = came.strip().lower()
    return None if name in PLAIN else _PACKERS[found]() if (found := _find_packer(name, accept)) else None


@lru_cache(maxsize=512)
def _find_packer(came: bytes, accept: bytes) -> bytes:
    taken = dict(_weigh(part) for part in accept.lower().split(b","))
    return next((name for name in (came, b"gzip") if name in _PACKERS and taken.get(name, taken.get(b"*"))), b"")


def _weigh(part: bytes) -> tuple[bytes, bool]:
    """An encoding, and whether it is wanted at all."""
    name, _, weight = part.partition(b";")
    return name.strip(), weight.replace(b" ", b"").rstrip(b"0.") != b"q="


@lru_cache(maxsize=512)
def readable_encodings(accept: bytes) -> bytes:
    """The part of an Accept-Encoding that we can read back when the page comes."""
    kept = [part for part in accept.split(b",") if part.partition(b";")[0].strip().lower() in READABLE]
    return b",".join(kept) or b"identity"
