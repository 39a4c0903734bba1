"""The interface for programs: keys, questions in Plausible's shape, faults, few people, and its description."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from sqlalchemy import Engine
from starlette.routing import Route
from starlette.testclient import TestClient

from gateway.analytics.dimensions import DIMENSIONS
from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.metrics import METRICS
from gateway.analytics.period import MODES
from gateway.analytics.query import Query
from gateway.analytics.store import Batch
from gateway.api_keys import add_key, describe_key
from gateway.errors import StoreError
from gateway.flows.answer import answer
from gateway.flows.answer_imported import answer_all
from gateway.settings import AnalyticsConfig, GoalConfig
from gateway.web.console import ConsoleParts, build_console
from gateway.web.query_body import DATE_RANGES
from tests.analytics.entries import NOON, record, view
from tests.flows.test_answer_imported import told
from tests.web.console_browser import open_browser
from tests.web.console_example import NOW, build_parts

DAY = ["2026-11-23", "2026-11-23"]
CONFIG = AnalyticsConfig(goals=(GoalConfig(name="Stil", page="/stil"),))
PLAIN = {"site_id": "main", "metrics": ["visitors"], "date_range": DAY}


class Api:
    """A program with a key, before a console over real events."""

    def __init__(self, parts: ConsoleParts) -> None:
        self.engine: Engine = parts.engine
        self.app = build_console(parts)
        self.client: TestClient = open_browser(self.app)
        self.key = self.make_key()

    def make_key(self, scope: str = "read", sites: tuple[str, ...] = (), per_minute: int = 1000) -> str:
        return add_key(self.engine, describe_key("Report", (scope,), sites, per_minute, NOW), "anke", "main", NOW)

    def ask(self, key: str = "", **question: Any) -> Response:
        return self.client.post(
            "/api/v2/query", json=PLAIN | question, headers={"authorization": f"Bearer {key or self.key}"}
        )

    def found(self, **question: Any) -> Any:
        response = self.ask(**question)
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    """Seven visitors from Google at /, one of whom sends a form; two of Malta at /stil; six visitors the day before."""
    store = DuckDBStore(tmp_path / "events.duckdb")
    many = [
        view(NOON + n, f"n{n}", visitor=n, path="/", country="NL", source="Google", language="nl") for n in range(7)
    ]
    few = [
        view(NOON + n, f"m{n}", visitor=10 + n, path="/stil", country="MT", language=("en", "mt")[n]) for n in range(2)
    ]
    form = record("form", NOON + 9, "n0", visitor=0, started=NOON, path="/", props={"plan": "goud"})
    before = [view(NOON - 86_400 + n, f"b{n}", visitor=20 + n, path="/", country="NL", language="nl") for n in range(6)]
    store.add(Batch("a", 1, [*many, *few, form, *before]))
    yield store
    store.close()


@pytest.fixture
def parts(tmp_path: Path, store: DuckDBStore) -> Iterator[ConsoleParts]:
    """A console over them."""
    parts = build_parts(tmp_path)
    yield replace(parts, answer=lambda query: answer(query, store, CONFIG))
    parts.engine.dispose()


@pytest.fixture
def api(parts: ConsoleParts) -> Api:
    """A program before it."""
    return Api(parts)


@pytest.fixture
def api_of_two(parts: ConsoleParts, store: DuckDBStore) -> Api:
    """A program before the same, where a row needs two visitors."""
    two = AnalyticsConfig(goals=CONFIG.goals, min_visitors=2)
    return Api(replace(parts, answer=lambda query: answer(query, store, two)))


def test_rows_come_in_the_shape_of_plausible(api_of_two: Api) -> None:
    """Metrics and dimensions by its names or ours, in the order asked for; rates in percent; the question as understood."""
    found = api_of_two.found(
        metrics=["visitors", "pageviews", "events", "bounce_rate"],
        dimensions=["visit:language"],
        include={"total_rows": True},
        order_by=[["pageviews", "asc"]],
    )
    assert found["results"] == [{"metrics": [7, 7, 1, 600 / 7], "dimensions": ["nl"]}]
    assert found["meta"]["total_rows"] == 1
    assert found["meta"]["others"] == [{"metrics": [2, 2, 0, 100.0], "dimensions": [""]}]
    assert found["query"]["metrics"] == ["visitors", "pageviews", "events", "bounce_rate"]
    assert (found["query"]["date_range"], found["query"]["order_by"]) == (DAY, [["pageviews", "asc"]])


def test_filters_nest(api: Api) -> None:
    """and, or and not, with every operator; what it was understood as can be sent again."""
    nested = [
        "and",
        [
            ["or", [["is", "event:page", ["/"]], ["matches", "event:page", ["^/st"]]]],
            ["not", ["is", "event:name", ["x"]]],
        ],
    ]
    found = api.found(filters=nested)
    assert found["results"] == [{"metrics": [9], "dimensions": []}]
    assert found["query"]["filters"] == nested
    assert api.found(filters=found["query"]["filters"])["results"] == found["results"]


def test_a_period_is_compared_with_the_one_before(api: Api) -> None:
    """The figures before, and by how many percent each has grown."""
    found = api.found(include={"comparisons": {"mode": "previous_period"}}, metrics=["visitors", "bounce_rate"])
    [row] = found["results"]
    assert row["metrics"] == [9, 800 / 9]
    assert row["comparison"]["metrics"] == [6, 100.0]
    assert row["comparison"]["change"] == pytest.approx([50.0, -100 / 9])


def test_time_has_labels_for_what_is_empty_too(api: Api) -> None:
    """Rows are there where something was; the labels name every day of the period."""
    found = api.found(date_range=["2026-11-21", "2026-11-23"], dimensions=["time:day"], include={"time_labels": True})
    assert [row["dimensions"] for row in found["results"]] == [["2026-11-22"], ["2026-11-23"]]
    assert found["meta"]["time_labels"] == ["2026-11-21", "2026-11-22", "2026-11-23"]


def test_pages_of_rows_add_up_to_all(api: Api) -> None:
    """limit and offset cut the same order."""
    asked = {"date_range": ["2026-11-22", "2026-11-23"], "dimensions": ["time:day"], "order_by": [["visitors", "desc"]]}
    pages = [api.found(**asked, pagination={"limit": 1, "offset": n})["results"] for n in (0, 1, 2)]
    assert pages[0] + pages[1] + pages[2] == api.found(**asked)["results"]
    assert [len(page) for page in pages] == [1, 1, 0]
    for offset in (0, 1, 2, 500):
        found = api.found(**asked, include={"total_rows": True}, pagination={"limit": 1, "offset": offset})
        assert found["meta"]["total_rows"] == 2


def test_an_hour_is_filtered_by_as_it_is_told(api: Api) -> None:
    """The key of a row chooses that row again, and the hour without its offset both of an hour that is lived twice."""
    found = api.found(dimensions=["time:hour"], metrics=["visitors", "pageviews"])
    [row] = found["results"]
    for hour, figures in (
        (row["dimensions"][0], [9, 9]),
        ("2026-11-23T12:00", [9, 9]),
        ("2026-11-23T12:00+02:00", [0, 0]),
    ):
        again = api.found(filters=["is", "time:hour", [hour]], metrics=["visitors", "pageviews"])
        assert again["results"] == [{"metrics": figures, "dimensions": []}]


def test_hours_and_moments(api: Api) -> None:
    """24 hours reach back into yesterday, by the hour; two moments count what lies between them and nothing else."""
    found = api.found(date_range="24h", dimensions=["time"], metrics=["visitors", "pageviews"])
    assert found["results"] == [{"metrics": [9, 9], "dimensions": ["2026-11-23T12:00+01:00"]}]
    assert found["query"]["date_range"] == ["2026-11-22T14:20:01+01:00", "2026-11-23T14:20:00+01:00"]
    between = ["2026-11-22T12:00:02+01:00", "2026-11-23T12:00:03+01:00"]
    found = api.found(date_range=between, dimensions=["time:day"], metrics=["pageviews"], include={"time_labels": True})
    assert [(row["dimensions"], row["metrics"]) for row in found["results"]] == [
        (["2026-11-22"], [4]),
        (["2026-11-23"], [6]),
    ]
    assert found["meta"]["time_labels"] == ["2026-11-22", "2026-11-23"]
    compared = api.found(date_range="24h", include={"comparisons": {"mode": "previous_period"}})
    assert compared["results"][0]["comparison"]["metrics"] == [6]


def test_percentages_are_of_all_visitors(api_of_two: Api) -> None:
    """Of those who fit the question, whatever page of rows is shown; of rows put together too, and in a comparison."""
    api = api_of_two
    asked = {
        "metrics": ["percentage", "visits"],
        "dimensions": ["visit:language"],
        "order_by": [["percentage", "desc"]],
    }
    found = api.found(**asked, include={"comparisons": {"mode": "previous_period"}})
    [row] = found["results"]
    assert (row["dimensions"], row["metrics"]) == (["nl"], [700 / 9, 7])
    assert row["comparison"]["metrics"] == [100.0, 6]
    assert found["meta"]["others"][0]["metrics"] == [200 / 9, 2]
    assert found["query"]["metrics"] == ["percentage", "visits"]
    days = {"date_range": ["2026-11-22", "2026-11-23"], "metrics": ["percentage"], "dimensions": ["time:day"]}
    assert [row["metrics"] for row in api.found(**days)["results"]] == [[40.0], [60.0]]
    assert [row["metrics"] for row in api.found(**days, pagination={"offset": 1})["results"]] == [[60.0]]


def test_percentages_are_of_imported_days_only_where_rows_are(parts: ConsoleParts, store: DuckDBStore) -> None:
    """What another tool did not tell is left out of the rows and of what they are a share of."""
    told(parts.engine, "2026-11-21", visitors=16, visits=16, views=16)
    told(parts.engine, "2026-11-21", "country", "NL", visitors=16)
    everybody = AnalyticsConfig(min_visitors=1)
    api = Api(replace(parts, answer=lambda query: answer_all(query, store, parts.engine, everybody)))
    asked = {"date_range": "7d", "metrics": ["visitors", "percentage"], "include": {"imports": True}}
    shares = {
        name: [row["metrics"] for row in api.found(**asked, dimensions=[name])["results"]]
        for name in ("visit:country", "visit:language")
    }
    assert shares["visit:country"] == [[29, 2900 / 31], [2, 200 / 31]]
    assert shares["visit:language"] == [[13, 1300 / 15], [1, 100 / 15], [1, 100 / 15]]


def test_few_people_are_no_answer(api: Api) -> None:
    """Neither those who are too few nor all but those."""
    for filters, why in ((["is", "visit:country", ["MT"]], "few"), (["is_not", "visit:country", ["MT"]], "few_others")):
        found = api.found(filters=filters)
        assert (found["results"], found["meta"]) == ([], {"withheld": why})


def test_all_faults_are_told_at_once(api: Api) -> None:
    """Each field that is wrong has its sentence, and nothing is answered."""
    response = api.ask(
        site_id="nowhere",
        metrics=["visitors", "happiness"],
        dimensions=["visit:mood"],
        date_range="25h",
        filters=[["is", "visit:mood", ["x"]]],
        order_by=["visitors"],
        include={"imports": "yes", "colour": True, "comparisons": {"mode": "tomorrow"}},
        pagination={"limit": 0, "offset": -1},
        timezone="Mars/Olympus",
        colour="red",
    )
    errors = response.json()["errors"]
    assert response.status_code == 400 and response.json()["error"] == "; ".join(errors)
    parts = ("colour", "site_id", "happiness", "mood", "25h", "order_by", "imports", "include.colour", "tomorrow",
             "limit", "offset", "Mars")  # fmt: skip
    assert [part for part in parts if not any(part in error for error in errors)] == []
    assert len(errors) == 13


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"\xff", b"[" * 9000, b"1e999", b'{"site_id": 1}'])
def test_a_body_that_is_no_question_is_refused(api: Api, body: bytes) -> None:
    """Whatever is sent, the answer is 400 with words, never a fault of ours."""
    response = api.client.post("/api/v2/query", content=body, headers={"authorization": f"Bearer {api.key}"})
    assert response.status_code == 400 and response.json()["errors"]


def test_what_the_store_alone_can_refuse_is_a_fault_too(api: Api) -> None:
    """A goal that is not configured and a pattern that the engine does not know."""
    response = api.ask(filters=["and", [["is", "event:goal", ["Geen"]], ["matches", "event:page", ["(?=x)"]]]])
    assert (response.status_code, len(response.json()["errors"])) == (400, 2)


def test_a_key_is_needed_of_the_scope_for_the_site_within_its_rate(api: Api) -> None:
    """Without one 401, for something else 403, for another site 400, too often 429, too much 413."""
    refused = api.client.post("/api/v2/query", json=PLAIN)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert api.ask(api.make_key("collect")).status_code == 403
    other = api.ask(api.make_key(sites=("werken",)))
    assert other.status_code == 400 and other.json()["errors"] == ['site_id "main" is none of the key\'s sites: werken']
    slow = api.make_key(per_minute=1)
    assert [api.ask(slow).status_code for _ in range(2)] == [200, 429]
    assert api.ask(filters=["is", "event:page", ["x" * 70_000]]).status_code == 413


def test_a_store_that_is_down_is_said(parts: ConsoleParts) -> None:
    """503, and nothing of the inside but the store's own words."""

    def broken(_query: Query) -> Any:
        raise StoreError("the event store cannot answer: events.duckdb is locked")

    response = Api(replace(parts, answer=broken)).ask()
    assert (response.status_code, response.json()["errors"]) == (
        503,
        ["the event store cannot answer: events.duckdb is locked"],
    )


