"""Who is let in at the interfaces for programs."""

import pytest
from sqlalchemy import Engine

from gateway.api_keys import add_key, describe_key
from gateway.errors import BadRequest
from gateway.web.api_access import ApiAccess

NOW = 1_795_000_020.0


def make(engine: Engine, scope: str, per_minute: int = 60) -> str:
    """A key as its holder sends it."""
    return add_key(engine, describe_key("Report", (scope,), (), per_minute, NOW), "anke", "main", NOW)


def test_only_holders_of_a_key_of_the_scope_are_let_in(engine: Engine) -> None:
    """No key, no bearer, an unknown key: 401. A key for something else: 403."""
    access, token = ApiAccess(engine, "read"), make(engine, "read")
    assert access.admit(f"Bearer {token}", NOW).name == "Report"
    assert access.admit(f"bearer {token}", NOW).name == "Report"
    for wrong in ("", token, f"Basic {token}", "Bearer ", f"Bearer {token}x"):
        with pytest.raises(BadRequest) as refused:
            access.admit(wrong, NOW)
        assert refused.value.status == 401
    with pytest.raises(BadRequest) as refused:
        access.admit(f"Bearer {make(engine, 'collect')}", NOW)
    assert refused.value.status == 403


def test_a_key_has_its_rate(engine: Engine) -> None:
    """So many requests a minute, each key for itself; with the next minute it goes on."""
    access, token, other = ApiAccess(engine, "read"), make(engine, "read", 2), make(engine, "read", 2)
    access.admit(f"Bearer {token}", NOW)
    access.admit(f"Bearer {token}", NOW)
    with pytest.raises(BadRequest) as refused:
        access.admit(f"Bearer {token}", NOW)
    assert refused.value.status == 429
    access.admit(f"Bearer {other}", NOW)
    access.admit(f"Bearer {token}", NOW + 60)
