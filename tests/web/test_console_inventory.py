"""The inventory in the console: operators see what passes, decide with a click, and nothing is decided by anybody else."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import msgspec
import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from gateway import ledger
from gateway.config import Site, refresh_sites
from gateway.database import transaction
from gateway.event import Sight
from gateway.flows.inventory import add_sights
from gateway.flows.sightings import COOKIE, HOST, KINDS_OF_SIGHT, SCRIPT
from gateway.overlay import MODES_FILE, overlay_path
from gateway.policy import ANY
from gateway.web.console import ConsoleParts
from gateway.web.inventory_view import KINDS, make_id
from tests.web.console_browser import OWN_PAGE, open_operator
from tests.web.console_example import NAME, NOW, build_parts
from tests.web.inventory_example import KNOWN, STRANGER, put_inventory


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[ConsoleParts]:
    """A console over the example inventory."""
    parts = build_parts(tmp_path)
    parts.config.data_folder.mkdir()
    put_inventory(parts.engine)
    yield parts
    parts.engine.dispose()


@pytest.fixture
def operator(parts: ConsoleParts) -> TestClient:
    """A browser that is signed in."""
    return open_operator(parts)


def site_of(parts: ConsoleParts) -> Site:
    """The site as its files say it now."""
    return refresh_sites(parts.config).sites[0]


def decide(operator: TestClient, choice: str, kind: str = HOST, name: str = STRANGER, **fields: str) -> Response:
    """Send one of the forms."""
    body = {"site": "main", "kind": kind, "name": name, "choice": choice, **fields}
    return operator.post("/inventory/decide", data=body, headers=OWN_PAGE)


def actions(parts: ConsoleParts) -> list[tuple[str, str]]:
    """(action, operator) of the ledger's records of decisions."""
    bodies = [msgspec.json.decode(entry.body) for entry in ledger.entries(parts.engine) if entry.kind == "policy"]
    return [(body["action"], body["operator"]) for body in bodies]


def rows(page: str) -> list[str]:
    """The names in the list."""
    return re.findall(r'<a class="host" href="[^"]*">([^<]*)</a>', page.replace("<wbr>", ""))


SHOWN = [
    ("", 8),
    ("kind=host", 2),
    ("show=undeclared", 7),
    ("show=would", 3),
    ("show=held&kind=cookie", 1),
    ("q=GOOGLE", 4),
    ("q=nothing-like-it", 0),
    ("kind=invented&show=invented", 8),
    ("site=werken", 0),
]


@pytest.mark.parametrize(("question", "count"), SHOWN)
def test_the_list_is_what_was_asked_for(operator: TestClient, question: str, count: int) -> None:
    """By kind, by what became of it, by letters of name, service or suggestion; each site for itself."""
    page = operator.get(f"/inventory?{question}")
    assert page.status_code == 200
    assert len(rows(page.text)) == count


def test_every_kind_has_its_words() -> None:
    """The list offers every kind that is noted."""
    assert set(KINDS) == set(KINDS_OF_SIGHT)


def test_the_overview_asks_until_it_is_decided(parts: ConsoleParts, operator: TestClient) -> None:
    """The number of undeclared things stands on the overview with a link, and goes down with each decision."""
    assert "7 things on your pages" in operator.get("/").text
    decide(operator, "keep")
    assert "6 things on your pages" in operator.get("/").text
    decide(operator, "ask")
    assert "7 things on your pages" in operator.get("/").text
    assert actions(parts) == [("kept_held", NAME), ("ask_again", NAME)]


