"""What is counted without the site's asking, in a real browser: links, files, forms, lost pages, depth, vitals, routes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gateway import ConsentMiddleware
from gateway.demo.loopback import LOOPBACK, LoopbackServer
from gateway.event import Event
from tests.flows.worker_parts import read_recorded
from tests.journeys.browsing import open_browser, open_context
from tests.web.gated_site import ready_config

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

ACCEPT = "Alles accepteren"
# Done once the page has been told of it: the script's own listener was there before.
SCROLL_DOWN = "new Promise((done) => { addEventListener('scroll', () => done(), { once: true }); scrollTo(0, 1000); })"
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


@contextmanager
def open_journey(folder: Path, *, cache_safe: bool = False, **automatic: Any) -> Iterator[Journey]:
    """A site behind the gate, its content policy enforced; `/weg` does not exist, nor does anything below it."""

    async def page(request: Request) -> Response:
        found = not request.url.path.startswith("/weg")
        return HTMLResponse(PAGE.format(port=server.port), 200 if found else 404)

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


def open_accepted(browser: Browser, journey: Journey, path: str = "/") -> Page:
    """A page on which its visitor has accepted and is being counted."""
    page = open_context(browser).new_page()
    page.goto(journey.url + path)
    page.get_by_role("button", name=ACCEPT).click()
    expect(page.locator("#gw-banner")).to_have_count(0)
    page.wait_for_function("window.gateway.collecting && gateway.vitals !== 0")
    page.wait_for_timeout(300)
    return page


def leave(page: Page) -> None:
    """Close the page, with what it says at the end."""
    page.goto("about:blank")
    page.wait_for_timeout(400)
    page.context.close()


def test_links_away_files_and_forms_are_events(browser: Browser, tmp_path: Path) -> None:
    """A link to another host, a file and a form are counted, whatever the site's own scripts do with the click; without
    query and fragment, masked, and never with what was typed. Own pages and mail are no news."""
    with open_journey(tmp_path) as journey:
        page = open_accepted(browser, journey)
        for name in ("away", "file", "saved", "own", "mail", "send"):
            page.click(f"#{name}")
        page.click("#away", button="middle")
        page.wait_for_timeout(400)
        leave(page)
        assert [props["url"].partition(":")[0] for props in journey.props("outbound")] == ["elders.localhost"] * 2
        assert journey.props("outbound")[0]["url"].endswith("/stuk/:id")
        assert journey.props("download") == [{"file": "/brieven/voorwaarden.pdf"}, {"file": "/gegevens"}]
        assert journey.props("form_submit") == [{"form": "regeling", "to": "/aanvraag"}]
        assert "Geheim" not in repr(read_recorded(journey.data)) and "naam" not in repr(read_recorded(journey.data))


def test_each_can_be_switched_off(browser: Browser, tmp_path: Path) -> None:
    """What the configuration switches off is not told: no links, files, forms, lost pages, depth and vitals."""
    names = ("outbound", "downloads", "forms", "not_found", "scroll", "vitals")
    with open_journey(tmp_path, **dict.fromkeys(names, False)) as journey:
        page = open_accepted(browser, journey)
        for name in ("away", "file", "send"):
            page.click(f"#{name}")
        page.goto(journey.url + "/weg")
        page.wait_for_timeout(1000)
        assert page.evaluate("gateway.vitals") is None
        leave(page)
        assert {recorded.event.kind for recorded in read_recorded(journey.data)} == {"page_view", "engagement"}
        assert {event.told.scroll for event in journey.events("engagement")} == {-1}


def test_a_lost_page_is_an_event_and_no_view(browser: Browser, tmp_path: Path) -> None:
    """A page that does not exist is told with its status and the page that led there, once, and is no page view."""
    with open_journey(tmp_path) as journey:
        page = open_accepted(browser, journey)
        page.goto(journey.url + "/weg/7654321", referer=f"{journey.url}/oud?x=1")
        page.wait_for_timeout(500)
        leave(page)
        (lost,) = journey.events("not_found")
        assert (lost.path, lost.told.status, lost.props) == ("/weg/:id", "404", {"from": "/oud"})
        assert [event.path for event in journey.events("page_view")] == ["/"]


def test_the_script_tells_of_a_lost_page_that_is_the_same_for_all(browser: Browser, tmp_path: Path) -> None:
    """Where the server counts no views, the script tells that a page does not exist, as far as the browser knows; vitals and
    what visitors do are counted there too."""
    with open_journey(tmp_path, cache_safe=True) as journey:
        page = open_accepted(browser, journey)
        page.goto(journey.url + "/")
        page.wait_for_function("gateway.vitals?.lcp > 0")
        page.click("#away")
        page.goto(journey.url + "/weg/7654321", referer=f"{journey.url}/oud?x=1")
        page.wait_for_function("window.gateway?.collecting")
        page.wait_for_timeout(500)
        leave(page)
        assert [(event.path, event.props) for event in journey.events("not_found")] == [("/weg/:id", {"from": "/oud"})]
        assert {event.path for event in journey.events("page_view")} == {"/"}
        assert len(journey.events("outbound")) == 1
        assert max(event.told.lcp for event in journey.events("engagement")) > 0


def test_depth_width_and_vitals_are_told_of_each_view(browser: Browser, tmp_path: Path) -> None:
    """The lowest point that was in sight, the width's class, how fast the page appeared, how slowly it answered and how
    little it jumped; a view within the page has a depth of its own and no vitals."""
    with open_journey(tmp_path) as journey:
        page = open_accepted(browser, journey)
        page.reload()
        page.wait_for_function("gateway.vitals?.lcp > 0")
        page.click("#jump")
        page.evaluate(SCROLL_DOWN)
        page.wait_for_function("gateway.vitals?.inp >= 100")
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(200)
        page.evaluate("history.pushState(null, '', '/tweede')")
        page.wait_for_timeout(600)
        leave(page)
        first = [event.told for event in journey.events("engagement") if event.path == "/"][-1]
        second = [event.told for event in journey.events("engagement") if event.path == "/tweede"][-1]
        assert (first.screen, second.screen) == ("large", "large")
        assert 45 <= first.scroll <= 60 and 20 <= second.scroll <= 30
        assert 0 < first.lcp < 20_000 and 100 <= first.inp < 5_000 and 0 <= first.cls < 1000
        assert (second.lcp, second.inp, second.cls) == (-1, -1, -1)


@pytest.mark.parametrize(("wanted", "paths"), [(True, ["/", "/#/over/:id", "/#/contact"]), (False, ["/"])])
def test_routes_in_the_fragment_are_pages_where_that_is_asked(
    browser: Browser, tmp_path: Path, wanted: bool, paths: list[str]
) -> None:
    """With hash routes on, each route is a view, masked and without its query; a mere anchor never is."""
    with open_journey(tmp_path, hash_routes=wanted) as journey:
        page = open_accepted(browser, journey)
        for route in ("#/over/1234567?x=jan", "#/contact", "#far", "#/contact"):
            page.evaluate("(route) => { location.hash = route }", route)
            page.wait_for_timeout(200)
        leave(page)
        seen = [event.path for event in journey.events("page_view")]
        assert list(dict.fromkeys(seen)) == paths


def test_a_site_tells_what_an_event_was_worth(browser: Browser, tmp_path: Path) -> None:
    """gateway.track takes an amount and its currency."""
    with open_journey(tmp_path) as journey:
        page = open_accepted(browser, journey)
        page.evaluate("gateway.track('order', {plan: 'groot'}, {amount: 49.95, currency: 'EUR'})")
        page.wait_for_timeout(300)
        leave(page)
        (order,) = journey.events("order")
        assert (order.props, order.told.revenue, order.told.currency) == ({"plan": "groot"}, 49_950, "EUR")
