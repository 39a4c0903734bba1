"""A site as its platform really sends it, behind the gateway with the policy that a first look at it drafts, and a visitor."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from gateway.config import load_config
from gateway.front import ConsentMiddleware
from gateway.survey.crawl import Limits
from gateway.survey.first_look import draft_files, look_at
from gateway.web.proxy import ReverseProxy
from tests.migrated import put_migrated
from tests.web.gated_site import BROWSER, HOST, ORIGIN, SAME_SITE
from tests.web.modelled_sites import read_acting
from tests.web.proxy_servers import run_server

QUICK = Limits(pages=6, pause=0)
# What is not as it was drafted: enforced at once, and without a keeper.
SWITCHES = {"GATEWAY_MODE": "enforce", "GATEWAY_KEEPER_AUTOSTART": "false", "GATEWAY_LIMITS_RESERVE_BYTES": "0"}
NO_HEADERS: Mapping[str, str] = {}
OWN_COOKIE = re.compile(r"(__Host-)?gw_")


class Modelled(NamedTuple):
    """A platform's site. `walk` does what a visitor comes for, and fails where it does not work; `needed` are the cookies that
    it leaves, by how their names begin. On the first page stand what must wait, the `optional` cookies, the `tags` by address
    and the `scripts` by a part of their text, and in `works` what acts from the beginning. `contacts` are the foreign hosts
    that a browser asks for something once all is accepted, `needs` those that it asks before."""

    name: str
    open: Callable[[Path], AbstractContextManager[int]]
    walk: Callable[["Visitor"], None]
    needed: tuple[str, ...]
    optional: tuple[str, ...]
    tags: tuple[str, ...]
    scripts: tuple[str, ...] = ()
    works: tuple[str, ...] = ()
    contacts: tuple[str, ...] = ("www.googletagmanager.com",)
    needs: tuple[str, ...] = ()


def serving(site: Callable[[], ASGIApp]) -> Callable[[Path], AbstractContextManager[int]]:
    """Opens a site of this process, fresh each time; it does not need the folder."""
    return lambda _folder: run_server(site())


class Onward:
    """Stands between gateway and site, and notes the names of the cookies that get there."""

    def __init__(self, site: ASGIApp) -> None:
        self._site = site
        self.cookies: set[str] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        for name, value in scope.get("headers", ()):
            if name == b"cookie":
                self.cookies |= {pair.partition("=")[0].strip() for pair in value.decode().split(";")}
        await self._site(scope, receive, send)


class Visitor:
    """A browser without scripts: keeps cookies, follows redirects, sends forms as a page of the site does."""

    def __init__(self, client: TestClient, onward: Onward) -> None:
        self._client, self.onward = client, onward

    @property
    def cookies(self) -> dict[str, str]:
        """The site's cookies that the browser holds; the gateway's own are left out."""
        held = {cookie.name: cookie.value or "" for cookie in self._client.cookies.jar}
        return {name: value for name, value in held.items() if not OWN_COOKIE.match(name)}

    def carry(self, name: str, value: str = "1") -> None:
        """Hold a cookie from before."""
        self._client.cookies.set(name, value, domain=HOST)

    def forget(self, *names: str) -> None:
        """Lose cookies, as with the end of a session."""
        for cookie in [one for one in self._client.cookies.jar if one.name in names]:
            self._client.cookies.jar.clear(cookie.domain, cookie.path, cookie.name)

    def get(self, path: str, headers: Mapping[str, str] = NO_HEADERS) -> str:
        """Open a page of the site, or fetch what a script would."""
        return self._open("GET", path, headers=headers)

    def post(
        self, path: str, fields: dict[str, str], status: int = 200, headers: Mapping[str, str] = NO_HEADERS
    ) -> str:
        """Send a form, with a referrer as browsers do."""
        return self._open("POST", path, status, data=fields, headers={**SAME_SITE, "referer": f"{ORIGIN}/", **headers})

    def submit(self, page: str, action: str, fields: dict[str, str], status: int = 200) -> str:
        """Fill in the form that goes to `action`, with its hidden fields, and send it."""
        return self.post(action, hidden_fields(page, action) | fields, status)

    def accept(self) -> None:
        """Press the banner's button."""
        self.post("/_gw/consent", {"choice": "accept_all"})

    def _open(self, method: str, path: str, status: int = 200, **how: Any) -> str:
        answer = self._client.request(method, path, **how)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return answer.text


@contextmanager
def drafted(folder: Path, modelled: Modelled, policy: str = "") -> Iterator[Visitor]:
    """The site behind the gateway, which enforces the policy that `gateway init --from` drafts for it, or the given one."""
    with ExitStack() as stack:
        app, onward = stack.enter_context(enforced(folder, modelled, policy))
        client = TestClient(app, base_url=ORIGIN, headers=BROWSER, follow_redirects=True)
        yield Visitor(stack.enter_context(client), onward)


@contextmanager
def enforced(folder: Path, modelled: Modelled, policy: str = "") -> Iterator[tuple[ConsentMiddleware, Onward]]:
    """The site behind the gateway, and what stands between the two."""
    folder.mkdir(parents=True, exist_ok=True)
    with modelled.open(folder) as upstream:
        address = f"http://127.0.0.1:{upstream}"
        seen = look_at(f"{address}/", QUICK, lambda _: None, plain=True)
        for name, text in draft_files(seen, "2026-11-26").files.items():
            (folder / name).write_text(text, "utf-8")
        if policy:
            (folder / "policy.toml").write_text(policy, "utf-8")
        config = load_config(folder, SWITCHES)
        put_migrated(config.data_folder / "gateway.db")
        onward = Onward(ReverseProxy(config.settings.proxy.upstream))
        yield ConsentMiddleware(onward, config), onward


def is_acting(page: str, mark: str) -> bool:
    """Whether an address is gone to, or a script with this text runs."""
    acting = read_acting(page)
    return mark in acting.addresses or any(mark in script for script in acting.scripts)


def foreign_hosts(page: str) -> set[str]:
    """Hosts beside the site's own that the page makes a browser contact."""
    hosts = {urlsplit(address).hostname for address in read_acting(page).addresses if "//" in address[:8]}
    return {host for host in hosts if host and host != HOST}


def hidden_fields(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the form with this action."""
    form = re.search(rf'<form[^>]*action="{re.escape(action)}"[^>]*>(.*?)</form>', page, re.DOTALL)
    assert form, f"no form for {action} in {page[:2000]}"
    inputs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[1])
    return {name: unescape(value) for name, value in inputs}


async def sent_fields(request: Request) -> dict[str, str]:
    """The form that came in."""
    fields = parse_qs((await request.body()).decode(), keep_blank_values=True)
    return {name: values[0] for name, values in fields.items()}


def is_secure(request: Request) -> bool:
    """Whether the visitor came by https."""
    return request.headers.get("x-forwarded-proto") == "https"


def html_page(head: str, body: str, status: int = 200) -> HTMLResponse:
    """A whole page."""
    return HTMLResponse(f'<!DOCTYPE html>\n<html lang="nl">\n<head>{head}</head>\n<body>{body}</body>\n</html>', status)
