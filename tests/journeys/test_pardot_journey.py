"""Account Engagement in a real browser: tracker, prospect and activities of somebody who agreed, and nothing after a no."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import Route as Asked
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from gateway import ConsentMiddleware, ledger
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import JOURNAL_FOLDER
from gateway.config import Config
from gateway.database import open_database
from gateway.demo.loopback import LOOPBACK, LoopbackServer
from gateway.destinations import build_destinations
from gateway.flows.deliver import Deliverer
from gateway.flows.drain import drain_once
from gateway.receivers.rehearsal import ACCOUNT, CAMPAIGN, CLIENT_ID, EXTENSION, SECRETS, UNIT, Rehearsal
from tests.destinations.rows import look
from tests.flows.test_deliver import settled, until
from tests.journeys.browsing import open_browser, open_context
from tests.web.gated_site import ready_config

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

EMAIL = "a.jansen@example.org"
POLICY = """
version = "1"
languages = ["nl"]
[controller]
name = "Voorbeeld Incasso"
[[purposes]]
id = "analytics"
title = { nl = "Statistiek" }
[[purposes]]
id = "marketing"
title = { nl = "Marketing" }
[[services]]
id = "pardot"
purpose = "marketing"
name = "Salesforce Account Engagement"
hosts = ["go.localhost"]
inline = ["piAId", "pdt("]
revoke = "pdt('revokeConsent')"
cookies = [{ name = "visitor_id*" }, { name = "pi_opt_in*" }, { name = "lpv*" }]
"""
# As Salesforce's own instructions have it, with the numbers of the page: 1000 more than the account's.
SNIPPET = """<script>
window.pdt = window.pdt || function () { (pdt.cq = pdt.cq || []).push(arguments) };
var s = document.createElement("script"); s.src = "//go.localhost:PORT/pdt.js"; document.head.appendChild(s);
pdt("create", ACCOUNT, CAMPAIGN, "go.localhost:PORT"); pdt("setOptIn", true); pdt("sendPageView");
</script>"""
OLD_SNIPPET = """<script>
piAId = "ACCOUNT"; piCId = "CAMPAIGN"; piHostname = "go.localhost:PORT";
var s = document.createElement("script"); s.src = "//go.localhost:PORT/pd.js"; document.head.appendChild(s);
</script>"""
# A static site has no server between its snippet and the browser: the page names what waits, and embeds our script.
STATIC_SNIPPET = """<script type="text/plain" data-gw-purpose="marketing">
pdt("create", ACCOUNT, CAMPAIGN, "go.localhost:PORT"); pdt("setOptIn", true); pdt("sendPageView");
</script><script>
window.pdt = window.pdt || function () { (pdt.cq = pdt.cq || []).push(arguments) };</script>
<script type="text/plain" data-gw-purpose="marketing" data-gw-src="//go.localhost:PORT/pdt.js"></script>
<script src="/_gw/gateway.js" defer></script>"""
STATIC_PATH = "/statisch/"
PAGE = """<!DOCTYPE html><html lang="nl"><head><meta charset="utf-8"><title>Voorbeeld Incasso</title></head><body>
<h1>Betalingsregeling</h1><form id="aanvraag"><label>E-mail <input name="email" type="email"></label>
<button>Brochure</button></form>TAGS<script>
document.getElementById("aanvraag").addEventListener("submit", (event) => {
  event.preventDefault();
  gateway.track("download", { document: "brochure.pdf" }, undefined, event.target.email.value);
  event.target.replaceWith("Gedownload.");
});</script></body></html>"""
DESTINATIONS = """
[[destinations]]
name = "pardot"
kind = "pardot"
url = "ORIGIN/pardot/api/v5"
secret = "env:PARDOT_CLIENT_SECRET"
purposes = ["marketing"]
events = ["download", "marketing.signal"]
include_email = true
allow_private = true
cookies = ["visitor_id519011"]
[destinations.options]
business_unit = "UNIT"
client_id = "CLIENT"
login_url = "ORIGIN/pardot"
account = 519011
extension = "EXTENSION"
activities = { download = "Download", "marketing.signal" = "Signal" }
[[destinations]]
name = "crm"
kind = "webhook"
url = "ORIGIN/hooks/crm"
secret = "env:CRM_WEBHOOK_SECRET"
purposes = ["marketing"]
events = ["page_view"]
allow_private = true
[destinations.options]
withdrawals = true
[[signals]]
name = "reads-articles"
purposes = ["marketing"]
path = "/artikelen/"
pages = 2
"""


# The gateway puts the tracker in itself, and the firm's debtors are nobody's business.
OWN_TRACKER = 'account = 519011\ncampaign = CAMPAIGN\ntracker = "go.localhost:PORT"\n'


@dataclass
class Firm:
    """The running site, the receivers, and what stands behind the gate."""

    url: str
    receivers: Rehearsal
    config: Config
    engine: Engine
    folder: Path
    called: list[str] = field(default_factory=list)

    def queue(self) -> None:
        """Journals into store and outbox, as the keeper does it."""
        store = DuckDBStore(self.folder / "events.duckdb")
        journals, config = self.config.data_folder / JOURNAL_FOLDER, self.config
        while drain_once(journals, store, self.engine, config.destinations, time.time(), config.signals).entries:
            pass
        store.close()

    def deliver(self) -> None:
        """What is queued goes out; in a thread, for the browser's own loop runs in this one."""
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: asyncio.run(self._deliver())).result()

    async def _deliver(self) -> None:
        ready = build_destinations(self.config.destinations, SECRETS, self.folder)
        scopes = {site.id: site.policy.scopes for site in self.config.sites}
        deliverer = Deliverer(
            self.engine, ready, scopes, owner="n", clock=time.time, chance=lambda: 0.5, subject_key=b"k" * 32
        )
        await deliverer.start()
        await until(lambda: settled(self.engine))
        await deliverer.stop(1)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


