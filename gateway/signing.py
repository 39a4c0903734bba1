"""Sign and read tokens: keyed BLAKE2b, a key per use, several keys for rotation. The only user of itsdangerous."""

import hmac
import re
from binascii import b2a_base64
from collections.abc import Sequence

from itsdangerous import BadSignature, Signer

from gateway.signing_algorithm import KeyedBlake2

MIN_KEY_BYTES = 32
REMEMBERED = 8192
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
# 32 bytes in base64url without padding: 43 letters, of which the last carries four bits and ends in 00.
_SIGNATURE = re.compile(r"[^.]*\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]\Z")


def derive_key(key: bytes, salt: str) -> bytes:
    """The key for one use: HMAC-SHA256(key, salt). A token made for one use never verifies for another."""
    return hmac.digest(key, b"gateway:" + salt.encode(), "sha256")


class TokenSigner:
    """Signs small ASCII payloads for one use.

    Keys are given newest first; the newest signs, all verify. Verified tokens are remembered by their bytes
    (bounded), since a browser sends the same cookie with each request; expiry and withdrawal are the
    caller's to check each time.
    """

    def __init__(self, keys: Sequence[bytes], salt: str) -> None:
        # itsdangerous wants the newest key last; the keys are derived once, here, so none per token.
        derived = [derive_key(key, salt) for key in reversed(keys)]
        self._newest, self._algorithm = derived[-1], KeyedBlake2()
        self._signer = Signer(derived, salt=salt, sep=".", key_derivation="none", algorithm=self._algorithm)
        self._verified: dict[str, bytes] = {}

    def sign(self, payload: bytes) -> str:
        """`payload.signature`; the payload must be free of dots (base64url is)."""
        seal = self._algorithm.get_signature(self._newest, payload)
        return f"{payload.decode('ascii')}.{b2a_base64(seal, newline=False).translate(_URL_SAFE, b'=').decode('ascii')}"

    def read(self, token: str) -> bytes | None:
        """The payload of a token we signed, or None for anything else."""
        payload = self._verified.get(token)
        if payload is None:
            payload = self._unsign(token)
            if payload is not None:
                self._remember(token, payload)
        return payload

    def _unsign(self, token: str) -> bytes | None:
        # The decoder skips letters that are none of base64url's and bits that are too many: one spelling only.
        if not _SIGNATURE.match(token):
            return None
        try:
            return self._signer.unsign(token)
        except (BadSignature, UnicodeError):
            return None

    def _remember(self, token: str, payload: bytes) -> None:
        if len(self._verified) >= REMEMBERED:
            self._verified.clear()
        self._verified[token] = payload
