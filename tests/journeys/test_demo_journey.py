"""A visitor's way through the demo's careless site in a real browser, with JavaScript and without."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from gateway.analytics.journal import LINGER_SECONDS
from gateway.analytics.results import Report, Row
from gateway.database import open_database
from gateway.demo.articles import ARTICLES
from gateway.demo.site import BROCHURE_PAGE
from gateway.demo.stage import Stage, open_stage
from gateway.ledger import entries
from gateway.receivers.rehearsal import ACCOUNT
from gateway.report_client import fetch_report
from gateway.socket_client import call_keeper
from tests.journeys.browsing import open_browser, open_context

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ARTICLE = "/artikelen/"
REFUSE, ACCEPT = "Alles weigeren", "Alles accepteren"
CONSENT, VISIT = "gw_consent", "gw_visit"
NECESSARY = {"sessionid"}
TOLD = (("Download", "regeling.pdf"), ("Signal", "leest-artikelen"))  # types and values of activities


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all journeys of this file."""
    with open_browser() as opened:
        yield opened


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """The demo's world with an empty ledger and an empty store."""
    with open_stage(tmp_path, 0, 0) as opened:
        yield opened


def report_of(stage: Stage) -> Report:
    """Everything counted up to now: views may gather for a moment before they are written down."""
    time.sleep(3 * LINGER_SECONDS)
    call_keeper(stage.config.data_folder, "POST", "/drain")
    return fetch_report(stage.config, {"period": "today", "limit": "100"})


def rows(report: Report, dimension: str) -> dict[str, Row]:
    """A breakdown by name."""
    return {row.name: row for row in report.breakdowns[dimension]}


def cookies(context: BrowserContext) -> set[str]:
    """Names of all cookies that the browser holds, for any host."""
    return {str(cookie["name"]) for cookie in context.cookies()}


def foreign_requests(stage: Stage) -> int:
    """How many requests the foreign hosts saw, by their own logs."""
    return len(stage.foreign.log)


def article(page: Page) -> str:
    """The path of the first article that the page links to."""
    href = page.locator(f'a[href^="{ARTICLE}"]').first.get_attribute("href")
    assert href
    return href


@pytest.mark.parametrize("scripts", [pytest.param(True, id="with scripts"), pytest.param(False, id="without")])
def test_before_a_choice_nothing_optional_happens(browser: Browser, stage: Stage, scripts: bool) -> None:
    """Looking around without choosing leaves no optional cookie, contacts no foreign host and counts nothing."""
    context = open_context(browser, scripts=scripts)
    page = context.new_page()
    for path in ("/", "/diensten", "/contact"):
        page.goto(stage.site_url + path)
        expect(page.get_by_role("button", name=REFUSE)).to_be_visible()
    assert cookies(context) <= NECESSARY
    assert foreign_requests(stage) == 0
    assert report_of(stage).totals.page_views == 0
    context.close()


@pytest.mark.parametrize("scripts", [pytest.param(True, id="with scripts"), pytest.param(False, id="without")])
def test_refusing_leaves_the_choice_alone(browser: Browser, stage: Stage, scripts: bool) -> None:
    """After refusing, the browser holds the choice and nothing else optional, and no page asks again."""
    context = open_context(browser, scripts=scripts)
    page = context.new_page()
    page.goto(stage.site_url + "/")
    page.get_by_role("button", name=REFUSE).click()
    expect(page.get_by_role("button", name=REFUSE)).to_have_count(0)
    page.goto(stage.site_url + "/diensten")
    expect(page.get_by_role("button", name=REFUSE)).to_have_count(0)
    expect(page.locator("#gw-settings")).to_be_visible()
    assert cookies(context) - NECESSARY == {CONSENT}
    assert foreign_requests(stage) == 0
    report = report_of(stage)
    assert (report.totals.page_views, report.consent.refused) == (0, 1)
    context.close()


