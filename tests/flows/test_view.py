"""A page view is opened before the page's first byte and recorded once its topic is known, exactly once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.analytics.visit import Visit, mark_page, new_id, read_visit
from gateway.flows.collect import build_event
from gateway.flows.parts import Parts
from gateway.flows.view import PENDING_SECONDS, PageView, find_view, open_view, record_view
from gateway.hit import Hit
from tests.example_site import AGENT, NOW, make_decision
from tests.flows.worker_parts import opened_parts, read_recorded

NAME = "__Host-gw_visit"
VISIT = Visit("main", "V" * 22, int(NOW) - 90, int(NOW) - 59)
LATER = msgspec.structs.replace(VISIT, last_at=int(NOW))


@pytest.fixture
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """One worker's parts, journal included."""
    with opened_parts(tmp_path_factory.mktemp("view")) as opened:
        yield opened


def make_hit(**changes: Any) -> Hit:
    values: dict[str, Any] = {"at": NOW, "site": "main", "host": "www.example.org", "url": "/a", "ip": "192.0.2.9"}
    return Hit(**(values | {"user_agent": AGENT, "view_id": new_id()} | changes))


def open_one(parts: Parts, visit: Visit | None = None, **changes: Any) -> PageView:
    site, hit = parts.config.sites[0], make_hit(**changes)
    return open_view(hit, make_decision(site, "analytics"), visit, NAME, site, parts, secure=True)


def visit_of(view: PageView, parts: Parts) -> Visit | None:
    """The visit in the cookie that a view sets."""
    return read_visit(view.set_cookie.partition("=")[2].partition(";")[0], parts.signers.visit)


def test_a_view_goes_on_with_the_visit_in_the_cookie(parts: Parts) -> None:
    """The visit keeps its id and start, its last activity is now, and its cookie is set again for a day, once a minute."""
    assert (open_one(parts, VISIT).visit, open_one(parts, VISIT).set_cookie) == (LATER, "")
    view = open_one(parts, msgspec.structs.replace(VISIT, last_at=int(NOW) - 60))
    assert visit_of(view, parts) == LATER
    assert view.set_cookie.startswith(f"{NAME}=1~main~")
    assert view.set_cookie.endswith("; Max-Age=86400; Path=/; HttpOnly; SameSite=Lax; Secure")


@pytest.mark.parametrize("visit", [None, Visit("main", "V" * 22, 0, 1), Visit("shop", "V" * 22, int(NOW), int(NOW))])
def test_without_a_running_visit_one_begins(parts: Parts, visit: Visit | None) -> None:
    """No cookie, an old one or another site's: the view opens a visit of its own."""
    found = visit_of(open_one(parts, visit), parts)
    assert found is not None
    assert (found.id != "V" * 22, found.started_at, found.last_at) == (True, int(NOW), int(NOW))


def test_a_view_is_recorded_once_with_its_topic(parts: Parts) -> None:
    """Opening writes nothing; recording writes one event under the view's id."""
    site = parts.config.sites[0]
    view = open_one(parts, VISIT)
    record_view(view, "Rente", make_decision(site, "analytics"), site, parts)
    parts.journal.close()
    (recorded,) = read_recorded(parts.config.data_folder)
    assert (recorded.event.view_id, recorded.event.topic, recorded.event.visit_id) == (view.id, "Rente", VISIT.id)


WAITING = [(0, True), (PENDING_SECONDS, True), (PENDING_SECONDS + 1, False)]


@pytest.mark.parametrize(("age", "same"), WAITING)
def test_the_page_after_an_acceptance_is_the_view_that_was_counted(parts: Parts, age: int, same: bool) -> None:
    """The page behind the redirect takes over the counted view's id, within a minute, and is not counted again."""
    site = parts.config.sites[0]
    view = open_one(parts, Visit("main", "V" * 22, int(NOW) - age, int(NOW) - age, "P" * 22, mark_page("/a")))
    record_view(view, "", make_decision(site, "analytics"), site, parts)
    parts.journal.close()
    assert (view.id == "P" * 22) is same
    assert len(read_recorded(parts.config.data_folder)) == (not same)
    found = visit_of(view, parts)
    assert found is not None
    assert found.pending == ""


def test_another_tab_s_page_takes_nothing_that_waits_for_one(parts: Parts) -> None:
    """A page at another address is counted as itself, and leaves the counted view to the page that it belongs to."""
    view = open_one(parts, Visit("main", "V" * 22, int(NOW), int(NOW), "P" * 22, mark_page("/b?c=d")))
    assert view.id != "P" * 22
    assert view.hit is not None
    left = visit_of(view, parts)
    assert left is not None
    taken = open_one(parts, left, url="/b?c=d")
    assert (taken.id, taken.hit) == ("P" * 22, None)
    assert visit_of(taken, parts) == Visit("main", "V" * 22, int(NOW), int(NOW))


def test_what_is_not_counted_sets_no_cookie(parts: Parts) -> None:
    """A bot or a prefetch gets no visit and no event; a prefetched page gets no id, so that its script reports it."""
    bot, prefetch = open_one(parts, user_agent="curl/8"), open_one(parts, VISIT, prefetch=True)
    assert (bot.set_cookie, bot.visit, prefetch.set_cookie, prefetch.visit) == ("", None, "", None)
    assert (len(bot.id), prefetch.id) == (22, "")
    (counted,) = parts.counters.take()
    assert sorted(row[1] for row in counted.rows if row[0] == "dropped") == ["bot", "prefetch"]


def test_a_full_journal_costs_the_count_not_the_page(parts: Parts) -> None:
    """When the journal takes nothing, recording a view counts a fault and raises nothing."""
    site = parts.config.sites[0]
    view = open_one(parts, VISIT)
    parts.journal.close()
    record_view(view, "", make_decision(site, "analytics"), site, parts)
    (counted,) = parts.counters.take()
    assert counted.rows == [("dropped", "fault", "", 1)]


LOST = {"view_id": "v" * 22, "referrer": "https://www.example.org/oud/1234567?x=1"}


def test_a_page_that_does_not_exist_is_no_view_but_an_event(parts: Parts) -> None:
    """Its event says the status and which page led there; other errors are nothing."""
    site = parts.config.sites[0]
    hit = make_hit(url="/weg/7654321", **LOST)
    assert find_view(hit, 200, site, parts) is hit
    assert [find_view(hit, status, site, parts) for status in (403, 500, 301)] == [None] * 3
    for status in (404, 410):
        lost = find_view(hit, status, site, parts)
        assert lost is not None
        event = build_event(lost, 7, VISIT, site, parts)
        assert (event.kind, event.path, event.told.status) == ("not_found", "/weg/:id", str(status))
        assert event.props == {"from": "/oud/:id"}
    from_nowhere = find_view(make_hit(url="/weg"), 404, site, parts)
    assert from_nowhere is not None and from_nowhere.props == {}


def test_lost_pages_are_not_counted_where_that_is_switched_off(tmp_path: Path) -> None:
    """Then a 404 is nothing, as any other error."""
    with opened_parts(tmp_path, {"analytics": {"automatic": {"not_found": False}}}) as parts:
        assert find_view(make_hit(**LOST), 404, parts.config.sites[0], parts) is None
