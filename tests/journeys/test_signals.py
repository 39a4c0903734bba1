"""What the site's own scripts and other tools are told of consent, and what is left of them, in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.journeys.browsing import open_browser, open_context
from tests.journeys.signals_site import POLICY, SignalsSite, open_signals_site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

SHIMS = ["cookiebot", "vanilla-cookieconsent", "klaro"]
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
    with open_signals_site(tmp_path_factory.mktemp("signals"), csp="report") as opened:
        yield opened


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignalsSite]:
    """The site with a guard, Consent Mode and shims."""
    folder = tmp_path_factory.mktemp("guarded")
    with open_signals_site(folder, POLICY, guard=True, consent_mode="on", shims=SHIMS, csp="report") as opened:
        yield opened


def press(page: Page, name: str) -> None:
    """One of the banner's buttons; until the banner is gone."""
    page.get_by_role("button", name=name).click()
    expect(page.locator("#gw-banner")).to_have_count(0)


def asked_of(page: Page, site: SignalsSite, count: int) -> list[str]:
    """What the other hosts were asked: waits for so many requests, and a moment for any that should not be."""
    for _ in range(100):
        if len(site.asked) >= count:
            break
        page.wait_for_timeout(50)
    page.wait_for_timeout(150)
    return site.take()


def call(page: Page, code: str) -> None:
    """Make a call that ends with a new page, and wait for that page's scripts."""
    page.evaluate("window.old = true")
    page.evaluate(f"void {code}")
    page.wait_for_function("!window.old && window.gateway")


def test_scripts_ask_wait_and_withdraw(browser: Browser, site: SignalsSite) -> None:
    """`has` answers, `when` calls once, at once or later, whoever came first; taking back one purpose or all leaves nothing
    of it: not in storage, not in a folder's cookie, not in a page that the site has kept, and the tool has been told.
    Other tabs follow."""
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
    page.evaluate("""async () => {
      const cache = await caches.open("site");
      await cache.add(location.pathname);
      await cache.put("/eigen", new Response("<p>granted", {headers: {"content-type": "text/html"}}));
    }""")
    cached = (
        "caches.open('site').then((cache) => cache.keys()).then((kept) => kept.map(({url}) => new URL(url).pathname))"
    )
    assert page.evaluate(cached) == ["/winkel/mand", "/eigen"]
    call(page, "gateway.consent.withdraw('marketing')")
    kept = "[localStorage, sessionStorage].map((storage) => ['tool.a', 'toolx', 'meter'].filter((key) => storage[key]))"
    assert page.evaluate(kept) == [["toolx", "meter"]] * 2
    assert page.evaluate("document.cookie") == "eigen=1"
    assert page.evaluate(cached) == ["/eigen"]
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
    expect(page.locator("#gw-dialog [name=return_to]")).to_have_value("/winkel/mand")


# What a single-page application may do to bring in something foreign, each under a path of its own.
LATER = """
const host = "http://tool.localhost:PORT/";
const make = (tag, values) => Object.assign(document.createElement(tag), values);
window.loaded = [];
const place = document.getElementById("app");
place.append(make("script", {src: host + "append.js", onload: () => loaded.push("append")}));
place.appendChild(make("iframe", {src: host + "frame"}));
place.insertBefore(make("link", {rel: "stylesheet", href: host + "style"}), place.firstChild);
const named = document.createElement("img");
named.setAttribute("src", host + "named");
place.append(named);
place.insertAdjacentHTML("beforeend", `<p><img src="${host}inserted" alt=""></p>`);
const inner = make("div", {innerHTML: `<iframe src="${host}inner"></iframe><img srcset="${host}set 2x" alt="">`});
place.append(inner);
const late = make("script", {});
place.append(late);
late.src = host + "late.js";
const template = make("template", {innerHTML: `<section><iframe src="${host}cloned"></iframe></section>`});
place.append(template.content.cloneNode(true));
const range = document.createRange();
range.selectNodeContents(place);
range.collapse();
range.insertNode(make("iframe", {src: host + "range"}));
place.append(make("p", {id: "unsafe"}));
document.getElementById("unsafe").setHTMLUnsafe?.(`<img src="${host}unsafe" alt="">`);
place.append(make("script", {src: "http://evil.localhost:PORT/evil.js"}));
window.pixel = new Promise((done) => Object.assign(new Image(), {onerror: done, src: host + "pixel"}));
place.append(make("iframe", {src: "/eigen"}), make("img", {src: "data:,"}), "tekst", make("a", {href: host}));
"""
HELD = {"append.js", "frame", "style", "named", "inserted", "inner", "set", "late.js", "cloned", "range", "unsafe"}


