"""The request's headers as the site behind us may see them: cookies without consent and our own are gone, what was decided
is stated, and what would make a page come in parts or unreadable is taken out."""

from collections.abc import Sequence
from typing import Final

from gateway.consent.cookies import stated_consent
from gateway.web.carried import Carried
from gateway.web.encoding import readable_encodings
from gateway.web.request import Headers

Header = tuple[bytes, bytes]

STATED: Final = b"x-gateway-consent"
# A page that we are going to change must come whole and readable: no "you have it already", no part of it.
CONDITIONAL: Final = frozenset((b"if-none-match", b"if-modified-since", b"if-range", b"range"))
# What a visitor states of itself counts for nothing, in no spelling: CGI and WSGI cannot tell "_" from "-".
CLAIMS: Final = frozenset((STATED, b"x_gateway_consent", b"x_gateway-consent", b"x-gateway_consent"))
TAKEN: Final = CLAIMS | {b"cookie"}  # replaced below
TAKEN_FOR_PAGES: Final = TAKEN | CONDITIONAL


def pass_on(raw: Sequence[Header], headers: Headers, carried: Carried, *, enforce: bool) -> list[Header]:
    """The headers for the site. `raw` is the ASGI scope's list, `headers` the same by name."""
    if enforce and _hinders(headers):
        kept = [header for header in raw if header[0] not in TAKEN_FOR_PAGES]
        if b"accept-encoding" in headers:
            kept = [(n, readable_encodings(value) if n == b"accept-encoding" else value) for n, value in kept]
    else:
        kept = [header for header in raw if header[0] not in TAKEN]
    if carried.left:
        kept.append((b"cookie", carried.left))
    kept.append((STATED, stated_consent(carried.decision.purposes)))
    return kept


def _hinders(headers: Headers) -> bool:
    """Whether a page is asked for in a way that would make it come in parts, unreadable, or not at all."""
    if headers.get(b"accept", b"text/html").find(b"text/html") < 0:
        return False
    encodings = headers.get(b"accept-encoding")
    if encodings is not None and readable_encodings(encodings) != encodings:
        return True
    return not CONDITIONAL.isdisjoint(headers)
