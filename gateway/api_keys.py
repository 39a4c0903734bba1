"""Keys of programs: which one may read figures, which one may tell of events, and for which sites.

A key is shown once, when it is made: `gwk_`, its id, and a secret of 256 random bits. Only the secret's SHA-256 is kept,
so that a copy of the database opens nothing; a secret that nobody chose needs no slow hash. What is done with keys stands
in the ledger. Times are epoch seconds and come in as `now`.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, insert, select, update

from gateway import ledger
from gateway.database import API_KEYS, reading, transaction
from gateway.errors import ConfigError
from gateway.keys import digest, is_secret, new_key

READ, COLLECT = "read", "collect"
SCOPES = (READ, COLLECT)
RECORD = "api_key"  # in the ledger
USED_EVERY_SECONDS = 300
MAX_PER_MINUTE = 100_000
TOKEN = re.compile(r"gwk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})\Z")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}\Z")


class ApiKey(msgspec.Struct, frozen=True):
    """What is known of a key but its secret. No `sites`: every site, those to come included."""

    id: str
    name: str
    scopes: tuple[str, ...]
    sites: tuple[str, ...]
    per_minute: int
    created_at: float
    used_at: float | None = None
    revoked_at: float | None = None

    def covers(self, site: str) -> bool:
        """Whether the key is for this site."""
        return not self.sites or site in self.sites


def add_key(engine: Engine, key: ApiKey, operator: str, site: str, now: float) -> str:
    """Make a key as `key` describes it, and return what its holder sends; it cannot be shown again.

    `site` is under which the ledger records it. Raises ConfigError for a bad name, scope or rate.
    """
    check_key(key)
    secret = new_key()
    row = msgspec.structs.asdict(key) | {
        "scopes": " ".join(key.scopes),
        "sites": " ".join(key.sites),
        "secret_hash": digest(secret),
    }
    with transaction(engine) as connection:
        connection.execute(insert(API_KEYS).values(row))
        described = {"name": key.name, "scopes": list(key.scopes), "sites": list(key.sites)}
        _record(connection, site, now, {"action": "add", "key": key.id, "operator": operator, **described})
    return f"gwk_{key.id}_{secret}"


def describe_key(name: str, scopes: Sequence[str], sites: Sequence[str], per_minute: int, now: float) -> ApiKey:
    """A key that is yet to be made, with an id of its own."""
    return ApiKey(secrets.token_hex(6), name.strip(), tuple(scopes), tuple(sites), per_minute, now)


def check_key(key: ApiKey) -> None:
    """Raise ConfigError for what no key can be."""
    if not NAME.match(key.name):
        wanted = "wanted 1 to 64 letters a-z, digits, spaces and . _ @ -; a letter or digit first"
        raise ConfigError("key", "name", key.name[:80], wanted)
    unknown = [scope for scope in key.scopes if scope not in SCOPES]
    if unknown or not key.scopes:
        raise ConfigError("key", "scope", ", ".join(unknown) or None, f"wanted one or both of {', '.join(SCOPES)}")
    if key.per_minute not in range(1, MAX_PER_MINUTE + 1):
        raise ConfigError("key", "per_minute", key.per_minute, f"wanted 1 to {MAX_PER_MINUTE}")


def revoke_key(engine: Engine, key_id: str, operator: str, site: str, now: float) -> None:
    """Make a key worthless, from its next use on. Raises ConfigError when there is none of that id in force."""
    row = (API_KEYS.c.id == key_id) & API_KEYS.c.revoked_at.is_(None)
    with transaction(engine) as connection:
        if not connection.execute(update(API_KEYS).where(row).values(revoked_at=now)).rowcount:
            raise ConfigError("key", "id", key_id[:80], "no such key in force")
        _record(connection, site, now, {"action": "revoke", "key": key_id, "operator": operator})


def list_keys(engine: Engine) -> list[ApiKey]:
    """All keys, the revoked ones included, in the order in which they were made."""
    with reading(engine) as connection:
        rows = connection.execute(select(API_KEYS).order_by(API_KEYS.c.created_at, API_KEYS.c.id))
        return [_key(row) for row in rows.mappings()]


def find_key(engine: Engine, token: str, now: float) -> ApiKey | None:
    """The key that somebody shows, or None: malformed, unknown, wrong secret, revoked. Its use is noted now and then."""
    shown = TOKEN.match(token)
    if shown is None:
        return None
    with reading(engine) as connection:
        row = connection.execute(select(API_KEYS).where(API_KEYS.c.id == shown[1])).mappings().first()
    right = is_secret(shown[2], row["secret_hash"] if row else None)
    if row is None or not right or row["revoked_at"] is not None:
        return None
    if now - (row["used_at"] or 0) > USED_EVERY_SECONDS:
        with transaction(engine) as connection:
            connection.execute(update(API_KEYS).where(API_KEYS.c.id == shown[1]).values(used_at=now))
    return _key(row)


def _key(row: Mapping[Any, Any]) -> ApiKey:
    known = {field: row[field] for field in ApiKey.__struct_fields__}
    return ApiKey(**known | {"scopes": tuple(row["scopes"].split()), "sites": tuple(row["sites"].split())})


def _record(connection: Connection, site: str, now: float, body: dict[str, object]) -> None:
    ledger.append(connection, at=now, site=site, kind=RECORD, consent_id=None, body=body)
