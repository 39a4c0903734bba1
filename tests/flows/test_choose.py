"""A choice is committed with all that follows from it, or not at all; what was taken back grants nothing any more."""

import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, event, func, select
from sqlalchemy.exc import DBAPIError

from gateway import ledger
from gateway.config import Config
from gateway.consent.decision import Choice, decide
from gateway.consent.tombstones import open_tombstones
from gateway.database import CONSENTS, LEDGER, OUTBOX, TOMBSTONES, reading, transaction
from gateway.destinations.base import Notice
from gateway.destinations.outbox import Delivery, add_deliveries
from gateway.flows import choose as choose_module
from gateway.flows.choose import RESERVE_FILE, Chosen, Said, choose, make_reserve
from tests.example_site import NOW, POLICY_TOML, make_choice, read_policy, write_site
from tests.migrated import open_migrated

DESTINATIONS = """
[[destinations]]
name = "crm"
kind = "webhook"
url = "https://crm.example.org/"
secret = "env:CRM"
purposes = ["marketing"]
[[destinations]]
name = "both"
kind = "webhook"
url = "https://both.example.org/"
secret = "env:CRM"
purposes = ["analytics", "marketing"]
[[destinations]]
name = "cijfers"
kind = "webhook"
url = "https://cijfers.example.org/"
secret = "env:CRM"
purposes = ["analytics"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The example site with three receivers of different purposes."""
    (tmp_path / "destinations.toml").write_text(DESTINATIONS)
    return write_site(tmp_path)


def say(choice: str, *purposes: str) -> Said:
    return Said(choice, frozenset(purposes), "nl", "banner")


def press(
    config: Config, engine: Engine, before: Choice | None, choice: str, *purposes: str, now: float = NOW
) -> Chosen:
    return choose(say(choice, *purposes), before, config.sites[0], config, engine, now)


def last_record(engine: Engine) -> tuple[str | None, dict[str, Any]]:
    with reading(engine) as connection:
        row = connection.execute(select(LEDGER).order_by(LEDGER.c.sequence.desc()).limit(1)).one()
    return row.consent_id, msgspec.json.decode(row.body)


def grants_of(engine: Engine, consent_id: str) -> dict[str, list[Any]]:
    with reading(engine) as connection:
        found = connection.execute(select(CONSENTS.c.grants).where(CONSENTS.c.consent_id == consent_id)).scalar_one()
    return dict(msgspec.json.decode(found))


def count(engine: Engine, table: Any) -> int:
    with reading(engine) as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


FIRST: list[tuple[str, tuple[str, ...], str, list[str]]] = [
    ("accept_all", (), "accepted", ["analytics", "marketing"]),
    ("reject_all", (), "refused", []),
    ("reject_all", ("analytics",), "refused", []),
    ("save", (), "refused", []),
    ("save", ("analytics",), "partly", ["analytics"]),
    ("save", ("analytics", "marketing"), "accepted", ["analytics", "marketing"]),
    ("save", ("analytics", "necessary", "unknown", "sales"), "partly", ["analytics"]),
]


@pytest.mark.parametrize(("choice", "purposes", "outcome", "granted"), FIRST)
def test_a_first_choice_grants_what_was_said(
    engine: Engine, config: Config, choice: str, purposes: tuple[str, ...], outcome: str, granted: list[str]
) -> None:
    """Exactly the purposes said are granted, in the answer, the cookie, the database and the ledger."""
    chosen = press(config, engine, None, choice, *purposes)
    policy = config.sites[0].policy
    assert (chosen.outcome, sorted(chosen.granted), chosen.withdrawn) == (outcome, granted, ())
    assert sorted(decide(chosen.choice, "main", policy, NOW).granted) == granted
    consent_id, body = last_record(engine)
    assert (body["choice"], body["outcome"], body["granted"]) == (choice, outcome, granted)
    assert sorted(body["granted"] + body["refused"]) == ["analytics", "marketing"]
    assert (body["scopes"], body["wording"], body["policy"]) == (policy.scopes, policy.wording, "7")
    if granted:
        assert consent_id == chosen.choice.consent_id
        assert grants_of(engine, chosen.choice.consent_id) == {p: [policy.scopes[p], 1] for p in granted}
    assert ledger.verify(engine) == 1


