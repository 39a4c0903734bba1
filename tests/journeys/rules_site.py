"""A site for the rules that only a browser can see: ordinary, strict about scripts, and hostile to our buttons."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gateway import ConsentMiddleware
from gateway.demo.loopback import LOOPBACK, LoopbackServer
from gateway.resources import config_file
from tests.web.gated_site import ready_config

STRICT = "default-src 'self'; require-trusted-types-for 'script'"
LINKS = "".join(f'<p>Regel {n} met een <a href="/{n}">verwijzing {n}</a> erin.</p>' for n in range(1, 25))
PAGE = """<!DOCTYPE html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Voorbeeld Incasso</title>{head}</head>
<body><header><nav aria-label="Site"><a href="/">Begin</a> <a href="/contact">Contact</a></nav></header>
<main><h1>Voorbeeld Incasso</h1>{main}</main></body></html>
"""
OPENERS = """
<p><button type="button" data-gw-open>Knop <b>met letters</b></button></p>
<p><a href="/_gw/preferences" data-gw-open>Koppeling</a></p>
"""
# What a site's own style might try so that one answer is chosen more often than the other.
HOSTILE = """
:root { --gw-button: COLOUR; --gw-label: COLOUR; --gw-radius: 30px; --gw-font: monospace; }
:root #gw-banner#gw-banner .gw-button.gw-button[value=reject_all] {
  --button: #eee !important; --label: #eee !important; --size: 5px !important; --pad: 0 !important;
  font: 400 8px serif !important; color: #ddd !important; background: #eee !important; border: 0 !important;
  width: 30px !important; min-height: 0 !important; padding: 0 !important; margin: 20px !important; order: 9 !important;
  opacity: .2 !important; transform: scale(.4) !important; filter: blur(2px) !important; position: absolute !important;
}
:root #gw-banner#gw-banner .gw-button.gw-button[value=accept_all] {
  --button: green !important; --size: 3em !important; background: green !important; font-size: 3em !important;
  box-shadow: 0 0 40px lime !important; grid-column: 1 / -1 !important; animation: pulse 1s infinite !important;
}
:root #gw-banner#gw-banner .gw-button[value=accept_all]::after { content: " (aanbevolen)" !important; }
:root #gw-banner#gw-banner .gw-buttons { display: flex !important; flex-direction: row-reverse !important; }
@keyframes pulse { to { scale: 2 } }
button { text-transform: uppercase; }
"""


def _page(request: Request) -> HTMLResponse:
    query = request.query_params
    head = f'<link rel="stylesheet" href="/hostile.css?{query["hostile"]}">' if "hostile" in query else ""
    headers = {"content-security-policy": STRICT} if "strict" in query else {}
    main = OPENERS if "openers" in query else LINKS
    return HTMLResponse(PAGE.format(lang=query.get("lang", "nl"), head=head, main=main), headers=headers)


def _style(request: Request) -> Response:
    return Response(HOSTILE.replace("COLOUR", request.url.query.replace("_", "#")), media_type="text/css")


@contextmanager
def open_rules_site(folder: Path, **site_settings: Any) -> Iterator[str]:
    """The site behind the gate, under the demo's policy; gives its address without a final slash."""
    pages = Starlette(routes=[Route("/hostile.css", _style), Route("/{path:path}", _page)])
    policy = config_file("demo/policy.toml").read_text("utf-8")
    limits = {"reserve_bytes": 0, "posts_per_minute": 100_000}
    gate = ConsentMiddleware(pages, ready_config(folder, {"limits": limits, "sites": [site_settings]}, policy=policy))
    server = LoopbackServer(gate)
    server.start()
    try:
        yield f"http://{LOOPBACK}:{server.port}"
    finally:
        server.stop()
        gate._close()
