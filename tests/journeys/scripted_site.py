"""A page whose own scripts contact foreign hosts in every way a script knows: nothing of it stands in the mark-up."""

from typing import Any
from urllib.parse import parse_qs

from gateway.demo.foreign import GIF

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
# Roundabout ways, on a page of their own.
MORE = {
    "gone.html": "add('iframe', {src: '/go?' + H + '/gone.html'})",
    "ahead.html": "add('link', {rel: 'prefetch', href: '/go?' + H + '/ahead.html'})",
    "face.gif": "new FontFace('g' + N, `url(${H}/face.gif)`).load().catch(() => {})",
    "mask.svg": "add('p', {textContent: 'x', style: `mask:url(${H}/mask.svg#a)`})",
    "choice.gif": "add('p', {textContent: 'x', style: `background:image-set(url(${H}/choice.gif) 1x)`})",
    "content.gif": "add('p', {style: `content:url(${H}/content.gif)`})",
    "track.vtt": "const v = add('video', {crossOrigin: ''}); v.innerHTML = `<track default kind=metadata"
    " src=${H}/track.vtt>`; v.textTracks[0].mode = 'hidden'",
    "ping.gif": "add('a', {href: '#x', ping: H + '/ping.gif'}).click()",
    "posted.html": "add('iframe', {name: 'to' + N}); add('form', {action: H + '/posted.html', target: 'to' + N}).submit()",
    "moved.html": "add('iframe', {}).contentWindow.location = H + '/moved.html'",
    "refreshed.html": "add('iframe', {srcdoc: `<meta http-equiv=refresh content='0; url=${H}/refreshed.html'>`})",
    "blob.gif": "add('iframe', {src: URL.createObjectURL(new Blob([`<img src=${H}/blob.gif>`], {type: 'text/html'}))})",
    "stored.gif": "caches.open('x').then(c => c.add(H + '/stored.gif')).catch(() => {})",
    "shared.gif": "new SharedWorker('/shared.js?' + H)",
    "inline.js": "new Worker(`data:text/javascript,importScripts('${H}/inline.js')`)",
    "odd.gif": "new Worker('/odd.js?' + H)",
    "twice.gif": "add('iframe', {src: '/twice?' + H})",
    # A document of the site's own that is no page, reached into from this one: the gateway's own files are no exception.
    **{
        f"within-{name}.gif": f"within('{path}', H + '/within-{name}.gif')"
        for name, path in {
            "text": "/note.txt",
            "image": "/own.gif",
            "style": "/own.css",
            "script": "/kept.js",
            "state": "/_gw/state",
            "nothing": "/_gw/nothing",
        }.items()
    },
}
HELP = """function add(name, values) { const e = Object.assign(document.createElement(name), values);
for (const [k, v] of Object.entries(values)) if (k === 'style') e.style.cssText = v; document.body.append(e); return e }
function within(path, url) { const f = add('iframe', {src: path});
f.onload = () => { new f.contentWindow.Image().src = url } }"""
PAGE = "<!doctype html><html lang=nl><head><title>x</title></head><body><h1>x</h1>{}<script>{}</script></body></html>"
OTHERS = {
    "/note.txt": (b"text/plain", b"x"),
    "/own.gif": (b"image/gif", GIF),
    "/own.css": (b"text/css", b"p{}"),
}
WORKER = b"fetch(decodeURIComponent(location.search.slice(1)) + '/%b.gif', {mode: 'no-cors'}).catch(() => {});"


class ScriptedSite:
    """An ASGI app: `/` contacts each of the named hosts in every one of WAYS, `/more` the first and the last of them in MORE;
    `/cookies` sets optional cookies, `/plain` does nothing. `marked` is what stands in the page's mark-up besides."""

    def __init__(self, port: int, names: tuple[str, ...], marked: str = "") -> None:
        self._port, self._names, self._marked = port, names, marked

    def _script(self, path: str) -> str:
        named, names = (WAYS, self._names) if path == "/" else (MORE, self._names[:: len(self._names) - 1])
        ways = "".join(f"try {{ {way} }} catch (e) {{}}\n" for way in named.values())
        each = [
            f"(() => {{ const H = 'http://{name}.localhost:{self._port}', N = '{name}';\n{ways} }})();"
            for name in names
        ]
        return HELP + "addEventListener('load', () => {" + "".join(each).replace("try { const", "try { var") + "})"

    def _answer(self, path: str, query: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        html = [(b"content-type", b"text/html; charset=utf-8")]
        if path in ("/", "/more"):
            return 200, html, PAGE.format(self._marked, self._script(path)).encode()
        if path == "/cookies":
            script = (
                "document.cookie = '_ads=1; path=/'; document.cookie = '_tel=1; path=/cookies'; localStorage.seen = 1"
            )
            return 200, html, PAGE.format("", script).encode()
        if path == "/favicon.ico":  # no page: browsers ask for it when they like, and with a page cookies would go
            return 404, [(b"content-type", b"text/plain")], b""
        if path == "/go":
            return 302, [(b"location", query.encode())], b""
        if path in OTHERS:
            kind, body = OTHERS[path]
            return 200, [(b"content-type", kind), (b"cache-control", b"public, max-age=600")], body
        if path == "/twice":  # the second is none, and so the first counts
            return 200, [*html, (b"content-type", b"none")], f"x<img src={query}/twice.gif>".encode()
        if path in ("/worker.js", "/service.js", "/shared.js", "/kept.js", "/odd.js"):
            named = b"Application/EcmaScript" if path == "/odd.js" else b"text/javascript"
            head = [(b"content-type", named), (b"service-worker-allowed", b"/")]
            head += [(b"cache-control", b"public, max-age=600")] if path == "/kept.js" else []
            return 200, head, WORKER % path[1:].removesuffix(".js").encode()
        return 200, html, PAGE.format("", "").encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"].decode()
        status, headers, body = self._answer(scope["path"], parse_qs("q=" + query)["q"][0] if query else "")
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
