"""Compressed pages are read as they stream and compressed again; a bomb is stopped."""

import gzip
import random
import subprocess
import sys
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.web.encoding import Damaged, Undo, open_packer, open_undo, readable_encodings

PAGE = b"<html><body>" + bytes(random.Random(1).choices(b"abcdef <>/", k=50_000)) + b"</body></html>"
LIMIT = 1_000_000
ENCODED = [
    (b"", PAGE),
    (b"identity", PAGE),
    (b"gzip", gzip.compress(PAGE)),
    (b" GZIP ", gzip.compress(PAGE)),
    (b"deflate", zlib.compress(PAGE)),
    (b"br", brotli.compress(PAGE)),
    (b"zstd", zstandard.compress(PAGE)),
    (b"zstd", zstandard.compress(PAGE[:9000]) + zstandard.compress(PAGE[9000:])),
]


def open_one(encoding: bytes, limit: int = LIMIT) -> Undo:
    undo = open_undo(encoding, limit)
    assert undo is not None
    return undo


@pytest.mark.parametrize(("encoding", "sent"), ENCODED)
def test_encodings_are_undone_in_pieces(encoding: bytes, sent: bytes) -> None:
    """However the bytes arrive, the plain page comes out."""
    for size in (1, 7, 1000, len(sent)):
        undo = open_one(encoding)
        assert b"".join(undo.feed(sent[at : at + size]) for at in range(0, len(sent), size)) == PAGE


@pytest.mark.parametrize("encoding", [b"gzip, br", b"gzip, gzip", b"compress", b"x"])
def test_other_encodings_cannot_be_read(encoding: bytes) -> None:
    """What we cannot read is not guessed at."""
    assert open_undo(encoding, LIMIT) is None


BOMBS = [
    (b"gzip", gzip.compress(b"\0" * 50_000_000, 1)),
    (b"br", brotli.compress(b"\0" * 50_000_000, quality=1)),
    (b"zstd", zstandard.compress(b"\0" * 50_000_000)),
]


@pytest.mark.parametrize(("encoding", "bomb"), BOMBS)
def test_a_bomb_is_stopped(encoding: bytes, bomb: bytes) -> None:
    """A piece that grows beyond the limit raises before much more than that is in memory."""
    with pytest.raises(Damaged):
        open_one(encoding).feed(bomb)


def test_a_long_page_is_no_bomb() -> None:
    """What grows beyond the limit piece by piece is a long page, of which no more than a piece is in memory."""
    packed = gzip.compress(b"\0" * (5 * LIMIT))
    undo = open_one(b"gzip")
    assert sum(len(undo.feed(packed[at : at + 100])) for at in range(0, len(packed), 100)) == 5 * LIMIT


DAMAGED = [
    (b"gzip", b"not gzip"),
    (b"gzip", gzip.compress(PAGE)[:-8] + b"x" * 8),
    (b"gzip", b"\x1f\x8b\x08\xff" * 10),
    (b"br", b"not brotli at all"),
    (b"zstd", b"not zstandard at all"),
    (b"zstd", zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(window_log=27)).compress(
        bytes(20_000_000))[:40]),
]  # fmt: skip


@pytest.mark.parametrize(("encoding", "sent"), DAMAGED)
def test_damaged_bodies_raise(encoding: bytes, sent: bytes) -> None:
    """Damage is an error of the body, and of no other kind; so is a window that no browser would take."""
    with pytest.raises(Damaged):
        open_one(encoding).feed(sent)


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"zstd"])
@given(pieces=st.lists(st.binary(max_size=200)), cuts=st.lists(st.integers(1, 60), min_size=1))
@settings(max_examples=60)
def test_what_is_packed_as_it_streams_is_read_as_it_streams(
    encoding: bytes, pieces: list[bytes], cuts: list[int]
) -> None:
    """Each piece can be read as soon as it is sent, and the whole is what it was however it is cut on its way."""
    packer, reader = open_packer(encoding, encoding), open_one(encoding)
    assert packer is not None
    sent = b""
    for piece in pieces:
        out = packer.feed(piece, last=False)
        assert reader.feed(out) == piece
        sent += out
    sent += packer.feed(b"", last=True)
    again, got = open_one(encoding), b""
    while sent:
        cut = cuts[len(got) % len(cuts)]
        got += again.feed(sent[:cut])
        sent = sent[cut:]
    assert got == b"".join(pieces)


PACKED_AGAIN = [
    (b"gzip", b"gzip, deflate, br, zstd", b"gzip"),
    (b"br", b"gzip, br", b"br"),
    (b" ZSTD ", b"gzip;q=0.5, ZSTD", b"zstd"),
    (b"deflate", b"gzip, deflate", b"gzip"),
    (b"br", b"gzip, br;q=0.0", b"gzip"),
    (b"br", b"*", b"br"),
    (b"gzip", b"*;q=0", None),
    (b"gzip", b"identity", None),
    (b"gzip", b"", None),
    (b"", b"gzip", None),
    (b"identity", b"gzip", None),
]


@pytest.mark.parametrize(("came", "accepted", "name"), PACKED_AGAIN)
def test_a_page_is_packed_as_the_browser_takes_it(came: bytes, accepted: bytes, name: bytes | None) -> None:
    """In the encoding it came in, else in gzip, else in none; what came plain stays plain."""
    packer = open_packer(came, accepted)
    assert (packer and packer.name) == name


def test_without_the_libraries_brotli_and_zstandard_are_not_asked_for() -> None:
    """Where they are not installed, the site is asked for gzip, and what comes otherwise is not guessed at."""
    program = (
        "import sys; sys.modules |= {'brotli': None, 'zstandard': None}\n"
        "from gateway.web.encoding import open_undo, readable_encodings\n"
        "print(readable_encodings(b'gzip, deflate, br, zstd').decode(), open_undo(b'br', 9), open_undo(b'zstd', 9))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "gzip, deflate None None"


ACCEPTED = [
    (b"gzip, deflate, br, zstd", b"gzip, deflate, br, zstd"),
    (b"gzip, dcb, dcz", b"gzip"),
    (b"compress;q=1.0, gzip;q=0.8", b" gzip;q=0.8"),
    (b"compress", b"identity"),
    (b"*", b"identity"),
    (b"", b"identity"),
    (b"identity", b"identity"),
    (b"GZIP", b"GZIP"),
]


@pytest.mark.parametrize(("accepted", "readable"), ACCEPTED)
def test_the_site_is_asked_for_what_we_can_read(accepted: bytes, readable: bytes) -> None:
    """Of the encodings that a browser takes, those that we cannot undo are left out."""
    assert readable_encodings(accepted) == readable
