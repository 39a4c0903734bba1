"""The regulators' rules for banner and preferences, by number, as far as no browser is needed to see them."""

import re
import tomllib
from html import unescape
from pathlib import Path

import pytest

from gateway import ledger
from gateway.database import open_database
from gateway.resources import load_assets, text_file, texts
from tests.example_site import read_policy
from tests.web.gated_site import Answer, Browser, Pages, ask, has_banner, set_cookies, visiting

DAY = 86_400
PLAIN_VERBS = {
    "nl": {"Alles weigeren", "Instellingen", "Alles accepteren", "Keuze opslaan"},
    "en": {"Reject all", "Settings", "Accept all", "Save choice"},
}
CONSOLE = {"console.js"}  # for operators, on an origin of its own
CONSENT = "__Host-gw_consent"


def banner_of(page: str) -> str:
    """The banner's markup."""
    start = page.index('<div id="gw-banner"')
    return page[start : page.index('<div class="gw-room"')]


def plain(markup: str) -> str:
    """What is read of it, with single spaces."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def layers(browser: Browser, language: str) -> list[str]:
    """Both layers in a language."""
    headers = {"accept-language": language}
    return [banner_of(browser.get("/_gw/banner", headers=headers).text + '<div class="gw-room"'),
            browser.get("/_gw/preferences", headers=headers).text]  # fmt: skip


@pytest.mark.parametrize("language", ["nl", "en"])
def test_r2_every_layer_that_accepts_refuses(browser: Browser, language: str) -> None:
    """R2: each layer has one way to accept all and one to refuse all, and refusing stands first."""
    for layer in layers(browser, language):
        pressed = re.findall(r'<button class="gw-button" type="submit" name="choice" value="(\w+_all)"', layer)
        assert pressed == ["reject_all", "accept_all"]


@pytest.mark.parametrize("language", ["nl", "en"])
def test_r3_refusing_is_a_button_among_the_buttons(browser: Browser, language: str) -> None:
    """R3: refusing is a button inside the layer's form, next to accepting, and in no paragraph."""
    for layer in layers(browser, language):
        group = layer[layer.index('<div class="gw-buttons">') :].partition("</div>")[0]
        assert 'value="reject_all"' in group
        assert 'value="accept_all"' in group
        assert "<p" not in group and "<a" not in group


@pytest.mark.parametrize("language", ["nl", "en"])
def test_r6_buttons_are_plain_verbs(browser: Browser, language: str) -> None:
    """R6: the buttons say what they do in the plain words of the language, and nothing praises one answer."""
    for layer in layers(browser, language):
        words = {unescape(text).strip() for text in re.findall(r"<button[^>]*>([^<]*)</button>", layer)}
        assert words <= PLAIN_VERBS[language]
        assert len(words) == 3
        assert not re.search(r"(?i)optima|best|ervaring|experience|agree|akkoord", plain(layer))


@pytest.mark.parametrize(("language", "titles"), [("nl", ("Statistiek", "Marketing")), ("en", ("Statistics",))])
def test_r7_r10_who_why_and_how_to_withdraw_come_before_the_buttons(
    browser: Browser, language: str, titles: tuple[str, ...]
) -> None:
    """R7, R10: controller, each purpose, how to withdraw and the full list stand before the first button."""
    layer = layers(browser, language)[0]
    before = layer.partition("<button")[0]
    settings = tomllib.loads(text_file(language).read_text("utf-8"))["settings"]["label"]
    for words in ("Voorbeeld Incasso", *titles, settings):
        assert words in plain(before)
    assert re.search(r'<a class="gw-list" href="/_gw/cookies\?', before)


def test_r8_the_full_list_is_what_is_enforced(browser: Browser) -> None:
    """R8: the declaration names exactly the hosts and cookies that the gateway lets through, under their purposes."""
    declared = browser.get("/_gw/cookies?format=json").json()["purposes"]
    hosts = {host: (p["id"], s["id"]) for p in declared for s in p["services"] for host in s["hosts"]}
    cookies = {c["name"]: (p["id"], s["id"]) for p in declared for s in p["services"] for c in s["cookies"]}
    policy = read_policy()
    assert hosts == policy.hosts | {f"*{suffix}": owner for suffix, owner in policy.host_suffixes}
    assert cookies == policy.cookies | {f"{prefix}*": owner for prefix, owner in policy.cookie_prefixes}


