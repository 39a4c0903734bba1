"""What the gateway adds to a page: style, banner or settings link, and scripts, just before the body ends.

Everything but a few values of the request is the same for all pages, so it is rendered once for each site, language and
decision, and kept cut at the places where those values go. The bytes are ASCII (other characters as references), so
that they are right in a page of any encoding.
"""

import re
import tomllib
from functools import lru_cache
from html import escape
from typing import Any
from urllib.parse import quote

import msgspec

from gateway.config import Config, Site
from gateway.consent.banner import direction, purpose_texts
from gateway.consent.decision import Decision
from gateway.policy import ANALYTICS
from gateway.resources import Asset, text_file, texts
from gateway.web.pages import Pages

TOKEN = re.compile(r"%%GW_([A-Z_]+)%%")


class View(msgspec.Struct, frozen=True):
    """The values of one page view that the snippet carries."""

    view_id: str
    url: str
    referrer: str
    topic: str


class Snippets:
    """Renders and remembers the snippets of a front worker."""

    def __init__(self, config: Config, pages: Pages, assets: dict[str, Asset]) -> None:
        self._config, self.pages, self._assets = config, pages, assets
        self.texts = load_texts()
        self._rendered: dict[tuple[str, str, str, bool], list[str]] = {}

    def asset_url(self, name: str) -> str:
        """The address of a script or style; it changes with the content."""
        return f"{self._config.settings.prefix}assets/{self._assets[name].url_name}"

    def build(self, site: Site, language: str, decision: Decision, view: View) -> bytes:
        """The snippet for one page view."""
        key = (site.id, language, decision.key, decision.chosen)
        pieces = self._rendered.get(key)
        if pieces is None:
            pieces = TOKEN.split(self._render(site, language, decision))
            self._rendered[key] = pieces
        return _fill(pieces, view).encode("ascii", "xmlcharrefreplace")

    def build_fragment(self, site: Site, language: str, decision: Decision, view: View) -> str:
        """Banner and settings link alone, for a page that embeds the script."""
        return _fill(TOKEN.split(self._banner(site, language, decision)), view)

    def banner_parts(self, site: Site, language: str, decision: Decision) -> dict[str, Any]:
        """The names that the templates use."""
        words = self.texts[language]
        return {
            "t": words,
            "lang": language,
            "dir": direction(language),
            "prefix": self._config.settings.prefix,
            "controller": site.policy.controller,
            "purposes": purpose_texts(site.policy, decision, language, words.get("necessary", {})),
            "css_url": self.asset_url("banner.css"),
            "js_url": self.asset_url("consent.js"),
        }

    def _banner(self, site: Site, language: str, decision: Decision) -> str:
        """The banner (unless everything is answered) and the settings link, with places left open."""
        parts = self.banner_parts(site, language, decision)
        shown = "" if decision.chosen else self.pages.render("banner.html", **parts)
        return shown + self.pages.render("settings_link.html", **parts)

    def _render(self, site: Site, language: str, decision: Decision) -> str:
        settings = {
            "prefix": self._config.settings.prefix,
            "site": site.id,
            "view": "%%GW_VIEW%%",
            "granted": sorted(decision.granted),
            "chosen": decision.chosen,
            "collect_url": self.asset_url("collect.js"),
        }
        scripts = ["consent.js"] + (["collect.js"] if decision.allows(ANALYTICS) else [])
        tags = "".join(f'<script defer src="{self.asset_url(name)}"></script>' for name in scripts)
        tags = tags.replace("<script ", f'<script data-gw="{escape(msgspec.json.encode(settings).decode())}" ', 1)
        style = f'<link rel="stylesheet" href="{self.asset_url("banner.css")}">'
        return style + self._banner(site, language, decision) + tags


def load_texts() -> dict[str, dict[str, Any]]:
    """All wording by language."""
    return {language: tomllib.loads(text_file(language).read_text("utf-8")) for language in texts()}


def _fill(pieces: list[str], view: View) -> str:
    """Every other piece is the name of a value."""
    return "".join(_value(piece, view) if odd % 2 else piece for odd, piece in enumerate(pieces))


def _value(name: str, view: View) -> str:
    if name == "VIEW":
        return view.view_id
    if name == "RETURN_TO_URL":
        return _quoted(view.url)
    return escape({"RETURN_TO": view.url, "TOPIC": view.topic}.get(name, view.referrer))


@lru_cache(maxsize=2048)
def _quoted(url: str) -> str:
    return quote(url, safe="")
