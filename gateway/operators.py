"""Operators of the console and their sessions: who may sign in, and which browser is signed in.

Passwords are kept as argon2id hashes, session tokens as SHA-256 only, so that a copy of the database signs nobody in.
Times are epoch seconds and come in as `now`.
"""

import hmac
import re
import secrets
import unicodedata

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.database import OPERATORS, SESSIONS, reading, transaction
from gateway.errors import ConfigError
from gateway.keys import digest, new_key

SESSION_SECONDS = 12 * 3600
SEEN_EVERY_SECONDS = 300
MIN_CHARACTERS = 12
MAX_CHARACTERS = 1024
MIN_DIFFERENT = 5
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
# OWASP's memory-lean setting, one pass more: 19 MiB and some 50 ms for each attempt.
HASHER = PasswordHasher(time_cost=3, memory_cost=19_456, parallelism=1)
# Checked when the name is unknown, so that an unknown name takes as long as a wrong password.
DECOY = "$argon2id$v=19$m=19456,t=3,p=1$wA+i64eRN1FDA6YOvqhHGg$JC1mtIowo3UM1W9OcLjJ9ZGgunmNEwJT8TU/du9of/8"
WELL_KNOWN = ("password", "wachtwoord", "welkom", "qwerty", "123456789012", "changeme", "letmein")


class Operator(msgspec.Struct, frozen=True):
    """Someone who may sign in to the console; `created_at` is epoch seconds."""

    name: str
    created_at: float


def add_operator(engine: Engine, name: str, password: str, now: float) -> None:
    """Make an operator. Raises ConfigError for a bad or taken name and for a weak password."""
    name = _checked_name(name)
    row = {"name": name, "password_hash": hash_password(name, password), "created_at": now}
    try:
        with transaction(engine) as connection:
            connection.execute(insert(OPERATORS).values(row))
    except IntegrityError as error:
        raise ConfigError("operator", "name", name, "exists already") from error


def set_password(engine: Engine, name: str, password: str) -> None:
    """Give an operator another password and end all of their sessions. Raises ConfigError."""
    name = _checked_name(name)
    changed = update(OPERATORS).where(OPERATORS.c.name == name)
    hashed = hash_password(name, password)
    with transaction(engine) as connection:
        if not connection.execute(changed.values(password_hash=hashed)).rowcount:
            raise ConfigError("operator", "name", name, "no such operator")
        connection.execute(delete(SESSIONS).where(SESSIONS.c.operator == name))


def remove_operator(engine: Engine, name: str) -> None:
    """Delete an operator with all of their sessions. Raises ConfigError when there is none of that name."""
    name = fold_name(name)
    with transaction(engine) as connection:
        if not connection.execute(delete(OPERATORS).where(OPERATORS.c.name == name)).rowcount:
            raise ConfigError("operator", "name", name, "no such operator")
        connection.execute(delete(SESSIONS).where(SESSIONS.c.operator == name))


def list_operators(engine: Engine) -> list[Operator]:
    """All operators, by name."""
    query = select(OPERATORS.c.name, OPERATORS.c.created_at).order_by(OPERATORS.c.name)
    with reading(engine) as connection:
        return [Operator(row.name, row.created_at) for row in connection.execute(query)]


def check_password(engine: Engine, name: str, password: str) -> bool:
    """Whether this is the operator's password. Takes as long for a name that does not exist."""
    hashed = _find_hash(engine, fold_name(name))
    return verify_password(hashed or DECOY, password) and hashed is not None


def verify_password(hashed: str, password: str) -> bool:
    """Whether a password is the one of which this is the argon2id hash."""
    try:
        return HASHER.verify(hashed, _folded_password(password[:MAX_CHARACTERS]))
    except (VerificationError, InvalidHashError):
        return False


def open_session(engine: Engine, name: str, now: float) -> str:
    """Start a session and return its token (43 characters); only its SHA-256 is stored."""
    token = new_key()
    row = {"token_hash": digest(token), "operator": fold_name(name), "created_at": now, "seen_at": now}
    with transaction(engine) as connection:
        connection.execute(delete(SESSIONS).where(SESSIONS.c.created_at <= now - SESSION_SECONDS))
        connection.execute(insert(SESSIONS).values(row))
    return token


