"""A form handler of Salesforce Account Engagement (Pardot): an event of somebody who gave an address, as a filled-in form.

The handler answers 302 to success and failure alike, so that only the address it leads to tells them apart; none is
followed.
It has no secret: whoever knows its address may post to it, and so do we. Where the form names where it leads to
(`success_location`), a stranger could make it lead anywhere: no such field is ever sent.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar
from urllib.parse import urlencode

import msgspec
from msgspec import Meta

from gateway.destinations.base import (
    FILE,
    NO_SECRETS,
    Dead,
    Delivered,
    Destination,
    Judgement,
    Misconfigured,
    OutgoingRequest,
    Reply,
    Telling,
    check_url,
    judge_failure,
    read_options,
)
from gateway.destinations.page_address import locate_page
from gateway.errors import ConfigError, DestinationError
from gateway.event import Event
from gateway.settings import DestinationConfig, Section

HANDLER = re.compile(r"https?://[^/?#]+/l/(\d+)/\d{4}-\d{2}-\d{2}/[A-Za-z0-9]+\Z")
LEADING = frozenset(("success_location", "error_location"))
REFUSED, NO_LOCATION, ODD_LOCATION = "form_refused", "no_location", "odd_location"
ADDRESS_LETTERS = 255
STAYS = "Account Engagement keeps the forms that were sent; the API's destination can opt out and delete"
FieldName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_ .-]{1,64}\Z")]


class FormOptions(Section, frozen=True):
    """What stands in `[destinations.options]`. `success` and `error`: where the handler leads to, as it is set up there.

    `fields`: names of the handler's fields by what goes into them: `page`, `topic`, `event`, or a property of the event.
    """

    success: Annotated[str, Meta(min_length=8)]
    error: Annotated[str, Meta(min_length=8)]
    email: FieldName = "email"
    fields: dict[str, str] = msgspec.field(default_factory=dict)
    kiosk: bool = False


class PardotForm(Destination):
    """One form handler: `https://go.example.org/l/519011/2026-01-31/abc`."""

    at_once: ClassVar[int] = 8
    knows_people: ClassVar[bool] = True
    needs_secret: ClassVar[bool] = False
    cannot_undo: str = STAYS
    options: ClassVar[type[Section]] = FormOptions

    def __init__(self, config: DestinationConfig, secret: str, more_secrets: Mapping[str, str] = NO_SECRETS) -> None:
        super().__init__(config, secret, more_secrets)
        self._options = read_options(config, FormOptions)
        self._account = _check(config, self._options)

    def build(self, batch: Sequence[Telling], now: float) -> OutgoingRequest:
        """The form, as this visitor's browser would send it."""
        [telling] = batch
        if telling.person is None:
            raise DestinationError("a form wants an address")
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "referer": locate_page(telling.event, ADDRESS_LETTERS),
        }
        visitor = f"visitor_id{self._account}"
        cookies = {name: telling.person.cookies.get(name, "") for name in (visitor, f"{visitor}-hash")}
        if all(cookies.values()):
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        elif not self._options.kiosk:
            raise DestinationError("without a visitor's cookies all forms would become one visitor's")
        fields = {self._options.email: telling.person.email}
        told = {what: _tell(telling.event, what) for what in self._options.fields}
        fields |= {self._options.fields[what]: text for what, text in told.items() if text}
        return OutgoingRequest("POST", self.config.url, headers, urlencode(fields).encode())

    def judge(self, request: OutgoingRequest, reply: Reply, now: float) -> Judgement:
        """Where it leads to says how it went."""
        if reply.status not in (302, 303):
            return judge_failure(reply, now) or Misconfigured(NO_LOCATION)
        leads = reply.headers.get("location", "")
        if leads.startswith(self._options.error):
            return Dead(REFUSED)
        return Delivered() if leads.startswith(self._options.success) else Misconfigured(ODD_LOCATION)


def _tell(event: Event, what: str) -> str:
    own = {
        "page": lambda: locate_page(event, ADDRESS_LETTERS),
        "topic": lambda: event.topic,
        "event": lambda: event.kind,
    }
    return own[what]() if what in own else event.props.get(what, "")


def _check(config: DestinationConfig, options: FormOptions) -> str:
    """The account's number. Raises ConfigError."""
    check_url(config, "url", config.url)
    match = HANDLER.match(config.url)
    wrong: dict[str, str] = {}
    if match is None:
        wrong["url"] = "wanted a form handler's address: https://HOST/l/ACCOUNT/YYYY-MM-DD/CODE"
    if options.success.startswith(options.error) or options.error.startswith(options.success):
        wrong["options.error"] = "must differ from success, or nothing tells a refused form from an accepted one"
    if leading := sorted(LEADING & {options.email, *options.fields.values()}):
        wrong["options.fields"] = f"{leading[0]} would say where the form leads to"
    if match and not options.kiosk and f"visitor_id{match[1]}" not in config.cookies:
        wrong["cookies"] = f"wanted visitor_id{match[1]} and visitor_id{match[1]}-hash, or options.kiosk = true"
    for key, wanted in wrong.items():
        raise ConfigError(FILE, f"{config.name}.{key}", None, wanted)
    return match[1] if match else ""
