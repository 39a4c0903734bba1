"""What a server tells of with a key: counted under the consent that it asserts, and nothing kept of whom it tells."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from gateway.analytics.journal import JOURNAL_FOLDER
from gateway.api_keys import add_key, describe_key
from gateway.database import CONSENTS, reading
from gateway.event import Told
from gateway.flows.parts import Parts
from tests.example_site import AGENT
from tests.flows.worker_parts import read_counts, read_recorded
from tests.web.gated_site import ORIGIN, Browser, visiting

VISITOR = "klant-20731"
SHARED = {"consent": "analytics", "visitor": VISITOR}
LIBRARY = {"user-agent": "axios/1.7", "accept": "*/*"}
SITES = [{"id": "main", "hosts": ["www.example.org"]}, {"id": "jobs", "hosts": ["jobs.example.org"]}]
CLIENTS = {"plausible": True, "umami": True, "matomo": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the gate of these tests keeps its data."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Browser]:
    """A program before the gate of two sites; it has neither cookies nor a browser's headers."""
    analytics = {"clients": CLIENTS, "internal_networks": ["198.51.100.0/24"]}
    with visiting(folder, settings={"sites": SITES, "analytics": analytics}) as program:
        yield program


def parts_of(browser: Browser) -> Parts:
    parts = browser.app._front.parts  # type: ignore[attr-defined]
    assert isinstance(parts, Parts)
    return parts


def make_key(server: Browser, *sites: str, scope: str = "collect", rate: int = 6000) -> str:
    """A key as its holder sends it."""
    now = time.time()
    return add_key(parts_of(server).engine, describe_key("Shop", [scope], sites, rate, now), "test", "main", now)


@pytest.fixture(scope="module")
def key(server: Browser) -> str:
    """A key for both sites."""
    return make_key(server)


def tell(server: Browser, key: str, **fields: Any) -> Any:
    """Post an event as a server does."""
    message = {"v": 1, "k": "page_view", "url": f"{ORIGIN}/a", **SHARED, **fields}
    headers = {**LIBRARY, "authorization": f"Bearer {key}"}
    return server.post("/_gw/collect", json={n: v for n, v in message.items() if v is not None}, headers=headers)


def recorded_after(folder: Path, before: int) -> list[Any]:
    return [one.event for one in read_recorded(folder / "data")][before:]


def test_views_and_events_of_a_server_are_counted(server: Browser, folder: Path, key: str) -> None:
    """Masked, with source, device and country of what is told, in one visit of one visitor; its key stands beside each, and
    so does nobody's consent: no destination can hear of them."""
    before = len(read_recorded(folder / "data"))
    first = tell(server, key, url=f"{ORIGIN}/dossier/1234567?utm_source=krant&q=wik", agent=AGENT, language="nl-NL")
    assert (first.status_code, first.content, "set-cookie" in first.headers) == (202, b"", False)
    order = {"k": "event", "name": "order", "revenue": {"amount": 49.95, "currency": "EUR"}, "props": {"plan": "groot"}}
    assert tell(server, key, **order).status_code == 202
    search, view, paid = recorded_after(folder, before)
    assert (view.kind, view.path, view.source, view.browser, view.language) == (
        "page_view",
        "/dossier/:id",
        "krant",
        "Chrome",
        "nl",
    )
    assert (search.kind, search.props["term"]) == ("search", "wik")
    assert (paid.kind, paid.told, paid.props["plan"]) == ("order", Told(revenue=49_950, currency="EUR"), "groot")
    assert {one.visitor for one in (search, view, paid)} == {view.visitor} and view.visit_id == paid.visit_id
    assert {one.props["asserted"] for one in (search, view, paid)} == {key.split("_")[1]}
    assert {(one.consent_id, one.granted) for one in read_recorded(folder / "data")} == {("", ())}


def test_nothing_of_whom_it_tells_is_kept(server: Browser, folder: Path, key: str) -> None:
    """Neither its name for the visitor nor address and agent stand in any file; another day's key is another."""
    assert tell(server, key, visitor="klant-99999").status_code == 202
    assert tell(server, key, visitor=None, ip="192.0.2.177", agent=AGENT).status_code == 202
    held = b"".join(path.read_bytes() for path in (folder / "data").rglob("*") if path.is_file())
    assert b"klant-" not in held and b"192.0.2.177" not in held and b"AppleWebKit" not in held


