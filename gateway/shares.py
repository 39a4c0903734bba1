"""Links by which others read a site's report without signing in: public or behind a password, until a day, until revoked.

A link is shown once, when it is made: its id and a secret of 256 random bits. Only the secret's SHA-256 is kept, and of a
password the argon2id hash. What is done with links stands in the ledger. Times are epoch seconds and come in as `now`.
"""

import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Engine, insert, select, update

from gateway import ledger
from gateway.database import SHARES, reading, transaction
from gateway.errors import ConfigError
from gateway.keys import digest, is_secret, new_key
from gateway.operators import hash_password, verify_password

RECORD = "share"  # in the ledger
PATH = "/share/"
OPEN_SECONDS = 12 * 3600  # for which a right password holds in a browser
TOKEN = re.compile(r"([0-9a-f]{12})_([A-Za-z0-9_-]{43})\Z")
MAX_NAME = 64


class Share(msgspec.Struct, frozen=True):
    """What is known of a link but its secret. `ends_at` is the end of its last day, None where it has none."""

    id: str
    name: str
    site: str
    created_at: float
    ends_at: float | None = None
    revoked_at: float | None = None
    protected: bool = False

    def is_open(self, now: float) -> bool:
        """Whether it leads anywhere still."""
        return self.revoked_at is None and (self.ends_at is None or now < self.ends_at)

    def last_day(self, timezone: str) -> str:
        """Its last day as an ISO date of the site's zone; empty where it has none."""
        return (
            ""
            if self.ends_at is None
            else datetime.fromtimestamp(self.ends_at - 1, ZoneInfo(timezone)).date().isoformat()
        )


def describe_share(name: str, site: str, timezone: str, last_day: str, now: float) -> Share:
    """A link that is yet to be made, with an id of its own; `last_day` is an ISO date of the site's zone, or empty.

    Raises ConfigError for a name or date that will not do.
    """
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise ConfigError("share", "name", name[:80], f"wanted 1 to {MAX_NAME} printable characters")
    ends_at = _end_of(last_day, timezone) if last_day else None
    if ends_at is not None and ends_at <= now:
        raise ConfigError("share", "ends", last_day, "is over already; wanted today or a later day")
    return Share(secrets.token_hex(6), name, site, now, ends_at)


def add_share(engine: Engine, share: Share, password: str, operator: str, now: float) -> str:
    """Make a link as `share` describes it, with a password or without ("") and return its path; it cannot be shown again.

    Raises ConfigError for a weak password.
    """
    secret = new_key()
    row = {name: getattr(share, name) for name in ("id", "name", "site", "created_at", "ends_at", "revoked_at")}
    hashed = hash_password(share.name.lower(), password, RECORD) if password else None
    row |= {"secret_hash": digest(secret), "password_hash": hashed}
    with transaction(engine) as connection:
        connection.execute(insert(SHARES).values(row))
        described = {"name": share.name, "protected": bool(password), "ends_at": share.ends_at}
        body = {"action": "add", "share": share.id, "operator": operator, **described}
        _record(connection, share.site, now, body)
    return f"{PATH}{share.id}_{secret}"


def revoke_share(engine: Engine, share_id: str, operator: str, now: float) -> None:
    """Make a link worthless, from its next use on. Raises ConfigError when there is none of that id in force."""
    row = (SHARES.c.id == share_id) & SHARES.c.revoked_at.is_(None)
    with transaction(engine) as connection:
        site = connection.execute(select(SHARES.c.site).where(row)).scalar_one_or_none()
        if site is None:
            raise ConfigError("share", "id", share_id[:80], "no such link in force")
        connection.execute(update(SHARES).where(row).values(revoked_at=now))
        _record(connection, site, now, {"action": "revoke", "share": share_id, "operator": operator})


def list_shares(engine: Engine, site: str = "") -> list[Share]:
    """All links (of a site), the revoked ones included, in the order in which they were made."""
    query = select(SHARES).order_by(SHARES.c.created_at, SHARES.c.id)
    with reading(engine) as connection:
        rows = connection.execute(query.where(SHARES.c.site == site) if site else query)
        return [_share(row) for row in rows.mappings()]


def find_share(engine: Engine, token: str, now: float) -> Share | None:
    """The link that somebody follows, or None: malformed, unknown, wrong secret, over, revoked."""
    shown = TOKEN.match(token)
    if shown is None:
        return None
    row = _find_row(engine, shown[1])
    right = is_secret(shown[2], row["secret_hash"] if row else None)
    share = _share(row) if row else None
    return share if right and share and share.is_open(now) else None


def open_share(engine: Engine, share: Share, password: str, now: float) -> str:
    """A token by which a browser that gave the right password is known for a while; empty for a wrong one. It ends with the
    link, and needs no table: it is keyed by the hash of the password."""
    row = _find_row(engine, share.id)
    hashed = row["password_hash"] if row else None
    if hashed is None or not verify_password(hashed, password):
        return ""
    return f"{int(now)}.{_seal(hashed, share.id, int(now))}"


def is_opened(engine: Engine, share: Share, token: str, now: float) -> bool:
    """Whether a browser shows such a token, and not from too long ago."""
    given = re.fullmatch(r"(\d{1,12})\.([0-9a-f]{64})", token)
    row = _find_row(engine, share.id)
    if given is None or row is None or row["password_hash"] is None:
        return False
    at = int(given[1])
    right = hmac.compare_digest(given[2], _seal(row["password_hash"], share.id, at))
    return right and 0 <= now - at < OPEN_SECONDS


def _find_row(engine: Engine, share_id: str) -> Mapping[Any, Any] | None:
    with reading(engine) as connection:
        return connection.execute(select(SHARES).where(SHARES.c.id == share_id)).mappings().first()


def _share(row: Mapping[Any, Any]) -> Share:
    known = {name: row[name] for name in Share.__struct_fields__ if name != "protected"}
    return Share(**known, protected=row["password_hash"] is not None)


def _end_of(day: str, timezone: str) -> float:
    """The moment at which a local day is over."""
    try:
        following = date.fromisoformat(day) + timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise ConfigError("share", "ends", day[:40], "wanted a date such as 2026-12-31") from error
    return datetime(following.year, following.month, following.day, tzinfo=ZoneInfo(timezone)).timestamp()


def _record(connection: Connection, site: str, now: float, body: dict[str, object]) -> None:
    ledger.append(connection, at=now, site=site, kind=RECORD, consent_id=None, body=body)


def _seal(hashed: str, share_id: str, at: int) -> str:
    return hmac.digest(hashed.encode(), f"gateway:share:{share_id}:{at}".encode(), "sha256").hex()
