"""The foreign hosts that a careless site calls in: statistics, an advertising pixel, a video player, a chat
window.

Each is a server on its own port and writes down every request, so that anybody can see what a visitor's
browser told it, and when. Their names end in `.localhost`, which browsers resolve to this machine without
asking anybody.
"""

import time
from collections.abc import Callable

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.demo.loopback import LoopbackServer

ANALYTICS_HOST = "analytics.localhost"
PIXEL_HOST = "pixel.localhost"
VIDEO_HOST = "video.localhost"
CHAT_HOST = "chat.localhost"  # named by no service of the demo's policy: never to be contacted
FOREIGN_HOSTS = (ANALYTICS_HOST, PIXEL_HOST, VIDEO_HOST, CHAT_HOST)
LOG_PATH = "/__log"
VISITOR_HEADER = "x-demo-visitor"  # sent by simulated visitors to foreign hosts alone

GIF = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
GIF += b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

ANALYTICS_SCRIPT = """(function () {
  var id = Math.random().toString(36).slice(2);
  document.cookie = "_ga_VOORBEELD=GS1.1." + id + "; path=/; max-age=34560000; samesite=lax";
  var page = encodeURIComponent(location.pathname), from = encodeURIComponent(document.referrer);
  var origin = new URL(document.currentScript.src).origin;
  navigator.sendBeacon(origin + "/hit?page=" + page + "&from=" + from + "&id=" + id);
})();
"""
CHAT_SCRIPT = """document.documentElement.setAttribute("data-chat-loaded", "true");\n"""
PLAYER = """<!DOCTYPE html><html lang="nl"><meta charset="utf-8"><title>Video</title>
<style>html,body{height:100%%;margin:0}body{display:grid;place-items:center;color:#fff;
font:600 17px/1.4 "Segoe UI","Liberation Sans",Arial,sans-serif;text-align:center;
background:linear-gradient(135deg,#0e6b63,#12304a)}button{width:76px;height:76px;border:0;border-radius:50%%;
background:#f2a65a;font-size:28px;cursor:pointer}p{margin:14px 0 0}</style>
<body><div><button aria-label="Afspelen">▶</button><p>%s</p></div></body></html>"""
FILMS = {
    "zo-werkt-incasso": "Zo werkt incasso (1:30)",
    "regeling-in-vier-stappen": "Een regeling in vier stappen (2:10)",
}


class ForeignRequest(msgspec.Struct, frozen=True):
    """One request that reached a foreign host; `host` without port, `cookies` and `referrer` as sent."""

    at: float
    host: str
    path: str
    cookies: str
    referrer: str
    visitor: str


class Logged:
    """Writes every request down before the app sees it, and answers `/__log` with the list as JSON."""

    def __init__(self, app: ASGIApp, log: list[ForeignRequest], clock: Callable[[], float]) -> None:
        self._app, self._log, self._clock = app, log, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"] == LOG_PATH:
            answer = Response(msgspec.json.encode(self._log), media_type="application/json")
            await answer(scope, receive, send)
            return
        if scope["type"] == "http":
            self._log.append(_describe(Request(scope), self._clock()))
        await self._app(scope, receive, send)


def _describe(request: Request, at: float) -> ForeignRequest:
    headers = request.headers
    return ForeignRequest(
        at=at,
        host=headers.get("host", "").partition(":")[0].lower(),
        path=request.url.path,
        cookies=headers.get("cookie", ""),
        referrer=headers.get("referer", ""),
        visitor=headers.get(VISITOR_HEADER, ""),
    )


async def _script(request: Request) -> Response:
    text = CHAT_SCRIPT if request.url.path == "/chat.js" else ANALYTICS_SCRIPT
    return Response(text, media_type="text/javascript", headers=_cookie("third_party_id"))


async def _pixel(_request: Request) -> Response:
    return Response(GIF, media_type="image/gif", headers=_cookie("ad_id") | {"cache-control": "no-store"})


async def _player(request: Request) -> Response:
    title = FILMS.get(request.path_params["film"])
    if title is None:
        return HTMLResponse(PLAYER % "Deze video bestaat niet", status_code=404)
    return HTMLResponse(PLAYER % title, headers=_cookie("player_id"))


async def _hit(_request: Request) -> Response:
    return Response(status_code=204)


def _cookie(name: str) -> dict[str, str]:
    return {"set-cookie": f"{name}=1; Path=/; Max-Age=31536000; SameSite=None; Secure"}


def build_foreign(log: list[ForeignRequest], clock: Callable[[], float] = time.time) -> ASGIApp:
    """The app of a foreign server; requests are appended to `log`, times are epoch seconds."""
    routes = [
        Route("/analytics.js", _script),
        Route("/chat.js", _script),
        Route("/hit", _hit, methods=["POST"]),
        Route("/p.gif", _pixel),
        Route("/embed/{film}", _player),
    ]
    return Logged(Starlette(routes=routes), log, clock)


class ForeignOrigins(msgspec.Struct, frozen=True):
    """Where the demo site finds its foreign hosts: origins such as `http://pixel.localhost:40001`."""

    analytics: str
    pixel: str
    video: str
    chat: str


class Foreign:
    """Three servers with one log; the chat window comes from the video server under its own name."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.log: list[ForeignRequest] = []
        self._servers = [LoopbackServer(build_foreign(self.log, clock)) for _ in range(3)]
        analytics, pixel, video = (server.port for server in self._servers)
        self.origins = ForeignOrigins(
            analytics=f"http://{ANALYTICS_HOST}:{analytics}",
            pixel=f"http://{PIXEL_HOST}:{pixel}",
            video=f"http://{VIDEO_HOST}:{video}",
            chat=f"http://{CHAT_HOST}:{video}",
        )

    def start(self) -> None:
        """Returns when all answer."""
        for server in self._servers:
            server.start()

    def stop(self) -> None:
        """Ends all of them."""
        for server in self._servers:
            server.stop()
