"""What the gateway adds to a page: style, banner or settings link, and scripts, just before the body ends.

Everything but a few values of the request is the same for all pages, so it is rendered once for each site, language and
decision, and kept cut at the places where those values go. The bytes are ASCII (other characters as references), so
that they are right in a page of any encoding.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from html import escape
from typing import Any, Final
from urllib.parse import quote

import msgspec

from gateway.config import Config, Site
from gateway.consent.banner import purpose_texts
from gateway.consent.decision import UNDECIDED, Decision
from gateway.consent.shown_text import ShownText, build_shown_text
from gateway.consent.wording import load_wording
from gateway.resources import Asset
from gateway.web.content_policy import enforces
from gateway.web.own_addresses import lead_home
from gateway.web.pages import Pages
from gateway.web.placeholders import Placeholders
from gateway.web.request import VisitorRequest
from gateway.web.site_scripts import build_head, build_leave, head_tag
from gateway.web.site_style import build_style
from gateway.web.tracker import build_tracker

BY_SCRIPT = ("outbound", "downloads", "forms", "not_found", "scroll", "hash_routes")
MAX_REMEMBERED: Final = 500  # letters of an address
MAX_RENDERED: Final = 1024  # snippets: visitors choose among services in many ways
TOKEN = re.compile(r"%%GW_([A-Z_]+)%%")


class View:
    """The values of one page view that the snippet carries. Written out, as a request is."""

    def __init__(self, view_id: str, url: str, referrer: str, topic: str) -> None:
        self.view_id: Final = view_id
        self.url: Final = url
        self.referrer: Final = referrer
        self.topic: Final = topic


class Snippets:
    """Renders and remembers the snippets of a front worker."""

    def __init__(self, config: Config, pages: Pages, assets: dict[str, Asset]) -> None:
        self._config, self.pages, self._assets = config, pages, assets
        self.texts = load_wording(config)
        self._leave = {site.id: build_leave(site.policy, assets) for site in config.sites}
        self.heads = {site.id: build_head(site, assets) for site in config.sites}
        self._trackers = {site.id: build_tracker(site, config.destinations, assets) for site in config.sites}
        self._styles = {site.id: build_style(site, assets) for site in config.sites}
        self.placeholders = Placeholders(self, config)
        self._rendered: dict[tuple[str, str, str, bool], Template] = {}
        self._shown: dict[tuple[str, str], ShownText] = {}

    def asset_url(self, name: str) -> str:
        """The address of a script or style; it changes with the content."""
        return f"{self._config.settings.prefix}assets/{self._assets[name].url_name}"

    def style_url(self, site: Site) -> str:
        """The address of the site's style sheet."""
        return f"{self._config.settings.prefix}assets/{self._styles[site.id].url_name}"

    def site_assets(self) -> dict[str, Asset]:
        """The scripts and styles made for one site each, by the names under which they are served."""
        trackers = (tracker.asset for tracker in self._trackers.values() if tracker)
        made = (*self._leave.values(), *self.heads.values(), *self._styles.values(), *trackers)
        return {asset.url_name: asset for asset in made if asset}

    def lead_home(self, part: bytes, request: VisitorRequest) -> bytes:
        """Mark-up of ours for a page whose `base` leads elsewhere."""
        return lead_home(part, request, self._config.settings.prefix)

    def head(self, site: Site, decision: Decision) -> str:
        """What goes first into a page's head; empty on most sites."""
        asset, prefix = self.heads[site.id], self._config.settings.prefix
        if asset and site.config.cache_safe:  # a page for all asks for what holds for one
            return f'<script src="{prefix}head.js"></script>'
        return head_tag(f"{prefix}assets/{asset.url_name}", decision) if asset else ""

    def site_urls(self, site: Site) -> dict[str, str]:
        """The scripts that a page loads when it needs them: setting to address; without those that the site does not need."""
        leave = self._leave[site.id]
        urls = {"settings_url": self.asset_url("settings.js")}
        return urls | ({"leave_url": f"{self._config.settings.prefix}assets/{leave.url_name}"} if leave else {})

    def automatic(self) -> dict[str, object]:
        """What the collect script counts without the site's asking, and where it finds the script that measures."""
        chosen = self._config.settings.analytics.automatic
        told = [name for name in BY_SCRIPT if getattr(chosen, name)]
        return {"auto": told} | ({"vitals_url": self.asset_url("vitals.js")} if chosen.vitals else {})

    def build(self, site: Site, language: str, decision: Decision, view: View) -> bytes:
        """The snippet for one page view."""
        key = (site.id, language, decision.key, decision.chosen)
        template = self._rendered.get(key)
        if template is None:
            template = Template(self._render(site, language, decision))
            if len(self._rendered) >= MAX_RENDERED:
                self._rendered.clear()
            self._rendered[key] = template
        return template.fill(view)

    def build_fragment(self, site: Site, language: str, decision: Decision, view: View) -> str:
        """Banner and settings link alone, for a page that embeds the script."""
        return Template(self._banner(site, language, decision)).fill(view).decode("ascii")

    def shown_text(self, site: Site, language: str) -> ShownText:
        """What a visitor of the site who is asked in this language sees; its forms name it by its hash."""
        found = self._shown.get((site.id, language))
        if found is None:
            found = self._shown[site.id, language] = self._build_shown(site, language)
        return found

    def find_shown(self, site: Site, text_hash: str, languages: Iterable[str]) -> ShownText | None:
        """The text of today with this hash, in whichever of the languages."""
        texts = (self.shown_text(site, language) for language in languages)
        return next((text for text in texts if text.hash == text_hash), None)

    def banner_parts(self, site: Site, language: str, decision: Decision) -> dict[str, Any]:
        """The names that the templates use."""
        shown = self.shown_text(site, language)
        return {**self._parts(site, language, decision), "shown": shown.hash, "asked": shown.asked}

    def render_layers(self, site: Site, language: str) -> tuple[str, str]:
        """Banner and preferences page as who has not chosen sees them, with the places of a request empty."""
        parts = self._parts(site, language, UNDECIDED)
        open_places = {"shown": "", "asked": "", "return_to": "", "saved": False}
        banner, preferences = (
            self.pages.render(name, **parts, **open_places) for name in ("banner.html", "preferences.html")
        )
        return banner, preferences

    def _build_shown(self, site: Site, language: str) -> ShownText:
        parts = self._parts(site, language, UNDECIDED)
        banner, preferences = self.render_layers(site, language)
        rendered = {"banner": banner, "preferences": preferences}
        style = self._styles[site.id].body.decode()
        return build_shown_text(
            site.id, language, site.policy, parts["purposes"], self.texts[language], rendered, style
        )

    def _parts(self, site: Site, language: str, decision: Decision) -> dict[str, Any]:
        words = self.texts[language]
        return {
            "t": words,
            "lang": language,
            "dir": words["language"]["direction"],
            "prefix": self._config.settings.prefix,
            "controller": site.policy.controller,
            "counts_pages": site.policy.page_counter is not None,
            "purposes": purpose_texts(site.policy, decision, language, words.get("necessary", {})),
            "granted": sorted(decision.granted),
            "services": sorted(decision.find_services()),
            "css_url": self.style_url(site),
            "js_url": self.asset_url("consent.js"),
            "settings_url": self.asset_url("settings.js"),
        }

    def _banner(self, site: Site, language: str, decision: Decision) -> str:
        """The banner (unless everything is answered) and the settings link, with places left open; and the waiting tracker."""
        parts, tracker = self.banner_parts(site, language, decision), self._trackers[site.id]
        shown = "" if decision.chosen else self.pages.render("banner.html", **parts)
        waits = tracker.tag(f"{self._config.settings.prefix}assets/") if tracker else ""
        return shown + self.pages.render("settings_link.html", **parts) + waits

    def _render(self, site: Site, language: str, decision: Decision) -> str:
        settings = {
            "prefix": self._config.settings.prefix,
            "site": site.id,
            "view": "%%GW_VIEW%%",
            "granted": sorted(decision.granted),
            "services": sorted(decision.find_services()),
            "chosen": decision.chosen,
            **({} if decision.counts else {"collect_url": self.asset_url("collect.js")}),
            **self.automatic(),
            # Code written for other tools may wait for anything.
            **({"csp": sorted(site.policy.scopes) if site.config.shims else []} if enforces(site) else {}),
            **self.site_urls(site),
        }
        scripts = ["consent.js"] + (["collect.js"] if decision.counts else [])
        tags = "".join(f'<script defer src="{self.asset_url(name)}"></script>' for name in scripts)
        tags = tags.replace("<script ", f'<script data-gw="{escape(msgspec.json.encode(settings).decode())}" ', 1)
        style = f'<link rel="stylesheet" href="{self.style_url(site)}">'
        return style + self._banner(site, language, decision) + tags + self.placeholders.script(site)


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "xmlcharrefreplace")


