"""A page that contacts foreign hosts in every way its mark-up knows, and foreign hosts that write down who came."""

import re
import threading
from typing import Any

from gateway.demo.foreign import GIF

SCRIPT = b"(window.ran = window.ran || []).push(document.currentScript ? document.currentScript.src : 'module');"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect id="a" width="9" height="9"/></svg>'
ANSWERS = {
    "js": ("text/javascript", SCRIPT),
    "mjs": ("text/javascript", b"(window.ran = window.ran || []).push('module'); export default 1"),
    "css": ("text/css", b"html{}"),
    "gif": ("image/gif", GIF),
    "svg": ("image/svg+xml", SVG),
    "html": ("text/html", b"<!doctype html><p>foreign</p>"),
    "mp4": ("video/mp4", b"\0" * 64),
}
# Each way by the file that it asks for, so that the foreign host's log names it.
WAYS = """
<link rel=stylesheet href=HOST/stylesheet.css>
<link rel=preload as=script href=HOST/preload.js>
<link rel=preload as=image href=HOST/set1.gif imagesrcset="HOST/imagesrcset.gif 1x">
<link rel=modulepreload href=HOST/modulepreload.mjs>
<link rel=prefetch href=HOST/prefetch.js>
<link rel=preconnect href=HOST>
<link rel=dns-prefetch href=HOST>
<link rel=icon href=HOST/icon.gif>
<link rel=manifest href=HOST/manifest.json>
<script src=HOST/first.js></script>
<script async src=HOST/async.js></script>
<script src="HOST/second.js"></script>
<svg width=9 height=9><script xlink:href="HOST/svg.js"></script></svg>
<img src=HOST/img.gif alt="">
<img srcset="HOST/srcset.gif 1x" alt="">
<img src="&#104;ttp:&sol;&sol;NAME/entity.gif" alt="">
<img src="\\\\NAME/slashes.gif" alt="">
<picture><source srcset="HOST/picture.gif"><img src=/own.gif alt=""></picture>
<image src=HOST/image.gif>
<iframe src=HOST/iframe.html></iframe>
<iframe srcdoc="<img src=HOST/srcdoc.gif><script src=HOST/srcdoc.js></script>"></iframe>
<iframe src="data:text/html,<img src=HOST/data.gif>"></iframe>
<embed src=HOST/embed.html>
<object data=HOST/object.html></object>
<audio preload=auto src=HOST/audio.mp4></audio>
<video preload=auto src=HOST/video.mp4></video>
<video poster=HOST/poster.gif></video>
<video preload=auto><source src=HOST/source.mp4></video>
<input type=image src=HOST/input.gif alt="">
<svg width=9 height=9><image width=9 height=9 href="HOST/svgimage.gif"/></svg>
<svg width=9 height=9><image width=9 height=9 xlink:href="HOST/xlink.gif"/></svg>
<svg width=9 height=9><filter id=f><feImage href="HOST/feimage.gif"/></filter><rect width=9 height=9 filter="url(#f)"/></svg>
<svg width=9 height=9><image width=9 height=9><set attributeName=href to="HOST/animated.gif"/></image></svg>
<table background=HOST/table.gif><tr background=HOST/tr.gif><td background=HOST/td.gif>x</td></tr></table>
<template><img src=HOST/template.gif></template>
<script type=importmap>{"imports": {"foreign-N": "HOST/mapped.mjs"}}</script>
<script type=speculationrules>{"prefetch": [{"urls": ["HOST/speculation.html"], "eagerness": "immediate"}]}</script>
"""
MODULE = '<script type=module>import("foreign-N")</script>'
INLINE = """<script>foreignTag('start'); new Image().src = "HOST/inline.gif"</script>"""
HEAD = "<!doctype html><html lang=nl><head><title>x</title><script>function foreignTag() {}</script>"
USE = """<script>addEventListener("load", () => setTimeout(() => document.querySelectorAll("template").forEach(
t => document.body.append(t.content.cloneNode(true))), 1500))</script>"""


class ForeignHosts:
    """An ASGI app that answers for all foreign hosts and keeps (host, file) of each request."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        host = dict(scope["headers"]).get(b"host", b"").decode().partition(".")[0]
        with self._lock:
            self.log.append((host, scope["path"].lstrip("/")))
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        kind, body = ANSWERS.get(scope["path"].rpartition(".")[2], ("application/json", b"{}"))
        headers = [(b"content-type", kind.encode()), (b"access-control-allow-origin", b"*")]
        headers += [(b"cache-control", b"no-store"), (b"supports-loading-mode", b"credentialed-prefetch")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class HostileSite:
    """An ASGI app whose pages contact the hosts named in all of WAYS; `/stream` sends the same in small pieces."""

    def __init__(self, port: int, names: tuple[str, ...]) -> None:
        self._port, self._names = port, names

    def page(self) -> str:
        """The page, each way once for each host."""
        ways = "".join(self.fill(WAYS + INLINE, name) for name in self._names)
        modules = "".join(MODULE.replace("-N", f"-{name}") for name in self._names[:1])
        return f"{HEAD}</head><body><h1>x</h1>{ways}{modules}{USE}</body></html>"

    def fill(self, text: str, name: str) -> str:
        """A text with one of the hosts in the place of HOST."""
        host = f"{name}.localhost:{self._port}"
        text = text.replace("HOST", f"http://{host}").replace("NAME", host)
        return text.replace("foreign-N", f"foreign-{name}").replace("foreignTag('", f"foreignTag('{name}-")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/html; charset=utf-8")]
        links = [f"<{self.fill('HOST/link.css', name)}>; rel=preload; as=style" for name in self._names]
        headers.append((b"link", ", ".join(links).encode()))
        if scope["path"] == "/refresh":
            headers.append((b"refresh", self.fill("0; url=HOST/refresh.html", self._names[-1]).encode()))
        body = self.page().encode() if scope["path"] in ("/", "/stream") else b""
        if re.search(r"\.\w+$", scope["path"]):
            headers = [(b"content-type", b"image/gif")]
            body = GIF
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        pieces = [body[at : at + 999] for at in range(0, len(body), 999)] if scope["path"] == "/stream" else [body]
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
