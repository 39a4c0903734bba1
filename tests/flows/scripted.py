"""A destination whose receiver answers as a test says: batches, conversations, credentials, notices."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import ClassVar

from aiohttp import web

from gateway.destinations.base import (
    Dead,
    Delivered,
    Destination,
    Judgement,
    Misconfigured,
    Notice,
    OutgoingRequest,
    Renew,
    Reply,
    Retry,
    Split,
    Telling,
    Throttled,
    Verdict,
)
from tests.destinations.rows import make_config

Answer = Callable[["Desk"], int]


@dataclass
class Desk:
    """What came in: each request's body; `answer` gives the status of the newest."""

    answer: Answer = field(default=lambda desk: 200)
    bodies: list[dict[str, list[str] | str]] = field(default_factory=list)
    url: str = ""

    @property
    def told(self) -> list[list[str]]:
        """The events of each request that told of some."""
        return [list(body["events"]) for body in self.bodies if body["events"]]

    async def take(self, request: web.Request) -> web.Response:
        """Note and answer."""
        self.bodies.append(json.loads(await request.read()))
        return web.Response(status=self.answer(self))


@asynccontextmanager
async def at_desk(desk: Desk) -> AsyncIterator[Desk]:
    """A desk that listens for as long as the block lasts."""
    app = web.Application()
    app.router.add_post("/", desk.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    desk.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield desk
    finally:
        await runner.cleanup()


class Scripted(Destination):
    """Tells up to four events of one subject at once; each status stands for a verdict."""

    schedule: Sequence[float] = (0.0, *[0.05] * 4)
    batch_size: ClassVar[int] = 4
    cannot_undo: str = "reports that were printed"
    wants_token = False

    def __init__(self, url: str, name: str = "hook", **changes: object) -> None:
        super().__init__(make_config(name, url=url, allow_private=True, timeout_seconds=5, **changes), "")
        self.token, self.tokens = "", 0

    def _post(self, step: str, events: list[str], about: str = "") -> OutgoingRequest:
        body = {"step": step, "events": events, "token": self.token, "about": about}
        return OutgoingRequest("POST", self.config.url, {}, json.dumps(body).encode(), step, "told")

    def build(self, batch: Sequence[Telling], now: float) -> OutgoingRequest:
        """The events' ids."""
        return self._post("events", [telling.event_id for telling in batch])

    def judge(self, request: OutgoingRequest, reply: Reply, now: float) -> Judgement:
        """A status for each verdict; 202 is merely waited for, 207 judges each alone, 300 goes on to a second step."""
        assert request.memo == "told"
        count = len(json.loads(request.body)["events"])
        verdicts: dict[int, Judgement] = {
            200: Delivered(),
            202: Retry("not_seen_yet", 0.2, well=True),
            207: [Dead("odd") if number % 2 else Delivered() for number in range(count)],
            300: self._post("second", []),
            401: Renew("http_401"),
            403: Misconfigured("http_403"),
            413: Split("http_413"),
            429: Throttled("quota", now + 0.4),
        }
        return verdicts.get(reply.status, Retry(f"http_{reply.status}"))

    def withdraw(self, notice: Notice, now: float) -> OutgoingRequest | None:
        """Says who and what; of an erasure there is nothing to be asked."""
        return self._post(notice.kind, [], notice.subject) if notice.kind == "withdrawal" else None

    def renew(self, now: float) -> OutgoingRequest | None:
        """A token, when there is none."""
        return self._post("token", []) if self.wants_token and not self.token else None

    def forget(self) -> None:
        """No token any more."""
        self.token = ""

    def take(self, reply: Reply, now: float) -> Verdict:
        """Each token has its number."""
        self.tokens += 1
        self.token = f"t{self.tokens}"
        return Delivered()
