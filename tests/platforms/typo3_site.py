"""TYPO3 13: sessions of frontend and backend, the nonce that a log-in form is signed with, forms of several steps; Google Tag
Manager, Matomo on a host of its own, a video without cookies and a map on it."""

import secrets
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tests.platforms.platform_world import Modelled, Visitor, html_page, is_secure, sent_fields, serving

FILM = "https://www.youtube-nocookie.com/embed/voorbeeld-02?autohide=1&controls=1&enablejsapi=1"
MAP = "https://www.google.com/maps/embed?pb=!1m18!1m12!voorbeeld"
GTM_FRAME = "https://www.googletagmanager.com/ns.html?id=GTM-VRBLD3"
HEAD = """<meta charset="utf-8">
<!-- This website is powered by TYPO3 - inspiring people to share! -->
<title>Voorbeeld</title><meta name="generator" content="TYPO3 CMS">
<link rel="stylesheet" href="/typo3temp/assets/compressed/merged-a1b2.css?1700000000">
<script src="/_assets/0a1b/JavaScript/site.js?1700000000"></script>
<script>(function(w,d,s,l,i){w[l]=w[l]||[];w[l].push({'gtm.start':new Date().getTime(),event:'gtm.js'});
var f=d.getElementsByTagName(s)[0],j=d.createElement(s);j.async=true;
j.src='https://www.googletagmanager.com/gtm.js?id='+i;f.parentNode.insertBefore(j,f);
})(window,document,'script','dataLayer','GTM-VRBLD3');</script>
<script>var _paq = window._paq = window._paq || []; _paq.push(['trackPageView']); (function() {
var u="//matomo.voorbeeld.example/"; _paq.push(['setTrackerUrl', u+'matomo.php']);
var d=document, g=d.createElement('script'); g.async=true; g.src=u+'matomo.js'; d.head.appendChild(g);})();</script>"""
FOOT = f"""<noscript><iframe src="{GTM_FRAME}" height="0" width="0"></iframe></noscript>
<div class="video-embed"><iframe src="{FILM.replace("&", "&amp;")}" allowfullscreen></iframe></div>
<iframe src="{MAP}" loading="lazy"></iframe>
<noscript><img src="//matomo.voorbeeld.example/matomo.php?idsite=1&amp;rec=1" alt=""></noscript>"""


@dataclass
class _Session:
    user: str = ""
    basket: int = 0
    step: str = ""


