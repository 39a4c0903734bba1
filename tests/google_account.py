"""A service account's key file, as Google gives it, with a key of our own."""

import json
from base64 import urlsafe_b64decode
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

EMAIL = "gateway@example.iam.gserviceaccount.com"


@cache
def make_key() -> RSAPrivateKey:
    """One key for all tests: making it takes its time."""
    return generate_private_key(65537, 2048)


def make_account(token_url: str = "https://oauth2.googleapis.com/token") -> str:
    """The text of the file."""
    pem = make_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    value = {"type": "service_account", "client_email": EMAIL, "private_key": pem, "private_key_id": "k1"}
    return json.dumps(value | {"token_uri": token_url})


def read_assertion(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Head and claims of an assertion whose signature is right; raises when it is not."""
    signed, _, signature = text.rpartition(".")
    make_key().public_key().verify(_decode(signature), signed.encode(), PKCS1v15(), SHA256())
    head, claims = (json.loads(_decode(part)) for part in signed.split("."))
    return head, claims


def _decode(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))
