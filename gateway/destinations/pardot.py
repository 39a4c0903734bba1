"""Salesforce Account Engagement (Pardot), API v5: prospects by their address, and what they did as external activities.

Only events of people who have given their address under a consent to all of the destination's purposes come here. For each
the prospect is made or found by its address (`upsertLatestByEmail`, the one write there that may be repeated), the browser's
visitor is assigned to it where its cookie came along, and the event becomes an activity of a type that the business unit
has registered. No name, address of a computer or page title is told.

https://developer.salesforce.com/docs/marketing/pardot/guide/version5overview.html
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from gateway.destinations.base import (
    FILE,
    NO_SECRETS,
    Dead,
    Delivered,
    Destination,
    Judgement,
    Notice,
    OutgoingRequest,
    Reply,
    Retry,
    Split,
    Telling,
    Verdict,
    check_url,
    read_options,
)
from gateway.destinations.pardot_codes import PROSPECT_UNKNOWN, judge_code
from gateway.destinations.salesforce_login import Grant, Login
from gateway.errors import ConfigError, DestinationError
from gateway.event import Event
from gateway.settings import DestinationConfig, Section

API = "/api/v5"
UPSERT, ASSIGN, ACTIVITY = "upsert", "assign", "activity"
FIND, CHANGE, PURGE = "find", "change", "purge"
VISITOR = re.compile(r"[0-9]{1,18}\Z")
OFFSET = 1000  # what the page's snippet adds to account and campaign
MOST_AT_ONCE = 6  # prospects of one address, in one conversation
ODD_ANSWER, MORE_LEFT, NOT_SEEN_YET = "odd_answer", "more_left", "not_seen_yet"
STALE_SECONDS = 60.0  # so old may be what a question there is answered with
KEPT = (
    "deleted prospects stay in Account Engagement's recycle bin until staff empty it, and Salesforce's own records stay"
)
PURGED = "Account Engagement takes up to 30 days to delete for good, and Salesforce's own records stay"
BOUNDARY = "consent-gateway-part"
VALUE_LETTERS = 255


class PardotOptions(Section, frozen=True):
    """What stands in `[destinations.options]`. `activities`: types of external activities by names of events.

    `account` and `campaign` are the real numbers, not the page's `piAId` and `piCId`, which are 1000 more. With the first
    visitors are assigned; with both, pages get the browser's tracker from the domain `tracker` (see web/tracker). `purge` is
    what the Bulk Actions API calls deleting for good.
    """

    business_unit: Annotated[str, Meta(pattern=r"^0Uv[A-Za-z0-9]{15}\Z")]
    client_id: Annotated[str, Meta(min_length=1)]
    grant: Grant = "client_credentials"
    login_url: str = "https://login.salesforce.com"
    username: str = ""
    refresh_token: str = ""
    extension: str = ""
    activities: dict[str, str] = msgspec.field(default_factory=dict)
    account: int = 0
    campaign: int = 0
    tracker: Annotated[str, Meta(pattern=r"^([a-z0-9-]+(\.[a-z0-9-]+)*(:\d{1,5})?)?\Z")] = ""
    timezone: str = "UTC"
    on_withdrawal: Literal["opt_out", "delete", "nothing"] = "opt_out"
    purge: str = ""


class _Found(msgspec.Struct, frozen=True, rename="camel"):
    id: int
    is_deleted: bool = False
    opted_out: bool = False
    is_do_not_email: bool = False

    def needs(self, *, delete: bool) -> bool:
        """Whether there is something to do about it."""
        return not self.is_deleted and (delete or not (self.opted_out and self.is_do_not_email))


class _List(msgspec.Struct, frozen=True):
    values: list[_Found]


class _Rest(msgspec.Struct, frozen=True):
    """What a conversation still has to do."""

    visitor: str = ""
    activity: dict[str, str] = {}


class _Change(msgspec.Struct, frozen=True):
    """`ids` are still to be changed; `purge` to be deleted for good when none is left, where that is wanted.

    Before `sure_at` whoever is not found may be there all the same.
    """

    delete: bool
    sure_at: float
    ids: list[int] = []
    more: bool = False
    purge: list[int] | None = None


class Pardot(Destination):
    """One business unit. `url` ends in `/api/v5`; `secret` is the connected app's, or with `grant = "jwt"` its private key."""

    at_once: ClassVar[int] = 4  # a business unit takes five, and others want one too
    knows_people: ClassVar[bool] = True
    cannot_undo: str = KEPT
    options: ClassVar[type[Section]] = PardotOptions
    secret_options: ClassVar[tuple[str, ...]] = ("refresh_token",)

    def __init__(self, config: DestinationConfig, secret: str, more_secrets: Mapping[str, str] = NO_SECRETS) -> None:
        super().__init__(config, secret, more_secrets)
        self._options = options = read_options(config, PardotOptions)
        _check(config, options)
        self._zone = ZoneInfo(options.timezone)
        grant, where = options.grant, (options.login_url, options.client_id, options.username)
        self._login = Login(config.name, grant, *where, secret, more_secrets)
        self.cannot_undo = PURGED if options.purge else KEPT

    def renew(self, now: float) -> OutgoingRequest | None:
        """A token, if there is none."""
        return self._login.ask(now)

    def take(self, reply: Reply, now: float) -> Verdict:
        """Keep it."""
        return self._login.take(reply, now)

    def forget(self) -> None:
        """It was refused."""
        self._login.forget()

    def build(self, batch: Sequence[Telling], now: float) -> OutgoingRequest:
        """The prospect first; what follows waits in the memo."""
        [telling] = batch
        if telling.person is None:
            raise DestinationError("Account Engagement is told of people alone")
        email, kind = telling.person.email, self._options.activities.get(telling.event.kind, "")
        activity = _describe(self._options.extension, kind, email, telling.event) if kind else {}
        visitor = telling.person.cookies.get(f"visitor_id{self._options.account}", "")
        rest = _Rest(visitor if VISITOR.match(visitor) else "", activity)
        body = {
            "matchEmail": email,
            "prospect": {"email": email},
            "fields": ["id", "email"],
            "secondaryDeletedSearch": False,
        }
        path = "/objects/prospects/do/upsertLatestByEmail?fields=id,email"
        return self._ask("POST", path, body, UPSERT, msgspec.json.encode(rest).decode())

    def judge(self, request: OutgoingRequest, reply: Reply, now: float) -> Judgement:
        """The code in the body decides; after each step comes the next."""
        if _is_gone(request, reply):
            return self._change_next(request)
        failure = judge_code(reply, now, self._zone)
        if failure is not None:
            return (
                self._add_activity(request)
                if _speaks_of_visitor(request, reply, failure)
                else _soften(request, failure)
            )
        if request.step == UPSERT:
            return self._go_on(request, reply)
        if request.step == ASSIGN:
            return self._add_activity(request)
        if request.step == FIND:
            return self._found(request, reply, now)
        return self._change_next(request) if request.step == CHANGE else Delivered()

    def withdraw(self, notice: Notice, now: float) -> OutgoingRequest | None:
        """Find the prospects with this address; then opt them out, or delete them. Nothing where no address was told."""
        wish = "delete" if notice.kind == "erasure" else self._options.on_withdrawal
        if not notice.email or wish == "nothing":
            return None
        for_good = notice.kind == "erasure" and bool(self._options.purge)
        # What was on the wire at the withdrawal has ended by then, and is seen.
        sure_at = notice.at + self.config.timeout_seconds + STALE_SECONDS
        memo = msgspec.json.encode(_Change(wish == "delete", sure_at, purge=[] if for_good else None)).decode()
        fields = "id,isDeleted&deleted=all" if for_good else "id,optedOut,isDoNotEmail"
        path = f"/objects/prospects?fields={fields}&email={quote(notice.email, safe='')}"
        return self._ask("GET", path, None, FIND, memo)

    def _go_on(self, request: OutgoingRequest, reply: Reply) -> Judgement:
        try:
            prospect = msgspec.json.decode(reply.body, type=_Found).id
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Retry(ODD_ANSWER)
        visitor = msgspec.json.decode(request.memo, type=_Rest).visitor
        if not visitor:
            return self._add_activity(request)
        path = f"/objects/visitors/{visitor}/do/assignToProspect"
        return self._ask("POST", path, {"prospectId": prospect}, ASSIGN, request.memo)

    def _add_activity(self, request: OutgoingRequest) -> Judgement:
        activity = msgspec.json.decode(request.memo, type=_Rest).activity
        return self._ask("POST", "/external-activities", activity, ACTIVITY, "") if activity else Delivered()

    def _found(self, request: OutgoingRequest, reply: Reply, now: float) -> Judgement:
        try:
            found = msgspec.json.decode(reply.body, type=_List).values
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Retry(ODD_ANSWER)
        change = msgspec.json.decode(request.memo, type=_Change)
        if all(one.is_deleted for one in found) and now < change.sure_at:
            return Retry(NOT_SEEN_YET, change.sure_at - now, well=True)
        ids = [one.id for one in found if one.needs(delete=change.delete)]
        purge = None if change.purge is None else [one.id for one in found]
        return self._change(_Change(change.delete, 0.0, ids[:MOST_AT_ONCE], len(ids) > MOST_AT_ONCE, purge))

    def _change_next(self, request: OutgoingRequest) -> Judgement:
        change = msgspec.json.decode(request.memo, type=_Change)
        return self._change(msgspec.structs.replace(change, ids=change.ids[1:]))

    def _change(self, change: _Change) -> Judgement:
        if not change.ids:
            if change.more:
                return Retry(MORE_LEFT, well=True)
            return self._purge(change.purge) if change.purge else Delivered()
        path, memo = f"/objects/prospects/{change.ids[0]}", msgspec.json.encode(change).decode()
        if change.delete:
            return self._ask("DELETE", path, None, CHANGE, memo)
        return self._ask("PATCH", path, {"optedOut": True, "isDoNotEmail": True}, CHANGE, memo)

    def _purge(self, ids: Sequence[int]) -> OutgoingRequest:
        """A bulk action over what lies in the recycle bin: a form of two parts, what to do and with which prospects."""
        what = {"object": "Prospect", "action": self._options.purge, "status": "Ready"}
        listed = "".join(f"{number}\r\n" for number in ids)
        parts = {
            'name="input"\r\nContent-Type: application/json': msgspec.json.encode(what).decode(),
            'name="file"; filename="prospects.csv"\r\nContent-Type: text/csv': f"id\r\n{listed}",
        }
        head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; "
        body = "".join(f"{head}{name}\r\n\r\n{value}\r\n" for name, value in parts.items()) + f"--{BOUNDARY}--\r\n"
        asked = self._ask("POST", "/bulk-actions?fields=id,status", None, PURGE, "")
        headers = asked.headers | {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        return msgspec.structs.replace(asked, headers=headers, body=body.encode())

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None, step: str, memo: str) -> OutgoingRequest:
        headers = {"authorization": self._login.authorization, "pardot-business-unit-id": self._options.business_unit}
        if body is not None:
            headers["content-type"] = "application/json"
        encoded = b"" if body is None else msgspec.json.encode(body)
        return OutgoingRequest(method, self.config.url + path, headers, encoded, step, memo)