def test_what_comes_later_is_held_and_let_go(browser: Browser, guarded: SignalsSite) -> None:
    """Whatever way a script takes to put something foreign into the page, it is held and marked as the server does it; with
    consent each acts once, with its listeners; what is the site's own works at once, and what nobody named never."""
    script = LATER.replace("PORT", str(guarded.port))
    head = (
        "<script>document.addEventListener('gw:held', ({detail}) => (window.held ||= []).push(detail.element))</script>"
    )
    address = guarded.put(
        "/app", f"<main id=app></main><script>addEventListener('load', () => {{{script}}})</script>", head
    )
    guarded.put("/eigen", "<p>Eigen</p>")
    page = open_context(browser).new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(address)
    page.evaluate("pixel")
    page.wait_for_timeout(300)
    assert guarded.take() == []
    assert page.evaluate("held.length") == page.locator("#app [data-gw-purpose]").count() == len(HELD) + 1
    assert page.frame(url="**/eigen") is not None
    press(page, ACCEPT)
    page.wait_for_function("window.ran && ran.length === 2 && loaded.length === 1")
    assert sorted(asked_of(page, guarded, len(HELD))) == sorted(f"tool.localhost/{name}" for name in HELD)
    assert page.locator("#app [data-gw-purpose]").get_attribute("data-gw-purpose") == "unknown"
    page.evaluate(
        f"document.body.append(Object.assign(new Image(), {{src: 'http://tool.localhost:{guarded.port}/after'}}))"
    )
    assert (asked_of(page, guarded, 1), faults) == (["tool.localhost/after"], [])


def test_the_guard_changes_nothing_else(browser: Browser, guarded: SignalsSite) -> None:
    """What a page reads back of its own elements, and what odd values do, is as it would be without us."""
    page = open_context(browser).new_page()
    page.goto(guarded.put("/vreemd", "<main id=app><table><tbody id=rows></tbody></table><svg id=svg></svg></main>"))
    assert page.evaluate("""() => {
      const app = document.getElementById("app"), frame = document.createElement("iframe"), image = new Image();
      frame.src = "https://tool.localhost/x";
      image.src = "http://[";
      image.setAttribute("alt", null);
      document.getElementById("rows").innerHTML = "<tr><td>1</td></tr>";
      document.getElementById("svg").innerHTML = "<path d='M0 0'/><image href='/x'/>";
      app.append("a", document.createTextNode("b"), document.createComment("c"));
      const script = Object.assign(document.createElement("div"), {
        innerHTML: '<script src="http://tool.localhost/never.js"></' + 'script><iframe src="http://tool.localhost/f"></iframe>',
      }).firstChild;
      const odd = Object.assign(document.createElement("script"), { type: "false/x", src: "http://tool.localhost/odd.js" });
      app.prepend(odd, document.createElement("constructor"));
      app.querySelector("constructor").setAttribute("src", "x");
      const refused = (call) => { try { call(); } catch (error) { return error.name; } };
      return [
        frame.src, image.getAttribute("src"), image.alt, document.querySelectorAll("#rows > tr > td").length,
        document.querySelector("#svg path").namespaceURI.endsWith("svg"), app.lastChild.data,
        refused(() => app.appendChild(null)), refused(() => app.insertBefore(image)), refused(() => app.setAttribute("", 2)),
        app.appendChild(image) === image, refused(() => app.insertAdjacentHTML("nowhere", "<img src=/x>")),
        script.getAttribute("src"), odd.getAttribute("src"),
      ];
    }""") == [
        "https://tool.localhost/x",
        "http://[",
        "null",
        1,
        True,
        "c",
        "TypeError",
        "TypeError",
        "InvalidCharacterError",
        True,
        "SyntaxError",
        "http://tool.localhost/never.js",
        "http://tool.localhost/odd.js",
    ]


STATES = """dataLayer.filter((one) => one[0] === "consent").map(([, what, states]) => [
  what, Object.keys(states).filter((signal) => states[signal] === "granted"), Object.keys(states).length])"""
EVERYTHING = ["ad_storage", "ad_user_data", "ad_personalization", "analytics_storage", "security_storage"]


