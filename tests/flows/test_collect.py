"""From hit to event: only with consent, nothing that points at a person, every refusal counted by its reason."""

import hmac
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from sqlalchemy import select

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import JOURNAL_FOLDER
from gateway.analytics.month_sketch import estimate_month
from gateway.analytics.visit import Visit
from gateway.database import SALTS, reading
from gateway.errors import JournalFull
from gateway.event import MAX_PROPS, DropReason, Event, Told
from gateway.flows.collect import SLACK_MS, collect
from gateway.flows.drain import drain_once
from gateway.flows.parts import Parts
from gateway.hit import Hit
from tests.example_site import AGENT, CONSENT_ID, NOW, make_decision
from tests.flows.worker_parts import opened_parts, read_recorded

SETTINGS = {
    "analytics": {
        "excluded_paths": ["/beheer/"],
        "internal_networks": ["198.51.100.0/24"],
        "spam_referrers": ["traffic.example"],
        "topics": [{"path": "/artikelen/", "topic": "Kennisbank"}],
    }
}
VISIT = Visit("main", "V" * 22, int(NOW) - 60, int(NOW) - 5)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """One worker's parts for all hits."""
    with opened_parts(tmp_path_factory.mktemp("collect"), SETTINGS) as opened:
        yield opened


def make_hit(**changes: Any) -> Hit:
    values: dict[str, Any] = {"at": NOW, "site": "main", "host": "www.example.org", "url": "/", "ip": "192.0.2.9"}
    values |= {"user_agent": AGENT, "view_id": "view"}
    return Hit(**(values | changes))


def take(parts: Parts, hit: Hit, *granted: str, visit: Visit | None = VISIT) -> Event | DropReason:
    site = parts.config.sites[0]
    return collect(hit, make_decision(site, *(granted or ("analytics",))), visit, site, parts)


def test_an_event_tells_what_happened_and_nobody_s_name(parts: Parts) -> None:
    """Path masked, source, device and visit told; address, agent and consent id are in no field."""
    hit = make_hit(
        url="/dossier/1234567?utm_source=nieuwsbrief&utm_campaign=klant-7654321&email=jan@voorbeeld.nl",
        referrer="https://www.google.nl/search?q=jan",
        language="nl-NL,nl;q=0.9",
        topic="Schulden van jan@voorbeeld.nl",
        props={"klant": "jan@voorbeeld.nl", "knop 1234567": "ja"},
    )
    event = take(parts, hit)
    assert isinstance(event, Event)
    assert (event.path, event.topic, event.kind, event.host) == (
        "/dossier/:id",
        "Schulden van :id",
        "page_view",
        "www.example.org",
    )
    assert (event.source, event.campaign, event.channel, event.referrer) == (
        "nieuwsbrief",
        "klant-:id",
        "email",
        "www.google.nl/search",
    )
    assert (event.browser, event.browser_version, event.os, event.device, event.language) == (
        "Chrome",
        "140",
        "Windows",
        "desktop",
        "nl",
    )
    assert (event.visit_id, event.visit_started_at, event.view_id) == (VISIT.id, VISIT.started_at, "view")
    assert event.props == {"klant": ":id", "knop :id": "ja"}
    assert event.network == ""
    text = msgspec.json.encode(event).decode()
    for secret in ("192.0.2", "Mozilla", "AppleWebKit", CONSENT_ID, "1234567", "7654321", "jan@"):
        assert secret not in text


DROPPED: list[tuple[dict[str, Any], DropReason]] = [
    ({"prefetch": True}, DropReason.PREFETCH),
    ({"ip": "198.51.100.7"}, DropReason.INTERNAL),
    ({"url": "/beheer/x"}, DropReason.EXCLUDED_PATH),
    ({"url": "https://www.example.org/beheer/x", "kind": "engagement"}, DropReason.EXCLUDED_PATH),
    ({"user_agent": "curl/8"}, DropReason.BOT),
    ({"user_agent": ""}, DropReason.BOT),
    ({"referrer": "https://traffic.example/"}, DropReason.SPAM),
]


