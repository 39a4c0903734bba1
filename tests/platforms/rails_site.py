"""Ruby on Rails 8 with Turbo: a session that is the cookie itself, form tokens, messages between pages, the generated log-in,
an import map; Ahoy, Intercom and Google Analytics on it."""

import base64
import hashlib
import hmac
import json
import secrets
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tests.platforms.platform_world import Modelled, Visitor, html_page, is_secure, sent_fields, serving

SESSION, SIGNED_IN = "_voorbeeld_session", "session_id"
SECRET = b"secret_key_base"
PERMANENT = 20 * 365 * 86_400
GTAG = "https://www.googletagmanager.com/gtag/js?id=G-VOORBEELD4"
HEAD = """<title>Voorbeeld</title><meta name="csrf-param" content="authenticity_token" />
<meta name="csrf-token" content="%(token)s" />
<link rel="stylesheet" href="/assets/application-8b441ae0.css" data-turbo-track="reload">
<script type="importmap" data-turbo-track="reload">{"imports": {"application": "/assets/application-bfcdf840.js",
"@hotwired/turbo-rails": "/assets/turbo.min-1d1c3d58.js"}}</script>
<link rel="modulepreload" href="/assets/application-bfcdf840.js">
<link rel="modulepreload" href="/assets/turbo.min-1d1c3d58.js"><script type="module">import "application"</script>
<script async src="https://www.googletagmanager.com/gtag/js?id=G-VOORBEELD4" data-turbo-track="reload"></script>
<script>window.dataLayer = window.dataLayer || [];function gtag(){dataLayer.push(arguments);}
document.addEventListener("turbo:load", () => gtag("config", "G-VOORBEELD4", {page_location: location.href}));
gtag("js", new Date());</script>
<script>window.intercomSettings = {app_id: "voorbeeld"};(function(){var s=document.createElement("script");s.async=true;
s.src="https://widget.intercom.io/widget/voorbeeld";document.head.appendChild(s);})();</script>"""
FORM = """<form action="%(action)s" accept-charset="UTF-8" method="post">%(method)s
<input type="hidden" name="authenticity_token" value="%(token)s" autocomplete="off" />%(fields)s</form>"""
STREAM = '<turbo-stream action="update" target="cart"><template>%d in mandje</template></turbo-stream>'


def _seal(content: object) -> str:
    text = base64.b64encode(json.dumps(content).encode()).decode()
    return f"{text}--{hmac.digest(SECRET, text.encode(), 'sha1').hex()}"


def _unseal(cookie: str) -> Any:
    text, _, seal = cookie.strip('"').partition("--")
    good = hmac.compare_digest(hmac.digest(SECRET, text.encode(), "sha1").hex(), seal)
    return json.loads(base64.b64decode(text)) if good else {}


