"""What the destination tests work with: events, configurations, consents, and a look into the outbox."""

import base64
import time
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, select, update

from gateway.database import CONSENTS, OUTBOX, reading, transaction
from gateway.destinations import attempts
from gateway.destinations.base import Dead, Delivered, Retry
from gateway.destinations.outbox import Delivery, NotStarted, Started, add_deliveries
from gateway.event import Event
from gateway.settings import DestinationConfig

NOW = 1_780_000_000.0
SITE = "main"
SCOPES = {"analytics": "aaaaaaaaaaaa", "marketing": "bbbbbbbbbbbb"}
SECRET = "whsec_" + base64.b64encode(bytes(range(7, 39))).decode()
OTHER_SECRET = "whsec_" + base64.b64encode(bytes(range(100, 132))).decode()


def make_event(at: float = NOW, **changes: Any) -> Event:
    """A page view on an invented collector's site."""
    values: dict[str, Any] = {"visitor": 0xFEDCBA9876543210, "visit_id": "v1", "view_id": "w1"}
    values |= {"path": "/artikelen/betalingsregeling", "topic": "regelingen", "country": "NL"}
    values |= {"kind": "page_view", "visit_started_at": at - 60}
    return Event(at=at, site=SITE, **(values | changes))


def make_config(name: str = "hook", **changes: Any) -> DestinationConfig:
    """A webhook to an example host for the purpose marketing."""
    values: dict[str, Any] = {"kind": "webhook", "url": "https://hooks.example.org/in"}
    values |= {"secret": "env:HOOK_SECRET", "purposes": ("marketing",)}
    return DestinationConfig(name=name, **(values | changes))


def make_delivery(event_id: str, consent_id: str = "c1", **changes: Any) -> Delivery:
    """A delivery to `hook`, recorded under revision 1, good for a day."""
    payload = msgspec.json.encode(make_event())
    values: dict[str, Any] = {"destination": "hook", "site": SITE, "revision": 1, "payload": payload}
    values |= {"recorded_at": NOW, "expires_at": NOW + 86_400}
    return Delivery(event_id=event_id, consent_id=consent_id, **(values | changes))


def put_consent(
    connection: Connection,
    consent_id: str,
    grants: dict[str, tuple[str, int]],
    revision: int = 1,
    changed_at: float = 0,
) -> None:
    """Write a consent's row as the choice flow does: made at first, updated after; now, unless told when."""
    values = {
        "revision": revision,
        "grants": msgspec.json.encode(grants).decode(),
        "changed_at": changed_at or time.time(),
    }
    mine = CONSENTS.c.consent_id == consent_id
    if connection.execute(update(CONSENTS).where(mine).values(**values)).rowcount == 0:
        connection.execute(CONSENTS.insert().values(consent_id=consent_id, site=SITE, **values))


def grant(engine: Engine, consent_id: str = "c1", since: int = 1, *purposes: str) -> None:
    """Grant purposes (marketing when none is named) since a revision, under the present scopes."""
    with transaction(engine) as connection:
        grants = {purpose: (SCOPES[purpose], since) for purpose in purposes or ("marketing",)}
        put_consent(connection, consent_id, grants, since)


def queue(engine: Engine, *deliveries: Delivery, now: float = NOW) -> None:
    """Put deliveries into the outbox."""
    with transaction(engine) as connection:
        add_deliveries(connection, deliveries, now)


def start(
    connection: Connection,
    row_id: int,
    owner: str,
    purposes: Collection[str],
    scopes: Mapping[str, str],
    max_attempts: int,
    now: float,
) -> Started | NotStarted:
    """Start one row of the site."""
    rules = attempts.Rules(purposes, {SITE: scopes}, max_attempts)
    [outcome] = attempts.start(connection, [row_id], owner, rules, now)
    return outcome


def settle(
    connection: Connection,
    row_id: int,
    owner: str,
    verdict: Delivered | Retry | Dead,
    retry_in: float | None,
    now: float,
) -> bool:
    """Settle one row; whether it was still ours."""
    return attempts.settle(connection, [attempts.Ending(row_id, verdict, retry_in)], owner, now) == 1


def look(engine: Engine) -> list[Any]:
    """All rows of the outbox, in the order in which they came."""
    with reading(engine) as connection:
        return list(connection.execute(select(OUTBOX).order_by(OUTBOX.c.id)).all())