@pytest.fixture
def firm(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Firm]:
    """A firm that uses Account Engagement, behind the gate; with another snippet where a test says so, or with none: then the
    gateway puts the tracker in. Under STATIC_PATH nothing stands before the site's pages."""
    receivers = Rehearsal({})
    others = LoopbackServer(receivers.app())
    others.start()
    numbers = {"PORT": others.port, "ACCOUNT": ACCOUNT + 1000, "CAMPAIGN": CAMPAIGN + 1000}
    snippet: str = getattr(request, "param", SNIPPET)
    for word, number in numbers.items():
        snippet = snippet.replace(word, str(number))

    def page(_request: Request) -> HTMLResponse:
        return HTMLResponse(PAGE.replace("TAGS", snippet))

    names = {"ORIGIN": f"http://{LOOPBACK}:{others.port}", "UNIT": UNIT, "CLIENT": CLIENT_ID, "EXTENSION": EXTENSION}
    text = DESTINATIONS
    for word, value in names.items():
        text = text.replace(f'"{word}"', f'"{value}"').replace(f"{word}/", f"{value}/")
    if not snippet:
        own = OWN_TRACKER.replace("CAMPAIGN", str(CAMPAIGN)).replace("PORT", str(others.port))
        text = text.replace("account = 519011\n", own).replace(
            "allow_private", 'never_forward = ["/dossier/"]\nallow_private'
        )
    (tmp_path / "destinations.toml").write_text(text)
    config = ready_config(tmp_path, {"limits": {"reserve_bytes": 0, "posts_per_minute": 100_000}}, policy=POLICY)
    site = Starlette(routes=[Route("/{path:path}", page)])
    gate = ConsentMiddleware(site, config)

    async def split(scope: Any, receive: Any, send: Any) -> None:
        await (site if scope.get("path", "").startswith(STATIC_PATH) else gate)(scope, receive, send)

    server = LoopbackServer(split)
    server.start()
    engine = open_database(config.database_url)
    try:
        yield Firm(f"http://{LOOPBACK}:{server.port}", receivers, config, engine, tmp_path)
    finally:
        server.stop()
        others.stop()
        gate._close()
        engine.dispose()


def accept(page: Page) -> None:
    """Press the banner's button; done when the tracker that was held has run."""
    with page.expect_response(lambda answer: "/analytics" in answer.url):
        page.get_by_role("button", name="Alles accepteren").click()
    page.wait_for_load_state("networkidle")


def names_of(page: Page) -> set[str]:
    """The cookies of Account Engagement's that the browser holds."""
    return {one.get("name", "") for one in page.context.cookies() if one.get("name", "").startswith(("visitor", "pi_"))}


