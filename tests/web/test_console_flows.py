"""The page of flows: what came before and after, as tables and bands, each row a way to walk on."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from gateway.web.flow_view import ROW_HEIGHT, draw_bands
from tests.web.console_browser import open_operator
from tests.web.console_example import build_parts


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A browser that is signed in to a console over the example's flows."""
    parts = build_parts(tmp_path_factory.mktemp("console"))
    browser = open_operator(parts)
    yield browser
    parts.engine.dispose()


def test_it_begins_at_the_page_with_most_visitors(operator: TestClient) -> None:
    """Both sides as tables with passes and shares, edges and the rest in words, files beside them."""
    page = operator.get("/flows").text
    assert "<b>/</b>" in page and "100" in page and "in 90 visits of 70 daily visitors" in page
    for shown in ("Came from", "Visit began here", "Went to", "Visit ended here", "Other pages", "80%", "/artikelen"):
        assert shown in page, shown
    assert page.count('class="page" d="M') == 2
    assert "/api/flow.csv?site=main&amp;period=7d&amp;pages=%2F" in page


def test_a_row_walks_on_and_the_way_leads_back(operator: TestClient) -> None:
    """A page after is added behind the chosen ones, a page before in front; each chosen page is a way back to it."""
    page = operator.get("/flows", params={"pages": "/\n/diensten", "period": "30d"}).text
    here = "/flows?site=main&amp;period=30d&amp;pages="
    assert f'href="{here}%2F%0A%2Fdiensten%0A%2Fcontact"' in page
    assert f'href="{here}%2Fartikelen%0A%2F%0A%2Fdiensten"' in page
    assert f'href="{here}%2F"' in page and f'href="{here}%2Fdiensten"' in page
    full = "\n".join(f"/{n}" for n in range(8))
    assert "%0A%2Fcontact" not in operator.get("/flows", params={"pages": full}).text


def test_faults_are_told(operator: TestClient) -> None:
    """400 with words, and the form to try again."""
    answer = operator.get("/flows", params={"pages": "\n".join(["/a", "/b"] * 5)})
    assert answer.status_code == 400 and "1 to 8 pages, not 10" in answer.text and 'name="pages"' in answer.text


def test_bands_fill_the_whole_and_no_more() -> None:
    """Stacked without gaps at the chosen page, at their own rows at the other end."""
    shares, height = [0.5, 0.3, 0.2], 3 * ROW_HEIGHT
    paths = draw_bands(shares, height, mirrored=False)
    tops = [float(path.split("50 ")[2].split()[0]) for path in paths]
    bottoms = [float(path.partition("V")[2].partition("C")[0]) for path in paths]
    assert tops == [0, 60, 96] and bottoms == [60, 96, 120]
    assert all(path.startswith("M0 ") for path in paths)
    assert draw_bands(shares, height, mirrored=True)[0].startswith("M100 ")