def test_a_refusal_is_nobody_s(engine: Engine, config: Config) -> None:
    """Who refuses gets no identifier, in cookie or ledger, and the cookie of everybody who refuses in that hour."""
    first = press(config, engine, None, "reject_all", now=NOW)
    second = press(config, engine, None, "reject_all", now=NOW + 60)
    assert first.choice == second.choice
    assert (first.choice.consent_id, first.choice.revision) == ("", 0)
    assert last_record(engine)[0] is None
    assert count(engine, CONSENTS) == count(engine, TOMBSTONES) == 0


def test_ids_are_random_and_long(engine: Engine, config: Config) -> None:
    """Each consent has an id of 128 random bits."""
    ids = {press(config, engine, None, "accept_all").choice.consent_id for _ in range(5)}
    assert len(ids) == 5
    assert all(len(one) == 22 for one in ids)


def test_withdrawing_ends_every_cookie_from_before(engine: Engine, config: Config) -> None:
    """R11: after a withdrawal the tombstone lies above every revision that was handed out before it."""
    yes = press(config, engine, None, "accept_all")
    no = press(config, engine, yes.choice, "reject_all", now=NOW + 10)
    assert (no.outcome, no.withdrawn, no.choice.consent_id) == ("withdrawn", ("analytics", "marketing"), "")
    with reading(engine) as connection:
        (stone,) = connection.execute(select(TOMBSTONES)).all()
    assert (stone.consent_id, stone.revision) == (yes.choice.consent_id, 2)
    assert grants_of(engine, yes.choice.consent_id) == {}
    consent_id, body = last_record(engine)
    assert (consent_id, body["withdrawn"]) == (yes.choice.consent_id, ["analytics", "marketing"])


def test_taking_back_a_part_keeps_the_rest(engine: Engine, config: Config) -> None:
    """A smaller yes ends what went and the cookies from before; what stays holds since it was first granted."""
    yes = press(config, engine, None, "accept_all")
    less = press(config, engine, yes.choice, "save", "analytics", now=NOW + 10)
    assert (less.outcome, less.withdrawn) == ("partly", ("marketing",))
    assert (less.choice.consent_id, less.choice.revision) == (yes.choice.consent_id, 2)
    assert grants_of(engine, yes.choice.consent_id) == {"analytics": [config.sites[0].policy.scopes["analytics"], 1]}
    more = press(config, engine, less.choice, "accept_all", now=NOW + 20)
    assert (more.withdrawn, more.choice.revision) == ((), 3)
    assert {p: since for p, (_, since) in grants_of(engine, yes.choice.consent_id).items()} == {
        "analytics": 1,
        "marketing": 3,
    }


def test_a_yes_after_a_withdrawal_is_a_new_consent(engine: Engine, config: Config) -> None:
    """An id that was withdrawn is never used again, also when its old cookie is presented."""
    yes = press(config, engine, None, "accept_all")
    press(config, engine, yes.choice, "reject_all")
    again = press(config, engine, yes.choice, "accept_all")
    assert again.choice.consent_id not in ("", yes.choice.consent_id)
    assert (again.outcome, again.choice.revision) == ("accepted", 1)


def test_the_same_yes_again_takes_nothing_back(engine: Engine, config: Config) -> None:
    """Accepting what was accepted keeps the id, and cookies from before still count."""
    yes = press(config, engine, None, "accept_all")
    again = press(config, engine, yes.choice, "accept_all")
    assert (again.choice.consent_id, again.withdrawn) == (yes.choice.consent_id, ())
    assert count(engine, TOMBSTONES) == 0


STRANGE = [
    make_choice(read_policy(), "analytics", site="other"),
    make_choice(read_policy(), "analytics"),  # an id that the database does not know
    make_choice(read_policy()),
]


