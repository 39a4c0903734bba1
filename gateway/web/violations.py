"""POST <prefix>violations: what browsers say they refused, or would refuse. Counted by host and directive; nothing else of it,
no address of a page or file, is kept."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec

from gateway.config import Site
from gateway.consent.decision import Decision
from gateway.consent.tag_addresses import host_of
from gateway.errors import BadRequest
from gateway.flows.parts import Parts
from gateway.web.body import media_type, read_body
from gateway.web.rate_limit import RateLimit
from gateway.web.reply import reply
from gateway.web.request import VisitorRequest

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

TYPES = ("application/csp-report", "application/reports+json", "application/json")
MAX_REPORTS = 20  # of one post
KEYWORDS = frozenset(("inline", "eval", "data", "blob", "wasm-eval", "trusted-types-policy", "trusted-types-sink"))


class Violation(msgspec.Struct):
    """What is looked at of a report, in the names of either format."""

    blocked_uri: str = msgspec.field(default="", name="blocked-uri")
    effective: str = msgspec.field(default="", name="effective-directive")
    violated: str = msgspec.field(default="", name="violated-directive")
    blocked_url: str = msgspec.field(default="", name="blockedURL")
    directive: str = msgspec.field(default="", name="effectiveDirective")


class Report(msgspec.Struct):
    """One report of the Reporting API."""

    type: str = ""
    body: Violation | None = None


class OldReport(msgspec.Struct):
    """A report as `report-uri` has it sent."""

    report: Violation = msgspec.field(name="csp-report")


_decoder = msgspec.json.Decoder(OldReport | list[Report])


class Violations:
    """Takes reports for one worker."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        limits = parts.config.settings.limits
        self._limit, self._rate = limits.body_bytes, RateLimit(limits.posts_per_minute)

    async def answer(
        self, request: VisitorRequest, site: Site, _decision: Decision, now: float, receive: Receive, send: Send
    ) -> None:
        """One post: 204, or a 4xx that says what was wrong."""
        body = await read_body(request, receive, self._limit)
        if media_type(request) not in TYPES:
            raise BadRequest(415, "media_type", f"one of {', '.join(TYPES)} is wanted")
        if not self._rate.allow(request.client, now):
            raise BadRequest(429, "too_many", "too many reports from this network; wait a minute")
        for host, directive in read_violations(body):
            self._parts.counters.add(now, site.id, "violation", host, directive)
        await reply(send, 204)


def read_violations(body: bytes) -> list[tuple[str, str]]:
    """Host (or keyword) and directive of each violation in a post. Raises BadRequest."""
    try:
        found = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(400, "malformed", f"the report cannot be read: {error}") from error
    return list(_named([found.report] if isinstance(found, OldReport) else _of_policies(found)))


def _of_policies(reports: list[Report]) -> list[Violation]:
    return [one.body for one in reports[:MAX_REPORTS] if one.type == "csp-violation" and one.body is not None]


def _named(violations: list[Violation]) -> Iterator[tuple[str, str]]:
    for one in violations:
        blocked = one.blocked_url or one.blocked_uri
        host = blocked if blocked in KEYWORDS else host_of(blocked if "://" in blocked else f"//{blocked}")
        directive = (one.directive or one.effective or one.violated).partition(" ")[0]
        plain = host.replace(".", "").replace("-", "").replace("_", "")
        if plain.isascii() and plain.isalnum() and directive.replace("-", "").isalpha():
            yield host, directive
