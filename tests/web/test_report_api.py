"""The report as data: JSON and CSV, in the console's API and behind the local socket."""

import csv
import io
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from gateway.analytics.consent_results import ConsentReport
from gateway.analytics.query import Query
from gateway.analytics.results import HIDDEN, Compared, CountRow, Point, Report, Row
from gateway.errors import StoreError
from gateway.web.console import ConsoleParts, build_console, build_local_api
from gateway.web.report_api import build_csv
from tests.web.console_browser import open_browser, open_operator
from tests.web.console_example import build_example, build_parts, healthy

HOSTILE = ["'; DROP TABLE events; --", "main' OR '1'='1", "site)//", "\0", "%", "../..", "x" * 5000, "９", "1e9", "-1"]


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[ConsoleParts]:
    """A console's parts."""
    parts = build_parts(tmp_path)
    yield parts
    parts.engine.dispose()


@pytest.fixture(params=["console", "socket"])
def api(request: pytest.FixtureRequest, parts: ConsoleParts) -> tuple[TestClient, str]:
    """Each of the two faces: a client that may ask, and the path before `/report`."""
    if request.param == "socket":
        return open_browser(build_local_api(parts), "http://keeper"), ""
    browser = open_operator(parts)
    return browser, "/api"


def broken(query: Query) -> Report:
    """A store that is down."""
    raise StoreError("the event store cannot answer: events.duckdb is locked")


def test_json_is_the_report_itself(api: tuple[TestClient, str]) -> None:
    """What comes out decodes to the very report that the flow made, for the question asked."""
    client, prefix = api
    answer = client.get(f"{prefix}/report?site=werken&from=2026-11-01&to=2026-11-20&limit=3")
    assert answer.headers["content-type"] == "application/json"
    report = msgspec.json.decode(answer.content, type=Report)
    period = report.period
    assert (report.site, period.first, period.last) == ("werken", "2026-11-01", "2026-11-20")
    assert max(len(rows) for rows in report.breakdowns.values()) == 3
    assert sum(point.page_views or 0 for point in report.series) == report.totals.page_views


def test_one_section_is_the_same_in_json_as_in_csv(api: tuple[TestClient, str]) -> None:
    """A panel that is a section of the report has both files, with the same lines."""
    client, prefix = api
    for section in ("held", "dropped", "destination", "measures"):
        table = client.get(f"{prefix}/report.csv?period=7d&section={section}").text
        told = client.get(f"{prefix}/report?period=7d&section={section}").json()
        lines = list(csv.DictReader(io.StringIO(table)))
        assert (
            lines
            and [{name: "" if value is None else str(value) for name, value in line.items()} for line in told] == lines
        )


def test_csv_holds_every_figure_of_the_report(api: tuple[TestClient, str]) -> None:
    """One line for each number, under a header, as a file."""
    client, prefix = api
    answer = client.get(f"{prefix}/report.csv?period=7d")
    assert answer.headers["content-type"].startswith("text/csv; charset=utf-8")
    assert answer.headers["content-disposition"] == 'attachment; filename="report.csv"'
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    found = {(line["section"], line["name"], line["measure"]): line["value"] for line in lines}
    report = msgspec.json.decode(client.get(f"{prefix}/report?period=7d").content, type=Report)
    assert found["totals", "", "visits"] == str(report.totals.visits)
    assert found["series", "2026-11-23", "page_views"] == str(report.series[-1].page_views)
    assert found["page", "/contact", "visitors"] == str(report.breakdowns["page"][3].visitors)
    assert found["consent", "", "withdrawn"] == "19"
    assert found["dropped", "bot", "count"] == "3917"
    assert found["held", "_trk*", "count"] == "2411"
    assert found["destination", "crm", "dead"] == "2"
    assert found["report", "period", "timezone"] == "Europe/Amsterdam"
    assert len(lines) == len({tuple(line.values()) for line in lines})


def test_the_report_on_consent_has_the_same_faces(api: tuple[TestClient, str]) -> None:
    """JSON is the report itself, CSV holds its figures; a wrong question is told its faults."""
    client, prefix = api
    report = msgspec.json.decode(client.get(f"{prefix}/consent?period=7d").content, type=ConsentReport)
    assert report.total.chose > 0 and len(report.days) == 7
    answer = client.get(f"{prefix}/consent.csv?period=7d")
    assert answer.headers["content-disposition"] == 'attachment; filename="consent.csv"'
    assert f"consent,,,answered,{report.answered}" in answer.text.splitlines()
    assert client.get(f"{prefix}/consent?period=never").status_code == 400


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", ' "=1', "  =1", "＝1", "\0=1"])
def test_no_cell_is_a_formula(cell: str) -> None:
    """A spreadsheet shows what a visitor made up as text, wherever it stands."""
    report = build_example(Query("main", date(2026, 11, 23), date(2026, 11, 23), "UTC"))
    report.breakdowns["source"] = [Row(cell, 1, 1, 1)]
    report = replace(report, dropped=[CountRow("dropped", cell, cell, 1)])
    cells = [cell for line in csv.reader(io.StringIO(build_csv(report).decode(), newline="")) for cell in line]
    assert "\0" not in "".join(cells)
    assert not [cell for cell in cells if cell.lstrip(" \"'\0").startswith(tuple("=+-@\t\r＝")) and cell[0] != "'"]