def test_prospect_activities_and_nothing_more_then_nothing_at_all(browser: Browser, firm: Firm) -> None:
    """Before a choice the tracker is held. After a yes two articles and a brochure make one prospect with its two activities;
    after the no the tracker is revoked, its cookies are gone, the queue is cancelled and both receivers are told."""
    receivers = firm.receivers
    context = open_context(browser)
    page = context.new_page()
    page.goto(f"{firm.url}/artikelen/een")
    page.wait_for_load_state("networkidle")
    assert receivers.log == []
    accept(page)
    page.goto(f"{firm.url}/artikelen/een")
    page.wait_for_load_state("networkidle")
    page.goto(f"{firm.url}/artikelen/twee")
    page.wait_for_load_state("networkidle")
    assert names_of(page) == {f"visitor_id{ACCOUNT}", f"visitor_id{ACCOUNT}-hash", f"pi_opt_in{ACCOUNT}"}
    assert {view["account_id"] for view in receivers.pages.views} == {str(ACCOUNT + 1000)}
    page.fill("input[name=email]", EMAIL)
    with page.expect_response(lambda answer: answer.url.endswith("/collect")):
        page.get_by_role("button", name="Brochure").click()
    expect(page.get_by_text("Gedownload.")).to_be_visible()
    firm.queue()
    firm.deliver()
    [prospect] = receivers.pardot.prospects
    assert prospect.fields == {"email": EMAIL}
    told = sorted((str(one["type"]), str(one["value"]), str(one["email"])) for one in receivers.pardot.activities)
    assert told == [("Download", "brochure.pdf", EMAIL), ("Signal", "reads-articles", EMAIL)]
    assert set(receivers.pardot.visitors.values()) == {prospect.id}
    assert [arrival for arrival in receivers.log if arrival.fault] == []
    withdraw(firm, page)


def withdraw(firm: Firm, page: Page) -> None:
    """One page more that waits in the queue; then the no, and what follows from it."""
    receivers = firm.receivers
    page.goto(f"{firm.url}/artikelen/drie")
    page.wait_for_load_state("networkidle")
    firm.queue()
    page.expose_function("tell", lambda what: firm.called.append(what))
    page.evaluate("() => { const was = window.pdt; window.pdt = (...all) => { tell(all[0]); was(...all) } }")
    views, prospects = len(receivers.pages.views), len(receivers.pardot.activities)
    with page.expect_navigation():
        page.evaluate("() => { gateway.consent.withdraw() }")
    page.wait_for_load_state("networkidle")
    assert firm.called == ["revokeConsent"]
    assert names_of(page) == set()
    page.goto(f"{firm.url}/artikelen/vier")
    page.wait_for_load_state("networkidle")
    firm.queue()
    waiting = {(row.destination, row.kind, row.state) for row in look(firm.engine) if row.state != "delivered"}
    assert waiting == {
        ("crm", "event", "cancelled"),
        ("crm", "withdrawal", "queued"),
        ("pardot", "withdrawal", "queued"),
    }
    firm.deliver()
    assert (len(receivers.pages.views), len(receivers.pardot.activities)) == (views, prospects)
    assert receivers.pardot.prospects[0].fields["optedOut"] is True
    receipts = [msgspec.json.decode(one.body) for one in ledger.entries(firm.engine) if one.kind == "passed_on"]
    assert sorted((one["destination"], one["answer"]) for one in receipts) == [
        ("crm", "accepted"),
        ("pardot", "accepted"),
    ]
    assert [arrival for arrival in receivers.log if arrival.fault] == []


@pytest.mark.parametrize("firm", [OLD_SNIPPET], indirect=True)
def test_the_older_tracker_ends_with_a_new_page(browser: Browser, firm: Firm) -> None:
    """pd.js knows no revoking: it is held, runs after a yes, and after the no its cookies are gone and no page has it."""
    views = firm.receivers.pages.views
    page = open_context(browser).new_page()
    page.goto(f"{firm.url}/artikelen/een")
    page.wait_for_load_state("networkidle")
    assert firm.receivers.log == []
    accept(page)
    page.goto(f"{firm.url}/artikelen/twee")
    page.wait_for_load_state("networkidle")
    assert views[-1]["url"].endswith("/artikelen/twee")
    assert f"visitor_id{ACCOUNT}" in names_of(page)
    before = len(views)
    with page.expect_navigation():
        page.evaluate("() => { gateway.consent.withdraw() }")
    page.goto(f"{firm.url}/artikelen/drie")
    page.wait_for_load_state("networkidle")
    assert (len(views), names_of(page)) == (before, set())


