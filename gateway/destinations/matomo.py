"""Matomo by its bulk tracking interface, told by the server; and its PrivacyManager, which finds and deletes.

A request carries events of several visitors. Matomo tells a visitor by `cid`, made from the subject's name at this
destination; it hears the country, never an address or agent. Pings take the place of engagement, which keeps a
visit's time right.

Matomo answers with counts, and its success alone says little: what it passed over while its database was locked it
still calls a success. So `tracked` and `invalid` are held against what was sent. Where they do not add up, each event
is tried by itself: one that was recorded after all counts twice, for Matomo tells no repeat from a second event.

When somebody withdraws or is erased, their visits are found and deleted, until none is found.
https://developer.matomo.org/api-reference/tracking-api
"""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import urlencode

import msgspec

from gateway.destinations.base import (
    FILE,
    NO_SECRETS,
    Dead,
    Delivered,
    Destination,
    Judgement,
    Misconfigured,
    Notice,
    OutgoingRequest,
    Reply,
    Retry,
    Split,
    Telling,
    Verdict,
    check_url,
    judge_failure,
    read_options,
)
from gateway.destinations.page_address import locate_page, locate_referrer
from gateway.errors import ConfigError, DestinationError
from gateway.event import ENGAGEMENT, PAGE_VIEW, Event
from gateway.settings import DestinationConfig, PositiveInt, Section
from gateway.signing_algorithm import sign_sha256

TRACKER, REPORTING = "/matomo.php", "/index.php"
TOKEN = re.compile(r"[0-9A-Za-z]{32}\Z")
COUNTRY = re.compile(r"[A-Z]{2}\Z")
# Words with a space in them, as no address of a page has them: an answer may repeat what a visitor made us tell.
UNKNOWN_WEBSITE = re.compile(rb"(?i)(unexpected website was found|(invalid|unknown) idsite)")
BODY_BYTES = 1_000_000
URL_LETTERS, TEXT_LETTERS = 2000, 255
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
FINDING, DELETION = "finding", "deletion"
INVALID, INCOMPLETE, ODD_ANSWER = "invalid", "incomplete", "odd_answer"
UNKNOWN_SITE, NO_ACCESS = "unknown_site", "no_access"
KEPT = "reports that Matomo has already made keep their totals"


class MatomoOptions(Section, frozen=True):
    """What stands in `[destinations.options]`: the website's number in Matomo."""

    site_id: PositiveInt