def test_one_click_on_a_suggestion_names_all_of_a_service(parts: ConsoleParts, operator: TestClient) -> None:
    """What the catalogue knows comes whole: its cookie in the browsers is named with it."""
    answer = decide(operator, "suggested", name=KNOWN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/inventory?site=main&show=undeclared")
    policy = site_of(parts).policy
    assert policy.purpose_of_host(KNOWN) == policy.purpose_of_cookie("_ga") == "analytics"
    assert "_ga" not in rows(operator.get("/inventory?show=undeclared").text)


def test_a_suggestion_whose_purpose_the_policy_lacks_asks_for_one(parts: ConsoleParts, operator: TestClient) -> None:
    """It is no button but a way to the form, which has a choice of purposes; without one it is refused."""
    maps = "maps.googleapis.com"
    with transaction(parts.engine) as connection:
        add_sights(connection, [("main", Sight(HOST, maps, "/", "script", NOW, NOW, 1, 0, 1))])
    page = operator.get(f"/inventory?q={maps}").text
    assert "It is Google Maps…" in page
    assert 'value="suggested"' not in page
    assert 'id="suggested-purpose"' in operator.get(f"/inventory/item?kind=host&name={maps}").text
    assert decide(operator, "suggested", name=maps).status_code == 400
    assert decide(operator, "suggested", name=maps, purpose="marketing").status_code == 303
    assert site_of(parts).policy.purpose_of_host(maps) == "marketing"


def test_a_service_of_the_policy_or_a_new_one(parts: ConsoleParts, operator: TestClient) -> None:
    """Given to a service that is there, by its name in the operator's language; or to one that is made of name, company,
    country and purpose."""
    asked = {"site": "main", "kind": COOKIE, "name": "mandje"}
    for language, name in (("nl", "Eigen statistiek"), ("en", "Statistics of our own")):
        page = operator.get("/inventory/item", params={**asked, "lang": language})
        assert f'<option value="own_statistics">{name} (analytics)</option>' in page.text
    assert decide(operator, "service", service="own_statistics").status_code == 303
    new = {"title": "Mandje & Co", "provider": "Mandje B.V.", "country": "nl", "purpose": "marketing"}
    assert decide(operator, "new", COOKIE, "mandje", **new).status_code == 303
    policy = site_of(parts).policy
    assert (policy.purpose_of_host(STRANGER), policy.purpose_of_cookie("mandje")) == ("analytics", "marketing")
    made = policy.file.services[-1]
    assert (made.id, made.name, made.provider, made.country) == ("mandje_co", "Mandje & Co", "Mandje B.V.", "NL")


def test_necessary_with_a_reason(parts: ConsoleParts, operator: TestClient) -> None:
    """It passes for everybody from then on, and the reason is kept; without one nothing happens."""
    assert decide(operator, "necessary", COOKIE, "_hjSession_:id").status_code == 400
    assert decide(operator, "necessary", COOKIE, "_hjSession_:id", reason="Onthoudt het menu.").status_code == 303
    policy = site_of(parts).policy
    assert policy.purpose_of_cookie("_hjSession_99") == "necessary"
    history = unescape(operator.get("/inventory").text)
    assert "Onthoudt het menu." in history
    assert "_hjSession_* belongs to declared_necessary" in history


def test_a_decision_is_undone_with_a_click(parts: ConsoleParts, operator: TestClient) -> None:
    """The button stands beside the decision while it holds."""
    before = site_of(parts).policy
    decide(operator, "service", service="own_statistics")
    assert 'name="revision" value="1"' in operator.get("/inventory").text
    undo = {"site": "main", "revision": "1"}
    assert operator.post("/inventory/undo", data=undo, headers=OWN_PAGE).status_code == 303
    assert site_of(parts).policy.scopes == before.scopes
    assert 'name="revision"' not in operator.get("/inventory").text
    assert operator.post("/inventory/undo", data=undo, headers=OWN_PAGE).status_code == 400


def test_a_script_is_named_by_its_first_words(parts: ConsoleParts, operator: TestClient) -> None:
    """Declared as a tag manager of the catalogue it is held until some purpose is granted."""
    assert decide(operator, "suggested", SCRIPT, "0123456789abcdef", purpose="marketing").status_code == 303
    [(signature, (purpose, _))] = site_of(parts).policy.inline
    assert (signature, purpose) == ("window.dataLayer = window.dataLayer || []; function gtag(){", ANY)
    assert "whichever is granted" in operator.get("/inventory?kind=script").text


REFUSED = [
    ({"choice": "suggested", "name": STRANGER}, 400),
    ({"choice": "service", "name": STRANGER, "service": "invented"}, 400),
    ({"choice": "new", "name": STRANGER, "title": "X", "provider": "Y", "purpose": "invented"}, 400),
    ({"choice": "new", "name": STRANGER, "title": " ", "provider": "Y", "purpose": "marketing"}, 400),
    ({"choice": "invented", "name": STRANGER}, 400),
    ({"choice": "keep", "name": "never.seen.example"}, 404),
    ({"choice": "keep", "name": STRANGER, "site": "invented"}, 404),
]


@pytest.mark.parametrize(("fields", "status"), REFUSED)
def test_what_makes_no_sense_changes_nothing(
    parts: ConsoleParts, operator: TestClient, fields: dict[str, str], status: int
) -> None:
    """The answer says what is wanted; neither file nor ledger has anything of it."""
    body = {"site": "main", "kind": HOST, **fields}
    assert operator.post("/inventory/decide", data=body, headers=OWN_PAGE).status_code == status
    assert not overlay_path(parts.config.data_folder, "main").exists()
    assert actions(parts) == []


POSTS = [
    ("/inventory/decide", {"site": "main", "kind": HOST, "name": STRANGER, "choice": "keep"}),
    ("/inventory/undo", {"site": "main", "revision": "1"}),
    ("/mode", {"site": "main", "mode": "observe", "sure": "yes"}),
]


@pytest.mark.parametrize(("path", "fields"), POSTS)
def test_only_the_console_s_own_pages_decide(
    parts: ConsoleParts, operator: TestClient, path: str, fields: dict[str, str]
) -> None:
    """A form on another site is refused though its operator is signed in, and so is a stranger."""
    foreign = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    assert operator.post(path, data=fields, headers=foreign).status_code == 403
    operator.cookies.clear()
    assert operator.post(path, data=fields, headers=OWN_PAGE).headers["location"] == "/signin"
    assert actions(parts) == []


def test_the_mode_is_switched_with_a_confirmation(parts: ConsoleParts, operator: TestClient) -> None:
    """The page says which one holds and why; without the tick nothing happens; with it who switched is shown."""
    assert "As the configuration file says." in operator.get("/mode").text
    body = {"site": "main", "mode": "observe"}
    assert operator.post("/mode", data=body, headers=OWN_PAGE).status_code == 400
    assert operator.post("/mode", data={**body, "mode": "x", "sure": "yes"}, headers=OWN_PAGE).status_code == 400
    assert not (parts.config.data_folder / MODES_FILE).exists()
    assert operator.post("/mode", data={**body, "sure": "yes"}, headers=OWN_PAGE).status_code == 303
    assert re.search(rf"Switched on by {NAME}, \d+ [A-Z][a-z]+ \d{{4}} \d\d:\d\d\.", operator.get("/mode").text)
    assert not site_of(parts).enforce
    assert "Nothing is held back yet" in operator.get("/").text
    assert "Nothing is held back yet" not in operator.get("/?site=werken").text


def test_a_policy_that_cannot_be_followed_is_said(parts: ConsoleParts, operator: TestClient, tmp_path: Path) -> None:
    """A mistake in the file is shown on every page until it is mended; an overlay that somebody damaged is refused by name."""
    (tmp_path / "policy.toml").write_text("version = 3")
    for path in ("/", "/inventory", "/mode", f"/inventory/item?kind=host&name={STRANGER}"):
        assert "is not followed" in operator.get(path).text
    (tmp_path / "policy.toml").unlink()
    overlay_path(parts.config.data_folder, "main").write_text("damaged")
    answer = decide(operator, "service", service="own_statistics")
    assert answer.status_code == 409
    assert "policy-overlay-main.toml" in answer.text


MARKUP = '"><script>alert(1)</script>'


def test_whatever_visitors_make_up_is_text(parts: ConsoleParts, operator: TestClient) -> None:
    """Names, words and pages that are markup are shown and carried as what they are."""
    with transaction(parts.engine) as connection:
        add_sights(connection, [("main", Sight(kind, MARKUP, MARKUP, MARKUP, NOW, NOW, 1, 0, 1)) for kind in KINDS])
    for path in ("/inventory?show=would", f"/inventory?q={MARKUP}"):
        page = operator.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
    item = operator.get("/inventory/item", params={"kind": COOKIE, "name": MARKUP})
    assert item.status_code == 200
    assert "<script>alert" not in item.text
    assert decide(operator, "service", COOKIE, MARKUP, service="own_statistics").status_code == 303
    assert site_of(parts).policy.purpose_of_cookie(MARKUP) == "analytics"


IDS = [
    ("Voorbeeld Video", (), "voorbeeld_video"),
    ("Voorbeeld Video", ("voorbeeld_video",), "voorbeeld_video_2"),
    ("Café 'Zon'", (), "cafe_zon"),
    ("123", (), "s_123"),
    ("???", (), "s"),
    ("x" * 60, (), "x" * 28),
]


@pytest.mark.parametrize(("name", "taken", "made"), IDS)
def test_a_service_gets_an_id_of_its_name(name: str, taken: tuple[str, ...], made: str) -> None:
    """Letters, digits and _, not longer than an id may be, and nobody else's."""
    assert make_id(name, taken) == made


def test_what_seems_needed_is_marked(operator: TestClient) -> None:
    """A cookie named like one that a basket needs says so, and no other: not one that the catalogue knows as optional."""
    text = operator.get("/inventory").text
    assert text.count("Named like a cookie that a form, signing in or a basket needs") == 1
    row = next(part for part in text.split("<tr>") if "Named like" in part)
    assert "mandje" in row