def test_consent_mode_is_told_first_and_of_each_change(browser: Browser, guarded: SignalsSite) -> None:
    """Everything is denied before the page's own scripts speak, even when they begin a list of their own; a choice and a
    withdrawal are told at once, and what is granted on the next page too."""
    own = "<script>dataLayer = [{event: 'eigen'}]; gtag('js', 1)</script>"
    address = guarded.put("/google", "<main>Google</main>", own)
    page = open_context(browser).new_page()
    page.goto(address)
    assert page.evaluate(STATES) == [["default", ["security_storage"], 7]]
    assert page.evaluate("[dataLayer[0][0], dataLayer[1].event, dataLayer[2][0]]") == ["consent", "eigen", "js"]
    press(page, ACCEPT)
    assert page.evaluate(STATES)[1:] == [["update", EVERYTHING, 7]]
    page.reload()
    assert page.evaluate(STATES) == [["default", ["security_storage"], 7], ["update", EVERYTHING, 7]]
    page.evaluate("""() => document.addEventListener("gw:consent", () => {
      localStorage.states = JSON.stringify([...dataLayer].pop());
    })""")
    call(page, "gateway.consent.withdraw('marketing')")
    assert page.evaluate("JSON.parse(localStorage.states)[2].ad_storage") == "denied"
    assert page.evaluate("JSON.parse(localStorage.states)[2].analytics_storage") == "granted"
    assert page.evaluate(STATES)[1:] == [["update", ["analytics_storage", "security_storage"], 7]]


# Code as it is written against three other tools.
OTHERS = """<script>
window.log = [];
for (const name of ["OnConsentReady", "OnAccept", "OnDecline"]) addEventListener("Cookiebot" + name, () => log.push(name));
window.CookiebotCallback_OnAccept = () => log.push("callback " + Cookiebot.consent.statistics);
addEventListener("cc:onConsent", ({ detail }) => log.push("onConsent " + detail.cookie.categories));
addEventListener("cc:onChange", ({ detail }) => log.push("onChange " + detail.changedCategories));
CookieConsent.run({ categories: { necessary: {}, analytics: {}, ads: {} }, onConsent: () => log.push("run") });
klaro.getManager().watch({ update: (manager, kind, consents) => log.push(kind + " " + consents.tool) });
addEventListener("load", () => log.push("load"));
window.state = () => [
  Cookiebot.hasResponse, Cookiebot.consented, Cookiebot.declined, Cookiebot.consent.marketing, Cookiebot.consent.method,
  CookieConsent.validConsent(), CookieConsent.acceptedCategory("analytics"), CookieConsent.acceptedCategory("ads"),
  CookieConsent.acceptedService("tool", "ads"), CookieConsent.getUserPreferences().acceptType,
  klaro.getManager().confirmed, klaro.getManager().getConsent("tool"), klaro.getManager().getConsent("niemand"),
];
</script>"""
NOTHING_YET = [False, False, False, False, None, False, False, False, False, "", False, False, False]
EVERY_YES = [True, True, False, True, "explicit", True, True, True, True, "all", True, True, False]
ONE_YES = [True, True, False, False, "explicit", True, True, False, False, "custom", True, False, False]
ALL_NO = [True, False, True, False, "explicit", True, False, False, False, "necessary", True, False, False]


def test_code_for_other_tools_finds_what_it_uses(browser: Browser, guarded: SignalsSite) -> None:
    """Questions, events and callbacks of three tools are answered from the choice made here, before and after it, on the
    next page, and after a withdrawal; their ways to the settings lead to ours."""
    page = open_context(browser).new_page()
    page.goto(guarded.put("/anderen", "<main>Anderen</main>", OTHERS))
    page.wait_for_function("log.includes('load')")
    assert (page.evaluate("log"), page.evaluate("state()")) == (["load"], NOTHING_YET)
    press(page, ACCEPT)
    told = {"OnConsentReady", "OnAccept", "callback true", "onConsent necessary,analytics,ads", "run", "consents true"}
    assert set(page.evaluate("log")) == told | {"load"}
    assert page.evaluate("state()") == EVERY_YES
    page.reload()
    page.wait_for_function("log.includes('load')")
    assert (set(page.evaluate("log")), page.evaluate("state()")) == (told | {"load"}, EVERY_YES)
    page.evaluate("""() => addEventListener("cc:onChange", ({ detail }) => {
      localStorage.changed = [detail.changedCategories, Cookiebot.changed];
    })""")
    call(page, "gateway.consent.withdraw('marketing')")
    assert page.evaluate("localStorage.changed") == "ads,true"
    assert page.evaluate("state()") == ONE_YES
    call(page, "klaro.getManager().resetConsents()")
    assert (page.evaluate("state()"), page.evaluate("log.includes('OnDecline')")) == (ALL_NO, True)
    for show in ("Cookiebot.renew()", "CookieConsent.showPreferences()", "klaro.show()"):
        page.goto(guarded.url + "/anderen")
        page.evaluate(f"void {show}")
        expect(page.locator("#gw-dialog [name=return_to]")).to_have_value("/anderen")


