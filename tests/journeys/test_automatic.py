"""What is counted without the site's asking, in a real browser: links, files, forms, lost pages, depth, vitals, routes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.flows.worker_parts import read_recorded
from tests.journeys.browsing import open_browser, open_context
from tests.journeys.counted_site import Journey, accept, open_journey

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

# Done once the page has been told of it: the script's own listener was there before.
SCROLL_DOWN = "new Promise((done) => { addEventListener('scroll', () => done(), { once: true }); scrollTo(0, 1000); })"

DRAWINGS = """<!doctype html><html lang="nl"><head><title>Proef</title></head><body><svg width="90" height="90"
xmlns:xlink="http://www.w3.org/1999/xlink">
<a href="http://elders.localhost:{port}/drawn"><circle id="drawn" r="9"/></a>
<a xlink:href="http://elders.localhost:{port}/old"><circle id="old" r="9"/></a>
<a href="stukken/brief.pdf?v=2"><circle id="paper" r="9"/></a><a href="#x"><circle id="inside" r="9"/></a></svg>
<a href="http://elders.localhost:{port}/icon"><svg><use id="icon" href="#drawn"/></svg></a><script>
for (const link of document.querySelectorAll("a")) link.addEventListener("click", (event) => event.preventDefault());
</script></body></html>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


def open_accepted(browser: Browser, journey: Journey, path: str = "/") -> Page:
    """A page on which its visitor has accepted and is being counted."""
    page = open_context(browser).new_page()
    page.goto(journey.url + path)
    accept(page)
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


def test_links_in_drawings_are_links(browser: Browser, tmp_path: Path) -> None:
    """A link in SVG, whichever attribute names its address, counts as one of HTML; a drawing in a link, with its own use of
    such an attribute, changes nothing."""
    with open_journey(tmp_path, document=DRAWINGS) as journey:
        page = open_accepted(browser, journey)
        for name in ("drawn", "old", "paper", "icon", "inside"):
            page.locator(f"#{name}").dispatch_event("click", {"button": 0})
        page.wait_for_timeout(400)
        leave(page)
        assert [props["url"].partition("/")[2] for props in journey.props("outbound")] == ["drawn", "old", "icon"]
        assert journey.props("download") == [{"file": "/stukken/brief.pdf"}]


def test_each_can_be_switched_off(browser: Browser, tmp_path: Path) -> None:
    """What the configuration switches off is not told: no links, files, forms, lost pages, depth and vitals."""
    off: dict[str, Any] = dict.fromkeys(("outbound", "downloads", "forms", "not_found", "scroll", "vitals"), False)
    with open_journey(tmp_path, **off) as journey:
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


def test_a_lost_page_on_which_somebody_accepts_is_a_lost_page(browser: Browser, tmp_path: Path) -> None:
    """Accepting on a page that does not exist counts no view of it: it is told of as lost, with the page that led there."""
    with open_journey(tmp_path) as journey:
        page = open_context(browser).new_page()
        page.goto(journey.url + "/weg/7654321", referer="https://www.google.nl/zoek?x=1")
        accept(page)
        page.wait_for_timeout(300)
        leave(page)
        (lost,) = journey.events("not_found")
        assert (lost.path, lost.props) == ("/weg/:id", {"from": "www.google.nl/zoek"})
        assert journey.events("page_view") == []


def test_a_frame_is_part_of_its_page(browser: Browser, tmp_path: Path) -> None:
    """What is shown in a frame is no view, wherever it moves to, and its time is that of the page around it; a link that is
    followed in it is an event."""
    with open_journey(tmp_path) as journey:
        page = open_accepted(browser, journey)
        page.evaluate("document.body.prepend(Object.assign(document.createElement('iframe'), { src: '/kader' }))")
        page.wait_for_timeout(300)
        frame = page.frames[1]
        frame.wait_for_function("window.gateway?.collecting")
        frame.evaluate("history.pushState(null, '', '/kader/twee')")
        frame.click("#away")
        page.wait_for_timeout(400)
        leave(page)
        assert [event.path for event in journey.events("page_view")] == ["/"]
        assert {event.path for event in journey.events("engagement")} == {"/"}
        assert [event.path for event in journey.events("outbound")] == ["/kader/twee"]


def test_navigation_that_a_site_takes_over_is_in_page_navigation(browser: Browser, tmp_path: Path) -> None:
    """Pages that an application shows by the Navigation API are views, each once, back and forth too; what it puts in the
    place of a page with the same path is none."""
    with open_journey(tmp_path) as journey:
        page = open_accepted(browser, journey)
        page.evaluate(
            "navigation.addEventListener('navigate', (event) => event.intercept({ handler: async () => {} }))"
        )
        for move in ("navigate('/een')", "navigate('/een?x=1', { history: 'replace' })", "navigate('/twee')", "back()"):
            page.evaluate(f"navigation.{move}.finished.then(() => 0)")
        page.evaluate("history.pushState(null, '', '/drie')")
        page.wait_for_timeout(300)
        leave(page)
        assert [event.path for event in journey.events("page_view")] == ["/", "/een", "/twee", "/een", "/drie"]


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
