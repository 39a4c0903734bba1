"""A page whose own scripts contact foreign hosts in every way a script knows: nothing of it stands in the mark-up."""

from typing import Any
from urllib.parse import parse_qs

# Each way asks for a file of its own. H is the host with its scheme, N its short name.
WAYS = {
    "image.gif": "new Image().src = H + '/image.gif'",
    "fetch.gif": "fetch(H + '/fetch.gif', {mode: 'no-cors'}).catch(() => {})",
    "xhr.gif": "const x = new XMLHttpRequest(); x.open('GET', H + '/xhr.gif'); x.send()",
    "beacon.gif": "navigator.sendBeacon(H + '/beacon.gif', 'x')",
    "socket": "new WebSocket(H.replace('http', 'ws') + '/socket')",
    "events": "new EventSource(H + '/events')",
    "script.js": "add('script', {src: H + '/script.js'})",
    "frame.html": "add('iframe', {src: H + '/frame.html'})",
    "later.html": "const f = add('iframe', {}); setTimeout(() => { f.src = H + '/later.html' }, 50)",
    "sheet.css": "add('link', {rel: 'stylesheet', href: H + '/sheet.css'})",
    "fetched.js": "add('link', {rel: 'prefetch', href: H + '/fetched.js'})",
    "loaded.js": "add('link', {rel: 'preload', as: 'script', href: H + '/loaded.js'})",
    "import.css": "add('style', {textContent: `@import url(${H}/import.css)`})",
    "font.gif": "add('style', {textContent: `@font-face{font-family:f${N};src:url(${H}/font.gif)}`});"
    " add('p', {textContent: 'x', style: `font-family:f${N}`})",
    "background.gif": "add('p', {textContent: 'x', style: `background:url(${H}/background.gif)`})",
    "set.gif": "add('img', {srcset: H + '/set.gif 1x'})",
    "film.mp4": "add('video', {preload: 'auto', src: H + '/film.mp4'})",
    "object.html": "add('object', {data: H + '/object.html'})",
    "embed.html": "add('embed', {src: H + '/embed.html'})",
    "parsed.gif": "add('div', {innerHTML: `<img src=${H}/parsed.gif>`})",
    "written.gif": "const w = add('iframe', {}).contentDocument; w.write(`<img src=${H}/written.gif>`); w.close()",
    "source.gif": "add('iframe', {srcdoc: `<img src=${H}/source.gif>`})",
    "shadow.gif": "add('div', {}).attachShadow({mode: 'open'}).innerHTML = `<img src=${H}/shadow.gif>`",
    "cloned.gif": "const t = document.createElement('template'); t.innerHTML = `<img src=${H}/cloned.gif>`;"
    " document.body.append(t.content.cloneNode(true))",
    "module.mjs": "import(H + '/module.mjs').catch(() => {})",
    "evaluated.gif": "eval(`new Image().src = '${H}/evaluated.gif'`)",
    "worker.gif": "new Worker('/worker.js?' + H)",
    "kept.gif": "fetch('/kept.js?' + H).then(r => r.text()).then(() => new Worker('/kept.js?' + H))",
    "imported.js": "new Worker(URL.createObjectURL(new Blob([`importScripts('${H}/imported.js')`])))",
    "service.gif": "navigator.serviceWorker.register('/service.js?' + H, {scope: '/' + N + '/'})",
    "redirected.gif": "new Image().src = '/go?' + H + '/redirected.gif'",
}
HELP = """function add(name, values) { const e = Object.assign(document.createElement(name), values);
for (const [k, v] of Object.entries(values)) if (k === 'style') e.style.cssText = v; document.body.append(e); return e }"""
PAGE = "<!doctype html><html lang=nl><head><title>x</title></head><body><h1>x</h1>{}<script>{}</script></body></html>"
WORKER = b"fetch(decodeURIComponent(location.search.slice(1)) + '/%b.gif', {mode: 'no-cors'}).catch(() => {});"


class ScriptedSite:
    """An ASGI app: `/` contacts each of the named hosts in every way, `/cookies` sets optional cookies, `/plain` does nothing.
    `marked` is what stands in the page's mark-up besides."""

    def __init__(self, port: int, names: tuple[str, ...], marked: str = "") -> None:
        self._port, self._names, self._marked = port, names, marked

    def _script(self) -> str:
        ways = "".join(f"try {{ {way} }} catch (e) {{}}\n" for way in WAYS.values())
        each = [
            f"(() => {{ const H = 'http://{name}.localhost:{self._port}', N = '{name}';\n{ways} }})();"
            for name in self._names
        ]
        return HELP + "addEventListener('load', () => {" + "".join(each).replace("try { const", "try { var") + "})"

    def _answer(self, path: str, query: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        html = [(b"content-type", b"text/html; charset=utf-8")]
        if path == "/":
            return 200, html, PAGE.format(self._marked, self._script()).encode()
        if path == "/cookies":
            script = (
                "document.cookie = '_ads=1; path=/'; document.cookie = '_tel=1; path=/cookies'; localStorage.seen = 1"
            )
            return 200, html, PAGE.format("", script).encode()
        if path == "/favicon.ico":  # no page: browsers ask for it when they like, and with a page cookies would go
            return 404, [(b"content-type", b"text/plain")], b""
        if path == "/go":
            return 302, [(b"location", query.encode())], b""
        if path in ("/worker.js", "/service.js", "/kept.js"):
            kind = [(b"content-type", b"text/javascript"), (b"service-worker-allowed", b"/")]
            kind += [(b"cache-control", b"public, max-age=600")] if path == "/kept.js" else []
            return 200, kind, WORKER % path[1:].removesuffix(".js").encode()
        return 200, html, PAGE.format("", "").encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"].decode()
        status, headers, body = self._answer(scope["path"], parse_qs("q=" + query)["q"][0] if query else "")
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