@pytest.mark.parametrize("firm", [""], indirect=True)
def test_an_account_without_the_newer_tracker_gets_the_older_one(browser: Browser, firm: Firm) -> None:
    """Where pdt.js does not come, pd.js takes its place, as the account's own numbers have it, on pages that may be told of
    alone; after the no its cookies are gone and no page has either. Taken back while pdt.js is waited for, neither comes."""
    views = firm.receivers.pages.views
    page = open_context(browser).new_page()
    page.route("**/pdt.js", lambda route: route.fulfill(status=404))
    page.goto(f"{firm.url}/artikelen/een#pi_email=chef@example.org")
    accept(page)
    assert [(view["account_id"], view["url"]) for view in views] == [(str(ACCOUNT + 1000), f"{firm.url}/artikelen/een")]
    assert f"visitor_id{ACCOUNT}" in names_of(page)
    page.goto(f"{firm.url}/dossier/8812")
    page.wait_for_load_state("networkidle")
    assert len(views) == 1
    waiting: list[Asked] = []
    page.route("**/pdt.js", lambda route: waiting.append(route), times=1)
    with page.expect_request("**/pdt.js"):
        page.goto(f"{firm.url}/artikelen/twee", wait_until="commit")
    page.evaluate("""() => {
      gateway.consent.has = () => false;  // as it is between the no and the new page
      const missing = ({ target }) => target.src?.endsWith("/pdt.js");
      window.failed = new Promise((done) =>
        document.addEventListener("error", (event) => missing(event) && setTimeout(done), true));
    }""")
    waiting[0].abort()
    page.evaluate("() => window.failed")
    assert [arrival.path for arrival in firm.receivers.log].count("/pd.js") == 1
    page.unroute("**/pdt.js")
    with page.expect_navigation():
        page.evaluate("() => { gateway.consent.withdraw() }")
    page.wait_for_load_state("networkidle")
    assert (len(views), names_of(page)) == (1, set())
    assert [arrival.note for arrival in firm.receivers.log if arrival.fault] == []


@pytest.mark.parametrize("firm", [""], indirect=True)
def test_the_tracker_never_hears_of_a_debtor(browser: Browser, firm: Firm) -> None:
    """Neither of a page that it is never to be told of, in any spelling, nor of the next one, which would name it as where the
    visitor came from; of the page after that it is told as ever."""
    views = firm.receivers.pages.views
    page = open_context(browser).new_page()
    page.goto(f"{firm.url}/artikelen/een")
    accept(page)
    for path in ("/dossier/8812", "/Dossier", "//%64ossier/8812"):
        page.goto(firm.url + path)
        page.wait_for_load_state("networkidle")
        page.evaluate("() => { const link = document.createElement('a'); link.href = '/artikelen/twee'; "
                      "document.body.append(link); link.click() }")  # fmt: skip
        page.wait_for_url("**/artikelen/twee")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.referrer.toLowerCase()") != ""
    assert [view["url"] for view in views] == [f"{firm.url}/artikelen/een"]
    page.goto(f"{firm.url}/artikelen/drie")
    page.wait_for_load_state("networkidle")
    assert [view["url"] for view in views[1:]] == [f"{firm.url}/artikelen/drie"]
    assert "ossier" not in str(firm.receivers.log)


NAMING = ("#pi_email=chef@example.org", "#a?x=1&PI_EM=1", "?x=1&xpi_list_email=1#a")


@pytest.mark.parametrize("firm", [SNIPPET, OLD_SNIPPET, "", STATIC_SNIPPET], indirect=True)
def test_no_address_binds_a_visitor_to_somebody_else(
    browser: Browser, firm: Firm, request: pytest.FixtureRequest
) -> None:
    """Whoever puts the tracker into the page, what an address says of who somebody is has gone before it is read: behind a "#",
    where no server sees it, and on a static site, where no server of ours looks; also for who agreed long ago."""
    is_static = "text/plain" in request.node.callspec.params["firm"]
    base = firm.url + (STATIC_PATH if is_static else "/artikelen/")
    page = open_context(browser).new_page()
    page.goto(base + "een")
    accept(page)
    for number, naming in enumerate(NAMING):
        with page.expect_response(lambda answer: "/analytics" in answer.url):
            page.goto(f"{base}{number}{naming}")
        page.wait_for_load_state("networkidle")
    told = [view["url"].removeprefix(base) for view in firm.receivers.pages.views[1:]]
    assert told == ["0", "1", "2?x=1#a"]
    assert [arrival.note for arrival in firm.receivers.log if arrival.fault] == []
