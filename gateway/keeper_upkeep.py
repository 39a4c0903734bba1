"""What keeps a data folder in order: what has to go goes, what is there is copied. The keeper's part, or the command's while
no keeper runs.
"""

import logging
import threading
import time
from pathlib import Path

import msgspec
from sqlalchemy import Engine

from gateway.analytics.store import Store
from gateway.analytics.told_visits import prune_told_visits
from gateway.analytics.visitor import destroy_salts
from gateway.config import Config
from gateway.database import sqlite_path, transaction
from gateway.destinations.behaviour import prune_behaviour
from gateway.destinations.known_people import prune_people
from gateway.destinations.upkeep import bound_dead, prune_settled
from gateway.errors import ConfigError
from gateway.flows.backup import copy_data, weigh
from gateway.flows.retention import Old, find_old, prune
from gateway.flows.sum_days import sum_days

log = logging.getLogger("gateway.keeper")

DAY = 86_400
SETTLED_DAYS = 30
PEOPLE_DAYS = 395
ARRANGED_DAYS = 2  # after which hardly anything comes of a day
SUMMING_SECONDS = 5.0  # of each minute and site at most, until all days that are over have sums


class Progress(msgspec.Struct):
    """How far a copy is, in bytes; `total` is about how many there will be."""

    done: int = 0
    total: int = 0


class Upkeep:
    """The chores of one data folder; every method blocks, and may be called from any thread."""

    def __init__(self, config: Config, engine: Engine, store: Store) -> None:
        self._config, self._engine, self._store = config, engine, store
        self._next_prune_at = 0.0
        self._copying = threading.Lock()
        self.progress = Progress()

    def do_chores(self, now: float) -> None:
        """Each minute salts, settled deliveries, too many dead letters, people, the order of events and sums of days; once
        a day, and at the start, what is too old."""
        for site in self._config.sites:
            destroy_salts(self._engine, site.id, site.config.timezone, now)
        prune_settled(self._engine, now - SETTLED_DAYS * DAY)
        bound_dead(self._engine, {one.name: one.queue_limit for one in self._config.destinations})
        with transaction(self._engine) as connection:
            prune_people(connection, now - PEOPLE_DAYS * DAY)
            prune_behaviour(connection, now)
            prune_told_visits(connection, now)
        if now >= self._next_prune_at:
            self.prune(now)
            self._next_prune_at = now + DAY
        self._store.arrange(now - ARRANGED_DAYS * DAY)
        for site in self._config.sites:
            sum_days(self._store, site.id, site.config.timezone, now, SUMMING_SECONDS)

    def find_old(self, now: float) -> Old:
        """What `prune` would delete."""
        return find_old(self._store, self._engine, self._config.settings.retention, now)

    def prune(self, now: float) -> Old:
        """Delete it, and make the file smaller where much of it is free."""
        old = prune(self._store, self._engine, self._config.settings.retention, now)
        if self._store.compact():
            log.info("the event store's file was written anew, without the room of what was deleted")
        return old

    def copy_data(self, target: Path, *, with_keys: bool) -> Path:
        """Copy the data folder beside `target`; the caller holds draining meanwhile. One copy at a time: else ConfigError."""
        if not self._copying.acquire(blocking=False):
            raise ConfigError("command line", "TO", str(target), "another backup is being made")
        try:
            folder = self._config.data_folder
            database = sqlite_path(self._config.database_url)
            self.progress = progress = Progress(total=weigh(folder, database))
            begun = time.monotonic()
            made = copy_data(
                folder,
                target,
                database,
                self._store.copy_to,
                with_keys=with_keys,
                tell=lambda more: _add(progress, more),
            )
            log.info("the data folder was copied to %s in %.1f s", made, time.monotonic() - begun)
            return made
        finally:
            self._copying.release()


def _add(progress: Progress, more: int) -> None:
    progress.done += more
