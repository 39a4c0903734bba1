"""Composition root of a front worker: open the parts, wire the gate, keep a keeper running.

`ConsentMiddleware` is what an application wraps itself in; `serving` wraps what `gateway serve` runs. Opening happens in
the worker process, when it starts or with its first request, never at import.
"""

import asyncio
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from gateway.analytics.device import parse_agent
from gateway.analytics.journal import JOURNAL_FOLDER, ClosedJournal, Journal
from gateway.analytics.masking import Masker
from gateway.analytics.rate import Rate
from gateway.analytics.screen import (
    Check,
    is_bot,
    reject_bots,
    reject_excluded,
    reject_internal,
    reject_prefetch,
    reject_spam,
)
from gateway.analytics.source import Channels
from gateway.analytics.visitor import Visitors
from gateway.config import Config, load_config
from gateway.consent.tombstones import UnknownTombstones, open_tombstones
from gateway.consent.wording import check_languages
from gateway.database import open_database, prepare_database
from gateway.errors import ConfigError, JournalFull
from gateway.event import Counted, Sighted
from gateway.flows.choose import RESERVE_FILE, make_reserve
from gateway.flows.counters import Counters
from gateway.flows.decide import Decider
from gateway.flows.parts import Opened, Parts, Signers
from gateway.flows.second_banner import SecondBanners
from gateway.flows.sightings import Sightings
from gateway.garbage import spare_what_stays
from gateway.geo import Countries
from gateway.keeper_process import KeeperProcess
from gateway.keys import load_keys, new_key
from gateway.resources import country_database, load_assets
from gateway.rollout import Rollout
from gateway.signing import TokenSigner
from gateway.web.lint import warn_of_errors
from gateway.web.middleware import App, ConsentGate, Message, Receive, Scope, Send
from gateway.web.pages import Pages
from gateway.web.public import Public
from gateway.web.request import RequestReader
from gateway.web.response import Desk
from gateway.web.snippet import Snippets

log = logging.getLogger("gateway.front")

