"""Tables by themselves: any metrics by any dimensions, as JSON and as CSV with a column each."""

from dataclasses import replace
from pathlib import Path

import msgspec

from gateway.analytics.answers import Answer, AnswerRow
from gateway.analytics.query import Query
from gateway.errors import StoreError
from gateway.web.console import build_console, build_local_api
from tests.web.console_browser import open_browser, sign_in
from tests.web.console_example import build_parts


def answer(query: Query) -> Answer:
    """Rows with a name that a spreadsheet would run, one that is withheld, and others; one site's store is down."""
    if query.site == "werken":
        raise StoreError("the event store cannot answer: locked")
    compared = (1,) * len(query.metrics) if query.compare else None
    rows = [AnswerRow(("=1+1",), (5, 0.5), compared=compared), AnswerRow(("/few",), (None, None), few=True)]
    return Answer(rows, [AnswerRow(("",), (3, None))], 2, "few" if query.filters else "")


def test_a_table_has_a_column_for_each_dimension_and_metric(tmp_path: Path) -> None:
    """Safe against formulas, with a word for what is withheld and for others; a comparison adds a column for each metric."""
    parts = replace(build_parts(tmp_path), answer=answer)
    operator, local = open_browser(build_console(parts)), open_browser(build_local_api(parts), "http://keeper")
    asked = {"dimensions": "page", "metrics": "daily_visitors,bounce_rate"}
    assert operator.get("/api/table.csv").status_code == 401
    sign_in(operator)
    for client, path in ((operator, "/api/table"), (local, "/table")):
        found = client.get(f"{path}.csv", params=asked)
        assert found.text.splitlines() == [
            "page,daily_visitors,bounce_rate,note",
            "'=1+1,5,0.5,",
            "/few,,,withheld",
            ",3,,others",
        ]
        assert found.headers["content-disposition"] == 'attachment; filename="page.csv"'
        compared = client.get(f"{path}.csv", params={**asked, "compare": "year"}).text.splitlines()
        assert compared[:2] == [
            "page,daily_visitors,bounce_rate,daily_visitors_before,bounce_rate_before,note",
            "'=1+1,5,0.5,1,1,",
        ]
        assert client.get(f"{path}.csv", params={**asked, "where": "page is /"}).text.endswith(",,,few\r\n")
        told = msgspec.json.decode(client.get(path, params=asked).content, type=Answer)
        assert (told.rows[0].keys, told.rows[1].few, told.all_rows) == (("=1+1",), True, 2)
        assert client.get(path, params={"dimensions": "mood"}).status_code == 400
        assert client.get(path, params={**asked, "site": "werken"}).status_code == 503
        named = client.get(f"{path}.csv", params={"dimensions": "prop:één"}).headers["content-disposition"]
        assert named == "attachment; filename*=utf-8''prop-%C3%A9%C3%A9n.csv"
    parts.engine.dispose()
