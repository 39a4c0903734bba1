"""Sites modelled on WordPress with a shop and on ASP.NET: what they set and check, as far as a gateway could break it."""

import secrets
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

LOGGED_IN = "wordpress_logged_in_0123abcd"
SESSION = "wp_woocommerce_session_0123abcd"
TRACKING = ("_ga", "sbjs_first")


def _page(body: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(f"<!doctype html><html lang=nl><body>{body}</body></html>", status)


async def _fields(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}


def wordpress() -> Starlette:
    """Signing in wants the test cookie back, the basket its session, a comment its nonce; trackers are set all along."""
    nonces: set[str] = set()

    async def login(request: Request) -> Response:
        if request.method == "GET":
            answer = _page("<form method=post><input name=log><input name=pwd></form>")
            answer.set_cookie("wordpress_test_cookie", "WP%20Cookie%20check")
            return answer
        if "wordpress_test_cookie" not in request.cookies:
            return _page("Cookies worden geblokkeerd", 403)
        moved = RedirectResponse("/wp-admin/", 302)
        moved.set_cookie(LOGGED_IN, "redacteur%7C1", httponly=True)
        moved.set_cookie("wordpress_sec_0123abcd", "redacteur%7C1", path="/wp-admin", httponly=True)
        return moved

    async def admin(request: Request) -> Response:
        if LOGGED_IN not in request.cookies:
            return RedirectResponse("/wp-login.php", 302)
        return _page("Dashboard")

    async def shop(request: Request) -> Response:
        count = int(request.cookies.get("woocommerce_items_in_cart", "0"))
        nonce = secrets.token_hex(5)
        nonces.add(nonce)
        answer = _page(f"<p id=basket>{count}</p><form method=post><input name=_wpnonce value={nonce}></form>")
        if request.method == "POST":
            if (await _fields(request)).get("_wpnonce") not in nonces:
                return _page("Weet je het zeker?", 403)
            answer = _page(f"<p id=basket>{count + 1}</p>")
            answer.set_cookie("woocommerce_items_in_cart", str(count + 1))
            answer.set_cookie(SESSION, "t_1%7C%7C2")
        for name in TRACKING:
            answer.set_cookie(name, "1")
        return answer

    routes = [("/wp-login.php", login), ("/wp-admin/", admin), ("/", shop)]
    return Starlette(routes=[Route(path, call, methods=["GET", "POST"]) for path, call in routes])


def aspnet() -> Starlette:
    """A form counts with its token in field and cookie, of the same session."""

    async def form(request: Request) -> Response:
        if request.method == "GET":
            token = secrets.token_hex(8)
            answer = _page(f"<form method=post><input name=__RequestVerificationToken value={token}></form>")
            answer.set_cookie("ASP.NET_SessionId", secrets.token_hex(12), httponly=True)
            answer.set_cookie("__RequestVerificationToken_L3Npd0", token, httponly=True)
            for name in TRACKING:
                answer.set_cookie(name, "1")
            return answer
        sent = (await _fields(request)).get("__RequestVerificationToken")
        if (
            "ASP.NET_SessionId" not in request.cookies
            or request.cookies.get("__RequestVerificationToken_L3Npd0") != sent
        ):
            return _page("The required anti-forgery cookie is not present.", 500)
        moved = RedirectResponse("/mijn", 302)
        moved.set_cookie(".ASPXAUTH", "A1B2", httponly=True)
        return moved

    async def own(request: Request) -> Response:
        return _page("Mijn dossier" if ".ASPXAUTH" in request.cookies else "Aanmelden", 200)

    return Starlette(routes=[Route("/", form, methods=["GET", "POST"]), Route("/mijn", own)])
