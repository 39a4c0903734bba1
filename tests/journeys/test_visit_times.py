"""What the report says of visits that are watched with a clock: how long they were looked at, how long they went on.

Engaged time is held between two bounds that hold on a machine however busy: what the visitor was seen to stay at least, and
the time by the wall less what was spent elsewhere.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from gateway.analytics.answers import AnswerRow
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import JOURNAL_FOLDER
from gateway.analytics.query import Query
from gateway.flows.answer import answer
from gateway.flows.drain import drain_once
from gateway.settings import AnalyticsConfig
from tests.journeys.browsing import CHROMIUM, FLAGS, choose, open_browser, open_context
from tests.journeys.counted_site import Journey, accept, open_journey
from tests.journeys.fronts import wait_until
from tests.migrated import open_migrated

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(120)]

METRICS = ("visits", "page_views", "bounce_rate", "visit_duration", "wall_duration")
STAY = 1.2  # seconds
TIMERS_APART = 0.05  # seconds by which the browser's clock and ours may differ over such a journey
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file, which keeps the pages that one comes back to, as visitors' do."""
    with open_browser(back_forward_cache=True) as opened:
        yield opened


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    """A site of its own for each journey, so that what the report says is of one visitor."""
    with open_journey(tmp_path) as opened:
        yield opened


@dataclass
class Watch:
    """Seconds that were spent in sight of the site, at least; and since it was opened, at most, but for those `away`."""

    began: float
    stayed: float = 0.0
    away: float = 0.0

    def stay(self, page: Page, seconds: float = STAY) -> None:
        """Look at the page."""
        page.wait_for_timeout(seconds * 1000)
        self.stayed += seconds

    def leave(self, page: Page, seconds: float = STAY) -> None:
        """Spend time elsewhere."""
        page.wait_for_timeout(seconds * 1000)
        self.away += seconds

    def fits(self, seconds: float) -> bool:
        """Whether so long a time is what was seen."""
        passed = time.monotonic() - self.began
        return self.stayed - TIMERS_APART <= seconds <= passed - self.away + TIMERS_APART


@dataclass(frozen=True)
class Visits:
    """What the report says; times in seconds."""

    visits: int
    views: int
    bounce_rate: float
    engaged: float
    wall: float


def open_counted(context: BrowserContext, journey: Journey, path: str = "/") -> tuple[Page, Watch]:
    """A page on which its visitor accepts, and the clock from then on."""
    page = context.new_page()
    page.goto(journey.url + path)
    watch = Watch(time.monotonic())
    accept(page)
    return page, watch


def feel_focus(context: BrowserContext, page: Page) -> None:
    """From now on the page has the focus when it has; Playwright tells every page that it has it, always."""
    context.new_cdp_session(page).send("Emulation.setFocusEmulationEnabled", {"enabled": False})
    page.bring_to_front()
    page.wait_for_function("document.hasFocus()")


def wait_counted(page: Page) -> None:
    """Returns when the page is being counted."""
    page.wait_for_function("window.gateway?.collecting")


def engaged_by_view(journey: Journey) -> dict[str, int]:
    """Milliseconds by view, as they stand in the journal."""
    told: dict[str, int] = {}
    for event in journey.events("engagement"):
        told[event.view_id] = max(told.get(event.view_id, 0), event.engaged_ms)
    return told


def leave_site(context: BrowserContext, journey: Journey, watch: Watch) -> None:
    """Close all that is open; returns when what the pages said at their end is on disk."""
    for page in context.pages:
        page.goto("about:blank")
    wait_until(lambda: sum(engaged_by_view(journey).values()) >= (watch.stayed - TIMERS_APART) * 1000)
    context.close()


def drain(journey: Journey, *, metrics: tuple[str, ...], dimensions: tuple[str, ...] = ()) -> list[AnswerRow]:
    """The report's rows over all that the journals hold."""
    today, folder = date.today(), journey.data
    query = Query("main", today - timedelta(1), today + timedelta(1), "UTC", metrics=metrics, dimensions=dimensions)
    with closing(DuckDBStore(folder / "events.duckdb")) as store:
        engine = open_migrated(folder / "gateway.db")
        while drain_once(folder / JOURNAL_FOLDER, store, engine, [], time.time()).entries:
            pass
        return answer(query, store, AnalyticsConfig(min_visitors=1)).rows


