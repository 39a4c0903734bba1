"""A Shopify shop with new customer accounts: basket, checkout, country and currency; Shopify's own analytics and pixels, and
Klaviyo on it."""

import secrets
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tests.platforms.platform_world import Modelled, Visitor, html_page, sent_fields, serving

KLAVIYO = "https://static.klaviyo.com/onsite/js/klaviyo.js?company_id=VoOrB1"
THEME = "https://cdn.shopify.com/shopifycloud/storefront/assets/storefront/features-aa11.js"
CHECKOUT = "checkout_session_token__cn__Z2NwLWV1cm9wZS13ZXN0"
YEAR = 31_536_000
HEAD = f"""<meta charset="utf-8"><title>Voorbeeldwinkel</title>
<link rel="stylesheet" href="//www.example.org/cdn/shop/t/3/assets/base.css?v=1"><script src="{THEME}" defer="defer"></script>
<script>var Shopify = Shopify || {{}}; Shopify.shop = "voorbeeld.myshopify.com"; Shopify.locale = "nl";
Shopify.theme = {{"name":"Dawn","id":1,"theme_store_id":887,"role":"main"}};</script>
<script id="__st">var __st={{"a":1,"offset":3600,"reqid":"x","pageurl":"www.example.org/","u":"y","p":"home"}};</script>
<script>window.ShopifyPaypalV4VisibilityTracking = true;</script>
<script class="analytics">(function () {{ if (window.trekkie) return; window.ShopifyAnalytics = window.ShopifyAnalytics || {{}};
window.ShopifyAnalytics.meta = {{"page":{{"pageType":"home"}}}};
trekkie.load({{"Trekkie":{{"appName":"storefront"}}}}); }})();</script>
<script id="web-pixels-manager-setup">(function e(e,d,r,n,o){{var i=document.createElement("script");i.src=d+"/wpm@1.js";
document.head.appendChild(i)}})("https://www.example.org","/web-pixels",{{shopId:1,
webPixelsConfigList:[{{"id":"1","eventPayloadVersion":"v1","runtimeContext":"STRICT"}}]}},"browser");</script>"""
FOOT = f"""<form method="post" action="/cart/add"><input type="hidden" name="form_type" value="product">
<input type="hidden" name="utf8" value="x"><input type="hidden" name="id" value="4411"></form>
<form method="post" action="/localization"><input type="hidden" name="form_type" value="localization"></form>
<script async type="text/javascript" src="{KLAVIYO}"></script>"""


@dataclass
class _Cart:
    count: int = 0


class Shopify:
    """The shop, with its baskets and customers."""

    def __init__(self) -> None:
        self._carts: dict[str, _Cart] = {}
        self._known: set[str] = set()

    def app(self) -> Starlette:
        """Its addresses."""
        post = ["POST"]
        return Starlette(
            routes=[
                Route("/", self.front),
                Route("/cart/add", self.add, methods=post),
                Route("/cart", self.cart),
                Route("/localization", self.localise, methods=post),
                Route("/customer_authentication/login", self.login, methods=post),
                Route("/account", self.account),
                Route("/checkouts/cn/c1", self.checkout),
            ]
        )

    async def front(self, request: Request) -> Response:
        return self._answer(request, f"<p>Land: {request.cookies.get('localization', 'US')}</p>")

    async def add(self, request: Request) -> Response:
        key = request.cookies.get("cart", "").strip('"')
        moved = RedirectResponse("/cart", 302)
        if key not in self._carts:
            key = f"Z2NwLWV1cm9wZQ{secrets.token_hex(12)}%3Fkey%3D{secrets.token_hex(16)}"
            self._carts[key] = _Cart()
            moved.set_cookie("cart", key, 1_209_600, httponly=True, secure=True, samesite="lax")
        self._carts[key].count += 1
        return moved

    async def cart(self, request: Request) -> Response:
        found = self._carts.get(request.cookies.get("cart", "").strip('"'), _Cart())
        return self._answer(request, f"<h1>Winkelwagen ({found.count})</h1>")

    async def localise(self, request: Request) -> Response:
        moved = RedirectResponse("/", 302)
        moved.set_cookie("localization", (await sent_fields(request))["country_code"], YEAR)
        moved.set_cookie("cart_currency", "EUR", 1_209_600)
        return moved

    async def login(self, _request: Request) -> Response:
        moved, key = RedirectResponse("/account", 302), secrets.token_hex(16)
        self._known.add(key)
        moved.set_cookie("_secure_account_session_id", key, 2_592_000, httponly=True, secure=True, samesite="lax")
        moved.set_cookie("_customer_account_shop_sessions", "x", 2_592_000, httponly=True, secure=True)
        moved.set_cookie("customer_account_locale", "nl", YEAR)
        return moved

    async def account(self, request: Request) -> Response:
        known = request.cookies.get("_secure_account_session_id") in self._known
        return self._answer(request, "<h1>Bestellingen van Anna</h1>" if known else "<h1>Inloggen</h1>")

    async def checkout(self, request: Request) -> Response:
        """The first visit gives the token, the second shows what was filled in."""
        answer = self._answer(request, "<h1>Afrekenen</h1>" if CHECKOUT in request.cookies else "<h1>Begin</h1>")
        answer.set_cookie(CHECKOUT, "x", 1_814_400, httponly=True, secure=True)
        answer.set_cookie("checkout_session_lookup", "x", 1_814_400, httponly=True, secure=True)
        return answer

    def _answer(self, request: Request, body: str) -> Response:
        answer = html_page(HEAD, body + FOOT)
        answer.headers.update({"powered-by": "Shopify", "x-shopid": "1", "x-storefront-renderer-rendered": "1"})
        if "_shopify_essential" not in request.cookies:
            answer.set_cookie("_shopify_essential", ":AZ:", YEAR, httponly=True, secure=True, samesite="lax")
        for name, age in (("_shopify_y", YEAR), ("_shopify_s", 1800), ("_landing_page", 1_209_600)):
            answer.set_cookie(name, "x", age)
        return answer


def walk(visitor: Visitor) -> None:
    """Choose a country, fill the basket, log in, and begin to pay."""
    page = visitor.get("/")
    assert "Land: NL" in visitor.submit(page, "/localization", {"country_code": "NL"})
    for count in (1, 2):
        assert f"Winkelwagen ({count})" in visitor.submit(page, "/cart/add", {})
    assert "Bestellingen van Anna" in visitor.post("/customer_authentication/login", {"code": "123456"})
    assert "Bestellingen van Anna" in visitor.get("/account")
    assert ["Afrekenen" in visitor.get("/checkouts/cn/c1") for _ in range(2)] == [False, True]


SHOPIFY = Modelled(
    name="shopify",
    open=serving(lambda: Shopify().app()),
    walk=walk,
    needed=(
        "_shopify_essential",
        "cart",
        "cart_currency",
        "localization",
        "_secure_account_session_id",
        "_customer_account_shop_sessions",
        "customer_account_locale",
        CHECKOUT,
        "checkout_session_lookup",
    ),
    optional=("_shopify_y", "_shopify_s", "_landing_page"),
    tags=(KLAVIYO,),
    scripts=("trekkie.load(", "webPixelsConfigList"),
    contacts=("static.klaviyo.com",),
    needs=("cdn.shopify.com",),
    works=(THEME, "//www.example.org/cdn/shop/t/3/assets/base.css?v=1", "Shopify.theme = "),
)
