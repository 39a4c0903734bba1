"""A site with parts of others in it: frames, a film, a form at a vendor's; and the others themselves, who note what is
asked of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from gateway import ConsentMiddleware
from gateway.demo.loopback import LOOPBACK, LoopbackServer
from tests.web.gated_site import ready_config

POLICY = """
version = "1"
languages = ["nl", "en"]
[controller]
name = "Voorbeeld Incasso"
[[purposes]]
id = "media"
title = { nl = "Video's en kaarten", en = "Videos and maps" }
[[purposes]]
id = "marketing"
title = { nl = "Marketing", en = "Marketing" }
[[services]]
id = "film"
purpose = "media"
name = "Voorbeeld Film"
provider = "Voorbeeld Film Inc."
country = "US"
recipients = ["Voorbeeld Reclame B.V."]
hosts = ["film.localhost"]
cookies = [{ name = "film_id" }]
[[services]]
id = "kaart"
purpose = "media"
name = "Voorbeeld Kaart"
provider = "Voorbeeld Kaart B.V."
country = "NL"
hosts = ["kaart.localhost"]
mount = ["#plattegrond"]
[[services]]
id = "formulier"
purpose = "necessary"
name = "Voorbeeld Formulier"
provider = "Voorbeeld CRM B.V."
country = "NL"
hosts = ["formulier.localhost"]
[[services]]
id = "crm_volger"
purpose = "marketing"
name = "Voorbeeld CRM, volgen"
provider = "Voorbeeld CRM B.V."
hosts = ["volger.localhost"]
inline = ["crmVolger("]
[[services]]
id = "meting"
purpose = "marketing"
name = "Voorbeeld Meting"
paths = ["/meting/*"]
"""
PAGE = """<!DOCTYPE html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Voorbeeld Incasso</title></head><body><main><h1>Voorbeeld Incasso</h1>{main}</main></body></html>
"""
PAGES = {
    "/": """<p>Bekijk de film:
<iframe id="film" title="Film" width="560" height="315" frameborder="0" src="http://film.localhost:PORT/film?a=1&amp;b=2"></iframe>
en lees verder.</p>
<iframe id="kaart" title="Kaart" width="100%" height="300" frameborder="0" src="http://kaart.localhost:PORT/kaart"></iframe>
<p><iframe id="vrij" title="Vrij" src="http://film.localhost:PORT/vrij"></iframe></p>
<iframe id="vreemd" title="Vreemd" width="400" height="200" frameborder="0" src="http://vreemd.localhost:PORT/vreemd"></iframe>
<iframe title="p" width="1" height="1" src="http://film.localhost:PORT/pixel"></iframe>
<iframe title="h" hidden src="http://film.localhost:PORT/hidden"></iframe>
<iframe title="d" style="border:0; display: none" src="http://film.localhost:PORT/none"></iframe>
<p id="einde">Einde.</p>""",
    "/route": """<p>Zo vindt u ons:</p><div id="plattegrond" style="height: 240px"></div>
<script src="http://kaart.localhost:PORT/kaart.js"></script>
<script src="http://film.localhost:PORT/film.js"></script>""",
    "/film": """<p>Kijk en luister:
<video id="film" controls width="560" height="315"><source src="http://film.localhost:PORT/a.webm" type="video/webm">
<source src="http://film.localhost:PORT/b.mp4" type="video/mp4"></video>
en <img src="http://film.localhost:PORT/p.gif" alt=""></p>
<audio id="klank" controls style="width: 300px; height: 80px"><source src="//kaart.localhost:PORT/c.mp3"></audio>
<video id="eigen" controls width="400" height="200"><source src="http://film.localhost:PORT/d.mp4" type="video/mp4">
<source src="/eigen.mp4" type="video/mp4"></video>
<video id="klein" width="40" height="40"><source src="http://film.localhost:PORT/e.mp4" type="video/mp4"></video>
<picture><source srcset="http://film.localhost:PORT/f.gif"><img src="/eigen.gif" alt=""></picture>
<div id="kader" style="position: relative; overflow: hidden; aspect-ratio: 16/9; width: 640px"><video id="gevuld" controls
 style="position: absolute; inset: 0; width: 100%; height: 100%"><source src="http://film.localhost:PORT/g.mp4"></video></div>""",
    "/later": """<div id="plek"></div><p id="einde">Einde.</p><script>
const add = (id, src, values) => {
  const frame = Object.assign(document.createElement("iframe"), {id, title: id, ...values});
  frame.setAttribute("frameborder", 0);
  document.getElementById("plek").append(frame);
  frame.src = src;
};
add("film", "http://film.localhost:PORT/film?a=1", {width: 560, height: 315});
addEventListener("load", () => setTimeout(() => {
  add("kaart", "http://kaart.localhost:PORT/kaart", {width: "100%", height: 300});
  add("vreemd", "http://vreemd.localhost:PORT/vreemd", {width: 400, height: 200});
  add("klein", "http://film.localhost:PORT/pixel", {width: 1, height: 1});
  add("eigen", "/meting/grafiek", {width: 300, height: 150});
}, 300))</script>""",
    "/contact": """<iframe id="formulier" title="Contactformulier" width="500" height="300"
 src="http://formulier.localhost:PORT/contact"></iframe>
<script src="http://volger.localhost:PORT/volg.js"></script><script>crmVolger("start")</script>
<img alt="" src="http://volger.localhost:PORT/pixel">""",
}


# What a map's script does: it draws into its element, in the size that it has.
DRAW = "{const m = document.getElementById('plattegrond'); m.textContent = 'Getekend: ' + m.clientHeight}"


@dataclass
class PlaceholderSite:
    """The running site: its address without a final slash, its data, and what others were asked for ("host/path")."""

    url: str
    data: Path
    asked: list[str] = field(default_factory=list)


@contextmanager
def open_placeholder_site(folder: Path, csp: str = "report", *, guard: bool = False) -> Iterator[PlaceholderSite]:
    """The site behind the gate with a content policy that is reported or enforced, and a server for all other hosts."""
    asked: list[str] = []

    def other(request: Request) -> HTMLResponse:
        """Every other host: a page with its own name, to whoever asks."""
        name = (request.url.hostname or "").removesuffix(".localhost")
        asked.append(f"{name}{request.url.path}")
        if request.url.path.endswith(".js"):
            return HTMLResponse(DRAW, media_type="text/javascript")
        return HTMLResponse(f"<!DOCTYPE html><title>{name}</title><form><label>{name} <input></label></form>")

    others = LoopbackServer(Starlette(routes=[Route("/{path:path}", other)]))
    others.start()

    def page(request: Request) -> HTMLResponse:
        main = PAGES.get(request.url.path, "<p>Niets.</p>").replace("PORT", str(others.port))
        headers = {"content-security-policy": request.query_params["csp"]} if "csp" in request.query_params else {}
        return HTMLResponse(PAGE.format(lang=request.query_params.get("lang", "nl"), main=main), headers=headers)

    limits = {"reserve_bytes": 0, "posts_per_minute": 100_000}
    config = ready_config(folder, {"limits": limits, "sites": [{"csp": csp, "guard": guard}]}, policy=POLICY)
    gate = ConsentMiddleware(Starlette(routes=[Route("/{path:path}", page)]), config)
    server = LoopbackServer(gate)
    server.start()
    try:
        yield PlaceholderSite(f"http://{LOOPBACK}:{server.port}", folder / "data", asked)
    finally:
        server.stop()
        others.stop()
        gate._close()
