"""The signed cookie that remembers a choice: name, content, and how to read it back without ever raising."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error

import msgspec

from gateway.consent.decision import Choice
from gateway.signing import TokenSigner

VERSION = 1
MAX_LENGTH = 3000
NAME = "gw_consent"


class _Payload(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The cookie's content, in a fixed order: version, site, answers, decided at, consent id, revision, GPC, and
    the exceptions, if there are any."""

    version: int
    site: str
    answers: dict[str, tuple[str, bool]]
    decided_at: int
    consent_id: str
    revision: int
    gpc: bool = False
    services: dict[str, str] = {}


_decoder = msgspec.json.Decoder(_Payload, strict=True)


def cookie_name(base: str, *, secure: bool, domain: str) -> str:
    """`__Host-` on https, `__Secure-` with a parent domain, bare on plain-http loopback (browsers refuse the prefixes)."""
    if not secure:
        return base
    return f"__Secure-{base}" if domain else f"__Host-{base}"


def encode_choice(choice: Choice, signer: TokenSigner) -> str:
    """The cookie's value for a choice."""
    said = msgspec.structs.astuple(choice)
    payload = (VERSION, *(said if choice.services else said[:-1]))
    return signer.sign(urlsafe_b64encode(msgspec.json.encode(payload)).rstrip(b"="))


def read_choice(value: str, signer: TokenSigner) -> Choice | None:
    """The choice in a cookie that we signed; None for anything forged, truncated, foreign or malformed."""
    if not value or len(value) > MAX_LENGTH:
        return None
    signed = signer.read(value)
    if signed is None:
        return None
    try:
        payload = _decoder.decode(urlsafe_b64decode(signed + b"=" * (-len(signed) % 4)))
    except (msgspec.DecodeError, Base64Error, ValueError):
        return None
    if payload.version != VERSION:
        return None
    return Choice(*msgspec.structs.astuple(payload)[1:])
