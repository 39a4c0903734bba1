"""A test client that behaves as a browser on the console's own pages, and helpers to sign it in."""

from dataclasses import replace
from typing import Any

from httpx2 import Response
from starlette.applications import Starlette
from starlette.testclient import TestClient

from gateway.web.console import ConsoleParts, build_console
from tests.web.console_example import NAME, PASSWORD

OWN_PAGE = {"sec-fetch-site": "same-origin", "origin": "null"}


def open_browser(app: Starlette, base_url: str = "http://localhost:8788") -> TestClient:
    """A client with a cookie jar that follows no redirects and gets 500 answers as answers."""
    return TestClient(app, base_url=base_url, follow_redirects=False, raise_server_exceptions=False)


def sign_in(browser: TestClient, name: str = NAME, password: str = PASSWORD, to: str = "") -> Response:
    """Send the form as the console's own page would."""
    fields = {"name": name, "password": password, "to": to}
    return browser.post("/signin", data=fields, headers=OWN_PAGE)


def open_operator(parts: ConsoleParts, **replaced: Any) -> TestClient:
    """A browser that is signed in to a console over `parts` with some of them replaced."""
    browser = open_browser(build_console(replace(parts, **replaced)))
    sign_in(browser)
    return browser
