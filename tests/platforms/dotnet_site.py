"""ASP.NET Core with Identity on IIS in Azure: antiforgery tokens, session, messages between pages, culture; Application
Insights and Clarity on it."""

import secrets

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tests.platforms.platform_world import Modelled, Visitor, html_page, is_secure, sent_fields, serving

FORGERY, SESSION = ".AspNetCore.Antiforgery.Zx8_voorbE", ".AspNetCore.Session"
IDENTITY, CULTURE = ".AspNetCore.Identity.Application", ".AspNetCore.Culture"
MESSAGE = ".AspNetCore.Mvc.CookieTempDataProvider"
HEAD = """<meta charset="utf-8"><title>Mijn dossier</title><link rel="stylesheet" href="/css/site.css?v=AKvNjO3dCP">
<script src="/lib/jquery/dist/jquery.min.js"></script>
<script type="text/javascript">!function(T,l,y){var a=l.createElement("script");a.src=y.src;l.head.appendChild(a);
T.appInsights=T.appInsights||{queue:[]}}(window,document,{src:"https://js.monitor.azure.com/scripts/b/ai.3.gbl.min.js",
cfg:{connectionString:"InstrumentationKey=00000000"}});</script>
<script type="text/javascript">(function(c,l,a,r,i,t,y){c[a]=c[a]||function(){(c[a].q=c[a].q||[]).push(arguments)};
t=l.createElement(r);t.async=1;t.src="https://www.clarity.ms/tag/"+i;y=l.getElementsByTagName(r)[0];
y.parentNode.insertBefore(t,y);})(window, document, "clarity", "script", "voorbeeld1");</script>"""


class DotNet:
    """The site, with its sessions."""

    def __init__(self) -> None:
        self._sessions: dict[str, int] = {}
        self._tokens: dict[str, str] = {}

    def app(self) -> Starlette:
        """Its addresses."""
        both = ["GET", "POST"]
        return Starlette(
            routes=[
                Route("/", self.front),
                Route("/Identity/Account/Login", self.login, methods=both),
                Route("/Dossier", self.file),
                Route("/Mandje", self.basket, methods=both),
                Route("/Home/SetLanguage", self.language, methods=["POST"]),
            ]
        )

    async def front(self, request: Request) -> Response:
        dutch = "uic=nl" in request.cookies.get(CULTURE, "")
        answer = self._form(request, "/Home/SetLanguage", "Welkom" if dutch else "Welcome")
        for name in ("ai_user", "ai_session", "_clck", "_clsk"):
            answer.set_cookie(name, "x", 9000)
        return answer

    async def login(self, request: Request) -> Response:
        if request.method == "GET":
            return self._form(request, "/Identity/Account/Login", "Inloggen")
        if not await self._is_valid(request):
            return self._page("", 400)
        moved = RedirectResponse("/Dossier", 302)
        moved.set_cookie(IDENTITY, f"CfDJ8{secrets.token_urlsafe(40)}", httponly=True, secure=True, samesite="lax")
        moved.set_cookie(MESSAGE, "CfDJ8ingelogd", httponly=True, samesite="lax")
        return moved

    async def file(self, request: Request) -> Response:
        """The message of the page before shows once."""
        told = "U bent ingelogd." if MESSAGE in request.cookies else ""
        answer = self._page(f"<h1>Dossier</h1>{told}" if IDENTITY in request.cookies else "Inloggen")
        answer.delete_cookie(MESSAGE)
        return answer

    async def basket(self, request: Request) -> Response:
        if request.method == "GET":
            return self._form(request, "/Mandje", "Mandje")
        if not await self._is_valid(request):
            return self._page("", 400)
        key = request.cookies.get(SESSION, "")
        key = key if key in self._sessions else f"CfDJ8{secrets.token_hex(30)}"
        self._sessions[key] = self._sessions.get(key, 0) + 1
        answer = self._form(request, "/Mandje", f"{self._sessions[key]} in mandje")
        answer.set_cookie(SESSION, key, httponly=True, samesite="lax")
        return answer

    async def language(self, request: Request) -> Response:
        if not await self._is_valid(request):
            return self._page("", 400)
        moved = RedirectResponse("/", 302)
        moved.set_cookie(CULTURE, "c=nl-NL|uic=nl-NL", 31_536_000)
        return moved

    async def _is_valid(self, request: Request) -> bool:
        """The field's token belongs to the cookie's."""
        sent = (await sent_fields(request)).get("__RequestVerificationToken", "")
        return bool(sent) and self._tokens.get(request.cookies.get(FORGERY, "")) == sent

    def _form(self, request: Request, action: str, body: str) -> Response:
        cookie = request.cookies.get(FORGERY, "")
        cookie = cookie if cookie in self._tokens else f"CfDJ8{secrets.token_hex(24)}"
        token = self._tokens.setdefault(cookie, f"CfDJ8{secrets.token_hex(30)}")
        field = f'<input type="hidden" name="__RequestVerificationToken" value="{token}">'
        answer = self._page(f'<h1>{body}</h1><form action="{action}" method="post">{field}</form>')
        if cookie not in request.cookies.values():
            answer.set_cookie(FORGERY, cookie, httponly=True, samesite="strict")
        if "ARRAffinity" not in request.cookies:
            answer.set_cookie("ARRAffinity", secrets.token_hex(32), httponly=True, secure=is_secure(request))
            answer.set_cookie("ARRAffinitySameSite", secrets.token_hex(32), httponly=True, secure=True, samesite="none")
        return answer

    def _page(self, body: str, status: int = 200) -> Response:
        answer = html_page(HEAD, body, status)
        answer.headers.update({"Server": "Microsoft-IIS/10.0", "X-Powered-By": "ASP.NET"})
        return answer


def walk(visitor: Visitor) -> None:
    """Fill the basket, choose a language, log in and read the message once."""
    visitor.post("/Mandje", {"__RequestVerificationToken": "verzonnen"}, 400)
    page = visitor.get("/Mandje")
    for count in (1, 2):
        page = visitor.submit(page, "/Mandje", {})
        assert f"{count} in mandje" in page
    assert "Welkom" in visitor.submit(visitor.get("/"), "/Home/SetLanguage", {"culture": "nl-NL"})
    login = visitor.get("/Identity/Account/Login")
    assert "U bent ingelogd." in visitor.submit(login, "/Identity/Account/Login", {"Input.Email": "a"})
    assert "U bent ingelogd." not in visitor.get("/Dossier")


DOTNET = Modelled(
    name="dotnet",
    open=serving(lambda: DotNet().app()),
    walk=walk,
    needed=(FORGERY, SESSION, IDENTITY, CULTURE, "ARRAffinity", "ARRAffinitySameSite"),
    optional=("ai_user", "ai_session", "_clck", "_clsk"),
    tags=(),
    scripts=("appInsights", '"clarity", "script"'),
    works=("/lib/jquery/dist/jquery.min.js", "/css/site.css?v=AKvNjO3dCP"),
    contacts=("js.monitor.azure.com", "www.clarity.ms"),
)
