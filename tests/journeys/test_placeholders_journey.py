"""Placeholders in a real browser: what is held stays held until a button is pressed, and then just that is loaded."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from axe_playwright_python.base import AxeResults
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect
from sqlalchemy import select

from gateway.database import LEDGER, open_database, reading
from tests.journeys.browsing import open_browser
from tests.journeys.fronts import wait_until
from tests.journeys.placeholder_site import PlaceholderSite, open_placeholder_site
from tests.journeys.rules_site import STRICT
from tests.journeys.test_rules import AXE, Looks, opened

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

REFUSE, ONCE, ALWAYS = "Alles weigeren", "Eenmalig laden", "Altijd toestaan"
BOXES = """() => ["film", "kaart", "vreemd"].map(id => {
  const frame = document.getElementById(id), place = frame.previousElementSibling;
  const box = (place.classList.contains("gw-held") && getComputedStyle(place).display !== "none" ? place : frame)
    .getBoundingClientRect();
  return [box.x, box.y, box.width, box.height].map(Math.round);
})"""
CUT_OFF = """() => [...document.querySelectorAll(".gw-held .gw-way")].filter(button => {
  const seen = button.getBoundingClientRect(), box = button.closest(".gw-held").getBoundingClientRect();
  return seen.height && (seen.bottom > box.bottom || seen.right > box.right || seen.top < box.top);
}).map(button => button.textContent)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened_browser:
        yield opened_browser


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlaceholderSite]:
    """The site of all tests."""
    with open_placeholder_site(tmp_path_factory.mktemp("places")) as opened_site:
        yield opened_site


@pytest.fixture
def site(shared: PlaceholderSite) -> PlaceholderSite:
    """The same; nobody has been asked for anything yet."""
    shared.asked.clear()
    return shared


def place(page: Page, frame: str) -> str:
    """What is seen where a frame stands: "placeholder" or "frame"."""
    seen: str = page.evaluate(
        """id => getComputedStyle(document.getElementById(id)).display === "none" ? "placeholder" : "frame" """, frame
    )
    return seen


def recorded(site: PlaceholderSite) -> list[tuple[str, str | None]]:
    """Every choice in the ledger, with its consent id."""
    engine = open_database(f"sqlite:///{site.data / 'gateway.db'}")
    with reading(engine) as connection:
        rows = connection.execute(select(LEDGER.c.body, LEDGER.c.consent_id).order_by(LEDGER.c.sequence)).all()
    engine.dispose()
    return [(msgspec.json.decode(row.body)["choice"], row.consent_id) for row in rows]


def test_load_once_loads_that_one_and_keeps_nothing(browser: Browser, site: PlaceholderSite) -> None:
    """Refused, nothing is asked of anybody; a press loads that one frame, takes the focus there, is written down without an
    identifier, leaves the cookie as it was, and is forgotten with the next page."""
    with opened(browser, site.url + "/?lang=nl") as page:
        page.get_by_role("button", name=REFUSE).click()
        expect(page.locator("#gw-banner")).to_have_count(0)
        assert [place(page, frame) for frame in ("film", "kaart", "vreemd")] == ["placeholder"] * 3
        cookies, before = page.context.cookies(), page.evaluate(BOXES)
        page.get_by_role("group", name="Voorbeeld Film").first.get_by_role("button", name=ONCE).focus()
        page.keyboard.press("Enter")
        expect(page.frame_locator("#film").locator("input")).to_be_visible()
        page.wait_for_function("document.activeElement.id === 'film'")
        assert site.asked == ["film/film"]
        assert [place(page, frame) for frame in ("film", "kaart", "vrij")] == ["frame", "placeholder", "placeholder"]
        assert page.evaluate(BOXES) == before  # nothing has moved
        assert page.context.cookies() == cookies
        assert recorded(site)[-1] == ("once", None)
        page.reload()
        assert place(page, "film") == "placeholder"