@pytest.mark.parametrize("before", STRANGE)
def test_what_the_database_does_not_know_was_never_granted(engine: Engine, config: Config, before: Choice) -> None:
    """Another site's cookie, or an id that the database does not hold, counts as no consent before."""
    chosen = press(config, engine, before, "reject_all")
    assert (chosen.outcome, chosen.withdrawn, last_record(engine)[0]) == ("refused", (), None)
    yes = press(config, engine, before, "accept_all")
    assert yes.choice.consent_id not in ("", before.consent_id)


def test_a_changed_scope_ends_what_was_recorded_under_the_old_one(
    engine: Engine, config: Config, tmp_path: Path
) -> None:
    """A yes to a purpose whose scope has changed since is a new grant: it holds from now, and old cookies end."""
    yes = press(config, engine, None, "accept_all")
    text = POLICY_TOML.replace('hosts = ["teller.example.net"]', 'hosts = ["other.example.net"]')
    changed = write_site(tmp_path / "changed", policy=text)
    again = press(changed, engine, yes.choice, "accept_all")
    assert (again.outcome, again.withdrawn) == ("accepted", ())
    since = {purpose: revision for purpose, (_, revision) in grants_of(engine, yes.choice.consent_id).items()}
    assert since == {"analytics": 2, "marketing": 1}
    assert count(engine, TOMBSTONES) == 1


def test_withdrawing_cancels_what_has_not_started(engine: Engine, config: Config) -> None:
    """Deliveries that need a purpose taken back are cancelled with the withdrawal; those of others stay."""
    yes = press(config, engine, None, "accept_all")
    with transaction(engine) as connection:
        rows = [
            Delivery(f"e{number}", name, "main", yes.choice.consent_id, 1, b"{}", NOW, NOW + 86_400)
            for number, name in enumerate(("crm", "both", "cijfers"))
        ]
        add_deliveries(connection, rows, NOW)
    press(config, engine, yes.choice, "save", "analytics")
    with reading(engine) as connection:
        rows_now = connection.execute(select(OUTBOX)).all()
    states = {row.destination: row.state for row in rows_now if row.kind == "event"}
    assert states == {"crm": "cancelled", "both": "cancelled", "cijfers": "queued"}
    # and those concerned are to be told, in the same transaction
    notices = {
        row.destination: msgspec.json.decode(row.payload, type=Notice) for row in rows_now if row.kind != "event"
    }
    assert {name: (n.kind, n.purposes) for name, n in notices.items()} == {
        "crm": ("withdrawal", ("marketing",)),
        "both": ("withdrawal", ("marketing",)),
    }


