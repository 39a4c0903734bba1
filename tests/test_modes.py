"""Every cell of the table in docs/modes.md: what holds in which way of running, shown on real servers on loopback.

A cell is claimed by the test that shows it, with the very words of the documentation: one that changes, appears or goes
without its test fails here. A "no" is shown too.
"""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_FSIZE, prlimit
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from gateway import ledger
from gateway.analytics.results import Report
from gateway.database import open_database
from tests.journeys.browsing import open_browser, open_context
from tests.journeys.mode_site import COOKIES, NECESSARY, OPTIONAL
from tests.journeys.mode_visitor import AGENT, ALL, CONSENT, VISIT, ModeVisitor
from tests.journeys.mode_worlds import DOCS, KINDS, World, open_world

REFUSE, ACCEPT = "Alles weigeren", "Alles accepteren"
CONTENT_POLICY = "content-security-policy"
LISTED = {NECESSARY, *OPTIONAL}
CELLS: dict[tuple[str, str], str] = {}
Test = Callable[..., None]


def views_of(report: Report) -> int:
    """The page views counted: nothing is withheld where no filter is asked."""
    assert report.totals.page_views is not None
    return report.totals.page_views


def cell(row: str, **says: str) -> Callable[[Test], Test]:
    """Claim cells of a row by column (`stand_alone` for stand-alone), with their words; the test runs in each world."""
    columns = {name.replace("_", "-"): words for name, words in says.items()}
    kinds = [kind for name in columns for kind in KINDS[name]]

    def claim(test: Test) -> Test:
        for column, words in columns.items():
            assert (row, column) not in CELLS, f"{row}, {column} is claimed twice"
            CELLS[row, column] = words
        marked = pytest.mark.parametrize("world", kinds, indirect=True, scope="module")(pytest.mark.slow(test))
        return pytest.mark.timeout(180)(marked)

    return claim


def documented_cells() -> dict[tuple[str, str], str]:
    """The table of docs/modes.md: (row, column) to the cell's words. A row is called by its number or its words."""
    lines = [line for line in DOCS.read_text("utf-8").splitlines() if line.startswith("|")]
    rows = [[part.strip() for part in line.strip("|").split("|")] for line in lines]
    columns = [re.sub(r"\*\*(.+?)\*\*.*", r"\1", name) for name in rows[0][1:]]
    found: dict[tuple[str, str], str] = {}
    for row in rows[2:]:
        name = re.sub(r"^(\d\w?)\. .*", r"\1", row[0])
        found |= {(name, column): words for column, words in zip(columns, row[1:], strict=True)}
    return found


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One running way, shared by the tests that leave it whole."""
    with open_world(request.param, tmp_path_factory.mktemp(request.param) / "world") as opened:
        yield opened


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


@cell("1d", middleware="yes", proxy="yes")
def test_a_content_policy_follows_the_choice(world: World) -> None:
    """Before a choice no optional host stands in the policy that a page comes with; after a yes those of the services do."""
    visitor = ModeVisitor(world)
    assert "video.localhost" not in visitor.open().headers[CONTENT_POLICY]
    visitor.choose("accept_all")
    assert "video.localhost:*" in visitor.open().headers[CONTENT_POLICY]


@cell("1d", cache_safe="those that the policy file names, whatever was chosen")
def test_a_page_for_everybody_has_one_content_policy(world: World) -> None:
    """The policy is the same before and after a choice, and names every declared host."""
    visitor = ModeVisitor(world)
    before = visitor.open().headers[CONTENT_POLICY]
    visitor.choose("accept_all")
    assert visitor.open().headers[CONTENT_POLICY] == before
    assert "video.localhost:*" in before


@cell("1d", stand_alone="no")
def test_a_page_that_does_not_pass_us_has_no_content_policy(world: World) -> None:
    """The site's server answers without us."""
    assert CONTENT_POLICY not in ModeVisitor(world).open().headers


def test_every_cell_is_claimed_with_its_words() -> None:
    """The table in the documentation says what the tests show, cell by cell and word by word."""
    assert documented_cells() == CELLS


