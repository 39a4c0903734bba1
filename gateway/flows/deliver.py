"""The outbox's rows to their destinations: lease, start (consent asked again), build, send, judge, settle.

Each destination has a lane of its own with its own connections, so that a slow or failing one delays no
other. Within a lane rows are taken in the order in which they are due, and some are on the wire at once:
the order of one visitor's events is mostly kept, not promised, and never where an attempt has failed in
between.

Nothing about a visitor is logged: only destination names, counts, and words out of closed lists.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec
from sqlalchemy import Engine

from gateway.database import reading
from gateway.destinations.base import (
    Dead,
    Delivered,
    Destination,
    OutgoingRequest,
    Retry,
    Telling,
    Unsent,
    Verdict,
    retry_in,
)
from gateway.destinations.group_commit import GroupCommit
from gateway.destinations.outbox import (
    Leased,
    NotStarted,
    Started,
    find_next_due,
    lease,
    release,
    settle,
    start,
)
from gateway.destinations.sender import Sender
from gateway.destinations.upkeep import expire_overdue
from gateway.errors import DestinationError
from gateway.event import Event

log = logging.getLogger("gateway.deliver")

CONCURRENCY = 8
ROUNDS_AHEAD = 4  # how many rows are leased at once, for each place on the wire
LEASE_SLACK_SECONDS = 30.0  # beyond the timeouts of those rounds, for the database before and after
IDLE_SECONDS = 5.0  # how often a lane looks for rows that nobody woke it for
CROWDED_SECONDS = 0.2  # due rows, all of them locked by others
FAULT_SECONDS = 5.0
EXPIRE_SECONDS = 60.0
GRACE_SECONDS = 5.0

# Reasons of deliveries that can never be made, beside a destination's own.
UNREADABLE, UNBUILDABLE, FAULT = "unreadable", "unbuildable", "fault"

Scopes = Mapping[str, Mapping[str, str]]


@dataclass
class Lane:
    """One destination at work. `changed`: there may be something to do; `disabled`: why it has stopped."""

    destination: Destination
    sender: Sender
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    leased: deque[Leased] = field(default_factory=deque)
    running: set[asyncio.Task[None]] = field(default_factory=set)
    disabled: str = ""


class Deliverer:
    """All destinations at work in one event loop.

    `scopes` are each site's present scope hashes by purpose. `owner` names this node in the outbox: the same
    after a restart (what the dead process held is taken back at once), and nobody else's. `clock` gives epoch
    seconds, `chance` random numbers in [0, 1).
    """

    def __init__(
        self,
        engine: Engine,
        destinations: Sequence[Destination],
        scopes: Scopes,
        *,
        owner: str,
        clock: Callable[[], float],
        chance: Callable[[], float],
        concurrency: int = CONCURRENCY,
    ) -> None:
        self._engine, self._destinations, self._scopes = engine, destinations, scopes
        self._owner, self._clock, self._chance = owner, clock, chance
        self._concurrency = concurrency
        self._commits = GroupCommit(engine)
        self._lanes: list[Lane] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Take back what this owner held before, and begin."""
        await self._commits.run(lambda connection: release(connection, self._owner, self._clock()))
        for destination in self._destinations:
            private = destination.config.allow_private
            lane = Lane(destination, Sender(allow_private=private, connections=self._concurrency))
            self._lanes.append(lane)
            self._tasks.append(asyncio.create_task(self._serve(lane)))
        self._tasks.append(asyncio.create_task(self._expire()))

    def wake(self) -> None:
        """Tell that new rows may be in the outbox. For the loop (`call_soon_threadsafe` from elsewhere)."""
        for lane in self._lanes:
            lane.changed.set()

    @property
    def disabled(self) -> dict[str, str]:
        """Destinations that have stopped until the next start, with the reason."""
        return {lane.destination.config.name: lane.disabled for lane in self._lanes if lane.disabled}

    async def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Begin nothing more, let requests end within the grace, and give the rest back to the queue."""
        await _cancel(self._tasks)
        running = [task for lane in self._lanes for task in lane.running]
        if running:
            await asyncio.wait(running, timeout=grace_seconds)
        await _cancel(running)
        await self._commits.finish()
        for lane in self._lanes:
            await lane.sender.close()
        returned = await self._commits.run(lambda connection: release(connection, self._owner, self._clock()))
        if returned:
            log.info("deliver: %d deliveries given back to the queue", returned)

    async def _serve(self, lane: Lane) -> None:
        while not lane.disabled:
            lane.changed.clear()
            try:
                pause = await self._turn(lane)
            except Exception as error:  # a door: the database may be away for a while
                self._log_fault(lane, error)
                pause = FAULT_SECONDS
            if pause > 0:
                await _wait(lane.changed, pause)

    async def _turn(self, lane: Lane) -> float:
        """Begin as many deliveries as there is room for; returns how long to rest unless woken."""
        if len(lane.running) >= self._concurrency:
            return IDLE_SECONDS
        if not lane.leased:
            pause = await self._lease(lane)
            if pause > 0:
                return pause
        while lane.leased and len(lane.running) < self._concurrency:
            task = asyncio.create_task(self._deliver(lane, lane.leased.popleft()))
            lane.running.add(task)
            task.add_done_callback(partial(_leave, lane))
        return 0.0

    async def _lease(self, lane: Lane) -> float:
        """Fetch what is due, some rounds ahead; returns how long to rest when there is nothing."""
        name, now = lane.destination.config.name, self._clock()
        due = await asyncio.to_thread(self._find_next_due, name)
        if due is None or due > now:
            return IDLE_SECONDS if due is None else min(due - now, IDLE_SECONDS)
        seconds = lane.destination.config.timeout_seconds * (ROUNDS_AHEAD + 1) + LEASE_SLACK_SECONDS
        limit = self._concurrency * ROUNDS_AHEAD
        take = partial(lease, destination=name, owner=self._owner, limit=limit, now=now, lease_seconds=seconds)
        lane.leased.extend(await self._commits.run(take))
        return 0.0 if lane.leased else CROWDED_SECONDS

    def _find_next_due(self, name: str) -> float | None:
        with reading(self._engine) as connection:
            return find_next_due(connection, name)

    async def _deliver(self, lane: Lane, row: Leased) -> None:
        try:
            started = await self._start(lane.destination, row)
            if isinstance(started, NotStarted):
                log.debug("deliver: %s: not started: %s", lane.destination.config.name, started.reason)
                return
            verdict = await self._attempt(lane, started)
            await self._settle(lane, row, started, verdict)
        except Exception as error:  # a door: the row returns to the queue when its lease ends
            self._log_fault(lane, error)

    async def _start(self, destination: Destination, row: Leased) -> Started | NotStarted:
        work = partial(
            start,
            row_id=row.id,
            owner=self._owner,
            purposes=destination.config.purposes,
            scopes=self._scopes.get(row.site, {}),
            max_attempts=len(destination.schedule),
            now=self._clock(),
        )
        return await self._commits.run(work)

    async def _attempt(self, lane: Lane, started: Started) -> Verdict:
        """One request and what came of it."""
        request = self._build(lane, started)
        if isinstance(request, Dead):
            return request
        answer = await lane.sender.send(request, lane.destination.config.timeout_seconds)
        if isinstance(answer, Unsent):
            return Retry(answer.reason)
        try:
            judged = lane.destination.judge(request, answer, self._clock())
            return judged if isinstance(judged, Delivered | Retry | Dead) else Retry(FAULT)
        except Exception as error:  # a door: an answer nobody foresaw is no success
            self._log_fault(lane, error)
            return Retry(FAULT)

    def _build(self, lane: Lane, started: Started) -> OutgoingRequest | Dead:
        """An event that makes a destination's code fail is set aside; it must not stop the others."""
        try:
            event = msgspec.json.decode(started.payload, type=Event)
            return lane.destination.build([Telling(started.event_id, event, "")], self._clock())
        except msgspec.DecodeError:
            return Dead(UNREADABLE)
        except DestinationError:
            return Dead(UNBUILDABLE)
        except Exception as error:  # a door: see above
            self._log_fault(lane, error)
            return Dead(FAULT)

    async def _settle(self, lane: Lane, row: Leased, started: Started, verdict: Verdict) -> None:
        wait: float | None = None
        if isinstance(verdict, Retry):
            wait = retry_in(lane.destination.schedule, started.attempts, verdict.after, self._chance())
        work = partial(settle, row_id=row.id, owner=self._owner, verdict=verdict, retry_in=wait, now=self._clock())
        await self._commits.run(work)
        if isinstance(verdict, Dead) and verdict.disable:
            lane.disabled = verdict.reason
            log.error("deliver: %s has stopped: %s", lane.destination.config.name, verdict.reason)

    async def _expire(self) -> None:
        """Settle what is past its time, of all destinations, those no longer configured included."""
        while True:
            try:
                await asyncio.to_thread(expire_overdue, self._engine, self._clock())
            except Exception as error:  # a door: the next round will do
                log.error("deliver: could not expire: %s", type(error).__name__)
            await asyncio.sleep(EXPIRE_SECONDS)

    def _log_fault(self, lane: Lane, error: Exception) -> None:
        # The type alone: messages and tracebacks may quote what is being delivered.
        log.error("deliver: %s: %s", lane.destination.config.name, type(error).__name__)


def _leave(lane: Lane, task: asyncio.Task[None]) -> None:
    lane.running.discard(task)
    lane.changed.set()


async def _wait(changed: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
