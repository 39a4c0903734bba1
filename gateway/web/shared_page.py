"""Cache-safe mode: GET answers that are the same for every visitor, so that one cached copy may serve them all.

Nothing in such a page depends on the visitor: every optional tag is held, whatever was granted, and in the place of the banner
stand a plain link and the script, which asks who the visitor is and does the rest. The site's own words to caches stay; its
validators become ours, which change with whatever we change in its pages.
"""

import re
from base64 import urlsafe_b64encode
from hashlib import blake2b
from html import escape
from typing import Any

import msgspec

from gateway.config import Site
from gateway.consent.banner import choose_language
from gateway.consent.decision import UNDECIDED
from gateway.flows.view import PageView
from gateway.web.caching import REPLACED
from gateway.web.content_policy import everything
from gateway.web.request import VisitorRequest
from gateway.web.response import NO_VIEW, Desk, GatedResponse, Headers, Message, Send
from gateway.web.snippet import Template, View

METHODS = frozenset(("GET", "HEAD"))
NOT_MODIFIED = 304
NOWHERE = View("", "", "", "")
_STATED = frozenset((b"expires", b"age"))  # of what is replaced in a visitor's own page, this holds for all
_TAG = re.compile(rb'"gw-([\w-]{11})-([ed])-([!#-~]*)"')
Validator = tuple[bytes, bytes]


class SharedPages:
    """What the pages of each cache-safe site have in common, worked out once."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._snippets: dict[tuple[str, str], bytes] = {}
        self._versions = {site.id: self._version(site) for site in desk.parts.config.sites if site.config.cache_safe}

    def gate(self, request: VisitorRequest, site: Site, now: float, send: Send) -> "SharedResponse":
        """The response of one GET or HEAD on its way."""
        return SharedResponse(self, self._desk, request, site, now, send)

    def snippet(self, site: Site, language: str) -> bytes:
        """Our part of a page in this language."""
        found = self._snippets.get((site.id, language))
        if found is None:
            found = self._snippets[site.id, language] = Template(self._render(site, language)).fill(NOWHERE)
        return found

    def find_asked(self, request: VisitorRequest, site: Site) -> list[tuple[bytes, Validator]]:
        """The validators of ours that a request names, each with the site's own in it."""
        tags = _TAG.finditer(request.headers.get(b"if-none-match", b""))
        version = self._versions[site.id]
        return [(b"W/" + tag.group(), _undo(tag[2], tag[3])) for tag in tags if tag[1] == version]

    def tag(self, site: Site, headers: Headers) -> bytes:
        """Our own validator in the place of the site's; empty when it has none."""
        values = dict(headers)
        kind, theirs = b"e", values.get(b"etag", b"").removeprefix(b"W/").strip(b'"')
        if not theirs:
            kind, theirs = b"d", values.get(b"last-modified", b"").replace(b" ", b"_")
        whole = b'W/"gw-%b-%b-%b"' % (self._versions[site.id], kind, theirs)
        return whole if theirs and _TAG.fullmatch(whole, 2) else b""

    def _version(self, site: Site) -> bytes:
        """Changes with all that our part in the site's pages depends on."""
        languages = self._desk.languages[site.id]
        parts: list[Any] = [site.policy.file, site.config, self._desk.snippets.head(site, UNDECIDED)]
        parts += [self.snippet(site, language).decode("ascii") for language in languages]
        parts += [self._desk.snippets.placeholders.tell_apart(site, language) for language in languages]
        return urlsafe_b64encode(blake2b(msgspec.json.encode(parts), digest_size=8).digest()).rstrip(b"=")

    def _render(self, site: Site, language: str) -> str:
        snippets, prefix = self._desk.snippets, self._desk.parts.config.settings.prefix
        link = snippets.pages.render("settings_link.html", **snippets.banner_parts(site, language, UNDECIDED))
        settings: dict[str, object] = {"prefix": prefix, "site": site.id, "standalone": True}
        settings |= {"granted": [], "services": [], "chosen": False}
        told = escape(msgspec.json.encode(settings).decode())
        # Under a lasting name: a copy may be older than the scripts of today.
        later = snippets.placeholders.script(site)
        return f'{link}<script defer src="{prefix}gateway.js" data-gw="{told}"></script>{later}'


class SharedResponse(GatedResponse):
    """A GatedResponse in which nothing depends on the visitor."""

    __slots__ = ("_asked", "_shared")

    def __init__(
        self, shared: SharedPages, desk: Desk, request: VisitorRequest, site: Site, now: float, send: Send
    ) -> None:
        super().__init__(desk, request, site, UNDECIDED, now, send)
        self._shared = shared
        self._asked = shared.find_asked(request, site)

    def ask(self, headers: Headers) -> Headers:
        """The request's headers with the site's own validators in the place of ours."""
        if not self._asked:
            return headers
        tags = b", ".join(theirs for _, (name, theirs) in self._asked if name == b"if-none-match")
        dates = [theirs for _, (name, theirs) in self._asked if name == b"if-modified-since"]
        kept = [header for header in headers if header[0] not in (b"if-none-match", b"if-modified-since")]
        if tags:
            return [*kept, (b"if-none-match", tags)]
        return [*kept, (b"if-modified-since", dates[0])]

    def _on_start(self, message: Message) -> Any:
        if message["type"] == "http.response.start" and message["status"] == NOT_MODIFIED and self._asked:
            message = {**message, "headers": [(name.lower(), value) for name, value in message.get("headers", ())]}
            self._judge_cookies(message)
            message["headers"] = self._restate(message["headers"])
            return self._pass(message)
        return super()._on_start(message)

    def _restate(self, headers: Headers) -> Headers:
        """The head of a 304: the page that the browser or cache has is still the page."""
        tag = self._shared.tag(self._site, headers) or self._asked[0][0]
        return [*(header for header in headers if header[0] not in (b"etag", b"last-modified")), (b"etag", tag)]

    def _cached(self, headers: Headers) -> Headers:
        tag = self._shared.tag(self._site, headers)
        kept = [header for header in headers if header[0] not in REPLACED or header[0] in _STATED]
        if tag:
            kept.append((b"etag", tag))
        if dict(headers).get(b"content-encoding"):
            kept.append((b"vary", b"Accept-Encoding"))
        return kept

    def _open_view(self) -> PageView:
        return NO_VIEW

    def _policy(self) -> Headers:
        return self._desk.policies.find(self._request, self._site, everything(self._site))

    def _snippet(self, language: str, topic: str) -> bytes:
        return self._shared.snippet(self._site, choose_language(language, "", self._desk.languages[self._site.id]))


def _undo(kind: bytes, theirs: bytes) -> Validator:
    if kind == b"d":
        return b"if-modified-since", theirs.replace(b"_", b" ")
    return b"if-none-match", b'"%b", W/"%b"' % (theirs, theirs)
