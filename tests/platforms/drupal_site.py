"""Drupal 10 with Commerce: sessions named after the host, form tokens, BigPipe, oEmbed frames of its own; Google Analytics,
a share bar and a video on it."""

import hashlib
import json
import secrets
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.platforms.platform_world import Modelled, Visitor, html_page, is_secure, sent_fields, serving

HEADERS = {
    "X-Generator": "Drupal 10 (https://www.drupal.org)",
    "X-Drupal-Dynamic-Cache": "MISS",
    "X-Content-Type-Options": "nosniff",
    "Expires": "Sun, 19 Nov 1978 05:00:00 GMT",
}
SETTINGS = {"path": {"baseUrl": "/", "currentPath": "node/1"}, "google_analytics": {"account": "G-VOORBEELD1"}}
GTAG = "https://www.googletagmanager.com/gtag/js?id=G-VOORBEELD1"
SHARE = "https://static.addtoany.com/menu/page.js"
FILM = "https://www.youtube.com/embed/voorbeeld-01?feature=oembed"
HEAD = f"""<meta charset="utf-8"><meta name="Generator" content="Drupal 10 (https://www.drupal.org)"><title>Voorbeeld</title>
<link rel="stylesheet" media="all" href="/sites/default/files/css/css_aB3.css?delta=0">
<script async src="{GTAG}"></script>
<script>window.dataLayer = window.dataLayer || [];function gtag(){{dataLayer.push(arguments)}};gtag("js", new Date());
gtag("config", "G-VOORBEELD1", {{"groups":"default","page_placeholder":"PLACEHOLDER_page_location"}});</script>"""
FOOT = f"""<span class="a2a_kit"><a class="a2a_button_mastodon"></a></span><script defer src="{SHARE}"></script>
<iframe src="/media/oembed?url=https%3A//www.youtube.com/watch%3Fv%3Dvoorbeeld-01&amp;hash=aa" class="media-oembed-content">
</iframe><script type="application/json" data-drupal-selector="drupal-settings-json">{json.dumps(SETTINGS)}</script>
<script src="/core/misc/drupal.js?v=10.3.1"></script>"""
BIG_PIPE = """<noscript><meta http-equiv="Refresh" content="0; URL=/big-pipe/no-js?destination=/cart"></noscript>
<span data-big-pipe-placeholder-id="callback=cart"></span>
<script type="application/vnd.drupal-ajax" data-big-pipe-event="start"></script>
<script type="application/vnd.drupal-ajax" data-big-pipe-replacement-for-placeholder-with-id="callback=cart">
[{"command":"insert","method":"replaceWith","selector":null,"data":"\\u003Cp\\u003E%d in winkelwagen\\u003C/p\\u003E"}]</script>
<script type="application/vnd.drupal-ajax" data-big-pipe-event="stop"></script>"""


@dataclass
class _Session:
    user: str = ""
    basket: int = 0
    token_seed: str = field(default_factory=lambda: secrets.token_hex(8))