class Matomo(Destination):
    """One website of one Matomo. `url` ends in `/matomo.php`; `secret` is a token of somebody with admin access to it."""

    batch_size: ClassVar[int] = 100
    mixed: ClassVar[bool] = True
    at_once: ClassVar[int] = 8  # each of up to a hundred events, and mostly a machine of one's own
    cannot_undo: str = KEPT
    options: ClassVar[type[Section]] = MatomoOptions

    def __init__(self, config: DestinationConfig, secret: str, more_secrets: Mapping[str, str] = NO_SECRETS) -> None:
        super().__init__(config, secret, more_secrets)
        check_url(config, "url", config.url)
        if not config.url.endswith(TRACKER):
            raise ConfigError(FILE, f"{config.name}.url", config.url, f"wanted an address that ends in {TRACKER}")
        if not TOKEN.match(secret):
            raise ConfigError(
                FILE, f"{config.name}.secret", "…", "wanted a token_auth of Matomo: 32 letters and digits"
            )
        if config.include_network:
            wanted = "Matomo is told no network; the country stands for it"
            raise ConfigError(FILE, f"{config.name}.include_network", value=True, wanted=wanted)
        self._site = str(read_options(config, MatomoOptions).site_id)
        self._token = secret

    def key_of(self, telling: Telling) -> str:
        """All events go together."""
        return ""

    def build(self, batch: Sequence[Telling], now: float) -> OutgoingRequest:
        """One bulk request; `memo` is how many it holds."""
        if not all(telling.event.at > 0 for telling in batch):
            raise DestinationError("the event has an impossible time")
        try:
            lines = ["?" + urlencode(self._describe(telling, now)) for telling in batch]
        except UnicodeEncodeError as error:
            raise DestinationError("the event holds text that is no Unicode") from error
        body = msgspec.json.encode({"requests": lines, "token_auth": self._token})
        if len(body) > BODY_BYTES:
            raise DestinationError(f"{len(batch)} events take {len(body)} bytes; at most {BODY_BYTES} are sent")
        return OutgoingRequest("POST", self.config.url, JSON, body, memo=str(len(batch)))

    def judge(self, request: OutgoingRequest, reply: Reply, now: float) -> Judgement:
        """Counts for what was tracked; what was found and deleted, for a withdrawal."""
        if reply.status == 400 and UNKNOWN_WEBSITE.search(reply.body):
            return Misconfigured(UNKNOWN_SITE)
        failure = judge_failure(reply, now)
        if failure is not None:
            return failure
        if request.step:
            return self._judge_reporting(request, reply)
        return judge_counts(reply.body, int(request.memo))

    def withdraw(self, notice: Notice, now: float) -> OutgoingRequest | None:
        """First the visits are to be found."""
        return self._find(make_visitor(notice.subject))

    def _describe(self, telling: Telling, now: float) -> dict[str, str]:
        event = telling.event
        fields = {
            "idsite": self._site,
            "rec": "1",
            "apiv": "1",
            "bots": "1",  # the gateway has left them out already
            "cid": make_visitor(telling.subject),
            "pv_id": _derive(telling.subject, f"view {event.view_id}", 6),
            "cdt": str(int(min(event.at, now))),
            "url": locate_page(event, URL_LETTERS),
            "urlref": locate_referrer(event, URL_LETTERS),
            "lang": event.language,
            "country": event.country.lower() if COUNTRY.match(event.country) else "",
            **_describe_action(event),
        }
        return {name: text for name, text in fields.items() if text}

    def _judge_reporting(self, request: OutgoingRequest, reply: Reply) -> Judgement:
        """What was deleted is looked for once more: Matomo finds some hundred visits at a time."""
        try:
            if request.step == DELETION:
                msgspec.json.decode(reply.body, type=dict[str, int], strict=False)
                return self._find(request.memo)
            visits = msgspec.json.decode(reply.body, type=list[_Visit], strict=False)
        except msgspec.DecodeError:  # errors too are answered with 200
            return Misconfigured(NO_ACCESS) if b'"error"' in reply.body else Retry(ODD_ANSWER)
        return self._delete(request.memo, visits) if visits else Delivered()

    def _find(self, visitor: str) -> OutgoingRequest:
        fields = {"idSite": self._site, "segment": f"visitorId=={visitor}"}
        return self._report("findDataSubjects", fields, FINDING, visitor)

    def _delete(self, visitor: str, visits: Sequence["_Visit"]) -> OutgoingRequest:
        fields: dict[str, str] = {}
        for number, visit in enumerate(visits):
            fields[f"visits[{number}][idsite]"] = self._site
            fields[f"visits[{number}][idvisit]"] = str(visit.id)
        return self._report("deleteDataSubjects", fields, DELETION, visitor)

    def _report(self, method: str, fields: dict[str, str], step: str, visitor: str) -> OutgoingRequest:
        form = {"module": "API", "format": "json", "method": f"PrivacyManager.{method}", "token_auth": self._token}
        url = self.config.url.removesuffix(TRACKER) + REPORTING
        return OutgoingRequest("POST", url, FORM, urlencode(form | fields).encode(), step, visitor)


class _Counts(msgspec.Struct, frozen=True):
    status: str
    tracked: int
    invalid: int = 0
    invalid_indices: list[int] = []


class _Visit(msgspec.Struct, frozen=True, rename={"id": "idVisit"}):
    id: int


def judge_counts(body: bytes, sent: int) -> Verdict | Sequence[Verdict]:
    """What the counts of a bulk answer mean for `sent` events."""
    try:
        counts = msgspec.json.decode(body, type=_Counts, strict=False)
    except msgspec.DecodeError:
        return Retry(ODD_ANSWER)
    tracked, invalid = counts.tracked, counts.invalid
    if counts.status != "success" or not 0 <= tracked <= sent or not 0 <= invalid <= sent - tracked:
        return Retry(ODD_ANSWER)
    if tracked == sent:
        return Delivered()
    if invalid == sent:
        return Dead(INVALID)
    if tracked + invalid < sent:
        return Split(INCOMPLETE) if tracked or invalid else Retry(INCOMPLETE)
    bad = set(counts.invalid_indices)
    if len(bad) == invalid and bad <= set(range(sent)):
        return [Dead(INVALID) if number in bad else Delivered() for number in range(sent)]
    return Split(INVALID)


def make_visitor(subject: str) -> str:
    """A visitor id as Matomo has them, of 16 hexadecimal digits: the same for a subject each time, and no way back."""
    return _derive(subject, "visitor", 16)


def _derive(subject: str, what: str, digits: int) -> str:
    return sign_sha256(subject.encode(), what.encode()).hex()[:digits]


def _describe_action(event: Event) -> dict[str, str]:
    """A page view with its topic as title; a ping for engagement; an event of Matomo's for all else."""
    if event.kind == PAGE_VIEW:
        return {"action_name": event.topic[:TEXT_LETTERS]}
    if event.kind == ENGAGEMENT:
        return {"ping": "1"}
    told = ", ".join(f"{name}: {value}" for name, value in event.props.items())
    action = {"e_c": event.kind, "e_a": event.topic or event.path, "e_n": told}
    worth = {"e_v": str(event.told.revenue / 1000)} if event.told.currency else {}
    return {"ca": "1", **worth} | {name: text[:TEXT_LETTERS] for name, text in action.items()}
