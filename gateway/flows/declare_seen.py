"""What an operator decides about a site: whose something is, that it stays held, which mode holds. Each decision is a record
in the ledger (kind `policy`) and a file in the data folder, both or neither; workers follow the file by themselves."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection, Delete, Engine, delete, select
from sqlalchemy.exc import DBAPIError

from gateway import ledger
from gateway.config import Config, Site, read_written_policy
from gateway.database import KEPT_HELD, LEDGER, reading, transaction
from gateway.errors import BadRequest, ConfigError
from gateway.overlay import (
    MODES_FILE,
    Change,
    Kind,
    Mode,
    Overlay,
    Switched,
    add_change,
    merge_overlay,
    overlay_path,
    read_modes,
    read_overlay,
    take_back,
    write_modes,
    write_overlay,
)
from gateway.policy import Policy, Service, build_policy
from gateway.process_lock import try_hold
from gateway.toml_text import give_to_owner

RECORD = "policy"  # kind of these entries in the ledger
LOCK_FILE = "policy.lock"
LOCK_SECONDS = 5.0
SHOWN = 50  # records of the history


class Decided(msgspec.Struct, frozen=True):
    """A record of the ledger as the console shows it."""

    action: str
    operator: str
    version: str
    at: float = 0.0
    kind: str = ""
    name: str = ""
    service: str = ""
    reason: str = ""
    mode: str = ""
    revision: int = 0


def declare(
    config: Config,
    engine: Engine,
    site: Site,
    operator: str,
    now: float,
    *,
    kind: Kind,
    name: str,
    service: Service | str,
    reason: str = "",
) -> Policy:
    """Give a name to a service of the policy (by its id) or to a new one; returns the policy that comes of it.

    Raises BadRequest for what gives no whole policy, DBAPIError and OSError; then nothing has changed.
    """
    added = service if isinstance(service, Service) else None
    change = Change(
        1, _moment(now), operator, kind, name, added.id if added else str(service), reason=reason, added=added
    )
    details = {"kind": kind, "name": name, "service": change.service, "reason": reason}
    return _change(config, engine, site, now, "declared", operator, lambda old: add_change(old, change), details)


def undo(config: Config, engine: Engine, site: Site, operator: str, now: float, revision: int) -> Policy:
    """Take one decision back. Raises as `declare`."""
    before = {change.revision: change for change in read_overlay(overlay_path(config.data_folder, site.id)).changes}
    if revision not in before:
        raise BadRequest(400, "revision", f"There is no decision {revision} that holds.")
    change = before[revision]
    details = {"kind": change.kind, "name": change.name, "service": change.service, "revision": revision}
    return _change(config, engine, site, now, "undone", operator, lambda old: take_back(old, revision), details)


def _change(
    config: Config,
    engine: Engine,
    site: Site,
    now: float,
    action: str,
    operator: str,
    make: Callable[[Overlay], Overlay],
    details: Mapping[str, object],
) -> Policy:
    path = overlay_path(config.data_folder, site.id)
    with _alone(config):
        before = read_overlay(path)
        after = make(before)
        try:
            file, written = read_written_policy(config, site.config)
            policy = build_policy(merge_overlay(written, after, str(path)), file)
        except ConfigError as error:
            raise BadRequest(400, "policy", f"No whole policy comes of it: {error.key}: {error.wanted}.") from error
        try:
            with transaction(engine) as connection:
                _record(connection, site.id, now, action, operator, policy, details)
                write_overlay(path, after)
        except DBAPIError:
            write_overlay(path, before)
            raise
    return policy


def keep_held(engine: Engine, site: Site, operator: str, now: float, kind: str, name: str) -> None:
    """Nobody is asked about it any more; it stays held."""
    with transaction(engine) as connection:
        connection.execute(_kept(site.id, kind, name))
        connection.execute(KEPT_HELD.insert().values(site=site.id, kind=kind, name=name, operator=operator, at=now))
        _record(connection, site.id, now, "kept_held", operator, site.policy, {"kind": kind, "name": name})


def ask_again(engine: Engine, site: Site, operator: str, now: float, kind: str, name: str) -> None:
    """What was to stay held is to be decided on again."""
    with transaction(engine) as connection:
        connection.execute(_kept(site.id, kind, name))
        _record(connection, site.id, now, "ask_again", operator, site.policy, {"kind": kind, "name": name})


def switch_mode(config: Config, engine: Engine, site: Site, operator: str, now: float, mode: Mode) -> None:
    """Switch a site to a mode; it goes before the configuration's. Raises DBAPIError, OSError; then nothing has changed."""
    path = config.data_folder / MODES_FILE
    with _alone(config):
        before = read_modes(path)
        try:
            with transaction(engine) as connection:
                _record(connection, site.id, now, "mode", operator, site.policy, {"mode": mode})
                write_modes(path, {**before, site.id: Switched(mode, _moment(now), operator)})
        except DBAPIError:
            write_modes(path, before)
            raise


def read_history(engine: Engine, site: str) -> list[Decided]:
    """The last decisions about a site, the newest first."""
    query = select(LEDGER).where(LEDGER.c.site == site, LEDGER.c.kind == RECORD)
    with reading(engine) as connection:
        rows = connection.execute(query.order_by(LEDGER.c.sequence.desc()).limit(SHOWN)).all()
    return [msgspec.structs.replace(msgspec.json.decode(row.body, type=Decided), at=row.at) for row in rows]


def _record(
    connection: Connection,
    site: str,
    now: float,
    action: str,
    operator: str,
    policy: Policy,
    details: Mapping[str, object],
) -> None:
    body: dict[str, object] = {key: value for key, value in details.items() if value != ""}
    body |= {"action": action, "operator": operator, "version": policy.file.version}
    body |= {"scopes": policy.scopes, "wording": policy.wording}
    ledger.append(connection, at=now, site=site, kind=RECORD, consent_id=None, body=body)


def _kept(site: str, kind: str, name: str) -> Delete:
    return delete(KEPT_HELD).where(KEPT_HELD.c.site == site, KEPT_HELD.c.kind == kind, KEPT_HELD.c.name == name)


def _moment(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")


@contextmanager
def _alone(config: Config) -> Iterator[None]:
    """One decision at a time, in whichever process."""
    until = time.monotonic() + LOCK_SECONDS
    while (lock := try_hold(config.data_folder / LOCK_FILE)) is None:
        if time.monotonic() > until:
            raise BadRequest(503, "busy", "Another decision is being written down; try again.")
        time.sleep(0.05)
    with lock:
        give_to_owner(config.data_folder / LOCK_FILE)
        yield
