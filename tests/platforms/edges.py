"""What stands before a site with two servers, each with a memory of its own: Cloudflare, load balancers of Amazon, F5, HAProxy
and Citrix. The basket is lost where a visitor does not stay with one server."""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from tests.platforms.platform_world import Modelled, Visitor, html_page, serving

GTAG = "https://www.googletagmanager.com/gtag/js?id=G-VOORBEELD9"
BEACON = "https://static.cloudflareinsights.com/beacon.min.js/vcd15cbe7772f49c399c6a5babf22c1241717689176015"
TURNSTILE = "https://challenges.cloudflare.com/turnstile/v0/api.js"
DECODE = "/cdn-cgi/scripts/5c5dd728/cloudflare-static/email-decode.min.js"
PAGE = f"""<script async src="{GTAG}"></script><script>window.dataLayer = window.dataLayer || [];
function gtag(){{dataLayer.push(arguments);}} gtag('js', new Date()); gtag('config', 'G-VOORBEELD9');</script>"""
FORM = '<form action="/mandje" method="post"></form>'
LATER = "Expires=Fri, 31 Dec 2027 10:00:00 GMT"


class Server:
    """One server of the site; its sessions are in its own memory."""

    def __init__(self) -> None:
        self._baskets: dict[str, int] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        key = request.cookies.get("PHPSESSID", "")
        if key not in self._baskets:
            key = secrets.token_hex(13)
            self._baskets[key] = 0
        self._baskets[key] += request.method == "POST"
        answer = html_page(PAGE, f"<p>{self._baskets[key]} in mandje</p>{FORM}")
        answer.set_cookie("PHPSESSID", key)
        answer.set_cookie("_ga", "GA1.1.1.1", 63_072_000)
        await answer(scope, receive, send)