def test_what_fails_leaves_nothing(engine: Engine, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last write of a choice fails, none of its parts is there."""
    yes = press(config, engine, None, "accept_all")

    def fail(*_: object) -> None:
        raise KeyError

    monkeypatch.setattr(choose_module, "_append", fail)
    with pytest.raises(KeyError):
        press(config, engine, yes.choice, "reject_all")
    assert len(grants_of(engine, yes.choice.consent_id)) == 2
    assert (count(engine, TOMBSTONES), ledger.verify(engine)) == (0, 1)


def test_two_tabs_at_once_agree(engine: Engine, config: Config) -> None:
    """F9 (f): many tabs that choose at the same moment are put in order: revisions count up, the chain verifies."""
    yes = press(config, engine, None, "accept_all")
    found: list[Chosen] = []

    def tab(number: int) -> None:
        wanted = ("analytics",) if number % 2 else ("marketing",)
        found.append(press(config, engine, yes.choice, "save", *wanted))

    threads = [threading.Thread(target=tab, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    mine = sorted(one.choice.revision for one in found if one.choice.consent_id == yes.choice.consent_id)
    assert mine == list(range(2, 8))
    assert ledger.verify(engine) == 7


@pytest.mark.slow
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(min_value=0))
def test_random_choices_keep_the_promise(tmp_path_factory: pytest.TempPathFactory, config: Config, seed: int) -> None:
    """Over any run of choices with any cookie handed out so far: a cookie grants what its choice said, until a
    withdrawal of that consent, and nothing from then on."""
    dice = random.Random(seed)
    engine = open_migrated(tmp_path_factory.mktemp("choices") / "gateway.db")
    tombstones = open_tombstones(engine)
    policy = config.sites[0].policy
    cookies: list[Choice] = []
    ended: set[int] = set()
    for step in range(25):
        before = dice.choice([None, *cookies])
        wanted = [purpose for purpose in ("analytics", "marketing") if dice.random() < 0.5]
        chosen = press(config, engine, before, "save", *wanted, now=NOW + step)
        assert sorted(chosen.granted) == wanted
        if chosen.withdrawn and before:
            ended |= {nr for nr, one in enumerate(cookies) if one.consent_id == before.consent_id}
        cookies.append(chosen.choice)
        for number, cookie in enumerate(cookies):
            decision = decide(cookie, "main", policy, NOW + step)
            if not decision.granted:
                continue
            counts = tombstones.floor(cookie.consent_id) <= cookie.revision
            assert counts is (number not in ended)
    assert ledger.verify(engine) == 25
    tombstones.close()
    engine.dispose()


FULL = """
import resource, signal, sys
from pathlib import Path
from gateway import ledger
from gateway.config import load_config
from gateway.database import open_database
from gateway.flows.choose import Said, choose, make_reserve
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
config = load_config(Path(sys.argv[1]), {})
config.data_folder.mkdir()
make_reserve(config.data_folder, 1_000_000)
engine = open_database(config.database_url)
site = config.sites[0]
def say(choice, before):
    return choose(Said(choice, frozenset(), "nl", "banner"), before, site, config, engine, 1.0)
yes = say("accept_all", None)
log = Path(config.data_folder) / "gateway.db-wal"
resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, resource.RLIM_INFINITY))
try:
    say("reject_all", yes.choice)
except Exception as error:
    print(type(error).__name__, (config.data_folder / "reserve.bin").exists())
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(ledger.verify(engine), say("reject_all", yes.choice).outcome, ledger.verify(engine))
"""


@pytest.mark.slow
def test_a_full_disk_costs_the_reserve_first(tmp_path: Path) -> None:
    """When nothing can be written the reserve is given up; if that is no help either, nothing has changed, and the
    choice can be made once there is room."""
    write_site(tmp_path)
    (tmp_path / "gateway.toml").touch()
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], check=False, capture_output=True, text=True)
    assert done.stdout == "OperationalError False\n1 withdrawn 2\n", done.stderr


def test_a_busy_database_keeps_the_reserve(tmp_path: Path, config: Config) -> None:
    """A database that is locked, or away, is no full disk: the reserve stays."""
    config.data_folder.mkdir()
    make_reserve(config.data_folder, 4096)
    engine = open_migrated(tmp_path / "gateway.db")
    impatient = create_engine(engine.url, connect_args={"timeout": 0, "isolation_level": None})
    event.listen(impatient, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with transaction(engine), pytest.raises(DBAPIError, match="locked"):
        press(config, impatient, None, "accept_all")
    assert (config.data_folder / RESERVE_FILE).stat().st_size == 4096
    engine.dispose()
    impatient.dispose()


def test_the_reserve_is_really_there(tmp_path: Path) -> None:
    """The reserve takes its room on the disk, is made once, and none of it when none is wanted."""
    make_reserve(tmp_path, 100_000)
    reserve = tmp_path / RESERVE_FILE
    assert reserve.stat().st_blocks * 512 >= 100_000
    before = reserve.stat().st_mtime_ns
    make_reserve(tmp_path, 200_000)
    assert reserve.stat().st_mtime_ns == before
    make_reserve(tmp_path / "other", 0)
    assert [path.name for path in tmp_path.iterdir()] == [RESERVE_FILE]
