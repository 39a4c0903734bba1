"""What the site's own scripts and other tools are told of consent, and what is left of them, in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.journeys.browsing import open_browser, open_context
from tests.journeys.signals_site import SignalsSite, open_signals_site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

REFUSE, ACCEPT = "Alles weigeren", "Alles accepteren"
EARLY = """<script>
window.said = []; window.told = [];
(window.gatewayReady = window.gatewayReady || []).push((gateway) => {
  said.push(["early", gateway.consent.has("marketing"), gateway.consent.has("any"), gateway.consent.has("necessary")]);
  gateway.consent.when("necessary", () => said.push("now"));
  gateway.consent.when("marketing", () => said.push("marketing"));
  gateway.consent.when("any", () => { said.push("any"); throw new Error("of the site's own"); });
});
document.addEventListener("gw:consent", ({ detail }) => {
  told.push(detail);
  localStorage.setItem("last", JSON.stringify(detail));
});
window.tool = (word) => localStorage.setItem("told", word);
</script>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignalsSite]:
    """The site, shared by the tests: each has pages and a profile of its own."""
    with open_signals_site(tmp_path_factory.mktemp("signals")) as opened:
        yield opened


def press(page: Page, name: str) -> None:
    """One of the banner's buttons; until the banner is gone."""
    page.get_by_role("button", name=name).click()
    expect(page.locator("#gw-banner")).to_have_count(0)


def call(page: Page, code: str) -> None:
    """Make a call that ends with a new page, and wait for that page's scripts."""
    page.evaluate("window.old = true")
    page.evaluate(f"void {code}")
    page.wait_for_function("!window.old && window.gateway")


def test_scripts_ask_wait_and_withdraw(browser: Browser, site: SignalsSite) -> None:
    """`has` answers, `when` calls once, at once or later, whoever came first; taking back one purpose or all leaves nothing
    of it: not in storage, not in a folder's cookie, and the tool has been told. Other tabs follow."""
    address = site.put("/winkel/mand", "<main>Mand</main>", EARLY)
    context = open_context(browser)
    page, other = context.new_page(), context.new_page()
    page.goto(address)
    other.goto(address)
    assert page.evaluate("said") == [["early", False, False, True], "now"]
    press(page, ACCEPT)
    assert page.evaluate("said").count("marketing") == page.evaluate("said").count("any") == 1
    services = ["counter", "meter", "own_statistics", "tool", "video"]
    assert page.evaluate("told") == [{"granted": ["analytics", "marketing"], "services": services, "withdrawn": []}]
    other.wait_for_function("said.includes('any')")
    page.evaluate("""() => {
      const keys = ["tool.a", "toolx", "meter"];
      for (const storage of [localStorage, sessionStorage]) keys.forEach((key) => storage.setItem(key, 1));
      document.cookie = "tool_1=1; path=/winkel";
      document.cookie = "tool_2=1; path=/winkel/mand";
      document.cookie = "eigen=1; path=/winkel";
    }""")
    call(page, "gateway.consent.withdraw('marketing')")
    kept = "[localStorage, sessionStorage].map((storage) => ['tool.a', 'toolx', 'meter'].filter((key) => storage[key]))"
    assert page.evaluate(kept) == [["toolx", "meter"]] * 2
    assert page.evaluate("document.cookie") == "eigen=1"
    assert page.evaluate("localStorage.told") == "revoked"
    assert page.evaluate("JSON.parse(localStorage.last)") == {
        "granted": ["analytics"],
        "services": ["counter", "meter", "own_statistics"],
        "withdrawn": ["marketing", "tool", "video"],
    }
    assert page.evaluate("[gateway.consent.has('analytics'), gateway.consent.has('marketing')]") == [True, False]
    other.wait_for_function("said[0] && said[0][2] && !gateway.consent.has('marketing')")
    assert page.evaluate("gateway.consent.withdraw('marketing')") is True  # nothing to take back
    call(page, "gateway.consent.withdraw('meter')")  # one service, and all else as it was
    assert page.evaluate("['analytics', 'counter', 'meter', 'own_statistics'].map(gateway.consent.has)") == [
        True,
        True,
        False,
        True,
    ]
    call(page, "gateway.consent.withdraw()")
    assert page.evaluate("said") == [["early", False, False, True], "now"]
    page.evaluate("gateway.consent.open()")
    page.wait_for_url("**/_gw/preferences?return_to=%2Fwinkel%2Fmand")