def test_under_an_enforced_policy_a_frame_is_loaded_once_within_a_document_of_ours(
    browser: Browser, tmp_path: Path
) -> None:
    """The browser itself lets the page reach nobody, and a press still shows the one frame, without a reload: a script of the
    page reaches its host no more than before, and what is no frame is not offered for once. "Always allow" loads the page
    anew, where it was, and says so."""
    with open_placeholder_site(tmp_path, "enforce") as site, opened(browser, site.url + "/?lang=nl") as page:
        page.get_by_role("button", name=REFUSE).click()
        expect(page.locator("#gw-banner")).to_have_count(0)
        page.evaluate("window.notReloaded = true")
        page.get_by_role("group", name="Voorbeeld Film").first.get_by_role("button", name=ONCE).click()
        film = page.frame_locator("#film").frame_locator("iframe")
        expect(film.locator("input")).to_be_visible()
        page.wait_for_function("document.activeElement.id === 'film'")
        assert page.evaluate("window.notReloaded")
        assert site.asked == ["film/film"]
        assert recorded(site)[-1] == ("once", None)
        host = page.frame_locator("#film").locator("iframe").get_attribute("src")
        page.evaluate("""address => fetch(address, {mode: "no-cors"}).catch(() => 0)""", host)
        assert site.asked == ["film/film"]
        page.evaluate("scrollTo(0, 300)")
        with page.expect_navigation():
            page.get_by_role("group", name="Voorbeeld Kaart").first.get_by_role("button", name=ALWAYS).click()
        expect(page.frame_locator("#kaart").locator("input")).to_be_visible()
        expect(page.locator("#gw-status")).not_to_be_empty()
        assert page.evaluate("[Math.round(scrollY), sessionStorage.length]") == [300, 0]
        assert place(page, "film") == "placeholder"
        page.goto(site.url + "/route")
        page.goto(site.url)
        assert page.locator("#gw-status").inner_text() == ""


LATER = ("film", "kaart", "vreemd", "klein", "eigen")


@pytest.mark.parametrize("csp", ["report", "enforce"])
def test_what_scripts_add_later_has_one_too(browser: Browser, tmp_path: Path, csp: str) -> None:
    """Frames that a script adds, before and after the page is there, are held with a placeholder in their size and the page's
    language, without moving the page; "load once" loads that one alone, "always allow" all of its service, and what no
    service names has no buttons. What the site serves itself cannot be had once, since it would be refused."""
    with open_placeholder_site(tmp_path, csp, guard=True) as site, opened(browser, site.url + "/later?lang=en") as page:
        page.evaluate("document.getElementById('gw-banner').hidden = true")
        expect(page.locator(".gw-held:visible")).to_have_count(4)
        assert [place(page, one) for one in LATER] == [*["placeholder"] * 3, "frame", "placeholder"]
        before = page.evaluate(BOXES)
        assert [box[2:] for box in before] == [[560, 315], [1264, 300], [400, 200]]
        assert site.asked == []
        strange = page.get_by_role("group", name="vreemd.localhost")
        assert strange.get_by_role("button").count() == 0
        own = page.get_by_role("group", name="Voorbeeld Meting")
        assert own.get_by_role("button").all_inner_texts() == ["Always allow"]
        page.get_by_role("group", name="Voorbeeld Film").get_by_role("button", name="Load once").click()
        film = page.frame_locator("#film")
        expect((film.frame_locator("iframe") if csp == "enforce" else film).locator("input")).to_be_visible()
        assert site.asked == ["film/film"]
        assert recorded(site)[-1] == ("once", None)
        assert page.evaluate(BOXES) == before
        page.get_by_role("group", name="Voorbeeld Kaart").get_by_role("button", name="Always allow").click()
        expect(page.frame_locator("#kaart").locator("input")).to_be_visible()
        assert set(site.asked) == {"film/film", "kaart/kaart"}
        assert [place(page, one) for one in ("kaart", "vreemd")] == ["frame", "placeholder"]
        assert page.url == site.url + "/later?lang=en"


