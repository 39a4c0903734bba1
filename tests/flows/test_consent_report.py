"""The report on consent, from real parts: what was chosen comes from the ledger, how often was asked from counters."""

import csv
import io
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine

from gateway import ledger
from gateway.analytics.consent_results import ConsentReport, ConsentRow, PurposeRow, build_row, consent_lines
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.query import Query
from gateway.analytics.store import Batch
from gateway.config import Config
from gateway.database import transaction
from gateway.event import Counted
from gateway.flows.choose import ALLOW, Said, choose
from gateway.flows.consent_report import consent_report
from gateway.flows.report import ReportParts, report
from gateway.settings import AnalyticsConfig
from gateway.web.report_api import build_consent_csv
from tests.analytics.entries import ZONE, local
from tests.example_site import write_site

WEEK = Query("main", date(2026, 10, 19), date(2026, 10, 25), ZONE)  # summer time ends on its Sunday
MONDAY = local("2026-10-19 14:10")
SUNDAY = local("2026-10-25 23:30")
EVERYBODY = AnalyticsConfig(min_visitors=1)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The example site."""
    return write_site(tmp_path / "site", {"limits": {"reserve_bytes": 0}})


@pytest.fixture
def parts(engine: Engine, tmp_path: Path) -> Iterator[ReportParts]:
    """An empty store and database."""
    store = DuckDBStore(tmp_path / "events.duckdb")
    yield ReportParts(store, engine, (), EVERYBODY)
    store.close()


def press(parts: ReportParts, config: Config, button: str, *purposes: str, at: float, language: str = "nl") -> None:
    """Somebody chooses for the first time."""
    said = Said(button, frozenset(purposes), language, "banner")
    choose(said, None, config.sites[0], config, parts.engine, at)


def count(parts: ReportParts, at: float, *rows: tuple[str, str, str, int]) -> None:
    """Counters of an hour."""
    parts.store.add(Batch(f"segment-{at}", 1, [Counted("main", int(at) // 3600 * 3600, list(rows))]))


def test_choices_are_told_apart_by_purpose_language_and_day(parts: ReportParts, config: Config) -> None:
    """Each choice is in the whole, in its language and on its local day; each purpose has the answers it was given."""
    press(parts, config, "accept_all", at=MONDAY)
    press(parts, config, "save", "analytics", at=MONDAY + 60)
    press(parts, config, "reject_all", at=MONDAY + 120, language="en")
    press(parts, config, "reject_all", at=SUNDAY)
    press(parts, config, "accept_all", at=SUNDAY + 3600)  # the next day
    found = consent_report(WEEK, parts)
    assert found.total == ConsentRow("", 0, 4, 1, 1, 2, 0, 0.5, 0.5)
    assert (found.answered, found.changed, found.answer_rate) == (4, 0, None)
    assert found.purposes == [
        PurposeRow("analytics", 4, 2, 2, 0, 0.5),
        PurposeRow("marketing", 4, 1, 3, 0, 0.25),
    ]
    assert [(row.name, row.chose, row.refused) for row in found.languages] == [("nl", 3, 1), ("en", 1, 1)]
    assert [(day.name[8:], day.chose) for day in found.days if day.chose] == [("19", 3), ("25", 1)]
    assert len(found.days) == 7


def test_a_change_of_mind_is_no_answer_to_the_banner(parts: ReportParts, config: Config) -> None:
    """Who changes or takes back an earlier answer, or lets one service load, is not counted as an answer again; a complete
    withdrawal is no choice in the rates."""
    site = config.sites[0]
    bodies: list[dict[str, object]] = [
        {"choice": "accept_all", "outcome": "accepted", "granted": ["analytics", "marketing"], "again": False},
        {"choice": "save", "outcome": "partly", "granted": ["analytics"], "withdrawn": ["marketing"], "again": True},
        {
            "choice": "reject_all",
            "outcome": "withdrawn",
            "refused": ["analytics"],
            "withdrawn": ["analytics"],
            "again": True,
        },
        {"choice": ALLOW, "outcome": "partly", "again": False},
        {"choice": "reject_all", "outcome": "refused", "refused": ["analytics", "marketing"]},
    ]
    with transaction(parts.engine) as connection:
        for body in bodies:
            ledger.append(connection, at=MONDAY, site=site.id, kind="choice", consent_id=None, body=body)
    found = consent_report(WEEK, parts)
    assert (found.answered, found.changed) == (2, 3)
    assert found.total == build_row("", 0, {"accepted": 1, "partly": 2, "refused": 1, "withdrawn": 2})
    assert found.purposes == [
        PurposeRow("analytics", 3, 2, 1, 1, 2 / 3),
        PurposeRow("marketing", 2, 1, 1, 1, 0.5),
    ]
    same = report(WEEK, parts).consent
    whole = found.total
    assert (same.accepted, same.partly, same.refused, same.withdrawn, same.rate) == (
        whole.accepted,
        whole.partly,
        whole.refused,
        whole.withdrawn,
        whole.rate,
    )


def test_pages_that_asked_are_counted_apart_from_choices(parts: ReportParts, config: Config) -> None:
    """Shown banners come by language, kind of device and local day, also across the end of summer time; the choice's
    device comes from counters too."""
    press(parts, config, "reject_all", at=SUNDAY)
    count(parts, MONDAY, ("shown", "nl", "mobile", 7), ("shown", "en", "desktop", 2), ("held", "x.example", "", 9))
    count(parts, SUNDAY, ("shown", "nl", "mobile", 1), ("chose", "refused", "mobile", 1))
    count(parts, SUNDAY + 3600, ("shown", "nl", "mobile", 100))
    found = consent_report(WEEK, parts)
    assert (found.total.shown, found.answered, found.answer_rate) == (10, 1, 0.1)
    assert [(row.name, row.shown, row.chose) for row in found.languages] == [("nl", 8, 1), ("en", 2, 0)]
    assert found.devices == [build_row("mobile", 8, {"refused": 1}), build_row("desktop", 2, {})]
    assert [(day.name[8:], day.shown) for day in found.days if day.shown] == [("19", 9), ("25", 1)]


def test_nothing_is_a_report_too(parts: ReportParts) -> None:
    """A period in which nobody was asked has rates that are not there, not zeros."""
    found = consent_report(WEEK, parts)
    assert (found.total.rate, found.total.refusal_rate, found.purposes, found.languages) == (None, None, [], [])
    assert [lines.title for lines in consent_lines(found)] == [
        "Consent main: 2026-10-19 – 2026-10-25 (Europe/Amsterdam)",
        "Day",
    ]


def test_every_face_says_the_same(parts: ReportParts, config: Config) -> None:
    """Terminal, CSV and JSON hold the numbers of one report."""
    press(parts, config, "accept_all", at=MONDAY)
    count(parts, MONDAY, ("shown", "nl", "", 3), ("shown", "nl", "tablet", 1))
    found = consent_report(WEEK, parts)
    cells = {(row[0], row[1], row[3]): row[4] for row in csv.reader(io.StringIO(build_consent_csv(found).decode()))}
    assert cells["consent", "", "shown"] == "4"
    assert cells["consent", "", "answer_rate"] == "0.25"
    assert cells["purpose", "marketing", "granted"] == "1"
    assert cells["language", "nl", "accepted"] == "1"
    assert cells["device", "tablet", "shown"] == "1"
    assert cells["day", "2026-10-19", "rate"] == "1.0"
    printed = {lines.title: lines.rows for lines in consent_lines(found, "nl")}
    assert ("marketing", "1", "1", "0", "0", "100.0 %") in printed["Doel"]
    assert ("Onbekend", "3", "0", "0", "0", "0", "–") in printed["Apparaat"]
    assert msgspec.json.decode(msgspec.json.encode(found), type=ConsentReport) == found
