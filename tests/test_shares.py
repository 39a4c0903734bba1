"""Links to a site's report, on SQLite and on PostgreSQL."""

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from sqlalchemy import Engine, select

from gateway import ledger
from gateway.database import SHARES, reading
from gateway.errors import ConfigError
from gateway.shares import (
    OPEN_SECONDS,
    add_share,
    describe_share,
    find_share,
    is_opened,
    list_shares,
    open_share,
    revoke_share,
)

NOW = 1_795_000_000.0  # 2026-11-18
ZONE = "Europe/Amsterdam"
PASSWORD = "stapel kaas met bieslook"


def make(engine: Engine, password: str = "", last_day: str = "") -> str:
    """A link's token."""
    share = describe_share("Board", "main", ZONE, last_day, NOW)
    return add_share(engine, share, password, "anke", NOW).removeprefix("/share/")


def test_a_link_opens_its_site_until_it_is_revoked(engine: Engine) -> None:
    """Whoever has it is let in; revoked it is worth nothing, stays known, and cannot be revoked again."""
    token = make(engine)
    found = find_share(engine, token, NOW)
    assert found is not None and (found.name, found.site, found.protected) == ("Board", "main", False)
    revoke_share(engine, found.id, "anke", NOW + 5)
    assert find_share(engine, token, NOW + 5) is None
    assert [(one.id, one.revoked_at) for one in list_shares(engine, "main")] == [(found.id, NOW + 5)]
    assert list_shares(engine, "other") == []
    with pytest.raises(ConfigError, match="no such link in force"):
        revoke_share(engine, found.id, "anke", NOW + 6)


def test_nothing_but_the_whole_link_is_the_link(engine: Engine) -> None:
    """A wrong secret, a wrong id, more or less of it: none of them is known."""
    token = make(engine)
    last = "B" if token[-1] == "A" else "A"
    for wrong in (token[:-1] + last, token + "x", token.upper(), "0" * 12 + token[12:], "", "\0"):
        assert find_share(engine, wrong, NOW) is None


def test_a_link_ends_with_its_last_day(engine: Engine) -> None:
    """The whole of that day in the site's zone it leads somewhere, and not a second longer; a past day is refused."""
    token = make(engine, last_day="2026-11-20")
    end = datetime(2026, 11, 21, tzinfo=ZoneInfo(ZONE)).timestamp()
    last = find_share(engine, token, end - 1)
    assert last is not None and last.last_day(ZONE) == "2026-11-20"
    assert find_share(engine, token, end) is None
    for day in ("2026-11-01", "20 November", "9999-12-31"):
        with pytest.raises(ConfigError, match="share: ends"):
            describe_share("Board", "main", ZONE, day, NOW)


def test_a_password_opens_a_browser_for_a_while(engine: Engine) -> None:
    """Only the right one does; what the browser holds is good for this link, for twelve hours, until the link is another's."""
    share, other = (find_share(engine, make(engine, PASSWORD), NOW) for _ in range(2))
    assert share is not None and other is not None and share.protected
    assert open_share(engine, share, "another cheese with chives", NOW) == ""
    opened = open_share(engine, share, PASSWORD, NOW)
    assert is_opened(engine, share, opened, NOW + OPEN_SECONDS - 1)
    assert not is_opened(engine, share, opened, NOW + OPEN_SECONDS + 1)
    assert not is_opened(engine, other, opened, NOW)
    at, _, seal = opened.partition(".")
    for forged in (f"{int(at) + 60}.{seal}", f"{at}.{'0' * 64}", "", "x", f"{at}."):
        assert not is_opened(engine, share, forged, NOW + 60)


@pytest.mark.parametrize("password", ["short", "welkom12345678", "voor de board dit"])
def test_a_weak_password_makes_no_link(engine: Engine, password: str) -> None:
    """Short, well known, or with the link's own name in it; nothing is made then."""
    if "board" in password:
        assert describe_share("board", "main", ZONE, "", NOW).name == "board"
    with pytest.raises(ConfigError, match="share: password"):
        add_share(engine, describe_share("Board", "main", ZONE, "", NOW), password, "anke", NOW)
    assert list_shares(engine) == []


def test_a_copy_of_the_database_opens_nothing_and_the_ledger_knows(engine: Engine) -> None:
    """Of the link there is a SHA-256, of the password an argon2id hash; making and revoking are records."""
    token = make(engine, PASSWORD)
    [share] = list_shares(engine)
    revoke_share(engine, share.id, "command line", NOW + 1)
    with reading(engine) as connection:
        stored = repr(list(connection.execute(select(SHARES)))) + repr(list(ledger.entries(engine)))
    assert token[13:] not in stored and PASSWORD not in stored and "$argon2id$" in stored
    bodies = [msgspec.json.decode(entry.body) for entry in ledger.entries(engine) if entry.kind == "share"]
    assert [(body["action"], body["share"], body["operator"]) for body in bodies] == [
        ("add", share.id, "anke"),
        ("revoke", share.id, "command line"),
    ]
    assert ledger.verify(engine) == 2
