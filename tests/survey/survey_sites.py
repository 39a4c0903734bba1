"""An invented web shop as such sites are: WordPress, known services under their real names, an old consent tool without
a way to refuse. All of it is one server on loopback; a browser must look for every name there."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.demo.loopback import LoopbackServer

SHOP = "www.voorbeeld-winkel.example"
SECRET = "b7e1waarde"  # in every cookie: must never be written down
PAGE = """<!DOCTYPE html><html lang="nl-NL"><head><meta charset="utf-8"><title>%(title)s | Voorbeeld Winkel</title>
<meta name="generator" content="WordPress 6.8"><meta property="og:site_name" content="Voorbeeld Winkel">
<link rel="stylesheet" href="http://fonts.googleapis.com/css?family=Inter">
<script async src="http://www.googletagmanager.com/gtag/js?id=G-VOORBEELD"></script>
<script>window.dataLayer = []; function gtag() { dataLayer.push(arguments); } gtag("config", "G-VOORBEELD");
document.cookie = "_ga=GA1.1.%(secret)s; max-age=34560000; path=/";</script>
<script>!function(f){f.fbq=function(){}}(window); fbq("init", "1");
localStorage.setItem("winkelmand_id", "%(secret)s");</script>
<script src="http://statistiek.onbekend.example/teller.js?id=%(secret)s"></script></head>
<body><h1>%(title)s</h1><nav><a href="/">Winkel</a> <a href="/over-ons">Over ons</a> <a href="/artikel">Artikel</a>
<a href="/wp-login.php?action=logout">Uitloggen</a> <a href="/prijzen.pdf">Prijzen</a>
<a href="http://elders.example/">Elders</a></nav>
<p style="height:1500px">Tekst.</p><img src="http://static.voorbeeld-winkel.example/a.png" alt="">
<iframe loading="lazy" src="http://www.youtube.com/embed/abc"></iframe>
<footer>&copy; 2009-2024 Voorbeeld Winkel B.V. | KvK 00000000 | <a href="mailto:vraag@voorbeeld-winkel.example">mail</a>
<a href="/privacy">Privacyverklaring</a></footer>%(banner)s</body></html>"""
DARK = """<div id="CybotCookiebotDialog" style="position:fixed;bottom:0;left:0;right:0;background:#fff;padding:20px">
<p>Wij gebruiken cookies voor de beste ervaring.</p>
<label><input type="checkbox" checked> Statistiek</label> <label><input type="checkbox" checked> Marketing</label>
<button id="CybotCookiebotDialogBodyLevelButtonLevelOptinAllowAll"
 style="background:#0a0;color:#fff;font-size:20px;padding:20px"
 onclick="document.cookie='CookieConsent=%s; max-age=31536000; path=/';this.parentNode.remove()">OK</button></div>
<script src="http://consent.cookiebot.com/uc.js"></script>
<script>if (document.cookie.includes("CookieConsent=")) {
  document.getElementById("CybotCookiebotDialog").remove();
  document.body.append(Object.assign(document.createElement("img"), { src: "http://" + "later.example/p.gif" }));
}</script>"""
LATER = "later.example"  # contacted after consent alone


async def shop(request: Request) -> Response:
    """A page of the shop; everything else on this server is other people's."""
    path = request.url.path
    if request.headers["host"].partition(":")[0] not in (SHOP, "127.0.0.1", "localhost"):
        return PlainTextResponse("", media_type="text/javascript")
    if path not in ("/", "/over-ons", "/artikel", "/privacy"):
        return PlainTextResponse("weg", 404)
    title = path.strip("/").capitalize() or "Winkel"
    answer = HTMLResponse(PAGE % {"title": title, "secret": SECRET, "banner": DARK % SECRET})
    answer.set_cookie("PHPSESSID", SECRET, httponly=True)
    answer.set_cookie("_fbp", SECRET, max_age=90 * 86_400)
    answer.set_cookie("sessionid", SECRET)
    answer.set_cookie("raadsel", SECRET, max_age=3600)
    return answer


async def around(_request: Request) -> Response:
    """A redirect that leads back to itself."""
    return RedirectResponse("/rond")


async def paper(_request: Request) -> Response:
    """A document where a page was expected."""
    return Response(b"%PDF-1.7", media_type="application/pdf")


async def away(_request: Request) -> Response:
    """A redirect to another site."""
    return RedirectResponse("http://elders.example/")


async def gone(_request: Request) -> Response:
    """Removes a cookie, which sets none."""
    answer = PlainTextResponse("", media_type="text/html")
    answer.delete_cookie("raadsel")
    return answer


TWO_LAYERS = """<!DOCTYPE html><html lang="de"><title>Beispiel Verein</title><body><h1>Beispiel Verein</h1>
<a id="again" href="#" onclick="show('two')">Cookie-Einstellungen</a>
<div id="one" role="dialog" aria-label="Cookies" style="position:fixed;bottom:0;background:#fff" hidden>
<p>Beispiel Verein verwendet Cookies. Die Einwilligung können Sie jederzeit widerrufen.</p>
<button onclick="show('two')">Einstellungen</button> <button onclick="choose(true)">Alle akzeptieren</button></div>
<div id="two" role="dialog" aria-label="Einstellungen" style="position:fixed;top:0;background:#fff" hidden><p>Cookies</p>
<label><input type="checkbox" checked> Statistik</label> <button onclick="choose(box.checked)">Auswahl speichern</button></div>
<script>
const box = document.querySelector("input");
const show = (id) => { for (const one of ["one", "two"]) document.getElementById(one).hidden = one !== id; };
const measure = () => { document.cookie = "_pk_id.1=1; max-age=33696000; path=/"; };
const choose = (yes) => {
  document.cookie = `klaro=${yes}; max-age=${yes ? 31536000 : 86400}; path=/`;
  show("");
  if (yes) measure();
};
if (document.cookie.includes("klaro=true")) measure();
else if (!document.cookie.includes("klaro=")) show("one");
</script></body></html>"""


async def two_layers(_request: Request) -> Response:
    """A banner that refuses on its second layer only, forgets a refusal after a day, and leaves cookies after withdrawing."""
    return HTMLResponse(TWO_LAYERS)


async def forbidding(_request: Request) -> Response:
    """A page whose policy forbids what it wants to load; one image is allowed."""
    policy = {"content-security-policy": "default-src 'self'; img-src *.localhost:*"}
    return HTMLResponse(
        '<script src="http://a.localhost:9/x.js"></script><img src="http://b.localhost:9/x.png">', headers=policy
    )


@contextmanager
def shop_server() -> Iterator[int]:
    """The port on which the shop and all that it calls in are served."""
    routes = [
        Route("/weg", away),
        Route("/leeg", gone),
        Route("/rond", around),
        Route("/blad", paper),
        Route("/streng", forbidding),
        Route("/verein", two_layers),
        Route("/{rest:path}", shop),
    ]
    server = LoopbackServer(Starlette(routes=routes))
    server.start()
    try:
        yield server.port
    finally:
        server.stop()