@cell("1a", middleware="yes", proxy="yes")
def test_refused_cookies_never_leave_the_server(world: World) -> None:
    """Before a choice and after a refusal only the necessary cookie passes; after a yes what the policy names does, and
    what it does not name never."""
    visitor = ModeVisitor(world)
    assert visitor.open().cookies == {NECESSARY}
    assert visitor.choose("reject_all").cookies == {CONSENT}
    assert visitor.open().cookies == {NECESSARY}
    visitor.choose("accept_all")
    assert visitor.open().cookies == {*LISTED, VISIT}
    visitor.choose("reject_all")
    assert set(visitor.cookies) == {NECESSARY, CONSENT}
    assert visitor.open().cookies == {NECESSARY}


@cell("1a", cache_safe="yes; a page that is opened sets none after yes either")
def test_no_page_for_all_sets_a_visitor_s_cookie(world: World) -> None:
    """Whatever was chosen, opening a page sets the necessary cookie alone; withdrawing takes our own away."""
    visitor = ModeVisitor(world)
    assert visitor.open().cookies == {NECESSARY}
    assert visitor.choose("accept_all").cookies == {CONSENT}
    assert visitor.open().cookies == {NECESSARY}
    assert visitor.choose("reject_all").cookies == {CONSENT}
    assert visitor.open().cookies == {NECESSARY}


@cell("1a", stand_alone="no: the site's server answers without passing us; only what our own addresses set")
def test_the_sites_own_server_sets_what_it_likes(world: World) -> None:
    """A static site's cookies arrive whatever was chosen; the gateway's own addresses set none but its own."""
    visitor = ModeVisitor(world)
    assert visitor.open().cookies == set(COOKIES)
    for path in ("/_gw/state", "/_gw/banner", "/_gw/preferences", "/_gw/gateway.js"):
        assert visitor.open(path).cookies == set()
    assert visitor.choose("reject_all").cookies == {CONSENT}
    assert visitor.open().cookies == set(COOKIES)


@pytest.mark.browser
@cell("1b", middleware="yes", proxy="yes", cache_safe="yes")
def test_no_third_party_hears_of_a_visitor_before_yes(world: World, browser: Browser) -> None:
    """In a real browser no foreign host is contacted before the choice; after yes those of the policy are, at once."""
    held = ModeVisitor(world).open()
    assert held.contacts == set()
    context = open_context(browser)
    page = context.new_page()
    world.foreign.log.clear()
    page.goto(world.url)
    page.wait_for_timeout(800)
    assert contacted(world) == set()
    page.get_by_role("button", name=ACCEPT).click()
    wait_until(lambda: contacted(world) == {"analytics", "pixel", "video"})
    context.close()


@pytest.mark.browser
@cell("1b", stand_alone='only tags marked `data-gw-src` / `type="text/plain" data-gw-purpose`')
def test_only_marked_tags_are_held_on_a_static_site(world: World, browser: Browser) -> None:
    """Marked tags contact nobody until their purpose is granted; tags that nobody marked load as ever."""
    context = open_context(browser)
    page = context.new_page()
    world.foreign.log.clear()
    page.goto(world.url)
    expect(page.get_by_role("button", name=ACCEPT)).to_be_visible()
    page.wait_for_timeout(500)
    assert contacted(world) == set()
    page.get_by_role("button", name=ACCEPT).click()
    wait_until(lambda: contacted(world) == {"analytics", "pixel"})
    context.close()
    world.foreign.log.clear()
    careless = open_context(browser)
    careless.new_page().goto(world.url + "/careless")
    wait_until(lambda: contacted(world) == {"analytics", "pixel", "video", "chat"})
    careless.close()


@cell("1c", middleware="yes", proxy="yes", cache_safe="yes", stand_alone="yes")
def test_nothing_is_counted_before_yes(world: World) -> None:
    """Of the undecided and of refusers neither views nor reports are counted, whatever they send; accepters are."""
    before = world.settled_report()
    visitor = ModeVisitor(world)
    for _ in range(2):
        visitor.open()
        assert visitor.report().status == 403
        assert visitor.report("event", name="download").status == 403
        visitor.choose("reject_all")
    refused = world.settled_report()
    assert (refused.totals, refused.breakdowns) == (before.totals, before.breakdowns)
    dropped = {row.name: row.count for row in refused.dropped if row.kind == "dropped"}
    assert dropped["no_consent"] >= 4
    visitor.choose("accept_all")
    visitor.look()
    assert views_of(world.report()) == views_of(before) + 1


