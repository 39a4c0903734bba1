"""A visitor's receipt: for their own choice, in their own browser, signed, and never for anybody's script."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway import ledger
from gateway.consent.receipt import verify_receipt
from gateway.database import open_database
from gateway.heads import KEY_FILE, PUBLIC_FILE, read_public_keys
from tests.web.gated_site import Browser, Pages, visiting

NAME = "__Host-gw_consent"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def receipt_of(browser: Browser, data: Path, path: str = "/_gw/receipt?format=json") -> dict[str, Any]:
    """The receipt's content; it has to verify with the public key in the data folder."""
    got = browser.get(path)
    assert got.status_code == 200
    assert verify_receipt(got.content, read_public_keys(data / PUBLIC_FILE)) == ""
    content: dict[str, Any] = json.loads(got.content)
    return content


def answers_of(content: dict[str, Any]) -> dict[str, str]:
    return {p["dct:identifier"]: p["dpv:hasConsentStatus"] for p in content["dpv:hasPurpose"]}


def test_a_granted_choice_has_a_receipt_that_leads_to_its_entry(tmp_path: Path, data: Path) -> None:
    """The receipt states the answers and names the ledger's entry; a later choice has a receipt of its own."""
    with visiting(tmp_path) as browser:
        browser.choose("save", "analytics", headers={"accept-language": "en"})
        first = receipt_of(browser, data)
        browser.choose("accept_all")
        second = receipt_of(browser, data)
    engine = open_database(f"sqlite:///{data / 'gateway.db'}")
    entries = list(ledger.entries(engine))
    engine.dispose()
    assert answers_of(first) == {"analytics": "dpv:ConsentGiven", "marketing": "dpv:ConsentRefused"}
    assert set(answers_of(second).values()) == {"dpv:ConsentGiven"}
    stated = [(content["gw:ledger"]["gw:sequence"], content["gw:ledger"]["gw:hash"]) for content in (first, second)]
    assert stated == [(entry.sequence, entry.hash) for entry in entries]
    assert first["dct:hasPart"][0]["dpv:hasIndicationMethod"] == "preferences: save"
    assert first["dpv:hasNotice"]["dct:language"] == "en"
    assert entries[0].consent_id is not None
    assert entries[0].consent_id not in json.dumps([first, second])


def test_a_refusal_has_a_receipt_that_names_nobody(tmp_path: Path, data: Path) -> None:
    """It states the refusal to the hour and no entry: nothing in it tells one refuser from another."""
    with visiting(tmp_path) as browser:
        browser.choose("reject_all")
        content = receipt_of(browser, data)
        page = browser.get("/_gw/receipt", headers={"accept-language": "en"}).text
    assert set(answers_of(content).values()) == {"dpv:ConsentRefused"}
    assert "gw:ledger" not in content
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:00:00Z", content["dct:hasPart"][0]["dct:date"])
    assert "To the hour" in page


@pytest.mark.parametrize(("language", "words"), [("nl", ("Toegestaan", "Geweigerd")), ("en", ("Allowed", "Refused"))])
def test_the_receipt_can_be_read(browser: Browser, language: str, words: tuple[str, str]) -> None:
    """People read it in their language: who, what was answered, since when, and where it is recorded."""
    browser.choose("save", "marketing")
    got = browser.get("/_gw/receipt?return_to=/contact", headers={"accept-language": language})
    shown = re.findall(r"<dt>([^<]+)</dt><dd><strong>([^<]+)</strong>", got.text)
    titles = {"nl": "Statistiek", "en": "Statistics"}
    assert shown == [(titles[language], words[1]), ("Marketing", words[0])]
    assert f'<html lang="{language}"' in got.text
    assert "Voorbeeld Incasso" in got.text
    assert 'href="/contact"' in got.text
    assert 'href="/_gw/receipt?format=json"' in got.text
    assert re.search(r"<code>[0-9a-f]{64}</code>", got.text)


def test_both_forms_are_kept_by_nobody(browser: Browser) -> None:
    """Page and file are for this browser alone; the file is one that is saved."""
    browser.choose("accept_all")
    page, file = browser.get("/_gw/receipt"), browser.get("/_gw/receipt?format=json")
    assert page.headers["cache-control"] == file.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert file.headers["content-type"] == "application/ld+json"
    assert file.headers["content-disposition"] == 'attachment; filename="consent-receipt.jsonld"'


