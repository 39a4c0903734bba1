"""The frame around every page of the console: language, assets, headings, links that keep the question."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse

from gateway.errors import ResourceMissing
from gateway.resources import Asset
from gateway.shares import PATH as SHARES
from gateway.subscriptions import PATH as SUBSCRIPTIONS
from gateway.web.labels import DEFAULT_LANGUAGE, LANGUAGE_COOKIE, LOCALES, Labels, choose_language, load_labels
from gateway.web.pages import Pages

ASSETS = ("uplot.css", "console.css", "console.js")
PAGES = (
    "/signin",
    "/live",
    "/funnels",
    "/flows",
    "/segments",
    "/consent",
    "/inventory",
    "/inventory/item",
    "/destinations",
    "/rules",
    "/mode",
    "/sharing",
)  # beside the overview
YEAR_SECONDS = 365 * 86_400


class Frame:
    """Renders console templates as responses, in the language of the request."""

    def __init__(self, pages: Pages, assets: Mapping[str, Asset]) -> None:
        """Raises ResourceMissing when the console's own script or styles were not built."""
        missing = [name for name in ASSETS if name not in assets]
        if missing:
            raise ResourceMissing(f"{missing[0]} is missing: run `make assets`")
        self._pages = pages
        self._urls = {name: f"/assets/{assets[name].url_name}" for name in ASSETS}
        self._labels = load_labels()

    def labels(self, request: Request) -> Labels:
        """The labels in the language of this request."""
        asked, cookie = request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)
        header = request.headers.get("accept-language", "")
        return self._labels[choose_language(asked, cookie, header)]

    def texts(self, language: str) -> Mapping[str, Any]:
        """The console's words in a language, or in English."""
        return self._labels.get(language, self._labels[DEFAULT_LANGUAGE]).texts

    def page(self, request: Request, template: str, status: int = 200, **context: object) -> HTMLResponse:
        """The template with `l` (labels), `t` (texts), `assets` and `languages` beside what is given."""
        labels = self.labels(request)
        html = self._pages.render(
            f"console/{template}",
            l=labels,
            t=labels.texts,
            assets=self._urls,
            languages=_language_links(request, labels.language),
            **context,
        )
        response = HTMLResponse(html, status)
        response.headers["content-language"] = labels.language
        if request.query_params.get("lang") in LOCALES:
            response.set_cookie(
                LANGUAGE_COOKIE, labels.language, max_age=YEAR_SECONDS, httponly=True, samesite="strict"
            )
        return response

    def notice(self, request: Request, status: int, reason: str, faults: list[str] | None = None) -> HTMLResponse:
        """A page that only says what went wrong: a key of the texts under `notices`, and details."""
        return self.page(request, "notice.html", status, reason=reason, faults=faults or [])


def _language_links(request: Request, present: str) -> list[tuple[str, str, bool]]:
    """(language, link to this page in it, whether it is the present one) for each language."""
    here = request.url.path
    path = here if here in PAGES or here.startswith((SHARES, SUBSCRIPTIONS)) else "/"
    kept = {key: value for key, value in request.query_params.items() if key != "lang"}
    return [(language, f"{path}?{urlencode({**kept, 'lang': language})}", language == present) for language in LOCALES]
