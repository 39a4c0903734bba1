"""GET <prefix>once?of=...: one frame that a visitor had loaded once, in a document of its own.

The content policy of a page is fixed when it loads, so under one that is enforced nothing more comes into that page. A
document of ours within it has a policy of its own: that one lets in the hosts of the one service, and nobody else. Its
address is signed when the visitor has pressed and that is written down; it holds for a minute, for one address.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any

import msgspec

from gateway.config import Site
from gateway.consent.csp import build_frame_csp
from gateway.consent.decision import Decision
from gateway.consent.places import is_plain_address
from gateway.consent.tag_addresses import host_of
from gateway.errors import BadRequest
from gateway.policy import Service, first_said
from gateway.signing import TokenSigner
from gateway.web.body import read_query
from gateway.web.reply import reply
from gateway.web.request import VisitorRequest
from gateway.web.response import Desk

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

LASTS_SECONDS = 60
MAX_ADDRESS = 2000
FRAMED = b"text/html;charset=utf-8"  # unlike our pages, with a policy that lets something foreign in
MAY = "autoplay; clipboard-write; encrypted-media; fullscreen; picture-in-picture"


class Allowed(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What a signed address stands for."""

    site: str
    address: str
    at: int


_decoder = msgspec.json.Decoder(Allowed)


def sign_frame(service: str, address: str, site: Site, signer: TokenSigner, now: float) -> str:
    """What `of` has to be for one frame of a service; empty when the address is none of that service's."""
    found = _owner(address, site)
    if found is None or found.id != service:
        return ""
    return signer.sign(urlsafe_b64encode(msgspec.json.encode(Allowed(site.id, address, int(now)))).rstrip(b"="))


def read_frame(token: str, site: Site, signer: TokenSigner, now: float) -> tuple[Service, str] | None:
    """The service and the frame's address; None for anything forged, foreign or older than a minute."""
    signed = signer.read(token) if len(token) <= MAX_ADDRESS * 2 else None
    if signed is None:
        return None
    try:
        allowed = _decoder.decode(urlsafe_b64decode(signed + b"=" * (-len(signed) % 4)))
    except (msgspec.DecodeError, Base64Error, ValueError):
        return None
    service = _owner(allowed.address, site)
    if service is None or allowed.site != site.id or not 0 <= now - allowed.at <= LASTS_SECONDS:
        return None
    return service, allowed.address


def _owner(address: str, site: Site) -> Service | None:
    if len(address) > MAX_ADDRESS or not is_plain_address(address):
        return None
    _, owner = site.policy.owner_of_host(host_of(address))
    return next((service for service in site.policy.file.services if service.id == owner), None)


class OnceFrames:
    """Gives such documents for one worker."""

    def __init__(self, desk: Desk) -> None:
        self._snippets, self._signer = desk.snippets, desk.parts.signers.once

    async def answer(
        self, request: VisitorRequest, site: Site, _decision: Decision, now: float, _receive: Receive, send: Send
    ) -> None:
        """One document; for whatever else is asked, 404."""
        found = read_frame(read_query(request).get("of", [""])[0], site, self._signer, now)
        if found is None:
            raise BadRequest(404, "not_found", "nothing is found here")
        service, address = found
        page = (
            f'<!DOCTYPE html><html><head><meta charset="utf-8"><title>{escape(first_said(service.name))}</title>'
            f'<link rel="stylesheet" href="{self._snippets.asset_url("placeholder.css")}"></head><body class="gw-alone">'
            f'<iframe src="{escape(address)}" title="{escape(first_said(service.name))}" allow="{MAY}" allowfullscreen '
            'referrerpolicy="strict-origin"></iframe></body></html>'
        )
        policy = build_frame_csp(service).encode("latin-1")
        headers = [(b"content-security-policy", policy), (b"x-robots-tag", b"noindex")]
        await reply(send, 200, page.encode(), FRAMED, headers=headers)
