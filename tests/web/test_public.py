"""The addresses under the prefix: closed pages of our own, lasting scripts, plain refusals."""

import gzip
import re
from pathlib import Path

import pytest

from tests.web.gated_site import COOKIES, HTML, Answer, Browser, Pages, has_banner, visiting

ROUTES = ["preferences", "banner", "state", "gateway.js"]


def test_our_pages_load_nothing_and_frame_nowhere(browser: Browser) -> None:
    """Preferences and refusals carry a policy that lets only our own scripts and styles in, and no foreign frame
    around."""
    for path in ("/_gw/preferences", "/_gw/nothing"):
        got = browser.get(path)
        policy = got.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'self'" in policy
        assert "base-uri 'none'" in policy
        assert (got.headers["x-content-type-options"], got.headers["cache-control"]) == ("nosniff", "no-store")
        assert "noindex" in got.headers["x-robots-tag"]
        assert not re.search(r"<script(?![^>]*src=\"/_gw/)", got.text)


def test_the_preferences_show_the_present_answer(browser: Browser) -> None:
    """Each optional purpose, and each service under it, has a switch that stands as it was answered; what is necessary has
    none."""
    assert browser.get("/_gw/preferences").text.count(" checked") == 0
    browser.choose("save", "marketing")
    page = browser.get("/_gw/preferences?return_to=/contact&saved=1").text
    assert re.findall(r'value="(\w+)" aria-label="[^"]*" checked', page) == ["marketing", "video"]
    assert page.count('type="checkbox" name="purpose"') == 2
    assert page.count('type="checkbox" role="switch" name="service"') == 2
    assert 'name="return_to" value="/contact"' in page


