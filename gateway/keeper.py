"""Composition root of the keeper: the one process behind a data folder.

It drains the journals into store and outbox, delivers, destroys what has to go, and serves the console on an address
of its own and a local socket for the command line. Everything is opened in one place and closed in the reverse order.
"""

import asyncio
import logging
import os
import random
import resource
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette

from gateway import __version__
from gateway.analytics.answers import Answer
from gateway.analytics.consent_results import ConsentReport
from gateway.analytics.funnels import Funnel
from gateway.analytics.journal import JOURNAL_FOLDER, find_segments, measure_waiting, writers_alive
from gateway.analytics.live import Live, look
from gateway.analytics.page_flows import PageFlow
from gateway.analytics.query import Query
from gateway.analytics.results import Report
from gateway.config import Config
from gateway.consent.wording import check_languages
from gateway.database import open_database
from gateway.destinations import build_destinations
from gateway.errors import LedgerBroken, StoreError
from gateway.flows.answer_imported import answer_all
from gateway.flows.consent_report import consent_report
from gateway.flows.deliver import Deliverer
from gateway.flows.drain import Drained, drain_once
from gateway.flows.follow_funnel import follow_funnel
from gateway.flows.follow_pages import follow_pages
from gateway.flows.open_store import open_store
from gateway.flows.report import ReportParts, report
from gateway.flows.retention import Old
from gateway.flows.save_question import expand_segments
from gateway.flows.seal import seal
from gateway.garbage import spare_what_stays
from gateway.keeper_connections import AT_ONCE, BriefConnection
from gateway.keeper_mail import mail_reports, open_desk
from gateway.keeper_notices import open_rules, tell_notices
from gateway.keeper_process import LOCK_NAME
from gateway.keeper_upkeep import Progress, Upkeep
from gateway.keys import load_subject_key
from gateway.process_lock import try_hold
from gateway.resources import load_assets
from gateway.rollout import Rollout
from gateway.socket_client import SOCKET_NAME, short_path
from gateway.web.console import ConsoleParts, build_console, build_local_api
from gateway.web.lint import log_findings
from gateway.web.local_export import export_routes
from gateway.web.local_upkeep import upkeep_routes
from gateway.web.pages import Pages

log = logging.getLogger("gateway.keeper")

LONELY_SECONDS = 10.0
CHORES_SECONDS = 60.0
FILES = 65_536


def run_keeper(config: Config, *, stay: bool) -> int:
    """Be the keeper until told to stop; returns the exit status.

    Without `stay` the keeper goes when no front worker has been there for a while and nothing is left to drain. When the
    folder has a keeper already, there is nothing to do.
    """
    config.data_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = try_hold(config.data_folder / LOCK_NAME)
    if lock is None:
        log.info("this data folder has a keeper already")
        return 0
    allow_files()
    with lock:
        keeper = Keeper(config, stay=stay)
        try:
            asyncio.run(keeper.run())
        finally:
            keeper.close()
    return 0


def allow_files() -> None:
    """As many open files as the system lets us have: each request on the wire is one, and service managers begin with 1024."""
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(few, wanted), most))


