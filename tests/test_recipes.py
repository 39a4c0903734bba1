"""The recipes in docs/recipes: what can run does, with the very lines that stand there."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from gateway.front import ConsentMiddleware
from gateway.web.proxy import ReverseProxy
from tests.example_site import AGENT, POLICY_TOML
from tests.nginx_server import run_nginx
from tests.platform_sites import TRACKING, aspnet, wordpress
from tests.ports import free_port
from tests.tls_servers import LOOPBACK, RECIPES, recipe_lines
from tests.web.gated_site import BROWSER, ready_config
from tests.web.proxy_servers import run_server

pytestmark = pytest.mark.slow


def test_every_recipe_stands_in_the_list() -> None:
    """The list names each recipe, and each that it names is there."""
    listed = re.findall(r"\]\((\w[\w-]*)\.md\)", (RECIPES / "README.md").read_text("utf-8"))
    assert sorted(set(listed)) == sorted(path.stem for path in RECIPES.glob("*.md") if path.stem != "README")


async def _whoami(request: Request) -> HTMLResponse:
    scope = request.scope
    told = f"{scope['gateway.client']} {scope['gateway.scheme']} {request.headers['host']}"
    body = f"<!doctype html><html><body>{told}</body></html>"
    return HTMLResponse(body, headers={"cache-control": "public, max-age=600"})


@contextmanager
def gateway(folder: Path, site: ASGIApp | None = None, **settings: Any) -> Iterator[int]:
    """The gateway before a site that says who it thinks one is; gives its port."""
    site = site or Starlette(routes=[Route("/{path:path}", _whoami)])
    with run_server(ConsentMiddleware(site, ready_config(folder, settings))) as port:
        yield port


def get(connection: HTTPConnection, path: str, **headers: str) -> tuple[dict[str, str], str]:
    """Headers and body of a page."""
    wanted = {"Accept": "text/html", "User-Agent": AGENT}
    connection.request("GET", path, headers=wanted | {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    assert answer.status == 200
    return {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()


def test_nginx_keeps_pages_that_are_the_same_for_all(tmp_path: Path) -> None:
    """Through the documented cache: the second visitor's page comes from it, the gateway's own addresses never do."""
    port = free_port()
    with gateway(tmp_path, trusted_proxies=[f"{LOOPBACK}/32"], sites=[{"cache_safe": True}]) as front:
        rules = (
            recipe_lines("nginx", "nginx", 1).replace("127.0.0.1:8787", f"127.0.0.1:{front}").replace("8080", str(port))
        )
        rules = rules.replace("/var/cache/nginx/pages", str(tmp_path / "pages"))
        with run_nginx(tmp_path / "nginx", rules, port):
            connection = HTTPConnection(LOOPBACK, port, timeout=10)
            found = [get(connection, path)[0].get("x-cache") for path in ("/", "/", "/_gw/state", "/_gw/state")]
            connection.close()
    assert found == ["MISS", "HIT", None, None]


def test_nginx_serves_files_beside_the_gateway(tmp_path: Path) -> None:
    """Through the documented server block: files by nginx, with the documented script in them; choice and script by us."""
    port, files = free_port(), tmp_path / "www"
    files.mkdir()
    (files / "contact.html").write_text(f"<!doctype html><html><body>{recipe_lines('static', 'html')}</body></html>")
    with gateway(tmp_path, trusted_proxies=[f"{LOOPBACK}/32"]) as front:
        rules = (
            recipe_lines("static", "nginx").replace("127.0.0.1:8787", f"127.0.0.1:{front}").replace("8080", str(port))
        )
        with run_nginx(tmp_path / "nginx", rules.replace("/var/www/example.org", str(files)), port):
            connection = HTTPConnection(LOOPBACK, port, timeout=10)
            _, page = get(connection, "/contact")
            for path in re.findall(r'(?<!data-gw-)(?:src|href)="(/[^"]+)"', page):
                headers, _ = get(connection, path)
                assert headers["content-type"].partition(";")[0] == (
                    "text/javascript" if path.endswith(".js") else "text/html"
                )
            connection.close()
    assert page.count("/_gw/") == 2


def test_the_fastapi_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented application asks, and sees in its own code what was granted."""
    ready_config(tmp_path)
    (tmp_path / "gateway.toml").write_text("[keeper]\nautostart = false\n[limits]\nreserve_bytes = 0\n")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "main"}
    exec(compile(recipe_lines("fastapi", "python"), "main.py", "exec"), names)
    with TestClient(names["app"], base_url="https://www.example.org", headers=BROWSER) as visitor:
        asked = visitor.get("/").text
        form = {"origin": "https://www.example.org", "sec-fetch-site": "same-origin"}
        visitor.post("/_gw/consent", data={"choice": "accept_all"}, headers=form)
        granted = visitor.get("/").text
    assert ('id="gw-banner"' in asked, "You are being counted" in asked) == (True, False)
    assert ('id="gw-banner"' in granted, "You are being counted" in granted) == (False, True)


