"""What an operator does with a destination, each with a record in the ledger: pause, resume, redrive, test.

On PostgreSQL the ledger's end is locked before a destination's totals, here and wherever an attempt ends.
"""

import os
import secrets
from pathlib import Path

from sqlalchemy import Connection, Engine

from gateway import ledger
from gateway.config import Config
from gateway.consent.decision import LIFETIME_SECONDS
from gateway.database import transaction
from gateway.destinations import build_destinations
from gateway.destinations.attempts import Rules
from gateway.destinations.base import Delivered, Verdict
from gateway.destinations.dead_letters import ALL, Foreseen, Which, foresee, redrive
from gateway.destinations.figures import set_paused
from gateway.flows.send_test import send_test

RECORD = "destination"
ACCEPTED = "accepted"


def pause(config: Config, engine: Engine, name: str, operator: str, now: float) -> None:
    """Send nothing there until it is resumed."""
    with transaction(engine) as connection:
        _record(connection, config, name, operator, now, "pause")
        set_paused(connection, name, now, paused=True)


def resume(config: Config, engine: Engine, name: str, operator: str, now: float) -> None:
    """Go on, also where it has stopped by itself."""
    with transaction(engine) as connection:
        _record(connection, config, name, operator, now, "resume")
        set_paused(connection, name, now, paused=False)


def send_again(config: Config, engine: Engine, name: str, operator: str, now: float, which: Which = ALL) -> int:
    """Queue dead letters again; how many. Their start asks for consent anew."""
    times = {key: at for key, at in (("since", which.since), ("until", which.until)) if at is not None}
    with transaction(engine) as connection:
        count = redrive(connection, name, now, which)
        _record(connection, config, name, operator, now, "redrive", reason=which.reason, **times, count=count)
    return count


def foresee_again(config: Config, engine: Engine, name: str, now: float, which: Which) -> list[Foreseen]:
    """What `send_again` would do, and what of it consent or age would not let go; nothing is changed, nor recorded."""
    [purposes] = (one.purposes for one in config.destinations if one.name == name)
    scopes = {site.id: site.policy.scopes for site in config.sites}
    return foresee(engine, name, Rules(purposes, scopes, 1, LIFETIME_SECONDS), now, which)


def try_out(config: Config, engine: Engine, name: str, operator: str, now: float) -> Verdict:
    """Send an invented event of nobody; what came back. Blocks. Raises ConfigError for a secret that is missing."""
    chosen = [destination for destination in config.destinations if destination.name == name]
    [destination] = build_destinations(chosen, os.environ, Path(config.folder))
    verdict = send_test(destination, config.sites[0].id, f"test-{secrets.token_hex(8)}", now)
    answer = ACCEPTED if isinstance(verdict, Delivered) else verdict.reason
    with transaction(engine) as connection:
        _record(connection, config, name, operator, now, "test", answer=answer)
    return verdict


def _record(
    connection: Connection, config: Config, name: str, operator: str, now: float, action: str, **more: object
) -> None:
    body = {"destination": name, "action": action, "operator": operator, **more}
    ledger.append(connection, at=now, site=config.sites[0].id, kind=RECORD, consent_id=None, body=body)
