"""Magento 2.4: pages out of a cache with form keys that a script makes, private parts that scripts fetch, customers, a basket
that is remembered, store views and the back office; Tag Manager, a pixel and a chat on it."""

import json
import secrets
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.platforms.platform_world import Modelled, Visitor, html_page, is_secure, sent_fields, serving

SESSION, OFFICE, KEPT = "PHPSESSID", "admin", "persistent_shopping_cart"
GTM = "https://www.googletagmanager.com/ns.html?id=GTM-VRBLD10"
PIXEL = "https://www.facebook.com/tr?id=88&ev=PageView&noscript=1"
REQUIRE = "/static/version1732600000/frontend/Magento/luma/nl_NL/requirejs/require.min.js"
HEAD = f"""<script>
    var LOCALE = 'nl\\u002DNL';
    var BASE_URL = 'https\\u003A\\u002F\\u002Fwww.example.org\\u002F';
    var require = {{'baseUrl': 'https\\u003A\\u002F\\u002Fwww.example.org\\u002Fstatic\\u002Fversion1732600000'}};</script>
<meta charset="utf-8"/><title>Voorbeeld</title>
<link rel="stylesheet" type="text/css" media="all"
 href="/static/version1732600000/frontend/Magento/luma/nl_NL/css/styles-m.min.css"/>
<script type="text/javascript" src="{REQUIRE}"></script>
<script>(function(w,d,s,l,i){{w[l]=w[l]||[];w[l].push({{'gtm.start':new Date().getTime(),event:'gtm.js'}});
var f=d.getElementsByTagName(s)[0],j=d.createElement(s);j.async=true;j.src='https://www.googletagmanager.com/gtm.js?id='+i;
f.parentNode.insertBefore(j,f);}})(window,document,'script','dataLayer','GTM-VRBLD10');</script>
<script type="text/x-magento-init">
{{"*": {{"Magento_PageCache/js/form-key-provider": {{"isPaginationCacheEnabled": 0}}}}}}</script>
<script>!function(f,b,e,v,n,t,s){{t=b.createElement(e);t.async=!0;t.src=v;b.head.appendChild(t);f.fbq=function(){{}}}}
(window,document,'script','https://connect.facebook.net/en_US/fbevents.js'); fbq('init', '88');</script>"""
FOOT = f"""<noscript><iframe src="{GTM}" height="0" width="0"></iframe>
<img src="{PIXEL.replace("&", "&amp;")}" alt=""></noscript>
<div data-mage-init='{{"Magento_Ui/js/core/app": {{"components": {{"minicart_content": {{}}}}}}}}'></div>
<script type="text/x-magento-init">
{{"*": {{"Magento_Customer/js/section-config": {{"sections": {{"checkout/cart/add": ["cart"]}}}}}}}}</script>
<script>window.$zopim||(function(d,s){{var z=$zopim=function(){{}},e=d.createElement(s);e.async=!0;
e.src='https://v2.zopim.com/?voorbeeld';d.head.appendChild(e)}})(document,'script');</script>"""
ADD, LOGIN = "/checkout/cart/add/uenc/aHR0/product/1/", "/customer/account/loginPost/"
PRODUCT = f"""<form data-product-sku="24-MB01" action="{ADD}" method="post"><input type="hidden" name="product" value="1">
<input name="form_key" type="hidden" value="uit-de-cache"></form>"""
BACK = '<form action="/beheer_x7/" method="post"><input type="hidden" name="form_key" value="%s"></form>'


@dataclass
class _Session:
    key: str = ""
    user: str = ""
    basket: int = 0


