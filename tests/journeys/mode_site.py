"""A small careless site in every shape that a gateway meets: Starlette app, FastAPI app, files for a plain web server.

The page calls in foreign hosts and the server sets cookies, asked or not. Run in a folder with a gateway.toml as
`uvicorn --factory tests.journeys.mode_site:starlette` (or `:fastapi`), it is the host application; `SITE_ORIGINS` says
where the foreign hosts are.
"""

import os
import re
from pathlib import Path

import msgspec
from fastapi import FastAPI
from fastapi.responses import HTMLResponse as FastHTMLResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway import ConsentMiddleware
from gateway.demo.foreign import ForeignOrigins

ORIGINS = "SITE_ORIGINS"
NECESSARY, OPTIONAL, UNLISTED = "sessionid", ("_ga", "_fbp"), "tracker_x"
COOKIES = (NECESSARY, *OPTIONAL, UNLISTED)
PAGE = """<!DOCTYPE html>
<html lang="nl"><head><meta charset="utf-8"><title>Voorbeeld Incasso</title>
<meta name="gw-topic" content="Proef"></head>
<body><h1>Voorbeeld Incasso</h1><p><a href="/contact">Contact</a></p>
{tags}
</body></html>
"""


def careless_tags(origins: ForeignOrigins) -> str:
    """What a site puts into its pages without asking: statistics, a pixel, a film, and a chat that no policy names."""
    return (
        f'<script src="{origins.analytics}/analytics.js"></script><img src="{origins.pixel}/p.gif" alt="">'
        f'<iframe src="{origins.video}/embed/zo-werkt-incasso" title="Film"></iframe>'
        f'<script src="{origins.chat}/chat.js"></script>'
    )


def marked_tags(origins: ForeignOrigins, script: str, marked: str) -> str:
    """The gateway's script, a script marked as the docs say, and a pixel marked likewise."""
    return (
        script
        + re.sub(r'data-gw-src="[^"]*"', f'data-gw-src="{origins.analytics}/analytics.js"', marked)
        + f'<img data-gw-purpose="marketing" data-gw-src="{origins.pixel}/p.gif" alt="">'
    )


def marks_of_all_kinds(origins: ForeignOrigins) -> str:
    """Tags marked in each way that docs/policy.md names; scripts write down in which order they ran."""
    both = f'data-gw-purpose="analytics marketing" data-gw-src="{origins.chat}/chat.js"'
    return (
        "<script>window.ran = []</script>"
        '<script type="text/plain" data-gw-purpose="marketing">ran.push("inline")</script>'
        f'<script type="text/plain" {both}></script>'
        '<script type="text/plain" data-gw-purpose="analytics" data-gw-type="module">ran.push("module")</script>'
        '<script type="text/plain" data-gw-purpose="analytics">ran.push("last")</script>'
        f'<iframe data-gw-purpose="preferences" data-gw-src="{origins.video}/embed/zo-werkt-incasso"></iframe>'
        "<p><button data-gw-open>Cookies</button></p>"
    )


def starlette_site(origins: ForeignOrigins) -> Starlette:
    """The site as a Starlette app."""

    async def page(_request: Request) -> HTMLResponse:
        answer = HTMLResponse(PAGE.format(tags=careless_tags(origins)))
        for name in COOKIES:
            answer.set_cookie(name, "1", samesite="lax")
        return answer

    return Starlette(routes=[Route("/{path:path}", page)])


def fastapi_site(origins: ForeignOrigins) -> FastAPI:
    """The site as a FastAPI app."""
    app = FastAPI()

    @app.get("/{path:path}", response_class=FastHTMLResponse)
    async def page() -> FastHTMLResponse:
        answer = FastHTMLResponse(PAGE.format(tags=careless_tags(origins)))
        for name in COOKIES:
            answer.set_cookie(name, "1", samesite="lax")
        return answer

    return app


def starlette() -> ASGIApp:
    """What uvicorn runs: the Starlette app with the middleware around it."""
    return ConsentMiddleware(starlette_site(_origins()), "gateway.toml")


def fastapi() -> ASGIApp:
    """What uvicorn runs: the FastAPI app with the middleware around it."""
    return ConsentMiddleware(fastapi_site(_origins()), "gateway.toml")


def write_files(folder: Path, origins: ForeignOrigins, script: str, marked: str) -> None:
    """The site as files: two pages with marked tags, `careless.html` with unmarked ones, `marks.html` with all."""
    folder.mkdir()
    page = PAGE.format(tags=marked_tags(origins, script, marked))
    for name in ("index.html", "contact.html"):
        (folder / name).write_text(page, "utf-8")
    (folder / "careless.html").write_text(PAGE.format(tags=script + careless_tags(origins)), "utf-8")
    (folder / "marks.html").write_text(PAGE.format(tags=script + marks_of_all_kinds(origins)), "utf-8")


def _origins() -> ForeignOrigins:
    return msgspec.json.decode(os.environ[ORIGINS], type=ForeignOrigins)