def test_the_description_names_the_routes_that_there_are(api: Api) -> None:
    """Every address under /api/v2 with its method stands in the OpenAPI document, and no other."""
    document = api.client.get("/api/v2/openapi.json").json()
    described = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    routes = {
        (route.path, method)
        for route in api.app.routes
        if isinstance(route, Route) and route.path.startswith("/api/v2/")
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert described == routes and len(routes) == 2


def test_every_word_of_the_description_is_answered(api: Api) -> None:
    """All metrics, dimensions, ranges and modes that the document lists are ours, and are answered."""
    schemas = api.client.get("/api/v2/openapi.json").json()["components"]["schemas"]
    fields = schemas["Question"]["properties"]
    metrics, dimensions = fields["metrics"]["items"]["enum"], fields["dimensions"]["items"]["anyOf"][0]["enum"]
    assert set(metrics) == {"percentage", *(name for one in METRICS for name in (one.name, one.outside))}
    assert set(dimensions) - {"time", "visit:country_name"} == {n for d in DIMENSIONS for n in (d.name, d.outside)}
    assert fields["date_range"]["oneOf"][0]["enum"] == list(DATE_RANGES)
    assert fields["include"]["properties"]["comparisons"]["properties"]["mode"]["enum"] == list(MODES)
    assert set(fields) == set(PLAIN) | {"dimensions", "filters", "order_by", "include", "pagination", "timezone"}
    for name in metrics:
        assert len(api.found(metrics=[name], dimensions=["time:day"])["results"]) == 1
    for name in [*dimensions, "event:props:plan"]:
        assert "results" in api.found(dimensions=[name])
    for name in DATE_RANGES:
        assert "results" in api.found(date_range=name)
    first, last = map(date.fromisoformat, api.found(date_range="all")["query"]["date_range"])
    assert f"At most {(last - first).days + 1} days" in fields["date_range"]["description"]
    assert api.ask(date_range=[str(first - timedelta(days=1)), str(last)]).status_code == 400
    reply = api.found(include={"comparisons": {"mode": "year_over_year"}})
    assert set(reply) == set(schemas["Reply"]["properties"])
    assert set(reply["results"][0]) == set(schemas["Result"]["properties"])
