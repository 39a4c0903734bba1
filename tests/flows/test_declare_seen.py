"""What an operator decides stands in the file and in the ledger, both or neither; on both databases."""

import threading
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from gateway import ledger
from gateway.config import Config, Site, refresh_sites
from gateway.consent.catalogue import Catalogue, load_catalogue
from gateway.database import transaction
from gateway.errors import BadRequest
from gateway.event import Sight
from gateway.flows.declare_seen import ask_again, declare, keep_held, read_history, switch_mode, undo
from gateway.flows.inventory import Item, add_sights
from gateway.flows.sightings import COOKIE, HOST, SCRIPT, SENT, VIOLATION
from gateway.flows.undeclared import Listed, as_service, judge_item, list_inventory, name_for_policy, usual_purpose
from gateway.overlay import overlay_path, read_overlay
from gateway.policy import Policy, Service
from gateway.resources import config_file
from tests.example_site import NOW, POLICY_TOML, read_policy, write_site


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The shipped one."""
    return load_catalogue(config_file("catalogue"))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = write_site(tmp_path)
    config.data_folder.mkdir(parents=True, exist_ok=True)
    return config


def item(kind: str, name: str, detail: str = "") -> Item:
    return Item("main", kind, name, detail, NOW, NOW, 1, 0, 1, ())


def give(config: Config, engine: Engine, name: str, service: Service | str = "video", reason: str = "") -> Policy:
    site = config.sites[0]
    return declare(config, engine, site, "anke", NOW, kind="host", name=name, service=service, reason=reason)


def records(engine: Engine) -> list[dict[str, object]]:
    """The decisions as they stand in the ledger, which holds together."""
    ledger.verify(engine)
    return [msgspec.json.decode(entry.body) for entry in ledger.entries(engine) if entry.kind == "policy"]


def test_a_decision_is_in_force_and_on_record(config: Config, engine: Engine) -> None:
    """The policy has it under a new version; the ledger says who, what, why, with the hashes of what came of it."""
    policy = give(config, engine, "x.example", Service("fonts", "marketing", "Letters", "L B.V."), "because")
    assert refresh_sites(config).sites[0].policy == policy
    assert (policy.purpose_of_host("x.example"), policy.file.version) == ("marketing", "7+1")
    [record] = records(engine)
    assert record == {
        "action": "declared",
        "operator": "anke",
        "kind": "host",
        "name": "x.example",
        "service": "fonts",
        "reason": "because",
        "version": "7+1",
        "scopes": policy.scopes,
        "wording": policy.wording,
    }


def test_a_decision_is_undone_on_record(config: Config, engine: Engine) -> None:
    """Everything is as before but for the version; what another decision stands on cannot be undone."""
    before = config.sites[0].policy
    give(config, engine, "x.example", Service("fonts", "marketing", "Letters"))
    give(config, engine, "y.example", "fonts")
    site = config.sites[0]
    with pytest.raises(BadRequest, match="is no service of the policy"):
        undo(config, engine, site, "anke", NOW, 1)
    undo(config, engine, site, "bram", NOW, 2)
    policy = undo(config, engine, site, "bram", NOW, 1)
    assert (policy.scopes, policy.hosts, policy.file.version) == (before.scopes, before.hosts, "7+4")
    with pytest.raises(BadRequest, match="no decision 1"):
        undo(config, engine, site, "anke", NOW, 1)
    assert [(one.action, one.operator, one.revision) for one in read_history(engine, "main")] == [
        ("undone", "bram", 1),
        ("undone", "bram", 2),
        ("declared", "anke", 0),
        ("declared", "anke", 0),
    ]


def test_both_or_neither(config: Config, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the file cannot be written nothing is on record; when the record cannot be committed the file is as before."""
    give(config, engine, "x.example")
    path = overlay_path(config.data_folder, "main")
    before = read_overlay(path)

    def full(*_: object) -> None:
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr("gateway.flows.declare_seen.write_overlay", full)
        with pytest.raises(OSError, match="no room"):
            give(config, engine, "y.example")
    with monkeypatch.context() as patch:
        patch.setattr(Connection, "_commit_impl", _lost)
        with pytest.raises(OperationalError):
            give(config, engine, "z.example")
    assert read_overlay(path) == before
    assert [record["name"] for record in records(engine)] == ["x.example"]


def _lost(_: Connection) -> None:
    raise OperationalError("COMMIT", {}, Exception("the connection was lost"))


