"""WordPress with WooCommerce: log-in, basket, comments, a page with a password; Site Kit, Jetpack's counter, a pixel, fonts,
portraits, a captcha and a film on it, and payment by Stripe, which is necessary."""

import secrets

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tests.platforms.platform_world import Modelled, Visitor, html_page, is_secure, sent_fields, serving

HASH = "5f4dcc3b5aa765d61d8327deb882cf99"
GTAG = "https://www.googletagmanager.com/gtag/js?id=GT-VRBLD77"
COUNTER = "https://stats.wp.com/e-202648.js"
FILM = "https://www.youtube.com/embed/voorbeeld-07?feature=oembed"
FONTS = "https://fonts.googleapis.com/css?family=Inter%3A400%2C700&display=swap"
PORTRAIT = "https://secure.gravatar.com/avatar/0a1b2c?s=56&d=mm&r=g"
STRIPE = "https://js.stripe.com/v3/?ver=3.0"
CAPTCHA = "https://www.google.com/recaptcha/api.js?render=6LvOORBEELD"
HEAD = f"""<meta charset="UTF-8"><title>Voorbeeld</title><meta name="generator" content="WordPress 6.7.1">
<meta name="generator" content="WooCommerce 9.4.3"><meta name="generator" content="Site Kit by Google 1.140.0">
<link rel="stylesheet" id="inter-css" href="{FONTS.replace("&", "&#038;")}" media="all">
<link rel="https://api.w.org/" href="https://www.example.org/wp-json/">
<script>window._wpemojiSettings = {{"baseUrl":"https:\\/\\/s.w.org\\/images\\/core\\/emoji\\/15.0.3\\/72x72\\/","ext":".png",
"source":{{"concatemoji":"\\/wp-includes\\/js\\/wp-emoji-release.min.js?ver=6.7.1"}}}};</script>
<script src="/wp-includes/js/jquery/jquery.min.js?ver=3.7.1" id="jquery-core-js"></script>
<script src="/wp-content/plugins/woocommerce/assets/js/frontend/add-to-cart.min.js?ver=9.4.3" defer></script>
<script src="{GTAG}" id="google_gtagjs-js" async></script>
<script id="google_gtagjs-js-after">window.dataLayer = window.dataLayer || [];function gtag(){{dataLayer.push(arguments);}}
gtag("js", new Date()); gtag("config", "GT-VRBLD77");</script>
<script>!function(f,b,e,v,n,t,s){{if(f.fbq)return;n=f.fbq=function(){{n.queue.push(arguments)}};n.queue=[];
t=b.createElement(e);t.async=!0;t.src=v;s=b.getElementsByTagName(e)[0];s.parentNode.insertBefore(t,s)}}
(window,document,'script','https://connect.facebook.net/en_US/fbevents.js'); fbq('init', '99', {{}});</script>"""
FOOT = f"""<figure class="wp-block-embed is-provider-youtube"><iframe src="{FILM}" title="Film"></iframe></figure>
<img alt="" src="{PORTRAIT.replace("&", "&#038;")}" class="avatar avatar-56 photo" height="56" width="56">
<script src="{STRIPE}" id="stripe-js"></script>
<script src="{CAPTCHA}" id="google-recaptcha-js"></script><script src="{COUNTER}" id="jetpack-stats-js" defer></script>
<script id="jetpack-stats-js-after">_stq = window._stq || []; _stq.push([ "view", JSON.parse("{{}}") ]);</script>"""
LOGIN = """<form name="loginform" action="/wp-login.php" method="post"><input name="log"><input name="pwd">
<input type="hidden" name="redirect_to" value="/wp-admin/"><input type="hidden" name="testcookie" value="1"></form>"""
COMMENT = """<form action="/wp-comments-post.php" method="post" id="commentform"><input name="author"><input name="email">
<input id="wp-comment-cookies-consent" name="wp-comment-cookies-consent" type="checkbox" value="yes">
<input type="hidden" name="comment_post_ID" value="1"></form>"""
PROTECTED = '<form action="/wp-login.php?action=postpass" method="post"><input name="post_password"></form>'


