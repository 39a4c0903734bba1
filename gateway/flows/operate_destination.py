"""What an operator does with a destination, each with a record in the ledger: pause, resume, redrive, test.

On PostgreSQL the ledger's end is locked before a destination's totals, here and wherever an attempt ends.
"""

import os
import secrets
from pathlib import Path

from sqlalchemy import Connection, Engine

from gateway import ledger
from gateway.config import Config
from gateway.database import transaction
from gateway.destinations import build_destinations
from gateway.destinations.base import Delivered, Verdict
from gateway.destinations.dead_letters import redrive
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


def send_again(config: Config, engine: Engine, name: str, operator: str, now: float, reason: str = "") -> int:
    """Queue dead letters again, of one reason or of all; how many. Their start asks for consent anew."""
    with transaction(engine) as connection:
        count = redrive(connection, name, now, reason)
        _record(connection, config, name, operator, now, "redrive", reason=reason, count=count)
    return count


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
