"""The outbox's rows to their destinations: lease, start (consent asked again), build, send, judge, settle.

Each destination has a lane of its own with its own connections, so that a slow or failing one delays no
other. Within a lane some requests are on the wire at once, but one subject's are one behind the other: they arrive
in the order in which they were queued, and where one has to be tried again, the later ones wait for it.

Nothing about a visitor is logged: only destination names, counts, and words out of closed lists.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine

from gateway.consent.decision import LIFETIME_SECONDS
from gateway.database import reading
from gateway.destinations.attempts import Ending, Rules, is_under_way, settle, start
from gateway.destinations.base import Delivered, Destination, OutgoingRequest, Retry, Verdict
from gateway.destinations.figures import Standing, get_standing
from gateway.destinations.group_commit import GroupCommit
from gateway.destinations.outbox import EVENT, Leased, NotStarted, Reason, Started, find_next_due, lease, release
from gateway.destinations.sender import Sender
from gateway.destinations.upkeep import cancel_uncovered, expire_overdue, strip_dead
from gateway.flows.lane import (
    FAULT,
    Lane,
    Parcel,
    build_parcels,
    converse,
    decide_ending,
    get_credentials,
    note_health,
    note_refused_credentials,
    spread,
)

log = logging.getLogger("gateway.deliver")

CONCURRENCY = 8
ROUNDS_AHEAD = 16  # how many rows are leased at once, for each place on the wire
LEASE_SLACK_SECONDS = 30.0  # beyond the timeouts of those rounds, for the database before and after
IDLE_SECONDS = 5.0  # how often a lane looks for rows that nobody woke it for
CROWDED_SECONDS = 0.2  # due rows, all of them locked by others or behind one that is under way
FAULT_SECONDS = 5.0
EXPIRE_SECONDS = 60.0
SWEEP_SECONDS = 3600.0
GRACE_SECONDS = 5.0
MOST_IN_BATCH = 25  # rows leased for one place in a batch, so that a lease holds no crowd

Scopes = Mapping[str, Mapping[str, str]]


class Deliverer:
    """All destinations at work in one event loop.

    `scopes` are each site's present scope hashes by purpose. `owner` names this node in the outbox: the same
    after a restart (what the dead process held is taken back at once), and nobody else's. `clock` gives epoch
    seconds, `chance` random numbers in [0, 1). Subjects are told under names made with `subject_key`.
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
        subject_key: bytes,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self._engine, self._destinations, self._scopes = engine, destinations, scopes
        self._owner, self._clock, self._chance = owner, clock, chance
        self._concurrency, self._subject_key = concurrency, subject_key
        self._commits = GroupCommit(engine)
        self._lanes: list[Lane] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._swept: tuple[float, Scopes] = (0.0, {})  # when, and under which scopes

    async def start(self) -> None:
        """Take back what this owner held before, and begin."""
        await self._commits.run(lambda connection: release(connection, self._owner, self._clock()))
        for destination in self._destinations:
            private = destination.config.allow_private
            lane = Lane(destination, Sender(allow_private=private, connections=self._concurrency))
            lane.start, lane.settle = partial(self._start_rows, lane), partial(self._settle_rows)
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
        self._stopping = True
        await _cancel(self._tasks)
        running = [task for lane in self._lanes for task in lane.running]
        if running:
            await asyncio.wait(running, timeout=grace_seconds)
        await _cancel(running)
        await self._commits.finish()
        for lane in self._lanes:
            await lane.sender.close()
        returned = await self._commits.run(lambda connection: release(connection, self._owner, self._clock()))
        await self._commits.finish()
        if returned:
            log.info("deliver: %d deliveries given back to the queue", returned)

    async def _serve(self, lane: Lane) -> None:
        while True:
            lane.changed.clear()
            try:
                pause = await self._turn(lane)
            except Exception as error:  # a door: the database may be away for a while
                self._log_fault(lane, error)
                pause = FAULT_SECONDS
            if pause > 0:
                await _wait(lane.changed, pause)

    async def _turn(self, lane: Lane) -> float:
        """Begin as many attempts as there is room for; returns how long to rest unless woken."""
        if self._is_full(lane):
            return IDLE_SECONDS
        wait = 0.0 if lane.rests else lane.health.may_begin(self._clock())
        if wait > 0:
            return min(wait, IDLE_SECONDS)
        if lane.rests or not lane.is_ready():
            pause = await self._look(lane)
            if pause > 0:
                return pause
        self._begin(lane)
        return 0.0

    def _begin(self, lane: Lane) -> None:
        """Take up what is at hand, as far as there is room; where nothing is left, somebody has to look for more."""
        while not self._is_full(lane) and lane.is_ready():
            if self._stopping or lane.rests or lane.health.may_begin(self._clock()) > 0:
                break
            probe = lane.health.begun()
            lane.places += 1
            task = asyncio.create_task(self._deliver(lane, lane.take_load(), probe))
            lane.running.add(task)
            task.add_done_callback(partial(self._ended, lane))
        else:
            if lane.is_ready():
                return
        lane.changed.set()

    def _ended(self, lane: Lane, task: asyncio.Task[None]) -> None:
        lane.running.discard(task)
        self._begin(lane)  # its subjects are free

    def _is_full(self, lane: Lane) -> bool:
        """Whether all places on the wire are taken, or too many endings wait to be written down."""
        most = min(self._concurrency, lane.destination.at_once)
        return lane.places >= most or len(lane.running) >= self._concurrency * ROUNDS_AHEAD

    async def _look(self, lane: Lane) -> float:
        """Fetch what is due, some rounds ahead; returns how long to rest when there is nothing."""
        now = self._clock()
        due, standing = await asyncio.to_thread(self._find_next_due, lane.name)
        await self._obey(lane, standing)
        if lane.rests:
            return IDLE_SECONDS
        if due is None or due > now:
            return IDLE_SECONDS if due is None else min(due - now, IDLE_SECONDS)
        seconds = lane.destination.config.timeout_seconds * (ROUNDS_AHEAD + 1) + LEASE_SLACK_SECONDS
        limit = self._concurrency * ROUNDS_AHEAD * min(lane.destination.batch_size, MOST_IN_BATCH)
        take = partial(lease, destination=lane.name, owner=self._owner, limit=limit, now=now, lease_seconds=seconds)
        lane.hold(await self._commits.run(take))
        return 0.0 if lane.is_ready() else CROWDED_SECONDS

    def _find_next_due(self, name: str) -> tuple[float | None, Standing]:
        with reading(self._engine) as connection:
            return find_next_due(connection, name), get_standing(connection, name)

    async def _obey(self, lane: Lane, standing: Standing) -> None:
        """Pause and resume as the operator says; what a resting lane holds goes back to the queue."""
        lane.paused = standing.paused
        if lane.disabled and (standing.resumed_at or 0.0) > lane.disabled_at:
            lane.disabled = ""
        if lane.rests and lane.waiting:
            lane.waiting.clear()
            give_back = partial(release, owner=self._owner, now=self._clock(), destination=lane.name)
            await self._commits.run(give_back)

    async def _deliver(self, lane: Lane, load: list[Leased], probe: bool) -> None:
        leave = _Place(lane, self._begin).leave
        try:
            # What may take its time comes first: between the start and the request lies nothing.
            ready = await get_credentials(lane, self._clock())
            issued = lane.issued
            outcomes = await self._commits.join(lane.start, [row.id for row in load])
            started = [outcome for outcome in outcomes if isinstance(outcome, Started)]
            for refusal in (outcome for outcome in outcomes if isinstance(outcome, NotStarted)):
                log.debug("deliver: %s: not started: %s", lane.name, refusal.reason)
            parcels, faults = build_parcels(lane.destination, started, self._subject_key, self._clock())
            for fault in faults:
                self._log_fault(lane, fault)
            held_back: set[str] = set()
            for number, parcel in enumerate(parcels, 1):
                if held_back.intersection(row.consent_id for row in parcel.rows):
                    waits = Retry(Reason.BEHIND)
                    await self._commits.join(lane.settle, [Ending(r.id, waits, 0.0, costs=False) for r in parcel.rows])
                else:
                    first, answered = number == 1, leave if number == len(parcels) else None
                    held_back |= await self._attempt(lane, parcel, ready, issued, answered, first=first)
        except Exception as error:  # a door: the rows return to the queue when their lease ends
            self._log_fault(lane, error)
        finally:
            lane.leave(load)
            lane.health.left(probe=probe)
            leave()

    async def _attempt(
        self,
        lane: Lane,
        parcel: Parcel,
        ready: Verdict,
        issued: int,
        answered: Callable[[], None] | None,
        *,
        first: bool,
    ) -> set[str]:
        """One request and what came of it; returns the subjects of whom something has to be tried again.

        `answered` is called before the ending is written down, which the next request need not wait for. Where it is not the
        `first` after the start, a withdrawal may have come since.
        """
        judged: Verdict | Sequence[Verdict]
        if not isinstance(parcel.request, OutgoingRequest):
            judged = parcel.request
        elif not isinstance(ready, Delivered):
            judged = ready
        elif not (first or await self._is_wanted(parcel)):
            judged = Retry(Reason.WITHDRAWN)
        else:
            judged = await self._send(lane, parcel, parcel.request)
            note_health(lane, judged, self._clock(), self._chance())
        pairs = spread(parcel, judged)
        now, together = self._clock(), len(pairs)
        note_refused_credentials(lane, [verdict for _, verdict in pairs], issued, now)
        endings = [decide_ending(lane, row, verdict, together, now, self._chance()) for row, verdict in pairs]
        again = {row.consent_id for (row, _), e in zip(pairs, endings, strict=True) if isinstance(e.verdict, Retry)}
        for subject in again:
            lane.drop(subject)
        if answered is not None:
            answered()
        await self._commits.join(lane.settle, endings)
        if lane.disabled:
            log.error("deliver: %s has stopped: %s", lane.name, lane.disabled)
        return again

    async def _is_wanted(self, parcel: Parcel) -> bool:
        """Whether nothing of it was taken back since its start. A notice goes on in any case."""
        ids = [row.id for row in parcel.rows if row.kind == EVENT]
        return not ids or await asyncio.to_thread(is_under_way, self._engine, ids, self._owner)

    async def _send(self, lane: Lane, parcel: Parcel, request: OutgoingRequest) -> Verdict | Sequence[Verdict]:
        try:
            return await converse(lane, request, self._clock(), partial(self._is_wanted, parcel))
        except Exception as error:  # a door: an answer nobody foresaw is no success
            self._log_fault(lane, error)
            return Retry(FAULT)

    def _start_rows(self, lane: Lane, connection: Connection, loads: Sequence[list[int]]) -> list[Any]:
        rules = self._rules(lane.destination, self._scopes)
        ids = [row_id for load in loads for row_id in load]
        outcomes = iter(start(connection, ids, self._owner, rules, self._clock()))
        return [[next(outcomes) for _ in load] for load in loads]

    def _settle_rows(self, connection: Connection, endings: Sequence[list[Ending]]) -> list[None]:
        settle(connection, [ending for group in endings for ending in group], self._owner, self._clock())
        return [None] * len(endings)

    async def _expire(self) -> None:
        """Settle what is past its time, of all destinations, those no longer configured included."""
        while True:
            try:
                await asyncio.to_thread(expire_overdue, self._engine, self._clock())
                await asyncio.to_thread(strip_dead, self._engine, self._clock())
                await self._sweep()
            except Exception as error:  # a door: the next round will do
                log.error("deliver: could not expire: %s", type(error).__name__)
            await asyncio.sleep(EXPIRE_SECONDS)

    async def _sweep(self) -> None:
        """Cancel what no consent covers any more: at the start, when a policy has changed, and each hour."""
        now, (at, under) = self._clock(), self._swept
        if self._scopes == under and now - at < SWEEP_SECONDS:
            return
        scopes = dict(self._scopes)
        rules = {one.config.name: self._rules(one, scopes) for one in self._destinations}
        if cancelled := await asyncio.to_thread(cancel_uncovered, self._engine, rules, now):
            log.info("deliver: %d deliveries cancelled, which the consents cover no more", cancelled)
        self._swept = (now, scopes)

    def _rules(self, destination: Destination, scopes: Scopes) -> Rules:
        return Rules(destination.config.purposes, scopes, len(destination.schedule), LIFETIME_SECONDS)

    def _log_fault(self, lane: Lane, error: Exception) -> None:
        # The type alone: messages and tracebacks may quote what is being delivered.
        log.error("deliver: %s: %s", lane.destination.config.name, type(error).__name__)


class _Place:
    """One attempt's place on the wire, left once."""

    def __init__(self, lane: Lane, begin: Callable[[Lane], None]) -> None:
        self._lane, self._begin, self._taken = lane, begin, True

    def leave(self) -> None:
        """The next one may have it."""
        if self._taken:
            self._taken = False
            self._lane.places -= 1
            self._begin(self._lane)


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