FLUSH_SECONDS = 1.0
REOPEN_SECONDS = 5.0
MONTHS_SECONDS = 60.0  # between writings of the sketches of months: so much of them a killed worker loses
KEEPERS = ("console", "uplot")  # scripts and styles of the console, which the keeper serves
NOWHERE = "sqlite:////dev/null/nowhere"  # a database that takes nothing
AHEAD_SECONDS = 600.0
WARM_UP_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class ConsentMiddleware:
    """ASGI middleware: asks visitors, holds back what they did not allow, counts what they did.

    `config` is a loaded Config, the path of a `gateway.toml` (or its folder), or None for GATEWAY_CONFIG, then
    `./gateway.toml`, then the defaults. Raises ConfigError at once when the configuration is not whole.
    """

    def __init__(self, app: App, config: Config | Path | str | None = None) -> None:
        self._app = app
        self._config = config if isinstance(config, Config) else load_config(config)
        self._front: Front | ClosedFront | None = None
        self._opening: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        front = self._front or self._open()
        await front.gate(scope, receive, send)

    def _open(self) -> "Front | ClosedFront":
        if self._front is None:
            try:
                self._front = Front(self._config, self._app, asyncio.get_running_loop())
            except ConfigError:
                raise
            except Exception:  # the edge: whatever fails here must not take the site down
                log.exception("the gateway's own parts cannot be opened; pages are served without anything optional")
                self._front = ClosedFront(self._config, self._app)
                self._opening = asyncio.create_task(self._open_later(self._front))
        return self._front

    async def _open_later(self, closed: "ClosedFront") -> None:
        """Try again until it works; then the worker is as any other."""
        front, loop = None, asyncio.get_running_loop()
        while front is None and self._front is closed:
            await asyncio.sleep(REOPEN_SECONDS)
            try:
                front = await asyncio.to_thread(Front, self._config, self._app, loop)
            except Exception as error:  # the edge, as above
                log.warning("the gateway's own parts still cannot be opened: %s", error)
        if front is not None and self._front is closed:
            log.warning("the gateway's own parts are open")
            self._front = front
            closed.close()
        elif front is not None:  # the server has stopped meanwhile
            front.close()

    def _close(self) -> None:
        front, self._front = self._front, None
        if self._opening is not None:
            self._opening.cancel()
        if front is not None:
            front.close()

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The inner app starts and ends with its own events; ours happen just before and just after."""

        async def receive_and_open() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._open()
            return message

        async def close_and_send(message: Message) -> None:
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                self._close()
            await send(message)

        await self._app(scope, receive_and_open, close_and_send)


class ClosedFront:
    """Stands in for a worker whose database or files cannot be opened: it asks and holds back as ever, takes nobody's
    consent for given and counts nothing. A choice is recorded if the database takes it after all."""

    def __init__(self, config: Config, app: App) -> None:
        self._parts = closed_parts(config, time.time)
        self.gate = build_gate(self._parts, app)

    def close(self) -> None:
        """Release what there is."""
        self._parts.engine.dispose()


class Front:
    """A worker's open parts and its one background thread."""

    def __init__(self, config: Config, app: App, loop: asyncio.AbstractEventLoop) -> None:
        self._config, self._app = config, app
        self._rollout = Rollout(config, check_languages)
        self._failing: set[str] = set()
        self._has_reserve = True
        self._months_at = time.monotonic()
        config.data_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._do("reserve", self._keep_reserve)
        self.parts = open_parts(config, time.time)
        self.parts.journal.call_in_loop = loop.call_soon_threadsafe
        self.gate = build_gate(self.parts, app)
        self._chores: dict[str, Callable[[], None]] = {
            "policy": self._follow_policy,
            "counters": self._flush,
            "withdrawals": self.parts.tombstones.refresh,
            "reserve": self._keep_reserve,
            "salts": self._prepare_salts,
            "months": self._write_months,
        }
        if config.settings.keeper.autostart:
            self._chores["keeper"] = KeeperProcess(config).ensure
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look_after, name="front", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write down what waits and release everything."""
        self._stopping.set()
        self._thread.join(5)
        self._flush()
        self.parts.journal.close()
        self.parts.tombstones.close()
        self._do("months", partial(self.parts.visitors.months.write, self.parts.engine))
        self.parts.engine.dispose()

    def _look_after(self) -> None:
        """Every second: changed policies followed, counters to the journal, withdrawals, reserve and salts looked after, a
        keeper kept running; each minute the sketches of months written down."""
        _warm_up()
        self._do("rules", partial(warn_of_errors, self._config))
        while True:
            for name, chore in self._chores.items():
                self._do(name, chore)
            if self._stopping.wait(FLUSH_SECONDS):
                return

    def _do(self, name: str, chore: Callable[[], None]) -> None:
        """A chore that fails keeps no other from being done; it is logged when it begins to fail."""
        try:
            chore()
        except Exception as error:  # a worker loop: it has to go on
            if name not in self._failing:
                log.error("looking after %s: %s: %s; tried every second", name, type(error).__name__, error)
            self._failing.add(name)
        else:
            self._failing.discard(name)

    def _flush(self) -> None:
        """Counters and sightings to the journal; those it does not take wait for the next time. Sightings first: what is
        found in pages while they are gathered is counted too."""
        waiting: list[Counted | Sighted] = [*self.parts.sightings.take(), *self.parts.counters.take()]
        for gathered in waiting:
            settle = partial(self._settle, gathered)
            try:
                self.parts.journal.append(gathered, settle)
            except JournalFull as fault:
                settle(fault)

    def _settle(self, gathered: Counted | Sighted, fault: JournalFull | None) -> None:
        if fault is None:
            return
        if isinstance(gathered, Counted):
            self.parts.counters.put_back(gathered)
        else:
            self.parts.sightings.put_back(gathered)

    def _follow_policy(self) -> None:
        """Another gate when policy or mode have changed. It is made aside: requests under way end at the one before, and
        nothing that was remembered under that one is used again."""
        if self._rollout.look(self.parts.clock()):
            parts = dataclasses.replace(self.parts, config=self._rollout.config)
            self.gate = build_gate(parts, self._app)
            self.parts = parts

    def _keep_reserve(self) -> None:
        """Put it back when there is room again."""
        had = self._has_reserve
        self._has_reserve = make_reserve(self._config.data_folder, self._config.settings.limits.reserve_bytes)
        if had and not self._has_reserve:
            log.error("there is no room for the reserve for consent choices; events are refused until there is")
        elif self._has_reserve and not had:
            log.warning("there is room on the disk: the reserve for consent choices is in place")

    def _write_months(self) -> None:
        """Each minute. Sketches whose month has ended meanwhile still go to that month."""
        if time.monotonic() - self._months_at >= MONTHS_SECONDS:
            self.parts.visitors.months.write(self.parts.engine)
            self._months_at = time.monotonic()

    def _prepare_salts(self) -> None:
        """Of today, and of tomorrow shortly before midnight, so that no page has to wait for the database."""
        now = self.parts.clock()
        for site in self._config.sites:
            for at in (now, now + AHEAD_SECONDS):
                self.parts.visitors.prepare(site.id, site.config.timezone, at)


def _warm_up() -> None:
    """What would otherwise fall into somebody's request: the first parse of an agent string compiles its rules for half a
    second, and the garbage collector would go through them."""
    parse_agent(WARM_UP_AGENT)
    is_bot(WARM_UP_AGENT)
    spare_what_stays()


def open_parts(config: Config, clock: Callable[[], float]) -> Parts:
    """Open everything that the flows of a front worker need."""
    load_keys(config)  # faults of the configuration come first
    reserve = config.data_folder / RESERVE_FILE if config.settings.limits.reserve_bytes else None
    with ExitStack() as undone:
        engine = open_database(config.database_url)
        undone.callback(engine.dispose)
        tombstones = open_tombstones(engine)
        undone.callback(tombstones.close)
        journal = Journal(config.data_folder / JOURNAL_FOLDER, reserve=reserve)
        undone.pop_all()
    return build_parts(config, clock, load_keys(config), Opened(engine, tombstones, journal))


def closed_parts(config: Config, clock: Callable[[], float]) -> Parts:
    """The same without anything that has to be opened.

    Where no key can be written yet, one is made for the moment; what it signs would soon mean nothing, so choices are
    refused too.
    """
    try:
        keys, url = load_keys(config), config.database_url
    except OSError:
        keys, url = [new_key().encode()], NOWHERE
    opened = Opened(prepare_database(url), UnknownTombstones(), ClosedJournal())
    return build_parts(config, clock, keys, opened)


def build_parts(config: Config, clock: Callable[[], float], keys: Sequence[bytes], opened: Opened) -> Parts:
    """The parts around keys and what has been opened."""
    geo = config.settings.geo.database
    analytics = config.settings.analytics
    masker, counters = Masker(analytics.mask_patterns), Counters()
    return Parts(
        config=config,
        engine=opened.engine,
        signers=Signers(*(TokenSigner(keys, use) for use in Signers._fields)),
        tombstones=opened.tombstones,
        journal=opened.journal,
        countries=Countries(Path(config.folder) / geo if geo else country_database()),
        visitors=Visitors(opened.engine),
        masker=masker,
        channels=Channels(config.channels),
        checks=build_checks(config),
        counters=counters,
        sightings=Sightings(masker, SecondBanners(counters)),
        views=Rate(analytics.views_per_minute),
        keeps_network=any(destination.include_network for destination in config.destinations),
        clock=clock,
    )


def build_checks(config: Config) -> tuple[Check, ...]:
    """What keeps a hit from being counted, in the order in which it is asked; what is not configured is not asked."""
    analytics = config.settings.analytics
    checks: list[Check] = [reject_prefetch]
    if analytics.internal_networks:
        checks.append(reject_internal(analytics.internal_networks))
    if analytics.excluded_paths:
        checks.append(reject_excluded(analytics.excluded_paths))
    checks.append(reject_bots)
    if config.spam_hosts:
        checks.append(reject_spam(config.spam_hosts))
    return tuple(checks)


def build_gate(parts: Parts, app: App) -> ConsentGate:
    """The middleware proper around an inner app."""
    assets = {name: asset for name, asset in load_assets().items() if not name.startswith(KEEPERS)}
    desk = Desk(parts, Snippets(parts.config, Pages(), assets))
    decider = Decider(parts)
    reader = RequestReader(parts.config.settings.trusted_proxies)
    return ConsentGate(app, desk, decider, reader, Public(desk, decider, assets))
