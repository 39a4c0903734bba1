"""Laravel 12 with Livewire: a session named after the application, tokens for forms and for scripts, "remember me"; Meta's
pixel and Hotjar on it."""

import secrets
from dataclasses import dataclass, field
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tests.platforms.platform_world import Modelled, Visitor, hidden_fields, html_page, is_secure, sent_fields, serving

SESSION = "voorbeeld_incasso_session"  # from APP_NAME="Voorbeeld Incasso"
REMEMBER = "remember_web_59ba36addc2b2f9401580f014c7f58ea4e30989d"
PIXEL = "https://www.facebook.com/tr?id=1234567890&ev=PageView&noscript=1"
HEAD = """<meta charset="utf-8"><meta name="csrf-token" content="{token}"><title>Voorbeeld Incasso</title>
<link rel="preload" as="style" href="/build/assets/app-Bc3d.css"><link rel="stylesheet" href="/build/assets/app-Bc3d.css">
<script type="module" src="/build/assets/app-D4e5.js"></script>
<script>!function(f,b,e,v,n,t,s){{if(f.fbq)return;n=f.fbq=function(){{n.callMethod?n.callMethod.apply(n,arguments):
n.queue.push(arguments)}};t=b.createElement(e);t.async=!0;t.src=v;s=b.getElementsByTagName(e)[0];
s.parentNode.insertBefore(t,s)}}(window,document,'script','https://connect.facebook.net/en_US/fbevents.js');
fbq('init', '1234567890'); fbq('track', 'PageView');</script>
<script>(function(h,o,t,j,a,r){{h.hj=h.hj||function(){{(h.hj.q=h.hj.q||[]).push(arguments)}};
h._hjSettings={{hjid:123456,hjsv:6}};a=o.getElementsByTagName('head')[0];r=o.createElement('script');r.async=1;
r.src=t+h._hjSettings.hjid+j+h._hjSettings.hjsv;a.appendChild(r);
}})(window,document,'https://static.hotjar.com/c/hotjar-','.js?sv=');</script>"""
FOOT = f"""<noscript><img height="1" width="1" src="{PIXEL.replace("&", "&amp;")}"></noscript>
<div wire:snapshot="{{&quot;data&quot;:{{&quot;count&quot;:0}}}}" wire:id="AbC1">0</div>
<script src="/livewire/livewire.min.js?id=df3a17f2" data-csrf="x" data-update-uri="/livewire/update"></script>"""


@dataclass
class _Session:
    user: str = ""
    basket: int = 0
    token: str = field(default_factory=lambda: secrets.token_hex(20))


class Laravel:
    """The site, with its sessions and who is remembered."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._remembered: set[str] = set()

    def app(self) -> Starlette:
        """Its addresses; each page belongs to a session, begun where there is none."""
        both = ["GET", "POST"]
        return Starlette(
            routes=[Route("/", self.front)]
            + [Route(f"/{name}", getattr(self, name), methods=both) for name in ("login", "mandje", "mijn", "livewire")]
        )

    async def front(self, request: Request) -> Response:
        return self._answer(request, '<a href="/login">Inloggen</a> <a href="/mandje">Mandje</a>')

    async def login(self, request: Request) -> Response:
        form = '<form method="POST" action="/login">{csrf}<input name="email"><input name="remember" type="checkbox"></form>'
        if request.method == "GET":
            return self._answer(request, form)
        if not await self._is_valid(request):
            return self._expired()
        answer = RedirectResponse("/mijn", 302)
        self._set(request, answer, _Session("anna"))
        remembered = f"1|{secrets.token_hex(30)}"
        self._remembered.add(remembered)
        answer.set_cookie(REMEMBER, remembered, 34_560_000, secure=is_secure(request), httponly=True, samesite="lax")
        return answer

    async def mandje(self, request: Request) -> Response:
        if request.method == "POST":
            if not await self._is_valid(request):
                return self._expired()
            self._session(request).basket += 1
        basket = self._session(request).basket
        return self._answer(request, f'<p>{basket} in mandje</p><form method="POST" action="/mandje">{{csrf}}</form>')

    async def mijn(self, request: Request) -> Response:
        session = self._session(request)
        if not session.user and request.cookies.get(REMEMBER, "").strip('"') in self._remembered:
            return self._answer(request, "<h1>anna, herkend</h1>")
        return self._answer(request, f"<h1>{session.user or 'niemand'}</h1>")

    async def livewire(self, request: Request) -> Response:
        """What scripts send: they read the token from a cookie and send it in a header."""
        sent = unquote(request.headers.get("x-xsrf-token", ""))
        return Response('{"ok":true}') if sent == self._session(request).token else self._expired()

    async def _is_valid(self, request: Request) -> bool:
        return (await sent_fields(request)).get("_token") == self._session(request).token

    def _expired(self) -> Response:
        return html_page("", "Page Expired", 419)

    def _session(self, request: Request) -> _Session:
        return self._sessions.get(request.cookies.get(SESSION, ""), _Session())

    def _answer(self, request: Request, body: str) -> Response:
        session = self._session(request)
        hidden = f'<input type="hidden" name="_token" value="{session.token}" autocomplete="off">'
        answer = html_page(HEAD.format(token=session.token), body.replace("{csrf}", hidden) + FOOT)
        answer.headers["Cache-Control"] = "no-cache, private"
        self._set(request, answer, session)
        answer.set_cookie("_fbp", "fb.1.1.1", 7_776_000)
        return answer

    def _set(self, request: Request, answer: Response, session: _Session) -> None:
        """Both cookies go out anew with each answer."""
        key, secure = request.cookies.get(SESSION, ""), is_secure(request)
        if self._sessions.get(key) is not session:
            key = secrets.token_hex(20)
            self._sessions[key] = session
        answer.set_cookie("XSRF-TOKEN", session.token, 7200, secure=secure, samesite="lax")
        answer.set_cookie(SESSION, key, 7200, secure=secure, httponly=True, samesite="lax")


def walk(visitor: Visitor) -> None:
    """Fill the basket, send a script's request, log in, and be known again when the session is over."""
    visitor.post("/mandje", {"_token": "verzonnen"}, 419)
    page = visitor.get("/mandje")
    for count in (1, 2):
        page = visitor.submit(page, "/mandje", {})
        assert f"{count} in mandje" in page
    token = {"x-xsrf-token": visitor.cookies.get("XSRF-TOKEN", "")}
    assert visitor.post("/livewire", {}, headers=token) == '{"ok":true}'
    assert hidden_fields(page, "/mandje")["_token"]
    assert "<h1>anna</h1>" in visitor.submit(visitor.get("/login"), "/login", {"email": "a", "remember": "on"})
    visitor.forget(SESSION, "XSRF-TOKEN")
    assert "anna, herkend" in visitor.get("/mijn")


LARAVEL = Modelled(
    name="laravel",
    open=serving(lambda: Laravel().app()),
    walk=walk,
    needed=(SESSION, "XSRF-TOKEN", REMEMBER),
    optional=("_fbp",),
    tags=(PIXEL,),
    scripts=("fbq('init'", "_hjSettings"),
    contacts=("connect.facebook.net", "static.hotjar.com"),
    works=("/build/assets/app-D4e5.js", "/build/assets/app-Bc3d.css", "/livewire/livewire.min.js?id=df3a17f2"),
)