def test_always_allow_holds_for_that_service(browser: Browser, site: PlaceholderSite) -> None:
    """A press lets every frame of the service go at once and on the next page, of this service alone; the banner goes on
    asking; taken back in the settings it is held again."""
    with opened(browser, site.url) as page:
        page.evaluate("document.getElementById('gw-banner').hidden = true")
        page.get_by_role("group", name="Voorbeeld Film").first.get_by_role("button", name=ALWAYS).click()
        expect(page.frame_locator("#vrij").locator("input")).to_be_visible()
        assert sorted(site.asked) == ["film/film", "film/hidden", "film/none", "film/pixel", "film/vrij"]
        assert (place(page, "kaart"), page.locator("#gw-banner").count()) == ("placeholder", 1)
        page.wait_for_function("document.activeElement.id === 'film'")
        page.goto(site.url)
        assert [place(page, frame) for frame in ("film", "kaart")] == ["frame", "placeholder"]
        assert page.evaluate("['film', 'kaart', 'media'].map(gateway.consent.has)") == [True, False, False]
        page.get_by_role("button", name="Instellingen").click()
        page.locator("summary").first.wait_for()
        with page.expect_navigation():
            page.locator("#gw-dialog").get_by_role("button", name=REFUSE).click()
        assert place(page, "film") == "placeholder"


def test_without_scripts_there_is_a_way_too(browser: Browser, site: PlaceholderSite) -> None:
    """Without JavaScript "always allow" is a form that comes back to the page with the frame loaded; instead of "load once"
    there is a link to the part itself."""
    with opened(browser, site.url + "/?a=b", java_script_enabled=False) as page:
        group = page.get_by_role("group", name="Voorbeeld Film").first
        expect(group.get_by_role("button", name=ONCE)).to_be_hidden()
        link = group.get_by_role("link", name="Openen op film.localhost")
        assert (link.get_attribute("href") or "").endswith("/film?a=1&b=2")
        assert link.get_attribute("rel") == "noopener noreferrer"
        with page.expect_navigation(url=site.url + "/?a=b"):
            group.get_by_role("button", name=ALWAYS).click()
        wait_until(lambda: "film/film" in site.asked)
        assert "kaart/kaart" not in site.asked


FILMS = """() => ["film", "klank", "gevuld"].map(id => {
  const film = document.getElementById(id), hidden = getComputedStyle(film).display === "none";
  const box = (hidden ? film.parentNode.querySelector(`#${id} ~ .gw-behind`) : film).getBoundingClientRect();
  return [box.x, box.y, box.width, box.height].map(Math.round);
})"""


def films_of(site: PlaceholderSite) -> set[str]:
    """Films and sounds that others were asked for; another test's frames may still come in."""
    return {one for one in site.asked if one.endswith((".webm", ".mp4", ".mp3"))}


def test_a_film_whose_sources_wait_has_one_too(browser: Browser, site: PlaceholderSite) -> None:
    """Of video and audio with their addresses in `source` elements each has a placeholder in its own size, and none that can
    play or would not have been seen; "load once" asks for that one's sources, without moving the page, and "always allow"
    for all of the service."""
    with opened(browser, site.url + "/film") as page:
        page.get_by_role("button", name=REFUSE).click()
        expect(page.locator("#gw-banner")).to_have_count(0)
        names = ("film", "klank", "eigen", "klein", "gevuld")
        assert [place(page, one) for one in names] == ["placeholder", "placeholder", "frame", "frame", "placeholder"]
        boxes = page.evaluate(FILMS)
        assert [box[2:] for box in boxes[:2]] == [[560, 315], [300, 80]]
        assert page.evaluate("document.querySelectorAll('.gw-held').length") == 3
        assert films_of(site) == set()
        page.get_by_role("group", name="Voorbeeld Film").first.get_by_role("button", name=ONCE).click()
        page.wait_for_timeout(500)
        assert [place(page, one) for one in names[:2]] == ["frame", "placeholder"]
        assert films_of(site) == {"film/a.webm", "film/b.mp4"}
        assert page.evaluate(FILMS)[:2] == boxes[:2]
        page.wait_for_function("document.activeElement.id === 'film'")
        page.get_by_role("group", name="Voorbeeld Film").last.get_by_role("button", name=ALWAYS).click()
        expect(page.locator("#gevuld")).to_be_visible()
        page.wait_for_timeout(300)
        assert films_of(site) == {"film/a.webm", "film/b.mp4", "film/e.mp4", "film/g.mp4"}
        assert page.locator("#kader").evaluate("box => [box.clientWidth, box.clientHeight]") == [640, 360]