class Keeper:
    """The keeper's open parts and its loops. `scopes` are those in force, by site: deliveries are judged by them."""

    def __init__(self, config: Config, *, stay: bool) -> None:
        self._config, self._stay = config, stay
        self._folder = config.data_folder / JOURNAL_FOLDER
        self._folder.mkdir(exist_ok=True, mode=0o700)
        self._destinations = build_destinations(config.destinations, os.environ, Path(config.folder))
        self._engine = open_database(config.database_url)
        self._store = open_store(config, at_once=False)
        self._upkeep = Upkeep(config, self._engine, self._store)
        self._report_parts = ReportParts(self._store, self._engine, config.destinations, config.settings.analytics)
        self._desk, self._rules = open_desk(config, self._report), open_rules(config)
        self._started_at = time.time()
        self._drained = 0
        self._fault, self._failing_since = "", 0.0
        self._console_url = ""
        self._stopping = asyncio.Event()
        self._draining = asyncio.Lock()
        self._rollout = Rollout(config, check_languages)
        self.scopes = {site.id: site.policy.scopes for site in config.sites}
        self._deliverer = Deliverer(
            self._engine,
            self._destinations,
            self.scopes,
            owner=sha256(f"{socket.gethostname()}:{config.data_folder}".encode()).hexdigest()[:32],
            clock=time.time,
            chance=random.random,
            subject_key=load_subject_key(config),
        )

    async def run(self) -> None:
        """Start everything, wait for the end, stop in order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        servers = self._open_servers()
        tasks = [asyncio.create_task(server.serve(sockets=[sock])) for server, sock in servers]
        await self._deliverer.start()
        tasks += [
            asyncio.create_task(self._repeat(self._drain_turn, self._config.settings.keeper.drain_seconds)),
            asyncio.create_task(self._repeat(self._chores, CHORES_SECONDS)),
            asyncio.create_task(self._repeat(self._seal, CHORES_SECONDS)),
            asyncio.create_task(self._watch_fronts()),
            *(asyncio.create_task(self._repeat(work, CHORES_SECONDS)) for work in (self._mail, self._notify)),
            asyncio.create_task(asyncio.to_thread(log_findings, self._config)),
        ]
        spare_what_stays()
        log.info("keeper at work for %s; console: %s", self._config.data_folder, self._console_url or "none")
        await self._stopping.wait()
        for server, _ in servers:
            server.should_exit = True
        await self._deliverer.stop()
        await asyncio.wait(tasks, timeout=10)
        await self._attempt(self._seal, "")

    def close(self) -> None:
        """Release the files."""
        self._store.close()
        self._engine.dispose()
        (self._config.data_folder / SOCKET_NAME).unlink(missing_ok=True)

    async def drain(self) -> int:
        """Drain all that the journals hold at this moment; returns how many entries that were."""
        total, more = 0, True
        async with self._draining:
            while more:
                taken, more = await asyncio.to_thread(self.drain_once)
                total += taken
        if total:
            self._deliverer.wake()
        return total

    def drain_once(self) -> Drained:
        """One batch; a policy that has changed is followed first."""
        # Before entries are read: what workers recorded under a new policy is judged by it.
        if self._rollout.look(time.time()):
            self.scopes.update({site.id: site.policy.scopes for site in self._rollout.config.sites})
        drained = drain_once(
            self._folder, self._store, self._engine, self._config.destinations, time.time(), self._config.signals
        )
        self._drained += drained.entries
        return drained

    async def _drain_turn(self) -> None:
        try:
            await self.drain()
        except Exception as error:
            self._failing_since = self._failing_since or time.time()
            self._fault = str(error)  # journals hold what comes in
            raise
        self._fault, self._failing_since = "", 0.0

    async def _chores(self) -> None:
        await asyncio.to_thread(self._upkeep.do_chores, time.time())

    async def _mail(self) -> None:
        """Reports that are due."""
        await asyncio.to_thread(mail_reports, self._desk, self._engine, time.time())

    async def _notify(self) -> None:
        """Notices of unusual hours."""
        await asyncio.to_thread(tell_notices, self._desk, self._rules, self._engine, self._store, time.time())

    async def prune(self, *, dry_run: bool) -> Old:
        """Delete what is older than the configuration says, or only count it."""
        return await asyncio.to_thread(self._upkeep.find_old if dry_run else self._upkeep.prune, time.time())

    async def back_up(self, target: str, *, with_keys: bool) -> str:
        """Copy the data folder while the site goes on; journals hold what comes in."""
        async with self._draining:
            made = await asyncio.to_thread(self._upkeep.copy_data, Path(target), with_keys=with_keys)
        return str(made)

    def progress(self) -> Progress:
        """How far the last copy is."""
        return self._upkeep.progress

    async def _seal(self) -> None:
        """A signed head of the ledger each minute, when it has grown."""
        await asyncio.to_thread(seal, self._engine, self._config.data_folder, time.time())

    async def _watch_fronts(self) -> None:
        """Go when nobody needs a keeper any more."""
        lonely = 0.0
        while not self._stay and not self._stopping.is_set():
            await asyncio.sleep(1)
            lonely = 0.0 if writers_alive(self._folder) else lonely + 1
            if lonely >= LONELY_SECONDS and not find_segments(self._folder):
                self._stopping.set()

    async def _repeat(self, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Do the work every so many seconds, and on a busy machine in no more than a fifth of the time.

        What keeps going wrong is tried again for ever, and logged when it begins.
        """
        fault = ""
        while not self._stopping.is_set():
            begun = time.monotonic()
            fault = await self._attempt(work, fault)
            try:
                async with asyncio.timeout(max(seconds, 4 * (time.monotonic() - begun))):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def _attempt(self, work: Callable[[], Awaitable[None]], before: str) -> str:
        """Do the work once; returns what went wrong, or "". What went wrong `before` is not logged again."""
        try:
            await work()
        except Exception as error:  # a worker loop: it has to go on
            fault = f"{type(error).__name__}: {error}"
            if fault != before:
                unforeseen = not isinstance(error, StoreError | LedgerBroken)
                log.error("the keeper's work failed; it is tried again: %s", fault, exc_info=unforeseen)
            return fault
        return ""

    def _open_servers(self) -> list[tuple[uvicorn.Server, socket.socket]]:
        parts = ConsoleParts(
            config=self._config,
            engine=self._engine,
            pages=Pages(),
            assets=load_assets(),
            report=self._report,
            consent=self._consent,
            status=self.status,
            clock=time.time,
            drain=self.drain,
            answer=self._answer,
            follow=self._follow,
            walk=self._walk,
            live=self._live,
        )
        servers = [
            (
                _server(build_local_api(parts, upkeep_routes(self) + export_routes(self._store))),
                _open_socket(self._config.data_folder),
            )
        ]
        console = _open_port(self._config.settings.keeper.host, self._config.settings.keeper.port)
        if console is not None:
            host, port = console.getsockname()[:2]
            self._console_url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
            servers.append((_server(build_console(parts)), console))
        return servers

    def _report(self, query: Query) -> Report:
        return report(query, self._report_parts)

    def _consent(self, query: Query) -> ConsentReport:
        return consent_report(query, self._report_parts)

    def _follow(self, query: Query, steps: Sequence[str]) -> Funnel:
        return follow_funnel(query, steps, self._report_parts)

    def _walk(self, query: Query, pages: Sequence[str]) -> PageFlow:
        return follow_pages(query, pages, self._report_parts)

    def _answer(self, query: Query) -> Answer:
        asked = expand_segments(query, self._engine)
        return answer_all(asked, self._store, self._engine, self._config.settings.analytics)

    def _live(self, site: str) -> Live:
        return look(self._store, site, time.time(), self._config.settings.analytics.min_visitors)

    def status(self) -> dict[str, Any]:
        """How it does, for console and command line."""
        return {
            "version": __version__,
            "process": os.getpid(),
            "started_at": self._started_at,
            "console": self._console_url,
            "fronts": writers_alive(self._folder),
            "journals": len(find_segments(self._folder)),
            "drained": self._drained,
            "store": self._fault or "ok",
            "store_since": self._failing_since,
            "waiting_bytes": measure_waiting(self._folder),
            "disabled": self._deliverer.disabled,
            "resting": {name: rest._asdict() for name, rest in self._deliverer.resting.items()},
            "policy": self._rollout.fault or "ok",
        }


def _server(app: Starlette) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=BriefConnection,
        backlog=AT_ONCE,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=3,
    )
    return _QuietServer(config)


class _QuietServer(uvicorn.Server):
    """A server that leaves signals alone: the keeper stops its servers itself."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Nothing to capture."""
        yield


def _open_socket(folder: Path) -> socket.socket:
    (folder / SOCKET_NAME).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        with short_path(folder) as path:
            listening.bind(path)
    finally:
        os.umask(mask)
    return listening


def _open_port(host: str, port: int) -> socket.socket | None:
    """The console's port; when it is taken, everything else works and the log says what to do."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        log.error("the console cannot listen on %s:%d (%s); set keeper.port to a free one", host, port, error)
        return None
