"""Google Analytics 4 by its Measurement Protocol, told by the server: no address, no cookie, no script of Google's.

Google hears a client id and session ids that are made from the subject's name at this destination (itself made under
a key of ours), the country, device class and browser family; never `ip_override`, a user id or anything a browser
holds. What has no consent is not sent at all; for ads, `consent` says DENIED unless `ads` is set.

Any 2xx is taken for success, since Google sends one for everything: what it would drop is refused by `ga4_events`
before. Google tells no repeat from a second event, so a delivery that has to be made again may count twice.

When somebody withdraws or is erased, Google is asked to delete the client: a token for the service account, then the
Admin API's `submitUserDeletion`. https://developers.google.com/analytics/devguides/config/admin/v1
"""

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, ClassVar
from urllib.parse import urlencode

import msgspec
from msgspec import Meta

from gateway.destinations.base import (
    FILE,
    HOUR,
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
    Telling,
    check_url,
    judge_failure,
    read_options,
)
from gateway.destinations.ga4_events import describe_event, name_event
from gateway.errors import ConfigError, DestinationError
from gateway.event import Event
from gateway.settings import DestinationConfig, Section
from gateway.signing_algorithm import sign_sha256

if TYPE_CHECKING:
    from gateway.destinations.service_account import ServiceAccount

COLLECT, DEBUG = "/mp/collect", "/debug/mp/collect"
SCOPE = "https://www.googleapis.com/auth/analytics.edit"
JSON = {"content-type": "application/json"}
SECRET = re.compile(r"[!-~]{8,}\Z")
COUNTRY = re.compile(r"[A-Z]{2}\Z")
BODY_BYTES = 130_000
OLDEST_SECONDS = 72 * HOUR - 60  # what arrives a minute later must still be young enough
FAMILY_LETTERS = 100
CHECKING, TOKEN, DELETION = "checking", "token", "deletion"
REFUSED, NO_TOKEN = "refused_by_validation", "no_token"
KEPT = "reports of totals and what was exported from Google (BigQuery) keep what they hold"
DELETED = f"Google deletes from its servers within about two months; {KEPT}"
NOT_DELETED = f"without a service account nothing is deleted before the property's own retention ends; {KEPT}"


class GoogleOptions(Section, frozen=True):
    """What stands in `[destinations.options]`. `ads`: the purposes cover Google's ads, and `consent` says so.

    With `property_id` and `service_account` Google can be asked to delete; `deletion_url` is for rehearsals.
    """

    measurement_id: Annotated[str, Meta(pattern=r"^G-[A-Z0-9]{4,20}\Z")]
    ads: bool = False
    property_id: Annotated[str, Meta(pattern=r"^[0-9]*\Z")] = ""
    service_account: str = ""
    deletion_url: str = "https://analyticsadmin.googleapis.com"