def test_several_events_are_taken_at_once_or_not_at_all(server: Browser, folder: Path, key: str) -> None:
    """A list is recorded whole, but for what is dropped and counted; one event that cannot be read leaves none of them."""
    before = len(read_recorded(folder / "data"))
    one = {"v": 1, "k": "page_view", "url": "/a", **SHARED}
    bearer = {"authorization": f"Bearer {key}"}
    got = post(server, "/_gw/collect", [one, {**one, "url": "/b"}, {**one, "agent": "Googlebot/2.1"}], **bearer)
    assert (got.status_code, got.headers["x-gateway-dropped"]) == (202, "1")
    assert [found.path for found in recorded_after(folder, before)] == ["/a", "/b"]
    for wrong in ([one, {**one, "consent": ""}], [one, {**one, "k": "x"}], [one, 1]):
        assert post(server, "/_gw/collect", wrong, **bearer).status_code in (400, 403)
    assert len(recorded_after(folder, before)) == 2


def test_without_a_name_address_and_agent_tell_visitors_apart(server: Browser, folder: Path, key: str) -> None:
    """Two browsers at one address are two visitors, one browser is one."""
    before = len(read_recorded(folder / "data"))
    for agent in (AGENT, AGENT.replace("140", "141"), AGENT):
        tell(server, key, visitor=None, ip="192.0.2.9", agent=agent)
    first, other, again = (one.visitor for one in recorded_after(folder, before))
    assert first == again != other


def test_who_took_it_back_here_is_told_of_no_more(server: Browser, folder: Path, key: str) -> None:
    """A server that calls its visitor by their consent, and does not know of their withdrawal, asserts what we know better: it
    is answered as ever, and nothing is recorded. What was taken back beside statistics changes nothing."""
    before = len(read_recorded(folder / "data"))
    server.choose("accept_all")
    newest = select(CONSENTS.c.consent_id).order_by(CONSENTS.c.changed_at.desc()).limit(1)
    with reading(parts_of(server).engine) as connection:
        visitor = connection.execute(newest).scalar_one()
    for choice, purposes, dropped in (("", (), None), ("save", ("analytics",), None), ("reject_all", (), "1")):
        if choice:
            server.choose(choice, *purposes)
        got = tell(server, key, visitor=visitor)
        assert (got.status_code, got.headers.get("x-gateway-dropped")) == (202, dropped), choice
    props = {"gw_consent": "analytics", "gw_visitor": visitor}
    event = {"n": "Signup", "u": f"{ORIGIN}/a", "p": props}
    got = post(server, "/api/event", event, authorization=f"Bearer {key}")
    server.cookies.clear()
    assert (got.status_code, got.headers["x-plausible-dropped"]) == (202, "1")
    assert [one.kind for one in recorded_after(folder, before)] == ["page_view"] * 2


@pytest.mark.parametrize("consent", [None, "", "marketing", "yes", "analytics,marketing"])
def test_who_does_not_assert_consent_is_refused(server: Browser, folder: Path, key: str, consent: str | None) -> None:
    """Nothing is recorded without the one word, for this event."""
    before = len(read_recorded(folder / "data"))
    got = tell(server, key, consent=consent)
    assert (got.status_code, "gw_consent" in got.text) == (403, True)
    assert recorded_after(folder, before) == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"visitor": None}, 400),
        ({"visitor": None, "ip": "192.0.2.1"}, 400),
        ({"ip": "nowhere"}, 400),
        ({"consent": True}, 400),
        ({"k": "engagement"}, 400),
        ({"k": "event", "name": "page_view"}, 400),
        ({"url": "https://shop.example.net/"}, 403),
        ({"at": 1_000_000_000}, 400),
        ({"at": 1e300}, 400),
        ({"at": -1}, 400),
        ({"at": time.time() - 90_000}, 400),
        ({"at": time.time() + 3600}, 400),
    ],
)
def test_what_cannot_be_is_refused(server: Browser, key: str, fields: dict[str, Any], status: int) -> None:
    """No visitor, no address, no event, another's site, another day: each is said."""
    assert tell(server, key, **fields).status_code == status


def test_a_key_is_for_its_scope_its_sites_and_its_rate(server: Browser, folder: Path) -> None:
    """Another scope, no key that anybody knows, another site's page or too many requests: refused; with one site alone the
    key says which it is."""
    assert tell(server, make_key(server, scope="read")).status_code == 403
    assert tell(server, "gwk_000000000000_" + "x" * 43).status_code == 401
    only = make_key(server, "jobs")
    before = len(read_recorded(folder / "data"))
    assert tell(server, only, url="/vacature").status_code == 202
    assert [(one.site, one.path, one.host) for one in recorded_after(folder, before)] == [
        ("jobs", "/vacature", "jobs.example.org")
    ]
    assert tell(server, make_key(server, "jobs", "gone"), url=f"{ORIGIN}/a").status_code == 403
    slow = make_key(server, rate=1)
    assert 429 in {tell(server, slow).status_code for _ in range(3)}


def test_its_own_time_is_believed_within_the_day(server: Browser, folder: Path, key: str) -> None:
    """A moment ago, and a little ahead of our clock."""
    before, now = len(read_recorded(folder / "data")), time.time()
    for at in (now - 60, now + 60):
        assert tell(server, key, at=at).status_code == 202
    assert [one.at for one in recorded_after(folder, before)] == [now - 60, now + 60]


