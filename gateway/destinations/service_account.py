"""A service account of Google's, and the key of any other: they ask for an access token with a signed assertion (RFC 7523).

Loaded only where a configuration has such an account: what signs is large.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.destinations.base import OutgoingRequest

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
VALID_SECONDS = 600
WANTED = "wanted the JSON key file of a service account, with client_email, private_key (RSA) and token_uri"
WANTED_KEY = "wanted a private RSA key in PEM, without a password"


class _KeyFile(msgspec.Struct, frozen=True):
    client_email: str
    private_key: str
    token_uri: str
    private_key_id: str = ""


class SigningKey:
    """A private RSA key, read from PEM; signs assertions with RS256. Raises ValueError, which never shows the text."""

    def __init__(self, pem: str) -> None:
        try:
            key = load_pem_private_key(pem.encode(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError(WANTED_KEY) from None
        if not isinstance(key, RSAPrivateKey):
            raise ValueError(WANTED_KEY)
        self._key = key

    def sign(self, head: Mapping[str, object], claims: Mapping[str, object]) -> str:
        """The assertion, in three parts."""
        signed = f"{_encode(head)}.{_encode(claims)}"
        return f"{signed}.{_base64(self._key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


class ServiceAccount:
    """One account, read from the text of its key file. Raises ValueError, which never shows the text."""

    def __init__(self, text: str) -> None:
        try:
            self._file = msgspec.json.decode(text, type=_KeyFile)
            self._key = SigningKey(self._file.private_key)
        except (msgspec.MsgspecError, ValueError):
            raise ValueError(WANTED) from None

    @property
    def token_url(self) -> str:
        """Where tokens are given."""
        return self._file.token_uri

    def ask(self, scope: str, now: float, step: str, memo: str) -> OutgoingRequest:
        """The request for a token of this scope."""
        form = urlencode({"grant_type": GRANT, "assertion": self._assert(scope, int(now))})
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return OutgoingRequest("POST", self.token_url, headers, form.encode(), step, memo)

    def _assert(self, scope: str, now: int) -> str:
        head = {"alg": "RS256", "typ": "JWT", "kid": self._file.private_key_id}
        claims = {"iss": self._file.client_email, "scope": scope, "aud": self.token_url}
        return self._key.sign(head, {**claims, "iat": now, "exp": now + VALID_SECONDS})


def _encode(value: Mapping[str, object]) -> str:
    return _base64(msgspec.json.encode(value))


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode("ascii").rstrip("=")
