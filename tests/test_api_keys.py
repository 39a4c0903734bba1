"""Keys of programs, on SQLite and on PostgreSQL."""

import msgspec
import pytest
from sqlalchemy import Engine, select

from gateway import ledger
from gateway.api_keys import USED_EVERY_SECONDS, add_key, describe_key, find_key, list_keys, revoke_key
from gateway.database import API_KEYS, reading
from gateway.errors import ConfigError

NOW = 1_795_000_000.0


def make(engine: Engine, *scopes: str, sites: tuple[str, ...] = ("main",)) -> str:
    """A key as its holder sends it."""
    key = describe_key("Weekly report", scopes or ("read",), sites, 60, NOW)
    return add_key(engine, key, "command line", "main", NOW)


def test_a_key_opens_what_it_was_made_for(engine: Engine) -> None:
    """Whoever shows a key is known by it, with its scopes, sites and rate; a key without sites is for every one."""
    found = find_key(engine, make(engine, "read", "collect"), NOW)
    assert found is not None
    assert (found.name, found.scopes, found.per_minute) == ("Weekly report", ("read", "collect"), 60)
    assert [found.covers("main"), found.covers("other")] == [True, False]
    anywhere = find_key(engine, make(engine, sites=()), NOW)
    assert anywhere is not None and anywhere.covers("other")


def test_a_key_cannot_be_read_from_the_database(engine: Engine) -> None:
    """A copy of the table opens nothing: of the secret there is only a SHA-256."""
    token = make(engine)
    secret = token.split("_", 2)[2]
    with reading(engine) as connection:
        stored = repr(list(connection.execute(select(API_KEYS))))
    assert len(secret) == 43 and secret not in stored
    assert secret not in repr(list(ledger.entries(engine)))


def test_nothing_but_the_whole_key_is_the_key(engine: Engine) -> None:
    """A wrong secret, a wrong id, more or less than the key: none of them is known."""
    token = make(engine)
    last = "B" if token[-1] == "A" else "A"
    for wrong in (token[:-1] + last, token + "x", token.upper(), "gwk_" + "0" * 12 + token[16:], "", "\0"):
        assert find_key(engine, wrong, NOW) is None


def test_a_revoked_key_is_worth_nothing_but_stays_known(engine: Engine) -> None:
    """From its next use on nobody is let in by it; it cannot be revoked twice."""
    token = make(engine)
    [key] = list_keys(engine)
    revoke_key(engine, key.id, "anke", "main", NOW + 5)
    assert find_key(engine, token, NOW + 5) is None
    assert [(one.id, one.revoked_at) for one in list_keys(engine)] == [(key.id, NOW + 5)]
    with pytest.raises(ConfigError, match="no such key in force"):
        revoke_key(engine, key.id, "anke", "main", NOW + 6)


def test_the_last_use_is_noted_now_and_then(engine: Engine) -> None:
    """An operator sees which keys are in use; not every request writes."""
    token = make(engine)
    assert [key.used_at for key in list_keys(engine)] == [None]
    for later in (1.0, 2.0, USED_EVERY_SECONDS + 2.0):
        find_key(engine, token, NOW + later)
        expected = NOW + later if later != 2.0 else NOW + 1.0
        assert [key.used_at for key in list_keys(engine)] == [expected]


def test_what_is_done_with_keys_stands_in_the_ledger(engine: Engine) -> None:
    """Making and revoking are records of the chain, by whom and of which key."""
    make(engine)
    [key] = list_keys(engine)
    revoke_key(engine, key.id, "anke", "main", NOW + 5)
    bodies = [msgspec.json.decode(entry.body) for entry in ledger.entries(engine) if entry.kind == "api_key"]
    assert [(body["action"], body["key"], body["operator"]) for body in bodies] == [
        ("add", key.id, "command line"),
        ("revoke", key.id, "anke"),
    ]
    assert ledger.verify(engine) == 2


@pytest.mark.parametrize(
    ("name", "scopes", "rate", "fault"),
    [("", ("read",), 60, "name"), ("a\nb", ("read",), 60, "name"), ("x", (), 60, "scope"),
     ("x", ("write",), 60, "scope"), ("x", ("read",), 0, "per_minute")],
)  # fmt: skip
def test_what_no_key_can_be_is_refused(
    engine: Engine, name: str, scopes: tuple[str, ...], rate: int, fault: str
) -> None:
    """A bad name, no scope, an unknown one, no rate: each is said, and nothing is made."""
    with pytest.raises(ConfigError, match=f"key: {fault}"):
        add_key(engine, describe_key(name, scopes, (), rate, NOW), "anke", "main", NOW)
    assert list_keys(engine) == []