def test_accepting_counts_this_page_and_the_next_with_their_true_source(browser: Browser, stage: Stage) -> None:
    """With scripts, the accepting page is counted once, with the search engine it came from, although the browser needs a new
    one for what it lets in; the following pages too, with topic and engaged time; held tags start to work."""
    context = open_context(browser)
    page = context.new_page()
    page.goto(stage.site_url + "/", referer="https://www.google.nl/")
    page.evaluate("window.notReloaded = true")
    path = article(page)
    page.get_by_role("button", name=ACCEPT).click()
    expect(page.locator("#gw-banner")).to_have_count(0)
    page.wait_for_timeout(1200)
    assert page.evaluate("window.notReloaded") is None
    assert foreign_requests(stage) > 0
    page.goto(stage.site_url + path)
    page.wait_for_timeout(1500)
    page.goto(stage.site_url + "/contact")
    page.wait_for_timeout(300)
    page.close()
    time.sleep(0.5)
    report = report_of(stage)
    assert report.totals.page_views == 3
    assert (report.totals.visits, report.totals.daily_visitors) == (1, 1)
    assert set(rows(report, "page")) == {"/", path, "/contact"}
    assert set(rows(report, "source")) == {"Google"}
    assert len(report.breakdowns["topic"]) >= 1
    engaged = rows(report, "page")[path].seconds
    assert engaged is not None and 1 <= engaged <= 10
    context.close()


def test_accepting_without_scripts_counts_each_page_once(browser: Browser, stage: Stage) -> None:
    """Without scripts, the page of the form and the page after its redirect are one view, with its true source."""
    context = open_context(browser, scripts=False)
    page = context.new_page()
    page.goto(stage.site_url + "/", referer="https://www.google.nl/")
    path = article(page)
    page.get_by_role("button", name=ACCEPT).click()
    expect(page.get_by_role("button", name=ACCEPT)).to_have_count(0)
    assert page.url.partition("#")[0] == stage.site_url + "/"  # behind it: where those are led who keep no cookies
    page.goto(stage.site_url + path)
    report = report_of(stage)
    assert report.totals.page_views == 2
    assert set(rows(report, "page")) == {"/", path}
    assert set(rows(report, "source")) == {"Google"}
    assert report.consent.accepted == 1
    context.close()


@pytest.mark.parametrize("scripts", [pytest.param(True, id="with scripts"), pytest.param(False, id="without")])
def test_withdrawing_ends_everything(browser: Browser, stage: Stage, scripts: bool) -> None:
    """After withdrawing, counting and deliveries stop and every optional cookie is gone, in other tabs too."""
    context = open_context(browser, scripts=scripts)
    page, other = context.new_page(), context.new_page()
    page.goto(stage.site_url + "/")
    page.get_by_role("button", name=ACCEPT).click()
    expect(page.locator("#gw-banner")).to_have_count(0)
    other.goto(stage.site_url + "/diensten")
    other.wait_for_timeout(800)
    assert VISIT in cookies(context)
    withdraw(page)
    if scripts:
        expect(other.locator("[data-gw-src]").first).to_have_count(1)  # it has reloaded: its tags are held again
    page.wait_for_timeout(500)
    assert cookies(context) - NECESSARY == {CONSENT}
    before, contacted = report_of(stage), foreign_requests(stage)
    for path in ("/", "/diensten", "/contact"):
        page.goto(stage.site_url + path)
    page.wait_for_timeout(500)
    after = report_of(stage)
    assert after.totals.page_views == before.totals.page_views
    assert (after.consent.accepted, after.consent.withdrawn) == (1, 1)
    assert foreign_requests(stage) == contacted
    assert_deliveries_ended(stage)
    context.close()


