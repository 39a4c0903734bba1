"""Links that end a subscription: signed, so that nobody can end another's, and good without signing in.

A mail's link names site, kind and address; keys that sign cookies sign it under a use of its own.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from gateway.config import Config
from gateway.keys import load_keys
from gateway.mailings import mailing_key
from gateway.signing import TokenSigner

USE = "mail"
PATH = "/unsubscribe/"


class Subscription(msgspec.Struct, frozen=True, array_like=True):
    """A kind of mails (week, month, notice) about a site, to somebody."""

    site: str
    kind: str
    address: str

    @property
    def key(self) -> str:
        """By what it is known where it has ended."""
        return mailing_key(self.site, self.kind, self.address)


def open_signer(config: Config) -> TokenSigner:
    """The signer of these links."""
    return TokenSigner(load_keys(config), USE)


def unsubscribe_link(subscription: Subscription, signer: TokenSigner, console_url: str) -> str:
    """Where a subscription is ended."""
    payload = urlsafe_b64encode(msgspec.json.encode(subscription)).rstrip(b"=")
    return f"{console_url}{PATH}{signer.sign(payload)}"


def read_subscription(token: str, signer: TokenSigner) -> Subscription | None:
    """The subscription that a link is about; None for anything that we did not sign."""
    payload = signer.read(token) if len(token) < 2000 and token.isascii() else None
    if payload is None:
        return None
    return msgspec.json.decode(urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)), type=Subscription)
