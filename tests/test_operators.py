"""Operators and sessions, on SQLite and on PostgreSQL."""

import pytest
from argon2 import extract_parameters
from sqlalchemy import Engine, func, select, update

from gateway.database import OPERATORS, SESSIONS, reading, transaction
from gateway.errors import ConfigError
from gateway.operators import (
    DECOY,
    HASHER,
    SESSION_SECONDS,
    add_operator,
    check_password,
    close_session,
    find_browser,
    find_session,
    list_operators,
    open_session,
    remove_operator,
    set_password,
    sign_browser,
)

NOW = 1_795_000_000.0
PASSWORD = "stapel kaas met bieslook"
OTHER = "nog een stapel met mosterd"


def stored(engine: Engine) -> str:
    """Everything in the two tables as one text."""
    with reading(engine) as connection:
        rows = [*connection.execute(select(OPERATORS)), *connection.execute(select(SESSIONS))]
    return repr(rows)


def test_an_operator_may_sign_in_with_their_password_only(engine: Engine) -> None:
    """The right password is right, in any spelling of the name and of its accents; every other is wrong."""
    add_operator(engine, " Anke ", "cafe\u0301 met stapels kaas", NOW)
    assert [(o.name, o.created_at) for o in list_operators(engine)] == [("anke", NOW)]
    assert check_password(engine, "ANKE", "caf\u00e9 met stapels kaas")
    for wrong in ("", "cafe met stapels kaas", "caf\u00e9 met stapels kaas ", "x" * 100_000, "\0"):
        assert not check_password(engine, "anke", wrong)


def test_neither_password_nor_token_can_be_read_from_the_database(engine: Engine) -> None:
    """A copy of the tables signs nobody in: the password is an argon2id hash, the token a SHA-256."""
    add_operator(engine, "anke", PASSWORD, NOW)
    token = open_session(engine, "anke", NOW)
    assert PASSWORD not in stored(engine)
    assert token not in stored(engine)
    assert "$argon2id$" in stored(engine)
    assert len(token) == 43


@pytest.mark.parametrize("name", ["", " ", "-x", "a b", "x" * 65, "na\nam", "näam", "a\0b", "'; DROP TABLE operators"])
def test_a_bad_name_is_refused_with_what_is_wanted(engine: Engine, name: str) -> None:
    """Names have a small alphabet, so that they are safe in logs and lists."""
    with pytest.raises(ConfigError, match="operator: name"):
        add_operator(engine, name, PASSWORD, NOW)
    assert list_operators(engine) == []


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("elfletters!", "at least 12"),
        ("x" * 1025, "at most 1024"),
        ("abababababab", "easy to guess"),
        ("Password1234", "easy to guess"),
        ("wachtwoord-2026", "easy to guess"),
        ("mijn.beheerder.pas", "name that it is for"),
    ],
)
def test_a_weak_password_is_refused_and_never_repeated(engine: Engine, password: str, why: str) -> None:
    """Short, common and telling passwords are refused with the reason, and do not appear in the error."""
    with pytest.raises(ConfigError, match=why) as caught:
        add_operator(engine, "beheerder", password, NOW)
    assert password not in str(caught.value)
    assert list_operators(engine) == []


def test_a_name_is_taken_once(engine: Engine) -> None:
    """Adding an operator that exists changes nothing, the password least of all."""
    add_operator(engine, "anke", PASSWORD, NOW)
    with pytest.raises(ConfigError, match="exists already"):
        add_operator(engine, "Anke", OTHER, NOW)
    assert check_password(engine, "anke", PASSWORD)


def test_an_unknown_name_costs_what_a_wrong_password_costs(engine: Engine) -> None:
    """The decoy is hashed with the very settings of real passwords, so that time does not tell names apart."""
    assert extract_parameters(DECOY) == extract_parameters(HASHER.hash(PASSWORD))
    assert not check_password(engine, "niemand", "no operator has this password")
    assert not check_password(engine, "a\0b", PASSWORD)


