"""The recipes for TLS servers, run with the very lines that stand there: nginx, Caddy and Apache before the gateway."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.sync.client import connect as connect_websocket

from gateway.front import ConsentMiddleware
from gateway.web.proxy import ReverseProxy
from tests.caddy_server import run_caddy
from tests.ports import free_port
from tests.tls_servers import (
    CADDY,
    DOCUMENTED,
    FRONTS,
    LOOPBACK,
    NAME,
    NGINX,
    VISITOR,
    Front,
    Visitor,
    listen_caddy,
    make_certificate,
    recipe_lines,
)
from tests.web.gated_site import BROWSER, SAME_SITE, ready_config
from tests.web.proxy_servers import run_server

pytestmark = pytest.mark.slow
PAGE = (
    "<!doctype html><html lang=nl><body><p>{told}</p>"
    '<script src="https://teller.example.net/t.js"></script>'
    '<script src="https://onbekend.example/x.js"></script></body></html>'
)


class Site:
    """Says who it thinks one is, sends events one by one, and talks back."""

    def __init__(self) -> None:
        self.released = threading.Event()
        routes = [Route("/", self.page), Route("/events", self.events), WebSocketRoute("/live", self.talk)]
        self.app = Starlette(routes=routes)

    async def page(self, request: Request) -> HTMLResponse:
        """A page with a known and an unknown tag, and cookies of both."""
        sent = request.headers
        told = f"{sent['x-forwarded-for']} {sent['x-forwarded-proto']} {sent['host']}"
        answer = HTMLResponse(PAGE.format(told=told))
        for name in ("sessionid", "_tel", "vreemd"):
            answer.set_cookie(name, "1")
        return answer

    async def events(self, _request: Request) -> StreamingResponse:
        """One event, and a second when the visitor has seen the first."""

        async def send() -> AsyncIterator[str]:
            yield "data: een\n\n"
            await asyncio.to_thread(self.released.wait, 10)
            yield "data: twee\n\n"

        return StreamingResponse(send(), media_type="text/event-stream")

    async def talk(self, socket: WebSocket) -> None:
        """Say back what was said."""
        await socket.accept()
        await socket.send_text(f"u zei {await socket.receive_text()}")
        await socket.close()


class World(NamedTuple):
    """A site behind the gateway behind a TLS server, and a visitor before it."""

    site: Site
    visitor: Visitor

    def get(self, path: str = "/", **headers: str) -> tuple[list[str], str]:
        """The cookies that a page sets, and its text."""
        self.visitor.request("GET", path, headers={**BROWSER, "accept-encoding": "identity", "Host": NAME, **headers})
        answer = self.visitor.getresponse()
        assert answer.status == 200
        return [line for name, line in answer.getheaders() if name.lower() == "set-cookie"], answer.read().decode()

    def accept(self) -> str:
        """Press the banner's button; the cookie of that choice."""
        form = {"Content-Type": "application/x-www-form-urlencoded", "Host": NAME, **BROWSER, **SAME_SITE}
        self.visitor.request("POST", "/_gw/consent", urlencode({"choice": "accept_all"}), form)
        answer = self.visitor.getresponse()
        answer.read()
        assert answer.status == 303
        return next(line for line in answer.headers.get_all("set-cookie", []) if "gw_consent" in line)


@contextmanager
def opened(front: Front, folder: Path) -> Iterator[World]:
    """The three of them, the gateway as a reverse proxy that believes nobody but the TLS server."""
    site, port = Site(), free_port()
    config = ready_config(folder, {"trusted_proxies": [f"{LOOPBACK}/32"]})
    with run_server(site.app) as upstream:
        app = ConsentMiddleware(ReverseProxy(f"http://{LOOPBACK}:{upstream}"), config)
        certificate = make_certificate(folder)
        with run_server(app) as behind, front.open(folder, behind, port, certificate):
            visitor = Visitor(port, certificate)
            try:
                yield World(site, visitor)
            finally:
                visitor.close()


by_recipe = pytest.mark.parametrize("front", FRONTS, ids=[front.recipe for front in FRONTS])


