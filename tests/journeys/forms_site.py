"""A careless site with a form, behind the gate and behind a cache: for journeys on which something is missing or blocked."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway import ConsentMiddleware
from gateway.demo.foreign import Foreign, ForeignOrigins
from gateway.demo.loopback import LOOPBACK, LoopbackServer
from gateway.resources import config_file
from tests.journeys.mode_site import careless_tags
from tests.nginx_server import run_nginx
from tests.ports import free_port
from tests.web.gated_site import ready_config

PAGE = """<!DOCTYPE html>
<html lang="nl"><head><meta charset="utf-8"><title>Voorbeeld Incasso</title></head>
<body><h1>{title}</h1><p><a href="/">Begin</a> <a href="/contact">Contact</a></p>
<form method="post" action="/contact"><label>Vraag <input name="vraag"></label> <button>Versturen</button></form>
{tags}
</body></html>
"""
CACHE = """
proxy_cache_path {folder}/cache keys_zone=pages:1m;
server {{
    listen 127.0.0.1:{port};
    location / {{
        proxy_pass http://127.0.0.1:{gateway}; proxy_set_header Host $http_host;
        proxy_cache pages; proxy_cache_valid 10m; add_header X-Cached $upstream_cache_status always;
    }}
}}
"""


@dataclass
class FormsSite:
    """`url` is how visitors reach it, without a final slash; `questions` is what was sent with the form."""

    url: str
    foreign: Foreign
    questions: list[str] = field(default_factory=list)

    def contacted(self) -> set[str]:
        """First names of the foreign hosts that were asked for anything."""
        return {seen.host.partition(".")[0] for seen in self.foreign.log}


def _site(origins: ForeignOrigins, questions: list[str]) -> Starlette:
    async def page(request: Request) -> Response:
        if request.method == "POST":
            questions.append(parse_qs((await request.body()).decode(), keep_blank_values=True)["vraag"][0])
            return RedirectResponse("/dank", 303)
        headers = {"cache-control": "public, max-age=600", "etag": '"1"'}
        return HTMLResponse(PAGE.format(title=request.url.path, tags=careless_tags(origins)), headers=headers)

    return Starlette(routes=[Route("/{path:path}", page, methods=["GET", "POST"])])


@contextmanager
def open_forms_site(folder: Path, *, cache_safe: bool = False) -> Iterator[FormsSite]:
    """The site behind the gate, under the demo's policy; with `cache_safe` behind nginx's cache too."""
    with ExitStack() as stack:
        foreign = Foreign()
        foreign.start()
        stack.callback(foreign.stop)
        questions: list[str] = []
        policy = config_file("demo/policy.toml").read_text("utf-8")
        config = ready_config(folder, {"sites": [{"cache_safe": cache_safe}]}, policy=policy)
        gate = ConsentMiddleware(_site(foreign.origins, questions), config)
        server = LoopbackServer(gate)
        server.start()
        stack.callback(gate._close)
        stack.callback(server.stop)
        port = server.port
        if cache_safe:
            port = free_port()
            rules = CACHE.format(folder=folder / "nginx", port=port, gateway=server.port)
            stack.enter_context(run_nginx(folder / "nginx", rules, port))
        yield FormsSite(f"http://{LOOPBACK}:{port}", foreign, questions)
