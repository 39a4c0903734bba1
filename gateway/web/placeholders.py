"""What stands in the place of a held frame or film until it may be shown: who it comes from, and how to allow it.

Remembered pages hold a mark in each such place, which is filled when the page is sent: what stands there depends on the
visitor's language. Pages without such places never come here.
"""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any, Protocol

from gateway.config import Config, Site
from gateway.consent.asked import state_asked
from gateway.consent.banner import choose_language, offered_languages, pick
from gateway.consent.places import Place
from gateway.consent.tags import PageRewriter
from gateway.consent.whole_page import PLACE_MARK, Rewritten
from gateway.policy import Service
from gateway.web.content_policy import Header, add_nonce
from gateway.web.own_addresses import lead_home
from gateway.web.pages import Pages
from gateway.web.request import VisitorRequest

MAX_REMEMBERED = 1024


class Wording(Protocol):
    """Where texts and addresses of assets come from."""

    texts: dict[str, dict[str, Any]]
    pages: Pages

    def asset_url(self, name: str) -> str:
        """The address of a script or style."""


class Placeholders:
    """Renders and remembers placeholders; ASCII, so that they are right in a page of any encoding."""

    def __init__(self, wording: Wording, config: Config) -> None:
        self._wording, self._prefix = wording, config.settings.prefix
        self._languages = {site.id: offered_languages(site.policy, wording.texts) for site in config.sites}
        self._rendered: dict[tuple[str, str, Place], bytes] = {}

    def fill(
        self, page: Rewritten, snippet: bytes, site: Site, request: VisitorRequest, headers: Sequence[Header]
    ) -> bytes:
        """A remembered page with our snippet in it and its marks filled; `headers` are those that the site sent it with."""
        language = self._language(page.language, site, request)
        assets = add_nonce(self._assets(site), headers)
        form = self._form(site, request.url)
        if page.based:
            assets, form = (lead_home(part, request, self._prefix) for part in (assets, form))
        pieces = b"".join((page.before, snippet, form, page.after)).split(PLACE_MARK)
        filled = [pieces[0]]
        for at, place in enumerate(page.places):
            filled += [b"" if at else assets, self.render(place, site, language), pieces[at + 1]]
        return b"".join(filled)

    def writer(
        self, site: Site, request: VisitorRequest, headers: Sequence[Header]
    ) -> Callable[[PageRewriter, Place], str]:
        """Writes the placeholders of a page that streams by."""

        def write(page: PageRewriter, place: Place) -> str:
            language = self._language(page.language, site, request)
            assets = add_nonce(self._assets(site), headers) if len(page.places) == 1 else b""
            assets = lead_home(assets, request, self._prefix) if page.based else assets
            return (assets + self.render(place, site, language)).decode()

        return write

    def end(self, page: PageRewriter, site: Site, request: VisitorRequest) -> bytes:
        """What belongs to the placeholders at the end of a page that streams by."""
        return self._form(site, request.url) if page.places else b""

    def fragment(self, place: Place, page: str, site: Site, request: VisitorRequest) -> bytes:
        """What a script needs for one more place in a page of this language: style, placeholder, the buttons' form."""
        return self._style() + self.render(place, site, self._language(page, site, request)) + self._form(site, "")

    def _language(self, page: str, site: Site, request: VisitorRequest) -> str:
        # What is the same for everybody knows of no visitor.
        accepted = "" if site.config.cache_safe else request.languages
        return choose_language(page, accepted, self._languages[site.id])

    def render(self, place: Place, site: Site, language: str) -> bytes:
        """One placeholder, without style and script, which the first of a page brings along."""
        key = (site.id, language, place)
        found = self._rendered.get(key)
        if found is None:
            found = self._render(place, site, language)
            if len(self._rendered) >= MAX_REMEMBERED:
                self._rendered.clear()
            self._rendered[key] = found
        return found

    def tell_apart(self, site: Site, language: str) -> list[object]:
        """What changes when placeholders in this language do, beside the policy."""
        return [self._assets(site).decode(), self._wording.texts[language]["placeholder"]]

    def _form(self, site: Site, url: str) -> bytes:
        """The form that the buttons belong to. It stands at the page's end: within a paragraph it would end it."""
        action, back = escape(f"{self._prefix}consent"), "" if site.config.cache_safe else escape(url)
        return (
            f'<form id="gw-place" method="post" action="{action}" data-gw-choice hidden>'
            '<input type="hidden" name="choice" value="allow">'
            f'<input type="hidden" name="asked" value="{escape(state_asked(site.policy.scopes))}">'
            f'<input type="hidden" name="return_to" value="{back}"></form>'
        ).encode("ascii", "xmlcharrefreplace")

    def script(self, site: Site) -> str:
        """The script of each page of a site that guards what scripts add, and so has places later; empty for others."""
        url = self._wording.asset_url("placeholder_later.js")
        return f'<script defer src="{url}"></script>' if site.config.guard else ""

    def _style(self) -> bytes:
        return f'<link rel="stylesheet" href="{self._wording.asset_url("placeholder.css")}">'.encode()

    def _assets(self, site: Site) -> bytes:
        if site.config.guard:
            return self._style()
        return self._style() + f'<script defer src="{self._wording.asset_url("placeholder.js")}"></script>'.encode()

    def _render(self, place: Place, site: Site, language: str) -> bytes:
        service = next((one for one in site.policy.file.services if one.id == place.service), None)
        words = self._wording.texts[language]["placeholder"]
        html = self._wording.pages.render(
            "placeholder.html",
            place=place,
            service=service,
            words={key: text.format(**_values(service, place, language)) for key, text in words.items()},
            lang=language,
            dir=self._wording.texts[language]["language"]["direction"],
        )
        return html.strip().encode("ascii", "xmlcharrefreplace")


def _values(service: Service | None, place: Place, language: str) -> dict[str, str]:
    if service is None:
        return {"host": place.host, "service": place.host, "provider": place.host}
    name = pick(service.name, language)
    return {"host": place.host, "service": name, "provider": pick(service.provider, language) or name}
