"""Salesforce's tokens: three ways to ask for one, and what each answer means."""

from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.destinations.base import Delivered, Misconfigured, Retry
from gateway.destinations.salesforce_login import Login
from tests.destinations.pardot_parts import LOGIN, answer
from tests.destinations.rows import NOW
from tests.google_account import make_key, read_assertion


def form(login: Login) -> dict[str, str]:
    """What is asked."""
    request = login.ask(NOW)
    assert request is not None
    assert request.url == f"{LOGIN}/services/oauth2/token"
    return dict(parse_qsl(request.body.decode()))


def make_login() -> Login:
    """With a refresh token."""
    return Login("crm", "refresh_token", LOGIN, "app", "", "s3cret", {"refresh_token": "r1"})


def test_a_clients_own_credentials() -> None:
    """Client id and secret, by a form."""
    login = Login("crm", "client_credentials", LOGIN + "/", "app", "", "s3cret", {})
    assert form(login) == {"client_id": "app", "client_secret": "s3cret", "grant_type": "client_credentials"}


def test_a_signed_assertion() -> None:
    """RS256 with the app's key: who asks, for whom, where, and for less than three minutes; no secret beside it."""
    pem = make_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    login = Login("crm", "jwt", LOGIN, "app", "gateway@example.org", pem, {})
    asked = form(login)
    assert asked.keys() == {"grant_type", "assertion"}
    head, claims = read_assertion(asked["assertion"])
    assert head == {"alg": "RS256", "typ": "JWT"}
    assert claims == {"iss": "app", "sub": "gateway@example.org", "aud": LOGIN, "exp": int(NOW) + 170}


def test_a_refresh_token_is_kept_where_none_comes_back() -> None:
    """F17: the answer leaves the refresh token out; the old one goes on. A new one takes its place."""
    login = make_login()
    assert form(login)["refresh_token"] == "r1"
    assert login.take(answer(200, {"access_token": "t1"}), NOW) == Delivered()
    assert (login.authorization, login.ask(NOW)) == ("Bearer t1", None)
    login.forget()
    assert form(login)["refresh_token"] == "r1"
    assert login.take(answer(200, {"access_token": "t2", "refresh_token": "r2"}), NOW) == Delivered()
    login.forget()
    assert form(login)["refresh_token"] == "r2"


@pytest.mark.parametrize(
    ("status", "value", "verdict"),
    [
        (
            400,
            {"error": "invalid_grant", "error_description": "expired access/refresh token"},
            Misconfigured("no_token"),
        ),
        (400, {"error": "invalid_client"}, Misconfigured("no_token")),
        (
            400,
            {"error": "invalid_grant", "error_description": "token request is already being processed"},
            Retry("http_400"),
        ),
        (400, {"error": "invalid_grant", "error_description": "expired authorization code"}, Retry("http_400")),
        (503, None, Retry("http_503")),
        (200, {"access_token": "a\nb"}, Misconfigured("no_token")),
        (200, {"token": "t"}, Misconfigured("no_token")),
        (302, None, Retry("http_302")),
    ],
)
def test_what_is_no_token_says_why(status: int, value: object, verdict: object) -> None:
    """F17: revoked credentials are the operator's to mend, no loop of attempts; what passes is tried again."""
    login = make_login()
    assert login.take(answer(status, value), NOW) == verdict
    assert login.ask(NOW) is not None