class GoogleAnalytics(Destination):
    """One web data stream. `url` ends in `/mp/collect`, at `www.google-analytics.com` or, to be collected in the EU,
    `region1.google-analytics.com`; `secret` is its API secret."""

    batch_size: ClassVar[int] = 25
    longest_hours: ClassVar[int] = 72
    options: ClassVar[type[Section]] = GoogleOptions
    secret_options: ClassVar[tuple[str, ...]] = ("service_account",)

    def __init__(self, config: DestinationConfig, secret: str, more_secrets: Mapping[str, str] = NO_SECRETS) -> None:
        super().__init__(config, secret, more_secrets)
        self._options = read_options(config, GoogleOptions)
        _check(config, self._options, secret)
        query = urlencode({"measurement_id": self._options.measurement_id, "api_secret": secret})
        self._collect = f"{config.url}?{query}"
        self._debug = f"{config.url.removesuffix(COLLECT)}{DEBUG}?{query}"
        text = more_secrets.get("service_account", "")
        self._account = _read_account(config, text) if text else None
        self.cannot_undo = DELETED if self._account else NOT_DELETED

    def key_of(self, telling: Telling) -> str:
        """One client in one place on one device: that is said once for all events of a request."""
        return f"{telling.subject} {telling.event.country} {telling.event.device} {telling.event.browser}"

    def build(self, batch: Sequence[Telling], now: float) -> OutgoingRequest:
        """One client's events."""
        return OutgoingRequest("POST", self._collect, JSON, self._encode(batch, now))

    def build_test(self, telling: Telling, now: float) -> OutgoingRequest:
        """Google's validation server is asked first, for collection says nothing."""
        return OutgoingRequest("POST", self._debug, JSON, self._encode([telling], now), CHECKING)

    def judge(self, request: OutgoingRequest, reply: Reply, now: float) -> Judgement:
        """2xx is all that Google ever says of events; tokens and the validation server have answers to be read."""
        if request.step == TOKEN:
            return self._judge_token(request, reply, now)
        failure = judge_failure(reply, now)
        if failure is not None:
            return failure
        if request.step == CHECKING:
            return self._judge_check(request, reply)
        return Delivered()

    def withdraw(self, notice: Notice, now: float) -> OutgoingRequest | None:
        """A token first, then the deletion of this client; nothing where no account may delete."""
        if self._account is None:
            return None
        return self._account.ask(SCOPE, now, TOKEN, make_client(notice.subject))

    def _encode(self, batch: Sequence[Telling], now: float) -> bytes:
        if any(now - telling.event.at >= OLDEST_SECONDS for telling in batch):
            raise DestinationError("Google Analytics takes nothing older than 72 hours")
        ads = "GRANTED" if self._options.ads else "DENIED"
        body: dict[str, object] = {
            "client_id": make_client(batch[0].subject),
            "consent": {"ad_user_data": ads, "ad_personalization": ads},
            **_describe_client(batch[0].event),
        }
        try:
            body["events"] = [describe_event(one.event, make_session(one), now) for one in batch]
            encoded = msgspec.json.encode(body)
        except (UnicodeEncodeError, ValueError, OverflowError) as error:
            raise DestinationError("the event holds text that is no Unicode, or an impossible time") from error
        if len(encoded) >= BODY_BYTES:
            raise DestinationError(f"{len(batch)} events take {len(encoded)} bytes; Google takes {BODY_BYTES}")
        return encoded

    def _judge_check(self, request: OutgoingRequest, reply: Reply) -> Judgement:
        try:
            said = msgspec.json.decode(reply.body, type=dict[str, list[object]])
        except msgspec.DecodeError:
            return Retry(REFUSED)
        if said.get("validationMessages"):
            return Dead(REFUSED)
        return msgspec.structs.replace(request, url=self._collect, step="")

    def _judge_token(self, request: OutgoingRequest, reply: Reply, now: float) -> Judgement:
        failure = judge_failure(reply, now)
        if isinstance(failure, Retry):
            return failure
        try:
            token = msgspec.json.decode(reply.body, type=_Token).access_token
        except msgspec.DecodeError:
            return Misconfigured(NO_TOKEN)
        url = f"{self._options.deletion_url}/v1alpha/properties/{self._options.property_id}:submitUserDeletion"
        body = msgspec.json.encode({"clientId": request.memo})
        return OutgoingRequest("POST", url, {**JSON, "authorization": f"Bearer {token}"}, body, DELETION)


class _Token(msgspec.Struct, frozen=True):
    access_token: str


def make_client(subject: str) -> str:
    """A client id as Google's own cookie would hold one: the same for a subject each time, and no way back."""
    number = _derive(subject, "client", 8)
    return f"{number >> 32}.{number & 0xFFFF_FFFF}"


def make_session(telling: Telling) -> int:
    """A session id of ten digits for the event's visit."""
    return 1_000_000_000 + _derive(telling.subject, f"session {telling.event.visit_id}", 8) % 1_000_000_000


def _derive(subject: str, what: str, size: int) -> int:
    return int.from_bytes(sign_sha256(subject.encode(), what.encode())[:size], "big")


def _describe_client(event: Event) -> dict[str, object]:
    told: dict[str, object] = {}
    if COUNTRY.match(event.country):
        told["user_location"] = {"country_id": event.country}
    device = {"category": event.device, "browser": event.browser[:FAMILY_LETTERS]}
    if any(device.values()):
        told["device"] = {name: text for name, text in device.items() if text}
    return told


def _check(config: DestinationConfig, options: GoogleOptions, secret: str) -> None:
    check_url(config, "url", config.url)
    wrong: dict[str, str] = {}
    if not config.url.endswith(COLLECT) or "?" in config.url or config.url.endswith(DEBUG):
        wrong["url"] = "wanted https://www.google-analytics.com/mp/collect, or region1 in the place of www"
    if not SECRET.match(secret):
        wrong["secret"] = "wanted the API secret of the data stream, as Google Analytics shows it"
    if config.include_network:
        wrong["include_network"] = "Google Analytics is told no network; the country stands for it"
    if bool(options.property_id) != bool(options.service_account):
        wrong["options.property_id"] = "to have clients deleted, property_id and service_account are both wanted"
    for key, wanted in wrong.items():
        raise ConfigError(FILE, f"{config.name}.{key}", None, wanted)
    for kind in config.events:
        try:
            name_event(kind)
        except DestinationError as error:
            wanted = "is reserved, or no name of at most 40 letters, digits and _ that begins with a letter"
            raise ConfigError(FILE, f"{config.name}.events", kind, wanted) from error


def _read_account(config: DestinationConfig, text: str) -> "ServiceAccount":
    key = "options.service_account"
    try:
        account: ServiceAccount = import_module("gateway.destinations.service_account").ServiceAccount(text)
    except ValueError as error:
        raise ConfigError(FILE, f"{config.name}.{key}", None, str(error)) from None
    check_url(config, key, account.token_url)
    check_url(config, "options.deletion_url", read_options(config, GoogleOptions).deletion_url)
    return account