@pytest.mark.parametrize("chosen", [(), ("analytics",), ("marketing",), ("analytics", "marketing")])
def test_r9_each_purpose_is_answered_by_itself(tmp_path: Path, chosen: tuple[str, ...]) -> None:
    """R9: whatever part of the purposes is switched on, exactly that part is recorded and holds."""
    with visiting(tmp_path) as browser:
        browser.choose("save", *chosen)
        assert browser.get("/_gw/state").json()["granted"] == sorted(chosen)
    engine = open_database(f"sqlite:///{tmp_path}/data/gateway.db")
    (entry,) = ledger.entries(engine)
    engine.dispose()
    assert f'"granted":{sorted(chosen)}'.replace("'", '"').replace(" ", "") in entry.body


def test_r10_the_way_back_stands_on_every_page(browser: Browser, pages: Pages) -> None:
    """R10: after any choice each page has a link to the settings, where one button takes everything back."""
    for choice in ("accept_all", "reject_all"):
        browser.choose(choice)
        for path in ("/", "/diep/in/de/site?a=b", "/_x"):
            text = browser.get(path).text
            assert 'id="gw-settings" class="gw-settings" href="/_gw/preferences?return_to=' in text
    assert 'value="reject_all"' in browser.get("/_gw/preferences").text


def test_r12_refusing_costs_nothing(browser: Browser, pages: Pages) -> None:
    """R12: who refuses gets the answer that who accepts gets: the same status, and the same page but for tags of others."""
    seen = {}
    for choice in ("reject_all", "accept_all"):
        browser.choose(choice)
        got = ask(browser, pages, Answer(status=404))
        page = got.text.partition('<link rel="stylesheet" href="/_gw/')[0].replace("data-gw-src=", "src=")
        seen[choice] = got.status_code, re.sub(r" data-gw-[\w-]+(=\"[^\"]*\")?| type=\"text/plain\"", "", page)
    assert seen["reject_all"] == seen["accept_all"]
    assert "<h1>Incasso</h1>" in seen["reject_all"][1]


@pytest.mark.parametrize("language", texts())
def test_r13_no_other_ground_is_a_switch(tmp_path: Path, language: str) -> None:
    """R13: nothing can be objected to or left on under legitimate interest: each switch is for a consent, and the banner
    knows no other ground."""
    with visiting(tmp_path) as browser:
        first, second = layers(browser, language)
    found = set(re.findall(r'name="purpose" value="(\w+)"', first + second))
    assert found == {"analytics", "marketing"}
    assert not re.search(r"(?i)legitimate|gerechtvaardigd|bezwaar|object to", plain(first) + plain(second))


def test_r15_a_no_is_remembered_as_long_as_a_yes(browser: Browser) -> None:
    """R15: the cookies of both answers live equally long, at most half a year, and neither is asked again meanwhile."""
    lives = set()
    for choice in ("accept_all", "reject_all"):
        browser.cookies.clear()
        line = set_cookies(browser.choose(choice))[CONSENT]
        lives.add(re.findall(r"Max-Age=(\d+)", line)[0])
        for path in ("/", "/contact", "/_gw/banner"):
            assert not has_banner(browser.get(path))
    assert len(lives) == 1
    assert 150 * DAY <= int(lives.pop()) <= 182 * DAY


def test_r18_nothing_is_set_before_a_choice(browser: Browser) -> None:
    """R18: no page and none of our addresses sets a cookie of ours on who has not chosen."""
    for path in ("/", "/_gw/preferences", "/_gw/cookies", "/_gw/banner", "/_gw/state", "/_gw/gateway.js"):
        assert not [name for name in set_cookies(browser.get(path)) if "gw_" in name]


def test_r19_our_scripts_ask_the_browser_nothing() -> None:
    """R19: no script of ours reads what tells browsers apart; of `navigator` only the way to send is used."""
    for name, asset in load_assets().items():
        if name.endswith(".js") and name not in CONSOLE:
            script = asset.body.decode()
            assert set(re.findall(r"\bnavigator\.(\w+)", script)) <= {"sendBeacon"}, name
            assert not re.search(r"\b(AudioContext|toDataURL|getContext|hardwareConcurrency|deviceMemory)\b", script), (
                name
            )


def test_r18_a_no_tells_nobody_apart(browser: Browser) -> None:
    """R18: two visitors who refuse within the same hour hold the very same cookie; two who accept do not."""

    def held(choice: str) -> str:
        browser.cookies.clear()
        return set_cookies(browser.choose(choice))[CONSENT].partition(";")[0]

    values = [held("reject_all") for _ in range(3)]
    assert len(set(values)) <= 2  # the hour may turn between them
    assert held("accept_all") != held("accept_all")