@pytest.mark.parametrize(("changes", "reason"), DROPPED)
def test_what_is_dropped_is_counted_by_its_reason(parts: Parts, changes: dict[str, Any], reason: DropReason) -> None:
    """Each kind of hit that is not to be counted leaves a count of its reason and no event."""
    parts.counters.take()
    assert take(parts, make_hit(**changes)) is reason
    (counted,) = parts.counters.take()
    assert [row for row in counted.rows if row[0] == "dropped"] == [("dropped", reason.value, "", 1)]


def test_bots_are_known_by_name_and_some_of_their_pages(parts: Parts) -> None:
    """A crawler that reads the whole site leaves its name, its count and three masked pages; nothing of its agent string."""
    parts.counters.take()
    for number in range(9):
        agent = f"Mozilla/5.0 (compatible; Googlebot/2.1; jan{number}@voorbeeld.example)"
        take(parts, make_hit(user_agent=agent, url=f"/zaak-{number}/7654321?q=jan"))
    (counted,) = parts.counters.take()
    rows = {(name, page): count for kind, name, page, count in counted.rows if kind == "bot"}
    assert rows == {("Googlebot", ""): 6} | {("Googlebot", f"/zaak-{number}/:id"): 1 for number in range(3)}


def test_a_visit_that_is_too_quick_for_a_person_is_dropped(parts: Parts) -> None:
    """Page views beyond what one visit may have in a minute; other visits, events and the next minute are counted."""
    parts.counters.take()
    visit = Visit("main", "Q" * 22, int(NOW) - 60, int(NOW) - 5)
    taken = [take(parts, make_hit(url="/snel"), visit=visit) for _ in range(122)]
    assert taken[120:] == [DropReason.RATE] * 2 and DropReason.RATE not in taken[:120]
    assert isinstance(take(parts, make_hit(kind="download"), visit=visit), Event)
    assert isinstance(take(parts, make_hit(at=NOW + 60), visit=visit), Event)
    rows = [row for counted in parts.counters.take() for row in counted.rows]
    assert ("dropped", "implausible_rate", "", 2) in rows and ("implausible_rate", "Chrome", "/snel", 2) in rows


def test_without_consent_nothing_else_is_looked_at(parts: Parts) -> None:
    """R20: counting asks for consent like all else: a hit without it is dropped for that reason, whatever else is
    wrong with it, other purposes or not."""
    parts.counters.take()
    hit = make_hit(user_agent="curl/8", prefetch=True)
    assert take(parts, hit, "marketing") is DropReason.NO_CONSENT
    assert take(parts, make_hit(), visit=None) is DropReason.UNKNOWN_VIEW
    (counted,) = parts.counters.take()
    assert {row[1] for row in counted.rows} == {"no_consent", "unknown_view"}


ENGAGED = [
    (1_000, 1_000),
    (-5, 0),
    (60_000 + SLACK_MS, 60_000 + SLACK_MS),
    (60_000 + SLACK_MS + 1, 60_000 + SLACK_MS),
    (2**40, 60_000 + SLACK_MS),
]


@pytest.mark.parametrize(("told", "kept"), ENGAGED)
def test_engaged_time_is_clamped(parts: Parts, told: int, kept: int) -> None:
    """Nobody is engaged for longer than the visit has lasted, give or take a clock, nor for less than nothing."""
    event = take(parts, make_hit(kind="engagement", engaged_ms=told, sequence=3))
    assert isinstance(event, Event)
    assert (event.engaged_ms, event.sequence) == (kept, 3)


def test_engaged_time_has_a_cap(parts: Parts) -> None:
    """A page left open for days counts for at most the configured hours."""
    long = Visit("main", VISIT.id, int(NOW) - 86_400 * 3, int(NOW))
    event = take(parts, make_hit(kind="engagement", engaged_ms=2**40), visit=long)
    assert isinstance(event, Event)
    assert event.engaged_ms == 240 * 60_000


def test_only_page_views_have_a_source(parts: Parts) -> None:
    """Engagement and custom events say nothing of where a visitor came from, and have no engaged time of their own."""
    hit = make_hit(kind="download", url="/?utm_source=x", referrer="https://www.google.nl/", engaged_ms=5)
    event = take(parts, hit)
    assert isinstance(event, Event)
    assert (event.source, event.channel, event.referrer, event.engaged_ms) == ("", "", "", 0)


