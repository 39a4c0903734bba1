"""What a browser brings along that was not said here: refusals to other tools, and Do Not Track."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import ledger
from tests.web.gated_site import Answer, Browser, Pages, ask, has_banner, visiting

DENIED = {"cookieconsent_status": "deny"}


def parts_of(browser: Browser) -> Any:
    """The worker's parts behind a browser."""
    return browser.app._front.parts  # type: ignore[attr-defined]


def stop_chores(browser: Browser) -> None:
    """The worker writes its counters down no more, until it ends."""
    front = browser.app._front  # type: ignore[attr-defined]
    front._stopping.set()
    front._thread.join()


def counted(browser: Browser, kind: str) -> dict[str, int]:
    """How often each name of a kind was counted so far."""
    found: dict[str, int] = {}
    for taken in parts_of(browser).counters.take():
        for one, name, _, count in taken.rows:
            if one == kind:
                found[name] = found.get(name, 0) + count
    return found


@pytest.fixture
def site() -> dict[str, Any]:
    """The site's settings, as a test wants them."""
    return {}


@pytest.fixture
def browser(tmp_path: Path, pages: Pages, site: dict[str, Any]) -> Iterator[Browser]:
    """A browser before a gate of its own, which leaves its counters alone: they are looked at here."""
    with visiting(tmp_path, pages, {"sites": [{"id": "main", **site}]}) as opened:
        stop_chores(opened)
        yield opened


def test_a_refusal_elsewhere_is_honoured_and_nothing_is_written(browser: Browser) -> None:
    """No banner, no grant, the way to the settings stays; neither cookie nor record is made of it, and it is counted by
    tool. The visitor's own word here counts from then on."""
    browser.carry(DENIED)
    page = browser.get("/")
    assert (has_banner(page), 'id="gw-settings"' in page.text) == (False, True)
    assert ' src="https://' not in page.text
    assert "gw_" not in str(page.headers.get_list("set-cookie"))
    assert browser.get("/_gw/state").json()["chosen"] is True
    assert not list(ledger.entries(parts_of(browser).engine))
    assert counted(browser, "refused_elsewhere") == {"osano": 1}
    browser.choose("accept_all")
    assert 'src="https://teller.example.net' in browser.get("/").text
    assert counted(browser, "refused_elsewhere") == {}


def test_an_acceptance_elsewhere_is_not_taken_over(browser: Browser) -> None:
    """Who said yes to another tool is asked like anybody else."""
    browser.carry({"cookieconsent_status": "allow"})
    assert has_banner(browser.get("/"))
    assert counted(browser, "refused_elsewhere") == {}


def test_our_own_cookie_comes_first(browser: Browser) -> None:
    """With a choice made here the other tool's cookie is not looked at, whatever either says."""
    browser.choose("accept_all")
    browser.carry({**dict(browser.cookies), **DENIED})
    assert browser.get("/_gw/state").json()["granted"] == ["analytics", "marketing"]
    browser.carry({"__Host-gw_consent": "forged", **DENIED})
    assert has_banner(browser.get("/"))


@pytest.mark.parametrize("site", [{"honour_refusals": False}])
def test_honouring_can_be_switched_off(browser: Browser) -> None:
    """Then everybody is asked here."""
    browser.carry(DENIED)
    assert has_banner(browser.get("/"))


@pytest.mark.parametrize("site", [{"signals": ["gpc", "dnt"]}])
def test_do_not_track_counts_where_it_is_wanted(browser: Browser, pages: Pages) -> None:
    """It suspends what a yes of before allows, until a yes in its presence; both signals stand in the record by name."""
    seen = []
    browser.choose("accept_all")
    for headers in ({}, {"dnt": "1"}, {"dnt": "0"}, {"sec-gpc": "1"}):
        ask(browser, pages, Answer(), headers=headers)
        seen.append(pages.header(b"x-gateway-consent"))
    assert seen == [b"analytics, marketing", b"analytics", b"analytics, marketing", b"analytics"]
    browser.choose("accept_all", headers={"dnt": "1"})
    ask(browser, pages, Answer(), headers={"dnt": "1"})
    assert pages.header(b"x-gateway-consent") == b"analytics, marketing"
    signals = [json.loads(entry.body)["signals"] for entry in ledger.entries(parts_of(browser).engine)]
    assert signals == [{"gpc": False, "dnt": False}, {"gpc": False, "dnt": True}]


@pytest.mark.parametrize(("site", "honoured"), [({}, True), ({"signals": []}, False)])
def test_without_it_the_signal_says_nothing(browser: Browser, pages: Pages, honoured: bool) -> None:
    """Do Not Track alone changes nothing and stands in no record unless it is wanted; where no signal is, that is said."""
    browser.choose("accept_all")
    ask(browser, pages, Answer(), headers={"dnt": "1"})
    assert pages.header(b"x-gateway-consent") == b"analytics, marketing"
    ask(browser, pages, Answer(), headers={"sec-gpc": "1"})
    assert pages.header(b"x-gateway-consent") == (b"analytics" if honoured else b"analytics, marketing")
    assert browser.get("/.well-known/gpc.json").json()["gpc"] is honoured
    (entry,) = ledger.entries(parts_of(browser).engine)
    assert json.loads(entry.body)["signals"] == ({"gpc": False} if honoured else {})
