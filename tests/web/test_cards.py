"""The cards of topics and goals, from what visitors did to what stands in the console and is told to programs."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from starlette.testclient import TestClient

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.store import Batch
from gateway.event import Entry
from gateway.flows.answer_imported import answer_all
from gateway.flows.report import ReportParts, report
from gateway.settings import AnalyticsConfig, GoalConfig
from tests.analytics.entries import NOON, engaged, record, view
from tests.web.console_browser import open_operator
from tests.web.console_example import build_parts

DAY = "site=main&from=2026-11-23&to=2026-11-23&lang=en"
GOALS = (
    GoalConfig(name="Contact", page="/contact*"),
    GoalConfig(name="Regeling", event="form_submit", props={"form": "regeling*"}),
    GoalConfig(name="Minuut", seconds=60),
)


def visits() -> list[Entry]:
    """Three visitors read about debts, one of them twice and one about letters as well; one page says no topic. One asks for
    an arrangement, another sends another form; two stay for
    a minute, of whom one on two pages; two open a page for contact, one of them two."""
    debts, letters = {"path": "/schulden", "topic": "Schulden"}, {"path": "/brief", "topic": "Brieven & <meer>"}
    return [
        view(NOON, "a", visitor=1, view_id="a1", **debts),
        engaged(NOON + 40, "a1", 40_000, "a", started=NOON),
        view(NOON + 41, "a", visitor=1, view_id="a2", started=NOON, **debts),
        engaged(NOON + 71, "a2", 30_000, "a", started=NOON),
        view(NOON + 5, "b", visitor=2, view_id="b1", **debts),
        engaged(NOON + 25, "b1", 20_000, "b", started=NOON + 5),
        view(NOON + 26, "b", visitor=2, view_id="b2", started=NOON + 5, **letters),
        record(
            "form_submit", NOON + 27, "b", visitor=2, started=NOON + 5, props={"form": "regeling-aanvragen"}, **letters
        ),
        view(NOON + 6, "c", visitor=3, view_id="c1", **debts),
        engaged(NOON + 96, "c1", 90_000, "c", started=NOON + 6),
        record("form_submit", NOON + 97, "c", visitor=3, started=NOON + 6, props={"form": "zoeken"}, **debts),
        view(NOON + 7, "d", visitor=4, view_id="d1", path="/contact/route"),
        view(NOON + 8, "d", visitor=4, view_id="d2", started=NOON + 7, path="/contact"),
        view(NOON + 98, "c", visitor=3, view_id="c2", started=NOON + 6, path="/contact"),
    ]


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[TestClient]:
    """A console over these visits, signed in."""
    store = DuckDBStore(tmp_path / "events.duckdb")
    store.add(Batch("a", 1, visits()))
    config = AnalyticsConfig(goals=GOALS, min_visitors=1)
    built = build_parts(tmp_path)
    parts = ReportParts(store, built.engine, (), config)
    yield open_operator(
        built,
        report=lambda query: report(query, parts),
        answer=lambda query: answer_all(query, store, built.engine, config),
    )
    store.close()
    built.engine.dispose()


def card(page: str, key: str) -> list[tuple[str, ...]]:
    """The rows of a breakdown's table, the head first, as words."""
    (table,) = re.findall(rf'<table class="bars" aria-labelledby="card-{key}">(.*?)</table>', page, re.DOTALL)
    rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    cells = [re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL) for row in rows]
    return [tuple(html.unescape(" ".join(re.sub(r"<[^>]+>", " ", cell).split())) for cell in row) for row in cells]


def test_the_card_of_topics_says_which_are_read_by_how_many_and_how_long(operator: TestClient) -> None:
    """A row for each topic, those with most readers first: the mean time of a view, how often its pages were viewed, its
    readers, and their share of all visitors; pages without a topic have a row too, and a topic's name is only text."""
    page = operator.get(f"/?{DAY}").text
    (head, *heads), *rows = card(page, "topic")
    assert (head.split(" ")[0], heads) == ("Topic", ["Time", "Views", "Visitors", "Share"])
    assert rows == [
        ("Schulden", "45 s", "4", "3", "75%"),
        ("(none)", "0 s", "3", "2", "50%"),
        ("Brieven & <meer>", "0 s", "1", "1", "25%"),
    ]


def test_topics_are_told_to_programs_alike(operator: TestClient) -> None:
    """The card's file has the same rows, and a click on a topic asks about its readers alone."""
    lines = operator.get(f"/api/table.csv?{DAY}&dimensions=topic&metrics=daily_visitors,page_views,time_on_page").text
    head, *rows = lines.splitlines()
    assert head == "topic,daily_visitors,page_views,time_on_page,note"
    assert rows == ["Schulden,3,4,45.0,", ",2,3,0.0,", "Brieven & <meer>,1,1,0.0,"]
    only = msgspec.json.encode(["is", "topic", ["Schulden"]]).decode()
    (link,) = re.findall(r'href="(/\?[^"]*)"[^>]*>Schulden<', operator.get(f"/?{DAY}").text)
    assert parse_qs(urlsplit(html.unescape(link)).query)["filters"] == [only]
    assert card(operator.get(html.unescape(link)).text, "page")[1:] == [("/schulden", "45 s", "4", "3", "100%")]


def test_the_card_of_goals_counts_each_kind_by_its_own_rule(operator: TestClient) -> None:
    """A goal on a page counts each view that fits, one on an event each event with its properties, one on a duration each
    visit that was long enough, whatever it was spent on; the rate is of all visits."""
    page = operator.get(f"/?{DAY}").text
    (head, *heads), *rows = card(page, "goal")
    assert (head.split(" ")[0], heads) == ("Goal", ["Rate", "Conversions", "Visitors", "Share"])
    assert rows == [
        ("Contact", "50.0%", "3", "2", "50%"),
        ("Minuut", "50.0%", "2", "2", "50%"),
        ("Regeling", "25.0%", "1", "1", "25%"),
    ]
    asked = f"/api/table?{DAY}&dimensions=goal&metrics=conversions,conversion_rate,daily_visitors"
    told = [(row["keys"][0], *row["figures"]) for row in operator.get(asked).json()["rows"]]
    assert told == [("Contact", 3, 0.5, 2), ("Minuut", 2, 0.5, 2), ("Regeling", 1, 0.25, 1)]