@dataclass
class Edge(ABC):
    """Sends each visitor to the server that its cookie names, others in turn. A kind of edge has its own way to do so."""

    servers: list[ASGIApp] = field(default_factory=lambda: [Server(), Server()])
    sent: dict[str, int] = field(default_factory=dict)
    turn: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        request = Request(scope, receive)
        refused = self.check(request)
        chosen = self.server_of(request)
        if chosen is None:
            self.turn += 1
            chosen = self.turn % 2

        async def add(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = [(b"set-cookie", line.encode()) for line in self.lines(request, chosen)]
                own += [(name.encode(), value.encode()) for name, value in self.headers.items()]
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        await (refused or self.servers[chosen])(scope, receive, add)

    def remember(self, chosen: int) -> str:
        """A value that leads back to the server."""
        value = secrets.token_urlsafe(24)
        self.sent[value] = chosen
        return value

    def find(self, request: Request, *names: str) -> int | None:
        """The server that one of these cookies leads to."""
        values = (request.cookies.get(name, "").strip('"') for name in names)
        return next((self.sent[value] for value in values if value in self.sent), None)

    @abstractmethod
    def server_of(self, request: Request) -> int | None:
        """The server that the visitor belongs to."""

    @abstractmethod
    def lines(self, request: Request, chosen: int) -> list[str]:
        """The cookies that this answer sets, as they are written."""

    def check(self, request: Request) -> Response | None:
        """An answer of the edge's own instead of the site's."""
        return None


def domain(request: Request) -> str:
    """The attribute for the whole domain, where the site is asked by its name."""
    return "; Domain=.example.org" if request.headers["host"].endswith("example.org") else ""


class Alb(Edge):
    """Application Load Balancer: two cookies anew with each answer; signing in by OpenID Connect for a part of the site."""

    def server_of(self, request: Request) -> int | None:
        return self.find(request, "AWSALB", "AWSALBCORS")

    def lines(self, request: Request, chosen: int) -> list[str]:
        value = self.remember(chosen)
        found = [f"AWSALB={value}; {LATER}; Path=/", f"AWSALBCORS={value}; {LATER}; Path=/; SameSite=None; Secure"]
        if request.url.path == "/oauth2/idpresponse":
            more = "Expires=Thu, 30 Dec 2027 10:00:00 GMT; Path=/; Secure; HttpOnly"
            found += [f"AWSELBAuthSessionCookie-{number}=part{number}; {more}" for number in (0, 1)]
        return found

    def check(self, request: Request) -> Response | None:
        if request.url.path == "/oauth2/idpresponse":
            return RedirectResponse("/intern", 302)
        parts = {f"AWSELBAuthSessionCookie-{number}" for number in (0, 1)}
        if request.url.path == "/intern" and not parts <= {*request.cookies}:
            return html_page("", "Aanmelden bij de identiteitsverschaffer", 401)
        return None


class Elb(Edge):
    """Classic Load Balancer: set where it is missing."""

    def server_of(self, request: Request) -> int | None:
        return self.find(request, "AWSELB", "AWSELBCORS")

    def lines(self, request: Request, chosen: int) -> list[str]:
        if self.server_of(request) is not None:
            return []
        value = self.remember(chosen)
        return [f"AWSELB={value};PATH=/;MAX-AGE=3600", f"AWSELBCORS={value};PATH=/;MAX-AGE=3600;SECURE;SAMESITE=None"]


class BigIp(Edge):
    """F5: the server's address in a cookie named after its pool; its firewall wants its own cookie back with each post."""

    pool, wall = "BIGipServer~Common~pool_web_443", "TS01a2b3c4"

    def server_of(self, request: Request) -> int | None:
        return {"1677787402.36895.0000": 0, "1694564618.36895.0000": 1}.get(request.cookies.get(self.pool, ""))

    def lines(self, request: Request, chosen: int) -> list[str]:
        address = ("1677787402.36895.0000", "1694564618.36895.0000")[chosen]
        wall = f"{self.wall}=01d0{secrets.token_hex(20)}; Path=/{domain(request)}; Secure; HTTPOnly"
        return [wall] if self.pool in request.cookies else [f"{self.pool}={address}; path=/; Httponly; Secure", wall]

    def check(self, request: Request) -> Response | None:
        if request.method == "POST" and self.wall not in request.cookies:
            return html_page("", "The requested URL was rejected. Please consult with your administrator.", 403)
        return None


class BigIpWall(BigIp):
    """F5's firewall alone, with a cookie that is named after its policy, and without stickiness: one server."""

    wall = "TSe4d0fb2b027"

    def server_of(self, request: Request) -> int | None:
        return 0

    def lines(self, request: Request, chosen: int) -> list[str]:
        ending = f"Path=/{domain(request)}; Secure; HTTPOnly"
        return [f"{name}=01d0{secrets.token_hex(20)}; {ending}" for name in (self.wall, "TS01a2b3c4", "TSPD_101")]


class HaProxy(Edge):
    """`cookie SERVERID insert indirect nocache`: set where it is missing."""

    def server_of(self, request: Request) -> int | None:
        return {"web0": 0, "web1": 1}.get(request.cookies.get("SERVERID", ""))

    def lines(self, request: Request, chosen: int) -> list[str]:
        return [] if "SERVERID" in request.cookies else [f"SERVERID=web{chosen}; path=/; HttpOnly; Secure"]


class Citrix(Edge):
    """NetScaler: a cookie named after the virtual server; its firewall sends posts without a session away."""

    sticky, wall = "NSC_wt-xxx.wppscffme.ome-443", "citrix_ns_id"

    def server_of(self, request: Request) -> int | None:
        return self.find(request, self.sticky)

    def lines(self, request: Request, chosen: int) -> list[str]:
        found = [f"{self.sticky}={self.remember(chosen)};{LATER.replace('E', 'e', 1)};path=/;secure;httponly"]
        if self.wall not in request.cookies:
            ending = f"; Path=/{domain(request)}; Secure; HttpOnly"
            found += [
                f"{self.wall}=AAE7{secrets.token_hex(8)}{ending}",
                f"{self.wall}_.example.org_%2F_wat=AAAA{ending}",
            ]
        return found

    def check(self, request: Request) -> Response | None:
        lost = request.method == "POST" and self.wall not in request.cookies
        return html_page("", "Your session has expired.", 403) if lost else None


class Cloudflare(Edge):
    """Tells people from robots, keeps visitors at a server, asks for a proof before signing in, and adds to pages."""

    def server_of(self, request: Request) -> int | None:
        return self.find(request, "__cflb")

    def lines(self, request: Request, chosen: int) -> list[str]:
        ending = f"path=/; {LATER.lower()}{domain(request).lower()}; HttpOnly; Secure; SameSite=None"
        found = [] if "__cf_bm" in request.cookies else [f"__cf_bm={secrets.token_urlsafe(20)}-1-1.0.1.1-x; {ending}"]
        if "_cfuvid" not in request.cookies:
            found.append(f"_cfuvid={secrets.token_hex(8)}-0.0.1.1-604800000; {ending}")
        if self.server_of(request) is None:
            found.append(f"__cflb={self.remember(chosen)}; SameSite=Lax; path=/; HttpOnly")
        if request.url.path == "/cdn-cgi/challenge-platform/answer":
            found.append(f"cf_clearance={secrets.token_hex(16)}-1-1.2.1.1-x; {ending}")
        return found

    def check(self, request: Request) -> Response | None:
        if request.url.path == "/cdn-cgi/challenge-platform/answer":
            return RedirectResponse("/intern", 302)
        if request.url.path == "/intern" and "cf_clearance" not in request.cookies:
            return html_page("", "Just a moment...", 403)
        return None


class AddingServer:
    """A server whose pages Cloudflare has put its own scripts into."""

    def __init__(self) -> None:
        self._server = Server()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        added = f"""<script data-cfasync="false" src="{DECODE}"></script><script src="{TURNSTILE}" async defer></script>
<script defer src="{BEACON}" data-cf-beacon='{{"token":"x"}}' crossorigin="anonymous"></script></body>"""

        async def add(message: Any) -> None:
            if message["type"] == "http.response.start":
                kept = [pair for pair in message["headers"] if pair[0] != b"content-length"]
                message = {**message, "headers": kept}
            elif message.get("body"):
                message = {**message, "body": message["body"].replace(b"</body>", added.encode())}
            await send(message)

        await self._server(scope, receive, add)


def cloudflare() -> Edge:
    """Cloudflare before a site."""
    return Cloudflare([AddingServer(), AddingServer()], headers={"server": "cloudflare", "cf-ray": "8f0a-AMS"})


def walk(visitor: Visitor) -> None:
    """The basket grows: each request comes to the server that knows it."""
    page = visitor.get("/")
    for count in range(1, 6):
        page = visitor.submit(page, "/mandje", {})
        assert f"<p>{count} in mandje" in page


def walk_alb(visitor: Visitor) -> None:
    """Sign in at the load balancer as well."""
    walk(visitor)
    assert "in mandje" in visitor.get("/oauth2/idpresponse?code=x")
    assert "in mandje" in visitor.get("/intern")


def walk_cloudflare(visitor: Visitor) -> None:
    """Solve its riddle as well."""
    walk(visitor)
    assert "in mandje" in visitor.get("/cdn-cgi/challenge-platform/answer")
    assert "in mandje" in visitor.get("/intern")


def _edge(
    name: str, build: Callable[[], ASGIApp], needed: tuple[str, ...], walks: Callable[[Visitor], None] = walk
) -> Modelled:
    return Modelled(name, serving(build), walks, (*needed, "PHPSESSID"), ("_ga",), (GTAG,), ("gtag('config'",))


ALB = _edge("alb", Alb, ("AWSALB", "AWSALBCORS", "AWSELBAuthSessionCookie-0", "AWSELBAuthSessionCookie-1"), walk_alb)
ELB = _edge("elb", Elb, ("AWSELB", "AWSELBCORS"))
F5 = _edge("f5", BigIp, (BigIp.pool, BigIp.wall))
F5_WALL = _edge("f5-wall", BigIpWall, (BigIpWall.wall, "TS01a2b3c4", "TSPD_101"))
HAPROXY = _edge("haproxy", HaProxy, ("SERVERID",))
CITRIX = _edge("citrix", Citrix, (Citrix.sticky, Citrix.wall, "citrix_ns_id_.example.org"))
CLOUDFLARE = _edge(
    "cloudflare", cloudflare, ("__cf_bm", "_cfuvid", "__cflb", "cf_clearance"), walk_cloudflare
)._replace(
    tags=(GTAG, BEACON, TURNSTILE),
    works=(DECODE,),
    contacts=("www.googletagmanager.com", "static.cloudflareinsights.com", "challenges.cloudflare.com"),
)
EDGES = (CLOUDFLARE, ALB, ELB, F5, F5_WALL, HAPROXY, CITRIX)