class Rails:
    """The site; what it knows of a visitor stands in the visitor's cookies."""

    def app(self) -> Starlette:
        """Its addresses."""
        both = ["GET", "POST"]
        return Starlette(
            routes=[
                Route("/", self.front),
                Route("/session/new", self.sign_in),
                Route("/session", self.begin, methods=["POST"]),
                Route("/account", self.account),
                Route("/line_items", self.basket, methods=both),
            ]
        )

    async def front(self, request: Request) -> Response:
        answer = self._page(request, '<a href="/session/new">Inloggen</a> <a href="/line_items">Mandje</a>')
        for name in ("ahoy_visit", "ahoy_visitor"):
            answer.set_cookie(name, secrets.token_hex(16), 63_072_000)
        return answer

    async def sign_in(self, request: Request) -> Response:
        return self._page(request, self._form(request, "/session", '<input name="email_address">'))

    async def begin(self, request: Request) -> Response:
        if not await self._is_valid(request):
            return html_page("", "Can't verify CSRF token authenticity.", 422)
        moved = RedirectResponse("/account", 302)
        self._keep(request, moved, self._session(request) | {"flash": "Welkom terug"})
        secure = is_secure(request)
        moved.set_cookie(SIGNED_IN, _seal({"id": 7}), PERMANENT, secure=secure, httponly=True, samesite="lax")
        return moved

    async def account(self, request: Request) -> Response:
        """A message is shown once."""
        if _unseal(request.cookies.get(SIGNED_IN, "")) != {"id": 7}:
            return RedirectResponse("/session/new", 302)
        session = self._session(request)
        told = session.pop("flash", "")
        answer = html_page("", f"<h1>anna</h1><p>{told or 'niets nieuws'}</p>")
        self._keep(request, answer, session)
        return answer

    async def basket(self, request: Request) -> Response:
        """By a form, or by Turbo, which sends the token of the page's head and wants a part of the page."""
        session = self._session(request)
        count = session.get("basket", 0)
        if request.method == "GET":
            form = self._form(request, "/line_items", '<input type="hidden" name="product_id" value="1">')
            return self._page(request, f'<p id="cart">{count} in mandje</p>{form}')
        if not await self._is_valid(request):
            return html_page("", "Can't verify CSRF token authenticity.", 422)
        streamed = "text/vnd.turbo-stream.html" in request.headers["accept"]
        answer: Response = RedirectResponse("/line_items", 303)
        if streamed:
            answer = Response(STREAM % (count + 1), media_type="text/vnd.turbo-stream.html")
        self._keep(request, answer, session | {"basket": count + 1})
        return answer

    def _form(self, request: Request, action: str, fields: str) -> str:
        """Each form has a token of its own, from the session's."""
        return FORM % {"action": action, "method": "", "token": self._token(request), "fields": fields}

    async def _is_valid(self, request: Request) -> bool:
        sent = request.headers.get("x-csrf-token") or (await sent_fields(request)).get("authenticity_token", "")
        seed = self._session(request).get("seed", "")
        mask, _, masked = sent.partition(".")
        return bool(seed) and masked == hashlib.sha256(f"{mask}{seed}".encode()).hexdigest()

    def _token(self, request: Request) -> str:
        mask, seed = secrets.token_hex(8), self._session(request)["seed"]
        return f"{mask}.{hashlib.sha256(f'{mask}{seed}'.encode()).hexdigest()}"

    def _session(self, request: Request) -> dict[str, Any]:
        """As it came in, or a new one that this request keeps."""
        if not hasattr(request.state, "session"):
            request.state.session = _unseal(request.cookies.get(SESSION, "")) or {"seed": secrets.token_hex(16)}
        found: dict[str, Any] = request.state.session
        return found

    def _keep(self, request: Request, answer: Response, session: dict[str, Any]) -> None:
        secure = is_secure(request)
        answer.set_cookie(SESSION, _seal(session), secure=secure, httponly=True, samesite="lax")

    def _page(self, request: Request, body: str) -> Response:
        answer = html_page(HEAD % {"token": self._token(request)}, body)
        answer.headers["X-Request-Id"] = secrets.token_hex(8)
        self._keep(request, answer, self._session(request))
        return answer


def walk(visitor: Visitor) -> None:
    """Fill the basket by form and by Turbo, log in, and be greeted once."""
    page = visitor.get("/line_items")
    visitor.post("/line_items", {"authenticity_token": "verzonnen"}, 422)
    assert "1 in mandje" in visitor.submit(page, "/line_items", {})
    token = visitor.get("/").partition('name="csrf-token" content="')[2].partition('"')[0]
    turbo = {"x-csrf-token": token, "accept": "text/vnd.turbo-stream.html, text/html, application/xhtml+xml"}
    assert visitor.post("/line_items", {"product_id": "1"}, headers=turbo) == STREAM % 2
    account = visitor.submit(visitor.get("/session/new"), "/session", {"email_address": "anna"})
    assert "<h1>anna</h1><p>Welkom terug</p>" in account
    assert "niets nieuws" in visitor.get("/account")
    visitor.forget(SESSION)
    assert "<h1>anna</h1>" in visitor.get("/account")


RAILS = Modelled(
    name="rails",
    open=serving(lambda: Rails().app()),
    walk=walk,
    needed=(SESSION, SIGNED_IN),
    optional=("ahoy_visit", "ahoy_visitor"),
    tags=(GTAG,),
    scripts=('gtag("config"', "intercomSettings"),
    works=("/assets/application-8b441ae0.css", "/assets/application-bfcdf840.js", 'import "application"'),
    contacts=("www.googletagmanager.com", "widget.intercom.io"),
)