# How each place is filled.
VALUES: dict[str, Callable[[View], bytes]] = {
    "VIEW": lambda view: view.view_id.encode(),
    "RETURN_TO": lambda view: _escaped(view.url),
    "RETURN_TO_URL": lambda view: _quoted(view.url),
    "REFERRER": lambda view: _escaped(view.referrer),
    "TOPIC": lambda view: _escaped(view.topic),
}


class Template:
    """A rendered snippet as ASCII bytes, cut at its places."""

    def __init__(self, text: str) -> None:
        pieces = TOKEN.split(text)  # every other piece is the name of a value
        self._pieces = [_ascii(piece) for piece in pieces]
        self._places = [(at, VALUES[pieces[at]]) for at in range(1, len(pieces), 2)]

    def fill(self, view: View) -> bytes:
        """The snippet with the values of one view."""
        pieces = self._pieces.copy()
        for at, value in self._places:
            pieces[at] = value(view)
        return b"".join(pieces)


def _escape(text: str) -> bytes:
    return _ascii(escape(text))


def _quote(url: str) -> bytes:
    return quote(url, safe="").encode()


# A site has far fewer addresses than views.
_remembered_escape, _remembered_quote = lru_cache(maxsize=2048)(_escape), lru_cache(maxsize=2048)(_quote)


def _escaped(text: str) -> bytes:
    return _remembered_escape(text) if len(text) <= MAX_REMEMBERED else _escape(text)


def _quoted(url: str) -> bytes:
    return _remembered_quote(url) if len(url) <= MAX_REMEMBERED else _quote(url)