class Drupal:
    """The site, with its sessions."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._builds: set[str] = set()

    def app(self) -> Starlette:
        """Its addresses."""
        both = ["GET", "POST"]
        return Starlette(
            routes=[
                Route("/", self.front),
                Route("/user/login", self.login, methods=both),
                Route("/user/1", self.user),
                Route("/comment/reply/node/1/comment", self.comment, methods=both),
                Route("/product/1", self.product, methods=both),
                Route("/cart", self.cart),
                Route("/media/oembed", self.oembed),
                Route("/big-pipe/no-js", self.no_script),
            ]
        )

    async def front(self, request: Request) -> Response:
        answer = self._page(request, '<a href="/user/login">Inloggen</a> <a href="/product/1">Brochure</a>')
        answer.set_cookie("_ga", "GA1.1.1.1", max_age=63_072_000)
        answer.set_cookie("_ga_VOORBEELD1", "GS1.1.1", max_age=63_072_000)
        return answer

    async def login(self, request: Request) -> Response:
        if request.method == "GET":
            return self._page(
                request, self._form("/user/login", "user_login_form", "<input name=name><input name=pass>")
            )
        if (await sent_fields(request)).get("form_build_id") not in self._builds:
            return self._page(request, "Het formulier is verouderd.", 403)
        moved = RedirectResponse("/user/1?check_logged_in=1", 303)
        self._begin(request, moved).user = "anna"
        return moved

    async def user(self, request: Request) -> Response:
        session = self._session(request)
        if session and session.user:
            return self._page(request, f"<h1>{session.user}</h1>")
        if "check_logged_in" in request.query_params:
            return self._page(request, "Om in te loggen moet uw browser cookies accepteren.", 403)
        return RedirectResponse("/user/login", 302)

    async def comment(self, request: Request) -> Response:
        """Members' forms carry a token made from their session."""
        session = self._session(request)
        if not session or not session.user:
            return self._page(request, "Geen toegang", 403)
        token = hashlib.sha256(session.token_seed.encode()).hexdigest()[:43]
        action = "/comment/reply/node/1/comment"
        if request.method == "GET":
            hidden = f'<input type="hidden" name="form_token" value="{token}">'
            return self._page(request, self._form(action, "comment_comment_form", hidden))
        if (await sent_fields(request)).get("form_token") != token:
            return self._page(request, "Het formulier is verouderd.", 403)
        return self._page(request, "Uw reactie is geplaatst.")

    async def product(self, request: Request) -> Response:
        """Who buys without an account gets a session with the first thing in the basket."""
        if request.method == "GET":
            return self._page(request, self._form("/product/1", "commerce_order_item_add_to_cart_form", ""))
        moved = RedirectResponse("/cart", 303)
        (self._session(request) or self._begin(request, moved)).basket += 1
        return moved

    async def cart(self, request: Request) -> Response:
        session = self._session(request)
        return self._page(request, f"<h1>Winkelwagen: {session.basket if session else 0}</h1>")

    async def oembed(self, _request: Request) -> Response:
        return HTMLResponse(f'<!DOCTYPE html><html><body><iframe src="{FILM}" title="Film"></iframe></body></html>')

    async def no_script(self, request: Request) -> Response:
        moved = RedirectResponse(request.query_params["destination"], 302)
        moved.set_cookie("big_pipe_nojs", "1")
        return moved

    def _form(self, action: str, form_id: str, fields: str) -> str:
        build = f"form-{secrets.token_urlsafe(32)}"
        self._builds.add(build)
        return f"""<form class="form" data-drupal-selector="edit" action="{action}" method="post" accept-charset="UTF-8">
{fields}<input autocomplete="off" data-drupal-selector="{build}"><input type="hidden" name="form_build_id" value="{build}">
<input type="hidden" name="form_id" value="{form_id}"></form>"""

    def _page(self, request: Request, body: str, status: int = 200) -> HTMLResponse:
        session = self._session(request)
        lazy = BIG_PIPE % session.basket if session and "big_pipe_nojs" not in request.cookies else ""
        answer = html_page(HEAD, f"{body}{lazy}{FOOT}", status)
        answer.headers.update(HEADERS)
        return answer

    def _name(self, request: Request) -> str:
        host = hashlib.sha256(request.headers["host"].encode()).hexdigest()[:32]
        return f"SSESS{host}" if is_secure(request) else f"SESS{host}"

    def _session(self, request: Request) -> _Session | None:
        return self._sessions.get(request.cookies.get(self._name(request), ""))

    def _begin(self, request: Request, answer: Response) -> _Session:
        key, session = secrets.token_urlsafe(32), _Session()
        self._sessions[key] = session
        secure = is_secure(request)
        answer.set_cookie(self._name(request), key, 2_000_000, httponly=True, secure=secure, samesite="lax")
        return session


def walk(visitor: Visitor) -> None:
    """Fill the basket without an account, look at what comes in late, log in, and comment."""
    product = visitor.get("/product/1")
    for count in (1, 2):
        assert f"Winkelwagen: {count}" in visitor.submit(product, "/product/1", {})
    cart = visitor.get("/cart")
    for part in ("application/vnd.drupal-ajax", "2 in winkelwagen", '"account": "G-VOORBEELD1"', "/big-pipe/no-js?"):
        assert part in cart
    visitor.get("/big-pipe/no-js?destination=/cart")
    assert "<h1>anna</h1>" in visitor.submit(visitor.get("/user/login"), "/user/login", {"name": "anna", "pass": "x"})
    action = "/comment/reply/node/1/comment"
    form = visitor.get(action)
    assert "Uw reactie is geplaatst" in visitor.submit(form, action, {"comment_body": "Dank"})
    visitor.post(action, {"form_token": "verzonnen"}, 403)


DRUPAL = Modelled(
    name="drupal",
    open=serving(lambda: Drupal().app()),
    walk=walk,
    needed=("SSESS", "big_pipe_nojs"),
    optional=("_ga", "_ga_VOORBEELD1"),
    tags=(GTAG, SHARE),
    scripts=('gtag("config"',),
    contacts=("www.googletagmanager.com", "static.addtoany.com", "www.youtube.com"),
    works=("/core/misc/drupal.js?v=10.3.1", "/sites/default/files/css/css_aB3.css?delta=0"),
)
