"""Access tokens of Salesforce: a client's own credentials, a refresh token, or an assertion signed with a key (JWT bearer).

Salesforce does not say how long a token lives: it is kept until it is refused. Of several deliveries that find it refused
one asks for a new one (see `Lane.renewing`): two at once would be answered with an error.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode

import msgspec

from gateway.destinations.base import (
    FILE,
    Delivered,
    Misconfigured,
    OutgoingRequest,
    Reply,
    Retry,
    Verdict,
    judge_failure,
)
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from gateway.destinations.service_account import SigningKey

Grant = Literal["client_credentials", "refresh_token", "jwt"]
TOKEN_PATH = "/services/oauth2/token"
SHARED = ("https://login.salesforce.com", "https://test.salesforce.com")
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
JWT_SECONDS = 170  # Salesforce takes at most three minutes
NO_TOKEN = "no_token"
MEANWHILE = ("already being processed", "expired authorization code")  # another request for a token was quicker


class _Given(msgspec.Struct, frozen=True):
    access_token: str
    refresh_token: str = ""


class _Refused(msgspec.Struct, frozen=True):
    error: str = ""
    error_description: str = ""


class Login:
    """One connected app. `secret` is its client secret, or with `jwt` its private key in PEM."""

    def __init__(
        self, where: str, grant: Grant, url: str, client_id: str, username: str, secret: str, more: Mapping[str, str]
    ) -> None:
        """`where` names the destination in faults. Raises ConfigError, which shows no secret."""
        self._grant, self._url, self._client_id, self._username = grant, url.rstrip("/"), client_id, username
        self._secret, self._refresh = secret, more.get("refresh_token", "")
        self._token = ""
        wrong: dict[str, str] = {}
        if grant == "client_credentials" and self._url in SHARED:
            wrong["login_url"] = "with client_credentials your own domain is wanted: https://NAME.my.salesforce.com"
        if bool(self._refresh) != (grant == "refresh_token"):
            wrong["refresh_token"] = 'goes with grant = "refresh_token", and with no other'
        if bool(username) != (grant == "jwt"):
            wrong["username"] = 'goes with grant = "jwt", and with no other'
        for key, wanted in wrong.items():
            raise ConfigError(FILE, f"{where}.options.{key}", None, wanted)
        self._key = self._read_key(where) if grant == "jwt" else None

    def _read_key(self, where: str) -> "SigningKey":
        try:
            key: SigningKey = import_module("gateway.destinations.service_account").SigningKey(self._secret)
        except ValueError as error:
            raise ConfigError(FILE, f"{where}.secret", None, str(error)) from None
        return key

    @property
    def authorization(self) -> str:
        """The header's value."""
        return f"Bearer {self._token}"

    def ask(self, now: float) -> OutgoingRequest | None:
        """The request for a token; None while there is one."""
        if self._token:
            return None
        fields = {"client_id": self._client_id, "client_secret": self._secret, "grant_type": self._grant}
        if self._grant == "refresh_token":
            fields["refresh_token"] = self._refresh
        if self._key is not None:
            claims = {"iss": self._client_id, "sub": self._username, "aud": self._url, "exp": int(now) + JWT_SECONDS}
            fields = {"grant_type": JWT_GRANT, "assertion": self._key.sign({"alg": "RS256", "typ": "JWT"}, claims)}
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        return OutgoingRequest("POST", self._url + TOKEN_PATH, headers, urlencode(fields).encode())

    def forget(self) -> None:
        """The token was refused."""
        self._token = ""

    def take(self, reply: Reply, now: float) -> Verdict:
        """Keep what came. A refresh token stays what it was unless a new one comes with the answer."""
        failure = judge_failure(reply, now)
        if isinstance(failure, Retry) or (failure is not None and _was_overtaken(reply)):
            return Retry(f"http_{reply.status}")
        try:
            given = msgspec.json.decode(reply.body, type=_Given)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Misconfigured(NO_TOKEN)
        if failure is not None or not given.access_token.isascii() or not given.access_token.isprintable():
            return Misconfigured(NO_TOKEN)
        self._token, self._refresh = given.access_token, given.refresh_token or self._refresh
        return Delivered()


def _was_overtaken(reply: Reply) -> bool:
    try:
        said = msgspec.json.decode(reply.body, type=_Refused)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return said.error == "invalid_grant" and any(words in said.error_description for words in MEANWHILE)
