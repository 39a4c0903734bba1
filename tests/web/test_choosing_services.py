"""Choices about single services through the front: forms, cookies, what the site and the scripts are told."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.flows.test_choose_services import POLICY
from tests.web.gated_site import SAME_SITE, Browser, Pages, set_cookies, view_of, visiting

NAME, VISIT = "__Host-gw_consent", "__Host-gw_visit"
FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json", **SAME_SITE}


@pytest.fixture(scope="module")
def pages() -> Pages:
    """The inner app."""
    return Pages()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, pages: Pages) -> Iterator[Browser]:
    """A gate whose policy has two services under each purpose."""
    limits = {"reserve_bytes": 0, "posts_per_minute": 1_000_000}
    with visiting(tmp_path_factory.mktemp("gate"), pages, {"limits": limits}, policy=POLICY) as browser:
        yield browser


def post(browser: Browser, choice: str, purposes: str = "", on: str = "", **fields: str) -> dict[str, object]:
    """What the script is told after a post with switches."""
    pairs = [("choice", choice), *(("purpose", one) for one in purposes.split())]
    pairs += [*(("service", one) for one in on.split()), *fields.items()]
    got = browser.post("/_gw/consent", content=urlencode(pairs), headers=FORM)
    return {"status": got.status_code, **(got.json() if got.status_code == 200 else {"said": got.text})}


SAID: list[tuple[tuple[str, str, str, dict[str, str]], list[str], list[str], bool]] = [
    (("save", "analytics", "counter", {"services": "1"}), ["analytics"], ["counter"], True),
    (("save", "analytics", "", {"services": "plain"}), ["analytics"], ["counter", "own_statistics"], True),
    (("save", "analytics", "", {"services": "1"}), [], [], True),
    (("save", "analytics", "", {}), ["analytics"], ["counter", "own_statistics"], True),  # no switches for services
    (("save", "", "video", {"services": "1"}), [], ["video"], True),
    (("allow", "", "video", {}), [], ["video"], False),
]


@pytest.mark.parametrize(("said", "granted", "services", "chosen"), SAID)
def test_a_form_says_which_services(
    browser: Browser, said: tuple[str, str, str, dict[str, str]], granted: list[str], services: list[str], chosen: bool
) -> None:
    """With switches for services, and without, the reply, the state and the page's own script are told the same."""
    choice, purposes, switched, fields = said
    answer = post(browser, choice, purposes, switched, **fields)
    assert (answer["granted"], answer["services"], answer["chosen"]) == (granted, services, chosen)
    state = browser.get("/_gw/state").json()
    assert (state["granted"], state["services"], state["chosen"]) == (granted, services, chosen)


@pytest.mark.parametrize(
    ("choice", "services"),
    [("save", "sales"), ("save", "site"), ("allow", ""), ("allow", "video kaart"), ("allow", "unknown")],
)
def test_services_that_cannot_be_asked_for_are_refused(browser: Browser, choice: str, services: str) -> None:
    """A service of no purpose that is asked for, or none or several to be allowed, is an error that says so."""
    answer = post(browser, choice, on=services, services="1")
    assert answer["status"] == 400
    assert "service" in str(answer["said"])


def test_the_site_is_told_of_the_services(browser: Browser, pages: Pages) -> None:
    """Views and templates ask for a service by its id, and what it may not have does not arrive."""
    post(browser, "save", "analytics marketing", "counter kaart", services="1")
    browser.cookies.set("_ads", "1", domain="www.example.org")
    browser.cookies.set("_tel", "1", domain="www.example.org")
    browser.get("/")
    decision = pages.scopes[-1]["gateway.consent"]
    assert [decision.has(name) for name in ("kaart", "video", "marketing", "counter")] == [True, False, True, True]
    assert pages.header(b"cookie") == b"_tel=1"


def test_a_service_taken_back_takes_its_cookies_along(browser: Browser) -> None:
    """Switching off one service deletes the cookies that it names, and no others; the script is told to begin anew."""
    post(browser, "accept_all")
    pairs = [("choice", "save"), ("services", "1"), ("purpose", "analytics"), ("purpose", "marketing")]
    pairs += [("service", one) for one in ("own_statistics", "video", "kaart")]
    got = browser.post("/_gw/consent", content=urlencode(pairs), headers=FORM)
    assert got.json()["withdrawn"] is True
    gone = [name for name, value in set_cookies(got).items() if "Max-Age=0" in value]
    assert gone == ["_tel"]
    assert "Max-Age=15552000" in set_cookies(got)[NAME]


def test_switching_off_the_counting_ends_it(browser: Browser) -> None:
    """Without its own service the gateway counts nothing: no visit, no script, no event, whatever else is granted."""
    post(browser, "accept_all")
    assert VISIT in set_cookies(browser.get("/"))
    got = browser.choose("save", "analytics", "marketing", services="1", service="counter")
    assert "Max-Age=0" in set_cookies(got)[VISIT]
    page = browser.get("/")
    assert VISIT not in set_cookies(page)
    assert "/_gw/assets/collect-" not in page.text.partition("collect_url")[2].partition(">")[2]
    assert view_of(page) == ""
    assert browser.report().status_code == 403


def test_counting_can_be_all_that_is_allowed(browser: Browser) -> None:
    """Allowed by itself, the gateway's own counting takes place, and the purpose's other services stay held."""
    post(browser, "save", "", "own_statistics", services="1")
    page = browser.get("/")
    assert VISIT in set_cookies(page)
    assert 'data-gw-src="https://teller.example.net/t.js"' in page.text
    assert "no-store" in page.headers["cache-control"]
    assert browser.report({}, view=view_of(page)).status_code == 202


def test_pages_are_remembered_by_services_too(browser: Browser) -> None:
    """The same page under decisions that differ in a single service is rewritten for each."""
    for services, free in (("kaart", False), ("kaart video", True)):
        post(browser, "save", "marketing", services, services="1")
        assert ('<img src="https://video.example.net/p.gif">' in browser.get("/").text) is free


def test_two_visitors_differ_in_a_service(tmp_path: Path) -> None:
    """A service allowed by one visitor acts for nobody else."""
    with visiting(tmp_path, policy=POLICY) as browser:
        post(browser, "allow", "", "video")
        assert '<img src="https://video.example.net/p.gif">' in browser.get("/").text
        browser.cookies.clear()
        assert '<img src="https://video.example.net/p.gif">' not in browser.get("/").text