@cell("2", middleware="yes", proxy="yes", cache_safe="yes", stand_alone="yes")
def test_only_a_cookie_that_we_signed_grants_anything(world: World) -> None:
    """A forged, cut or withdrawn cookie grants nothing, nor does anything else a client sends; the signed one does."""
    visitor = ModeVisitor(world)
    visitor.choose("accept_all")
    assert visitor.granted() == ALL
    signed = visitor.cookies[CONSENT]
    content, _, signature = signed.rpartition(".")
    for forged in (content, f"{content}.{signature[:-4]}AAAA", f"{content[:-2]}.{signature}", "accepted", ""):
        forger = ModeVisitor(world)
        forger.cookies = {CONSENT: forged}
        assert forger.granted() == []
        assert forger.report(granted=ALL).status == 403
        assert forger.open(f"/?granted={','.join(ALL)}").contacts == set()
    visitor.choose("reject_all")
    visitor.cookies[CONSENT] = signed
    assert visitor.granted() == []
    assert visitor.report().status == 403


@cell("3", middleware="yes", proxy="yes", cache_safe="yes", stand_alone="yes")
def test_nothing_is_delivered_after_a_withdrawal(world: World) -> None:
    """What waits when consent is withdrawn is cancelled and never sent; later views are not told, earlier ones were."""
    visitor = ModeVisitor(world)
    visitor.choose("accept_all")
    before = len(world.receiver.log)
    visitor.look("/contact")
    wait_until(lambda: len(world.receiver.log) == before + 1)
    queue = world.report().destinations[0]
    world.receiver.closed = True
    visitor.look("/contact")
    wait_until(lambda: world.report().destinations[0].last_error == "http_503")
    visitor.choose("reject_all")
    visitor.look("/contact")
    world.receiver.closed = False
    time.sleep(1)
    after = world.report().destinations[0]
    assert (after.queued, after.started) == (0, 0)
    assert (after.delivered, after.cancelled) == (queue.delivered, queue.cancelled + 1)
    assert len(world.receiver.log) == before + 1


@cell("5", middleware="yes", proxy="yes", cache_safe="yes", stand_alone="yes")
def test_what_is_kept_holds_no_address_agent_or_secret(world: World) -> None:
    """Neither address nor agent nor what a path or property says of a person is in any file, log or delivery."""
    secrets = ["127.77.88.99", "Kenmerk/7.31", "987654321", "jan.jansen@voorbeeld.example", "tokentokentoken"]
    visitor = ModeVisitor(world, address=secrets[0], agent=f"{AGENT} {secrets[1]}")
    visitor.open(f"/dossier/{secrets[2]}")
    visitor.choose("accept_all")
    visitor.look(f"/dossier/{secrets[2]}/{secrets[3]}?sleutel={secrets[4]}")
    assert visitor.report("event", name="download", props={"wie": secrets[3]}).status == 202
    before = world.settled_report()
    assert "/dossier/:id/:id" in {row.name for row in before.breakdowns["page"]}
    assert world.receiver.log
    told = json.dumps([delivery.data for delivery in world.receiver.log]).encode()
    kept = {**read_files(Path(world.config.folder)), "told": told}
    assert {"gateway.db", "events.duckdb", "gateway.log"} <= set(kept)
    found = [(name, secret) for name, text in kept.items() for secret in secrets if secret.encode() in text]
    assert found == []


