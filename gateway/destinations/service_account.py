"""A service account of Google's: asks for an access token with a signed assertion (RFC 7523).

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


class _KeyFile(msgspec.Struct, frozen=True):
    client_email: str
    private_key: str
    token_uri: str
    private_key_id: str = ""


class ServiceAccount:
    """One account, read from the text of its key file. Raises ValueError, which never shows the text."""

    def __init__(self, text: str) -> None:
        try:
            self._file = msgspec.json.decode(text, type=_KeyFile)
            key = load_pem_private_key(self._file.private_key.encode(), None)
        except (msgspec.MsgspecError, ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError(WANTED) from None
        if not isinstance(key, RSAPrivateKey):
            raise ValueError(WANTED)
        self._key = key

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
        signed = f"{_encode(head)}.{_encode({**claims, 'iat': now, 'exp': now + VALID_SECONDS})}"
        return f"{signed}.{_base64(self._key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def _encode(value: Mapping[str, object]) -> str:
    return _base64(msgspec.json.encode(value))


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode("ascii").rstrip("=")
