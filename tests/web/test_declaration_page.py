"""The public declaration: everything the policy says, for anybody, in their language, on paper and for machines."""

import re
from datetime import date
from html import unescape
from pathlib import Path

from gateway.resources import config_file
from tests.example_site import POLICY_TOML
from tests.web.gated_site import Browser, visiting


def text_of(markup: str) -> str:
    """What is read of a page."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def test_it_says_what_the_policy_says(tmp_path: Path) -> None:
    """Every purpose with its ground and services; every service with provider, country, recipients, retention, hosts and
    cookies with their lifetimes; the version and its date."""
    with visiting(tmp_path, policy=config_file("demo/policy.toml").read_text("utf-8")) as browser:
        text = text_of(browser.get("/_gw/cookies", headers={"accept-language": "nl"}).text)
        declared = browser.get("/_gw/cookies?format=json&lang=nl").json()
    for purpose in declared["purposes"]:
        assert purpose["title"] in text and purpose["description"] in text
        for service in purpose["services"]:
            said = [service["name"], service["provider"], service["retention"], *service["hosts"]]
            said += [words for cookie in service["cookies"] for words in cookie.values()] + service["recipients"]
            assert [words for words in said if words not in text] == []
    assert "Versie 2026-1 · in gebruik sinds " in text
    assert "Verenigde Staten" in text  # of the country code US
    assert abs((date.fromisoformat(declared["since"]) - date.today()).days) <= 1


def test_it_speaks_the_language_that_is_asked_for(browser: Browser) -> None:
    """The address goes before the browser's language, and leads to the other languages."""
    dutch = browser.get("/_gw/cookies?lang=nl", headers={"accept-language": "en"}).text
    english = browser.get("/_gw/cookies", headers={"accept-language": "en"}).text
    assert '<html lang="nl"' in dutch and "<h1>Cookieverklaring</h1>" in dutch
    assert '<html lang="en"' in english and "<h1>Cookie declaration</h1>" in english
    assert re.findall(r'hreflang="(\w+)"', dutch) == ["en"]


def test_it_is_the_same_for_everybody(browser: Browser) -> None:
    """What a visitor chose changes nothing in it, and reading it sets nothing."""
    before = browser.get("/_gw/cookies")
    browser.choose("accept_all")
    assert browser.get("/_gw/cookies").text == before.text
    assert "set-cookie" not in before.headers


def test_banner_and_preferences_lead_there_and_it_leads_back(browser: Browser) -> None:
    """One click from either layer; from there one to the choice and one to the page where the visitor was."""
    assert '<a class="gw-list" href="/_gw/cookies?return_to=%2Fcontact%3Fa%3Db">' in browser.get("/contact?a=b").text
    page = browser.get("/_gw/preferences", params={"return_to": "/contact?a=b"}).text
    assert 'href="/_gw/cookies?return_to=/contact%3Fa%3Db"' in page
    page = browser.get("/_gw/cookies", params={"return_to": "/contact?a=b"}).text
    assert 'href="/_gw/preferences?return_to=/contact%3Fa%3Db"' in page
    assert '<a class="gw-back" href="/contact?a=b">' in page


def test_it_follows_the_policy(tmp_path: Path) -> None:
    """Another policy on the same data is another edition, dated by itself; the old one keeps its date."""
    with visiting(tmp_path) as browser:
        first = browser.get("/_gw/cookies?format=json").json()
    with visiting(tmp_path, policy=POLICY_TOML.replace('"7"', '"8"')) as browser:
        second = browser.get("/_gw/cookies?format=json").json()
    assert (first["version"], second["version"]) == ("7", "8")
    assert len(list((tmp_path / "data" / "editions").iterdir())) == 2


def test_foreign_addresses_do_not_get_in(browser: Browser) -> None:
    """A return address on another host is refused; markup in it stands as text."""
    assert browser.get("/_gw/cookies", params={"return_to": "//evil.example"}).status_code == 400
    assert "<script>alert" not in browser.get("/_gw/cookies", params={"return_to": '/"><script>alert(1)</script>'}).text


def test_it_is_a_closed_page_that_is_only_read(browser: Browser) -> None:
    """No script, nothing foreign, no posts."""
    got = browser.get("/_gw/cookies")
    assert "<script" not in got.text
    assert "default-src 'none'" in got.headers["content-security-policy"]
    assert browser.post("/_gw/cookies").status_code == 405