@pytest.mark.parametrize(
    "address", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_no_link_of_ours_leads_away(browser: Browser, address: str) -> None:
    """A foreign return address is refused on every page that takes one."""
    for path in ("/_gw/preferences", "/_gw/banner"):
        got = browser.get(path, params={"return_to": address})
        assert got.status_code == 400
        assert "evil.example" not in got.text
        assert "javascript:" not in got.text


def test_return_addresses_stand_as_text(browser: Browser) -> None:
    """What stands in the address is no markup on our page."""
    got = browser.get("/_gw/preferences", params={"return_to": '/"><script>alert(1)</script>'})
    assert "<script>alert" not in got.text


def test_the_state_says_what_holds(browser: Browser) -> None:
    """A script may ask whether there is a choice and what it grants; nothing identifies anybody in the answer."""
    assert browser.get("/_gw/state").json()["chosen"] is False
    browser.choose("save", "analytics")
    got = browser.get("/_gw/state")
    answer = got.json()
    assert (answer["chosen"], answer["granted"]) == (True, ["analytics"])
    assert answer["services"] == ["counter", "own_statistics"]
    urls = {"collect_url", "css_url", "leave_url", "settings_url", "vitals_url"}
    assert set(answer) == {"chosen", "granted", "services", "auto"} | urls
    assert got.headers["cache-control"] == "no-store"


def test_the_banner_comes_as_a_fragment(browser: Browser) -> None:
    """A page that embeds the script gets the banner alone, in the browser's language, until everything is answered."""
    got = browser.get("/_gw/banner?return_to=/contact", headers={"accept-language": "en"})
    assert has_banner(got)
    assert "<html" not in got.text
    assert 'name="return_to" value="/contact"' in got.text
    assert "%%" not in got.text
    browser.choose("reject_all")
    assert not has_banner(browser.get("/_gw/banner"))
    assert 'id="gw-settings"' in browser.get("/_gw/banner").text


def test_scripts_keep_for_ever_under_a_name_of_their_content(browser: Browser) -> None:
    """Every script and style that a page names is there, may be kept for a year, and comes compressed to who takes
    it."""
    page = browser.get("/").text
    names = set(re.findall(r"/_gw/assets/[\w.-]+", page))
    assert len(names) >= 3
    for name in names:
        plain = browser.get(name, headers={"accept-encoding": "identity"})
        packed = browser.get(name)
        assert plain.status_code == 200
        assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert (packed.headers["content-encoding"], packed.headers["vary"]) == ("gzip", "Accept-Encoding")
        assert packed.content == plain.content
        assert plain.headers["content-type"].startswith(("text/javascript", "text/css"))


def test_the_embedded_script_has_a_lasting_name(browser: Browser) -> None:
    """Sites that embed the script name one address, which is asked for again every five minutes."""
    got = browser.get("/_gw/gateway.js")
    assert (got.status_code, got.headers["cache-control"]) == (200, "public, max-age=300")
    head = browser.request("HEAD", "/_gw/gateway.js", headers={"accept-encoding": "identity"})
    assert (head.content, head.headers["content-length"]) == (b"", str(len(got.content)))


MISSING = [
    "",
    "x",
    "assets/",
    "assets/consent.js",
    "assets/..%2f..%2fgateway.toml",
    "assets/%2e%2e%2fkeys.txt",
    "consent/",
    "CONSENT",
]


@pytest.mark.parametrize("name", MISSING)
def test_nothing_else_is_found(browser: Browser, name: str) -> None:
    """What is no address of ours is 404, by us: a path below the prefix never reaches the site."""
    got = browser.get(f"/_gw/{name}")
    assert got.status_code == 404
    assert "data-gw-choice" not in got.text


@pytest.mark.parametrize("name", ROUTES)
def test_reading_addresses_take_no_posts(browser: Browser, name: str) -> None:
    """What is only read cannot be posted to."""
    assert browser.post(f"/_gw/{name}", content="choice=accept_all").status_code == 405


def test_a_refusal_suits_who_asked(browser: Browser) -> None:
    """People get a page in their language, scripts a line of text; neither learns anything of our inside."""
    page = browser.get("/_gw/nothing", headers={"accept-language": "en"})
    line = browser.get("/_gw/nothing", headers={"accept": "application/json"})
    assert 'lang="en"' in page.text
    assert (line.headers["content-type"], line.text) == ("text/plain; charset=utf-8", "nothing is found here")


def test_the_prefix_is_the_operator_s_choice(tmp_path: Path) -> None:
    """Under another prefix everything is there, and the usual one belongs to the site again."""
    pages = Pages({"/_gw/state": Answer(b"the site's own", [HTML, *COOKIES])})
    with visiting(tmp_path, pages, {"prefix": "/over/keuze/"}) as browser:
        assert browser.get("/over/keuze/state").json()["chosen"] is False
        assert 'action="/over/keuze/consent"' in browser.get("/").text
        assert browser.get("/_gw/state").text == "the site's own"


def test_assets_are_the_same_bytes_everywhere(browser: Browser) -> None:
    """The compressed form of a script is made once, and unpacks to the plain one."""
    name = re.findall(r"/_gw/assets/consent-[\w.]+", browser.get("/").text)[0]
    with browser.stream("GET", name) as got:
        raw = b"".join(got.iter_raw())
    assert gzip.decompress(raw) == browser.get(name).content


ODD_QUERIES = [
    "&".join(f"f{n}=1" for n in range(51)),
    "return_to=/%ff%00%0d%0a&lang=%ff&of=%ff&service=%ff&host=%ff&view=%ff&format=json&format=x",
    "return_to=//evil.example&lang=" + "x" * 5000,
    "=&=&&;%%%",
]


@pytest.mark.parametrize("query", ODD_QUERIES)
def test_an_odd_query_is_no_fault_of_ours(browser: Browser, query: str, caplog: pytest.LogCaptureFixture) -> None:
    """More fields than anybody asks with, bytes that are no text, and what is no query are answered, or refused as the
    visitor's own, at every address that is read; nothing of it reaches the log."""
    for name in ("preferences", "banner", "cookies", "kept", "receipt", "once", "placeholder", "state", "pixel.gif"):
        assert browser.get(f"/_gw/{name}?{query}").status_code < 500, name
    assert [record for record in caplog.records if record.name.startswith("gateway")] == []
