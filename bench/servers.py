"""The applications that are measured, each beside its baseline. Run by uvicorn as `bench.servers:NAME` (factories)."""

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gateway.config import Config, build_config
from gateway.consent.consent_cookie import encode_choice
from gateway.consent.decision import Choice, Decision
from gateway.flows.decide import Decider
from gateway.front import ConsentMiddleware, open_parts
from gateway.web.proxy import ReverseProxy

FOLDER = Path(os.environ.get("BENCH_FOLDER", "/tmp"))
UPSTREAM = os.environ.get("BENCH_UPSTREAM", "http://127.0.0.1:9920")


def build_page() -> bytes:
    """A page of 3 KB with ten tags, two of them to foreign hosts."""
    scripts = "".join(f"<script src=/a{i}.js></script>" for i in range(4))
    images = "".join(f'<img src="/i{i}.png" alt="">' for i in range(4))
    text = "".join(f"<p>Alinea {i} over schulden en betalen, met wat woorden erbij.</p>" for i in range(39))
    return (
        f"<!doctype html><html lang=nl><head><title>Voorbeeld</title>{scripts}"
        f"<script src=https://stats.example.org/x.js></script></head><body>{text}{images}"
        f'<img src="https://pixel.example.org/p.gif" alt=""></body></html>'
    ).encode()


PAGE = build_page()


async def _page(_request: Request) -> Response:
    return HTMLResponse(PAGE)


async def _file(_request: Request) -> Response:
    return Response(PAGE, media_type="text/javascript")


def bare() -> Any:
    """The application by itself."""
    return Starlette(routes=[Route("/page", _page), Route("/file", _file)])


def gated() -> Any:
    """The same application behind the middleware."""
    return _wrap(bare(), {})


def gated_uncached() -> Any:
    """The same with no page remembered."""
    return _wrap(bare(), {"limits": {"cached_pages": 0}})


def _wrap(app: Any, settings: dict[str, Any]) -> Any:
    data = str(FOLDER / "data")
    raw = {"data": data, "keys": [os.environ["BENCH_KEY"]], "keeper": {"autostart": False}, **settings}
    raw["limits"] = {"posts_per_minute": 1_000_000, **settings.get("limits", {})}  # many visitors on one network
    raw["analytics"] = {"views_per_minute": 10_000_000}  # one visit asks for all pages, and each is to be counted
    return ConsentMiddleware(app, build_config(raw, FOLDER))


def decided(folder: Path, visitors: int) -> tuple[Config, Callable[[str], Decision], list[str]]:
    """A configuration, what decides for a consent cookie, and the cookies of so many who granted everything."""
    raw = {"data": str(folder / "data"), "keys": [secrets.token_urlsafe(32)], "keeper": {"autostart": False}}
    config = build_config(raw, folder)
    parts = open_parts(config, time.time)
    site, decider = config.sites[0], Decider(parts)
    answers = {purpose: (scope, True) for purpose, scope in site.policy.scopes.items()}
    choices = [Choice(site.id, answers, int(time.time()), f"{number:022}", 1) for number in range(visitors)]
    cookies = [encode_choice(choice, parts.signers.consent) for choice in choices]
    return config, lambda value: decider.decide(value, site, time.time()), cookies


class Body(msgspec.Struct):
    """The same body as the gateway decodes."""

    v: int
    k: str
    view: str
    url: str
    seq: int = 0
    engaged: int = 0


_decoder = msgspec.json.Decoder(Body)


def bare_collect() -> Any:
    """A bare ASGI endpoint that decodes the same body and answers 202: no consent, no disk."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await live(receive, send)
            return
        _decoder.decode((await receive())["body"])
        await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    return app


def hook_sink() -> Any:
    """A receiver that reads and answers 204; under /slow after ten seconds."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await live(receive, send)
            return
        while (await receive()).get("more_body"):
            continue
        if scope["path"] == "/slow":
            await asyncio.sleep(10)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


def proxy() -> Any:
    """The reverse proxy with the middleware around it, as `gateway serve --upstream` runs it."""
    return _wrap(ReverseProxy(UPSTREAM), {})


def bare_proxy() -> Any:
    """A pass-through with the same HTTP client and nothing else."""
    session: aiohttp.ClientSession | None = None

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal session
        if scope["type"] == "lifespan":
            await live(receive, send)
            return
        if session is None:
            session = aiohttp.ClientSession(
                auto_decompress=False, connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
            )
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        async with session.request(
            scope["method"], UPSTREAM + scope["path"], headers=headers, allow_redirects=False
        ) as response:
            raw = [(name.lower(), value) for name, value in response.raw_headers]
            await send({"type": "http.response.start", "status": response.status, "headers": raw})
            async for chunk in response.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    return app


async def live(receive: Any, send: Any) -> None:
    """A lifespan in which nothing happens."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