def test_two_operators_at_once_lose_nothing(config: Config, engine: Engine) -> None:
    """Decisions of the same moment stand one after the other."""
    names = [f"h{number}.example" for number in range(6)]
    threads = [threading.Thread(target=give, args=(config, engine, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    policy = refresh_sites(config).sites[0].policy
    assert {policy.purpose_of_host(name) for name in names} == {"marketing"}
    assert policy.file.version == "7+6"
    assert sorted(str(record["version"]) for record in records(engine)) == [f"7+{number}" for number in range(1, 7)]


def test_a_mode_is_switched_on_record(config: Config, engine: Engine) -> None:
    """It holds before the configuration's, says who switched it, and stands in the ledger."""
    switch_mode(config, engine, config.sites[0], "anke", NOW, "observe")
    site = refresh_sites(config).sites[0]
    assert site.switched is not None
    assert (site.enforce, site.switched.operator, site.switched.at) == (False, "anke", "2026-05-28T20:26:40+00:00")
    assert [(record["action"], record["mode"]) for record in records(engine)] == [("mode", "observe")]


def see(engine: Engine, *seen: tuple[str, str]) -> None:
    rows = [("main", Sight(kind, name, "/", "", NOW, NOW, 1, 0, 0)) for kind, name in seen]
    with transaction(engine) as connection:
        add_sights(connection, rows)


def undeclared(engine: Engine, site: Site, catalogue: Catalogue) -> list[str]:
    return sorted(one.item.name for one in list_inventory(engine, site, catalogue) if one.undeclared)


def test_what_nobody_named_is_undeclared_until_decided(config: Config, engine: Engine, catalogue: Catalogue) -> None:
    """New names ask for a decision; declared or kept held they do not, and asked again they do. Our own cookies, the site's
    own hosts, what cannot be named and harmless scripts never ask."""
    see(engine, (HOST, "x.example"), (HOST, "teller.example.net"), (COOKIE, "mystery"), (COOKIE, "csrftoken"))
    see(engine, (SENT, "gw_consent"), (SENT, "(other)"), (VIOLATION, "inline"), (SCRIPT, "0123456789abcdef"))
    site = config.sites[0]
    assert undeclared(engine, site, catalogue) == ["mystery", "x.example"]
    keep_held(engine, site, "anke", NOW, COOKIE, "mystery")
    give(config, engine, "x.example")
    site = refresh_sites(config).sites[0]
    assert undeclared(engine, site, catalogue) == []
    [kept] = list_inventory(engine, site, catalogue, COOKIE, "mystery")
    assert kept.kept == "anke"
    ask_again(engine, site, "bram", NOW, COOKIE, "mystery")
    assert undeclared(engine, site, catalogue) == ["mystery"]
    assert [record["action"] for record in records(engine)] == ["kept_held", "declared", "ask_again"]


JUDGED = [
    (item(HOST, "a.advert.example.net"), "marketing", ("Voorbeeld Video",), None),
    (item(HOST, "www.google-analytics.com"), "unknown", (), "google_analytics"),
    (item(COOKIE, "_ga"), "unknown", (), "google_analytics"),
    (item(SENT, "_tel_9"), "analytics", ("Teller",), None),
    (item(SCRIPT, "ab", "gtag('config', 'G-:id')"), "unknown", (), "google_analytics"),
    (item(HOST, "nobody.example"), "unknown", (), None),
]


@pytest.mark.parametrize(("seen", "purpose", "services", "suggested"), JUDGED)
def test_things_are_judged_by_policy_and_catalogue(
    seen: Item, purpose: str, services: tuple[str, ...], suggested: str | None, catalogue: Catalogue
) -> None:
    """What the policy names has its purpose and service; for the rest the catalogue is asked."""
    listed: Listed = judge_item(seen, read_policy(), catalogue)
    suggestion = listed.suggestion.id if listed.suggestion else None
    assert (listed.purpose, listed.services, suggestion) == (purpose, services, suggested)


NAMED = [
    (item(HOST, "x.example"), ("host", "x.example")),
    (item(COOKIE, "_hjSession_:id"), ("cookie", "_hjSession_*")),
    (item(SENT, "plain"), ("cookie", "plain")),
    (item(SCRIPT, "ab", "reclame('start', ':id')"), ("inline", "reclame('start', '")),
    (item(VIOLATION, "inline"), None),
    (item(COOKIE, ":id"), None),
    (item(SCRIPT, "ab", "x()"), None),
]


@pytest.mark.parametrize(("seen", "named"), NAMED)
def test_names_are_as_exact_as_they_can_be(seen: Item, named: tuple[str, str] | None) -> None:
    """What was masked becomes a *, and what would name half the world is refused."""
    if named is None:
        with pytest.raises(BadRequest):
            name_for_policy(seen)
    else:
        assert name_for_policy(seen) == named


def _has_plain_host(hosts: tuple[str, ...]) -> bool:
    return any(host.count(".") > 1 and not host.startswith("*.") for host in hosts)


def test_a_catalogue_s_service_takes_nothing_from_others(catalogue: Catalogue) -> None:
    """Hosts and cookies that the policy has under another service stay there, hosts of several services come with none of
    them; a purpose that the policy lacks is asked for."""
    entry = next(
        one
        for one in catalogue.services.values()
        if one.purpose == "analytics" and one.stored and _has_plain_host(one.hosts)
    )
    plain = next(host for host in entry.hosts if not host.startswith("*."))
    for taken in (plain, "*." + plain.partition(".")[2]):
        policy = read_policy(POLICY_TOML.replace('"video.example.net"', f'"{taken}"'))
        assert plain not in as_service(entry, "analytics", policy, catalogue).hosts
    assert plain in as_service(entry, "analytics", read_policy(), catalogue).hosts
    named = read_policy(POLICY_TOML.replace("_ads", entry.stored[0].name))
    assert entry.stored[0].name not in [
        cookie.name for cookie in as_service(entry, "analytics", named, catalogue).cookies
    ]
    policy, shared = read_policy(), catalogue.services["google_analytics"]
    assert "www.google.com" in shared.hosts
    assert "www.google.com" not in as_service(shared, "analytics", policy, catalogue).hosts
    assert usual_purpose(entry, policy) == "analytics"
    assert usual_purpose(catalogue.services["google_maps"], policy) == ""