def test_filters_look_at_the_visitor_not_at_the_server(tmp_path: Path) -> None:
    """A crawler that is told of is dropped and counted as ever, as is the operator's own network; the library by which it is
    told is not looked at. Each key's events are counted by the key."""
    analytics = {"internal_networks": ["198.51.100.0/24"], "excluded_paths": ["/beheer"]}
    with visiting(tmp_path, settings={"analytics": analytics}) as server:
        key = make_key(server)
        for fields in ({"agent": "Googlebot/2.1"}, {"ip": "198.51.100.7"}, {"url": "/beheer/"}):
            got = tell(server, key, **fields)
            assert (got.status_code, got.headers["x-gateway-dropped"]) == (202, "1")
        assert "x-gateway-dropped" not in tell(server, key, url="/").headers
    counts = read_counts(tmp_path / "data")
    assert [counts["dropped", reason, ""] for reason in ("bot", "internal", "excluded_path")] == [1, 1, 1]
    assert counts["asserted", key.split("_")[1], "Shop"] == 1


def test_a_full_disk_says_when_to_come_back(tmp_path: Path) -> None:
    """What cannot be written is not acknowledged."""
    with visiting(tmp_path) as server:
        key = make_key(server)
        for path in (tmp_path / "data" / JOURNAL_FOLDER).iterdir():
            path.unlink()
        (tmp_path / "data" / JOURNAL_FOLDER).rmdir()
        got = tell(server, key)
        assert (got.status_code, got.headers["retry-after"]) == (503, "30")


# ---------------------------------------------------------------------------------------------- other makers' clients


def post(server: Browser, path: str, body: Any, **headers: str) -> Any:
    sent = {**LIBRARY, "content-type": "application/json", **headers}
    return server.post(path, content=body if isinstance(body, bytes) else msgspec.json.encode(body), headers=sent)


def test_a_plausible_client_with_a_key_speaks_for_its_visitor(server: Browser, folder: Path, key: str) -> None:
    """Address and agent are those of the headers, as Plausible has them; consent and visitor are properties that are taken
    out. Page views and lost pages count: no page of ours stands behind them."""
    before = len(read_recorded(folder / "data"))
    bearer = {"authorization": f"Bearer {key}", "user-agent": AGENT, "x-forwarded-for": "192.0.2.44, 10.0.0.1"}
    message = {"name": "pageview", "url": f"{ORIGIN}/a", "domain": "example.org", "referrer": "https://www.google.nl/"}
    got = post(server, "/api/event", {**message, "props": {"gw_consent": "analytics", "plan": "klein"}}, **bearer)
    assert (got.status_code, got.text, got.headers.get("x-plausible-dropped")) == (202, "ok", None)
    props = {"gw_consent": "analytics", "gw_visitor": 17}
    mine = {"authorization": f"Bearer {key}"}  # the library's own agent, and no address: the name alone
    assert post(server, "/api/event", {**message, "name": "Signup", "props": props}, **mine).status_code == 202
    assert post(server, "/api/event", {**message, "name": 404, "props": props}, **mine).status_code == 202
    assert post(server, "/api/event", message, **bearer).status_code == 403
    assert post(server, "/api/event", {**message, "props": {"gw_consent": "analytics"}}, **mine).status_code == 400
    view, signup, lost = recorded_after(folder, before)
    assert lost.kind == "not_found"
    assert (view.kind, view.source, view.browser, view.props["plan"]) == ("page_view", "Google", "Chrome", "klein")
    assert (signup.kind, signup.browser, set(signup.props)) == ("Signup", "", {"asserted"})


def test_an_umami_client_shows_its_key_as_the_website(server: Browser, folder: Path, key: str) -> None:
    """It has no header for one; views and named events are counted, the rest is answered and not."""
    before = len(read_recorded(folder / "data"))
    payload = {"website": key, "hostname": "www.example.org", "url": "/prijzen", "id": "u-1", "gw_consent": "analytics"}
    assert post(server, "/api/send", {"type": "event", "payload": {**payload, "screen": "390x844"}}).text == "{}"
    data = {"revenue": 12.5, "currency": "EUR", "list": [1, 2], "none": None}
    named = {**payload, "name": "1e Koop!", "data": data, "timestamp": int(time.time()), "userAgent": AGENT}
    assert post(server, "/api/send", {"type": "event", "payload": named}).status_code == 200
    assert post(server, "/api/send", {"type": "identify", "payload": payload}).json() == {"beep": "boop"}
    assert post(server, "/api/send", {"type": "event", "payload": {**payload, "gw_consent": ""}}).status_code == 403
    view, bought = recorded_after(folder, before)
    assert (view.kind, view.path, view.host, view.told.screen) == ("page_view", "/prijzen", "www.example.org", "small")
    assert (bought.kind, bought.props["list"], bought.told.revenue) == ("e Koop-", "[1,2]", 12_500)