def test_a_topic_comes_from_the_page_or_its_path(parts: Parts) -> None:
    """The page's own word goes first, then the first rule that fits its path."""
    topics = [
        take(parts, make_hit(url="/artikelen/wik", topic="Rente")),
        take(parts, make_hit(url="/artikelen/wik")),
        take(parts, make_hit(url="/over-ons")),
    ]
    assert [event.topic for event in topics if isinstance(event, Event)] == ["Rente", "Kennisbank", ""]


def test_own_pages_are_no_source(parts: Parts) -> None:
    """A view that comes from a page of the same host has neither source nor channel."""
    event = take(parts, make_hit(referrer="https://www.example.org/contact"))
    assert isinstance(event, Event)
    assert (event.source, event.channel, event.referrer) == ("", "", "")


def test_props_are_bounded(parts: Parts) -> None:
    """At most thirty properties are kept."""
    event = take(parts, make_hit(kind="download", props={f"naam{nr}": "x" for nr in range(100)}))
    assert isinstance(event, Event)
    assert len(event.props) == MAX_PROPS


def test_what_was_refused_within_a_purpose_stands_beside_the_event(tmp_path: Path) -> None:
    """A receiver that visitors know by a service of its own must not hear of whoever refused that."""
    with opened_parts(tmp_path) as parts:
        site = parts.config.sites[0]
        decision = msgspec.structs.replace(
            make_decision(site, "analytics", "marketing"), refused=frozenset({"video", "ads"})
        )
        collect(make_hit(), decision, VISIT, site, parts)
        parts.journal.close()
        (recorded,) = read_recorded(parts.config.data_folder)
        assert recorded.granted == ("analytics", "marketing", "-ads", "-video")


def test_who_must_not_hear_of_a_path_is_found_before_it_is_masked(tmp_path: Path) -> None:
    """The journal says from whom an event is to be kept although masking left nothing of its path; its search too."""
    table = '[[destinations]]\nkind = "webhook"\nurl = "https://crm.example.org"\nsecret = "env:X"\npurposes = ["analytics"]\n'
    tables = f'{table}name = "crm"\nnever_forward = ["/dossier-"]\n{table}name = "open"\n'
    (tmp_path / "destinations.toml").write_text(tables)
    with opened_parts(tmp_path) as parts:
        site = parts.config.sites[0]
        hit = make_hit(url="/dossier-Ab12Cd34Ef56Gh78/?q=zorg")
        collect(hit, make_decision(site, "analytics"), VISIT, site, parts)
        parts.journal.close()
        recorded = read_recorded(parts.config.data_folder)
        assert [(one.event.path, one.kept_from) for one in recorded] == [("/:id/", ("crm",))] * 2


def test_an_event_is_on_disk_when_it_is_done(tmp_path: Path) -> None:
    """When `done` is called the event can be read from the journal, with the consent that it was recorded under."""
    with opened_parts(tmp_path) as parts:
        site, done = parts.config.sites[0], threading.Event()
        found: list[JournalFull | None] = []

        def answer(fault: JournalFull | None) -> None:
            found.append(fault)
            done.set()

        collect(make_hit(), make_decision(site, "analytics", "marketing"), VISIT, site, parts, answer)
        assert done.wait(5)
        (recorded,) = read_recorded(parts.config.data_folder)
        assert found == [None]
        assert (recorded.consent_id, recorded.revision, recorded.granted) == (CONSENT_ID, 1, ("analytics", "marketing"))
        parts.journal.close()
        with pytest.raises(JournalFull):
            collect(make_hit(), make_decision(site, "analytics"), VISIT, site, parts)


def test_a_network_is_kept_only_for_a_destination_that_asks(tmp_path: Path) -> None:
    """With a destination that includes networks the event has the /24, and never the address."""
    (tmp_path / "destinations.toml").write_text(
        '[[destinations]]\nname = "crm"\nkind = "webhook"\nurl = "https://crm.example.org/"\nsecret = "env:CRM"\n'
        'purposes = ["marketing"]\ninclude_network = true\n'
    )
    with opened_parts(tmp_path) as parts:
        event = take(parts, make_hit())
        assert isinstance(event, Event)
        assert event.network == "192.0.2.0/24"


