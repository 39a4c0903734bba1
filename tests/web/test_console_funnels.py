"""The page of funnels: steps by a form or an address, bars, and funnels that are kept."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from tests.web.console_browser import OWN_PAGE, open_operator
from tests.web.console_example import build_parts

STEPS = "page is /\npage contains /diensten|/artikelen\nevent is form_submit"


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A browser that is signed in to a console over the example's funnels."""
    parts = build_parts(tmp_path_factory.mktemp("console"))
    browser = open_operator(parts)
    yield browser
    parts.engine.dispose()


def test_steps_are_drawn_with_what_was_lost_between_them(operator: TestClient) -> None:
    """Words, visits, shares, where most were lost, a bar for each step; what is withheld has none and says so."""
    page = operator.get("/funnels", params={"steps": STEPS + "\ngoal is Contact"}).text
    for shown in (
        "Page is /",
        "Page contains /diensten or /artikelen",
        "<b>1,000</b> visits",
        "500 stopped here (50.0%)",
    ):
        assert shown in page, shown
    assert page.count("most were lost here") == 1
    assert page.count('class="came"') == 3 and page.count(">withheld<") == 3
    assert 'width="25.00%"' in page
    assert "/api/funnel.csv?site=main&amp;period=7d&amp;steps=page+is+%2F%0A" in page
    reached = operator.get("/funnels", params={"steps": STEPS}).text
    assert "25.0%" in reached and "250 of 1,000 visits" in reached and "Of 2,000 visits 50%" in reached


def test_the_form_becomes_an_address_that_can_be_shared(operator: TestClient) -> None:
    """Rows without a value are no steps; one more row is a press of a button away, without a script."""
    fields = {
        "site": "werken",
        "period": "30d",
        "kind": ["page", "event", "page"],
        "operator": ["is", "is", "contains"],
    }
    answer = operator.get("/funnels", params={**fields, "value": [" / ", "form_submit", ""]})
    assert answer.status_code == 303
    asked = parse_qs(urlsplit(answer.headers["location"]).query)
    assert asked == {"site": ["werken"], "period": ["30d"], "steps": ["page is /\nevent is form_submit"]}
    more = operator.get("/funnels", params={**fields, "value": ["/", "", ""], "another": "1"}, follow_redirects=True)
    assert (more.status_code, more.text.count("<legend>"), "alert" in more.text) == (200, 3, False)
    assert operator.get("/funnels").text.count("<legend>") == 3
    full = "\n".join(["page is /"] * 10)
    assert "One more step" not in operator.get("/funnels", params={"steps": full}).text


def test_faults_are_told_beside_the_form(operator: TestClient) -> None:
    """400, every fault in words, and what was typed stays."""
    answer = operator.get("/funnels", params={"steps": "page is /\nmood is good"})
    assert answer.status_code == 400
    assert "no such dimension" in answer.text and 'value="/"' in answer.text
    assert "2 to 10 steps" in operator.get("/funnels", params={"steps": "page is /"}).text


def test_a_funnel_is_kept_under_a_name(operator: TestClient) -> None:
    """The form leads back to it, it stands in the list as chosen, on the page of kept things with a way to delete it."""
    to = f"/funnels?site=main&steps={STEPS.replace(chr(10), '%0A')}"
    fields = {"site": "main", "name": "Naar het formulier", "steps": STEPS, "to": to}
    assert operator.post("/funnels", data=fields, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    kept = operator.post("/funnels", data=fields, headers=OWN_PAGE)
    assert kept.status_code == 303
    assert 'aria-current="true">Naar het formulier</a>' in operator.get(kept.headers["location"]).text
    listed = operator.get("/segments").text
    assert "Naar het formulier" in listed and "event is form_submit" in listed and "anke" in listed
    gone = {"site": "main", "kind": "funnel", "name": "Naar het formulier", "to": "/segments?site=main"}
    assert operator.post("/segments/delete", data=gone, headers=OWN_PAGE).headers["location"] == "/segments?site=main"
    assert "Naar het formulier" not in operator.get("/segments").text


def test_funnels_follow_filters_and_days(operator: TestClient) -> None:
    """The period's links keep the steps, and a filter stands above the figures with a cross that keeps them too."""
    page = operator.get("/funnels", params={"steps": STEPS, "where": "country is NL"}).text
    steps = "&amp;steps=page+is+%2F%0Apage+contains"
    assert (
        f"/funnels?site=main&amp;period=30d&amp;filters=%5B%22is%22%2C%22country%22%2C%5B%22NL%22%5D%5D{steps}" in page
    )
    assert "Remove filter: Country is Netherlands" in page


def test_dutch_operators_read_it_in_dutch(operator: TestClient, tmp_path: Path) -> None:
    """Words and numbers of the page are the operator's."""
    page = operator.get("/funnels", params={"steps": STEPS, "lang": "nl"}).text
    for shown in ("Trechters", "Pagina bevat /diensten of /artikelen", "1.000", "500 stopten hier (50,0%)"):
        assert shown in page, shown
    operator.get("/funnels?lang=en")
