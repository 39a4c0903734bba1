"""Compressed pages are read as they stream and compressed again; a bomb is stopped."""

import gzip
import random
import zlib

import pytest

from gateway.web.encoding import Deflate, Undo, open_undo, readable_encodings

PAGE = b"<html><body>" + bytes(random.Random(1).choices(b"abcdef <>/", k=50_000)) + b"</body></html>"
LIMIT = 1_000_000
ENCODED = [
    (b"", PAGE),
    (b"identity", PAGE),
    (b"gzip", gzip.compress(PAGE)),
    (b" GZIP ", gzip.compress(PAGE)),
    (b"deflate", zlib.compress(PAGE)),
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


@pytest.mark.parametrize("encoding", [b"br", b"zstd", b"gzip, br", b"gzip, gzip", b"compress", b"x"])
def test_other_encodings_cannot_be_read(encoding: bytes) -> None:
    """What we cannot read is not guessed at."""
    assert open_undo(encoding, LIMIT) is None


def test_a_bomb_is_stopped() -> None:
    """A body that grows beyond the limit raises before it is in memory, at once or bit by bit."""
    bomb = gzip.compress(b"\0" * 50_000_000)
    with pytest.raises(zlib.error):
        open_one(b"gzip").feed(bomb)
    undo = open_one(b"gzip")
    with pytest.raises(zlib.error):
        for at in range(0, len(bomb), 100):
            undo.feed(bomb[at : at + 100])


@pytest.mark.parametrize("sent", [b"not gzip", gzip.compress(PAGE)[:-8] + b"x" * 8, b"\x1f\x8b\x08\xff" * 10])
def test_damaged_bodies_raise(sent: bytes) -> None:
    """Damage is an error of the body, and of no other kind."""
    with pytest.raises(zlib.error):
        open_one(b"gzip").feed(sent)


def test_a_page_is_compressed_again_as_it_streams() -> None:
    """Each piece can be read as soon as it is sent, and the whole is proper gzip."""
    packer, reader = Deflate(), zlib.decompressobj(31)
    first = packer.feed(b"<html>", last=False)
    assert reader.decompress(first) == b"<html>"
    rest = packer.feed(b"", last=False) + packer.feed(b"</html>", last=True)
    assert gzip.decompress(first + rest) == b"<html></html>"


ACCEPTED = [
    (b"gzip, deflate, br, zstd", b"gzip, deflate"),
    (b"gzip", b"gzip"),
    (b"br;q=1.0, gzip;q=0.8", b" gzip;q=0.8"),
    (b"br", b"identity"),
    (b"*", b"identity"),
    (b"", b"identity"),
    (b"identity", b"identity"),
    (b"GZIP", b"GZIP"),
]


@pytest.mark.parametrize(("accepted", "readable"), ACCEPTED)
def test_the_site_is_asked_for_what_we_can_read(accepted: bytes, readable: bytes) -> None:
    """Of the encodings that a browser takes, those that we cannot undo are left out."""
    assert readable_encodings(accepted) == readable
