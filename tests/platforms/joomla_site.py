"""Joomla 5: sessions whose names are sums that differ by site and between site and back office, form tokens, being remembered;
Google Analytics, a map and a film on it."""

import hashlib
import secrets
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tests.platforms.platform_world import Modelled, Visitor, hidden_fields, html_page, is_secure, sent_fields, serving


def _sum(text: str) -> str:
    return hashlib.md5(f"geheim{text}".encode(), usedforsecurity=False).hexdigest()


SITE, OFFICE = _sum("SiteApplication"), _sum("AdministratorApplication")
REMEMBER = f"joomla_remember_me_{_sum('remember')}"
GTAG = "https://www.googletagmanager.com/gtag/js?id=G-VOORBEELD5"
MAP = "https://www.google.com/maps/embed?pb=!1m18!1m12!1m3!1d2436"
FILM = "https://www.youtube.com/embed/voorbeeld-05?rel=0"
HEAD = f"""<meta charset="utf-8"><meta name="generator" content="Joomla! - Open Source Content Management">
<title>Voorbeeld</title>
<link href="/media/templates/site/cassiopeia/css/template.min.css?278a0f" rel="stylesheet">
<script type="application/json" class="joomla-script-options new">{{"system.paths":{{"root":"",
"rootFull":"https:\\/\\/www.example.org\\/"}},"csrf.token":"%s"}}</script>
<script src="/media/system/js/core.min.js?a3d8f8"></script>
<script src="/media/vendor/bootstrap/js/collapse.min.js?5.3.3" type="module"></script>
<script async src="{GTAG}"></script><script>window.dataLayer = window.dataLayer || [];
function gtag(){{dataLayer.push(arguments);}} gtag('js', new Date()); gtag('config', 'G-VOORBEELD5');</script>"""
FOOT = f"""<iframe src="{MAP}" width="600" height="450" title="Kaart"></iframe>
<div class="avPlayerWrapper"><iframe src="{FILM}" title="Film"></iframe></div>"""


@dataclass
class _Session:
    user: str = ""
    token: str = field(default_factory=lambda: secrets.token_hex(16))


