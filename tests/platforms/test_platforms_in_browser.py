"""The same sites in Chromium, by their own names over https: the foreign servers themselves note who was contacted."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.journeys.browsing import CHROMIUM, FLAGS
from tests.platforms.platform_world import Modelled, enforced
from tests.platforms.test_platforms import PLATFORMS
from tests.tls_servers import make_certificate
from tests.web.gated_site import HOST, ORIGIN
from tests.web.proxy_servers import run_server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

KINDS = {"script": "text/javascript", "style": "text/css", "image": "image/gif"}
PATIENCE_MS = 1200


class Others:
    """All other servers of the web: they answer everything with nothing, and note for whom they were asked."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        self.asked.add(headers.get(b"host", b"").decode().partition(":")[0])
        kind = KINDS.get(headers.get(b"sec-fetch-dest", b"").decode(), "text/html").encode()
        answer = [(b"content-type", kind), (b"access-control-allow-origin", b"*")]
        await send({"type": "http.response.start", "status": 200, "headers": answer})
        await send({"type": "http.response.body", "body": b""})


@contextmanager
def opened(folder: Path, modelled: Modelled) -> Iterator[tuple[Page, Others]]:
    """The site behind the gateway at its own name, every other name at one server, and a fresh browser."""
    others = Others()
    with ExitStack() as stack:
        app, _ = stack.enter_context(enforced(folder, modelled))
        certificate = make_certificate(folder)
        tls = {"ssl_certfile": str(certificate.file), "ssl_keyfile": str(certificate.key)}
        front = stack.enter_context(run_server(app, **tls))
        elsewhere = stack.enter_context(run_server(others, lifespan="off", **tls))
        rules = f"--host-resolver-rules=MAP {HOST}:443 127.0.0.1:{front}, MAP *:443 127.0.0.1:{elsewhere}"
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, rules])
        stack.callback(browser.close)
        yield browser.new_context(locale="nl-NL", ignore_https_errors=True).new_page(), others


def look(page: Page) -> None:
    """Open the first page, and let its scripts do what they want."""
    page.goto(f"{ORIGIN}/")
    page.wait_for_timeout(PATIENCE_MS)


def press(page: Page, label: str) -> None:
    """Press a button of ours, and wait until the choice is written down."""
    with page.expect_response(f"{ORIGIN}/_gw/consent"):
        page.get_by_role("button", name=label).click()
    page.wait_for_timeout(300)


@pytest.mark.parametrize("modelled", PLATFORMS, ids=[one.name for one in PLATFORMS])
def test_foreign_servers_hear_of_nobody_before_a_yes(modelled: Modelled, tmp_path: Path) -> None:
    """Before a choice and after a refusal only what the site needs is contacted, no optional cookie is in the browser, and
    every file of the site's own is asked for; after accepting, each service is contacted and its cookies are there."""
    with opened(tmp_path, modelled) as (page, others):
        asked: set[str] = set()
        page.on("request", lambda request: asked.add(request.url))
        look(page)
        press(page, "Alles weigeren")
        look(page)
        held = {cookie["name"] for cookie in page.context.cookies()}
        assert (others.asked, held & {*modelled.optional}) == ({*modelled.needs}, set())
        own = {address for address in modelled.works if address.startswith("/")}
        assert {
            address for address in own if f"{ORIGIN}{address}" not in asked and f"https:{address}" not in asked
        } == set()
        page.goto(f"{ORIGIN}/_gw/preferences")
        press(page, "Alles accepteren")
        page.goto(f"{ORIGIN}/")
        until = time.monotonic() + 20
        while not {*modelled.contacts} <= others.asked and time.monotonic() < until:
            page.wait_for_timeout(100)
        held = {cookie["name"] for cookie in page.context.cookies()}
    assert {*modelled.contacts} - others.asked == set()
    assert {urlsplit(address).hostname for address in asked} - {HOST} <= {*others.asked, None}
    assert {*modelled.optional} - held == set()