def test_a_brochure_makes_a_prospect_until_the_visitor_withdraws(browser: Browser, stage: Stage) -> None:
    """Nothing before the yes; after it the tracker that the gateway puts in, and by two articles and a brochure asked for with
    an address one prospect, its two activities, and nothing more. After the no the tracker is revoked, its cookies are gone,
    the prospect is opted out with a receipt, and what follows is told to nobody. Who leaves the form's own box empty is no
    prospect."""
    pages, pardot, called = stage.pardot.pages, stage.pardot.pardot, list[str]()
    context = open_context(browser)
    page = context.new_page()
    page.goto(stage.site_url + ARTICLES[0].path)
    page.wait_for_load_state("networkidle")
    assert stage.pardot.log == []
    with page.expect_response(lambda answer: "/analytics" in answer.url and "localhost" in answer.url):
        page.get_by_role("button", name=ACCEPT).click()
    page.goto(stage.site_url + ARTICLES[1].path + "?pi_email=chef@example.org")
    assert page.url == stage.site_url + ARTICLES[1].path
    page.wait_for_load_state("networkidle")
    assert {view["account_id"] for view in pages.views} == {str(ACCOUNT + 1000)}
    assert {f"visitor_id{ACCOUNT}", f"pi_opt_in{ACCOUNT}"} <= cookies(context)
    ask_for_brochure(page, stage, "niemand@example.org", mail=False)
    ask_for_brochure(page, stage, "A.Jansen@example.org", mail=True)
    wait_until(lambda: len(pardot.activities) == 2, stage)
    for path in ("/dossier/8812", ARTICLES[1].path):
        page.goto(stage.site_url + path, referer=stage.site_url + "/dossier/8812")
        page.wait_for_load_state("networkidle")
    assert "dossier" not in str(pages.views)
    [prospect] = pardot.prospects
    assert prospect.fields == {"email": "a.jansen@example.org"}
    told = sorted((one["type"], one["value"], one["email"]) for one in pardot.activities)
    assert told == [(kind, what, prospect.fields["email"]) for kind, what in TOLD]
    assert set(pardot.visitors.values()) == {prospect.id}
    page.expose_function("tell", lambda what: called.append(what))
    page.goto(stage.site_url + "/diensten")
    page.wait_for_load_state("networkidle")
    page.evaluate("() => { const was = window.pdt; window.pdt = (...all) => { tell(all[0]); was(...all) } }")
    page.locator("#gw-settings").click()
    with page.expect_event("load"):
        page.get_by_role("button", name=REFUSE).click()
    page.wait_for_load_state("networkidle")
    assert called == ["revokeConsent"]
    assert cookies(context) - NECESSARY == {CONSENT}
    views = len(pages.views)
    ask_for_brochure(page, stage, "a.jansen@example.org", mail=True)
    wait_until(lambda: prospect.fields.get("optedOut") is True, stage)
    assert (len(pages.views), len(pardot.activities), len(pardot.prospects)) == (views, 2, 1)
    assert [arrival.note for arrival in stage.pardot.log if arrival.fault] == []
    assert_deliveries_ended(stage)
    engine = open_database(stage.config.database_url)
    receipts = [msgspec.json.decode(one.body) for one in entries(engine) if one.kind == "passed_on"]
    engine.dispose()
    answers = {(one["destination"], one["asked"], one["answer"]) for one in receipts}
    assert ("pardot", "withdrawal", "accepted") in answers
    context.close()


def ask_for_brochure(page: Page, stage: Stage, email: str, *, mail: bool) -> None:
    """Fill in the form and get the document."""
    page.goto(stage.site_url + BROCHURE_PAGE)
    page.fill("input[name=email]", email)
    page.get_by_role("checkbox").set_checked(mail)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download de brochure").click()
    assert download.value.suggested_filename == "regeling.pdf"


def wait_until(condition: Callable[[], bool], stage: Stage, seconds: float = 20) -> None:
    """Until the keeper has passed on what was written down."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, [arrival.note for arrival in stage.pardot.log]
        time.sleep(0.1)


def withdraw(page: Page) -> None:
    """By the lasting link at the foot of the page, then "refuse all" in the dialog, or on the page that it leads to."""
    page.goto(page.url)
    page.locator("#gw-settings").click()
    expect(page.get_by_role("heading", name="Cookie-instellingen")).to_be_visible()
    with page.expect_event("load"):
        page.get_by_role("button", name=REFUSE).click()
    page.wait_for_timeout(500)


def assert_deliveries_ended(stage: Stage) -> None:
    """Whatever was queued has been delivered before or cancelled: nothing waits."""
    until = time.monotonic() + 20
    queue = report_of(stage).destinations[0]
    while queue.queued + queue.started and time.monotonic() < until:
        time.sleep(0.3)
        queue = report_of(stage).destinations[0]
    assert (queue.queued, queue.started, queue.dead) == (0, 0, 0)
    delivered = len({delivery.id for delivery in stage.receiver.log})
    assert delivered == queue.delivered


def test_choosing_by_purpose_holds_each_to_its_own(browser: Browser, stage: Stage) -> None:
    """A visitor who switches on statistics alone is counted from the page on which that was done, and no marketing host hears
    of it."""
    context = open_context(browser)
    page = context.new_page()
    page.goto(stage.site_url + "/")
    page.get_by_role("button", name="Instellingen").click()
    page.locator('input[name="purpose"][value="analytics"]').check()
    page.get_by_role("button", name="Keuze opslaan").click()
    expect(page.locator("#gw-status")).not_to_be_empty()
    page.goto(stage.site_url + "/diensten")
    page.wait_for_timeout(800)
    report = report_of(stage)
    assert report.consent.partly == 1
    assert report.totals.page_views == 2
    assert set(rows(report, "page")) == {"/", "/diensten"}
    assert {seen.host.partition(".")[0] for seen in stage.foreign.log} <= {"analytics"}
    assert stage.receiver.log == []
    context.close()