class Joomla:
    """The site, with its sessions and who is remembered."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._remembered: set[str] = set()

    def app(self) -> Starlette:
        """Its addresses."""
        both = ["GET", "POST"]
        return Starlette(
            routes=[
                Route("/", self.front),
                Route("/component/users/login", self.login, methods=both),
                Route("/component/users/profile", self.profile),
                Route("/contact", self.contact, methods=both),
                Route("/administrator/", self.office),
                Route("/administrator/index.php", self.office, methods=both),
            ]
        )

    async def front(self, request: Request) -> Response:
        answer = self._page(request, '<a href="/contact">Contact</a> <a href="/component/users/login">Inloggen</a>')
        answer.set_cookie("_ga", "GA1.1.1.1", 63_072_000)
        return answer

    async def login(self, request: Request) -> Response:
        action = "/component/users/login"
        if request.method == "GET":
            return self._page(request, self._form(request, action))
        fields = await sent_fields(request)
        if not self._is_valid(request, fields):
            return self._page(request, "Het beveiligingstoken is ongeldig.", 403)
        moved = RedirectResponse("/component/users/profile", 303)
        self._begin(request, moved, _Session("anna"))
        moved.set_cookie("joomla_user_state", "logged_in", httponly=True, secure=is_secure(request))
        if fields.get("remember") == "yes":
            remembered = f"{secrets.token_hex(10)}.{secrets.token_hex(8)}"
            self._remembered.add(remembered)
            moved.set_cookie(REMEMBER, remembered, 5_184_000, httponly=True, secure=is_secure(request))
        return moved

    async def profile(self, request: Request) -> Response:
        session = self._session(request)
        if not session.user and request.cookies.get(REMEMBER, "") in self._remembered:
            return self._page(request, "<h1>anna, herkend</h1>")
        return self._page(request, f"<h1>{session.user or 'niemand'}</h1>")

    async def contact(self, request: Request) -> Response:
        if request.method == "GET":
            return self._page(request, self._form(request, "/contact"))
        valid = self._is_valid(request, await sent_fields(request))
        return self._page(request, "Dank voor uw bericht." if valid else "Token ongeldig.", 200 if valid else 403)

    async def office(self, request: Request) -> Response:
        """The back office has a session of its own, under another name."""
        session = self._sessions.get(request.cookies.get(OFFICE, ""))
        action = "/administrator/index.php"
        if request.method == "POST" and session and session.token in await sent_fields(request):
            moved = RedirectResponse(action, 303)
            self._begin(request, moved, _Session("redacteur"), OFFICE)
            return moved
        if session and session.user:
            return html_page("", f"<h1>Beheer: {session.user}</h1>")
        session = session or _Session()
        answer = html_page(HEAD % session.token, FORM % (action, session.token))
        self._begin(request, answer, session, OFFICE)
        return answer

    def _form(self, request: Request, action: str) -> str:
        return FORM % (action, self._session(request).token)

    def _is_valid(self, request: Request, fields: dict[str, str]) -> bool:
        """The token is the name of a field."""
        return fields.get(self._session(request).token) == "1"

    def _session(self, request: Request) -> _Session:
        """As it came in, or a new one that this request keeps."""
        if not hasattr(request.state, "session"):
            request.state.session = self._sessions.get(request.cookies.get(SITE, "")) or _Session()
        found: _Session = request.state.session
        return found

    def _begin(self, request: Request, answer: Response, session: _Session, name: str = SITE) -> None:
        key = secrets.token_hex(16)
        self._sessions[key] = session
        answer.set_cookie(name, key, httponly=True, secure=is_secure(request))

    def _page(self, request: Request, body: str, status: int = 200) -> Response:
        session = self._session(request)
        answer = html_page(HEAD % session.token, body + FOOT, status)
        answer.headers["Expires"] = "Wed, 17 Aug 2005 00:00:00 GMT"
        if request.cookies.get(SITE, "") not in self._sessions:
            self._begin(request, answer, session)
        return answer


FORM = """<form action="%s" method="post"><input name="username"><input type="hidden" name="option" value="com_users">
<input type="hidden" name="%s" value="1"></form>"""


def walk(visitor: Visitor) -> None:
    """Write to the firm, log in and be remembered; as an editor, log in to the back office."""
    visitor.post("/contact", {secrets.token_hex(16): "1"}, 403)
    assert "Dank voor uw bericht" in visitor.submit(visitor.get("/contact"), "/contact", {"username": "anna"})
    login = visitor.get("/component/users/login")
    assert "option" in hidden_fields(login, "/component/users/login")
    fields = {"username": "anna", "remember": "yes"}
    assert "<h1>anna</h1>" in visitor.submit(login, "/component/users/login", fields)
    visitor.forget(SITE, "joomla_user_state")
    assert "anna, herkend" in visitor.get("/component/users/profile")
    visitor.submit(visitor.get("/component/users/login"), "/component/users/login", {})
    action = "/administrator/index.php"
    assert "Beheer: redacteur" in visitor.submit(visitor.get("/administrator/"), action, {"username": "redacteur"})


JOOMLA = Modelled(
    name="joomla",
    open=serving(lambda: Joomla().app()),
    walk=walk,
    needed=(SITE, OFFICE, REMEMBER, "joomla_user_state"),
    optional=("_ga",),
    tags=(GTAG, MAP, FILM),
    scripts=("gtag('config'",),
    works=("/media/system/js/core.min.js?a3d8f8", "/media/templates/site/cassiopeia/css/template.min.css?278a0f"),
    contacts=("www.googletagmanager.com", "www.google.com", "www.youtube.com"),
)