def test_all_faults_of_a_question_are_told_at_once(api: tuple[TestClient, str]) -> None:
    """400 with a sentence for each fault."""
    client, prefix = api
    for path in ("/report", "/report.csv"):
        answer = client.get(f"{prefix}{path}?site=no&period=9d&limit=0&interval=minute")
        assert answer.status_code == 400
        assert len(answer.json()["errors"]) == 4


@pytest.mark.parametrize("field", ["site", "period", "from", "to", "interval", "limit"])
def test_hostile_values_are_faults_and_nothing_else(api: tuple[TestClient, str], field: str) -> None:
    """Nothing that is not a known site, period, date, interval or number reaches the store."""
    client, prefix = api
    for value in HOSTILE:
        assert client.get(f"{prefix}/report", params={field: value}).status_code == 400


def test_csv_says_what_is_withheld_put_together_and_compared() -> None:
    """A word where there is no figure, never a 0."""
    report = build_example(Query("main", date(2026, 11, 23), date(2026, 11, 23), "UTC", "day"))
    rows = {"country": [Row("NL", 9, 9, 9, 1.0, 7), Row("BE", 8, 8, 8, 1.0, None)]}
    shown = replace(
        report,
        breakdowns=rows,
        others={"country": Row("", 2, 2, 2, 1.0)},
        series=[Point("2026-11-23", None, None, None)],
        compared=Compared("2026-11-22", "2026-11-22", None),
    )
    lines = {",".join(line) for line in csv.reader(io.StringIO(build_csv(shown).decode(), newline=""))}
    assert {
        "country,,others,visitors,2",
        "country,NL,compared,visitors,7",
        "country,BE,compared,visitors,withheld",
        "series,2026-11-23,,visits,withheld",
        "compared,,,visits,withheld",
        "compared,period,,first,2026-11-22",
        f"totals,,,visits,{report.totals.visits}",
    } <= lines
    only = build_csv(shown, section="held").decode().splitlines()[1:]
    assert len(only) == len(report.held) and all(line.startswith("held,") for line in only)
    apart = build_csv(replace(report, rows_withheld="part_of_day")).decode().splitlines()
    assert "report,rows_withheld,,,part_of_day" in apart
    hidden = build_csv(replace(report, totals=HIDDEN, withheld="few")).decode().splitlines()
    assert {"report,withheld,,,few", "totals,,,visits,withheld", "totals,,,bounce_rate,withheld"} <= set(hidden)


def test_what_a_question_may_hold_is_asked_whole(api: tuple[TestClient, str]) -> None:
    """A long filter is answered as it stands; one too long is a fault with its name and limit, never cut to another one."""
    client, prefix = api
    value = "/" + "a" * 999
    for fields in ({"filters": f'[["is", "page", ["{value}"]]]'}, {"where": f"page is {value}\nsource is Google"}):
        assert client.get(f"{prefix}/report", params=fields).status_code == 200
    long = {"where": f"page is {'a|' * 8_000}a", "limit": "1" * 201, "metrics": "," * 2_001}
    answer = client.get(f"{prefix}/report", params=long)
    assert answer.status_code == 400
    assert sorted(answer.json()["errors"]) == [
        "limit is 201 characters long; at most 200",
        "metrics is 2001 characters long; at most 2000",
        "where is 16009 characters long; at most 16000",
    ]


def test_a_store_that_is_down_is_said_so(tmp_path: Path) -> None:
    """503 with the reason, on both faces."""
    parts = build_parts(tmp_path, report=broken)
    browser = open_operator(parts)
    for answer in (browser.get("/api/report"), open_browser(build_local_api(parts), "http://keeper").get("/report")):
        assert (answer.status_code, answer.json()["errors"]) == (
            503,
            ["the event store cannot answer: events.duckdb is locked"],
        )
    parts.engine.dispose()


def test_the_socket_tells_the_state_and_drains_on_request(parts: ConsoleParts) -> None:
    """GET /status is what the keeper says of itself; POST /drain stores what waits and says how much; GET does not."""
    local = open_browser(build_local_api(parts), "http://keeper")
    assert local.get("/status").json() == healthy()
    assert local.get("/drain").status_code == 405
    assert local.post("/drain").json() == {"drained": 7}


def test_the_api_is_for_operators(parts: ConsoleParts) -> None:
    """Without a session: 401 and JSON, whatever is asked."""
    stranger = open_browser(build_console(parts))
    for path in (
        "/api/report",
        "/api/report.csv",
        "/api/consent",
        "/api/consent.csv",
        "/api/status",
        "/api/report?site=no",
    ):
        answer = stranger.get(path, headers={"cookie": "gw_operator=invented"})
        assert (answer.status_code, answer.json()) == (401, {"errors": ["sign in first"]})


def test_what_goes_wrong_is_said_to_programs_in_json(tmp_path: Path) -> None:
    """Under /api/ an unknown address, a wrong method and what nobody foresaw are JSON too, with the console's headers."""

    def buggy(_query: Query) -> Report:
        raise RuntimeError("secret")

    parts = build_parts(tmp_path, report=buggy)
    browser = open_operator(parts)
    found = [browser.get("/api/nothing"), browser.post("/api/report"), browser.get("/api/report")]
    assert [(one.status_code, one.json()) for one in found] == [
        (404, {"errors": ["Not Found"]}),
        (405, {"errors": ["Method Not Allowed"]}),
        (500, {"errors": ["Internal Server Error"]}),
    ]
    assert set(found[1].headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert found[2].headers["x-frame-options"] == "DENY"
    parts.engine.dispose()