class Magento:
    """The shop, with its sessions and remembered baskets."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._kept: dict[str, int] = {}

    def app(self) -> Starlette:
        """Its addresses."""
        return Starlette(
            routes=[
                Route("/", self.front),
                Route("/boek.html", self.product),
                Route(ADD, self.add, methods=["POST"]),
                Route("/customer/section/load/", self.sections),
                Route("/customer/account/login/", self.sign_in),
                Route(LOGIN, self.login, methods=["POST"]),
                Route("/customer/account/", self.account),
                Route("/stores/store/redirect/", self.store),
                Route("/beheer_x7/", self.office, methods=["GET", "POST"]),
            ]
        )

    async def front(self, request: Request) -> Response:
        """Out of the cache, which differs by what a cookie says."""
        english = request.cookies.get("store") == "en"
        member = "Welkom terug" if "X-Magento-Vary" in request.cookies else "Welkom, gast"
        body = f'<p>{"Hello" if english else member}</p><a href="/boek.html">Boek</a> <a href="/customer/account/login/">In</a>'
        answer = self._page(body)
        for name in ("_ga", "_fbp", "__zlcmid"):
            answer.set_cookie(name, "x", 9000)
        return answer

    async def product(self, _request: Request) -> Response:
        return self._page(PRODUCT)

    async def add(self, request: Request) -> Response:
        """The key of a form out of the cache is the one that the script has put into the cookie."""
        moved = RedirectResponse("/boek.html", 302)
        session = self._begin(request, moved)
        if not await self._is_valid(request):
            self._tell(moved, "error", "Invalid Form Key. Please refresh the page.")
            return moved
        session.basket += 1
        self._tell(moved, "success", "Toegevoegd aan uw winkelwagen")
        moved.set_cookie("private_content_version", secrets.token_hex(16), 315_360_000, secure=is_secure(request))
        return moved

    async def sections(self, request: Request) -> Response:
        """What the page's own scripts fetch."""
        session = self._session(request)
        count = session.basket or self._kept.get(request.cookies.get(KEPT, ""), 0)
        return JSONResponse({"cart": {"summary_count": count, "data_id": 1}, "customer": {"firstname": session.user}})

    async def sign_in(self, _request: Request) -> Response:
        return self._page(f'<form action="{LOGIN}" method="post"><input name="login[username]"></form>')

    async def login(self, request: Request) -> Response:
        if not await self._is_valid(request):
            return RedirectResponse("/customer/account/login/", 302)
        moved = RedirectResponse("/customer/account/", 302)
        session = self._begin(request, moved)
        session.user = "anna"
        moved.set_cookie("X-Magento-Vary", secrets.token_hex(20), httponly=True, secure=is_secure(request))
        if (await sent_fields(request)).get("persistent_remember_me") == "on":
            kept = secrets.token_hex(25)
            self._kept[kept] = session.basket
            moved.set_cookie(KEPT, kept, 31_536_000, httponly=True, secure=is_secure(request), samesite="lax")
        return moved

    async def account(self, request: Request) -> Response:
        user = self._session(request).user
        return (
            self._page(f"<h1>Mijn account: {user}</h1>") if user else RedirectResponse("/customer/account/login/", 302)
        )

    async def store(self, request: Request) -> Response:
        moved = RedirectResponse("/", 302)
        moved.set_cookie("store", request.query_params["___store"], 31_536_000, httponly=True)
        return moved

    async def office(self, request: Request) -> Response:
        """The back office, under an address that nobody guesses, with a session of its own for that path alone."""
        session = self._sessions.get(request.cookies.get(OFFICE, "")) or _Session(secrets.token_hex(8))
        if request.method == "POST" and (await sent_fields(request)).get("form_key") == session.key:
            session.user = "beheer"
        key = secrets.token_hex(13)
        self._sessions[key] = session
        answer = html_page("", f"<h1>{session.user}</h1>{BACK % session.key}")
        answer.set_cookie(OFFICE, key, path="/beheer_x7", httponly=True, secure=is_secure(request), samesite="lax")
        return answer

    async def _is_valid(self, request: Request) -> bool:
        sent = (await sent_fields(request)).get("form_key", "")
        return bool(sent) and sent == request.cookies.get("form_key")

    def _tell(self, answer: Response, kind: str, text: str) -> None:
        answer.set_cookie("mage-messages", json.dumps([{"type": kind, "text": text}]).replace('"', "%22"), 31_536_000)

    def _session(self, request: Request) -> _Session:
        return self._sessions.get(request.cookies.get(SESSION, "")) or _Session()

    def _begin(self, request: Request, answer: Response) -> _Session:
        """A session under a new number."""
        session, key = self._session(request), secrets.token_hex(13)
        self._sessions[key] = session
        answer.set_cookie(SESSION, key, 3600, httponly=True, secure=is_secure(request), samesite="lax")
        return session

    def _page(self, body: str) -> Response:
        answer = html_page(HEAD, body + FOOT)
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer


def count_basket(visitor: Visitor) -> int:
    """As the page's own script asks for it."""
    asked = {"x-requested-with": "XMLHttpRequest", "accept": "application/json"}
    count: int = json.loads(visitor.get("/customer/section/load/?sections=cart", asked))["cart"]["summary_count"]
    return count


def walk(visitor: Visitor) -> None:
    """Fill the basket with the key that the page's script makes, log in, have it remembered, choose another view; manage."""
    key = secrets.token_hex(8)
    visitor.carry("form_key", key)
    page = visitor.get("/boek.html")
    visitor.submit(page, ADD, {"form_key": "verzonnen"})
    assert "Invalid Form Key" in visitor.cookies.get("mage-messages", "")
    for count in (1, 2):
        visitor.submit(page, ADD, {"form_key": key})
        assert "Toegevoegd" in visitor.cookies.get("mage-messages", "")
        assert count_basket(visitor) == count
    fields = {"login[username]": "anna", "persistent_remember_me": "on", "form_key": key}
    assert "Mijn account: anna" in visitor.submit(visitor.get("/customer/account/login/"), LOGIN, fields)
    assert "Welkom terug" in visitor.get("/")
    visitor.forget(SESSION)
    assert count_basket(visitor) == 2
    visitor.submit(page, ADD, {"form_key": key})
    assert "<p>Hello</p>" in visitor.get("/stores/store/redirect/?___store=en")
    assert "<h1>beheer</h1>" in visitor.submit(visitor.get("/beheer_x7/"), "/beheer_x7/", {})
    assert "<h1>beheer</h1>" in visitor.get("/beheer_x7/")


MAGENTO = Modelled(
    name="magento",
    open=serving(lambda: Magento().app()),
    walk=walk,
    needed=(SESSION, "form_key", "mage-messages", "private_content_version", "X-Magento-Vary", KEPT, "store", OFFICE),
    optional=("_ga", "_fbp", "__zlcmid"),
    tags=(GTM, PIXEL),
    scripts=("'GTM-VRBLD10'", "fbq('init'", "$zopim"),
    works=(REQUIRE, "BASE_URL"),
    contacts=("www.googletagmanager.com", "connect.facebook.net", "v2.zopim.com"),
)
