"""What a webhook's body says: in the form of Standard Webhooks, or as a CloudEvent 1.0 in structured mode.

Both hold the same `data`. A CloudEvent's `subject` is the page, never a person; which purposes it was told for stands in
the extension `consentpurposes`. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta

from gateway.destinations.base import Notice, Telling
from gateway.errors import DestinationError
from gateway.event import Event
from gateway.settings import Section

BODY_CAP_BYTES = 20_000
NOT_IN_TYPE = re.compile(r"[^A-Za-z0-9_.]")
JSON, CLOUD = "application/json", "application/cloudevents+json"
WITHDRAWN, ERASE = "consent.withdrawn", "subject.erase.requested"


class HookOptions(Section, frozen=True):
    """What stands in `[destinations.options]`. `type_prefix` stands before the type of a CloudEvent.

    `withdrawals`: visitors have a name there, so that the receiver can be told whom a withdrawal concerns.
    """

    format: Literal["standard", "cloudevents"] = "standard"
    type_prefix: Annotated[str, Meta(pattern=r"^([a-z0-9-]+\.)*\Z")] = ""
    withdrawals: bool = False


class Message(msgspec.Struct, frozen=True):
    """What is to be told, before it has a form. `about` is the page, where there is one; `purposes` are those that the
    visitor agreed to."""

    message_id: str
    kind: str
    site: str
    host: str
    about: str
    at: str
    data: dict[str, object]
    purposes: tuple[str, ...] = ()


def read_telling(telling: Telling, options: HookOptions, purposes: tuple[str, ...]) -> Message:
    """An event; the visitor key as hexadecimal text, since receivers may hold 53 bits only."""
    event = telling.event
    data = describe_event(event)
    if options.withdrawals:
        data["subject"] = telling.subject
    kind = NOT_IN_TYPE.sub("_", event.kind)
    return Message(telling.event_id, kind, event.site, event.host, event.path, to_rfc3339(event.at), data, purposes)


def describe_event(event: Event) -> dict[str, object]:
    """The event's fields, those without a value left out."""
    data: dict[str, object] = msgspec.to_builtins(event)
    times = {"at": to_rfc3339(event.at), "visit_started_at": to_rfc3339(event.visit_started_at)}
    return data | times | {"visitor": f"{event.visitor:016x}"}


def read_notice(notice: Notice) -> Message:
    """A withdrawal, or the wish to be erased: whom it concerns, and which purposes were taken back."""
    at = to_rfc3339(notice.at)
    data: dict[str, object] = {"subject": notice.subject, "site": notice.site, "purposes": notice.purposes, "at": at}
    kind = ERASE if notice.kind == "erasure" else WITHDRAWN
    return Message(notice.notice_id, kind, notice.site, "", "", at, data)


def encode(message: Message, options: HookOptions) -> tuple[str, bytes]:
    """Content type and body. Raises DestinationError for text that is no Unicode, and above 20,000 bytes."""
    cloud = options.format == "cloudevents"
    try:
        value = _as_cloud_event(message, options) if cloud else _as_standard(message)
        body = msgspec.json.encode(value)
    except UnicodeEncodeError as error:
        raise DestinationError("the event holds text that is no Unicode") from error
    if len(body) > BODY_CAP_BYTES:
        raise DestinationError(f"the event takes {len(body)} bytes; webhooks carry {BODY_CAP_BYTES}")
    return CLOUD if cloud else JSON, body


def _as_standard(message: Message) -> dict[str, object]:
    return {"type": message.kind, "timestamp": message.at, "data": message.data}


def _as_cloud_event(message: Message, options: HookOptions) -> dict[str, object]:
    value: dict[str, object] = {
        "specversion": "1.0",
        "id": message.message_id,
        "source": f"https://{quote(message.host)}" if message.host else f"/sites/{quote(message.site)}",
        "type": options.type_prefix + message.kind,
        "time": message.at,
        "datacontenttype": JSON,
        "data": message.data,
    }
    more = {"subject": "".join(filter(str.isprintable, message.about)), "consentpurposes": ",".join(message.purposes)}
    return value | {name: text for name, text in more.items() if text}


@lru_cache(maxsize=256)
def to_rfc3339(at: float) -> str:
    """Milliseconds, UTC. Raises DestinationError for what is no time."""
    try:
        moment = datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise DestinationError("the event has an impossible time") from error
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