@pytest.mark.browser
@cell("Works without JavaScript", middleware="yes", proxy="yes")
def test_choosing_and_counting_work_without_scripts(world: World, browser: Browser) -> None:
    """With JavaScript off the banner is there, the choice is taken, and page views are counted."""
    before = views_of(world.report())
    context = open_context(browser, scripts=False)
    page = context.new_page()
    page.goto(world.url)
    page.get_by_role("button", name=ACCEPT).click()
    expect(page.get_by_role("button", name=ACCEPT)).to_have_count(0)
    page.goto(world.url + "/contact")
    names = {str(cookie.get("name")) for cookie in context.cookies(world.url)}
    assert names == {*LISTED, CONSENT, VISIT}
    assert views_of(world.report()) == before + 2
    context.close()


@pytest.mark.browser
@cell(
    "Works without JavaScript", cache_safe="the choice alone, by a link: banner, held tags and counting need the script"
)
def test_without_scripts_a_page_for_all_leads_to_the_choice(world: World, browser: Browser) -> None:
    """With JavaScript off there is no banner; a plain link leads to the choice and back, tags stay held, nothing is counted."""
    before = views_of(world.report())
    world.foreign.log.clear()
    context = open_context(browser, scripts=False)
    page = context.new_page()
    page.goto(world.url + "/contact")
    expect(page.locator("#gw-banner")).to_have_count(0)
    page.locator("#gw-settings").click()
    page.get_by_role("button", name=ACCEPT).click()
    page.goto(world.url + "/contact")
    assert CONSENT in {str(cookie.get("name")) for cookie in context.cookies(world.url)}
    assert (contacted(world), views_of(world.report())) == (set(), before)
    context.close()


@pytest.mark.browser
@cell("Works without JavaScript", stand_alone="no: banner and counting need the script")
def test_a_static_site_asks_nobody_without_scripts(world: World, browser: Browser) -> None:
    """With JavaScript off a static site shows no banner, counts nothing and keeps marked tags held; a link to the
    preferences page still takes a choice."""
    before = views_of(world.report())
    world.foreign.log.clear()
    context = open_context(browser, scripts=False)
    page = context.new_page()
    page.goto(world.url)
    expect(page.get_by_role("heading")).to_have_text("Voorbeeld Incasso")
    expect(page.get_by_role("button")).to_have_count(0)
    page.goto(world.url + "/_gw/preferences?return_to=/contact")
    page.get_by_role("button", name=ACCEPT).click()
    assert page.url == world.url + "/contact"
    assert CONSENT in {str(cookie.get("name")) for cookie in context.cookies(world.url)}
    assert (contacted(world), views_of(world.report())) == (set(), before)
    context.close()


@cell("Page views counted by the server", middleware="yes", proxy="yes")
def test_opening_a_page_is_enough_to_be_counted(world: World) -> None:
    """A page that an accepter opens is counted with its topic though no script has run."""
    visitor = ModeVisitor(world)
    visitor.choose("accept_all")
    before = views_of(world.report())
    visitor.open("/contact")
    after = world.report()
    assert views_of(after) == before + 1
    assert "Proef" in {row.name for row in after.breakdowns["topic"]}


@cell("Page views counted by the server", cache_safe="no: by the script", stand_alone="no: by the script")
def test_a_static_page_is_counted_by_its_script(world: World) -> None:
    """A static page that is opened counts nothing; its script's report does."""
    visitor = ModeVisitor(world)
    visitor.choose("accept_all")
    before = views_of(world.report())
    visitor.open("/contact")
    assert views_of(world.report()) == before
    assert visitor.report(url="/contact").status == 202
    assert views_of(world.report()) == before + 1


ONE_COPY = "A shared cache may serve one copy of a page to everybody"


@cell(ONE_COPY, middleware="no: it is told not to", proxy="no: it is told not to")
def test_a_page_is_one_visitor_s(world: World) -> None:
    """Two visitors get pages of their own, which no shared cache may keep."""
    first, second = ModeVisitor(world).open(), ModeVisitor(world).open()
    assert first.text != second.text
    assert {got.headers["cache-control"] for got in (first, second)} == {"private, no-cache"}


