"""The exempt page counter: a page and a day, plus one; nobody who refused, nothing of anybody, and no word of it unsaid."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import JOURNAL_FOLDER
from gateway.analytics.query import parse_query
from gateway.database import open_database
from gateway.errors import ConfigError
from gateway.event import Counted
from gateway.flows.count_page import find_noon
from gateway.flows.drain import drain_once
from gateway.flows.report import ReportParts, report
from gateway.settings import AnalyticsConfig
from tests.example_site import POLICY_TOML, read_policy, write_site
from tests.flows.worker_parts import read_counts, read_entries
from tests.web.gated_site import Answer, Browser, Pages, visiting

REASON = "Our counsel found it exempt."
COUNTER = f'[page_counter]\nreason = "{REASON}"\nexcluded_paths = ["/hulp/"]\n'
POLICY = POLICY_TOML + COUNTER
GPC = {"sec-gpc": "1"}
KEY = "q8Zt3vLr5XwNc1HsJd7Gb4Kf9Mp2Ty6Ra0Ue"


def counted(folder: Path, kind: str = "page") -> dict[str, int]:
    """The page counter's numbers in the journals."""
    return {name: number for (found, name, _), number in read_counts(folder / "data").items() if found == kind}


def test_a_page_is_one_more_for_its_day(tmp_path: Path) -> None:
    """Whole or streamed, masked as ever, under noon of the site's day, and with nothing beside it: no cookie, no event."""
    pages = Pages({"/lang": Answer([b"<!doctype html><p>" + b"a" * 5000, b"b</p>"])})
    with visiting(tmp_path, pages, policy=POLICY) as browser:
        answers = [browser.get(path) for path in ("/", "/dossier/1234567?naam=jan", "/dossier/7654321", "/lang")]
    assert counted(tmp_path) == {"/": 1, "/dossier/:id": 2, "/lang": 1}
    assert counted(tmp_path, "page_with_consent") == {}
    assert ["set-cookie" in answer.headers for answer in answers] == [False] * 4
    entries = [entry for entry in read_entries(tmp_path / "data") if isinstance(entry, Counted)]
    days = [entry.hour for entry in entries for row in entry.rows if row[0] == "page"]
    assert {hour % 86_400 // 3600 for hour in days} <= {10, 11}  # noon in Amsterdam
    assert [row for entry in entries for row in entry.rows if row[0] == "page" and row[2]] == []


def refuse(browser: Browser) -> Any:
    return browser.choose("reject_all")


def refuse_statistics(browser: Browser) -> Any:
    return browser.choose("save", "marketing")


def withdraw(browser: Browser) -> Any:
    browser.choose("accept_all")
    return browser.choose("reject_all")


def withdraw_elsewhere(browser: Browser) -> Any:
    """The cookie is from before a withdrawal."""
    browser.choose("accept_all")
    before = dict(browser.cookies)
    browser.choose("reject_all")
    browser.carry(before)


def carry_nonsense(browser: Browser) -> Any:
    browser.carry({"__Host-gw_consent": "of keys that are gone"})


def refuse_to_another_tool(browser: Browser) -> Any:
    browser.carry({"cookieconsent_status": "deny"})
    assert 'id="gw-banner"' not in browser.get("/").text


@pytest.mark.parametrize(
    "say", [refuse, refuse_statistics, withdraw, withdraw_elsewhere, carry_nonsense, refuse_to_another_tool]
)
def test_who_said_no_is_not_counted(tmp_path: Path, say: Callable[[Browser], Any]) -> None:
    """A refusal, of statistics alone too, a withdrawal, to another tool, or a choice that nobody can read any more."""
    with visiting(tmp_path, policy=POLICY) as browser:
        say(browser)
        browser.get("/")
    assert counted(tmp_path) == {}


def test_an_old_refusal_still_stops_it(tmp_path: Path) -> None:
    """Who refused before the policy asked for more is asked again, and not counted meanwhile."""
    with visiting(tmp_path / "before", None, {"keys": [KEY]}, policy=POLICY) as browser:
        refuse(browser)
        kept = dict(browser.cookies)
    changed = POLICY.replace('name = "Teller"', 'name = "Teller"\nprovider = "Somebody else"')
    with visiting(tmp_path / "now", None, {"keys": [KEY]}, policy=changed) as browser:
        browser.carry(kept)
        assert 'id="gw-banner"' in browser.get("/").text
    assert counted(tmp_path / "now") == {}


@pytest.mark.parametrize(
    ("headers", "path", "settings"),
    [
        (GPC, "/", {}),
        ({"dnt": "1"}, "/", {"sites": [{"signals": ["dnt"]}]}),
        ({"user-agent": "Googlebot/2.1 (+http://www.google.com/bot.html)"}, "/", {}),
        ({"sec-purpose": "prefetch"}, "/", {}),
        ({"sec-fetch-dest": "iframe"}, "/", {}),
        ({}, "/hulp/nu", {}),
        ({}, "/beheer/", {"analytics": {"excluded_paths": ["/beheer/"]}}),
        ({}, "/weg", {}),
        ({}, "/", {"mode": "observe"}),
    ],
)
def test_what_is_no_page_for_people_is_not_counted(
    tmp_path: Path, headers: dict[str, str], path: str, settings: dict[str, Any]
) -> None:
    """Signals, bots, prefetches, frames, excluded paths, pages that do not exist, and a site that is only observed."""
    with visiting(tmp_path, Pages({"/weg": Answer(status=404)}), settings, policy=POLICY) as browser:
        browser.get(path, headers=headers)
        browser.post(path)
        browser.head(path)
    assert counted(tmp_path) == {}


def test_with_consent_it_counts_what_is_counted_anyway(tmp_path: Path) -> None:
    """A view with consent is in both numbers; what is dropped of it, and who sends the signal nevertheless, in neither."""
    with visiting(tmp_path, policy=POLICY) as browser:
        browser.get("/")
        browser.choose("accept_all")
        browser.get("/contact")
        browser.get("/contact", headers=GPC)
        browser.get("/contact", headers={"sec-purpose": "prefetch"})
    assert counted(tmp_path) == {"/": 1, "/contact": 1}
    assert counted(tmp_path, "page_with_consent") == {"": 1}


def test_the_report_tells_it_apart(tmp_path: Path) -> None:
    """All that were opened, the share with consent, and each page that was opened often enough."""
    with visiting(tmp_path, policy=POLICY) as browser:
        for path in ("/", "/", "/", "/zelden"):
            browser.get(path)
        browser.choose("accept_all")
        browser.get("/")
    store = DuckDBStore(tmp_path / "events.duckdb")
    engine = open_database(f"sqlite:///{tmp_path / 'data' / 'gateway.db'}")
    try:
        drain_once(tmp_path / "data" / JOURNAL_FOLDER, store, engine, (), 0)
        query = parse_query({"period": "today"}, {"main": "Europe/Amsterdam"}, datetime.now(UTC))
        found = report(query, ReportParts(store, engine, (), AnalyticsConfig(min_visitors=2)))
    finally:
        store.close()
        engine.dispose()
    assert found.pages is not None
    assert (found.pages.total, found.pages.with_consent, found.pages.rate, found.pages.others) == (5, 1, 0.2, 1)
    assert [(page.name, page.count) for page in found.pages.pages] == [("/", 4)]
    assert found.totals.page_views in (None, 1, 0)


def test_visitors_are_told(tmp_path: Path) -> None:
    """Banner, settings, declaration and its data say it, and nothing of it where there is no counter; the wording's hash
    changes, the scopes do not."""
    with visiting(tmp_path / "on", policy=POLICY) as browser:
        banner = browser.get("/", headers={"accept-language": "nl"}).text
        assert "hoe vaak elke pagina per dag wordt geopend" in banner
        for page in ("preferences?lang=nl", "cookies?lang=nl"):
            assert "Pagina&#39;s tellen" in browser.get(f"/_gw/{page}", headers={"accept-language": "nl"}).text
        assert browser.get("/_gw/cookies?format=json").json()["counts_pages"] is True
    with visiting(tmp_path / "off") as browser:
        assert "per dag wordt geopend" not in browser.get("/", headers={"accept-language": "nl"}).text
        assert browser.get("/_gw/cookies?format=json").json()["counts_pages"] is False
    plain, counting = read_policy(), read_policy(POLICY)
    assert plain.wording != counting.wording and plain.scopes == counting.scopes
    assert read_policy(POLICY.replace(REASON, "Another reason, said here.")).wording == counting.wording


def test_it_needs_a_reason_and_pages_that_are_seen(tmp_path: Path) -> None:
    """Without a reason nothing starts, nor with pages that a cache hands out."""
    with pytest.raises(ConfigError, match=r"page_counter\.reason"):
        read_policy(POLICY.replace(REASON, "yes!"))
    with pytest.raises(ConfigError, match="cache_safe"):
        write_site(tmp_path, {"sites": [{"cache_safe": True}]}, policy=POLICY)


@pytest.mark.parametrize("timezone", ["Europe/Amsterdam", "Asia/Kathmandu", "Pacific/Kiritimati", "America/St_Johns"])
def test_noon_is_of_the_local_day(timezone: str) -> None:
    """The hour that stands for a day lies in that day, whatever the zone, also where clocks change."""
    zone = ZoneInfo(timezone)
    for moment in (datetime(2026, 10, 25, 0, 5), datetime(2026, 10, 25, 23, 55), datetime(2026, 3, 29, 3, 5)):
        at = moment.replace(tzinfo=zone)
        noon = find_noon(timezone, int(at.timestamp()) // 900)
        hour = datetime.fromtimestamp(noon // 3600 * 3600, zone)
        assert (hour.date(), hour.hour in (11, 12)) == (at.date(), True)
