"""Our own addresses in a page whose `base` leads elsewhere: written out, so that nobody else is asked for them, or told."""

import re

from gateway.web.request import VisitorRequest

_HOST = re.compile(rb"[A-Za-z0-9._:\[\]-]+")  # with a port; nothing that ends a value in mark-up
_QUOTES = (b'"', b"&quot;")  # the second within a value


def lead_home(part: bytes, request: VisitorRequest, prefix: str) -> bytes:
    """Mark-up of ours with every address under the prefix on the host that this page was asked of."""
    host = request.headers.get(b"host", b"")
    if not _HOST.fullmatch(host):
        return part
    home = request.scheme.encode() + b"://" + host
    for quote in _QUOTES:
        part = part.replace(quote + prefix.encode(), quote + home + prefix.encode())
    return part
