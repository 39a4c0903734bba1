"""A token that we did not sign, for this use, with a key that still counts, says nothing at all."""

import hashlib
import hmac
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import Signer

from gateway.signing import REMEMBERED, TokenSigner, derive_key
from gateway.signing_algorithm import sign_sha256

OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32
PAYLOAD = b"eyJhIjoxfQ"
SIGNER = TokenSigner([NEW], "consent")
TOKEN = SIGNER.sign(PAYLOAD)
ODD = "=+/ \t\r\n\0\u00e9\u20ac\ud800,;%"


def test_what_was_signed_is_read_back() -> None:
    """A signed payload comes back as it was, also when it is asked for again."""
    assert SIGNER.read(TOKEN) == PAYLOAD
    assert SIGNER.read(TOKEN) == PAYLOAD


def test_every_single_change_is_noticed() -> None:
    """Each letter exchanged for any other, taken out, or added makes a token nothing, padding and spare bits
    included."""
    letters = "".join(map(chr, range(128))) + ODD
    for at in range(len(TOKEN) + 1):
        head, tail = TOKEN[:at], TOKEN[at:]
        changed = {head + letter + tail for letter in letters} | {head + letter + tail[1:] for letter in letters}
        changed |= {head + tail[1:], head, tail}
        assert [token for token in changed - {TOKEN} if SIGNER.read(token) is not None] == []


@settings(max_examples=100)
@given(st.text(max_size=200))
def test_no_text_ever_raises(text: str) -> None:
    """Whatever a cookie holds, reading it answers None and raises nothing."""
    assert SIGNER.read(text) is None
    assert SIGNER.read(f"{text}.{TOKEN}") is None
    assert SIGNER.read(f"{TOKEN}.{text}") is None


FOREIGN = [
    TokenSigner([OTHER], "consent").sign(PAYLOAD),
    TokenSigner([NEW], "visit").sign(PAYLOAD),
    Signer(NEW, salt="consent").sign(PAYLOAD).decode(),  # itsdangerous as it comes: SHA-1
    PAYLOAD.decode(),
    PAYLOAD.decode() + ".",
    "." + TOKEN.split(".")[1],
    TOKEN.upper(),
    ".eJxTVlAwUAAAAhoApg." + TOKEN.split(".")[1],  # the mark of a compressed payload
    '{"alg":"none"}.' + PAYLOAD.decode() + ".",
    TOKEN.translate(str.maketrans("-_", "+/")) + "=",
]


@pytest.mark.parametrize("token", FOREIGN)
def test_foreign_tokens_say_nothing(token: str) -> None:
    """Another key, another use, another algorithm, no signature: nothing."""
    assert SIGNER.read(token) is None


def test_keys_rotate() -> None:
    """The newest key signs, the older ones still verify, and one that was taken out does not."""
    old, both, new = (TokenSigner(keys, "consent") for keys in ([OLD], [NEW, OLD], [NEW]))
    assert both.read(old.sign(PAYLOAD)) == PAYLOAD
    assert both.sign(PAYLOAD) == new.sign(PAYLOAD)
    assert new.read(old.sign(PAYLOAD)) is None
    assert old.read(both.sign(PAYLOAD)) is None


def test_each_use_has_a_key_of_its_own() -> None:
    """Keys for two uses have nothing in common, and none is the key they come from."""
    keys = {derive_key(NEW, salt) for salt in ("consent", "visit")} | {NEW}
    assert len(keys) == 3


def test_signatures_are_keyed_blake2b() -> None:
    """A signature is BLAKE2b of the payload under the key of this use: 256 bits, in base64url."""
    wanted = hashlib.blake2b(PAYLOAD, key=derive_key(NEW, "consent"), digest_size=32).digest()
    assert TOKEN.split(".")[1] == urlsafe_b64encode(wanted).rstrip(b"=").decode()


def test_memory_for_verified_tokens_is_bounded() -> None:
    """However many tokens are read, only so many are remembered, and all still verify."""
    tokens = [SIGNER.sign(b"%d" % number) for number in range(REMEMBERED + 10)]
    assert all(SIGNER.read(token) == b"%d" % number for number, token in enumerate(tokens))
    assert len(SIGNER._verified) <= REMEMBERED


@given(st.binary(max_size=200), st.binary(max_size=3000))
def test_hmac_is_hmac(key: bytes, value: bytes) -> None:
    """What others verify is HMAC-SHA256 as the standard library has it, for keys of any length."""
    assert sign_sha256(key, value) == hmac.digest(key, value, "sha256")
