"""Plausible's tracker on a page: its events are counted once, with consent only, and it always sees a success."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.event import Told
from tests.flows.worker_parts import read_recorded
from tests.web.gated_site import ORIGIN, SAME_SITE, Browser, visiting

SWITCHED_ON = {"analytics": {"clients": {"plausible": True}}}
TEXT = {**SAME_SITE, "content-type": "text/plain"}


@pytest.fixture
def visitor(tmp_path: Path) -> Iterator[Browser]:
    """Somebody before a gate that takes Plausible's events."""
    with visiting(tmp_path, settings=SWITCHED_ON) as browser:
        yield browser


def tell(browser: Browser, headers: dict[str, str] = TEXT, **fields: Any) -> Any:
    message = {"n": "Signup", "u": f"{ORIGIN}/a/1234567", "d": "elsewhere.example", "r": None, "v": 1, **fields}
    return browser.post("/api/event", content=msgspec.json.encode(message), headers=headers)


def test_an_event_is_recorded_as_our_own_are(visitor: Browser, tmp_path: Path) -> None:
    """Name, masked address, properties and revenue arrive in the site that was asked; the answer is what the tracker wants."""
    visitor.choose("accept_all")
    got = tell(visitor, p={"plan": "klein", "n": 2, "none": None}, **{"$": {"currency": "EUR", "amount": "12.35"}})
    assert (got.status_code, got.text, got.headers.get("x-plausible-dropped")) == (202, "ok", None)
    tell(visitor, p='{"plan": "groot"}')
    first, second = [recorded.event for recorded in read_recorded(tmp_path / "data")]
    assert (first.site, first.kind, first.path) == ("main", "Signup", "/a/:id")
    assert (first.props, first.told) == ({"plan": "klein", "n": "2"}, Told(revenue=12_350, currency="EUR"))
    assert (second.props, second.visit_id) == ({"plan": "groot"}, first.visit_id)


def test_without_consent_nothing_is_recorded_and_nothing_breaks(visitor: Browser, tmp_path: Path) -> None:
    """Undecided and refused alike: 202, no visit, a counted reason."""
    for choice in ("", "reject_all"):
        if choice:
            visitor.choose(choice)
        got = tell(visitor)
        assert (got.status_code, got.headers["x-plausible-dropped"]) == (202, "1")
        assert "gw_visit" not in got.headers.get("set-cookie", "")
    assert read_recorded(tmp_path / "data") == []


@pytest.mark.parametrize("name", ["pageview", "engagement", "404", 404])
def test_what_the_gateway_counts_itself_is_not_counted_twice(visitor: Browser, tmp_path: Path, name: str | int) -> None:
    """A view, engaged time or a lost page of the tracker is taken note of by nobody, and the tracker sees its success."""
    visitor.choose("accept_all")
    got = tell(visitor, n=name, e=3000, sd=40)
    assert (got.status_code, got.headers["x-plausible-dropped"]) == (202, "1")
    assert read_recorded(tmp_path / "data") == []


@pytest.mark.parametrize(
    "fields",
    [{"n": 7}, {"n": ""}, {"p": "{"}, {"p": [1]}, {"$": {"amount": "x", "currency": "EUR"}}, {"$": {"amount": 1}}],
)
def test_what_cannot_be_read_is_refused(visitor: Browser, fields: dict[str, Any]) -> None:
    """An event that is none is answered 400, and other sites' pages are refused."""
    visitor.choose("accept_all")
    assert tell(visitor, **fields).status_code == 400
    assert tell(visitor, {**TEXT, "sec-fetch-site": "cross-site"}).status_code == 403


def test_a_number_beyond_all_bounds_is_refused(visitor: Browser) -> None:
    """An amount of four hundred digits, which no float holds, is no amount."""
    visitor.choose("accept_all")
    body = b'{"n": "Order", "u": "/", "$": {"currency": "EUR", "amount": %s}}' % (b"9" * 400)
    assert visitor.post("/api/event", content=body, headers=TEXT).status_code == 400


def test_off_by_default(browser: Browser) -> None:
    """Without the setting the address is the site's own."""
    assert "x-plausible-dropped" not in tell(browser).headers
