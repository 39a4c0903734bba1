"""What Plausible's clients send to /api/event: https://plausible.io/docs/events-api"""

from typing import Any

import msgspec

from gateway.event import NOT_FOUND, PAGE_VIEW
from gateway.web.client_event import ClientEvent, make_event, malformed, read_props

LOST = "404"  # what pages that do not exist tell, by Plausible's manual


class PlausibleEvent(msgspec.Struct, frozen=True):
    """The parts that are read, each under its short and its long name."""

    n: str | int = ""
    name: str | int = ""
    u: str = ""
    url: str = ""
    r: str | None = None
    referrer: str | None = None
    p: Any = None
    props: Any = None
    m: Any = None
    meta: Any = None
    money: Any = msgspec.field(default=None, name="$")
    revenue: Any = None


_decoder = msgspec.json.Decoder(PlausibleEvent)


def decode_plausible(body: bytes) -> ClientEvent | None:
    """The event in a body, under the limits of our own reports; None for engaged time, which is told in steps that nobody
    could add up once. Raises BadRequest 400."""
    try:
        event = _decoder.decode(body)
        name = str(event.n or event.name)
        message: dict[str, Any] = {"k": "event", "name": name, "url": event.u or event.url}
        if money := read_props(event.money or event.revenue):
            message["revenue"] = {"amount": float(money["amount"]), "currency": money["currency"]}
    except (
        msgspec.MsgspecError,
        UnicodeDecodeError,
        RecursionError,
        LookupError,
        TypeError,
        ValueError,
        OverflowError,
    ) as error:
        raise malformed(str(error)) from error
    if name == "engagement":
        return None
    if name == "pageview":
        message |= {"k": PAGE_VIEW, "name": None, "referrer": event.r or event.referrer}
    if name == LOST:
        message["name"] = NOT_FOUND
    return make_event({**message, "props": event.p or event.props or event.m or event.meta}, {})
