"""How tokens are sealed: keyed BLAKE2b, as itsdangerous wants it; and HMAC-SHA256 for what others have to read."""

import hashlib
from functools import lru_cache

from itsdangerous.signer import SigningAlgorithm


class KeyedBlake2(SigningAlgorithm):
    """BLAKE2b with a key, 32 bytes (RFC 7693, section 2.9): made to authenticate without HMAC's second hashing.

    One call of the standard library's own code, where HMAC-SHA256 takes six through OpenSSL; on a page with a signed
    cookie that is a twelfth of our time. Nor does it let go of the interpreter's lock, as `hmac.digest` does.
    """

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        """The 32 bytes for a value."""
        seal = _keyed(key).copy()
        seal.update(value)
        return seal.digest()


@lru_cache(maxsize=64)
def _keyed(key: bytes) -> "hashlib.blake2b":
    """The state after the key, which takes as long to reach as sealing a cookie does."""
    return hashlib.blake2b(key=key, digest_size=32)


def sign_sha256(key: bytes, value: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104). Like `hmac.digest`, but without letting go of the interpreter's lock for a moment: where a
    thread waits for it, getting it back takes ten times as long as signing."""
    inner, outer = _padded(key)
    within, around = inner.copy(), outer.copy()
    within.update(value)
    around.update(within.digest())
    return around.digest()


@lru_cache(maxsize=64)
def _padded(key: bytes) -> "tuple[hashlib._Hash, hashlib._Hash]":
    """Both states after the key."""
    block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    return hashlib.sha256(bytes(byte ^ 0x36 for byte in block)), hashlib.sha256(bytes(byte ^ 0x5C for byte in block))