def _is_gone(request: OutgoingRequest, reply: Reply) -> bool:
    """Whether what was to be changed is not there any more, or in the recycle bin already."""
    return request.step == CHANGE and reply.status == 404


def _speaks_of_visitor(request: OutgoingRequest, reply: Reply, failure: Verdict) -> bool:
    """Whether only the assignment failed. The visitor's number comes out of a cookie, which may hold anything: whatever is said
    of it costs neither the activity nor, where that is a bare 404, the destination."""
    return request.step == ASSIGN and (isinstance(failure, Dead | Split) or reply.status == 404)


def _soften(request: OutgoingRequest, failure: Verdict) -> Verdict:
    """An activity comes right after its prospect: where that is not known yet, it will be."""
    unknown = f"pardot_{PROSPECT_UNKNOWN}"
    return Retry(unknown) if request.step == ACTIVITY and failure == Dead(unknown) else failure


def _describe(extension: str, kind: str, email: str, event: Event) -> dict[str, str]:
    """An external activity; its value is what the event was about: a rule, a document, a topic, else the page's masked path."""
    about = event.props.get("rule") or event.props.get("document") or event.topic or event.path
    at = datetime.fromtimestamp(int(event.at), UTC).isoformat()
    return {"extension": extension, "type": kind, "email": email, "value": about[:VALUE_LETTERS], "activityDate": at}