@by_recipe
def test_the_visitor_is_who_connects(front: Front, tmp_path: Path) -> None:
    """The site hears of https, its own host, and the address of the connection, whatever the visitor claims."""
    claimed = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "gopher", "X-Forwarded-Host": "kwaad.example"}
    with opened(front, tmp_path) as world:
        _, text = world.get(**claimed)
    assert f"<p>{VISITOR} https {NAME}</p>" in text


@by_recipe
def test_choosing_works_behind_it(front: Front, tmp_path: Path) -> None:
    """Asked over https, nothing optional before the choice; after it what was chosen, with a cookie for https alone."""
    with opened(front, tmp_path) as world:
        before, asked = world.get()
        chosen = world.accept()
        after, granted = world.get(Cookie=chosen.partition(";")[0])
    names = [{line.partition("=")[0] for line in lines} for lines in (before, after)]
    assert ('id="gw-banner"' in asked, 'script src="https://' in asked, names[0]) == (True, False, {"sessionid"})
    assert (chosen.startswith("__Host-gw_consent="), "Secure" in chosen) == (True, True)
    assert ('id="gw-banner"' in granted, 'src="https://teller' in granted) == (False, True)
    assert ('script src="https://onbekend' in granted, {"_tel"} <= names[1], "vreemd" in names[1]) == (
        False,
        True,
        False,
    )


@by_recipe
def test_what_comes_slowly_comes_at_once(front: Front, tmp_path: Path) -> None:
    """An event reaches the visitor before the next is sent, and a WebSocket is let through."""
    with opened(front, tmp_path) as world:
        world.visitor.request("GET", "/events", headers={"Host": NAME, "Accept": "text/event-stream"})
        answer = world.visitor.getresponse()
        first = answer.read1()
        world.site.released.set()
        assert (first, answer.read()) == (b"data: een\n\n", b"data: twee\n\n")
        there = world.visitor.open_socket()
        context = world.visitor._context_here
        with connect_websocket(f"wss://{NAME}/live", sock=there, ssl=context, server_hostname=NAME, proxy=None) as live:
            live.send("hallo")
            assert live.recv() == "u zei hallo"


def test_what_nginx_answers_by_itself_is_closed(tmp_path: Path) -> None:
    """An address that is too long never reaches us: who frames that answer reaches nobody; our own keep their policy alone."""
    policies = []
    with opened(NGINX, tmp_path) as world:
        for path in ("/", f"/{'x' * 9_000}"):
            world.visitor.request("GET", path, headers={**BROWSER, "accept-encoding": "identity", "Host": NAME})
            answer = world.visitor.getresponse()
            answer.read()
            policies.append(answer.headers.get_all("content-security-policy", []))
    assert (len(policies[0]), policies[1]) == (1, ["default-src 'none'"])
    assert "www.example.org:*" in policies[0][0]


def test_caddy_serves_files_beside_the_gateway(tmp_path: Path) -> None:
    """Through the documented site: files by Caddy, with the documented script in them; choice and script by us."""
    port, files, certificate = free_port(), tmp_path / "www", make_certificate(tmp_path)
    files.mkdir()
    (files / "index.html").write_text(f"<!doctype html><html><body>{recipe_lines('static', 'html')}</body></html>")
    config = ready_config(tmp_path, {"trusted_proxies": [f"{LOOPBACK}/32"]})
    with run_server(ConsentMiddleware(Site().app, config)) as behind:
        rules = recipe_lines("caddy", CADDY.language, 1).replace(DOCUMENTED, f"{LOOPBACK}:{behind}")
        rules = listen_caddy(rules.replace("/var/www/example.org", str(files)), port, certificate)
        with run_caddy(tmp_path / "caddy", rules, port):
            world = World(Site(), Visitor(port, certificate))
            _, page = world.get()
            answers = [world.get(path)[1] for path in own_addresses(page)]
            world.visitor.close()
    assert ["gateway" in answers[0], "<form" in answers[1], len(answers)] == [True, True, 2]


def own_addresses(page: str) -> list[str]:
    """What the page asks of the site itself."""
    return re.findall(r'(?<!data-gw-)(?:src|href)="(/[^"]+)"', page)
