"""A service account of Google's: its assertion is signed and says what Google wants; its file is never shown."""

import json
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.destinations.service_account import ServiceAccount
from tests.destinations.rows import NOW
from tests.google_account import EMAIL, make_account, read_assertion

SCOPE = "https://www.googleapis.com/auth/analytics.edit"


def test_the_assertion_is_signed_and_short_lived() -> None:
    """RS256 with the file's key; issuer, scope, audience; ten minutes; a form, as RFC 7523 has it."""
    request = ServiceAccount(make_account()).ask(SCOPE, NOW, "token", "1.2")
    assert (request.method, request.url) == ("POST", "https://oauth2.googleapis.com/token")
    assert request.headers == {"content-type": "application/x-www-form-urlencoded"}
    form = dict(parse_qsl(request.body.decode()))
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    head, claims = read_assertion(form["assertion"])
    assert head == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    aud = "https://oauth2.googleapis.com/token"
    assert claims == {"iss": EMAIL, "scope": SCOPE, "aud": aud, "iat": int(NOW), "exp": int(NOW) + 600}
    assert b"1.2" not in request.body


@pytest.mark.parametrize(
    "changes",
    [{"private_key": "-----BEGIN hidden-----"}, {"private_key": 1}, {"token_uri": None}, {"private_key": "ed25519"}],
)
def test_a_file_that_is_none_is_refused_and_not_shown(changes: dict[str, object]) -> None:
    """No key, no RSA key, no address: a ValueError that says what is wanted."""
    if changes["private_key" if "private_key" in changes else "token_uri"] == "ed25519":
        key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        changes = {"private_key": key.decode()}
    with pytest.raises(ValueError, match="wanted the JSON key file") as caught:
        ServiceAccount(json.dumps(json.loads(make_account()) | changes))
    assert "hidden" not in str(caught.value)
    with pytest.raises(ValueError, match="wanted the JSON key file"):
        ServiceAccount("not JSON")
