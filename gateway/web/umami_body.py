"""What Umami's clients send to /api/send: https://umami.is/docs/api/sending-stats"""

from typing import Any

import msgspec

from gateway.event import PAGE_VIEW
from gateway.web.client_event import ClientEvent, host_of, make_event, malformed, read_props, width_of

KEY = "gwk_"  # its beginning, where a key stands in the place of a website's id


class Payload(msgspec.Struct, frozen=True):
    """The parts that are read."""

    website: str = ""
    url: str = "/"
    hostname: str = ""
    referrer: str | None = None
    name: str | None = None
    data: Any = None
    screen: str | None = None
    language: str | None = None
    id: str | int | None = None
    ip: str | None = None
    userAgent: str | None = None
    timestamp: float | None = None
    gw_consent: str | None = None


class Message(msgspec.Struct, frozen=True):
    """`type` says whether it is an event at all."""

    payload: Payload
    type: str = "event"


_decoder = msgspec.json.Decoder(Message)


def decode_umami(body: bytes) -> tuple[ClientEvent | None, str]:
    """The event in a body, under the limits of our own reports (a page view without a name; None for who somebody is and for
    measurements), and the key that stands in it. Raises BadRequest 400."""
    try:
        message = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(str(error)) from error
    said = message.payload
    key = said.website if said.website.startswith(KEY) else ""
    if message.type != "event":
        return None, key
    url = said.url if host_of(said.url) or not said.hostname else f"https://{said.hostname}{said.url}"
    props = read_props(said.data)
    fields: dict[str, Any] = {"k": "event" if said.name else PAGE_VIEW, "name": said.name, "url": url, "props": props}
    fields |= {"referrer": said.referrer, "width": width_of(said.screen or ""), "revenue": _revenue(props)}
    return make_event(fields, _claim(said)), key


def _claim(said: Payload) -> dict[str, Any]:
    claim = {"ip": said.ip, "agent": said.userAgent, "at": said.timestamp, "language": said.language}
    return {**claim, "visitor": said.id, "consent": said.gw_consent}


def _revenue(props: dict[str, Any]) -> dict[str, Any] | None:
    """As Umami has it: two properties, `revenue` and `currency`."""
    amount, currency = props.get("revenue"), props.get("currency")
    return {"amount": amount, "currency": currency} if amount is not None and currency is not None else None