MARKED = """
<script type="text/plain" data-cookieconsent="statistics" src="http://meter.localhost:PORT/first.js"></script>
<script type="text/plain" data-category="analytics" data-src="http://meter.localhost:PORT/second.js"></script>
<script type="text/plain" data-name="meter">(window.ran = window.ran || []).push("third")</script>
<iframe data-name="tool" data-src="http://tool.localhost:PORT/frame"></iframe>
"""
MARKED_LATER = """document.getElementById("later").innerHTML =
  '<iframe data-cookieblock-src="http://tool.localhost:PORT/later" data-cookieconsent="marketing"></iframe>'
  + '<img data-src="http://tool.localhost:PORT/image" data-name="Tool" alt="">';"""


def test_tags_marked_for_other_tools_act_once_in_order(browser: Browser, guarded: SignalsSite) -> None:
    """What the server sent and what a script adds waits under its own tool's marks, and acts here: after the choice without a
    reload, and on the next page at once."""
    script = MARKED_LATER.replace("PORT", str(guarded.port))
    page = open_context(browser).new_page()
    later = f"<p id=later></p><script>addEventListener('load', () => {{{script}}})</script>"
    page.goto(guarded.put("/gemerkt", MARKED + later))
    page.wait_for_function("document.querySelectorAll('#later [data-gw-purpose=marketing]').length === 2")
    assert asked_of(page, guarded, 0) == []
    wanted = ["meter.localhost/first.js", "meter.localhost/second.js"]
    wanted += [f"tool.localhost/{name}" for name in ("frame", "image", "later")]
    press(page, ACCEPT)
    assert sorted(asked_of(page, guarded, 5)) == wanted
    assert page.evaluate("ran") == ["/first.js", "/second.js", "third"]
    page.reload()
    assert sorted(asked_of(page, guarded, 5)) == wanted
    assert page.evaluate("ran.length") == 3


def test_a_container_goes_with_any_purpose_and_its_tags_with_their_own(browser: Browser, guarded: SignalsSite) -> None:
    """Held before a choice; with analytics alone the container runs, and of what it loads only analytics does."""
    page = open_context(browser).new_page()
    page.goto(
        guarded.put(
            "/container", '<main>Container</main><script src="http://tags.localhost:PORT/container.js"></script>'
        )
    )
    assert asked_of(page, guarded, 0) == []
    page.evaluate("""() => fetch("/_gw/consent", {method: "POST",
      body: new URLSearchParams({choice: "save", purpose: "analytics", services: "plain"})})""")
    page.reload()
    assert asked_of(page, guarded, 2) == ["tags.localhost/container.js", "meter.localhost/by-container.js"]
    assert page.locator("head script[data-gw-purpose]").get_attribute("data-gw-service") == "tool"
    call(page, "gateway.consent.withdraw()")
    assert asked_of(page, guarded, 0) == []


STATIC = """<script src="/_gw/head.js"></script><script>window.early = [Cookiebot.consent.statistics, dataLayer.length]</script>
<script src="/_gw/gateway.js" defer></script>"""


def test_a_static_site_embeds_the_first_script_itself(browser: Browser, guarded: SignalsSite) -> None:
    """Under its lasting name it knows what was granted before anything else runs; marked tags, guard, shims and Consent Mode
    work as on other sites."""
    page = open_context(browser).new_page()
    guarded.static.add("/statisch")
    page.goto(guarded.put("/statisch", MARKED, STATIC))
    press(page, ACCEPT)
    assert len(asked_of(page, guarded, 3)) == 3
    page.reload()
    page.wait_for_function("window.ran && ran.length === 3")
    assert page.evaluate("early") == [True, 2]
    assert page.evaluate("Cookiebot.consent.marketing") is True