def _check(config: DestinationConfig, options: PardotOptions) -> None:
    check_url(config, "url", config.url)
    check_url(config, "options.login_url", options.login_url)
    wrong: dict[str, str] = {}
    if not config.url.endswith(API):
        wrong["url"] = f"wanted https://pi.pardot.com{API}, or https://pi.demo.pardot.com{API} for a sandbox"
    if config.include_network:
        wrong["include_network"] = "Account Engagement is told no network"
    if bool(options.activities) != bool(options.extension):
        wrong["options.extension"] = "activities need the extension under which their types are registered, and it them"
    if fault := _find_offset(config, options):
        wrong["options.account"] = fault
    if options.tracker and not (options.account and options.campaign):
        wrong["options.tracker"] = "needs account and campaign, by which the page's tracker reports"
    try:
        ZoneInfo(options.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        wrong["options.timezone"] = "wanted a name such as Europe/Amsterdam"
    for key, wanted in wrong.items():
        raise ConfigError(FILE, f"{config.name}.{key}", None, wanted)


def _find_offset(config: DestinationConfig, options: PardotOptions) -> str:
    """What is wrong with the account's number, as far as the cookies tell, which carry the real one."""
    if not config.cookies:
        alone = options.account and not options.tracker
        return "without the cookies of the visitor it says nothing" if alone else ""
    if f"visitor_id{options.account - OFFSET}" in config.cookies:
        return f"wanted {options.account - OFFSET}: this is the page's piAId, which is {OFFSET} more than the account"
    if f"visitor_id{options.account}" not in config.cookies:
        return "wanted the number that stands in the name of the cookie visitor_id…"
    return ""
