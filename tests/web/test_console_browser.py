"""The console in a real browser: it draws, everybody can use it, and its own policy is never broken."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from starlette.applications import Starlette

from gateway.analytics.answers import Imported
from gateway.analytics.query import Query
from gateway.analytics.results import QueueState, Report, Row
from gateway.database import transaction
from gateway.event import Sight
from gateway.flows.inventory import add_sights
from gateway.flows.sightings import HOST
from gateway.resources import load_assets
from gateway.web.console import build_console
from tests.journeys.browsing import open_browser
from tests.web.console_example import NAME, NOW, PASSWORD, Clock, build_example, build_parts, empty_example
from tests.web.inventory_example import KNOWN, put_inventory

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
MARKUP = '"\'></title></script><img src=x onerror="window.broken=1"><script>window.broken=1</script>'
SUGGESTED = {"en-GB": "It is Google Analytics 4", "nl-NL": "Het is Google Analytics 4"}
FUNNEL = "/funnels?steps=page+is+/%0Apage+contains+/diensten%0Aevent+is+form_submit%0Agoal+is+Contact"
SHARED = "stapel kaas met bieslook"
IMPORTED = Imported("plausible", "2026-11-01", "2026-11-16", 16, "", ("visit_duration", "topic"))
# No mail is sent by the console itself.
MAIL = {"host": "127.0.0.1", "sender": "s@example.org", "reports": [{"to": ["anke@example.org"], "every": "week"}]}
LONG = Sight(
    HOST,
    "cdn-west-1.statistieken.voorbeeld-advertenties.example",
    "/zaken/:id/betalingsregeling/aanmaken?stap=gegevens&van=dossieroverzicht",
    "img",
    NOW - 60,
    NOW,
    4,
    0,
    4,
)
# The parts of what is shown that do not fit on the line they began on.
TORN = """(shown) => [...document.querySelectorAll(shown)].flatMap((one) => [...one.childNodes]).filter((part) => {
    const range = document.createRange(); range.selectNodeContents(part)
    return part.data && range.getClientRects().length > 1 }).map((part) => part.data)"""
LOOKS = [(1280, "light", "en-GB"), (768, "dark", "en-GB"), (390, "light", "nl-NL"), (360, "dark", "nl-NL")]
EXTREMES = (LOOKS[0][0], LOOKS[-1][0])  # what axe sees is seen at these; it takes its time


def changeable(query: Query) -> Report:
    """The example report; empty, hostile or with imported days when the question asks for that many rows."""
    if query.limit == 11:
        return empty_example(query)
    report = build_example(query)
    if query.limit == 13:
        return msgspec.structs.replace(report, imported=IMPORTED)
    if query.limit != 12:
        return report
    rows = {key: [Row(MARKUP, 1, 1, 1)] for key in report.breakdowns}
    return msgspec.structs.replace(report, breakdowns=rows, destinations=[QueueState(MARKUP, MARKUP, dead=1)])


@contextmanager
def serve(app: Starlette) -> Iterator[str]:
    """The application on a free port of this machine; yields its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://localhost:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def clock() -> Clock:
    """The console's clock."""
    return Clock()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[str]:
    """A console with its real scripts and styles."""
    settings = {"mail": MAIL, "keeper": {"public_url": "https://stat.example.org"}}
    folder = tmp_path_factory.mktemp("console")
    parts = build_parts(folder, report=changeable, assets=load_assets(), clock=clock, settings=settings)
    put_inventory(parts.engine)
    with transaction(parts.engine) as connection:
        add_sights(connection, [("main", LONG)])
    with serve(build_console(parts)) as address:
        yield address
    parts.engine.dispose()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for the module."""
    with open_browser() as browser:
        yield browser


@contextmanager
def signed_in(
    chromium: Browser,
    address: str,
    width: int = 1280,
    scheme: str = "light",
    locale: str = "en-GB",
    scripts: bool = True,
) -> Iterator[tuple[Page, list[str]]]:
    """A page of a fresh profile that is signed in, and what its console complained of."""
    context = chromium.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
        locale=locale,
        java_script_enabled=scripts,
    )
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{address}/")
    page.fill("#name", NAME)
    page.fill("#password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_selector("#figures")
    yield page, complaints
    context.close()


def violations(page: Page) -> list[str]:
    """What axe finds wrong on the page."""
    found = Axe().run(page, options={"runOnly": RULES}).response["violations"]
    return [f"{rule['id']}: {[node['html'][:100] for node in rule['nodes']]}" for rule in found]


@pytest.mark.parametrize(("width", "scheme", "locale"), LOOKS)
def test_everybody_can_use_it_at_every_width(
    chromium: Browser, address: str, width: int, scheme: str, locale: str
) -> None:
    """Full and empty: no fault of WCAG 2.2 AA that axe can see, nothing wider than the screen, no complaint."""
    with signed_in(chromium, address, width, scheme, locale) as (page, complaints):
        for path in (
            "/?period=30d",
            "/?limit=11",
            "/?limit=13",
            "/?period=91d&interval=week&where=page+is+/",
            "/consent?period=30d",
            FUNNEL,
            "/flows?pages=/%0A/diensten",
            "/segments",
        ):
            page.goto(address + path)
            page.evaluate(
                "document.querySelectorAll('details').forEach((one) => { one.open = !('menu' in one.dataset) })"
            )
            assert width not in EXTREMES or violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert complaints == []


@pytest.mark.parametrize(("width", "scheme", "locale"), [(1280, "light", "en-GB"), (320, "dark", "nl-NL")])
def test_everybody_can_use_the_inventory(chromium: Browser, address: str, width: int, scheme: str, locale: str) -> None:
    """List, forms and mode: no fault that axe can see, nothing too wide, a suggestion one press of Tab away."""
    with signed_in(chromium, address, width, scheme, locale) as (page, complaints):
        for path in (
            "/inventory?show=would",
            f"/inventory/item?kind=host&name={KNOWN}",
            "/rules",
            "/mode",
            "/destinations",
        ):
            page.goto(address + path)
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.goto(f"{address}/inventory?q={KNOWN}")
        page.locator("a.host").first.focus()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == f"{SUGGESTED[locale]}: {KNOWN}"
        assert complaints == []


@pytest.mark.parametrize("width", [1440, 1280, 768, 390, 320])
def test_long_paths_and_hosts_break_between_their_words(chromium: Browser, address: str, width: int) -> None:
    """In the list, page by page, on an item's own page and in the overview: at no width a word is torn or anything too wide.
    Beside their bars the pages that were visited have that room too, but on the narrowest of screens."""
    shown = ".host" if width < 390 else ".host, [data-live=card-page] .name"
    with signed_in(chromium, address, width) as (page, _):
        item = f"/inventory/item?kind=host&name={LONG.name}"
        for path in ("/inventory?kind=host", "/inventory?show=would&kind=host", item, "/?period=7d"):
            page.goto(address + path)
            assert page.locator(".host").count()
            assert page.evaluate(TORN, shown) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_report_is_shared_and_read_by_everybody(chromium: Browser, address: str) -> None:
    """A link is made with the keyboard, and somebody is put on the list of mails; a stranger gives the password and reads the
    report, with and without scripts; on each page no fault that axe can see, nothing too wide, no complaint."""

    width, locale = 320, "nl-NL"

    def is_good(page: Page) -> None:
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    with signed_in(chromium, address, width, "dark", locale) as (page, complaints):
        page.goto(f"{address}/sharing")
        assert page.evaluate("document.querySelector('.places [aria-current]').getBoundingClientRect().right") <= width
        page.locator("#name").press_sequentially("Board")
        page.keyboard.press("Tab")
        page.keyboard.type(SHARED)
        page.keyboard.press("Enter")
        link = page.input_value("#made")
        is_good(page)
        page.get_by_label("Adres").press_sequentially("bram@example.org")
        page.keyboard.press("Enter")
        expect(page.locator("#mails tbody tr")).to_have_count(2)
        expect(page.locator("#mails")).to_contain_text("gevraagd, nog niet bevestigd")
        is_good(page)
        assert complaints == []
    look = {"width": width, "height": 800}
    for scripts in (True, False):
        context = chromium.new_context(viewport=look, locale=locale, java_script_enabled=scripts)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(link)
        assert "Voorbeeld Incasso" not in page.content()
        if scripts:
            is_good(page)
        page.fill("#password", SHARED)
        page.keyboard.press("Enter")
        page.wait_for_selector("#figures")
        page.locator(".card .name").first.click()
        assert page.url.startswith(f"{link}?") and "filters=" in page.url and page.locator(".chips li").count() == 1
        if scripts:
            is_good(page)
        context.close()


def test_the_form_and_its_refusal_can_be_used_by_everybody(chromium: Browser, address: str) -> None:
    """The page that most people see first, and the one after a slip of the finger."""
    page = chromium.new_page()
    page.goto(f"{address}/signin")
    assert violations(page) == []
    page.wait_for_function("document.activeElement.id === 'name'")
    page.fill("#name", NAME)
    page.fill("#password", "een verkeerd wachtwoord")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    page.wait_for_function("document.activeElement.id === 'password'")  # focus comes with the first drawing
    assert violations(page) == []
    page.close()


def test_the_chart_answers_the_mouse(chromium: Browser, address: str) -> None:
    """A bar tells its day and value, and a click on it leads to the hours of that day."""
    with signed_in(chromium, address) as (page, _):
        page.goto(f"{address}/?period=7d")
        plot = page.locator(".u-over")
        box = plot.bounding_box()
        assert box
        plot.hover(position={"x": box["width"] / 2, "y": 90})
        assert re.fullmatch(r"\d+Friday 20 November 2026", page.locator(".tip").inner_text().replace("\n", ""))
        plot.click(position={"x": box["width"] / 2, "y": 90})
        page.wait_for_url("**/?site=main&from=2026-11-20&to=2026-11-20")
        assert page.locator("#chart-title").inner_text() == "Daily visitors, hour by hour"


def test_markup_from_visitors_does_not_run_in_a_browser(chromium: Browser, address: str) -> None:
    """Not from the page, and not through what the script makes of it."""
    with signed_in(chromium, address) as (page, complaints):
        page.goto(f"{address}/?limit=12")
        page.wait_for_selector(".u-over")
        assert page.evaluate("window.broken") is None
        assert page.locator("main img").count() == 0
        assert complaints == []


def test_without_scripts_the_chart_is_drawn_and_menus_open(chromium: Browser, address: str) -> None:
    """The page works as it comes from the server."""
    with signed_in(chromium, address, scripts=False) as (page, _):
        assert page.locator(".columns rect").count() == 7
        page.click(".custom summary")
        page.fill("#from", "2026-11-01")
        page.fill("#to", "2026-11-02")
        page.click(".custom button")
        assert "1 – 2 Nov 2026" in page.locator(".heading").inner_text()


def test_funnels_flows_and_tabs_need_no_script(chromium: Browser, address: str) -> None:
    """Steps are typed and shown, a page is walked on to, another breakdown is chosen with the arrow keys."""
    with signed_in(chromium, address, scripts=False) as (page, _):
        page.goto(f"{address}/funnels")
        page.locator("[name=value]").nth(0).fill("/")
        page.locator("[name=value]").nth(1).fill("/contact")
        page.locator(".steps").get_by_role("button", name="Show").click()
        assert page.locator(".funnel li").count() == 2
        assert page.locator(".funnel .came").nth(1).get_attribute("width") == "50.00%"
        page.goto(f"{address}/flows")
        page.get_by_role("link", name="/contact").click()
        assert page.locator(".flow-node li").all_inner_texts()[1].startswith("/contact")
        page.goto(f"{address}/?period=30d")
        page.locator("#tab-page").focus()
        page.keyboard.press("ArrowRight")
        assert page.locator("[data-live=card-entry_page]").is_visible()
        assert not page.locator("[data-live=card-page]").is_visible()
        page.locator("[data-live=card-entry_page] .what").click()
        assert "The first page of a visit." in page.locator("#what-entry_page").inner_text()


def test_a_note_is_written_a_segment_is_kept_and_a_tab_is_remembered(chromium: Browser, address: str) -> None:
    """As an operator does it, with scripts: menus, forms, links; the chart says the note, the address holds the segment."""
    with signed_in(chromium, address) as (page, complaints):
        page.goto(f"{address}/?period=7d")
        page.locator("label[for=tab-os]").click()
        page.get_by_text("Add a note").click()
        page.get_by_label("Note", exact=True).fill("Storing")
        page.locator(".notes-head").get_by_role("button", name="Keep").click()
        page.wait_for_load_state()
        assert page.locator("[data-live=card-os]").is_visible()
        page.locator("[data-live=card-os]").get_by_role("link", name="Android").click()
        page.get_by_text("Segments", exact=True).click()
        page.get_by_label("Keep these filters as").fill("Groene telefoons")
        page.locator("form[action='/segments'] button").click()
        page.wait_for_url("**segment**")
        assert page.locator(".chips").inner_text().startswith("Segment is Groene telefoons")
        plot = page.locator(".u-over")
        box = plot.bounding_box()
        assert box
        plot.hover(position={"x": box["width"] * 11 / 14, "y": 90})
        expect(page.locator(".tip")).to_contain_text("Nieuwsbrief verstuurd")
        assert complaints == []


def test_the_keyboard_opens_and_closes_menus(chromium: Browser, address: str) -> None:
    """Enter opens, Escape closes and gives the focus back; the first stop leads past the heading."""
    with signed_in(chromium, address) as (page, _):
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        page.focus(".custom summary")
        page.keyboard.press("Enter")
        page.focus("#from")
        page.keyboard.press("Escape")
        expect(page.locator(".custom[open]")).to_have_count(0)
        expect(page.locator(".custom summary")).to_be_focused()


def test_the_figures_stay_fresh_and_leave_when_the_session_does(chromium: Browser, address: str, clock: Clock) -> None:
    """After a minute the page shows what is new without a reload; after twelve hours it shows the form."""
    with signed_in(chromium, address) as (page, _):
        page.clock.install()
        page.goto(f"{address}/?period=today")
        page.wait_for_selector(".u-over")
        page.evaluate("window.same = true")
        clock.now += 3 * 3600
        page.clock.run_for(66_000)
        page.wait_for_selector("""[data-chart*='"unfinished":17']""")
        assert page.evaluate("window.same") is True
        assert page.locator(".u-over").count() == 1
        clock.now += 12 * 3600
        page.clock.run_for(66_000)
        page.wait_for_url("**/signin*")
        clock.now -= 15 * 3600