SEARCHED = [
    ("/zoeken?q=Wik%20Brief&utm_source=x", "wik brief"),
    ("/?page=2&zoekterm=+dossier+1234567+", "dossier :id"),
    ("/?q=jan@voorbeeld.nl", ":id"),
    ("/?q=&s=rente", "rente"),
    ("/?q=%20", None),
    ("/?quote=a", None),
    ("/zoeken", None),
]


@pytest.mark.parametrize(("url", "term"), SEARCHED)
def test_what_is_looked_for_is_an_event_of_its_own(url: str, term: str | None, tmp_path: Path) -> None:
    """The words of the site's own search, masked, in small letters, stand in an event beside the view, which has none."""
    with opened_parts(tmp_path) as parts:
        take(parts, make_hit(url=url))
        take(parts, make_hit(url=url, kind="download"))
    events = [recorded.event for recorded in read_recorded(parts.config.data_folder)]
    assert [event.props for event in events if event.kind == "search"] == ([{"term": term}] if term else [])
    assert [event.props for event in events if event.kind == "page_view"] == [{}]
    assert len({(event.path, event.visit_id, event.view_id) for event in events}) == 1


def test_search_is_not_counted_where_it_is_switched_off(tmp_path: Path) -> None:
    """Nothing of a query is kept then."""
    with opened_parts(tmp_path, {"analytics": {"automatic": {"search": False}}}) as parts:
        take(parts, make_hit(url="/?q=rente"))
    assert "rente" not in repr(read_recorded(parts.config.data_folder))


def test_what_the_script_tells_goes_along(parts: Parts) -> None:
    """Scroll depth, width, vitals and revenue stand in the event as they were told."""
    told = Told(scroll=50, screen="wide", lcp=900, inp=40, cls=3)
    event = take(parts, make_hit(kind="engagement", told=told))
    assert isinstance(event, Event) and event.told == told


def test_nothing_on_disk_connects_two_days(tmp_path: Path) -> None:
    """Who came on two days is one visitor of the month. The keys of the days are stored, and differ; the key of the month, in
    whatever form, stands in no file: not in journal, event store or database."""
    with opened_parts(tmp_path) as parts:
        site, data = parts.config.sites[0], parts.config.data_folder
        events = [
            collect(make_hit(at=at), make_decision(site, "analytics"), VISIT, site, parts) for at in (NOW, NOW + 86_400)
        ]
        parts.visitors.months.write(parts.engine)
        parts.journal.close()
        journalled = read_all(data)
        with closing(DuckDBStore(data / "events.duckdb")) as store:
            drain_once(data / JOURNAL_FOLDER, store, parts.engine, (), NOW)
        with reading(parts.engine) as connection:
            salts = {row.day: bytes(row.salt) for row in connection.execute(select(SALTS))}
        assert estimate_month(parts.engine, "main", "2026-05") == pytest.approx(1, abs=0.01)
        day, other = (event.visitor for event in events if isinstance(event, Event))
        month = int.from_bytes(hmac.digest(salts["2026-05"], CONSENT_ID.encode(), "sha256")[:8])
        stored = read_all(data)
        cells = read_cells(data / "events.duckdb")
        assert day != other and all(str(key).encode() in journalled for key in (day, other))
        assert day in cells and month not in cells  # a visit keeps the key it began with
        for form in (str(month).encode(), f"{month:x}".encode(), month.to_bytes(8, "little"), month.to_bytes(8, "big")):
            assert form not in journalled + stored


def read_cells(path: Path) -> set[object]:
    """What any cell of any table of an event store holds: its file is packed, and does not show numbers as they are."""
    with closing(duckdb.connect(path, read_only=True)) as store:
        tables = [name for (name,) in store.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return {cell for name in tables for row in store.execute(f'SELECT * FROM "{name}"').fetchall() for cell in row}


def read_all(folder: Path) -> bytes:
    """Every file of a data folder, one after the other."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
