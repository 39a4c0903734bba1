"""Trackers of Umami and Matomo in a page, and the path of Plausible's script: the visitor's consent decides."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigError
from tests.flows.worker_parts import read_counts, read_recorded
from tests.web.gated_site import ORIGIN, SAME_SITE, Browser, build_config, set_cookies, visiting

SCRIPT = "/js/script.outbound-links.js"
CLIENTS = {"umami": True, "matomo": True, "plausible_scripts": [SCRIPT]}


@pytest.fixture
def visitor(tmp_path: Path) -> Iterator[Browser]:
    """Somebody before a gate that takes such events."""
    with visiting(tmp_path, settings={"analytics": {"clients": CLIENTS}}) as browser:
        yield browser


def send_umami(browser: Browser, kind: str = "event", **fields: Any) -> Any:
    """What Umami's script posts; it would have visitor, agent and time believed."""
    payload: dict[str, Any] = {
        "website": "b3d1",
        "hostname": "www.example.org",
        "url": f"{ORIGIN}/a/1234567",
        "screen": "390x844",
    }
    payload |= {"ip": "198.51.100.9", "userAgent": "Googlebot", "timestamp": 1, "gw_consent": "analytics", **fields}
    return browser.post("/api/send", json={"type": kind, "payload": payload}, headers=SAME_SITE)


def ask_matomo(browser: Browser, **fields: Any) -> Any:
    """What Matomo's script asks for."""
    query = {"idsite": "1", "rec": "1", "url": f"{ORIGIN}/a", "gw_consent": "analytics", **fields}
    return browser.get("/matomo.php", params=query, headers=SAME_SITE)


def test_events_count_and_views_are_the_gateway_s_own(visitor: Browser, tmp_path: Path) -> None:
    """With consent each named event is recorded, in one visit, as of the browser that sent it; views are left out."""
    visitor.choose("accept_all")
    got = send_umami(visitor, name="Aanmelding: één", data={"plan": "klein"})
    assert (got.json(), list(set_cookies(got))) == ({}, ["__Host-gw_visit"])
    assert send_umami(visitor).json() == send_umami(visitor, "identify", id="jan").json() == {"beep": "boop"}
    assert ask_matomo(visitor, e_c="Video", e_a="Afspelen").content.startswith(b"GIF89a")
    assert ask_matomo(visitor, send_image="0").status_code == 204
    assert visitor.head("/matomo.php?rec=1&url=/&e_c=x", headers=SAME_SITE).status_code == 200
    bulk = {"requests": [f"?idsite=1&rec=1&url=/a&link=https://x.example.net/{n}" for n in range(3)] + ["?rec=1"]}
    counted = visitor.post("/matomo.php", content=json.dumps(bulk), headers=SAME_SITE).json()
    assert counted == {"status": "success", "tracked": 3, "invalid": 1}
    events = [recorded.event for recorded in read_recorded(tmp_path / "data")]
    assert [event.kind for event in events] == ["Aanmelding: een", "Video: Afspelen", *["outbound"] * 3]
    assert (events[0].path, events[0].props, events[0].browser) == ("/a/:id", {"plan": "klein"}, "Chrome")
    assert len({event.visit_id for event in events}) == 1


def test_a_site_s_own_password_is_no_key(visitor: Browser, tmp_path: Path) -> None:
    """Browsers send Basic credentials of a site under test with everything: that is a visitor, for our own script too."""
    visitor.headers["authorization"] = "Basic amFuOmdlaGVpbQ=="
    visitor.choose("accept_all")
    assert visitor.report().status_code == 202
    assert send_umami(visitor, name="x").json() == {}
    assert len(read_recorded(tmp_path / "data")) == 2


