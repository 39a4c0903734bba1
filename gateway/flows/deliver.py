"""The outbox's rows to their destinations: lease, start (consent asked again), build, send, judge, settle.

Each destination has a lane of its own with its own connections, so that a slow or failing one delays no
other. Within a lane some requests are on the wire at once, but one subject's are one behind the other: they arrive
in the order in which they were queued, and where one has to be tried again, the later ones wait for it.

Nothing about a visitor is logged: only destination names, counts, and words out of closed lists.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine

from gateway.consent.decision import LIFETIME_SECONDS
from gateway.database import reading
from gateway.destinations.attempts import Ending, Rules, is_under_way, settle, start
from gateway.destinations.base import Delivered, Destination, OutgoingRequest, Retry, Verdict, find_longest_wait
from gateway.destinations.figures import Standing, get_standing
from gateway.destinations.group_commit import GroupCommit
from gateway.destinations.health import Rest
from gateway.destinations.outbox import EVENT, NotStarted, Reason, Started, find_next_due, lease, release
from gateway.destinations.sender import Sender
from gateway.destinations.upkeep import Longest, bring_back, cancel_uncovered, expire_overdue, strip_dead
from gateway.flows.lane import (
    FAULT,
    Lane,
    Load,
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

CONCURRENCY = 128  # for each destination: half wait for the commit of their start while the others are on the wire
ROUNDS_AHEAD = 8  # how many rows are leased at once, for each place on the wire
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
            places = min(self._concurrency, destination.at_once)
            most_held = places * ROUNDS_AHEAD * min(destination.batch_size, MOST_IN_BATCH)
            lane = Lane(destination, Sender(allow_private=private, connections=self._concurrency), most_held)
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

    @property
    def resting(self) -> dict[str, Rest]:
        """Destinations to which nothing goes for a while, although nobody has stopped them."""
        now = self._clock()
        found = {lane.name: lane.health.find_rest(now) for lane in self._lanes if not lane.rests}
        return {name: rest for name, rest in found.items() if rest is not None}

    async def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Begin nothing more, let requests end within the grace, and give the rest back to the queue."""
        self._stopping = True
        await _cancel(self._tasks)
        await self._let_end(grace_seconds)
        for lane in self._lanes:
            self._write_down(lane)
        await self._commits.finish()
        for lane in self._lanes:
            await lane.sender.close()
        give_back = partial(release, owner=self._owner, now=self._clock(), costs=False)
        returned = await self._commits.run(give_back)
        await self._commits.finish()
        if returned:
            log.info("deliver: %d deliveries given back to the queue", returned)

    async def _let_end(self, grace_seconds: float) -> None:
        """Wait for what is under way; what has been started meanwhile is sent as well. Then end the rest."""
        clock = asyncio.get_running_loop().time
        until = clock() + grace_seconds
        while running := [task for lane in self._lanes for task in lane.running if not task.done()]:
            if clock() < until:
                await asyncio.wait(running, timeout=until - clock(), return_when=asyncio.FIRST_COMPLETED)
            else:
                await _cancel(running)

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
        """Look for what is due before the lane runs dry, and begin; returns how long to rest unless woken."""
        wait = 0.0 if lane.rests else lane.health.may_begin(self._clock())
        if wait > 0:
            return min(wait, IDLE_SECONDS)
        pause = await self._look(lane) if lane.rests or lane.is_low() else IDLE_SECONDS
        self._begin(lane)
        return 0.0 if lane.is_ready() and not self._is_full(lane) else pause

    def _begin(self, lane: Lane) -> None:
        """Begin as many attempts as there is room for, of what is at hand."""
        loads: list[Load] = []
        while lane.is_ready() and not self._is_full(lane):
            if self._stopping or lane.rests or lane.health.may_begin(self._clock()) > 0:
                break
            lane.places += 1
            loads.append(lane.take_load(probe=lane.health.begun()))
        if loads:
            lane.run(self._start(lane, loads))

    def _stir(self, lane: Lane) -> None:
        """Something has ended: what else ends in this turn of the loop is written down, and followed, together with it."""
        if not lane.stirred:
            lane.stirred = True
            asyncio.get_running_loop().call_soon(self._go_on, lane)

    def _go_on(self, lane: Lane) -> None:
        """There is room for the next attempts; where nothing is left to begin, somebody has to look for more."""
        lane.stirred = False
        self._write_down(lane)
        self._begin(lane)
        if lane.is_low() or not self._is_full(lane):
            lane.changed.set()

    def _write_down(self, lane: Lane) -> None:
        """Hand over how attempts have ended. Nobody waits for it; their subjects go on once it is committed."""
        ended, lane.ended = lane.ended, []
        endings = [ending for load in ended for ending in load.endings]
        if endings:
            self._commits.hand_over(lane.settle, endings, partial(self._settled, lane, ended))
        else:
            lane.leave(ended)

    def _settled(self, lane: Lane, loads: list[Load], _result: None, error: Exception | None) -> None:
        if error is not None:
            self._log_fault(lane, error)
        lane.leave(loads)
        self._stir(lane)

    def _is_full(self, lane: Lane) -> bool:
        """Whether all places on the wire are taken, or too many endings wait to be written down."""
        most = min(self._concurrency, lane.destination.at_once)
        return lane.places >= most or lane.loads >= most * ROUNDS_AHEAD

    async def _look(self, lane: Lane) -> float:
        """Fetch what is due, some rounds ahead; returns how long to rest when there is nothing."""
        now = self._clock()
        due, standing = await asyncio.to_thread(self._find_next_due, lane)
        await self._obey(lane, standing)
        if lane.rests:
            return IDLE_SECONDS
        if due is None or due > now:
            return IDLE_SECONDS if due is None else min(due - now, IDLE_SECONDS)
        seconds = _find_lease_seconds(lane.destination)
        limit = lane.most_held - (lane.held if lane.is_ready() else 0)
        take = partial(lease, destination=lane.name, owner=self._owner, limit=limit, now=now, lease_seconds=seconds)
        rows = await self._commits.run(take)
        lane.hold(rows)
        lane.more = len(rows) == limit
        return 0.0 if lane.is_ready() else CROWDED_SECONDS

    def _find_next_due(self, lane: Lane) -> tuple[float | None, Standing]:
        with reading(self._engine) as connection:
            standing = get_standing(connection, lane.name)
            return 0.0 if lane.more else find_next_due(connection, lane.name), standing

    async def _obey(self, lane: Lane, standing: Standing) -> None:
        """Pause and resume as the operator says; what a resting lane holds goes back to the queue."""
        lane.paused = standing.paused
        if lane.disabled and (standing.resumed_at or 0.0) > lane.disabled_at:
            lane.disabled = ""
        if lane.rests and lane.let_go():
            give_back = partial(release, owner=self._owner, now=self._clock(), destination=lane.name)
            await self._commits.run(give_back)

    async def _start(self, lane: Lane, loads: list[Load]) -> None:
        """Ask for the consents of all these once more, and send each load that is covered."""
        try:
            # What may take its time comes first: between the start and the request lies nothing.
            ready = await get_credentials(lane, self._clock())
            issued = lane.issued
            outcomes = await self._commits.join(lane.start, [[row.id for row in load.rows] for load in loads])
        except Exception as error:  # a door: the rows return to the queue when their lease ends
            self._log_fault(lane, error)
            for load in loads:
                self._end(lane, load)
        else:
            for load, mine in zip(loads, outcomes, strict=True):
                lane.run(self._deliver(lane, load, mine, ready, issued))
        finally:
            lane.forget_task()

    async def _deliver(
        self, lane: Lane, load: Load, outcomes: Sequence[Started | NotStarted], ready: Verdict, issued: int
    ) -> None:
        again: set[str] = set()  # subjects of whom something has to be tried again
        try:
            for number, parcel in enumerate(self._build(lane, outcomes)):
                if load.endings:
                    await self._commits.join(lane.settle, load.endings)
                if again.intersection(row.consent_id for row in parcel.rows):
                    load.endings = [Ending(row.id, Retry(Reason.BEHIND), 0.0, costs=False) for row in parcel.rows]
                else:
                    load.endings = await self._attempt(lane, parcel, ready, issued, again, first=number == 0)
        except Exception as error:  # a door: the rows return to the queue when their lease ends
            self._log_fault(lane, error)
        finally:
            lane.forget_task()
            self._end(lane, load)

    def _end(self, lane: Lane, load: Load) -> None:
        """Its place is free; the next attempt need not wait until its endings are written down."""
        lane.health.left(probe=load.probe)
        lane.places -= 1
        lane.ended.append(load)
        self._stir(lane)

    def _build(self, lane: Lane, outcomes: Sequence[Started | NotStarted]) -> Iterator[Parcel]:
        started = [outcome for outcome in outcomes if isinstance(outcome, Started)]
        for refusal in (outcome for outcome in outcomes if isinstance(outcome, NotStarted)):
            log.debug("deliver: %s: not started: %s", lane.name, refusal.reason)
        note_fault = partial(self._log_fault, lane)
        return build_parcels(lane.destination, started, self._subject_key, self._clock, note_fault)

    async def _attempt(
        self, lane: Lane, parcel: Parcel, ready: Verdict, issued: int, again: set[str], *, first: bool
    ) -> list[Ending]:
        """One request and what came of it; adds to `again` the subjects of whom something has to be tried again.

        Where it is not the `first` after the start, a withdrawal may have come since.
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
        again |= {row.consent_id for (row, _), e in zip(pairs, endings, strict=True) if isinstance(e.verdict, Retry)}
        for subject in again:
            lane.drop(subject)
        if lane.disabled:
            log.error("deliver: %s has stopped: %s", lane.name, lane.disabled)
        return endings

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

    def _start_rows(self, lane: Lane, connection: Connection, groups: Sequence[list[list[int]]]) -> list[Any]:
        rules = self._rules(lane.destination, self._scopes)
        ids = [row_id for loads in groups for load in loads for row_id in load]
        outcomes = iter(start(connection, ids, self._owner, rules, self._clock()))
        return [[[next(outcomes) for _ in load] for load in loads] for loads in groups]

    def _settle_rows(self, connection: Connection, endings: Sequence[list[Ending]]) -> list[None]:
        settle(connection, [ending for group in endings for ending in group], self._owner, self._clock())
        return [None] * len(endings)

    async def _expire(self) -> None:
        """Settle what is past its time, of all destinations, those no longer configured included."""
        while True:
            try:
                await asyncio.to_thread(expire_overdue, self._engine, self._clock())
                await asyncio.to_thread(strip_dead, self._engine, self._clock())
                await self._bring_back()
                await self._sweep()
            except Exception as error:  # a door: the next round will do
                log.error("deliver: could not expire: %s", type(error).__name__)
            await asyncio.sleep(EXPIRE_SECONDS)

    async def _bring_back(self) -> None:
        """A clock that was set back makes nothing wait longer than was meant."""
        longest = {
            one.config.name: Longest(find_longest_wait(one.schedule), _find_lease_seconds(one))
            for one in self._destinations
        }
        if late := await asyncio.to_thread(bring_back, self._engine, longest, self._clock()):
            log.warning("deliver: %d deliveries are due again: the clock was set back", late)
            self.wake()

    async def _sweep(self) -> None:
        """Cancel what no consent covers any more: at the start, when a policy has changed, and each hour."""
        now, (at, under) = self._clock(), self._swept
        if self._scopes == under and 0 <= now - at < SWEEP_SECONDS:
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


def _find_lease_seconds(destination: Destination) -> float:
    return destination.config.timeout_seconds * (ROUNDS_AHEAD + 1) + LEASE_SLACK_SECONDS


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
