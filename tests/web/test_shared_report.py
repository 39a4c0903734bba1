"""A shared report: read by whoever has the link, and nothing but the report of one site."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from gateway.web import shared_report
from gateway.web.console import ConsoleParts
from tests.web.console_browser import OWN_PAGE, open_browser, open_operator
from tests.web.console_example import NOW, Clock, build_parts

PASSWORD = "stapel kaas met bieslook"


@pytest.fixture
def clock() -> Clock:
    """The console's clock."""
    return Clock()


@pytest.fixture
def parts(tmp_path: Path, clock: Clock) -> Iterator[ConsoleParts]:
    """A console's parts over the example report."""
    parts = build_parts(tmp_path, clock=clock)
    yield parts
    parts.engine.dispose()


@pytest.fixture
def operator(parts: ConsoleParts) -> TestClient:
    """A signed-in browser."""
    return open_operator(parts)


def share(operator: TestClient, **fields: str) -> str:
    """The path of a link made with the console's form."""
    form = {"site": "main", "action": "add", "name": "Board"} | fields
    page = operator.post("/sharing?lang=en", data=form, headers=OWN_PAGE)
    found = re.search(r'value="http://localhost:8788(/share/[^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]


def stranger(operator: TestClient) -> TestClient:
    """Another browser before the same console."""
    return open_browser(operator.app)  # type: ignore[arg-type]


def test_the_link_shows_the_overview_and_nothing_of_the_operator_s(operator: TestClient) -> None:
    """Figures, periods and filters under the link's own address; no other site, no destination, inventory or way in, not to be
    indexed; whoever asks for another site gets this one."""
    path = share(operator)
    page = stranger(operator).get(f"{path}?lang=en&site=werken&period=30d")
    assert page.status_code == 200 and "Voorbeeld Incasso" in page.text and "Daily visitors" in page.text
    for hidden in (
        "Werken bij",
        "crm",
        "Deliveries",
        "Held back",
        "Not counted",
        "/inventory",
        "/signout",
        "/mode",
        "/api/",
    ):
        assert hidden not in page.text, hidden
    assert '<meta name="robots" content="noindex">' in page.text and page.headers["x-robots-tag"] == "noindex"
    links = re.findall(r'<a [^>]*href="([^"]+)"', page.text)
    assert len(links) > 20 and {link.partition("?")[0] for link in links} <= {path, "", "#figures"}, links
    assert stranger(operator).get("/?site=main").status_code == 303


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("", "2026-11-16", "2026-11-22"),
        ("period=today", "2026-11-22", "2026-11-22"),
        ("period=yesterday", "2026-11-22", "2026-11-22"),
        ("period=month", "2026-11-01", "2026-11-22"),
        ("from=2026-11-20&to=2026-11-23", "2026-11-20", "2026-11-22"),
        ("from=2026-11-23&to=2026-11-25", "2026-11-22", "2026-11-22"),
        ("period=7d&timezone=Pacific/Kiritimati", "2026-11-16", "2026-11-22"),
    ],
)
def test_a_link_tells_of_days_that_are_over(operator: TestClient, asked: str, first: str, last: str) -> None:
    """Whichever period and zone is asked for, the day that still runs is not in it, so that nobody can watch what a single
    visitor adds; days are those of the site's own zone."""
    page = stranger(operator).get(f"{share(operator)}?lang=en&{asked}").text
    shown = [re.findall(rf'name="{name}" value="([\d-]+)"', page)[0] for name in ("from", "to")]
    assert shown == [first, last]
    assert "Europe/Amsterdam" in page and "Kiritimati" not in re.sub('href="[^"]*"', "", page)
    assert "Today" not in page and "Yesterday" in page


def test_a_link_that_does_not_hold_is_no_page(operator: TestClient, clock: Clock) -> None:
    """Invented, over and revoked ones are answered alike."""
    ended, revoked = share(operator, ends="2026-11-23"), share(operator)
    number = revoked.split("/")[2][:12]
    operator.post("/sharing", data={"site": "main", "action": "revoke", "id": number}, headers=OWN_PAGE)
    clock.now = NOW + 86_400
    paths = (ended, revoked, "/share/" + "0" * 12 + "_" + "A" * 43, "/share/x")
    answers = [stranger(operator).get(path) for path in paths]
    assert [answer.status_code for answer in answers] == [404] * 4
    assert len({answer.text.replace(path, "") for answer, path in zip(answers, paths, strict=True)}) == 1


def test_a_password_is_asked_for_and_guessing_is_slowed(operator: TestClient, clock: Clock) -> None:
    """Without it there is no figure; a wrong one is 401, too many 429, for this link alone; the right one lets in for twelve
    hours, and no longer than the link holds."""
    path, other = share(operator, password=PASSWORD), share(operator, password=PASSWORD)
    reader = stranger(operator)
    door = reader.get(path)
    assert door.status_code == 200 and "Voorbeeld Incasso" not in door.text and 'type="password"' in door.text
    tries = [reader.post(path, data={"password": f"wrong {n}"}, headers=OWN_PAGE) for n in range(6)]
    assert [answer.status_code for answer in tries] == [401] * 5 + [429] and tries[-1].headers["retry-after"]
    assert reader.post(path, data={"password": PASSWORD}, headers=OWN_PAGE).status_code == 429
    assert reader.post(other, data={"password": PASSWORD}, headers=OWN_PAGE).status_code == 303
    clock.now = NOW + 3700
    let_in = reader.post(path, data={"password": PASSWORD}, headers=OWN_PAGE)
    assert let_in.status_code == 303 and "httponly" in let_in.headers["set-cookie"].lower()
    assert "Voorbeeld Incasso" in reader.get(path).text
    foreign = reader.post(path, data={"password": PASSWORD}, headers={"sec-fetch-site": "cross-site"})
    assert foreign.status_code == 403
    clock.now += 13 * 3600
    assert 'type="password"' in reader.get(path).text


def test_a_report_is_not_asked_for_without_end(parts: ConsoleParts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many in a minute a link is told to wait; others are not."""
    monkeypatch.setattr(shared_report, "PER_MINUTE", 2)
    operator = open_operator(parts)
    path, other = share(operator), share(operator)
    reader = stranger(operator)
    assert [reader.get(path).status_code for _ in range(3)] == [200, 200, 429]
    assert reader.get(other).status_code == 200


def test_operators_see_and_end_links(operator: TestClient) -> None:
    """The page lists them without their secrets, says what is wrong with a form and keeps what was typed."""
    path = share(operator, password=PASSWORD, ends="2026-12-31")
    page = operator.get("/sharing?lang=en").text
    assert "Board" in page and "until Thursday 31 December 2026" in page and path[-43:] not in page
    wrong = operator.post("/sharing", data={"action": "add", "name": "Press", "password": "short"}, headers=OWN_PAGE)
    assert wrong.status_code == 422 and "at least 12" in wrong.text and 'value="Press"' in wrong.text
    assert operator.post("/sharing", data={"action": "add", "name": "x"}).status_code == 403
    assert operator.post("/sharing", data={"action": "burn"}, headers=OWN_PAGE).status_code == 400
