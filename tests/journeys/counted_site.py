"""A site behind the gate whose events are read from its journals, and a visitor who has accepted on one of its pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from playwright.sync_api import Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gateway import ConsentMiddleware
from gateway.demo.loopback import LOOPBACK, LoopbackServer
from gateway.event import Event
from tests.flows.worker_parts import read_recorded
from tests.web.gated_site import ready_config

ACCEPT = "Alles accepteren"
PAGE = """<!doctype html><html lang="nl"><head><title>Proef</title><style>
p {{ margin: 0; height: 60px }} #far {{ height: 3000px }}</style></head><body>
<p><a id="away" href="http://elders.localhost:{port}/stuk/1234567?naam=jan#x">Elders</a></p>
<p><a id="file" href="/brieven/voorwaarden.pdf?v=2">Brief</a></p>
<p><a id="saved" href="/gegevens" download>Gegevens</a></p>
<p><a id="own" href="/contact">Contact</a></p>
<p><a id="mail" href="mailto:jan@voorbeeld.nl">Mail</a></p>
<form id="no-name" name="regeling" action="/aanvraag?stap=2"><input name="naam" value="Jan Geheim">
<input name="action" value="x"><button id="send">Verstuur</button></form>
<p><button id="jump">Verspring</button></p>
<div id="far"></div><script>
for (const link of document.querySelectorAll("a")) link.addEventListener("click", (event) => event.preventDefault());
addEventListener("click", (event) => event.stopImmediatePropagation());
document.forms[0].addEventListener("submit", (event) => event.preventDefault());
jump.addEventListener("click", () => {{ const end = performance.now() + 120; while (performance.now() < end); }});
</script></body></html>"""


class Journey(msgspec.Struct):
    """The site's address without a final slash, and where its events are."""

    url: str
    data: Path

    def events(self, kind: str) -> list[Event]:
        """What was recorded of one kind, in order."""
        return [recorded.event for recorded in read_recorded(self.data) if recorded.event.kind == kind]

    def props(self, kind: str) -> list[dict[str, str]]:
        """The properties of those events."""
        return [event.props for event in self.events(kind)]


@contextmanager
def open_journey(
    folder: Path, *, cache_safe: bool = False, document: str = PAGE, policy: str = "", **automatic: Any
) -> Iterator[Journey]:
    """A site behind the gate, its content policy enforced, all of whose pages are `document`, with a content policy of their
    own if any; `/weg` does not exist, nor does anything below it."""

    async def page(request: Request) -> Response:
        found = not request.url.path.startswith("/weg")
        headers = {"content-security-policy": policy} if policy else {}
        return HTMLResponse(document.format(port=server.port), 200 if found else 404, headers)

    analytics = {"automatic": automatic}
    config = ready_config(
        folder, {"limits": {"reserve_bytes": 0}, "analytics": analytics, "sites": [{"cache_safe": cache_safe}]}
    )
    gate = ConsentMiddleware(Starlette(routes=[Route("/{path:path}", page)]), config)
    server = LoopbackServer(gate)
    server.start()
    try:
        yield Journey(f"http://{LOOPBACK}:{server.port}", config.data_folder)
    finally:
        server.stop()
        gate._close()


def accept(page: Page) -> None:
    """Press the banner's button; done when the visitor is being counted."""
    page.get_by_role("button", name=ACCEPT).click()
    expect(page.locator("#gw-banner")).to_have_count(0)
    page.wait_for_function("window.gateway.collecting && gateway.vitals !== 0")
