"""Composition root of a front worker: open the parts, wire the gate, keep a keeper running.

`ConsentMiddleware` is what an application wraps itself in; `serving` wraps what `gateway serve` runs. Opening happens in
the worker process, when it starts or with its first request, never at import.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gateway.analytics.device import parse_agent
from gateway.analytics.journal import Journal
from gateway.analytics.masking import Masker
from gateway.analytics.screen import (
    Check,
    is_bot,
    reject_bots,
    reject_excluded,
    reject_internal,
    reject_prefetch,
    reject_spam,
)
from gateway.analytics.visitor import Visitors
from gateway.config import AnalyticsConfig, Config, load_config
from gateway.consent.tombstones import open_tombstones
from gateway.database import open_database
from gateway.errors import JournalFull
from gateway.flows.choose import RESERVE_FILE, make_reserve
from gateway.flows.counters import Counters
from gateway.flows.decide import Decider
from gateway.flows.parts import Parts, Signers
from gateway.geo import Countries
from gateway.keeper_process import KeeperProcess
from gateway.keys import load_keys
from gateway.resources import country_database, load_assets
from gateway.signing import TokenSigner
from gateway.web.middleware import App, ConsentGate, Message, Receive, Scope, Send
from gateway.web.pages import Pages
from gateway.web.public import Public
from gateway.web.request import RequestReader
from gateway.web.response import Desk
from gateway.web.snippet import Snippets

log = logging.getLogger("gateway.front")

JOURNAL_FOLDER = "journal"
FLUSH_SECONDS = 1.0
WARM_UP_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class ConsentMiddleware:
    """ASGI middleware: asks visitors, holds back what they did not allow, counts what they did.

    `config` is a loaded Config, the path of a `gateway.toml` (or its folder), or None for GATEWAY_CONFIG, then
    `./gateway.toml`, then the defaults. Raises ConfigError at once when the configuration is not whole.
    """

    def __init__(self, app: App, config: Config | Path | str | None = None) -> None:
        self._app = app
        self._config = config if isinstance(config, Config) else load_config(config)
        self._front: Front | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        front = self._front or self._open()
        await front.gate(scope, receive, send)

    def _open(self) -> "Front":
        if self._front is None:
            self._front = Front(self._config, self._app, asyncio.get_running_loop())
        return self._front

    def _close(self) -> None:
        front, self._front = self._front, None
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


class Front:
    """A worker's open parts and its one background thread."""

    def __init__(self, config: Config, app: App, loop: asyncio.AbstractEventLoop) -> None:
        config.data_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        make_reserve(config.data_folder, config.settings.limits.reserve_bytes)
        self.parts = open_parts(config, time.time)
        self.parts.journal.call_in_loop = loop.call_soon_threadsafe
        self.gate = build_gate(self.parts, app)
        self._keeper = KeeperProcess(config) if config.settings.keeper.autostart else None
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
        self.parts.engine.dispose()

    def _look_after(self) -> None:
        """Every second: counters to the journal, and a keeper started when there is none."""
        parse_agent(WARM_UP_AGENT)  # the first parse compiles its rules for half a second: not in a visitor's request
        is_bot(WARM_UP_AGENT)
        while True:
            try:
                self._flush()
                self.parts.tombstones.refresh()
                if self._keeper is not None:
                    self._keeper.ensure()
            except Exception:  # a worker loop: it has to go on
                log.exception("the front's background work failed; it is tried again")
            if self._stopping.wait(FLUSH_SECONDS):
                return

    def _flush(self) -> None:
        for counted in self.parts.counters.take():
            try:
                self.parts.journal.append(counted)
            except JournalFull:
                log.warning("counters of an hour could not be written")


def open_parts(config: Config, clock: Callable[[], float]) -> Parts:
    """Open everything that the flows of a front worker need."""
    keys = load_keys(config)
    engine = open_database(config.database_url)
    geo = config.settings.geo.database
    analytics = config.settings.analytics
    reserve = config.data_folder / RESERVE_FILE if config.settings.limits.reserve_bytes else None
    return Parts(
        config=config,
        engine=engine,
        signers=Signers(TokenSigner(keys, "consent"), TokenSigner(keys, "visit")),
        tombstones=open_tombstones(engine),
        journal=Journal(config.data_folder / JOURNAL_FOLDER, reserve=reserve),
        countries=Countries(Path(config.folder) / geo if geo else country_database()),
        visitors=Visitors(engine),
        masker=Masker(analytics.mask_patterns),
        checks=build_checks(analytics),
        counters=Counters(),
        keeps_network=any(destination.include_network for destination in config.destinations),
        clock=clock,
    )


def build_checks(analytics: AnalyticsConfig) -> tuple[Check, ...]:
    """What keeps a hit from being counted, in the order in which it is asked; what is not configured is not asked."""
    checks: list[Check] = [reject_prefetch]
    if analytics.internal_networks:
        checks.append(reject_internal(analytics.internal_networks))
    if analytics.excluded_paths:
        checks.append(reject_excluded(analytics.excluded_paths))
    checks.append(reject_bots)
    if analytics.spam_referrers:
        checks.append(reject_spam(analytics.spam_referrers))
    return tuple(checks)


def build_gate(parts: Parts, app: App) -> ConsentGate:
    """The middleware proper around an inner app."""
    assets = load_assets()
    desk = Desk(parts, Snippets(parts.config, Pages(), assets))
    decider = Decider(parts)
    reader = RequestReader(parts.config.settings.trusted_proxies)
    return ConsentGate(app, desk, decider, reader, Public(desk, decider, assets))
