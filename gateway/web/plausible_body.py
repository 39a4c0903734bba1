"""What Plausible's clients send to /api/event, as the report that the gateway's own script would have sent."""

from typing import Any

import msgspec

from gateway.analytics.visit import new_id
from gateway.errors import BadRequest
from gateway.web.report_body import Report, decode_report

# Said by the client, and counted by the gateway itself: taken from both they would count twice.
OWN_COUNTED = ("pageview", "engagement")


class PlausibleEvent(msgspec.Struct, frozen=True):
    """The parts that are read, each under its short and its long name."""

    n: str = ""
    name: str = ""
    u: str = ""
    url: str = ""
    p: Any = None
    props: Any = None
    m: Any = None
    meta: Any = None
    money: Any = msgspec.field(default=None, name="$")
    revenue: Any = None


_decoder = msgspec.json.Decoder(PlausibleEvent)
_props = msgspec.json.Decoder(dict[str, Any])


def decode_plausible(body: bytes) -> Report | None:
    """The event in a body, under the limits of our own reports; None for what the gateway counts itself. Raises BadRequest."""
    try:
        event = _decoder.decode(body)
        name = event.n or event.name
        if name in OWN_COUNTED:
            return None
        message = {"v": 1, "k": "event", "view": new_id(), "url": event.u or event.url, "name": name}
        message["props"] = _table(event.p or event.props or event.m or event.meta)
        if money := _table(event.money or event.revenue):
            message["revenue"] = {"amount": float(money["amount"]), "currency": money["currency"]}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LookupError, TypeError, ValueError) as error:
        raise BadRequest(400, "malformed", "the event cannot be read") from error
    return decode_report(msgspec.json.encode(message))


def _table(given: Any) -> dict[str, Any]:
    """Given as such, or written out as JSON."""
    found = _props.decode(given) if isinstance(given, str) else msgspec.convert(given or {}, dict[str, Any])
    return {name: value for name, value in found.items() if value is not None}