def test_a_bulk_without_a_visit_begins_one(visitor: Browser, tmp_path: Path) -> None:
    """Several events of somebody who has none yet are one visit, and the browser is given it."""
    visitor.choose("accept_all")
    bulk = {"requests": [{"idsite": 1, "rec": 1, "url": "/a", "search": word} for word in ("een", "twee")]}
    got = visitor.post("/matomo.php", content=json.dumps(bulk), headers=SAME_SITE)
    assert set_cookies(got).keys() == {"__Host-gw_visit"}
    one, two = [recorded.event for recorded in read_recorded(tmp_path / "data")]
    assert (one.visit_id, one.props, two.props) == (two.visit_id, {"term": "een"}, {"term": "twee"})


def test_a_bulk_may_be_larger_than_a_report(visitor: Browser, tmp_path: Path) -> None:
    """Up to its own cap in number and in size."""
    visitor.choose("accept_all")
    line = {"idsite": 1, "rec": 1, "url": "/a", "link": "https://x.example.net/" + "x" * 200}

    def send(count: int, **more: str) -> int:
        body = json.dumps({"requests": [line] * count, **more})
        return int(visitor.post("/matomo.php", content=body, headers=SAME_SITE).status_code)

    assert [send(100), send(501), send(1, padding="x" * 1_100_000)] == [200, 413, 413]
    assert len(read_recorded(tmp_path / "data")) == 100


def test_without_consent_nothing_is_recorded_whatever_is_asserted(visitor: Browser, tmp_path: Path) -> None:
    """A page asserts nothing; the answer is a success, and the reason is counted."""
    for choice in ("", "reject_all"):
        if choice:
            visitor.choose(choice)
        assert send_umami(visitor, name="x").json() == {"beep": "boop"}
        assert ask_matomo(visitor, e_c="x").status_code == 200
    visitor.__exit__()
    assert read_recorded(tmp_path / "data") == []
    assert read_counts(tmp_path / "data")["dropped", "no_consent", ""] == 4


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"payload": 1}', b'{"payload": {"name": "404"}}', b"\xff"])
def test_what_cannot_be_read_is_refused(visitor: Browser, body: bytes) -> None:
    """As is an event of another site's page, and a request of Matomo's without an address."""
    visitor.choose("accept_all")
    assert visitor.post("/api/send", content=body, headers=SAME_SITE).status_code == 400
    assert visitor.post("/matomo.php", content=b"{" + body, headers=SAME_SITE).status_code == 400
    assert ask_matomo(visitor, url="").status_code == 400
    elsewhere = {"sec-fetch-site": "cross-site"}
    assert visitor.get("/matomo.php?rec=1&url=/", headers=elsewhere).status_code == 403


@pytest.mark.parametrize("screen", ["9" * 5000, "9999999x1080", "x", "²x1", "-1x1"])
def test_a_screen_that_is_none_costs_no_event(visitor: Browser, screen: str) -> None:
    """However wide a client says that its screen is, the rest of what it tells is taken as ever."""
    visitor.choose("accept_all")
    told = {"idsite": "1", "rec": "1", "url": f"{ORIGIN}/a", "res": screen}
    assert visitor.post("/matomo.php", data=told, headers=SAME_SITE).status_code == 200
    assert send_umami(visitor, name="x", screen=screen).json() == {}


def test_the_script_s_path_is_ours_only_where_it_is_named(visitor: Browser) -> None:
    """A script that stands in for Plausible's; every other path is the site's own."""
    got = visitor.get(SCRIPT)
    assert (got.headers["content-type"], "plausible" in got.text) == ("text/javascript; charset=utf-8", True)
    assert "<h1>Incasso" in visitor.get("/js/script.js").text


def test_off_by_default(browser: Browser) -> None:
    """Without the settings all of these addresses are the site's own."""
    for path in ("/api/send", "/matomo.php", "/piwik.php", SCRIPT):
        assert "<h1>Incasso" in browser.get(path).text


@pytest.mark.parametrize("path", ["js/script.js", "/js/script", "/js/*.js", "https://example.org/s.js"])
def test_a_script_s_path_has_to_be_one(tmp_path: Path, path: str) -> None:
    """What is no path of a script is refused when the configuration is read."""
    with pytest.raises(ConfigError, match="plausible_scripts"):
        build_config(tmp_path, {"analytics": {"clients": {"plausible_scripts": [path]}}})
