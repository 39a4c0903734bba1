"""A site behind the gate for the web tests: its pages, a browser before it, and what was written down about it."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.testclient import TestClient

from gateway.config import Config
from gateway.front import ConsentMiddleware
from tests.example_site import AGENT, write_site
from tests.migrated import put_migrated

HOST = "www.example.org"
ORIGIN = f"https://{HOST}"
BROWSER = {"accept": "text/html,application/xhtml+xml", "user-agent": AGENT, "accept-encoding": "gzip, deflate, br"}
SAME_SITE = {"origin": ORIGIN, "sec-fetch-site": "same-origin"}
HTML = (b"content-type", b"text/html; charset=utf-8")
Header = tuple[bytes, bytes]

PAGE = (
    b'<!doctype html><html lang="nl"><head><meta name="gw-topic" content="Rente"><script src="/own.js"></script>'
    b'<script src="https://teller.example.net/t.js"></script></head><body><h1>Incasso</h1>'
    b'<img src="https://video.example.net/p.gif"><iframe src="https://evil.example/"></iframe></body></html>'
)
COOKIES: list[Header] = [
    (b"set-cookie", b"sessionid=1; Path=/"),
    (b"set-cookie", b"_tel=2; Path=/"),
    (b"set-cookie", b"_ads=3; Path=/"),
    (b"set-cookie", b"other=4; Path=/"),
]


@dataclass
class Answer:
    """What the site answers: a status, headers, and a body in one or more pieces."""

    body: bytes | Sequence[bytes] = PAGE
    headers: Sequence[Any] = (HTML,)
    status: int = 200

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        pieces = [self.body] if isinstance(self.body, bytes) else list(self.body)
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        for piece in pieces[:-1]:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": pieces[-1]})


@dataclass
class Pages:
    """The inner app: answers by path (the page above for every other), and remembers what it was asked."""

    answers: dict[str, Any] = field(default_factory=dict)
    scopes: list[Any] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        self.scopes.append(scope)
        await self.answers.get(scope["path"], Answer())(scope, receive, send)

    def header(self, name: bytes) -> bytes | None:
        """A header of the last request as it reached the site."""
        return dict(self.scopes[-1]["headers"]).get(name)


class Browser(TestClient):
    """Starlette's client with a browser's headers; follows no redirect, keeps cookies."""

    def __init__(self, app: Any) -> None:
        super().__init__(app, base_url=ORIGIN, follow_redirects=False, headers=BROWSER)

    def choose(self, choice: str, *purposes: str, headers: dict[str, str] | None = None, **fields: str) -> Any:
        """Press a button of the banner or save the preferences, as a form on the site's own page does."""
        body = urlencode([("choice", choice), *(("purpose", p) for p in purposes), *fields.items()])
        sent = {"content-type": "application/x-www-form-urlencoded", **SAME_SITE, **(headers or {})}
        return self.post("/_gw/consent", content=body, headers=sent)

    def report(self, headers: dict[str, str] | None = None, **fields: Any) -> Any:
        """Send what the script sends."""
        message = {"v": 1, "k": "event", "view": "V" * 22, "url": f"{ORIGIN}/a", **fields}
        return self.post("/_gw/collect", json=message, headers={**SAME_SITE, **(headers or {})})

    def carry(self, cookies: dict[str, str]) -> None:
        """Hold these cookies and no others."""
        self.cookies.clear()
        for name, value in cookies.items():
            self.cookies.set(name, value, domain=HOST)


@contextmanager
def visiting(
    folder: Path, pages: Callable[..., Any] | None = None, settings: dict[str, Any] | None = None, **site: Any
) -> Iterator[Browser]:
    """A browser before the example site behind the gate; data live in `folder/data`."""
    config = ready_config(folder, settings, **site)
    with Browser(ConsentMiddleware(pages or Pages(), config)) as browser:
        yield browser


def build_config(folder: Path, settings: dict[str, Any] | None = None, **site: Any) -> Config:
    """The example site's configuration, without a reserve of disk."""
    return write_site(folder, {"limits": {"reserve_bytes": 0}, **(settings or {})}, **site)


def ready_config(folder: Path, settings: dict[str, Any] | None = None, **site: Any) -> Config:
    """The same, with a database that is up to date."""
    config = build_config(folder, settings, **site)
    put_migrated(config.data_folder / "gateway.db")
    return config


def set_cookies(response: Any) -> dict[str, str]:
    """The cookies that a response sets, each with its attributes, by name."""
    return {line.partition("=")[0]: line.partition("=")[2] for line in response.headers.get_list("set-cookie")}


def view_of(response: Any) -> str:
    """The view id that a page carries for its script."""
    found = re.search(r'"view":"([^"]*)"', unescape(response.text))
    return found.group(1) if found else ""


def has_banner(response: Any) -> bool:
    """Whether a page asks."""
    return 'id="gw-banner"' in response.text


def ask(browser: Browser, pages: Pages, answer: Any, **options: Any) -> Any:
    """What the browser gets for an answer of the site."""
    pages.answers["/asked"] = answer
    return browser.request(options.pop("method", "GET"), "/asked", **options)


def drive(app: Any, path: str = "/", headers: tuple[Header, ...] = ()) -> Any:
    """One request straight to the app, not yet awaited, and the list that its messages will stand in."""
    sent: list[Any] = []
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
    }
    own = [(name.encode(), value.encode()) for name, value in BROWSER.items()]
    scope |= {"path": path, "raw_path": path.encode(), "query_string": b"", "client": ("192.0.2.9", 1)}
    scope |= {"headers": [(b"host", HOST.encode()), *own, *headers], "scheme": "https"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    return app(scope, receive, send), sent


def body_of(sent: list[Any]) -> bytes:
    """The body that the messages carried."""
    return b"".join(message.get("body", b"") for message in sent[1:])
