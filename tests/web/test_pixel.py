"""A picture counts a page without scripts, for those who agreed, and is the same picture for everybody."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.analytics.agents import CHROME
from tests.flows.worker_parts import read_counts, read_recorded
from tests.web.gated_site import ORIGIN, Browser, set_cookies, visiting


@pytest.fixture
def visitor(tmp_path: Path) -> Iterator[Browser]:
    """Somebody before a gate of the test's own."""
    with visiting(tmp_path) as browser:
        yield browser


def show(
    browser: Browser, page: str = f"{ORIGIN}/statisch/1234567?utm_source=krant", query: str = "", **headers: str
) -> Any:
    """What the browser gets for the picture on a page of the site."""
    sent = {"accept": "image/*", "sec-fetch-site": "same-origin", "sec-fetch-dest": "image", "referer": page}
    sent = {name: value for name, value in (sent | headers).items() if value}
    return browser.get(f"/_gw/pixel.gif{query}", headers=sent)


def test_a_page_with_the_picture_is_viewed_once_agreed(visitor: Browser, tmp_path: Path) -> None:
    """Each showing is a view of the page that shows it, masked, with its topic and campaign, in one visit; nobody keeps it."""
    visitor.choose("accept_all")
    first, second = show(visitor, query="?topic=Rente"), show(visitor, f"{ORIGIN}/twee")
    assert set_cookies(first).keys() == {"__Host-gw_visit"} and not set_cookies(second)
    assert (first.headers["content-type"], first.headers["cache-control"]) == ("image/gif", "no-store")
    visitor.__exit__()
    one, two = [recorded.event for recorded in read_recorded(tmp_path / "data")]
    assert (one.kind, one.path, one.topic, one.source) == ("page_view", "/statisch/:id", "Rente", "krant")
    assert (two.path, two.source, two.channel, two.visit_id) == ("/twee", "", "", one.visit_id)


def test_without_consent_the_same_bytes_and_nothing_else(visitor: Browser, tmp_path: Path) -> None:
    """Undecided, refused and agreed see the same picture; only for the last it is recorded and sets a cookie."""
    pictures = []
    for choice in ("", "reject_all", "accept_all"):
        if choice:
            visitor.choose(choice)
        got = show(visitor)
        pictures.append((got.status_code, got.content))
        assert bool(set_cookies(got)) == (choice == "accept_all")
    assert len(set(pictures)) == 1 and pictures[0][1].startswith(b"GIF89a") and len(pictures[0][1]) == 43
    visitor.__exit__()
    assert len(read_recorded(tmp_path / "data")) == 1


def test_what_is_no_view_is_counted_by_its_reason(visitor: Browser, tmp_path: Path) -> None:
    """No page, another site's page, a bot, a page fetched ahead: the picture comes, no view is recorded. A HEAD is nothing."""
    visitor.choose("accept_all")
    show(visitor, page="")
    show(visitor, page="https://elders.example/", **{"sec-fetch-site": "cross-site"})
    show(visitor, **{"user-agent": "Googlebot/2.1"})
    show(visitor, **{"sec-purpose": "prefetch;prerender"})
    assert visitor.head("/_gw/pixel.gif", headers={"referer": ORIGIN}).status_code == 200
    visitor.__exit__()
    assert read_recorded(tmp_path / "data") == []
    counts = read_counts(tmp_path / "data")
    assert [counts["dropped", reason, ""] for reason in ("no_page", "bot", "prefetch")] == [2, 1, 1]


def test_the_page_on_which_somebody_accepts_is_not_counted_again(visitor: Browser, tmp_path: Path) -> None:
    """The form's own view is that page's; the picture after the way back adds none."""
    page = {"view": "V" * 22, "return_to": "/contact", "referrer": ""}
    visitor.choose("accept_all", headers={"referer": f"{ORIGIN}/contact"}, **page)
    show(visitor, f"{ORIGIN}/contact")
    visitor.__exit__()
    assert [one.event.path for one in read_recorded(tmp_path / "data")] == ["/contact"]


def test_client_hints_are_used_on_every_way(visitor: Browser, tmp_path: Path) -> None:
    """What a browser says of itself beside its agent string: with the choice, a page, a report of the script, the picture; it
    goes no further than names and versions."""
    brands = '"Chromium";v="140", "Not=A?Brand";v="24", "Brave";v="141"'
    hints = {"sec-ch-ua": brands, "sec-ch-ua-platform": '"Windows"', "sec-ch-ua-platform-version": '"15.0.0"'}
    visitor.headers.update({"user-agent": CHROME} | hints)
    visitor.choose("accept_all", view="V" * 22, return_to="/a")
    visitor.get("/b")
    visitor.report(name="klik")
    show(visitor)
    visitor.__exit__()
    events = [recorded.event for recorded in read_recorded(tmp_path / "data")]
    assert [event.kind for event in events] == ["page_view", "page_view", "klik", "page_view"]
    told = {(event.browser, event.browser_version, event.os, event.os_version) for event in events}
    assert told == {("Brave", "141", "Windows", "11")}