def test_without_a_choice_there_is_a_friendly_page(tmp_path: Path, data: Path) -> None:
    """Nobody has chosen: the page says so and leads to the choice, the file is not found, and no key is made for it."""
    with visiting(tmp_path) as browser:
        page = browser.get("/_gw/receipt?return_to=/contact", headers={"accept-language": "en"})
        assert page.status_code == 200
        assert "there is no choice" in page.text
        assert 'href="/_gw/preferences?return_to=/contact"' in page.text
        assert browser.get("/_gw/receipt?format=json").status_code == 404
        assert not (data / KEY_FILE).exists()


@pytest.mark.parametrize("cookie", ["", "x", "forged.value.here", "A" * 4000])
def test_a_forged_cookie_is_no_choice(browser: Browser, cookie: str) -> None:
    """What we have not signed gets no receipt signed either."""
    browser.carry({NAME: cookie})
    assert browser.get("/_gw/receipt?format=json").status_code == 404
    assert browser.get("/_gw/receipt").status_code == 200


def test_an_old_cookie_gets_no_receipt(browser: Browser) -> None:
    """After a withdrawal elsewhere, the cookie of before is not a choice that could be proven."""
    browser.choose("accept_all")
    before = browser.cookies[NAME]
    browser.choose("reject_all")
    browser.carry({NAME: before})
    assert browser.get("/_gw/receipt?format=json").status_code == 404


def test_what_the_ledger_does_not_hold_is_not_signed(tmp_path: Path, data: Path) -> None:
    """A cookie of a choice whose entry is gone from the ledger gets no receipt."""
    with visiting(tmp_path) as browser:
        browser.choose("accept_all")
        engine = open_database(f"sqlite:///{data / 'gateway.db'}")
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM ledger"))
        engine.dispose()
        assert browser.get("/_gw/receipt?format=json").status_code == 404


@pytest.mark.parametrize("kind", ["empty", "iframe", "script", "object"])
def test_scripts_and_frames_of_the_page_get_none(browser: Browser, kind: str) -> None:
    """Only a visit to the page itself is answered: another party's script cannot fetch or frame the receipt."""
    browser.choose("accept_all")
    for path in ("/_gw/receipt", "/_gw/receipt?format=json"):
        got = browser.get(path, headers={"sec-fetch-dest": kind, "sec-fetch-site": "same-origin"})
        assert got.status_code == 403
        assert "ConsentReceipt" not in got.text
    assert browser.get("/_gw/receipt", headers={"sec-fetch-dest": "document"}).status_code == 200


def test_the_preferences_lead_to_it_under_any_prefix(tmp_path: Path) -> None:
    """The preferences page links to the receipt; links stay below the operator's prefix."""
    with visiting(tmp_path, Pages(), {"prefix": "/over/keuze/"}) as browser:
        assert 'href="/over/keuze/receipt?return_to=' in browser.get("/over/keuze/preferences").text
        got = browser.get("/over/keuze/receipt")
    assert got.status_code == 200
    assert "/_gw/" not in got.text


def test_workers_and_restarts_sign_with_one_key(tmp_path: Path, data: Path) -> None:
    """The key in the data folder is every worker's: receipts given before and after a restart verify with one file."""
    with visiting(tmp_path) as browser:
        browser.choose("accept_all")
        before = receipt_of(browser, data)
        cookies = {NAME: browser.cookies[NAME]}
    with visiting(tmp_path) as browser:
        browser.carry(cookies)
        after = receipt_of(browser, data)
    assert before["gw:key"] == after["gw:key"]
    assert before["gw:ledger"] == after["gw:ledger"]


def test_a_receipt_states_services_with_an_answer_of_their_own(tmp_path: Path, data: Path) -> None:
    """Whoever allowed one service and nothing else has a receipt for it, as a file and as a page."""
    with visiting(tmp_path) as browser:
        browser.choose("allow", service="video")
        (service,) = receipt_of(browser, data)["dpv:hasService"]
        assert (service["dct:identifier"], service["dpv:hasConsentStatus"]) == ("video", "dpv:ConsentGiven")
        page = browser.get("/_gw/receipt", headers={"accept-language": "en"}).text
        assert "<dt>Voorbeeld Video by itself</dt><dd><strong>Allowed</strong></dd>" in page
        browser.choose("save", "marketing", "analytics", services="1", service="counter")
        assert answers_of(receipt_of(browser, data))["marketing"] == "dpv:ConsentRefused"