def ask(journey: Journey) -> Visits:
    """The report's figures of all visits."""
    (row,) = drain(journey, metrics=METRICS)
    visits, views, bounce_rate, engaged, wall = (figure or 0 for figure in row.figures)
    return Visits(int(visits), int(views), bounce_rate, engaged, wall)


def time_by_page(journey: Journey) -> dict[str, float]:
    """Seconds for each page, over all its views."""
    rows = drain(journey, metrics=("page_views", "time_on_page"), dimensions=("page",))
    return {row.keys[0]: (row.figures[0] or 0) * (row.figures[1] or 0) for row in rows}


def test_a_single_page_bounces_and_has_its_time(browser: Browser, journey: Journey) -> None:
    """Who looks at one page and leaves is a bounce, and still has been there for as long as it was in sight."""
    context = open_context(browser)
    page, watch = open_counted(context, journey)
    watch.stay(page)
    leave_site(context, journey, watch)
    found = ask(journey)
    assert (found.visits, found.views, found.bounce_rate) == (1, 1, 1)
    assert watch.fits(found.engaged) and found.engaged <= found.wall <= time.monotonic() - watch.began + 1


def test_time_out_of_sight_is_none(browser: Browser, journey: Journey) -> None:
    """While the tab is hidden nobody is engaged, but the visit goes on; back in sight the time goes on under the same view."""
    context = open_context(browser)
    page, watch = open_counted(context, journey)
    watch.stay(page)
    page.evaluate(HIDE, True)
    watch.leave(page, 2 * STAY)
    page.evaluate(HIDE, False)
    watch.stay(page)
    leave_site(context, journey, watch)
    found = ask(journey)
    assert (found.visits, found.views, found.bounce_rate) == (1, 1, 1)
    assert watch.fits(found.engaged) and found.wall >= found.engaged + watch.away - 1


def test_of_several_tabs_only_the_one_in_use_has_time(browser: Browser, journey: Journey) -> None:
    """Two tabs are one visit of two views; each has the time in which it had the focus, the visit no more than there was."""
    context = open_context(browser)
    first, watch = open_counted(context, journey, "/een")
    feel_focus(context, first)
    watch.stay(first)
    second = context.new_page()
    second.goto(journey.url + "/twee")
    feel_focus(context, second)  # of this page: another process draws it than the empty tab
    wait_counted(second)
    assert not first.evaluate("document.hasFocus()")
    watch.stay(second, 2 * STAY)
    first.bring_to_front()
    first.wait_for_function("document.hasFocus()")
    watch.stay(first)
    leave_site(context, journey, watch)
    found, pages = ask(journey), time_by_page(journey)
    assert (found.visits, found.views, found.bounce_rate) == (1, 2, 0)
    assert watch.fits(found.engaged)
    assert 2 * STAY - TIMERS_APART <= pages["/een"] <= time.monotonic() - watch.began - 2 * STAY + TIMERS_APART
    assert pages["/twee"] >= 2 * STAY - TIMERS_APART


def test_a_page_that_is_loaded_again_is_a_view_of_the_same_visit(browser: Browser, journey: Journey) -> None:
    """Each load is a view and has its own time; together they are the visit's."""
    context = open_context(browser)
    page, watch = open_counted(context, journey)
    watch.stay(page)
    for _ in range(2):
        page.reload()
        wait_counted(page)
        watch.stay(page)
    leave_site(context, journey, watch)
    found = ask(journey)
    assert (found.visits, found.views, found.bounce_rate) == (1, 3, 0)
    assert watch.fits(found.engaged)
    assert len(engaged_by_view(journey)) == 3
    assert min(engaged_by_view(journey).values()) >= (STAY - TIMERS_APART) * 1000