def find_session(engine: Engine, token: str, now: float) -> str | None:
    """The operator whose session this token is, or None: unknown, ended, expired, or operator removed."""
    if not token or len(token) > 128:
        return None
    query = (
        select(SESSIONS.c.operator, SESSIONS.c.seen_at)
        .join(OPERATORS, OPERATORS.c.name == SESSIONS.c.operator)
        .where(SESSIONS.c.token_hash == digest(token), SESSIONS.c.created_at > now - SESSION_SECONDS)
    )
    with reading(engine) as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    if now - row.seen_at > SEEN_EVERY_SECONDS:
        _mark_seen(engine, token, now)
    return str(row.operator)


def close_session(engine: Engine, token: str) -> None:
    """End a session on our side; its token is worth nothing afterwards."""
    with transaction(engine) as connection:
        connection.execute(delete(SESSIONS).where(SESSIONS.c.token_hash == digest(token)))


def sign_browser(engine: Engine, name: str) -> str:
    """A token that says: this browser has signed in as this operator before. It grants nothing.

    Keyed by the stored password hash, so that it ends with the password and needs no table.
    """
    nonce = secrets.token_hex(16)
    return f"{nonce}{_browser_seal(engine, name, nonce)}"


def find_browser(engine: Engine, name: str, token: str) -> str | None:
    """The browser's nonce when the token was signed for this operator under the present password."""
    nonce, seal = token[:32], token[32:]
    if not re.fullmatch("[0-9a-f]{96}", token):
        return None
    return nonce if hmac.compare_digest(seal, _browser_seal(engine, name, nonce)) else None


def fold_name(name: str) -> str:
    """The form in which names are stored and compared: trimmed, lower case, at most 64 characters."""
    return name.strip().lower()[:64]


def _browser_seal(engine: Engine, name: str, nonce: str) -> str:
    name = fold_name(name)
    # An unknown name has a key that nobody can know, and costs the same.
    key = _find_hash(engine, name) or secrets.token_hex(16)
    return hmac.digest(key.encode(), f"gateway:browser:{name}:{nonce}".encode(), "sha256").hex()


def _find_hash(engine: Engine, name: str) -> str | None:
    if not NAME_PATTERN.fullmatch(name):  # PostgreSQL, for one, refuses to be asked about a NUL
        return None
    with reading(engine) as connection:
        query = select(OPERATORS.c.password_hash).where(OPERATORS.c.name == name)
        return connection.execute(query).scalar_one_or_none()


def _mark_seen(engine: Engine, token: str, now: float) -> None:
    with transaction(engine) as connection:
        row = SESSIONS.c.token_hash == digest(token)
        connection.execute(update(SESSIONS).where(row).values(seen_at=now))


def _checked_name(name: str) -> str:
    folded = fold_name(name)
    if not NAME_PATTERN.fullmatch(folded) or len(name.strip()) > 64:
        wanted = "wanted 1 to 64 of: letters a-z, digits, dot, dash, underscore, @; a letter or digit first"
        raise ConfigError("operator", "name", name[:80], wanted)
    return folded


def hash_password(name: str, password: str, what: str = "operator") -> str:
    """The argon2id hash of a new password; `name` is of `what` it opens. Raises ConfigError for a weak one."""
    fault = find_password_fault(name, password)
    if fault:
        raise ConfigError(what, "password", None, fault)
    return HASHER.hash(_folded_password(password))


def find_password_fault(name: str, password: str) -> str | None:
    """What is wrong with a new password, in words for the operator; None when it will do."""
    plain = password.lower()
    if len(password) < MIN_CHARACTERS:
        return f"is too short; wanted at least {MIN_CHARACTERS} characters"
    if len(password) > MAX_CHARACTERS:
        return f"is too long; wanted at most {MAX_CHARACTERS} characters"
    if len(set(plain)) < MIN_DIFFERENT or any(plain.startswith(word) for word in WELL_KNOWN):
        return "is easy to guess; wanted something that is on no list"
    if len(name) >= MIN_DIFFERENT and name in plain:
        return "contains the name that it is for; wanted one that does not"
    return None


def _folded_password(password: str) -> str:
    """The same password typed on another keyboard: composed and decomposed letters are equal."""
    return unicodedata.normalize("NFKC", password)
