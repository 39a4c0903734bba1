"""Segments and notes in the console: kept and chosen on the overview, in the address, deletable; on the chart and below."""

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from gateway.analytics.filters import Condition, Join
from gateway.analytics.query import Query
from gateway.analytics.results import Report
from gateway.flows.annotate import find_notes
from gateway.flows.save_question import expand_segments
from gateway.ledger import entries
from gateway.web.console import ConsoleParts
from tests.web.console_browser import OWN_PAGE, open_operator
from tests.web.console_example import build_example, build_parts

FILTERED = {"period": "30d", "where": "source is nieuwsbrief"}


@pytest.fixture
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleParts]:
    """A console whose report has the notes of its database, and whose questions may name segments."""
    found = build_parts(tmp_path_factory.mktemp("console"), report=lambda query: tell(query))

    def tell(query: Query) -> Report:
        expand_segments(query, found.engine)
        return replace(build_example(query), notes=find_notes(query, found.engine))

    yield found
    found.engine.dispose()


@pytest.fixture
def operator(parts: ConsoleParts) -> TestClient:
    """A browser that is signed in."""
    return open_operator(parts)


def post(operator: TestClient, path: str, **fields: str) -> str:
    """Send a form of the console's own; where it leads."""
    answer = operator.post(path, data=fields, headers=OWN_PAGE)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_filters_are_kept_and_chosen_by_name(operator: TestClient, parts: ConsoleParts) -> None:
    """Kept where they are asked, in the address afterwards, one click away from then on, gone when deleted."""
    to = "/?site=main&period=30d&filters=%5B%22is%22%2C%22source%22%2C%5B%22nieuwsbrief%22%5D%5D"
    assert f'name="to" value="{to.replace("&", "&amp;")}"' in operator.get("/", params=FILTERED).text
    chosen = post(operator, "/segments", site="main", name="Lezers", to=to)
    assert dict(parse_qsl(urlsplit(chosen).query)) == {
        "site": "main", "period": "30d", "filters": '["is","segment",["Lezers"]]',
    }  # fmt: skip
    page = operator.get(chosen).text
    assert "Segment is Lezers" in page and 'aria-current="true">Lezers</a>' in page
    assert "Keep these filters" not in page
    assert ">Lezers</a>" in operator.get("/flows").text
    assert ">Lezers</a>" not in operator.get("/?site=werken").text
    listed = operator.get("/segments").text
    assert "Source is nieuwsbrief" in listed
    post(operator, "/segments/delete", site="main", kind="segment", name="Lezers", to="/segments?site=main")
    gone = operator.get(chosen)
    assert gone.status_code == 400 and "is unknown" in gone.text
    assert [one.kind for one in entries(parts.engine)] == ["saved", "saved"]


def test_another_site_is_asked_without_this_ones_segments(operator: TestClient) -> None:
    """The choice of sites keeps filters, but no name that the other site does not know."""
    both = '["and",[["is","segment",["Lezers"]],["is","country",["NL"]]]]'
    post(operator, "/segments", site="main", name="Lezers", to='/?filters=["is","source",["nieuwsbrief"]]')
    page = operator.get("/", params={"filters": both}).text
    assert "/?site=werken&amp;period=7d&amp;filters=%5B%22is%22%2C%22country%22%2C%5B%22NL%22%5D%5D" in page


def test_a_filter_is_added_by_a_form(operator: TestClient) -> None:
    """What, how and a value become one more filter in an address that can be shared; what is wrong with it is said."""
    fields = {**FILTERED, "of": "page", "how": "contains", "what": "/blog/|/news/"}
    answer = operator.get("/", params=fields)
    assert answer.status_code == 303
    asked = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    wanted = Join(
        "and", (Condition("is", "source", ("nieuwsbrief",)), Condition("contains", "page", ("/blog/", "/news/")))
    )
    assert asked["filters"].count("contains") == 1 and len(wanted.parts) == 2
    page = operator.get(answer.headers["location"]).text
    assert "Source is nieuwsbrief" in page and "Page contains /blog/ or /news/" in page
    refused = operator.get("/", params={**fields, "how": "matches", "what": "("})
    assert refused.status_code == 400 and "no regular expression" in refused.text


def test_notes_stand_on_the_chart_and_below_it(operator: TestClient) -> None:
    """Added, changed and deleted without a script; on the drawn chart, in its data, in the list, in JSON and CSV."""
    to = "/?site=main&period=7d"
    assert post(operator, "/notes", site="main", action="add", day="2026-11-20", text="<b>Nieuwsbrief</b>", to=to) == to
    page = operator.get(to).text
    assert page.count("&lt;b&gt;Nieuwsbrief&lt;/b&gt;") >= 3 and "<b>Nieuwsbrief</b>" not in page
    assert '<g class="note"><line x1="50.000%"' in page
    assert '"text":"<b>Nieuwsbrief</b>"' in operator.get("/api/report?period=7d").text
    assert "note,2026-11-20,anke,text,<b>Nieuwsbrief</b>" in operator.get("/api/report.csv?period=7d").text
    form = operator.get(f"{to}&note=1").text
    assert 'value="&lt;b&gt;Nieuwsbrief&lt;/b&gt;"' in form and 'value="change"' in form
    assert (
        post(
            operator,
            "/notes",
            site="main",
            action="change",
            note="1",
            day="2026-11-21",
            text="Storing",
            to=f"{to}&note=1",
        )
        == to
    )
    assert "Storing" in operator.get(to).text
    assert post(operator, "/notes", site="main", action="delete", note="1", to=to) == to
    assert "No note in this period" in operator.get(to).text


def test_only_the_consoles_own_forms_keep_anything(operator: TestClient) -> None:
    """Forms of other sites are refused, unknown sites and acts too; nobody is led away."""
    for path in ("/segments", "/segments/delete", "/notes"):
        assert operator.post(path, data={"site": "main"}, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    unknown = {"site": "none", "action": "add", "day": "2026-11-20", "text": "x"}
    assert operator.post("/notes", data=unknown, headers=OWN_PAGE).status_code == 404
    assert operator.post("/notes", data={"site": "main", "action": "fly"}, headers=OWN_PAGE).status_code == 400
    assert operator.post("/segments/delete", data={"site": "main", "kind": "x"}, headers=OWN_PAGE).status_code == 400
    note = {"site": "main", "action": "add", "day": "2026-11-20", "text": "x"}
    for away in ("https://evil.example/", "//evil.example/?a=b", "/signout", "javascript:alert(1)"):
        assert post(operator, "/notes", **note, to=away) == "/?site=main"