MATOMO = {"idsite": "1", "rec": "1", "url": f"{ORIGIN}/a", "uid": "u-9", "gw_consent": "analytics"}


def test_a_matomo_client_counts_by_picture_by_post_and_in_bulk(server: Browser, folder: Path, key: str) -> None:
    """Answered as Matomo does: a picture, nothing, or how many were taken and which could not be."""
    before = len(read_recorded(folder / "data"))
    got = server.get("/matomo.php", params={**MATOMO, "token_auth": key}, headers=LIBRARY)
    assert (got.status_code, got.headers["content-type"], got.content[:6]) == (200, "image/gif", b"GIF89a")
    form = {"content-type": "application/x-www-form-urlencoded"}
    event = {**MATOMO, "e_c": "Video", "e_a": "Afspelen", "e_n": "Uitleg", "send_image": "0", "token_auth": key}
    assert server.post("/piwik.php", data=event, headers={**LIBRARY, **form}).status_code == 204
    link, file, find = (
        {"link": "https://jan:geheim@X.example.net/p?q"},
        {"download": f"{ORIGIN}/wik.pdf"},
        {"search": "De WIK"},
    )
    goal, ping, none = {"idgoal": "3", "revenue": "20"}, {"ping": "1"}, {"gw_consent": "no"}
    lines = [{**MATOMO, **one} for one in (link, file, find, goal, ping, none, {"cdt": "yesterday"})]
    bulk = {"requests": ["?" + "&".join(f"{n}={v}" for n, v in lines[0].items()), *lines[1:]], "token_auth": key}
    counted = post(server, "/matomo.php", bulk).json()
    assert counted == {"status": "success", "tracked": 5, "invalid": 2, "invalid_indices": [5, 6]}
    found = [
        (one.kind, {n: v for n, v in one.props.items() if n != "asserted"}) for one in recorded_after(folder, before)
    ]
    assert found == [
        ("page_view", {}),
        ("Video: Afspelen", {"name": "Uitleg"}),
        ("outbound", {"url": "x.example.net/p"}),
        ("download", {"file": "/wik.pdf"}),
        ("search", {"term": "de wik"}),
        ("goal", {"goal": "3", "value": "20"}),
    ]
    assert len({one.visit_id for one in recorded_after(folder, before)}) == 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PLAIN = {"name": "x", "url": "/a", **SHARED, "ip": "192.0.2.1", "uid": "u", "rec": "1", "gw_consent": "analytics"}
FIELDS = (
    *PLAIN,
    "k",
    "at",
    "agent",
    "props",
    "p",
    "data",
    "id",
    "timestamp",
    "screen",
    "cdt",
    "link",
    "res",
    "revenue",
    "$",
)


@pytest.mark.slow
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["/_gw/collect", "/api/event", "/api/send", "/matomo.php"]),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4),
)
@example("/api/send", {"data": {"revenue": [], "currency": {}}, "url": "http://["})
@example("/matomo.php", {"cdt": "9" * 400, "link": "http://[", "res": "²x", "url": "\x00"})
def test_random_events_never_fail_us(server: Browser, key: str, path: str, fields: dict[str, Any]) -> None:
    """Whatever an event holds, it is stored or refused; it is never our fault."""
    event = {**PLAIN, "v": 1, "k": "event", "props": {"gw_consent": "analytics", "gw_visitor": "u"}, **fields}
    shapes = {"/api/send": {"payload": event}, "/matomo.php": {"requests": [event]}}
    got = post(server, path, shapes.get(path, event), authorization=f"Bearer {key}")
    assert got.status_code in (200, 202, 400, 403), got.text


def test_no_key_and_no_page_of_ours_is_nobody(server: Browser, folder: Path) -> None:
    """A server that shows no key is refused like any foreign page, whatever it asserts."""
    before = len(read_recorded(folder / "data"))
    payload = {"website": "b3d1", "url": "/", "id": "u", "gw_consent": "analytics"}
    assert post(server, "/api/send", {"type": "event", "payload": payload}).status_code == 403
    assert post(server, "/api/event", {"n": "x", "u": "/", "p": {"gw_consent": "analytics"}}).status_code == 403
    assert server.get("/matomo.php", params=MATOMO, headers=LIBRARY).status_code == 403
    assert post(server, "/matomo.php", {"requests": [MATOMO]}).status_code == 403
    assert post(server, "/_gw/collect", {"v": 1, "k": "page_view", "url": "/", **SHARED}).status_code == 403
    assert recorded_after(folder, before) == []