def test_a_page_out_of_the_browser_s_cache_is_a_view_of_its_own(browser: Browser, journey: Journey) -> None:
    """A page that is restored as it was, scripts and all, is viewed anew: its time is not added to that of the first view, and
    what passed in between is nobody's."""
    context = open_context(browser)
    page, watch = open_counted(context, journey, "/een")
    watch.stay(page)
    page.evaluate("window.kept = true")
    page.goto(journey.url + "/twee")
    wait_counted(page)
    watch.stay(page)
    page.evaluate("history.back()")  # Playwright's own way back waits for a load, which does not come
    page.wait_for_url("**/een", wait_until="commit")
    page.wait_for_function("window.kept && !document.hidden")
    watch.stay(page)
    leave_site(context, journey, watch)
    found = ask(journey)
    assert (found.visits, found.views, found.bounce_rate) == (1, 3, 0)
    assert watch.fits(found.engaged)
    assert [event.path for event in journey.events("page_view")] == ["/een", "/twee", "/een"]
    assert min(engaged_by_view(journey).values()) >= (STAY - TIMERS_APART) * 1000 and len(engaged_by_view(journey)) == 3


def test_of_a_browser_that_is_killed_the_time_is_known_until_it_last_told(browser: Browser, journey: Journey) -> None:
    """A browser that dies without a word leaves a visit with the time that its page had told of by then, and not more."""
    doomed = browser.browser_type.launch(executable_path=CHROMIUM, args=FLAGS)
    _, watch = open_counted(open_context(doomed), journey)
    processes = doomed.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    (pid,) = [process["id"] for process in processes if process["type"] == "browser"]
    wait_until(lambda: sum(engaged_by_view(journey).values()) > 0, 90)  # by itself, with nobody leaving
    os.kill(pid, signal.SIGKILL)
    found, passed = ask(journey), time.monotonic() - watch.began
    assert (found.visits, found.views, found.bounce_rate) == (1, 1, 1)
    assert found.engaged == sum(engaged_by_view(journey).values()) / 1000
    assert 9 < found.engaged <= passed + TIMERS_APART


def test_who_accepts_on_the_third_page_begins_there(browser: Browser, journey: Journey) -> None:
    """What was looked at before the choice is not counted, nor is its time; the visit is of the page of the yes alone."""
    context = open_context(browser)
    page = context.new_page()
    for path in ("/een", "/twee", "/drie"):
        page.goto(journey.url + path)
        page.wait_for_timeout(STAY * 1000)
    assert engaged_by_view(journey) == {} and journey.events("page_view") == []
    watch = Watch(time.monotonic())
    accept(page)
    watch.stay(page)
    leave_site(context, journey, watch)
    found = ask(journey)
    assert (found.visits, found.views, found.bounce_rate) == (1, 1, 1)
    assert watch.fits(found.engaged) and found.wall <= time.monotonic() - watch.began + 1
    assert [event.path for event in journey.events("page_view")] == ["/drie"]


def test_without_scripts_pages_visits_and_wall_time_count(browser: Browser, journey: Journey) -> None:
    """Who runs no script and accepts on the second page has a visit of the pages from there on, once each, which lasts by
    the clock from the yes to the last page; nobody can say that they were engaged, and nothing is before the yes or after
    the no."""
    context = open_context(browser, scripts=False)
    page = context.new_page()
    page.goto(journey.url + "/een")
    page.goto(journey.url + "/twee?utm_source=krant")
    assert journey.events("page_view") == []
    asked = time.monotonic()  # the yes is taken between here and the page without the question
    page.get_by_role("button", name="Alles accepteren").click()
    expect(page.locator("#gw-banner")).to_have_count(0)
    watch = Watch(time.monotonic())
    watch.stay(page, 2 * STAY)
    page.goto(journey.url + "/drie", referer=journey.url + "/twee")
    passed = time.monotonic() - asked
    choose(context, journey.url, button="Alles weigeren")
    page.goto(journey.url + "/vier")
    context.close()
    found = ask(journey)
    assert (found.visits, found.views, found.bounce_rate, found.engaged) == (1, 2, 0, 0)
    assert watch.stayed - 1 <= found.wall <= passed + 1  # a visit begins with a whole second
    assert [(one.path, one.source) for one in journey.events("page_view")] == [("/twee", "krant"), ("/drie", "")]
