"""A site whose own scripts deal with consent: pages by path, behind the gate, and other hosts that note who calls them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gateway import ConsentMiddleware
from gateway.demo.loopback import LOOPBACK, LoopbackServer
from tests.example_site import POLICY_TOML
from tests.web.gated_site import ready_config

POLICY = (
    POLICY_TOML
    + """
[[services]]
id = "tool"
purpose = "marketing"
name = "Tool"
hosts = ["tool.localhost"]
cookies = [{ name = "tool_*" }]
storage = ["tool.*"]
revoke = "tool('revoked')"
[[services]]
id = "manager"
purpose = "marketing"
release = "any"
name = "Manager"
hosts = ["tags.localhost"]
[[services]]
id = "meter"
purpose = "analytics"
name = "Meter"
hosts = ["meter.localhost"]
"""
)


# What a tag manager's container does: it loads what belongs to other services.
CONTAINER = """
for (const name of ["meter", "tool"]) {
  document.head.append(Object.assign(document.createElement("script"), {src: `http://${name}.localhost:PORT/by-container.js`}));
}
"""


class SignalsSite(msgspec.Struct):
    """The site's address without a final slash, the other hosts' port, and what these were asked, as `host/path`. Pages under
    a path in `static` do not pass through the gate."""

    url: str
    port: int
    pages: dict[str, str]
    asked: list[str]
    static: set[str]

    def put(self, path: str, body: str, head: str = "") -> str:
        """Have a page at a path; `PORT` in it is that of the other hosts. Gives its address."""
        text = f'<!doctype html><html lang="nl"><head>{head}<title>Proef</title></head><body>{body}</body></html>'
        self.pages[path] = text.replace("PORT", str(self.port))
        return self.url + path

    def take(self) -> list[str]:
        """What was asked since the last call."""
        taken = [*self.asked]
        self.asked.clear()
        return taken


@contextmanager
def open_signals_site(folder: Path, policy: str = POLICY, **site: Any) -> Iterator[SignalsSite]:
    """The site behind the gate, with settings of its own."""
    pages: dict[str, str] = {}
    asked: list[str] = []
    app = Starlette(routes=[Route("/{path:path}", _page_of(pages))])
    other = Starlette(routes=[Route("/{path:path}", _note_in(asked))])
    sites = {"sites": [{"id": "main", **site}]}
    gate = ConsentMiddleware(app, ready_config(folder, sites, policy=policy))
    static: set[str] = set()

    async def front(scope: Any, receive: Any, send: Any) -> None:
        await (app if scope["path"] in static else gate)(scope, receive, send)

    servers = [LoopbackServer(front), LoopbackServer(other)]
    for server in servers:
        server.start()
    try:
        yield SignalsSite(f"http://{LOOPBACK}:{servers[0].port}", servers[1].port, pages, asked, static)
    finally:
        for server in servers:
            server.stop()
        gate._close()


def _page_of(pages: Mapping[str, str]) -> Any:
    async def answer(request: Request) -> Response:
        page = pages.get(request.url.path)
        return HTMLResponse(page or "<!doctype html><p>Niets", status_code=200 if page else 404)

    return answer


def _note_in(asked: list[str]) -> Any:
    """Scripts say that they ran, in `window.ran`; everything else is an empty page."""

    async def answer(request: Request) -> Response:
        asked.append(f"{request.url.hostname}{request.url.path}")
        if request.url.path == "/container.js":
            return Response(CONTAINER.replace("PORT", str(request.url.port)), media_type="text/javascript")
        if request.url.path.endswith(".js"):
            name = msgspec.json.encode(request.url.path).decode()
            return Response(f"(window.ran = window.ran || []).push({name})", media_type="text/javascript")
        return HTMLResponse("<!doctype html>")

    return answer
