"""The regulators' rules that only a browser can see, by number: banner, preferences and declaration on a real page."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise, product
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.survey.chromium import AGENT
from tests.journeys.browsing import open_browser
from tests.journeys.rules_site import open_rules_site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

REFUSE, SETTINGS, ACCEPT, SAVE = "Alles weigeren", "Instellingen", "Alles accepteren", "Keuze opslaan"
AXE = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
Scheme = Literal["light", "dark"]
Looks = tuple[tuple[Scheme, int], ...]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SIZES = ((320, 200), (320, 640), (820, 1100), (3840, 2160))
WEIGHT = """layer => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const luminance = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const linear = part => part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4;
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(part => linear(part / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  return [...document.querySelectorAll(layer + " .gw-button")].map(button => {
    const style = getComputedStyle(button), box = button.getBoundingClientRect();
    const [a, b] = [luminance(style.color), luminance(style.backgroundColor)];
    const look = "color backgroundColor backgroundImage border borderRadius font textTransform textDecorationLine "
      + "opacity transform filter boxShadow visibility animationName letterSpacing";
    return {
      x: box.x, y: box.y, width: box.width, height: box.height, contrast: (Math.max(a, b) + .05) / (Math.min(a, b) + .05),
      look: look.split(" ").map(name => style[name]).join("|"), after: getComputedStyle(button, "::after").content,
      seen: document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) === button,
    };
  });
}"""
HIDDEN_FOCUS = """() => {
  const bar = document.getElementById("gw-banner").getBoundingClientRect();
  const box = document.activeElement.getBoundingClientRect();
  const covered = box.top >= bar.top && box.bottom <= bar.bottom && box.left >= bar.left && box.right <= bar.right;
  return covered || box.bottom <= 0 || box.top >= innerHeight;
}"""
SHIFTS = """() => new Promise(done => {
  new PerformanceObserver(list => done(list.getEntries().reduce((sum, entry) => sum + entry.value, 0)))
    .observe({type: "layout-shift", buffered: true});
  setTimeout(done, 300, 0);
})"""

PAINTED = """() => new Promise(done => {
  const names = [];
  new PerformanceObserver(list => names.push(...list.getEntries().map(entry => entry.element.localName)))
    .observe({type: "largest-contentful-paint", buffered: true});
  setTimeout(done, 500, names);
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The site, shared by all tests: each comes with a fresh profile."""
    with open_rules_site(tmp_path_factory.mktemp("rules")) as address:
        yield address


@contextmanager
def opened(browser: Browser, address: str, width: int = 1280, height: int = 800, **options: Any) -> Iterator[Page]:
    """A page in a profile of its own, ready for the keyboard."""
    wanted = {"locale": "nl-NL", "user_agent": AGENT, "viewport": {"width": width, "height": height}} | options
    context = browser.new_context(**wanted)
    try:
        context.set_default_timeout(8000)
        page = context.new_page()
        page.goto(address)
        if page.locator("#gw-banner").count():
            page.wait_for_function("document.activeElement.id === 'gw-banner'")  # where the keyboard begins
        yield page
    finally:
        context.close()


def assert_equal_weight(page: Page, layer: str) -> None:
    """Three buttons, one look, one row, one size, and readable."""
    buttons = page.evaluate(WEIGHT, layer)
    assert len(buttons) == 3
    assert len({button["look"] for button in buttons}) == 1, buttons
    for one in buttons:
        assert one["contrast"] >= 4.5
        assert one["seen"]
        assert one["after"] == "none"
    for one, other in pairwise(buttons):
        assert abs(one["width"] - other["width"]) <= 1 and abs(one["height"] - other["height"]) <= 1
        assert one["x"] + one["width"] <= other["x"] and abs(one["y"] - other["y"]) <= 1
    assert min(button["height"] for button in buttons) >= 24


def test_r4_buttons_weigh_the_same(browser: Browser, url: str) -> None:
    """R2, R4: from 320 pixels at 400 % to 4K all three buttons are on the screen, in one row, of one size and look,
    readable in light and dark, on both layers."""
    for path, layer in (("/", "#gw-banner"), ("/_gw/preferences", ".gw-page")):
        with opened(browser, url + path) as page:
            for (width, height), scheme in product(SIZES, SCHEMES):
                page.set_viewport_size({"width": width, "height": height})
                page.emulate_media(color_scheme=scheme)
                page.get_by_role("button", name=REFUSE).scroll_into_view_if_needed()
                assert_equal_weight(page, layer)
    with opened(browser, url) as page:
        assert page.locator("#gw-banner button").all_inner_texts() == [REFUSE, SETTINGS, ACCEPT]


@pytest.mark.parametrize("colour", ["white", "_777", "transparent", "_1f3a5f80", "nonsense"])
def test_r4_no_theme_makes_one_answer_weigh_more(browser: Browser, url: str, colour: str) -> None:
    """R4: whatever a site's own style says of the buttons and their colour, they stay equal, readable and in order."""
    with opened(browser, f"{url}/?hostile={colour}", 360, 740) as page:
        assert_equal_weight(page, "#gw-banner")
        page.set_viewport_size({"width": 1280, "height": 800})
        assert_equal_weight(page, "#gw-banner")
        focus = []
        for _ in range(4):
            page.keyboard.press("Tab")
            focus.append(page.evaluate("document.activeElement.innerText"))
        assert focus[1:] == [REFUSE, SETTINGS, ACCEPT]


def test_r2_one_click_refuses_as_one_click_accepts(browser: Browser, url: str) -> None:
    """R2: on either layer one click is enough for either answer, and the banner is gone at once."""
    for name in (REFUSE, ACCEPT):
        with opened(browser, url) as page:
            page.get_by_role("button", name=name).click()
            expect(page.locator("#gw-banner")).to_have_count(0)
            page.context.clear_cookies()
            page.goto(url + "/_gw/preferences?return_to=/")
            page.get_by_role("button", name=name).click()
            expect(page.locator("#gw-status")).not_to_be_empty()
            assert page.locator("[name=purpose]:checked").count() == (3 if name == ACCEPT else 0)


def test_r5_nothing_is_switched_on_beforehand(browser: Browser, url: str) -> None:
    """R5: on the first visit, and after a refusal, every switch is off; there is one for each purpose and each service."""
    with opened(browser, url) as page:
        for _ in range(2):
            page.goto(url + "/_gw/preferences")
            for switches, number in (("[name=purpose]", 3), ("[name=service]", 6)):
                assert [switch.is_checked() for switch in page.locator(switches).all()] == [False] * number
            page.get_by_role("button", name=REFUSE).click()
            expect(page.locator("#gw-status")).not_to_be_empty()


def test_r8_one_click_from_the_banner_to_the_whole_list(browser: Browser, url: str) -> None:
    """R8: one click shows every provider, another the choice itself; the way back leads to the page."""
    with opened(browser, url + "/contact") as page:
        page.locator("#gw-banner").get_by_role("link").click()
        for provider in (
            "Voorbeeld Analytics Ltd.",
            "Voorbeeld Ads Inc.",
            "Voorbeeld Video B.V.",
            "Voorbeeld CRM B.V.",
        ):
            expect(page.get_by_text(provider).first).to_be_visible()
        page.get_by_role("link", name="intrekken").click()
        expect(page.locator("[name=purpose]")).to_have_count(3)
        page.get_by_role("link", name="Terug").click()
        expect(page).to_have_url(url + "/contact")


def test_r10_taking_back_costs_one_click_more_than_giving(browser: Browser, url: str) -> None:
    """R10: after accepting with one click, two clicks from any page take everything back."""
    with opened(browser, url) as page:
        page.get_by_role("button", name=ACCEPT).click()
        expect(page.locator("#gw-banner")).to_have_count(0)
        page.goto(url + "/7")
        page.get_by_role("link", name="Cookie-instellingen").click()
        with page.expect_navigation():  # a script that has run cannot be stopped
            page.get_by_role("button", name=REFUSE).click()
        assert page.evaluate("fetch('/_gw/state').then(r => r.json()).then(s => s.granted)") == []


def test_r18_nothing_is_kept_before_a_choice(browser: Browser, url: str) -> None:
    """R1, R18: looking, scrolling, Escape, the settings and the declaration leave no cookie and nothing stored; after a
    refusal there is one cookie."""
    with opened(browser, url) as page:
        page.mouse.wheel(0, 2000)
        page.keyboard.press("Escape")
        for path in ("/contact", "/_gw/preferences", "/_gw/cookies", "/"):
            page.goto(url + path)
        assert page.context.cookies() == []
        assert page.evaluate("localStorage.length + sessionStorage.length") == 0
        page.get_by_role("button", name=REFUSE).click()
        expect(page.locator("#gw-banner")).to_have_count(0)
        assert [cookie.get("name") for cookie in page.context.cookies()] == ["gw_consent"]


def test_r23_the_keyboard_is_enough(browser: Browser, url: str) -> None:
    """R23: two presses of Tab reach the first answer, further ones leave the bar again; keys still scroll the page; after
    the answer the focus is where it was, and the result is said."""
    with opened(browser, url) as page:
        page.keyboard.press("PageDown")
        page.wait_for_function("scrollY > 100")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.wait_for_function("document.activeElement.value === 'reject_all'")
        inside = []
        for _ in range(5):
            page.keyboard.press("Tab")
            inside.append(page.evaluate("!!document.activeElement.closest('#gw-banner')"))
        assert False in inside
        page.locator("main a").nth(2).focus()
        page.get_by_role("button", name=REFUSE).focus()
        page.keyboard.press("Enter")
        expect(page.locator("#gw-banner")).to_have_count(0)
        page.wait_for_function("document.activeElement.textContent === 'verwijzing 3'")
        expect(page.get_by_role("status")).to_contain_text("U hebt alles geweigerd.")
        expect(page.get_by_role("link", name="Cookie-instellingen")).to_be_visible()


def test_r23_who_begins_in_the_bar_goes_on_at_the_top(browser: Browser, url: str) -> None:
    """R23: who answers first and reads then is at the beginning of the page, not at its end."""
    with opened(browser, url) as page:
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#gw-banner")).to_have_count(0)
        page.keyboard.press("Tab")
        page.wait_for_function("document.activeElement.textContent === 'Begin'")


@pytest.mark.parametrize(
    ("size", "scripts"), [((360, 640), True), ((360, 640), False), ((1280, 720), True), ((320, 200), False)]
)
def test_r23_no_focused_link_is_behind_the_bar(
    browser: Browser, url: str, size: tuple[int, int], scripts: bool
) -> None:
    """R23: going through the page by keyboard, forwards and backwards, no link with the focus is wholly covered; the bar
    takes at most half of the screen and the page scrolls."""
    with opened(browser, url, *size, java_script_enabled=scripts) as page:
        assert page.evaluate("document.getElementById('gw-banner').offsetHeight <= innerHeight / 2")
        assert page.evaluate(
            "['html', 'body'].map(name => getComputedStyle(document.querySelector(name)).overflow)"
        ) == [
            "visible",
            "visible",
        ]
        page.locator("nav a").first.focus()
        hidden = []
        for key in ["Tab"] * 25 + ["Shift+Tab"] * 8:
            page.keyboard.press(key)
            hidden.append(page.evaluate(HIDDEN_FOCUS))
        assert not any(hidden)
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        last = page.evaluate("[...document.querySelectorAll('main a')].at(-1).getBoundingClientRect().bottom")
        assert last <= page.evaluate("document.getElementById('gw-banner').getBoundingClientRect().top")


@pytest.mark.parametrize(("width", "height"), SIZES[1:])
def test_the_bar_is_never_the_largest_contentful_paint(browser: Browser, url: str, width: int, height: int) -> None:
    """What a page's speed is measured by is the page's own, also where it has a heading and hardly anything else; and the bar
    is seen all the same."""
    with opened(browser, url + "/?openers", width, height) as page:
        painted = page.evaluate(PAINTED)
        assert painted[-1] == "h1"
        assert page.evaluate("getComputedStyle(document.getElementById('gw-banner')).opacity") == "1"


def test_r23_the_bar_moves_nothing_and_is_not_printed(browser: Browser, url: str) -> None:
    """R23: coming and going the bar shifts nothing on the page; on paper neither bar nor link is seen."""
    with opened(browser, url) as page:
        assert page.evaluate(SHIFTS) == 0
        page.emulate_media(media="print")
        expect(page.locator("#gw-banner")).to_be_hidden()
        page.emulate_media(media="screen")
        page.get_by_role("button", name=ACCEPT).click()
        expect(page.locator("#gw-settings")).to_be_visible()
        assert page.evaluate(SHIFTS) == 0
        page.emulate_media(media="print")
        expect(page.locator("#gw-settings")).to_be_hidden()


def test_it_works_under_a_strict_policy_of_the_site(browser: Browser, url: str) -> None:
    """Under `default-src 'self'` with trusted types required, the bar has its style, answers without a reload, and nothing
    is reported."""
    with opened(browser, "about:blank") as page:
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(url + "/?strict")
        assert_equal_weight(page, "#gw-banner")
        page.evaluate("window.notReloaded = true")
        page.get_by_role("button", name=ACCEPT).click()
        expect(page.locator("#gw-banner")).to_have_count(0)
        expect(page.get_by_role("status")).not_to_be_empty()
        assert page.evaluate("window.notReloaded")
        assert said == []


@pytest.mark.parametrize("scripts", [True, False])
def test_an_element_of_the_site_opens_the_settings(browser: Browser, url: str, scripts: bool) -> None:
    """A link with `data-gw-open` leads to the settings with and without JavaScript, a button with it; with it both show them
    on the page itself, without it the link leads there and back."""
    with opened(browser, url + "/?openers", java_script_enabled=scripts) as page:
        for name in ("Koppeling", "met letters") if scripts else ("Koppeling",):
            page.get_by_text(name).click()
            expect(page.locator("[name=purpose]")).to_have_count(3)
            if scripts:
                expect(page).to_have_url(url + "/?openers")
                page.keyboard.press("Escape")
                expect(page.locator("#gw-dialog")).to_have_count(0)
            else:
                page.get_by_role("link", name="Terug").click()
                expect(page).to_have_url(url + "/?openers")


def test_r24_everything_works_without_scripts(browser: Browser, url: str) -> None:
    """R24: without JavaScript the bar refuses and comes back to the same page without it, the settings take a choice per
    purpose and say so, and the declaration is one click away."""
    with opened(browser, url + "/contact?a=b", java_script_enabled=False) as page:
        page.locator("#gw-banner").get_by_role("link").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Cookieverklaring")
        page.go_back()
        page.get_by_role("button", name=REFUSE).click()
        expect(page).to_have_url(url + "/contact?a=b")
        expect(page.locator("#gw-banner")).to_have_count(0)
        page.get_by_role("link", name="Cookie-instellingen").click()
        page.get_by_role("checkbox", name="Toestaan: Statistiek").check()
        page.get_by_role("button", name=SAVE).click()
        expect(page).to_have_url(url + "/contact?a=b")
        page.get_by_role("link", name="Cookie-instellingen").click()
        expect(page.locator("[name=purpose]:checked")).to_have_count(1)
        expect(page.locator("[name=service]:checked")).to_have_count(2)