@cell(ONE_COPY, cache_safe="yes", stand_alone="yes: the site's own")
def test_a_page_is_the_same_for_all(world: World) -> None:
    """An accepter, a refuser and a newcomer get the same bytes, and nothing is said against keeping them."""
    accepter, refuser = ModeVisitor(world), ModeVisitor(world)
    accepter.choose("accept_all")
    refuser.choose("reject_all")
    got = [visitor.open("/contact") for visitor in (accepter, refuser, ModeVisitor(world))]
    assert len({one.text for one in got}) == 1
    assert {one.headers["cache-control"] for one in got} == {None}


@cell("4", middleware="yes", proxy="yes", cache_safe="yes", stand_alone="yes")
def test_what_was_acknowledged_survives_a_kill(world: World) -> None:
    """Events answered with 202 and a choice answered with a redirect are there after `kill -9` of everything."""
    before = world.report()
    visitor = ModeVisitor(world)
    assert visitor.choose("accept_all").status == 303
    assert [visitor.report("event", name="proef").status for _ in range(20)] == [202] * 20
    world.kill_all()
    after = world.report()
    assert after.totals.events == (before.totals.events or 0) + 20
    assert after.consent.accepted == before.consent.accepted + 1
    assert ledger.verify(open_database(world.config.database_url)) > 0
    world.start_again()


@cell("6", middleware="yes", cache_safe="yes")
def test_pages_are_served_when_parts_of_the_gateway_fail(world: World) -> None:
    """When nothing can be written and the keeper is dead, pages come as ever, without anything optional for those who
    have not said yes; what cannot be taken is refused, and not pretended."""
    assert_pages_survive_faults(world)


@cell("6", proxy="yes (a proxy that is gone cannot answer)")
def test_a_proxy_serves_on_until_it_is_gone_itself(world: World) -> None:
    """The same for the proxy; only when its own process is gone is there no answer."""
    assert_pages_survive_faults(world)
    world.front.process.kill()
    world.front.process.wait(10)
    with pytest.raises(ConnectionRefusedError):
        ModeVisitor(world).open()


@pytest.mark.browser
@cell("6", stand_alone="yes: the site does not pass through us")
def test_a_static_site_needs_no_gateway(world: World, browser: Browser) -> None:
    """With the gateway gone, a static site is served and works, and its marked tags stay held."""
    world.kill_all()
    world.foreign.log.clear()
    context = open_context(browser)
    page = context.new_page()
    answer = page.goto(world.url)
    assert answer is not None
    assert answer.status == 200
    page.get_by_role("link", name="Contact").click()
    assert page.url == world.url + "/contact"
    page.wait_for_timeout(500)
    assert contacted(world) == set()
    context.close()


def assert_pages_survive_faults(world: World) -> None:
    """Take from the gateway's process every way to write a file, and kill its keeper; then look around."""
    accepter, newcomer = ModeVisitor(world), ModeVisitor(world)
    accepter.choose("accept_all")
    process = world.front.process.pid
    prlimit(process, RLIMIT_FSIZE, (0, RLIM_INFINITY))
    os.kill(world.keeper(), signal.SIGKILL)
    try:
        for _ in range(2):
            held, released = newcomer.open(), accepter.open()
            assert (held.status, held.contacts, held.cookies) == (200, set(), {NECESSARY})
            assert (released.status, "Voorbeeld Incasso" in released.text) == (200, True)
        refused = newcomer.choose("accept_all")
        assert (refused.status, refused.cookies) == (503, set())
        lost = accepter.report("event", name="download")
        assert (lost.status, lost.headers["retry-after"]) == (503, "30")
    finally:
        prlimit(process, RLIMIT_FSIZE, (RLIM_INFINITY, RLIM_INFINITY))


def read_files(folder: Path) -> dict[str, bytes]:
    """Every file of the gateway by name, journals, database and log included; those of the site's own nginx are not."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("nginx."):
            with suppress(FileNotFoundError):  # the keeper removes journals that it has read
                found[path.name] = path.read_bytes()
    return found


def contacted(world: World) -> set[str]:
    """First names of the foreign hosts that were asked for anything."""
    return {seen.host.partition(".")[0] for seen in world.foreign.log}


def wait_until(condition: Callable[[], Any], seconds: float = 10) -> None:
    """Wait for something that happens by itself."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "did not happen in time"
        time.sleep(0.1)