@pytest.mark.parametrize("button", [ONCE, ALWAYS])
def test_what_a_script_fills_is_filled_when_it_may(browser: Browser, site: PlaceholderSite, button: str) -> None:
    """In the place of a map that a held script would draw stands its placeholder, in its size; either button lets that script
    draw, and no other."""
    with opened(browser, site.url + "/route") as page:
        page.get_by_role("button", name=REFUSE).click()
        group = page.get_by_role("group", name="Voorbeeld Kaart")
        assert group.evaluate("place => place.getBoundingClientRect().height") == 240
        group.get_by_role("button", name=button).click()
        expect(page.locator("#plattegrond")).to_have_text("Getekend: 240")
        expect(group).to_be_hidden()
        assert site.asked == ["kaart/kaart.js"]


def test_what_is_pressed_while_a_choice_is_on_its_way_is_not_lost(browser: Browser, site: PlaceholderSite) -> None:
    """Who refuses and allows one service before the refusal has been answered has said both, in this order; the same button
    pressed twice has said it once."""
    with opened(browser, site.url + "/route") as page:
        before = len(recorded(site))
        waiting: list[Route] = []
        page.route("**/_gw/consent", lambda route: waiting.append(route), times=1)
        page.get_by_role("button", name=REFUSE).dblclick()
        page.get_by_role("group", name="Voorbeeld Kaart").get_by_role("button", name=ALWAYS).click()
        expect(page.locator("#plattegrond")).to_be_hidden()
        waiting.pop().continue_()
        expect(page.locator("#plattegrond")).to_have_text("Getekend: 240")
        assert [choice for choice, _ in recorded(site)[before:]] == ["reject_all", "allow"]


def test_a_vendor_s_form_stays_reachable(browser: Browser, site: PlaceholderSite) -> None:
    """A form in a vendor's frame, declared as necessary, is there for who refuses; the vendor's tracker, a service of its
    own, is held on the same page."""
    with opened(browser, site.url + "/contact") as page:
        page.get_by_role("button", name=REFUSE).click()
        expect(page.frame_locator("#formulier").locator("input")).to_be_visible()
        page.goto(site.url + "/contact")
        expect(page.frame_locator("#formulier").locator("input")).to_be_visible()
        assert set(site.asked) == {"formulier/contact"}
        assert page.locator("[data-gw-service=crm_volger]").count() == 3


def test_it_works_under_a_strict_policy_of_the_site(browser: Browser, site: PlaceholderSite) -> None:
    """Under `default-src 'self'` (and frames allowed) with trusted types required the placeholder has its style and size, and
    "load once" loads; nothing is reported."""
    with opened(browser, "about:blank") as page:
        said: list[str] = []
        told = ("error", "warning")
        page.on("console", lambda message: said.append(message.text) if message.type in told else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{site.url}/?csp={quote(STRICT.replace('default-src', 'frame-src http:; default-src'))}")
        page.get_by_role("button", name=REFUSE).click()
        assert page.evaluate(BOXES)[0][2:] == [560, 315]
        page.get_by_role("group", name="Voorbeeld Kaart").get_by_role("button", name=ONCE).click()
        expect(page.frame_locator("#kaart").locator("input")).to_be_visible()
        expected = ("style attribute", "inline style", "report-only")
        assert [one for one in said if not any(words in one for words in expected)] == []


@pytest.mark.parametrize("language", ["nl", "en"])
def test_axe_finds_nothing_and_sizes_are_kept(browser: Browser, site: PlaceholderSite, language: str) -> None:
    """No violation in placeholders, light and dark, at 320 and 1280 pixels, whatever colours the site gives its own buttons;
    each has the size that its element says, or the width there is, and its buttons in sight without scrolling."""
    with opened(browser, f"{site.url}/?lang={language}", locale=language) as page:
        page.add_style_tag(content="button { background: #e00 !important; color: #c00 !important }")
        page.locator("#gw-banner [value=reject_all]").click()
        page.evaluate(Axe().axe_script)
        sizes: dict[int, list[list[int]]] = {
            1280: [[560, 315], [1264, 300], [400, 200]],
            320: [[304, 315], [304, 300], [304, 200]],
        }
        looked_at: Looks = (("light", 1280), ("dark", 320))
        for scheme, width in looked_at:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            found = AxeResults(page.evaluate("options => axe.run('.gw-held', options)", AXE))
            assert found.violations_count == 0, found.generate_report()
            assert [box[2:] for box in page.evaluate(BOXES)] == sizes[width]
            assert page.evaluate(CUT_OFF) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