@contextmanager
def behind_gateway(folder: Path, site: ASGIApp, recipe: str) -> Iterator[TestClient]:
    """A visitor before the reverse proxy before a site, with the recipe's services in the policy."""
    config = ready_config(folder, policy=f"{POLICY_TOML}\n{recipe_lines(recipe, 'toml')}")
    with run_server(site) as upstream:
        app = ConsentMiddleware(ReverseProxy(f"http://{LOOPBACK}:{upstream}"), config)
        with TestClient(app, base_url="https://www.example.org", headers=BROWSER, follow_redirects=True) as visitor:
            yield visitor


def hidden(text: str, name: str) -> dict[str, str]:
    """A form's hidden field with its value."""
    found = re.search(rf"name={name} value=(\w+)", text)
    assert found
    return {name: found.group(1)}


def test_wordpress_works_before_any_choice(tmp_path: Path) -> None:
    """Signing in, the basket and a form's token work for who has said nothing; trackers are not set."""
    with behind_gateway(tmp_path, wordpress(), "wordpress") as visitor:
        assert visitor.post("/wp-login.php", data={"log": "a"}).status_code == 403
        visitor.get("/wp-login.php")
        assert "Dashboard" in visitor.post("/wp-login.php", data={"log": "redacteur", "pwd": "x"}).text
        for bought in ("1", "2"):
            shop = visitor.get("/")
            assert 'id="gw-banner"' in shop.text
            assert f"<p id=basket>{bought}</p>" in visitor.post("/", data=hidden(shop.text, "_wpnonce")).text
        assert visitor.post("/", data={"_wpnonce": "verzonnen"}).status_code == 403
        assert not {*TRACKING} & {cookie.name for cookie in visitor.cookies.jar}


def test_aspnet_works_before_any_choice(tmp_path: Path) -> None:
    """Session and anti-forgery token work for who has said nothing; trackers are not set."""
    with behind_gateway(tmp_path, aspnet(), "iis") as visitor:
        form = visitor.get("/")
        token = hidden(form.text, "__RequestVerificationToken")
        assert 'id="gw-banner"' in form.text
        assert "Mijn dossier" in visitor.post("/", data=token).text
        visitor.cookies.clear()
        assert visitor.post("/", data=token).status_code == 500
        visitor.get("/")
        assert not {*TRACKING} & {cookie.name for cookie in visitor.cookies.jar}


CLOUDFLARE = [
    ("198.51.100.7, 173.245.48.9", "198.51.100.7"),
    ("203.0.113.66, 198.51.100.7, 173.245.48.9", "198.51.100.7"),
    ("2001:db8::7, 2400:cb00::9", "2001:db8::7"),
]


@pytest.mark.parametrize(("forwarded", "client"), CLOUDFLARE)
def test_behind_cloudflare_the_visitor_is_known(tmp_path: Path, forwarded: str, client: str) -> None:
    """With the documented networks, the visitor is the address that Cloudflare saw, whatever the visitor wrote before it."""
    networks = re.findall(r'"([\d.:a-f]+/\d+)"', recipe_lines("cloudflare", "toml"))
    with gateway(tmp_path, trusted_proxies=networks) as front:
        connection = HTTPConnection(LOOPBACK, front, timeout=10)
        _, text = get(connection, "/", X_Forwarded_For=forwarded, X_Forwarded_Proto="https", Host="www.example.org")
        connection.close()
    assert f"{client} https www.example.org" in text


GTM = """<!doctype html><html><head><script>(function(w,d,s,l,i){w[l]=w[l]||[];var f=d.getElementsByTagName(s)[0],
j=d.createElement(s);j.async=true;j.src='https://www.googletagmanager.com/gtm.js?id='+i;f.parentNode.insertBefore(j,f);
})(window,document,'script','dataLayer','GTM-VOORBEELD');</script></head><body><noscript>
<iframe src="https://www.googletagmanager.com/ns.html?id=GTM-VOORBEELD"></iframe></noscript></body></html>"""


def test_a_tag_manager_waits_for_any_grant(tmp_path: Path) -> None:
    """The snippet is held, scripts and frame, until something is granted, whatever it is; Consent Mode stands before it."""

    async def page(_request: Request) -> HTMLResponse:
        return HTMLResponse(GTM)

    with behind_gateway(tmp_path, Starlette(routes=[Route("/", page)]), "google-tag-manager") as visitor:
        held = visitor.get("/").text
        form = {"origin": "https://www.example.org", "sec-fetch-site": "same-origin"}
        visitor.post("/_gw/consent", data={"choice": "save", "purpose": "marketing"}, headers=form)
        granted = visitor.get("/").text
    assert re.search(r'<script[^>]* data-gw-purpose="any"[^>]*>\(function', held)
    assert 'data-gw-src="https://www.googletagmanager.com/ns.html' in held
    assert held.index("/_gw/assets/head-") < held.index("googletagmanager")
    assert ('text/plain"' in granted, 'iframe src="https://www.googletagmanager.com' in granted) == (False, True)