class WordPress:
    """The site, with its baskets and who is signed in."""

    def __init__(self) -> None:
        self._baskets: dict[str, int] = {}
        self._nonces: set[str] = set()

    def app(self) -> Starlette:
        """Its addresses."""
        both = ["GET", "POST"]
        return Starlette(
            routes=[
                Route("/", self.front),
                Route("/wp-login.php", self.login, methods=both),
                Route("/wp-admin/", self.admin),
                Route("/product/boek/", self.product, methods=both),
                Route("/winkelmand/", self.basket),
                Route("/wp-comments-post.php", self.comment, methods=["POST"]),
                Route("/bericht/", self.post),
                Route("/besloten/", self.protected),
            ]
        )

    async def front(self, _request: Request) -> Response:
        answer = self._page('<a href="/bericht/">Bericht</a>')
        for name in ("_ga", "_fbp", "sbjs_first", "tk_ai"):
            answer.set_cookie(name, "x", 9000)
        return answer

    async def login(self, request: Request) -> Response:
        if request.query_params.get("action") == "postpass":
            moved = RedirectResponse("/besloten/", 302)
            moved.set_cookie(f"wp-postpass_{HASH}", "$P$Bx", 864_000)
            return moved
        if request.method == "GET":
            answer = self._page(LOGIN)
            answer.set_cookie("wordpress_test_cookie", "WP%20Cookie%20check", secure=is_secure(request), httponly=True)
            return answer
        if "wordpress_test_cookie" not in request.cookies:
            return self._page("Fout: cookies worden geblokkeerd", 403)
        moved = RedirectResponse((await sent_fields(request))["redirect_to"], 302)
        secure = is_secure(request)
        for name, path in ((f"wordpress_sec_{HASH}", "/wp-admin"), (f"wordpress_logged_in_{HASH}", "/")):
            moved.set_cookie(name, "anna%7C1", path=path, secure=secure, httponly=True)
        return moved

    async def admin(self, request: Request) -> Response:
        if f"wordpress_sec_{HASH}" not in request.cookies:
            return self._page("Geen toegang", 403)
        answer = self._page("<h1>Dashboard</h1>")
        answer.set_cookie("wp-settings-1", "editor%3Dtinymce", 31_536_000, secure=is_secure(request))
        answer.set_cookie("wp-settings-time-1", "1", 31_536_000, secure=is_secure(request))
        return answer

    async def product(self, request: Request) -> Response:
        """A form with a number that is good once, as plugins have it."""
        if request.method == "GET":
            nonce = secrets.token_hex(5)
            self._nonces.add(nonce)
            fields = f'<input type="hidden" name="_wpnonce" value="{nonce}">'
            return self._page(f'<form class="cart" action="/product/boek/" method="post">{fields}</form>')
        if (await sent_fields(request)).get("_wpnonce") not in self._nonces:
            return self._page("De link die je volgde is verlopen.", 403)
        key = request.cookies.get(f"wp_woocommerce_session_{HASH}", "")
        if key not in self._baskets:
            key = f"t_{secrets.token_hex(15)}%7C%7C1%7C%7C2%7C%7Cabc"
        self._baskets[key] = self._baskets.get(key, 0) + 1
        moved = RedirectResponse("/winkelmand/", 302)
        moved.set_cookie(f"wp_woocommerce_session_{HASH}", key, 172_800, secure=is_secure(request), httponly=True)
        moved.set_cookie("woocommerce_items_in_cart", "1")
        moved.set_cookie("woocommerce_cart_hash", secrets.token_hex(16))
        return moved

    async def basket(self, request: Request) -> Response:
        held = "woocommerce_items_in_cart" in request.cookies and "woocommerce_cart_hash" in request.cookies
        count = self._baskets.get(request.cookies.get(f"wp_woocommerce_session_{HASH}", ""), 0)
        return self._page(f"<h1>Winkelmand: {count if held else 'leeg'}</h1>")

    async def comment(self, request: Request) -> Response:
        fields, moved = await sent_fields(request), RedirectResponse("/bericht/", 302)
        if fields.get("wp-comment-cookies-consent") == "yes":
            moved.set_cookie(f"comment_author_{HASH}", fields["author"], 30_000_000)
        return moved

    async def post(self, request: Request) -> Response:
        author = request.cookies.get(f"comment_author_{HASH}", "")
        return self._page(f"<p>Reageer als {author or 'gast'}</p>{COMMENT}")

    async def protected(self, request: Request) -> Response:
        return self._page("Het besloten bericht" if f"wp-postpass_{HASH}" in request.cookies else PROTECTED)

    def _page(self, body: str, status: int = 200) -> Response:
        answer = html_page(HEAD, body + FOOT, status)
        answer.headers["Link"] = '<https://www.example.org/wp-json/>; rel="https://api.w.org/"'
        answer.headers["X-Powered-By"] = "PHP/8.2.26"
        return answer


def walk(visitor: Visitor) -> None:
    """Fill the basket, comment, open a page with a password, log in."""
    visitor.post("/product/boek/", {"_wpnonce": "verzonnen"}, 403)
    for count in (1, 2):
        page = visitor.get("/product/boek/")
        assert f"Winkelmand: {count}" in visitor.submit(page, "/product/boek/", {})
    fields = {"author": "Anna", "email": "a@example.org", "wp-comment-cookies-consent": "yes"}
    assert "Reageer als Anna" in visitor.submit(visitor.get("/bericht/"), "/wp-comments-post.php", fields)
    form = visitor.get("/besloten/")
    assert "Het besloten bericht" in visitor.submit(form, "/wp-login.php?action=postpass", {"post_password": "x"})
    login = visitor.get("/wp-login.php")
    for _ in range(2):
        assert "<h1>Dashboard</h1>" in visitor.submit(login, "/wp-login.php", {"log": "anna", "pwd": "x"})


WORDPRESS = Modelled(
    name="wordpress",
    open=serving(lambda: WordPress().app()),
    walk=walk,
    needed=(
        "wordpress_test_cookie",
        "wordpress_sec_",
        "wordpress_logged_in_",
        "wp-settings-1",
        "wp-settings-time-1",
        "wp-postpass_",
        "comment_author_",
        "wp_woocommerce_session_",
        "woocommerce_cart_hash",
        "woocommerce_items_in_cart",
    ),
    optional=("_ga", "_fbp", "sbjs_first", "tk_ai"),
    tags=(GTAG, COUNTER, FILM, FONTS, PORTRAIT, CAPTCHA),
    scripts=('gtag("config"', "fbq('init'", "_stq.push"),
    works=(
        "/wp-includes/js/jquery/jquery.min.js?ver=3.7.1",
        "/wp-content/plugins/woocommerce/assets/js/frontend/add-to-cart.min.js?ver=9.4.3",
        "_wpemojiSettings",
        STRIPE,
    ),
    needs=("js.stripe.com",),
    contacts=(
        "www.googletagmanager.com",
        "stats.wp.com",
        "www.youtube.com",
        "fonts.googleapis.com",
        "secure.gravatar.com",
        "connect.facebook.net",
        "www.google.com",
    ),
)