class Typo3:
    """The site, with its sessions."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}

    def app(self) -> Starlette:
        """Its addresses."""
        both = ["GET", "POST"]
        return Starlette(
            routes=[
                Route("/", self.front),
                Route("/login", self.login, methods=both),
                Route("/mijn", self.own),
                Route("/contact", self.contact, methods=both),
                Route("/winkel", self.shop, methods=both),
                Route("/typo3/login", self.backend, methods=both),
                Route("/typo3/main", self.backend_main),
            ]
        )

    async def front(self, _request: Request) -> Response:
        answer = self._page('<a href="/login">Inloggen</a> <a href="/contact">Contact</a>')
        answer.set_cookie("_pk_id.1.1fff", "x", 33_955_200)
        answer.set_cookie("_pk_ses.1.1fff", "1", 1800)
        return answer

    async def login(self, request: Request) -> Response:
        """The form's token is signed with a nonce, which the browser brings back in a cookie."""
        nonces = {
            name: value for name, value in request.cookies.items() if name.startswith(self._nonce_prefix(request))
        }
        if request.method == "GET":
            nonce = secrets.token_urlsafe(24)
            body = f"""<form action="/login" method="post"><input name="user"><input name="pass">
<input type="hidden" name="logintype" value="login"><input type="hidden" name="pid" value="12@0a1b">
<input type="hidden" name="__RequestToken" value="signed-with-{nonce}"></form>"""
            answer = self._page(body)
            name = f"{self._nonce_prefix(request)}{secrets.token_hex(16)}"
            answer.set_cookie(name, nonce, secure=is_secure(request), httponly=True, samesite="strict")
            return answer
        token = (await sent_fields(request)).get("__RequestToken", "")
        if token not in {f"signed-with-{nonce}" for nonce in nonces.values()}:
            return self._page("Aanmelden mislukt", 403)
        moved = RedirectResponse("/mijn", 303)
        self._keep(request, moved, _Session("anna"))
        return moved

    async def own(self, request: Request) -> Response:
        session = self._session(request, "fe_typo_user")
        return self._page(f"<h1>Dossier van {session.user}</h1>" if session and session.user else "Geen toegang")

    async def contact(self, request: Request) -> Response:
        """Two steps; what the first one said waits in the session."""
        session = self._session(request, "fe_typo_user")
        sent = await sent_fields(request) if request.method == "POST" else {}
        state = '<input type="hidden" name="tx_form_formframework[contact-7][__state]" value="O:40:x">'
        form = f'<form action="/contact" method="post">{state}'
        if "naam" in sent:
            answer = self._page(f'{form}<input name="bericht"></form>')
            session = session or _Session()
            session.step = sent["naam"]
            self._keep(request, answer, session)
            return answer
        if "bericht" in sent:
            name = session.step if session else ""
            return self._page(f"Dank u, {name}" if name else "Begin opnieuw", 200 if name else 403)
        return self._page(f'{form}<input name="naam"></form>')

    async def shop(self, request: Request) -> Response:
        session = self._session(request, "fe_typo_user") or _Session()
        session.basket += request.method == "POST"
        answer = self._page(f"In de mand: {session.basket}")
        self._keep(request, answer, session)
        return answer

    async def backend(self, request: Request) -> Response:
        if request.method == "GET":
            answer = self._page('<form action="/typo3/login" method="post"><input name="username"></form>')
            answer.set_cookie("be_lastLoginProvider", "1433416747", 7_776_000, path="/typo3/", httponly=True)
            return answer
        moved = RedirectResponse("/typo3/main", 303)
        self._keep(request, moved, _Session("redacteur"), "be_typo_user", "/typo3/")
        return moved

    async def backend_main(self, request: Request) -> Response:
        session = self._session(request, "be_typo_user")
        return self._page(f"<h1>Beheer: {session.user if session else 'niemand'}</h1>")

    def _page(self, body: str, status: int = 200) -> Response:
        answer = html_page(HEAD, f"{body}{FOOT}", status)
        answer.headers["X-TYPO3-Parsetime"] = "21ms"
        return answer

    def _nonce_prefix(self, request: Request) -> str:
        return "__Secure-typo3nonce_" if is_secure(request) else "typo3nonce_"

    def _session(self, request: Request, name: str) -> _Session | None:
        return self._sessions.get(request.cookies.get(name, ""))

    def _keep(
        self, request: Request, answer: Response, session: _Session, name: str = "fe_typo_user", path: str = "/"
    ) -> None:
        key = f"eyJ0eXAi.{secrets.token_urlsafe(24)}.x"
        self._sessions[key] = session
        answer.set_cookie(name, key, path=path, secure=is_secure(request), httponly=True, samesite="lax")


def walk(visitor: Visitor) -> None:
    """Fill the basket, send a form of two steps, log in as a customer and as an editor."""
    for count in (1, 2):
        assert f"In de mand: {count}" in visitor.post("/winkel", {"product": "1"})
    form = visitor.submit(visitor.get("/contact"), "/contact", {"naam": "Anna"})
    assert "Dank u, Anna" in visitor.submit(form, "/contact", {"bericht": "Hallo"})
    visitor.post("/login", {"user": "anna", "__RequestToken": "verzonnen"}, 403)
    assert "Dossier van anna" in visitor.submit(visitor.get("/login"), "/login", {"user": "anna", "pass": "x"})
    assert "Beheer: redacteur" in visitor.submit(visitor.get("/typo3/login"), "/typo3/login", {"username": "redacteur"})


TYPO3 = Modelled(
    name="typo3",
    open=serving(lambda: Typo3().app()),
    walk=walk,
    needed=("fe_typo_user", "be_typo_user", "be_lastLoginProvider", "__Secure-typo3nonce_"),
    optional=("_pk_id.1.1fff", "_pk_ses.1.1fff"),
    tags=(FILM, MAP, GTM_FRAME, "//matomo.voorbeeld.example/matomo.php?idsite=1&rec=1"),
    scripts=("gtm.start", "_paq.push"),
    contacts=("www.googletagmanager.com", "matomo.voorbeeld.example", "www.youtube-nocookie.com", "www.google.com"),
    works=("/_assets/0a1b/JavaScript/site.js?1700000000", "/typo3temp/assets/compressed/merged-a1b2.css?1700000000"),
)