def test_a_session_lives_twelve_hours_from_its_start(engine: Engine) -> None:
    """Use does not make a session longer; when it is over, the next one clears it away."""
    add_operator(engine, "anke", PASSWORD, NOW)
    token = open_session(engine, "anke", NOW)
    assert find_session(engine, token, NOW + SESSION_SECONDS - 1) == "anke"
    assert find_session(engine, token, NOW + SESSION_SECONDS) is None
    open_session(engine, "anke", NOW + SESSION_SECONDS)
    with reading(engine) as connection:
        assert connection.execute(select(func.count()).select_from(SESSIONS)).scalar_one() == 1


def test_use_of_a_session_is_noted(engine: Engine) -> None:
    """The time of last use is kept to some minutes."""
    add_operator(engine, "anke", PASSWORD, NOW)
    token = open_session(engine, "anke", NOW)
    find_session(engine, token, NOW + 299)
    find_session(engine, token, NOW + 301)
    with reading(engine) as connection:
        assert connection.execute(select(SESSIONS.c.seen_at)).scalar_one() == NOW + 301


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "x" * 100_000, "\0", "é", "' OR 1=1 --"])
def test_an_invented_token_is_nobodys(engine: Engine, token: str) -> None:
    """Whatever a cookie says, only a token that we gave out is a session."""
    add_operator(engine, "anke", PASSWORD, NOW)
    open_session(engine, "anke", NOW)
    assert find_session(engine, token, NOW) is None


def test_sessions_end_with_sign_out_new_password_and_removal(engine: Engine) -> None:
    """Each of the three makes a copied token worthless at once; other operators stay signed in."""
    for name in ("anke", "bas"):
        add_operator(engine, name, PASSWORD, NOW)
    first, second, other = (open_session(engine, name, NOW) for name in ("anke", "anke", "bas"))
    close_session(engine, first)
    assert find_session(engine, first, NOW) is None
    assert find_session(engine, second, NOW) == "anke"
    set_password(engine, "anke", OTHER)
    assert find_session(engine, second, NOW) is None
    assert check_password(engine, "anke", OTHER)
    assert not check_password(engine, "anke", PASSWORD)
    third = open_session(engine, "anke", NOW)
    remove_operator(engine, "anke")
    assert find_session(engine, third, NOW) is None
    assert find_session(engine, other, NOW) == "bas"


def test_changing_nobody_is_an_error(engine: Engine) -> None:
    """A mistyped name is told, not passed over."""
    with pytest.raises(ConfigError, match="no such operator"):
        set_password(engine, "anke", PASSWORD)
    with pytest.raises(ConfigError, match="no such operator"):
        remove_operator(engine, "anke")


def test_a_known_browser_is_known_for_one_operator_and_one_password(engine: Engine) -> None:
    """The token of a browser holds for the operator who signed in there, until their password changes."""
    for name in ("anke", "bas"):
        add_operator(engine, name, PASSWORD, NOW)
    token = sign_browser(engine, "anke")
    assert find_browser(engine, "Anke", token) == token[:32]
    assert find_browser(engine, "bas", token) is None
    assert find_browser(engine, "niemand", sign_browser(engine, "niemand")) is None
    for forged in ("", "x" * 96, token[:-1], token + "0", token[:-1] + ("0" if token[-1] != "0" else "1"), "é" * 96):
        assert find_browser(engine, "anke", forged) is None
    set_password(engine, "anke", OTHER)
    assert find_browser(engine, "anke", token) is None


def test_a_damaged_hash_lets_nobody_in(engine: Engine) -> None:
    """What is not an argon2 hash matches no password and raises nothing."""
    add_operator(engine, "anke", PASSWORD, NOW)
    with transaction(engine) as connection:
        connection.execute(update(OPERATORS).values(password_hash="plain"))
    assert not check_password(engine, "anke", "plain")
