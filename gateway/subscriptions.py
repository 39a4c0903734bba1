"""Links that end or confirm a subscription: signed, so that nobody can end another's, and good without signing in.

A mail's link names site, kind and address; keys that sign cookies sign it under a use of its own.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from gateway.config import Config
from gateway.keys import load_keys
from gateway.mailings import mailing_key
from gateway.signing import TokenSigner

USE, CONFIRM_USE = "mail", "mail-confirm"
PATH, CONFIRM_PATH = "/unsubscribe/", "/confirm/"


class Subscription(msgspec.Struct, frozen=True, array_like=True):
    """A kind of mails (week, month, notice) about a site, to somebody."""

    site: str
    kind: str
    address: str

    @property
    def key(self) -> str:
        """By what it is known where it has ended."""
        return mailing_key(self.site, self.kind, self.address)


def open_signer(config: Config, use: str = USE) -> TokenSigner:
    """The signer of links that end a subscription, or, of the use CONFIRM_USE, of those that confirm one."""
    return TokenSigner(load_keys(config), use)


def sign_subscription(subscription: Subscription, signer: TokenSigner) -> str:
    """The last part of a link."""
    return str(signer.sign(urlsafe_b64encode(msgspec.json.encode(subscription)).rstrip(b"=")))


def unsubscribe_link(subscription: Subscription, signer: TokenSigner, console_url: str) -> str:
    """Where a subscription is ended."""
    return f"{console_url}{PATH}{sign_subscription(subscription, signer)}"


def confirm_link(subscription: Subscription, signer: TokenSigner, console_url: str) -> str:
    """Where a subscription is confirmed."""
    return f"{console_url}{CONFIRM_PATH}{sign_subscription(subscription, signer)}"


def read_subscription(token: str, signer: TokenSigner) -> Subscription | None:
    """The subscription that a link is about; None for anything that we did not sign."""
    payload = signer.read(token) if len(token) < 2000 and token.isascii() else None
    if payload is None:
        return None
    return msgspec.json.decode(urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)), type=Subscription)
